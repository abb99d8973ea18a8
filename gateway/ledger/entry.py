"""One ledger entry: the leaf in the tree, and the detail sealed for the auditor beside it.

    leaf         = u16be(length) ‖ LeafFrame ‖ zeros, 512 bytes in all, whatever happened
    detail       = u16be(length) ‖ EntryDetail ‖ zeros, 1,024 or 4,096 bytes
    ciphertext   = nonce 12 ‖ AES-256-GCM(DEK, detail), AAD = PAE("passerelle/1/detail", frame*)
    sealed DEK   = HPKE to the audit role, info = PAE("passerelle/1/detail", frame*, commitment)
    commitment   = SHA-256(PAE("passerelle/1/detail", ciphertext)), in the leaf

frame* is the frame less time and commitment, which are known only when the entry is committed. A leaf
is serialised once and stored; what is read back must be exactly what we would have written, so that
two leaves never say the same and nothing hides between the fields. The gateway seals details that it
cannot read; who destroys the sealed DEK destroys the detail, and leaf and proofs stay as they were.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from gateway.domain.messages import Direction
from gateway.ledger.entry_types import FACTS, EntryClass, EntryType, Facts
from gateway.ledger.errors import MalformedEntry
from gateway.v1 import audit_pb2
from keys.envelope import OpeningKey, OpeningRing, SealingKey
from keys.errors import OpenRefused
from keys.pae import pae

__all__ = [
    "DETAIL_SIZES",
    "FACTS",
    "LEAF_SIZE",
    "NO_DETAIL",
    "EntryClass",
    "EntryType",
    "Frame",
    "Leaf",
    "MalformedEntry",
    "SealedDetail",
    "commitment_of",
    "decode",
    "detail_aad",
    "detail_bytes",
    "encode",
    "open_detail",
    "parse_detail",
    "seal_detail",
]

FORMAT: Final = 1  # frame and detail format; a change of either is a new number
LEAF_SIZE: Final = 512  # bytes; the largest frame that the rules below allow takes 486 of them
DETAIL_SIZES: Final = (1024, 4096)  # bytes; so that length says little of what a detail holds
LENGTH_SIZE: Final = 2  # bytes, big-endian, before the protobuf
NONCE_SIZE: Final = 12  # bytes; NIST SP 800-38D, one use per DEK
DEK_SIZE: Final = 32  # bytes; AES-256
DETAIL_LABEL: Final = b"passerelle/1/detail"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_DETAIL: Final = bytes(32)  # the commitment of an entry that has no detail (ledger 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The content of one leaf.

    A frame is prepared without its time, which the sequencer stamps at the commit. Empty means that
    the field does not apply.

    partner_id          [A-Z0-9-]{2,32}
    message_id          16 bytes
    transcript, signing_key_id, kem_key_id   32 bytes
    transaction_number  [A-Za-z0-9-]{8,64}
    agreement_id, policy_id, subject_reference   up to 64 visible ASCII characters, no space; policy_id: of what a
                        calibration says what its scores are worth, a model or coder by name
    detail_commitment   32 bytes; zeros = no detail
    """

    type: EntryType
    entry_class: EntryClass
    time: datetime = EPOCH
    partner_id: str = ""
    direction: Direction | None = None
    message_id: bytes = b""
    transcript: bytes = b""
    transaction_number: str = ""
    signing_key_id: bytes = b""
    kem_key_id: bytes = b""
    directory_version: int = 0
    agreement_id: str = ""
    agreement_version: int = 0
    policy_id: str = ""
    detail_commitment: bytes = NO_DETAIL
    subject_reference: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry as its author knows it: a frame without time or commitment, and what only auditors read."""

    frame: Frame
    detail: Facts | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SealedDetail:
    """A detail that only the audit role can read, the key to it, and what the leaf says of it."""

    ciphertext: bytes = field(repr=False)
    sealed_dek: bytes = field(repr=False)
    commitment: bytes


_OF_ONE_SIZE = frozenset({EntryType.RESPONSE, EntryType.ANSWER_RECEIVED})
_IDENTIFIER = re.compile(r"[!-~]{0,64}")
_PATTERNS = {
    "partner_id": re.compile(r"(?:[A-Z0-9-]{2,32})?"),
    "transaction_number": re.compile(r"(?:[A-Za-z0-9-]{8,64})?"),
    "agreement_id": _IDENTIFIER,
    "policy_id": _IDENTIFIER,
    "subject_reference": _IDENTIFIER,
}
_LENGTHS = {
    "message_id": (0, 16),
    "transcript": (0, 32),
    "signing_key_id": (0, 32),
    "kem_key_id": (0, 32),
    "detail_commitment": (32,),
}
_RANGES = {"directory_version": 2**64, "agreement_version": 2**32}
_STATED = tuple(
    name for name in (*_PATTERNS, *_LENGTHS, *_RANGES) if name != "detail_commitment"
)  # fields that a frame has before its commit
_ANY = "at most 64 printable characters of ASCII without a space"
_WORDS = {  # what each pattern says, for whoever reads that a field breaks it
    "partner_id": "2 to 32 of A-Z, 0-9 and hyphen, or nothing, e.g. AUS",
    "transaction_number": "8 to 64 letters, digits and hyphens, or nothing, e.g. 20260301-0123456789abcdef0123",
    "agreement_id": f"{_ANY}, e.g. au",
    "policy_id": f"{_ANY}, e.g. facenet512",
    "subject_reference": f"{_ANY}, e.g. SUBMIT_QUERY",
}


def encode(frame: Frame, detail_commitment: bytes | None = None) -> bytes:
    """Return the leaf of a stamped frame: 512 bytes, serialised once, hashed and stored as they are.

    detail_commitment   replaces the frame's own, where given

    Raises `MalformedEntry`, which names the field, for anything that `decode` would refuse.
    """
    if detail_commitment is not None:
        frame = replace(frame, detail_commitment=detail_commitment)
    _demand_fields(frame)
    message = _message(frame)
    message.time_ms = _milliseconds(frame.time)
    message.detail_commitment = frame.detail_commitment
    return _pad(message.SerializeToString(deterministic=True), LEAF_SIZE)


def decode(leaf: bytes) -> Frame:
    """Read a leaf strictly.

    Raises `MalformedEntry` for a wrong length, an unknown field or number, a value that breaks its
    rule, padding that is not zero, and any second way to write the same frame.
    """
    if len(leaf) != LEAF_SIZE:
        raise MalformedEntry(f"a leaf has {LEAF_SIZE} bytes")
    message = audit_pb2.LeafFrame()
    _parse(message, leaf)
    if message.format != FORMAT:
        raise MalformedEntry("a frame of an unknown format")
    try:
        frame = Frame(
            type=EntryType(message.type),
            entry_class=EntryClass(message.entry_class),
            time=EPOCH + timedelta(milliseconds=message.time_ms),
            direction=Direction(message.direction) if message.direction else None,
            **{name: getattr(message, name) for name in (*_PATTERNS, *_LENGTHS, *_RANGES)},
        )
    except ValueError:
        raise MalformedEntry("a type, class or direction outside its closed list") from None
    except OverflowError:
        raise MalformedEntry("time: beyond the calendar") from None
    # Unknown fields, other field orders, long varints, stated defaults and padding all end here: the
    # frame, written again, is the leaf or it is not.
    if encode(frame) != leaf:
        raise MalformedEntry("not the one way to write this frame")
    return frame


def detail_aad(frame: Frame) -> bytes:
    """Return what ties a ciphertext to its leaf: the frame less time and commitment, under our label."""
    return pae(DETAIL_LABEL, _bare(frame))


def detail_bytes(detail: Facts, at_least: int = 0) -> bytes:
    """Return a detail as padded plaintext of the smallest size class that holds it and `at_least`.

    Raises `MalformedEntry` for a fact outside `FACTS`, for no facts at all, and for too many.
    """
    if not detail:
        raise MalformedEntry("a detail without facts; give none instead")
    if not FACTS.issuperset(detail):
        raise MalformedEntry("a fact outside the closed list of gateway.ledger.entry_types")
    message = audit_pb2.EntryDetail(format=FORMAT)
    try:
        for name in sorted(detail):
            message.facts.add(name=name, value=detail[name])
    except ValueError:
        raise MalformedEntry("a fact whose value is not text") from None
    serialised = message.SerializeToString(deterministic=True)
    needed = max(LENGTH_SIZE + len(serialised), at_least)
    size = next((size for size in DETAIL_SIZES if size >= needed), None)
    if size is None:
        raise MalformedEntry(f"a detail has at most {DETAIL_SIZES[-1]} bytes")
    return _pad(serialised, size)


def parse_detail(padded: bytes) -> dict[str, str]:
    """Read padded plaintext strictly; raises `MalformedEntry`."""
    if len(padded) not in DETAIL_SIZES:
        raise MalformedEntry("a detail of no size class")
    message = audit_pb2.EntryDetail()
    _parse(message, padded)
    detail = {fact.name: fact.value for fact in message.facts}
    if detail_bytes(detail, at_least=len(padded)) != padded:
        raise MalformedEntry("not the one way to write this detail")
    return detail


def seal_detail(frame: Frame, detail: Facts, audit_key: SealingKey) -> SealedDetail:
    """Seal a detail so that it belongs to this frame and only the audit role reads it.

    The time and the commitment of `frame` may be set later; nothing else may change. Details of an
    answer, given or received, fill the largest class, so that their size does not reveal a hit, which has
    scores or fields to state, from a no-hit. Raises `MalformedEntry`.
    """
    _demand_fields(frame)
    largest = DETAIL_SIZES[-1] if frame.type in _OF_ONE_SIZE else 0
    padded = detail_bytes(detail, at_least=largest)
    dek, nonce = secrets.token_bytes(DEK_SIZE), secrets.token_bytes(NONCE_SIZE)
    bare = _bare(frame)
    ciphertext = nonce + AESGCM(dek).encrypt(nonce, padded, pae(DETAIL_LABEL, bare))
    commitment = commitment_of(ciphertext)
    return SealedDetail(ciphertext, audit_key.encrypt(dek, _dek_info(bare, commitment)), commitment)


def open_detail(
    frame: Frame, ciphertext: bytes, sealed_dek: bytes, audit_key: OpeningKey | OpeningRing
) -> dict[str, str]:
    """Return the facts beside a leaf; raises `MalformedEntry` unless all of it belongs together.

    (1) The ciphertext is the one that the leaf commits to. (2) The sealed DEK opens, for this leaf.
    (3) The ciphertext opens, for this frame. (4) The facts are of the closed list, written our way.
    """
    commitment = commitment_of(ciphertext)
    if commitment != frame.detail_commitment:
        raise MalformedEntry("the leaf commits to another detail")  # (1)
    try:
        bare = _bare(frame)
        dek = audit_key.decrypt(sealed_dek, _dek_info(bare, commitment))  # (2)
        nonce, sealed = ciphertext[:NONCE_SIZE], ciphertext[NONCE_SIZE:]
        padded = AESGCM(dek).decrypt(nonce, sealed, pae(DETAIL_LABEL, bare))  # (3)
    except (OpenRefused, InvalidTag, ValueError):
        raise MalformedEntry("the detail does not open: altered, or for another key") from None
    return parse_detail(padded)  # (4)


def commitment_of(ciphertext: bytes) -> bytes:
    """Return what a leaf states of the ciphertext beside it: 32 bytes."""
    return sha256(pae(DETAIL_LABEL, ciphertext)).digest()


def _dek_info(bare: bytes, commitment: bytes) -> bytes:
    """Return what a sealed DEK is bound to: this frame and this ciphertext, so none can be exchanged."""
    return pae(DETAIL_LABEL, bare, commitment)


def _bare(frame: Frame) -> bytes:
    return _message(frame).SerializeToString(deterministic=True)


def _message(frame: Frame) -> audit_pb2.LeafFrame:
    """Return the frame as protobuf, less time and commitment."""
    message = audit_pb2.LeafFrame(format=FORMAT)
    message.type = int(frame.type)  # type: ignore[assignment]
    message.entry_class = int(frame.entry_class)  # type: ignore[assignment]
    message.direction = int(frame.direction or 0)  # type: ignore[assignment]
    for name in _STATED:
        if value := getattr(frame, name):  # what is empty is not serialised
            setattr(message, name, value)
    return message


def _demand_fields(frame: Frame) -> None:
    """Refuse a field that breaks its rule; the error names the field, never the value."""
    for name, pattern in _PATTERNS.items():
        if pattern.fullmatch(getattr(frame, name)) is None:
            raise MalformedEntry(f"{name}: not {_WORDS[name]}")
    for name, lengths in _LENGTHS.items():
        if len(getattr(frame, name)) not in lengths:
            allowed = " or ".join(map(str, lengths))
            raise MalformedEntry(f"{name}: not {allowed} bytes long")
    for name, end in _RANGES.items():
        if not 0 <= getattr(frame, name) < end:
            raise MalformedEntry(f"{name}: not from 0 to {end - 1}")


def _milliseconds(time: datetime) -> int:
    """Return whole milliseconds since 1970, of an aware time after it."""
    if time.tzinfo is None:
        raise MalformedEntry("time: without a time zone")
    milliseconds, rest = divmod(time - EPOCH, timedelta(milliseconds=1))
    if rest or milliseconds <= 0:
        raise MalformedEntry("time: not stamped, or not in whole milliseconds")
    return milliseconds


def _pad(serialised: bytes, size: int) -> bytes:
    return (len(serialised).to_bytes(LENGTH_SIZE, "big") + serialised).ljust(size, b"\0")


def _parse(message: audit_pb2.LeafFrame | audit_pb2.EntryDetail, padded: bytes) -> None:
    """Parse the protobuf in `padded` into `message`; the caller compares what it means with its bytes."""
    length = int.from_bytes(padded[:LENGTH_SIZE], "big")
    if length > len(padded) - LENGTH_SIZE:
        raise MalformedEntry("the stated length goes beyond the end")
    try:
        message.ParseFromString(padded[LENGTH_SIZE : LENGTH_SIZE + length])
    except DecodeError:
        raise MalformedEntry("not a protobuf message") from None
