"""Envelope ⇄ `SignedEnvelope`, header ⇄ `Header`, receipt ⇄ `Receipt`; strict, and bytes kept as received.

An envelope's three parts are never re-serialised: what is hashed, verified and stored is what came. Every
fault of an envelope or a header is a `HeaderInvalid` with the element's path; of a receipt, which only a
partner reads, an `ElementInvalid` or `ElementMissing`. Rules: protocol 2 and 3.
"""

from __future__ import annotations

import re
from typing import Protocol, TypedDict

from gateway.domain.messages import (
    FORMAT,
    SUITE,
    Header,
    MessageType,
    Operation,
    Purpose,
    Receipt,
    Reply,
    ServiceLevel,
    SignedEnvelope,
)
from gateway.errors import ElementInvalid, HeaderInvalid
from gateway.v1 import types_pb2
from gateway.wire.decoding import Fields, decode, refuse_unknown, timestamp

MAX_HEADER = 1_024  # bytes; every field at its longest makes about 450
MAX_SEALED = 2_098_320  # bytes; largest size class 2,097,152 + salt 32 + HPKE 1,136 (protocol 2)
SIGNATURE = 3_373  # bytes; ML-DSA-65 3,309 + Ed25519 64 (protocol 2)
MAX_ENVELOPE = MAX_HEADER + MAX_SEALED + SIGNATURE + 16  # bytes; three tags and lengths
AROUND = 6_144  # bytes; room for all of a message that is not padded payload
MAX_LEAF = 512  # bytes; a leaf has exactly so many, which its own parser checks
MAX_PROOF = 65_536  # bytes; 64 hashes and a note of many signatures fit well inside
MAX_RECEIPT = MAX_LEAF + MAX_PROOF + 16  # bytes

KEY_ID = 32  # bytes; SHA-256
HASH = 32  # bytes; SHA-256
MESSAGE_ID = 16  # bytes; random
MAX_VERSION = 2**63 - 1  # what a database column of 64 bits holds

PARTY = re.compile(r"[A-Z0-9-]{2,32}")
TRANSACTION = re.compile(r"[A-Za-z0-9-]{8,64}")
AGREEMENT = re.compile(r"[a-z][a-z0-9-]{0,31}")

DEMANDED = {
    Operation.SUBMIT_QUERY: ("transaction_number", "agreement_id", "purpose"),
    Operation.GET_QUERY_STATE: ("transaction_reference",),
    Operation.REDELIVER_RESULT: ("transaction_reference",),
    Operation.REQUEST_HIT_DETAILS: (
        *("transaction_number", "transaction_reference", "agreement_id", "purpose"),
    ),
    Operation.SUBMIT_CORRECTION: ("transaction_number", "transaction_reference"),
    Operation.ACK_CORRECTION: ("transaction_number", "transaction_reference"),
}
_about_a_person = frozenset({Operation.SUBMIT_QUERY, Operation.REQUEST_HIT_DETAILS})


class Enclosing(Protocol):
    """A request or response of ExchangeService: it holds an envelope and nothing else of meaning."""

    @property
    def envelope(self) -> types_pb2.Envelope:
        """The envelope."""


class Parts(TypedDict):
    """What every response of ExchangeService is made of."""

    envelope: types_pb2.Envelope
    receipt: types_pb2.Receipt


def parse_header(octets: bytes) -> Header:
    """Return the header that `octets` spell, or raise `HeaderInvalid`."""
    message = decode(
        types_pb2.Header, octets, limit=MAX_HEADER, element="header", refusal=HeaderInvalid
    )
    fields = Fields(message, "header", missing=HeaderInvalid, invalid=HeaderInvalid)
    fields.number("format", FORMAT, FORMAT)
    fields.number("suite", SUITE, SUITE)
    header = Header(
        message_type=fields.choice("message_type", MessageType),
        operation=fields.choice("operation", Operation),
        sender=fields.text("sender_id", PARTY),
        signing_key_id=fields.octets("sender_signing_key_id", KEY_ID),
        recipient=fields.text("recipient_id", PARTY),
        kem_key_id=fields.octets("recipient_kem_key_id", KEY_ID),
        message_id=fields.octets("message_id", MESSAGE_ID),
        create_time=fields.time("create_time"),
        expire_time=fields.time("expire_time"),
        directory_version=fields.number("directory_version", 1, MAX_VERSION),
        transaction_number=fields.text("transaction_number", TRANSACTION, required=False),
        transaction_reference=fields.text("transaction_reference", TRANSACTION, required=False),
        agreement_id=fields.text("agreement_id", AGREEMENT, required=False),
        agreement_version=fields.number("agreement_version", 0, 2**31 - 1),
        purpose=fields.choice("purpose", Purpose) if message.purpose else Purpose.NONE,
        service_level=fields.choice("service_level", ServiceLevel),
        in_reply_to=fields.octets("in_reply_to", HASH, required=False),
        payload_commitment=fields.octets("payload_commitment", HASH),
    )
    _agrees(header, fields)
    return header


