"""Corrections and their acknowledgements ⇄ nouns; strict both ways. Rules: protocol 3 and 7."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.correction import (
    CorrectionAck,
    CorrectionKind,
    CorrectionNotice,
    CorrectionOutcome,
    CorrectionStanding,
    CorrectionState,
)
from gateway.domain.person import FieldCode
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire.decoding import LIST, Fields, decode, timestamp
from gateway.wire.disclosure_payload import (
    MAX_FIELDS,
    PSEUDONYM,
    REPLY_KEY,
    field_message,
    fields_of,
)

MAX_NOTICE = 262_140  # bytes; the largest size class: a corrected photograph may be in it
MAX_ACK = 4_092  # bytes; the smallest size class
CORRECTION_ID = 16  # bytes; random


def read_notice(octets: bytes) -> CorrectionNotice:
    """Return the notice that `octets` spell."""
    message = decode(exchange_pb2.CorrectionNotice, octets, limit=MAX_NOTICE, element="payload")
    fields = Fields(message)
    kind = fields.choice("kind", CorrectionKind)
    codes = fields.choices("fields", FieldCode, MAX_FIELDS)
    if not codes and kind is CorrectionKind.WRONG_VALUE:
        raise fields.absent(
            "fields"
        )  # without fields it is the match itself that is wrong or withdrawn
    if codes != tuple(sorted(codes)):
        raise fields.wrong("fields", LIST)
    corrected = fields_of(message.corrected, fields, "corrected")
    if kind is CorrectionKind.WRONG_VALUE and not corrected:
        raise fields.absent("corrected")
    if kind is not CorrectionKind.WRONG_VALUE and corrected:
        raise fields.wrong("corrected")
    if not {each.code for each in corrected} <= set(codes):
        raise fields.wrong("corrected")
    return CorrectionNotice(
        id=fields.octets("correction_id", CORRECTION_ID),
        kind=kind,
        fields=codes,
        corrected=corrected,
        due=fields.time("due_time"),
        reply_key=fields.octets("reply_kem_public_key", REPLY_KEY),
    )


def notice_bytes(notice: CorrectionNotice) -> bytes:
    """Return the payload that says `notice`."""
    return exchange_pb2.CorrectionNotice(
        reply_kem_public_key=notice.reply_key,
        correction_id=notice.id,
        kind=exchange_pb2.CorrectionKind.ValueType(notice.kind),
        fields=[types_pb2.FieldCode.ValueType(code) for code in notice.fields],
        corrected=[field_message(each) for each in notice.corrected],
        due_time=timestamp(notice.due),
    ).SerializeToString(deterministic=True)


def kept_bytes(notice: CorrectionNotice) -> bytes:
    """Return the payload by which a notice is kept: each message that carries it brings a reply key of its own."""
    return notice_bytes(replace(notice, reply_key=bytes(REPLY_KEY)))


def read_ack(octets: bytes) -> CorrectionAck:
    """Return the acknowledgement that `octets` spell."""
    message = decode(exchange_pb2.CorrectionAck, octets, limit=MAX_ACK, element="payload")
    fields = Fields(message)
    outcome = fields.choice("outcome", CorrectionOutcome)
    noted = outcome is CorrectionOutcome.USED_NOTE_TO_FILE
    note = fields.text("note_reference", PSEUDONYM, required=noted)
    if note and not noted:
        raise fields.wrong("note_reference")
    return CorrectionAck(
        id=fields.octets("correction_id", CORRECTION_ID),
        outcome=outcome,
        note=note,
        completed=fields.time("complete_time"),
        reply_key=fields.octets("reply_kem_public_key", REPLY_KEY),
    )


def ack_bytes(ack: CorrectionAck) -> bytes:
    """Return the payload that says `ack`."""
    return exchange_pb2.CorrectionAck(
        reply_kem_public_key=ack.reply_key,
        correction_id=ack.id,
        outcome=exchange_pb2.CorrectionOutcome.ValueType(ack.outcome),
        note_reference=ack.note,
        complete_time=timestamp(ack.completed),
    ).SerializeToString(deterministic=True)


def read_standing(octets: bytes) -> CorrectionStanding:
    """Return the state of a correction, as `octets` encode it."""
    message = decode(exchange_pb2.CorrectionStanding, octets, limit=MAX_ACK, element="payload")
    fields = Fields(message)
    return CorrectionStanding(
        fields.octets("correction_id", CORRECTION_ID), fields.choice("state", CorrectionState)
    )


def standing_bytes(standing: CorrectionStanding) -> bytes:
    """Return the payload with the state of a correction."""
    return exchange_pb2.CorrectionStanding(
        correction_id=standing.id,
        state=exchange_pb2.CorrectionState.ValueType(standing.state),
    ).SerializeToString(deterministic=True)
