"""A party's public bundle: who it is, as JSON in exactly one canonical form.

Its message keys with their validity, its TLS authority and pins, its ledger's and its witness's verifier keys. It
holds no secret; two people compared its fingerprint over the telephone, so the bytes that they compared are the
bytes that are kept: a bundle that is not in canonical form is refused.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from gateway import calendar_bounds
from gateway.errors import PasserelleError
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import KeyType, LogIdentity, VerifierKey
from gateway.trust import endpoints
from keys import strict_json
from keys.certificates import authorities_in, demand_authority
from keys.envelope import SealingKey
from keys.errors import CertificateFault, MalformedKey
from keys.signatures import VerifyingKey
from keys.strict_json import JsonRefused

FORMAT = "passerelle/2/party"
MAX_BUNDLE = 65_536  # bytes; eight keys of each kind, a certificate and a ledger make about 45,000
MAX_KEYS = 8  # of each kind; an epoch, its successor, its predecessor, and room for a bad week
MAX_PINS = 8
MAX_AUTHORITIES = 4  # an authority, its successor, and room for a bad year
MAX_ENDPOINTS = 8
MAX_NAME = 200  # characters
MAX_VERSION = 2**63 - 1
PIN = 32  # bytes; SHA-256
_party = re.compile(r"[A-Z0-9-]{2,32}")
_any = re.compile(r"[^\x00-\x1f\x7f]{1,8192}")
_pem = re.compile(r"[A-Za-z0-9+/=\n -]{1,8192}")
_digest = re.compile(r"[0-9a-f]{64}")
_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_WANTED = {  # what each says, for whoever is handed a file that breaks it
    _party: "the name of a party, 2 to 32 of A-Z, 0-9 and hyphen, e.g. AUS",
    _any: "one line of 1 to 8192 characters",
    _pem: "a certificate in PEM",
    _digest: "64 hexadecimal digits in small letters",
    _time: "a time such as 2026-03-01T12:00:00.000Z",
}

_T = TypeVar("_T")


class MalformedBundle(PasserelleError):
    """A public bundle was refused; `element` is the path of what is wrong with it."""

    def __init__(self, element: str, why: str) -> None:
        super().__init__(f"{element}: {why}" if element else why)
        self.element = element


@dataclass(frozen=True, slots=True)
class BundleKey:
    """A public key and when it is valid, not_before ≤ t < not_after."""

    public: bytes = field(repr=False)
    not_before: datetime
    not_after: datetime

    def valid(self, at: datetime) -> bool:
        """Return whether the key is valid at a moment."""
        return self.not_before <= at < self.not_after


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where trust in a directory begins: the version and the SHA-256 of one file of its root role."""

    version: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyBundle:
    """What a party publishes of itself.

    version       grows with each issue; what `directory_version` in headers means
    endpoints     host:port, best first
    kem, signing  X-Wing (1,216 bytes) and composite (1,984 bytes) public keys, the one in use first
    tls_ca_pem    the authorities of its TLS leaves, PEM one after the other
    tls_pins      SHA-256 of the SubjectPublicKeyInfo of each leaf it uses
    log           its ledger: the keys that sign now, those of the past, and those that were stopped
    root          what its directory starts from; None where it publishes none
    witness       vkey that it cosigns others' checkpoints with; empty where it cosigns none
    """

    party: str
    legal_name: str
    version: int
    issue_time: datetime
    endpoints: tuple[str, ...]
    kem: tuple[BundleKey, ...] = field(repr=False)
    signing: tuple[BundleKey, ...] = field(repr=False)
    tls_ca_pem: bytes = field(repr=False)
    tls_pins: tuple[bytes, ...] = field(repr=False)
    log: LogIdentity = field(repr=False)
    root: Anchor | None = None
    witness: str = field(default="", repr=False)

    @classmethod
    def parse(cls, octets: bytes) -> PartyBundle:
        """Return the bundle that `octets` spell, or raise `MalformedBundle`."""
        return _parse(octets)

    def to_bytes(self) -> bytes:
        """Return the canonical form of this bundle: JSON in ASCII, keys sorted, no space."""
        return _spell(
            {
                "format": FORMAT,
                "party": self.party,
                "legal_name": self.legal_name,
                "version": self.version,
                "issue_time": _moment(self.issue_time),
                "endpoints": list(self.endpoints),
                "kem": [_key_json(key) for key in self.kem],
                "signing": [_key_json(key) for key in self.signing],
                "tls_ca": [pem.decode("ascii") for pem in authorities_in(self.tls_ca_pem)],
                "tls_pins": [_base64(each) for each in self.tls_pins],
                "log": {
                    "origin": self.log.origin,
                    "ed25519": self.log.ed25519_vkey,
                    "mldsa44": self.log.mldsa44_vkey,
                    "past": [
                        {"ed25519": ed25519, "mldsa44": mldsa44}
                        for ed25519, mldsa44 in self.log.past
                    ],
                    "stopped": [
                        {"ed25519": ed25519, "mldsa44": mldsa44, "until": until}
                        for ed25519, mldsa44, until in self.log.stopped
                    ],
                },
                "root": None
                if self.root is None
                else {"version": self.root.version, "sha256": self.root.sha256.hex()},
                "witness": self.witness or None,
            }
        )

    def signing_key(self, kid: bytes, at: datetime) -> VerifyingKey | None:
        """Return the key of that id if it is valid at a moment."""
        for key in self.signing:
            if key.valid(at) and _verifying(key.public).key_id == kid:
                return _verifying(key.public)
        return None

    def names(self, kid: bytes) -> bool:
        """Return whether a signing key of that id is in the bundle, valid or not."""
        return any(_verifying(key.public).key_id == kid for key in self.signing)

    def sealing_key(self, now: datetime) -> SealingKey | None:
        """Return the key to seal to: of those valid now the first, else the first that has begun.

        The first is the one in use; after it comes a successor that is only announced. An epoch whose
        successor is late stays primary (keys.md section 5). The recipient decides: what it no longer opens
        it answers with KEY_STALE.
        """
        begun = [key for key in self.kem if key.not_before <= now]
        first = max(
            begun, key=lambda key: key.valid(now), default=None
        )  # the first of the greatest
        return None if first is None else _sealing(first.public)


