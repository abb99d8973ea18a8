"""Signed notes, verifier keys and checkpoints of C2SP (C2SP/C2SP@5ba5ee8), both log signatures demanded.

A note is text that ends in a newline, an empty line, and signature lines. A checkpoint is a note whose
text has three lines: origin, size, root. Our log signs it twice, with Ed25519 (type 0x01) over the
text and with ML-DSA-44 (type 0x06) over a structure that says the same; we accept a checkpoint only
with both, so that whoever breaks one algorithm can still not write history.

What parses re-serialises to the same bytes; everything has one canonical form.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from hashlib import sha256
from typing import Final

from gateway import calendar_bounds
from gateway.ledger.errors import NoteRefused
from gateway.ledger.merkle import EMPTY_ROOT, HASH_SIZE
from keys.signatures import LogKey, WitnessKey, verify_ed25519, verify_mldsa44

__all__ = [
    "MAX_NOTE",
    "MAX_SIGNATURES",
    "Checkpoint",
    "KeyType",
    "LogIdentity",
    "Note",
    "NoteRefused",
    "SignatureLine",
    "VerifierKey",
    "cosign",
    "line_of",
    "open_checkpoint",
    "open_note",
    "parse_note",
    "sign_checkpoint",
    "with_lines",
]

MAX_NOTE: Final = 131_072  # bytes; 36 lines of 3.5 KB (an ML-DSA-44 signature in base64, and its name) and the text
MAX_SIGNATURES: Final = (
    36  # lines; 32 witnesses, as tlog-policy asks for, beside two pairs of the log
)
MAX_NAME: Final = (
    255  # bytes; a name has a length of one byte in the structure that ML-DSA-44 signs
)
MAX_SIZE: Final = 2**63 - 1  # leaves; sizes are signed 64-bit integers in most logs
KEY_ID_SIZE: Final = 4  # bytes; signed-note: a hint for the reader, not a security boundary
TIMESTAMP_SIZE: Final = (
    8  # bytes; seconds since 1970, before an ML-DSA-44 signature and a cosigner's
)
MOST_SECONDS: Final = 2**63 - 1  # tlog-cosignature: the latest time that a cosigner may state
COSIGNATURE: Final = (
    "cosignature/v1\n"  # tlog-cosignature: what an Ed25519 cosigner signs begins so
)
ED25519_SIZE: Final = 32  # bytes; RFC 8032
SUBTREE: Final = b"subtree/v1\n\0"  # tlog-cosignature: the label of the structure, 12 bytes

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


class KeyType(IntEnum):
    """The signature types of our two lines, and that of witnesses who sign with Ed25519 (signed-note, tlog-cosignature)."""

    ED25519 = 0x01
    ED25519_COSIGNER = 0x04
    MLDSA44 = 0x06


# Bytes; RFC 8032, FIPS 204 table 2.
_PUBLIC_SIZE = {KeyType.ED25519: 32, KeyType.ED25519_COSIGNER: 32, KeyType.MLDSA44: 1312}


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under; its text form is a vkey of signed-note."""

    name: str
    type: KeyType
    public: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _demand_name(self.name)
        if len(self.public) != _PUBLIC_SIZE[self.type]:
            raise NoteRefused("the public key has not the length of its type")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key)."""
        named = self.name.encode() + b"\n" + bytes([self.type]) + self.public
        return sha256(named).digest()[:KEY_ID_SIZE]

    def format(self) -> str:
        """Return `name+hex(key id)+base64(type ‖ public key)`."""
        return f"{self.name}+{self.key_id.hex()}+{_b64(bytes([self.type]) + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read a vkey; raises `NoteRefused` for another type, a wrong key id or a second form."""
        parts = _VKEY.fullmatch(vkey)
        if parts is None:
            raise NoteRefused("a verifier key has the form name+id+key")
        typed = _unb64(parts[3])
        try:
            key = cls(parts[1], KeyType(typed[0]), typed[1:])
        except ValueError:
            raise NoteRefused("the verifier key is of a type that we do not verify") from None
        if key.format() != vkey:
            raise NoteRefused("the verifier key does not have the key id that it states")
        return key


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line under a note: who claims to have signed, with which key, and the signature."""

    name: str
    key_id: bytes
    payload: bytes = field(repr=False)

    @property
    def stated(self) -> int:
        """The second since 1970 that a line of ML-DSA-44, or of any cosigner, states; what it means follows from its verification."""
        return int.from_bytes(self.payload[:TIMESTAMP_SIZE], "big")

    def format(self) -> str:
        """Return the line, with its newline."""
        return f"— {self.name} {_b64(self.key_id + self.payload)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and the lines under it; nothing about them is verified yet."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def format(self) -> bytes:
        """Return the note's bytes."""
        return f"{self.text}\n{''.join(line.format() for line in self.signatures)}".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its name, how many leaves it has, and their root (tlog-checkpoint v1)."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        _demand_name(self.origin)
        if not 0 <= self.size <= MAX_SIZE:
            raise NoteRefused("the checkpoint's size is out of range")
        if len(self.root) != HASH_SIZE:
            raise NoteRefused("the checkpoint's root is not 32 bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise NoteRefused("the checkpoint claims a root for an empty tree")

    def format(self) -> str:
        """Return the three lines."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the three lines; raises `NoteRefused` for a fourth or any other form."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise NoteRefused("a checkpoint has three lines: origin, size, root")
        if _SIZE.fullmatch(lines[1]) is None:
            raise NoteRefused("the checkpoint's size is not a decimal number")
        return cls(lines[0], int(lines[1]), _unb64(lines[2]))


_PAIR: Final = (KeyType.ED25519, KeyType.MLDSA44)  # of a log's two keys, in this order


@dataclass(frozen=True, slots=True)
class LogIdentity:
    """What must be known of a log to verify it: its name and its two verifier keys, as vkeys.

    past     pairs of the same log that sign beside the current one; one pair verifies a note, both halves of it
    stopped  pairs that left, or whose secrecy came into doubt, each with the second since 1970 after which
             nothing that it signs is believed: what it signed before stays the log's own

    Raises `NoteRefused` unless the keys are an Ed25519 and an ML-DSA-44 key that bear the name.
    """

    origin: str
    ed25519_vkey: str = field(repr=False)
    mldsa44_vkey: str = field(repr=False)
    past: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    stopped: tuple[tuple[str, str, int], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for pair in (self.vkeys, *self.past, *(each[:2] for each in self.stopped)):
            stated = [(key.name, key.type) for key in map(VerifierKey.parse, pair)]
            if stated != [(self.origin, each) for each in _PAIR]:
                raise NoteRefused(
                    "a log has an Ed25519 key and an ML-DSA-44 key that bear its name"
                )

    @property
    def vkeys(self) -> tuple[str, str]:
        """Both keys, in the order that `open_checkpoint` wants them."""
        return self.ed25519_vkey, self.mldsa44_vkey

    def open(self, signed: bytes) -> Checkpoint:
        """Return the checkpoint of a note that the current pair or one of the past has signed, or a stopped one in time.

        Raises `NoteRefused` with what the current pair says of it.
        """
        return self.read(signed)[0]

    def read(self, signed: bytes) -> tuple[Checkpoint, int]:
        """Return what `open` does, and the second since 1970 at which that pair says it signed."""
        try:
            return _read(signed, self.vkeys)
        except NoteRefused as refused:
            for pair in self.past:
                with suppress(NoteRefused):
                    return _read(signed, pair)
            for ed25519, mldsa44, until in self.stopped:
                with suppress(NoteRefused):
                    found = _read(signed, (ed25519, mldsa44))
                    if found[1] <= until:
                        return found
            raise refused from None

    @classmethod
    def from_log_key(cls, origin: str, key: LogKey) -> LogIdentity:
        """Return the public identity of a log that signs with `key`."""
        return cls.from_public(origin, key.public)

    @classmethod
    def from_public(
        cls,
        origin: str,
        public: bytes,
        past: Iterable[bytes] = (),
        stopped: Iterable[tuple[bytes, int]] = (),
    ) -> LogIdentity:
        """Return the identity of the public halves of pairs, each Ed25519 ‖ ML-DSA-44."""
        return cls(
            origin,
            *_vkeys(origin, public),
            tuple(_vkeys(origin, each) for each in past),
            tuple((*_vkeys(origin, each), until) for each, until in stopped),
        )


def parse_note(raw: bytes) -> Note:
    """Read a note strictly; raises `NoteRefused`. The text ends at the last empty line."""
    if len(raw) > MAX_NOTE:
        raise NoteRefused("the note is too large")
    try:
        whole = raw.decode()
    except UnicodeDecodeError:
        raise NoteRefused("the note is not UTF-8") from None
    if _CONTROL.search(whole):
        raise NoteRefused("the note holds a control character")
    end = whole.rfind("\n\n")
    if end < 0 or not whole.endswith("\n"):
        raise NoteRefused("a note is a text, an empty line and signature lines")
    lines = whole[end + 2 :].split("\n")[:-1]
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise NoteRefused(f"a note has 1 to {MAX_SIGNATURES} signature lines")
    return Note(whole[: end + 1], tuple(map(_parse_line, lines)))


def open_note(raw: bytes, keys: Sequence[VerifierKey]) -> str:
    """Return the text of a note that every one of `keys` has signed.

    Lines of keys that are not given are ignored, as signed-note demands, and cost nothing; a given key has one line,
    which is verified once, and refuses the note where it does not verify. Raises `NoteRefused`, also when no
    key is given.
    """
    if not keys:
        raise NoteRefused("no key was given to verify the note with")
    note = parse_note(raw)
    for key in keys:
        claim = _claim(note, key)
        if claim is None:
            raise NoteRefused(f"the note lacks its {key.type.name} signature")
        if not _verifies(key, note.text, claim.payload):
            raise NoteRefused(f"the note's {key.type.name} signature does not verify")
    return note.text


def open_checkpoint(note: bytes, ed25519_vkey: str, mldsa44_vkey: str) -> Checkpoint:
    """Return the checkpoint that both of the log's keys have signed.

    Steps:
    (1) The two keys are of the two types and bear one name.
    (2) Both have signed the note. One of them is not enough: a policy that took any listed key would
        let whoever forges Ed25519 write history.
    (3) The text is a checkpoint whose origin is that name.

    Raises `NoteRefused`.
    """
    # (1)
    classical, lattice = VerifierKey.parse(ed25519_vkey), VerifierKey.parse(mldsa44_vkey)
    if (classical.type, lattice.type) != (KeyType.ED25519, KeyType.MLDSA44):
        raise NoteRefused("a log is verified with an Ed25519 key and an ML-DSA-44 key")
    if classical.name != lattice.name:
        raise NoteRefused("the log's two keys bear different names")
    # (2)
    text = open_note(note, (classical, lattice))
    # (3)
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != classical.name:
        raise NoteRefused("the checkpoint is of another log than the keys")
    return checkpoint


def signed_at(note: bytes, mldsa44_vkey: str) -> int:
    """Return the second since 1970 that the key's ML-DSA-44 line states.

    Only `open_checkpoint` says that they verify. Raises `NoteRefused` for a note without such a line, and for a
    time that is not of the calendar of `gateway.calendar_bounds`: the structure has room for any 64 bits.
    """
    key = VerifierKey.parse(mldsa44_vkey)
    own = _claim(parse_note(note), key)
    if own is None:
        raise NoteRefused("the note states no time")
    if calendar_bounds.of_seconds(own.stated) is None:
        raise NoteRefused(f"the note states a time that is not {calendar_bounds.RULE}")
    return own.stated


def sign_checkpoint(
    checkpoint: Checkpoint, log_key: LogKey, time: datetime, also: Sequence[LogKey] = ()
) -> bytes:
    """Return the checkpoint as a note under the log's two signatures.

    time   aware; its whole seconds are signed by the ML-DSA-44 line and are never 0
    also   pairs that sign beside `log_key` while one follows the other; two lines each

    Raises `NoteRefused` for a time at or before 1970.
    """
    seconds = int(time.timestamp())
    if seconds <= 0:
        raise NoteRefused("a checkpoint is not signed at the beginning of time")
    stamp = seconds.to_bytes(TIMESTAMP_SIZE, "big")
    lines = (line for key in (log_key, *also) for line in _lines(checkpoint, key, stamp))
    return Note(checkpoint.format(), tuple(lines)).format()


def cosign(note: bytes, name: str, key: WitnessKey, time: datetime) -> bytes:
    """Return a note with the line of a witness under it (tlog-cosignature, type 0x06), as the last.

    name   the witness's; it is signed with the checkpoint, so that nobody's line passes for another's
    time   aware; when the witness saw that the tree continues the one before

    An older line of the same key gives way to it: a key has one. What the note says MUST have been verified before.
    Raises `NoteRefused`, also where the note has no room for another line.
    """
    parsed = parse_note(note)
    seconds = int(time.timestamp())
    if seconds <= 0:
        raise NoteRefused("a checkpoint is not cosigned at the beginning of time")
    stamp = seconds.to_bytes(TIMESTAMP_SIZE, "big")
    verifier = VerifierKey(name, KeyType.MLDSA44, key.public)
    signature = key.sign(_subtree(name, stamp, Checkpoint.parse(parsed.text)))
    line = SignatureLine(name, verifier.key_id, stamp + signature)
    others = [s for s in parsed.signatures if (s.name, s.key_id) != (name, line.key_id)]
    return _demand_room(Note(parsed.text, (*others, line))).format()


def line_of(note: bytes | Note, key: VerifierKey) -> SignatureLine | None:
    """Return the line of one key under a note, once it verified; None where the key has none.

    note   as `parse_note` returned it, where several keys are looked for

    Raises `NoteRefused` where the line of the key does not verify, or it has two.
    """
    parsed = note if isinstance(note, Note) else parse_note(note)
    claim = _claim(parsed, key)
    if claim is not None and not _verifies(key, parsed.text, claim.payload):
        raise NoteRefused(f"the line of {key.name} does not verify")
    return claim


def with_lines(note: bytes, lines: Sequence[SignatureLine]) -> bytes:
    """Return a note with more lines under it; those that are there already are not repeated.

    Raises `NoteRefused` where there are more than a note has room for.
    """
    parsed = parse_note(note)
    more = [line for line in lines if line not in parsed.signatures]
    return _demand_room(Note(parsed.text, (*parsed.signatures, *more))).format()


def _claim(note: Note, key: VerifierKey) -> SignatureLine | None:
    """Return the line that claims to be a key's; None where there is none. Raises `NoteRefused` for two."""
    claims = [s for s in note.signatures if (s.name, s.key_id) == (key.name, key.key_id)]
    if len(claims) > 1:
        raise NoteRefused(f"{key.name} has two lines under the note")
    return claims[0] if claims else None


def _demand_room(note: Note) -> Note:
    if len(note.signatures) > MAX_SIGNATURES:
        raise NoteRefused(f"a note has room for {MAX_SIGNATURES} signature lines")
    return note


def _lines(checkpoint: Checkpoint, log_key: LogKey, stamp: bytes) -> tuple[SignatureLine, ...]:
    name = checkpoint.origin
    classical = VerifierKey(name, KeyType.ED25519, log_key.ed25519_public)
    lattice = VerifierKey(name, KeyType.MLDSA44, log_key.mldsa44_public)
    text, signed = checkpoint.format().encode(), _subtree(name, stamp, checkpoint)
    return (
        SignatureLine(name, classical.key_id, log_key.sign_ed25519(text)),
        SignatureLine(name, lattice.key_id, stamp + log_key.sign_mldsa44(signed)),
    )


def _verifies(key: VerifierKey, text: str, payload: bytes) -> bool:
    """Say whether a line's payload is the key's signature of the text."""
    if key.type is KeyType.ED25519:
        return verify_ed25519(key.public, payload, text.encode())
    stamp, signature = payload[:TIMESTAMP_SIZE], payload[TIMESTAMP_SIZE:]
    if len(stamp) < TIMESTAMP_SIZE or not 0 < int.from_bytes(stamp, "big") <= MOST_SECONDS:
        return False
    if key.type is KeyType.ED25519_COSIGNER:
        # The name is not signed: a key that signed under two would let one line pass for another's.
        header = f"{COSIGNATURE}time {int.from_bytes(stamp, 'big')}\n"
        return verify_ed25519(key.public, signature, (header + text).encode())
    return verify_mldsa44(key.public, signature, _subtree(key.name, stamp, Checkpoint.parse(text)))


def _subtree(name: str, stamp: bytes, checkpoint: Checkpoint) -> bytes:
    """Return what an ML-DSA-44 line signs: the whole tree, as the subtree from leaf 0 to its size."""
    bounds = (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big")
    origin = _prefixed(checkpoint.origin)
    return SUBTREE + _prefixed(name) + stamp + origin + bounds + checkpoint.root


def _prefixed(name: str) -> bytes:
    encoded = name.encode()
    return bytes([len(encoded)]) + encoded


def _parse_line(line: str) -> SignatureLine:
    """Read `— name base64(key id ‖ signature)`."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise NoteRefused("a signature line is a dash, a name and a signature")
    _demand_name(parts[1])
    payload = _unb64(parts[2])
    if len(payload) <= KEY_ID_SIZE:
        raise NoteRefused("a signature line holds no signature")
    return SignatureLine(parts[1], payload[:KEY_ID_SIZE], payload[KEY_ID_SIZE:])


def _demand_name(name: str) -> None:
    """Refuse a name that signed-note does not allow: empty, with a space, a plus or a control."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise NoteRefused("a name is not UTF-8") from None
    if not 0 < length <= MAX_NAME:
        raise NoteRefused(f"a name has 1 to {MAX_NAME} bytes")
    if any(each.isspace() or each < " " or each == "+" for each in name):
        raise NoteRefused("a name has no space and no plus")


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    """Decode standard base64 in its canonical form: padded, no stray bits, no other characters."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRefused("not base64") from None
    if not raw or _b64(raw) != text:
        raise NoteRefused("not base64 in its one spelling")
    return raw


def _vkeys(origin: str, public: bytes) -> tuple[str, str]:
    halves = public[:ED25519_SIZE], public[ED25519_SIZE:]
    ed25519, mldsa44 = map(VerifierKey, (origin, origin), _PAIR, halves)
    return ed25519.format(), mldsa44.format()


def _read(signed: bytes, pair: tuple[str, str]) -> tuple[Checkpoint, int]:
    return open_checkpoint(signed, *pair), signed_at(signed, pair[1])
