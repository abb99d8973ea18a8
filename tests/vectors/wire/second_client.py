"""A second client, written from docs/wire-format.md alone: it imports nothing of Passerelle.

It keeps proving that the page is enough. What it needs beside the standard library is `cryptography` for the
primitives and `grpcio` for the transport; protobuf is written and read by hand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Section 1
KID_LABEL = b"passerelle/1/kid"
COMMIT_LABEL = b"passerelle/1/commit"
HPKE_LABEL = b"passerelle/1/hpke"
TRANSCRIPT_LABEL = b"passerelle/1/env"
REQUEST_CONTEXT = b"passerelle/1/request"
RESPONSE_CONTEXT = b"passerelle/1/response"
COMPOSITE_PREFIX = b"CompositeAlgorithmSignatures2025"
COMPOSITE_LABEL = b"COMPSIG-MLDSA65-Ed25519-SHA512"
SIZE_CLASSES = (4096, 65536, 262144, 2097152)
SMALLEST_QUERY = 65536
SKEW_MS = 120_000
XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")


class Disbelieved(Exception):
    """An answer failed a check of section 8."""


def pae(*parts: bytes) -> bytes:
    return len(parts).to_bytes(4, "big") + b"".join(
        len(part).to_bytes(8, "big") + part for part in parts
    )


def key_id(public: bytes) -> bytes:
    return hashlib.sha256(pae(KID_LABEL, (1).to_bytes(4, "big"), public)).digest()


# Section 5: protobuf by hand

Value = int | bytes | str | Sequence[int]


def varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def message(fields: Iterable[tuple[int, Value | None]]) -> bytes:
    """Write fields in ascending order; None and defaults are left out."""
    octets = b""
    for number, value in fields:
        if isinstance(value, int):
            octets += varint(number << 3) + varint(value) if value else b""
        elif value:
            inner = _inner(value)
            octets += varint(number << 3 | 2) + varint(len(inner)) + inner
    return octets


def _inner(value: bytes | str | Sequence[int]) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else b"".join(map(varint, value))


def fields(octets: bytes) -> dict[int, list[Any]]:
    """Read fields by number: whole numbers, or bytes."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(octets):
        tag, at = _number(octets, at)
        value: int | bytes
        value, at = _number(octets, at)
        if tag & 7 == 2:
            length = int(value)
            value, at = octets[at : at + length], at + length
        elif tag & 7:
            raise Disbelieved("a wire type that no message has")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(octets: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = octets[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def timestamp(milliseconds: int) -> bytes:
    seconds, rest = divmod(milliseconds, 1000)
    return message([(1, seconds), (2, rest * 1_000_000)])


def milliseconds_of(octets: bytes) -> int:
    stamp = fields(octets)
    return int(stamp.get(1, [0])[0]) * 1000 + int(stamp.get(2, [0])[0]) // 1_000_000


# Section 3


@dataclass(frozen=True)
class KemPair:
    seed: bytes

    @property
    def _halves(self) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
        stretched = hashlib.shake_256(self.seed).digest(96)
        return (
            mlkem.MLKEM768PrivateKey.from_seed_bytes(stretched[:64]),
            x25519.X25519PrivateKey.from_private_bytes(stretched[64:]),
        )

    @property
    def public(self) -> bytes:
        lattice, curve = self._halves
        return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def decapsulate(self, encapsulation: bytes) -> bytes:
        lattice, curve = self._halves
        point = encapsulation[1088:]
        return xwing(
            lattice.decapsulate(encapsulation[:1088]),
            curve.exchange(x25519.X25519PublicKey.from_public_bytes(point)),
            point,
            self.public[1184:],
        )


def xwing(lattice: bytes, curve: bytes, point: bytes, public: bytes) -> bytes:
    return hashlib.sha3_256(lattice + curve + point + public + XWING_LABEL).digest()


def encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """Return shared secret and encapsulation."""
    secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    own = x25519.X25519PrivateKey.generate()
    point = own.public_key().public_bytes_raw()
    shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(public[1184:]))
    return xwing(secret, shared, point, public[1184:]), ciphertext + point


SUITE = b"HPKE" + bytes.fromhex("647a00010002")


def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
    mac = hmac.HMAC(salt or bytes(32), hashes.SHA256())
    mac.update(b"HPKE-v1" + SUITE + label + ikm)
    return mac.finalize()


def expand(prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + info
    return HKDFExpand(hashes.SHA256(), length, labelled).derive(prk)


def key_schedule(shared: bytes, info: bytes) -> dict[str, bytes]:
    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return {
        "key_schedule_context": context,
        "secret": secret,
        "key": expand(secret, b"key", context, 32),
        "base_nonce": expand(secret, b"base_nonce", context, 12),
    }


def hpke_seal(shared: bytes, encapsulation: bytes, info: bytes, plaintext: bytes) -> bytes:
    keys = key_schedule(shared, info)
    return encapsulation + AESGCM(keys["key"]).encrypt(keys["base_nonce"], plaintext, None)


def hpke_open(pair: KemPair, info: bytes, sealed: bytes) -> bytes:
    keys = key_schedule(pair.decapsulate(sealed[:1120]), info)
    return AESGCM(keys["key"]).decrypt(keys["base_nonce"], sealed[1120:], None)


@dataclass(frozen=True)
class SigningPair:
    seed: bytes

    @property
    def _halves(self) -> tuple[mldsa.MLDSA65PrivateKey, ed25519.Ed25519PrivateKey]:
        return (
            mldsa.MLDSA65PrivateKey.from_seed_bytes(self.seed[:32]),
            ed25519.Ed25519PrivateKey.from_private_bytes(self.seed[32:]),
        )

    @property
    def public(self) -> bytes:
        lattice, curve = self._halves
        return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def sign(self, text: bytes, context: bytes) -> bytes:
        lattice, curve = self._halves
        signed = representative(text, context)
        return lattice.sign(signed, COMPOSITE_LABEL) + curve.sign(signed)


def representative(text: bytes, context: bytes) -> bytes:
    prefix = COMPOSITE_PREFIX + COMPOSITE_LABEL + bytes([len(context)]) + context
    return prefix + hashlib.sha512(text).digest()


def verify(public: bytes, signature: bytes, text: bytes, context: bytes) -> None:
    """Raise InvalidSignature unless both halves verify."""
    signed = representative(text, context)
    curve = ed25519.Ed25519PublicKey.from_public_bytes(public[1952:])
    curve.verify(signature[3309:], signed)
    lattice = mldsa.MLDSA65PublicKey.from_public_bytes(public[:1952])
    lattice.verify(signature[:3309], signed, COMPOSITE_LABEL)


# Section 4


def padded(payload: bytes, at_least: int = 0) -> bytes:
    whole = len(payload).to_bytes(4, "big") + payload
    size = next(each for each in SIZE_CLASSES if each >= max(len(whole), at_least))
    return whole.ljust(size, b"\0")


def commitment(salt: bytes, octets: bytes) -> bytes:
    return hashlib.sha256(pae(COMMIT_LABEL, salt, octets)).digest()


def transcript(header: bytes, sealed: bytes) -> bytes:
    return pae(TRANSCRIPT_LABEL, header, sealed)


def unsealed(pair: KemPair, header: bytes, sealed: bytes) -> bytes:
    """Return the payload; HPKE, commitment, length and zeros all hold."""
    plaintext = hpke_open(pair, pae(HPKE_LABEL, header), sealed)
    salt, octets = plaintext[:32], plaintext[32:]
    if commitment(salt, octets) != fields(header)[20][0]:
        raise Disbelieved("commitment")
    end = 4 + int.from_bytes(octets[:4], "big")
    if end > len(octets) or any(octets[end:]):
        raise Disbelieved("padding")
    return octets[4:end]


# Section 7

HEADER = (
    *("format", "suite", "message_type", "operation", "sender_id", "sender_signing_key_id"),
    *("recipient_id", "recipient_kem_key_id", "message_id", "create_time", "expire_time"),
    *("directory_version", "transaction_number", "transaction_reference", "agreement_id"),
    *("agreement_version", "purpose", "service_level", "in_reply_to", "payload_commitment"),
)
OPERATIONS = (
    *("GET_CAPABILITIES", "SUBMIT_QUERY", "GET_QUERY_STATE", "REDELIVER_RESULT"),
    *("REQUEST_HIT_DETAILS", "SUBMIT_CORRECTION", "ACK_CORRECTION", "GET_QUOTA"),
)
OUTCOMES = ("", "NO_MATCH", "MATCH", "REVIEW_PENDING", "QUALITY_INSUFFICIENT", "REFUSED")


def header_bytes(values: Mapping[str, Any]) -> bytes:
    said = {"format": 1, "suite": 1, "service_level": 1, **values}
    for name in ("create_time", "expire_time"):
        said[name] = timestamp(said[name])
    return message((number, said.get(name)) for number, name in enumerate(HEADER, 1))


def header_values(octets: bytes) -> dict[str, Any]:
    found = fields(octets)
    values = {HEADER[number - 1]: each[0] for number, each in found.items()}
    for name in ("create_time", "expire_time"):
        values[name] = milliseconds_of(values[name])
    for name in ("sender_id", "recipient_id", *HEADER[12:15]):
        values[name] = values.get(name, b"").decode()
    return values


# Section 8


def leaf_values(leaf: bytes) -> dict[int, Any]:
    length = int.from_bytes(leaf[:2], "big")
    if len(leaf) != 512 or any(leaf[2 + length :]):
        raise Disbelieved("leaf")
    return {number: each[0] for number, each in fields(leaf[2 : 2 + length]).items()}


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root_by_inclusion(leaf: bytes, index: int, size: int, hashes_: Sequence[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        raise Disbelieved("index")
    at, last, node = index, size - 1, leaf
    for each in hashes_:
        if last == 0:
            raise Disbelieved("proof")
        if at & 1 or at == last:
            node = node_hash(each, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, each)
        at, last = at >> 1, last >> 1
    if last:
        raise Disbelieved("proof")
    return node


def demand_grown(old: tuple[int, bytes], new: tuple[int, bytes], hashes_: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2, of size and root; raise unless the old tree is the beginning of the new one."""
    (first, first_root), (second, second_root) = old, new
    if first == second and first_root == second_root and not hashes_:
        return
    if not 0 < first < second or not hashes_:
        raise Disbelieved("sizes")
    path = list(hashes_) if first & (first - 1) else [first_root, *hashes_]
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    older = newer = path[0]
    for each in path[1:]:
        if last == 0:
            raise Disbelieved("proof")
        if at & 1 or at == last:
            older, newer = node_hash(each, older), node_hash(each, newer)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            newer = node_hash(newer, each)
        at, last = at >> 1, last >> 1
    if last or (older, newer) != (first_root, second_root):
        raise Disbelieved("the ledger did not only grow")


@dataclass(frozen=True)
class Vkey:
    name: str
    id: bytes
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Vkey:
        name, stated, encoded = text.split("+", 2)
        typed = base64.b64decode(encoded)
        own = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
        if own.hex() != stated:
            raise Disbelieved("vkey")
        return cls(name, own, typed[0], typed[1:])


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    seconds: int


def open_checkpoint(note: bytes, ed: Vkey, ml: Vkey) -> Checkpoint:
    """Return what both of the log's keys have signed."""
    text, _, below = note.decode().rpartition("\n\n")
    text += "\n"
    origin, size, root = text.splitlines()
    lines = {}
    for line in below.splitlines():
        dash, name, encoded = line.split(" ")
        signed = base64.b64decode(encoded)
        if dash != "—":
            raise Disbelieved("note")
        lines[name, signed[:4]] = signed[4:]
    if {ed.name, ml.name} != {origin} or (ed.kind, ml.kind) != (1, 6):
        raise Disbelieved("origin")
    curve = ed25519.Ed25519PublicKey.from_public_bytes(ed.public)
    curve.verify(lines[origin, ed.id], text.encode())
    stamp, signature = lines[origin, ml.id][:8], lines[origin, ml.id][8:]
    checkpoint = Checkpoint(origin, int(size), base64.b64decode(root), int.from_bytes(stamp, "big"))
    lattice = mldsa.MLDSA44PublicKey.from_public_bytes(ml.public)
    lattice.verify(signature, subtree(ml.name, stamp, checkpoint))
    return checkpoint


def subtree(name: str, stamp: bytes, checkpoint: Checkpoint) -> bytes:
    named, origin = name.encode(), checkpoint.origin.encode()
    bounds = bytes(8) + checkpoint.size.to_bytes(8, "big")
    prefix = b"subtree/v1\n\0" + bytes([len(named)]) + named
    return prefix + stamp + bytes([len(origin)]) + origin + bounds + checkpoint.root


def open_proof(text: bytes) -> tuple[int, list[bytes], bytes]:
    head, _, note = text.partition(b"\n\n")
    title, index, *lines = head.decode().split("\n")
    if title != "c2sp.org/tlog-proof@v1" or not index.startswith("index "):
        raise Disbelieved("proof")
    return int(index[6:]), [base64.b64decode(line) for line in lines], note


# Section 9


def fingerprint(file: bytes) -> str:
    text = base64.b32encode(hashlib.sha256(file).digest()[:20]).decode()
    return " ".join(text[at : at + 4] for at in range(0, 32, 4))


def moment(text: str) -> int:
    """Return milliseconds since 1970."""
    whole, millis = text.removesuffix("Z").split(".")
    return int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()) * 1000 + int(millis)


class Bundle:
    """What the other party publishes."""

    def __init__(self, file: bytes) -> None:
        self.values = json.loads(file)
        self.party, self.version = self.values["party"], self.values["version"]

    def kem(self, now: int) -> bytes:
        begun = [each for each in self.values["kem"] if moment(each["not_before"]) <= now]
        valid = [each for each in begun if now < moment(each["not_after"])]
        return base64.b64decode((valid or begun)[0]["public"])

    def signing(self, wanted: bytes, at: int) -> bytes:
        for each in self.values["signing"]:
            public = base64.b64decode(each["public"])
            valid = moment(each["not_before"]) <= at < moment(each["not_after"])
            if valid and key_id(public) == wanted:
                return public
        raise Disbelieved("signing key")

    def checkpoint(self, note: bytes) -> Checkpoint:
        log = self.values["log"]
        return open_checkpoint(note, Vkey.parse(log["ed25519"]), Vkey.parse(log["mldsa44"]))


def vkey(name: str, kind: int, public: bytes) -> str:
    typed = bytes([kind]) + public
    own = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
    return f"{name}+{own.hex()}+{base64.b64encode(typed).decode()}"


def publish(
    party: str,
    endpoint: str,
    *,
    kem: KemPair,
    signing: SigningPair,
    tls: Tls,
    log: tuple[str, str, str],
) -> bytes:
    """Return a party's own bundle file; `log` is origin and two vkeys."""

    def valid(public: bytes) -> list[dict[str, str]]:
        text = base64.b64encode(public).decode()
        return [{"public": text, "not_before": start, "not_after": end}]

    now = datetime.now(UTC)
    start, end = (
        f"{each:%Y-%m-%dT%H:%M:%S}.000Z" for each in (now - timedelta(days=1), now + timedelta(30))
    )
    values = {
        "format": "passerelle/2/party",
        "party": party,
        "legal_name": f"{party}, by another maker",
        "version": int(now.timestamp()),
        "issue_time": start,
        "endpoints": [endpoint],
        "kem": valid(kem.public),
        "signing": valid(signing.public),
        "tls_ca": [tls.authority.decode()],
        "tls_pins": [base64.b64encode(tls.pin).decode()],
        "log": {"origin": log[0], "ed25519": log[1], "mldsa44": log[2], "past": [], "stopped": []},
        "root": None,
        "witness": None,
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Tls:
    """An authority and a leaf, PEM, as sections 2 and 9 want them."""

    authority: bytes
    leaf: bytes
    key: bytes
    pin: bytes

    @classmethod
    def made(cls, party: str) -> Tls:
        authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        now = datetime.now(UTC).replace(microsecond=0)
        name, issuer = (
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
            for text in (party, f"{party} authority")
        )

        def draft(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
            return x509.CertificateBuilder(
                issuer,
                subject,
                public,
                x509.random_serial_number(),
                now - timedelta(hours=1),
                now + timedelta(days=30),
            ).add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)

        root = (
            draft(issuer, authority.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .sign(authority, hashes.SHA256())
        )
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        uri = x509.UniformResourceIdentifier(f"passerelle:party:{party}")
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        leaf = (
            draft(name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .add_extension(issued_by, critical=False)
            .sign(authority, hashes.SHA256())
        )
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem = (each.public_bytes(Encoding.PEM) for each in (root, leaf))
        return cls(*pem, private, hashlib.sha256(spki).digest())


def _usage(*, certificates: bool) -> x509.KeyUsage:
    signs = not certificates
    return x509.KeyUsage(
        signs, False, False, False, False, certificates, certificates, False, False
    )


# Sections 2, 4 and 8 together


@dataclass(frozen=True)
class Question:
    """An envelope, and what its answer is held against."""

    values: Mapping[str, Any]
    header: bytes
    sealed: bytes
    signature: bytes
    reply: KemPair

    @property
    def envelope(self) -> bytes:
        return message([(1, self.header), (2, self.sealed), (3, self.signature)])

    @property
    def hash(self) -> bytes:
        return hashlib.sha256(transcript(self.header, self.sealed)).digest()


def compose(
    values: Mapping[str, Any],
    payload: Callable[[bytes], bytes],
    *,
    signer: SigningPair,
    recipient: bytes,
    at_least: int = 0,
) -> Question:
    reply = KemPair(secrets.token_bytes(32))
    salt, octets = secrets.token_bytes(32), padded(payload(reply.public), at_least)
    said = {
        **values,
        "message_type": 1,
        "sender_signing_key_id": key_id(signer.public),
        "recipient_kem_key_id": key_id(recipient),
        "payload_commitment": commitment(salt, octets),
    }
    header = header_bytes(said)
    shared, encapsulation = encapsulate(recipient)
    sealed = hpke_seal(shared, encapsulation, pae(HPKE_LABEL, header), salt + octets)
    signature = signer.sign(transcript(header, sealed), REQUEST_CONTEXT)
    return Question(said, header, sealed, signature, reply)


@dataclass(frozen=True)
class Believed:
    """An answer that passed every check: its payload, and the checkpoint that its receipt stands on, to be kept."""

    payload: bytes
    checkpoint: Checkpoint


def believe(question: Question, response: bytes, peer: Bundle, now: int) -> Believed:
    """Return an answer that passed the checks of section 8 but the sixth, which needs a call, or raise."""
    parts = fields(response)
    envelope, receipt = fields(parts[1][0]), fields(parts[2][0])  # 1
    octets, sealed, signature = (envelope[number][0] for number in (1, 2, 3))
    header, asked = header_values(octets), question.values
    expected = {  # 2, 3
        "message_type": 2,
        "operation": asked["operation"],
        "sender_id": peer.party,
        "recipient_id": asked["sender_id"],
        "recipient_kem_key_id": key_id(question.reply.public),
        "message_id": asked["message_id"],
        "in_reply_to": question.hash,
        "transaction_reference": asked.get("transaction_number")
        or asked.get("transaction_reference", ""),
    }
    for name, value in expected.items():
        if header[name] != value:
            raise Disbelieved(name)
    if header["create_time"] > now + SKEW_MS:
        raise Disbelieved("create_time")
    public = peer.signing(header["sender_signing_key_id"], header["create_time"])  # 4
    text = transcript(octets, sealed)
    verify(public, signature, text, RESPONSE_CONTEXT)
    leaf, proof = receipt[1][0], receipt[2][0]  # 5
    said = leaf_values(leaf)
    stated = {
        1: 1,
        2: 2,
        4: asked["sender_id"].encode(),
        5: 1,
        6: asked["message_id"],
        7: hashlib.sha256(text).digest(),
        8: str(asked.get("transaction_number", "")).encode(),
        9: header["sender_signing_key_id"],
        10: header["recipient_kem_key_id"],
        11: header["directory_version"],
        12: str(asked.get("agreement_id", "")).encode(),
        13: asked.get("agreement_version", 0),
        15: 3,
        17: OPERATIONS[asked["operation"] - 1].encode(),
    }
    for number, value in stated.items():
        if said.get(number, type(value)()) != value:
            raise Disbelieved(f"leaf field {number}")
    if not asked["create_time"] - SKEW_MS <= said[3] <= now + SKEW_MS:
        raise Disbelieved("leaf time")
    index, hashes_, note = open_proof(proof)
    checkpoint = peer.checkpoint(note)
    if not said[3] // 1000 <= checkpoint.seconds <= (now + SKEW_MS) // 1000:
        raise Disbelieved("checkpoint time")
    if root_by_inclusion(leaf_hash(leaf), index, checkpoint.size, hashes_) != checkpoint.root:
        raise Disbelieved("root")
    return Believed(unsealed(question.reply, octets, sealed), checkpoint)  # 7


def query_payload(reply: bytes, samples: Sequence[Mapping[str, Any]]) -> bytes:
    written = [
        message(
            [
                *((1, 1), (2, each["position"]), (8, 1), (11, each["format"])),
                *((12, each["extractor"]), (13, each["data"])),
                (14, hashlib.sha256(each["data"]).digest()),
            ]
        )
        for each in samples
    ]
    probe = message((1, each) for each in written)
    flags = b"\x2a\x00"  # 5, an empty message: nothing is claimed
    pseudonyms = [(2, "C-2"), (3, "U-2"), (4, "O-2")]
    return message([(1, reply), *pseudonyms]) + flags + message([(6, probe)])


def reply_payload(reply: bytes) -> bytes:
    return message([(1, reply)])


FIELD_CODES = (
    *("", "LAST_NAME", "FIRST_NAME", "DATE_OF_BIRTH", "GENDER", "COUNTRY_OF_BIRTH", "ALIAS"),
    *("CITIZENSHIP", "TRAVEL_DOCUMENT_NUMBER", "PHOTOGRAPH", "FINGERPRINTS"),
)
DETAILS_OUTCOMES = ("", "DISCLOSED", "UNAVAILABLE")
SCOPES = ("", "ALL", "PART")
GROUNDS = (
    *("", "DOMESTIC_LAW", "SOVEREIGNTY", "NATIONAL_SECURITY", "PUBLIC_POLICY"),
    "OTHER_NATIONAL_INTEREST",
)


def details_payload(reply: bytes, reference: bytes, wanted: Sequence[str]) -> bytes:
    codes = sorted(map(FIELD_CODES.index, wanted))
    return message([(1, reply), (2, reference), (3, codes), (4, "C-2"), (5, "U-2"), (6, "O-2")])


@dataclass(frozen=True)
class Details:
    """What an answer with details says; `fields` by name: value, medium and paragraph."""

    outcome: str
    fields: Mapping[str, tuple[bytes, str, str]]
    withheld: tuple[str, str] | None


def details_of(payload: bytes) -> Details:
    said = fields(payload)
    disclosed = [fields(each) for each in said.get(2, [])]
    codes = [each[1][0] for each in disclosed]
    outcome = DETAILS_OUTCOMES[said[1][0]]
    if codes != sorted(set(codes)) or (outcome == "UNAVAILABLE" and len(said) > 1):
        raise Disbelieved("details")
    told = {
        FIELD_CODES[each[1][0]]: (each[2][0], each[3][0].decode(), each[4][0].decode())
        for each in disclosed
    }
    return Details(outcome, told, withheld(said.get(3)))


def withheld(octets: Sequence[bytes] | None) -> tuple[str, str] | None:
    """Return scope and ground of a refusal that an answer states."""
    if not octets:
        return None
    said = fields(octets[0])
    return SCOPES[said[1][0]], GROUNDS[said[2][0]]


def ledger(channel: grpc.Channel, method: str, request: bytes, deadline: float) -> dict[int, Any]:
    """Call the service of the ledger; its messages are plain."""
    sent: Any = channel.unary_unary(f"/gateway.v1.LedgerService/{method}")
    return fields(bytes(sent(request, timeout=deadline)))


def demand_included(
    channel: grpc.Channel, leaf: bytes, checkpoint: Checkpoint, deadline: float
) -> None:
    """Raise unless a leaf of that hash is in the tree of a checkpoint."""
    request = message([(1, leaf), (2, checkpoint.size)])
    told = ledger(channel, "GetInclusionProof", request, deadline)
    index = told.get(1, [0])[0]
    if root_by_inclusion(leaf, index, checkpoint.size, told.get(2, [])) != checkpoint.root:
        raise Disbelieved("root")


def demand_only_grown(
    channel: grpc.Channel, kept: Checkpoint, later: Checkpoint, deadline: float
) -> None:
    """Raise unless the tree of a kept checkpoint is the beginning of a later one's (step 6)."""
    hashes_: list[bytes] = []
    if kept.size != later.size:
        request = message([(1, kept.size), (2, later.size)])
        hashes_ = ledger(channel, "GetConsistencyProof", request, deadline).get(1, [])
    demand_grown((kept.size, kept.root), (later.size, later.root), hashes_)


def call(channel: grpc.Channel, method: str, question: Question, deadline: float) -> bytes:
    """Send an envelope and return the bytes of its response; raises grpc.RpcError."""
    sent: Any = channel.unary_unary(f"/gateway.v1.ExchangeService/{method}")
    return bytes(sent(message([(1, question.envelope)]), timeout=deadline))


def reason(error: grpc.RpcError) -> tuple[str, dict[str, str]]:
    """Return reason and metadata of a refusal (section 10)."""
    trailers = dict(error.trailing_metadata() or ())
    status = fields(trailers["grpc-status-details-bin"])
    for detail in status[3]:
        kind, value = (fields(detail)[number][0] for number in (1, 2))
        if kind == b"type.googleapis.com/google.rpc.ErrorInfo":
            info = fields(value)
            pairs = [fields(each) for each in info.get(3, [])]
            metadata = {pair[1][0].decode(): pair[2][0].decode() for pair in pairs}
            return info[1][0].decode(), metadata
    raise Disbelieved("a refusal without a reason")