def _agrees(header: Header, fields: Fields) -> None:
    """Refuse a header whose fields do not belong together; what a message is decides what it has."""
    if header.sender == header.recipient:
        raise fields.wrong("recipient_id")
    if header.expire_time <= header.create_time:
        raise fields.wrong("expire_time")
    if bool(header.agreement_id) != bool(header.agreement_version):
        raise fields.wrong("agreement_version")
    if header.purpose and header.operation not in _about_a_person:
        raise fields.wrong("purpose")  # the others ask about no person
    response = header.message_type is MessageType.RESPONSE
    demanded = ("in_reply_to",) if response else DEMANDED.get(header.operation, ())
    # The asker numbers, and an answer refers to the number; a request replies to nothing.
    for name in ("transaction_number" if response else "in_reply_to", *demanded):
        if bool(getattr(header, name)) != (name in demanded):
            raise fields.absent(name) if name in demanded else fields.wrong(name)


def header_bytes(header: Header) -> bytes:
    """Return the header as it is signed."""
    message = types_pb2.Header(
        format=FORMAT,
        suite=SUITE,
        message_type=types_pb2.MessageType.ValueType(header.message_type),
        operation=types_pb2.Operation.ValueType(header.operation),
        sender_id=header.sender,
        sender_signing_key_id=header.signing_key_id,
        recipient_id=header.recipient,
        recipient_kem_key_id=header.kem_key_id,
        message_id=header.message_id,
        create_time=timestamp(header.create_time),
        expire_time=timestamp(header.expire_time),
        directory_version=header.directory_version,
        transaction_number=header.transaction_number,
        transaction_reference=header.transaction_reference,
        agreement_id=header.agreement_id,
        agreement_version=header.agreement_version,
        purpose=types_pb2.Purpose.ValueType(header.purpose),
        service_level=types_pb2.ServiceLevel.ValueType(header.service_level),
        in_reply_to=header.in_reply_to,
        payload_commitment=header.payload_commitment,
    )
    return message.SerializeToString(deterministic=True)


def envelope_in(message: Enclosing) -> types_pb2.Envelope:
    """Return the envelope inside a request or response that gRPC has parsed.

    gRPC parses the outermost message itself, so its encoding is gone; of what is left, the parts of the
    envelope are signed, and a field beside them is unknown and refused.
    """
    refuse_unknown(message, "", HeaderInvalid)  # type: ignore[arg-type]  # every Enclosing is a Message
    return message.envelope


def envelope_from(message: types_pb2.Envelope) -> SignedEnvelope:
    """Return the signed envelope of a message, its parts as received; raises `HeaderInvalid`."""
    refuse_unknown(message, "envelope", HeaderInvalid)
    fields = Fields(message, "envelope", missing=HeaderInvalid, invalid=HeaderInvalid)
    return SignedEnvelope(
        header=fields.octets("header", 1, MAX_HEADER),
        sealed=fields.octets("sealed", 1, MAX_SEALED),
        signature=fields.octets("signature", 1, SIGNATURE),
    )


def parse_envelope(octets: bytes) -> SignedEnvelope:
    """Return the signed envelope that `octets` encode; raises `HeaderInvalid`."""
    return envelope_from(
        decode(
            types_pb2.Envelope,
            octets,
            limit=MAX_ENVELOPE,
            element="envelope",
            refusal=HeaderInvalid,
        )
    )


def envelope_of(signed: SignedEnvelope) -> types_pb2.Envelope:
    """Return the message that carries a signed envelope."""
    return types_pb2.Envelope(
        header=signed.header, sealed=signed.sealed, signature=signed.signature
    )


def envelope_bytes(signed: SignedEnvelope) -> bytes:
    """Return the bytes of the message that carries a signed envelope."""
    return envelope_of(signed).SerializeToString(deterministic=True)


def receipt_of(message: types_pb2.Receipt) -> Receipt:
    """Return the receipt; raises `ElementInvalid` or `ElementMissing`."""
    refuse_unknown(message, "receipt", ElementInvalid)
    fields = Fields(message, "receipt")
    return Receipt(
        leaf=fields.octets("leaf", 1, MAX_LEAF),
        tlog_proof=fields.octets("tlog_proof", 1, MAX_PROOF),
    )


def parse_receipt(octets: bytes) -> Receipt:
    """Return the receipt that `octets` spell; raises `ElementInvalid` or `ElementMissing`."""
    return receipt_of(decode(types_pb2.Receipt, octets, limit=MAX_RECEIPT, element="receipt"))


def receipt_message(receipt: Receipt) -> types_pb2.Receipt:
    """Return the message that carries a receipt."""
    return types_pb2.Receipt(leaf=receipt.leaf, tlog_proof=receipt.tlog_proof)


def receipt_bytes(receipt: Receipt) -> bytes:
    """Return the bytes of the message that carries a receipt."""
    return receipt_message(receipt).SerializeToString(deterministic=True)


def parts(reply: Reply) -> Parts:
    """Return what a response of ExchangeService is made of."""
    return Parts(envelope=envelope_of(reply.envelope), receipt=receipt_message(reply.receipt))
