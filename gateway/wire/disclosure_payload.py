"""A request for details and what is disclosed ⇄ nouns; strict both ways. Rules: protocol 3 and 7."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.domain.person import (
    IMAGES,
    TEXT,
    Caveat,
    Details,
    DetailsOutcome,
    DetailsRequest,
    Field,
    FieldCode,
    Ground,
    Scope,
    Withholding,
)
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire.decoding import CHARACTERS, LIST, Fields, decode

MAX_DETAILS = (
    262_140  # bytes; the largest size class of answers, which every one with details takes
)
MAX_REQUEST = 4_092  # bytes; the smallest size class
REPLY_KEY = 1_216  # bytes; X-Wing public key (protocol 2)
HIT_REFERENCE = 16  # bytes; random
MAX_TEXT = 4_096  # bytes of a datum that is text
MAX_IMAGE = 196_608  # bytes of a photograph; what the largest class holds beside the other fields
MAX_FIELDS = len(FieldCode)
MAX_CAVEATS = 8

PSEUDONYM = re.compile(r"[A-Za-z0-9._-]{1,64}")
MEDIA = re.compile("|".join(re.escape(kind) for kind in sorted({TEXT, *IMAGES})))
AUTHORITY = re.compile(r"[A-Z][A-Za-z ]{1,31} \d{1,4}(\.\d{1,3})?(\([0-9a-z]{1,4}\)){0,4}")
CAVEAT = re.compile(r"[A-Z0-9_]{1,32}")
WORDS = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")


def read_details_request(octets: bytes) -> DetailsRequest:
    """Return the request that `octets` spell."""
    message = decode(exchange_pb2.HitDetailsPayload, octets, limit=MAX_REQUEST, element="payload")
    fields = Fields(message)
    wanted = fields.choices("fields", FieldCode, MAX_FIELDS)
    if not wanted:
        raise fields.absent("fields")
    if wanted != tuple(sorted(wanted)):
        raise fields.wrong("fields", LIST)
    return DetailsRequest(
        reply_key=fields.octets("reply_kem_public_key", REPLY_KEY),
        hit_reference=fields.octets("hit_reference", HIT_REFERENCE),
        fields=wanted,
        case=fields.text("case_reference", PSEUDONYM),
        unit=fields.text("requesting_unit", PSEUDONYM),
        person=fields.text("responsible_person_id", PSEUDONYM),
    )


def details_request_bytes(request: DetailsRequest) -> bytes:
    """Return the payload that says `request`."""
    return exchange_pb2.HitDetailsPayload(
        reply_kem_public_key=request.reply_key,
        hit_reference=request.hit_reference,
        fields=[types_pb2.FieldCode.ValueType(code) for code in request.fields],
        case_reference=request.case,
        requesting_unit=request.unit,
        responsible_person_id=request.person,
    ).SerializeToString(deterministic=True)


def read_details(octets: bytes) -> Details:
    """Return what is disclosed, as `octets` spell it."""
    message = decode(exchange_pb2.HitDetails, octets, limit=MAX_DETAILS, element="payload")
    return details_of(message, "")


def details_of(message: exchange_pb2.HitDetails, path: str) -> Details:
    """Return the details in a message that is known to be canonical."""
    fields = Fields(message, path)
    outcome = fields.choice("outcome", DetailsOutcome)
    disclosed = fields_of(message.fields, fields)
    if disclosed and outcome is DetailsOutcome.UNAVAILABLE:
        raise fields.wrong("fields")
    withheld = None
    if message.HasField("withholding"):
        withheld = withholding_of(message.withholding, fields.element("withholding"))
    return Details(outcome, disclosed, withheld)


def fields_of(
    messages: Sequence[exchange_pb2.DisclosedField], parent: Fields, name: str = "fields"
) -> tuple[Field, ...]:
    """Return disclosed fields, each code at most once and in the order of the codes."""
    if len(messages) > MAX_FIELDS:
        raise parent.wrong(name, LIST)
    found = tuple(
        _field(each, parent.element(f"{name}[{index}]")) for index, each in enumerate(messages)
    )
    codes = [each.code for each in found]
    if codes != sorted(set(codes)):
        raise parent.wrong(name, LIST)
    return found


def withholding_of(message: exchange_pb2.Withholding, path: str) -> Withholding:
    """Return what a message says is withheld."""
    fields = Fields(message, path)
    return Withholding(fields.choice("scope", Scope), fields.choice("ground", Ground))


def details_bytes(details: Details) -> bytes:
    """Return the payload that says `details`."""
    return details_message(details).SerializeToString(deterministic=True)


def details_message(details: Details) -> exchange_pb2.HitDetails:
    """Return the message that says `details`."""
    return exchange_pb2.HitDetails(
        outcome=exchange_pb2.DetailsOutcome.ValueType(details.outcome),
        fields=[field_message(each) for each in details.fields],
        withholding=withholding_message(details.withholding) if details.withholding else None,
    )


def withholding_message(withholding: Withholding) -> exchange_pb2.Withholding:
    """Return the message that says that something is withheld."""
    return exchange_pb2.Withholding(
        scope=exchange_pb2.RefusalScope.ValueType(withholding.scope),
        ground=exchange_pb2.RefusalGround.ValueType(withholding.ground),
    )


def field_message(field: Field) -> exchange_pb2.DisclosedField:
    """Return the message that carries a datum."""
    return exchange_pb2.DisclosedField(
        field=types_pb2.FieldCode.ValueType(field.code),
        value=field.value,
        mime_type=field.mime_type,
        authority=field.authority,
        caveats=[exchange_pb2.Caveat(code=each.code, text=each.text) for each in field.caveats],
        source_record_version=field.source_version,
    )


def _field(message: exchange_pb2.DisclosedField, path: str) -> Field:
    fields = Fields(message, path)
    media = fields.text("mime_type", MEDIA)
    value = fields.octets("value", 1, MAX_TEXT if media == TEXT else MAX_IMAGE)
    if media == TEXT and not words(value):
        raise fields.wrong("value", CHARACTERS)
    if len(message.caveats) > MAX_CAVEATS:
        raise fields.wrong("caveats", LIST)
    return Field(
        code=fields.choice("field", FieldCode),
        value=value,
        mime_type=media,
        authority=fields.text("authority", AUTHORITY),
        caveats=tuple(
            _caveat(each, fields.element(f"caveats[{index}]"))
            for index, each in enumerate(message.caveats)
        ),
        source_version=fields.text("source_record_version", VERSION, required=False),
    )


def _caveat(message: exchange_pb2.Caveat, path: str) -> Caveat:
    fields = Fields(message, path)
    return Caveat(fields.text("code", CAVEAT), fields.text("text", WORDS))


def words(value: bytes) -> bool:
    """Return whether a datum is text that can be shown: UTF-8, no control characters but line ends."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character == "\n" for character in text)
