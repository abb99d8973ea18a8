"""Makes exchange.json: one whole exchange with each step's bytes. `python -m tests.vectors.wire.generate`

Seeds, salts, identifiers and times are fixed. What the library draws by itself and cannot be told, the encapsulation,
the hedged ML-DSA half of a signature and a certificate, is drawn once and read back from the file afterwards; everything else is
computed anew from it, so that two runs make the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.messages import (
    Direction,
    Header,
    MessageType,
    Operation,
    Outcome,
    PriorTransaction,
    Purpose,
    Query,
    Result,
    ServiceLevel,
)
from gateway.errors import Refusal
from gateway.ledger import entry, merkle, proof, signed_note
from gateway.trust.bundle import BundleKey, PartyBundle, fingerprint
from gateway.wire import query_payload, signed_envelope
from keys import certificates, envelope, signatures
from keys.pae import pae
from tests.vectors.wire import second_client

FILE = Path(__file__).with_name("exchange.json")
T0 = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ORIGIN = "can.example/exchange-log"
SALTS = {"query": bytes(range(32)), "answer": bytes(range(32, 64))}


def seed(name: str, length: int) -> bytes:
    """Return the fixed seed of a key; it is public and protects nothing."""
    return hashlib.shake_256(b"passerelle test vector " + name.encode()).digest(length)


KEMS = {each: envelope.OpeningKey.from_seed(seed(f"{each} kem", 32)) for each in ("CAN", "reply")}
SIGNERS = {
    each: signatures.SigningKey.from_seed(seed(f"{each} signing", 64)) for each in ("AUS", "CAN")
}
LOG = signatures.LogKey.from_seed(seed("CAN log", 64))


class Draws:
    """What cannot be told to the library; kept from the last run."""

    def __init__(self, kept: dict[str, str]) -> None:
        self.kept = kept

    def sealed(self, name: str, plaintext: bytes, info: bytes, key: str) -> dict[str, Any]:
        """Seal with a kept encapsulation; return every step."""
        recipient, drawn = KEMS[key], self.kept.get(f"{name} encapsulation")
        if drawn is None:
            fresh = envelope.SealingKey(recipient.public).encrypt(b"", b"")
            drawn = self.kept[f"{name} encapsulation"] = fresh[:1120].hex()
        encapsulation = bytes.fromhex(drawn)
        pair = second_client.KemPair(seed(f"{key} kem", 32))
        shared = pair.decapsulate(encapsulation)
        steps = second_client.key_schedule(shared, info)
        sealed = encapsulation + AESGCM(steps["key"]).encrypt(steps["base_nonce"], plaintext, None)
        if recipient.decrypt(sealed, info) != plaintext:  # the library agrees with the schedule
            raise AssertionError
        return {"info": info, "shared_secret": shared, **steps, "sealed": sealed}

    def signature(self, name: str, signer: str, text: bytes, context: bytes) -> bytes:
        """Return the kept signature where it verifies, a fresh one otherwise."""
        key, kept = SIGNERS[signer], self.kept.get(f"{name} signature")
        public = signatures.VerifyingKey(key.public)
        if kept is not None:
            public.verify(bytes.fromhex(kept), text, context)
            return bytes.fromhex(kept)
        made = key.sign(text, context)
        self.kept[f"{name} signature"] = made.hex()
        return made


def header(**more: Any) -> Header:
    fields: dict[str, Any] = {
        "message_type": MessageType.REQUEST,
        "operation": Operation.SUBMIT_QUERY,
        "sender": "AUS",
        "signing_key_id": SIGNERS["AUS"].key_id,
        "recipient": "CAN",
        "kem_key_id": KEMS["CAN"].key_id,
        "message_id": bytes(range(16)),
        "create_time": T0,
        "expire_time": T0 + timedelta(minutes=5),
        "directory_version": 3,
        "transaction_number": "20260301-000102030405",
        "agreement_id": "au",
        "agreement_version": 1,
        "purpose": Purpose.VISA_PERMIT_BENEFIT,
        "service_level": ServiceLevel.REAL_TIME,
        "payload_commitment": bytes(32),  # replaced once it is known
    }
    return Header(**{**fields, **more})


def compose(
    draws: Draws, name: str, payload: bytes, made: Header, *, at_least: int, key: str
) -> dict[str, Any]:
    """Return each step from the payload to the envelope."""
    packed = envelope.pack(payload, at_least, salt=SALTS[name])
    made = replace(made, payload_commitment=packed.commitment)
    octets = signed_envelope.header_bytes(made)
    steps = draws.sealed(name, packed.salt + packed.padded, pae(envelope.HPKE_LABEL, octets), key)
    sealed = steps.pop("sealed")
    text = envelope.transcript(octets, sealed)
    context = (
        signatures.REQUEST if made.message_type is MessageType.REQUEST else signatures.RESPONSE
    )
    signer = made.sender
    signature = draws.signature(name, signer, text, context)
    return {
        "payload": payload,
        "salt": packed.salt,
        "padded_size": len(packed.padded),
        "padded_sha256": hashlib.sha256(packed.padded).digest(),
        "commitment": packed.commitment,
        "header": octets,
        "hpke": steps,
        "encapsulation": sealed[:1120],
        "sealed_size": len(sealed),
        "sealed_sha256": hashlib.sha256(sealed).digest(),
        "transcript_hash": hashlib.sha256(text).digest(),
        "context": context.decode(),
        "representative": signatures.representative(text, context),
        "signature": signature,
    }


def exchange(draws: Draws) -> dict[str, Any]:
    """Return the whole file as values."""
    query = Query(
        case="C-2026-17",
        unit="U-4",
        person="O-88",
        reply_key=KEMS["reply"].public,
        probe=PriorTransaction("CAN-20260110-0001"),
    )
    asked = compose(
        draws,
        "query",
        query_payload.query_bytes(query),
        header(),
        at_least=envelope.SMALLEST_REQUEST_QUERY,
        key="CAN",
    )
    result = Result(
        outcome=Outcome.NO_MATCH, decide_time=T0 + timedelta(seconds=1), request_leaf_hash=bytes(32)
    )
    moment = datetime(2026, 3, 1, 12, 0, 2, tzinfo=UTC)
    replied = header(
        message_type=MessageType.RESPONSE,
        sender="CAN",
        signing_key_id=SIGNERS["CAN"].key_id,
        recipient="AUS",
        kem_key_id=KEMS["reply"].key_id,
        create_time=moment,
        expire_time=moment + timedelta(minutes=10),
        directory_version=5,
        transaction_number="",
        transaction_reference="20260301-000102030405",
        in_reply_to=asked["transcript_hash"],
    )
    answered = compose(
        draws, "answer", query_payload.result_bytes(result), replied, at_least=0, key="reply"
    )
    return {
        "keys": keys(),
        "query": asked,
        "answer": answered,
        "receipt": receipt(draws, answered["transcript_hash"]),
        "bundle": bundle(draws),
        "rejections": rejections(asked),
    }


def keys() -> dict[str, Any]:
    kems = {
        name: {"seed": seed(f"{name} kem", 32), "public": each.public, "key_id": each.key_id}
        for name, each in KEMS.items()
    }
    signing = {
        name: {"seed": seed(f"{name} signing", 64), "public": each.public, "key_id": each.key_id}
        for name, each in SIGNERS.items()
    }
    return {"kem": kems, "signing": signing}


def receipt(draws: Draws, transcript: bytes) -> dict[str, Any]:
    """Return the answer's leaf as the third of five in the answering party's ledger, and its proof."""
    frame = entry.Frame(
        type=entry.EntryType.RESPONSE,
        entry_class=entry.EntryClass.ANSWERED,
        time=T0 + timedelta(seconds=2),
        partner_id="AUS",
        direction=Direction.INBOUND,
        message_id=bytes(range(16)),
        transcript=transcript,
        transaction_number="20260301-000102030405",
        signing_key_id=SIGNERS["CAN"].key_id,
        kem_key_id=KEMS["reply"].key_id,
        directory_version=5,
        agreement_id="au",
        agreement_version=1,
        subject_reference="SUBMIT_QUERY",
    )
    leaf = entry.encode(frame)
    others = [merkle.leaf_hash(bytes([each])) for each in range(4)]
    hashes = [*others[:2], merkle.leaf_hash(leaf), *others[2:]]
    nodes = {(0, index): each for index, each in enumerate(hashes)}
    for level in (1, 2):
        for number in range(5 >> level):
            below = nodes[level - 1, 2 * number], nodes[level - 1, 2 * number + 1]
            nodes[level, number] = merkle.node_hash(*below)
    path = merkle.inclusion_proof(2, 5, lambda level, number: nodes[level, number])
    root = merkle.root_at(5, lambda level, number: nodes[level, number])
    kept = draws.kept.get("checkpoint")
    identity = proof.LogIdentity.from_log_key(ORIGIN, LOG)
    if kept is None:
        signed = signed_note.sign_checkpoint(
            signed_note.Checkpoint(ORIGIN, 5, root), LOG, T0 + timedelta(seconds=3)
        )
        kept = draws.kept["checkpoint"] = signed.decode()
    if identity.open(kept.encode()).root != root:
        raise AssertionError
    return {
        "leaf": leaf,
        "leaf_hash": hashes[2],
        "index": 2,
        "size": 5,
        "root": root,
        "path": path,
        "ed25519_vkey": identity.ed25519_vkey,
        "mldsa44_vkey": identity.mldsa44_vkey,
        "tlog_proof": proof.make_proof(2, path, kept.encode()).decode(),
    }


def bundle(draws: Draws) -> dict[str, Any]:
    """Return the file of the answering party's bundle; its authority's certificate is drawn too."""
    authority_key = certificates.TlsKey.from_seed(seed("CAN authority", 40))
    kept = draws.kept.get("authority")
    if kept is None:
        kept = certificates.issue_ca("CAN", authority_key, T0).decode()
        draws.kept["authority"] = kept
    pem = kept.encode()
    if certificates.public_of(pem) != authority_key.public:
        raise AssertionError
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    made = PartyBundle(
        party="CAN",
        legal_name="Canada (test vector)",
        version=3,
        issue_time=T0,
        endpoints=("can.example:7443",),
        kem=(BundleKey(KEMS["CAN"].public, start, end),),
        signing=(BundleKey(SIGNERS["CAN"].public, start, end),),
        tls_ca_pem=pem,
        tls_pins=(hashlib.sha256(authority_key.public).digest(),),
        log=proof.LogIdentity.from_log_key(ORIGIN, LOG),
    )
    octets = made.to_bytes()
    return {"file": octets.decode(), "fingerprint": fingerprint(octets)}


def rejections(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return headers and payloads that are refused or, where a default is stated, read; and what a sender is told."""
    octets: bytes = asked["header"]
    tail = octets[-35:]  # field 20: two bytes of tag, one of length, 32
    kinds = {
        "a default stated in its place": octets[:-35] + b"\x9a\x01\x00" + tail,
        "a default stated twice": octets[:-35] + b"\x9a\x01\x00\x9a\x01\x00" + tail,
        "a field out of order": octets + b"\x08\x01",
        "an unknown field": octets + b"\xa8\x01\x01",
        "a padded number": b"\x08\x81\x00" + octets[2:],
        "format 2": b"\x08\x02" + octets[2:],
        "no suite": octets[:2] + octets[4:],
        "cut short": octets[:-1],
    }
    headers = [
        told(name, "header", spelt, signed_envelope.parse_header) for name, spelt in kinds.items()
    ]
    query: bytes = asked["payload"]
    flags = query.index(b"\x2a\x00")
    before, after = query[:flags], query[flags + 2 :]
    payload_kinds = {
        "flags that state their default": before + b"\x2a\x02\x08\x00" + after,
        "no flags": before + after,
        "no reply key": query[1219:],
        "a reply key that is too short": b"\x0a\x01k" + query[1219:],
        "a name where a pseudonym belongs": query.replace(b"C-2026-17", b"J. Smith!"),
        "no probe": before + b"\x2a\x00",
        "a prior number that is too short": before + b"\x2a\x00\x3a\x01x",
        "an unknown field": query + b"\x42\x04Jane",
    }
    return headers + [
        told(name, "payload", spelt, query_payload.read_query)
        for name, spelt in payload_kinds.items()
    ]


def told(name: str, part: str, spelt: bytes, read: Callable[[bytes], object]) -> dict[str, Any]:
    """Return what a sender is told of these bytes; None where they are read."""
    try:
        read(spelt)
    except Refusal as refusal:
        said = {"reason": refusal.reason, "metadata": refusal.metadata}
    else:
        said = None
    return {"name": name, part: spelt, "told": said}


def plain(value: Any) -> Any:
    """Return bytes as hexadecimal, at every depth."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def text(kept: dict[str, Any]) -> str:
    """Return the file, made from what was drawn before."""
    draws = Draws(dict(kept))
    values = plain(exchange(draws))
    return json.dumps({"draws": draws.kept, **values}, indent=1) + "\n"


if __name__ == "__main__":
    held = json.loads(FILE.read_text(encoding="utf-8"))["draws"] if FILE.exists() else {}
    FILE.write_text(text(held), encoding="utf-8")