def fingerprint(octets: bytes) -> str:
    """Return what two people compare by telephone: eight groups of four letters and digits.

    160 bits of SHA-256 in base32. Nobody finds another bundle with the fingerprint of a given one (2¹⁶⁰);
    two bundles of one fingerprint (2⁸⁰) only their own author could prepare, who gains nothing that a
    second version would not give. Base32 has no 0, 1, 8 or 9 to mishear as O, I, B or g, and no case.
    """
    text = base64.b32encode(hashlib.sha256(octets).digest()[:20]).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


class _Object:
    """One JSON object, its members taken by name and rule; every fault is a `MalformedBundle`."""

    def __init__(self, value: object, path: str, names: str) -> None:
        if not isinstance(value, dict) or set(value) != set(names.split()):
            raise MalformedBundle(path or "bundle", f"not an object of {names}")
        self._members: dict[str, object] = value
        self._path = path

    def element(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def wrong(self, name: str, why: str) -> MalformedBundle:
        return MalformedBundle(self.element(name), why)

    def take(self, name: str) -> object:
        return self._members[name]

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        return _text(self._members[name], self.element(name), pattern)

    def number(self, name: str, most: int) -> int:
        value = self._members[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise self.wrong(name, "not a whole number from 1")
        return value

    def time(self, name: str) -> datetime:
        moment = calendar_bounds.read(self.text(name, _time))
        if moment is None:
            raise self.wrong(name, f"no such moment, or not {calendar_bounds.RULE}")
        return moment

    def each(
        self, name: str, most: int, take: Callable[[object, str], _T], *, least: int = 1
    ) -> tuple[_T, ...]:
        """Take a list of so many different members; an empty one would mostly trust nobody or all."""
        values = self._members[name]
        if not isinstance(values, list) or not least <= len(values) <= most:
            raise self.wrong(name, f"not a list of {least} to {most}")
        path = self.element(name)
        taken = tuple(take(value, f"{path}[{index}]") for index, value in enumerate(values))
        if len(set(taken)) != len(taken):
            raise self.wrong(name, "names one thing twice")
        return taken


def _parse(octets: bytes) -> PartyBundle:
    """(1) the size, (2) JSON, (3) exactly our members, each by its rule, (4) the canonical form."""
    if len(octets) > MAX_BUNDLE:
        raise MalformedBundle("", f"longer than {MAX_BUNDLE} bytes")
    try:
        tree = strict_json.read(octets, MAX_BUNDLE)
    except JsonRefused as fault:
        raise MalformedBundle("", f"not JSON in ASCII: {fault}") from None
    members = _Object(
        tree,
        "",
        "endpoints format issue_time kem legal_name log party root signing tls_ca tls_pins version witness",
    )
    if members.take("format") != FORMAT:
        raise members.wrong("format", f"not {FORMAT}")
    party = members.text("party", _party)
    bundle = PartyBundle(
        party=party,
        legal_name=_legal_name(members),
        version=members.number("version", MAX_VERSION),
        issue_time=members.time("issue_time"),
        endpoints=members.each("endpoints", MAX_ENDPOINTS, _endpoint_of),
        kem=members.each("kem", MAX_KEYS, functools.partial(_key, _sealing)),
        signing=members.each("signing", MAX_KEYS, functools.partial(_key, _verifying)),
        tls_ca_pem=b"".join(
            members.each("tls_ca", MAX_AUTHORITIES, functools.partial(_authority, party))
        ),
        tls_pins=members.each("tls_pins", MAX_PINS, _pin),
        log=_log(members.take("log")),
        root=_anchor(members.take("root")),
        witness=_witness(members, party),
    )
    # (4) JSON permits a name twice and one string be written in many ways; the fingerprint that people
    # compare is of bytes, so the bytes must leave no choice.
    if bundle.to_bytes() != octets:
        raise MalformedBundle("", "not spelt as a bundle is; take the file as it was exported")
    return bundle


def _text(value: object, path: str, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise MalformedBundle(path, f"not {_WANTED[pattern]}")
    return value


def _legal_name(members: _Object) -> str:
    """Take the name that people read: no control, no surrogate, nothing that reverses the direction of the text."""
    name = members.text("legal_name", _any)
    if len(name) > MAX_NAME or not name.isprintable():
        raise members.wrong("legal_name", f"not one line of 1 to {MAX_NAME} printable characters")
    return name


def _endpoint_of(value: object, path: str) -> str:
    text = _text(value, path, _any)
    try:
        endpoints.parse(text)
    except endpoints.MalformedEndpoint as fault:
        raise MalformedBundle(path, str(fault)) from None
    return text


def _octets(value: object, path: str) -> bytes:
    try:
        return base64.b64decode(_text(value, path, _any), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedBundle(path, "not base64") from None


def _pin(value: object, path: str) -> bytes:
    octets = _octets(value, path)
    if len(octets) != PIN:
        raise MalformedBundle(path, f"not {PIN} bytes")
    return octets


def _key(read: Callable[[bytes], object], value: object, path: str) -> BundleKey:
    members = _Object(value, path, "not_after not_before public")
    public = _octets(members.take("public"), members.element("public"))
    try:
        read(public)
    except MalformedKey:
        raise members.wrong("public", "no key of suite 1") from None
    key = BundleKey(public, members.time("not_before"), members.time("not_after"))
    if key.not_after <= key.not_before:
        raise members.wrong("not_after", "not after not_before")
    return key


def _authority(party: str, value: object, path: str) -> bytes:
    pem = _text(value, path, _pem).encode("ascii")
    try:
        demand_authority(pem, party)
    except CertificateFault as fault:
        raise MalformedBundle(path, str(fault)) from None
    return pem


def _anchor(value: object) -> Anchor | None:
    if value is None:
        return None
    members = _Object(value, "root", "sha256 version")
    digest = members.text("sha256", _digest)
    return Anchor(members.number("version", MAX_VERSION), bytes.fromhex(digest))


def _witness(members: _Object, party: str) -> str:
    """Return the vkey of a witness that bears the party's name, or nothing."""
    if members.take("witness") is None:
        return ""
    vkey = members.text("witness", _any)
    try:
        key = VerifierKey.parse(vkey)
    except NoteRefused as fault:
        raise members.wrong("witness", str(fault)) from None
    if key.type is not KeyType.MLDSA44 or key.name != witness_name(party):
        raise members.wrong("witness", f"not an ML-DSA-44 key of the name {witness_name(party)}")
    return vkey


def dropped(held: PartyBundle, new: PartyBundle) -> str:
    """Return what of the ledger that we hold of a party its newer entry no longer vouches for, or nothing.

    Every ledger pair that signs must stay named: as the pair in use, beside it, or among those that were stopped,
    and then not from a moment before the entry that we hold was issued, which named it as in use. A pair that was
    stopped stays so; the oldest leaves only a full list. All else in an entry is about today and may be replaced.
    """
    before, after = held.log, new.log
    if before.origin != after.origin:
        return "names another ledger"
    signing = {after.vkeys, *after.past}
    ended = {(ed25519, mldsa44): until for ed25519, mldsa44, until in after.stopped}
    gone = {(ed25519, mldsa44) for ed25519, mldsa44, _ in before.stopped}
    for pair in (before.vkeys, *before.past):
        if pair not in signing and pair not in ended:
            return "drops a ledger pair that we know"
        if pair not in signing and ended[pair] < held.issue_time.timestamp():
            return "no longer accepts what a ledger key pair that we know signed before"
    if gone & signing:
        return "signs again with a ledger pair that was stopped"
    if gone - ended.keys() and len(after.stopped) < MAX_KEYS:
        return "drops a ledger pair that was stopped"
    return ""


def witness_name(party: str) -> str:
    """Return the name under which a party cosigns."""
    return f"passerelle/{party}/witness"


def _past_log(value: object, path: str) -> tuple[str, str]:
    members = _Object(value, path, "ed25519 mldsa44")
    return members.text("ed25519", _any), members.text("mldsa44", _any)


def _stopped_log(value: object, path: str) -> tuple[str, str, int]:
    members = _Object(value, path, "ed25519 mldsa44 until")
    pair = members.text("ed25519", _any), members.text("mldsa44", _any)
    return *pair, members.number("until", MAX_VERSION)


def _log(value: object) -> LogIdentity:
    members = _Object(value, "log", "ed25519 mldsa44 origin past stopped")
    origin, ed25519, mldsa44 = (
        members.text(name, _any) for name in ("origin", "ed25519", "mldsa44")
    )
    past = members.each("past", MAX_KEYS, _past_log, least=0)
    stopped = members.each("stopped", MAX_KEYS, _stopped_log, least=0)
    try:
        return LogIdentity(origin, ed25519, mldsa44, past, stopped)
    except NoteRefused:
        raise MalformedBundle("log", "not the keys of one ledger") from None


def _spell(tree: object) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _key_json(key: BundleKey) -> dict[str, str]:
    return {
        "public": _base64(key.public),
        "not_before": _moment(key.not_before),
        "not_after": _moment(key.not_after),
    }


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _moment(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


@functools.lru_cache(maxsize=256)
def _verifying(public: bytes) -> VerifyingKey:
    return VerifyingKey(public)


@functools.lru_cache(maxsize=256)
def _sealing(public: bytes) -> SealingKey:
    return SealingKey(public)
