"""Envelopes, headers and receipts of anybody: one spelling, every rule, one refusal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.calendar_bounds import END_SECOND
from gateway.domain.messages import (
    Header,
    MessageType,
    Operation,
    Purpose,
    Receipt,
    Reply,
    ServiceLevel,
    SignedEnvelope,
)
from gateway.errors import ElementInvalid, ElementMissing, HeaderInvalid, InvalidArgument
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire import canonical_form, signed_envelope

HeaderOf = Callable[..., Header]
EVERY_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

moments = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
octets32 = st.binary(min_size=32, max_size=32)
parties = st.from_regex(r"[A-Z0-9-]{2,32}", fullmatch=True)
numbers = st.from_regex(r"[A-Za-z0-9-]{8,64}", fullmatch=True)


REFERRING = [
    one for one in Operation if "transaction_reference" in signed_envelope.DEMANDED.get(one, ())
]


@st.composite
def headers(draw: st.DrawFn) -> Header:
    message_type = draw(st.sampled_from(MessageType))
    operation = draw(st.sampled_from(Operation))
    response = message_type is MessageType.RESPONSE
    query = operation in {Operation.SUBMIT_QUERY, Operation.REQUEST_HIT_DETAILS}
    correcting = operation in {Operation.SUBMIT_CORRECTION, Operation.ACK_CORRECTION}
    about = operation in REFERRING
    agreed = (query and not response) or draw(st.booleans())
    sender, recipient = draw(st.lists(parties, min_size=2, max_size=2, unique=True))
    created = draw(moments)
    asked = [p for p in Purpose if p or response] if query else [Purpose.NONE]
    referring = draw(numbers) if about and not response else draw(st.just("") | numbers)
    owed = query or correcting
    numbered = "" if response else draw(numbers) if owed else draw(st.just("") | numbers)
    return Header(
        message_type=message_type,
        operation=operation,
        sender=sender,
        signing_key_id=draw(octets32),
        recipient=recipient,
        kem_key_id=draw(octets32),
        message_id=draw(st.binary(min_size=16, max_size=16)),
        create_time=created,
        expire_time=created + timedelta(milliseconds=draw(st.integers(1, 600_000))),
        directory_version=draw(st.integers(1, 2**63 - 1)),
        transaction_number=numbered,
        transaction_reference=referring,
        agreement_id=draw(st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)) if agreed else "",
        agreement_version=draw(st.integers(1, 2**31 - 1)) if agreed else 0,
        purpose=draw(st.sampled_from(asked)),
        service_level=draw(st.sampled_from(ServiceLevel)),
        in_reply_to=draw(octets32) if response else b"",
        payload_commitment=draw(octets32),
    )


def refused(octets: bytes) -> str:
    with pytest.raises(HeaderInvalid) as caught:
        signed_envelope.parse_header(octets)
    return caught.value.metadata["element"]


@given(headers())
def test_a_header_reads_as_it_was_written(header: Header) -> None:
    octets = signed_envelope.header_bytes(header)

    assert len(octets) <= signed_envelope.MAX_HEADER
    assert signed_envelope.parse_header(octets) == header
    assert signed_envelope.header_bytes(signed_envelope.parse_header(octets)) == octets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 0),
        ("format", 2),
        ("suite", 2),
        ("message_type", 0),
        ("message_type", 3),
        ("operation", 0),
        ("operation", 99),
        ("sender_id", ""),
        ("sender_id", "A"),
        ("sender_id", "aus"),
        ("sender_id", "A" * 33),
        ("sender_id", "AUS\n"),
        ("sender_id", "CAN"),
        ("sender_signing_key_id", b""),
        ("sender_signing_key_id", b"s" * 31),
        ("recipient_id", "CÄN"),
        ("recipient_kem_key_id", b"k" * 33),
        ("message_id", b""),
        ("message_id", b"m" * 15),
        ("directory_version", 0),
        ("directory_version", 2**63),
        ("transaction_number", ""),
        ("transaction_number", "short"),
        ("transaction_number", "a name here"),
        ("transaction_number", "x" * 65),
        ("transaction_reference", "x"),
        ("agreement_id", ""),
        ("agreement_id", "Au"),
        ("agreement_version", 0),
        ("agreement_version", 2**31),
        ("purpose", 0),
        ("purpose", 6),
        ("service_level", 0),
        ("service_level", 4),
        ("in_reply_to", b"r" * 32),
        ("payload_commitment", b"c"),
    ],
)
def test_a_header_with_one_wrong_field_is_refused_and_the_field_is_named(
    header: HeaderOf, name: str, value: object
) -> None:
    message = types_pb2.Header.FromString(signed_envelope.header_bytes(header()))
    setattr(message, name, value)

    element = refused(message.SerializeToString(deterministic=True))

    wrong = {"sender_id": {"header.sender_id", "header.recipient_id"}}.get(name, set())
    wrong |= {"agreement_id": {"header.agreement_version"}}.get(name, set())
    assert element in {f"header.{name}"} | wrong


@pytest.mark.parametrize("name", ["create_time", "expire_time"])
@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        *((-1, 0), (2**62, 0), (5, 1), (5, -1_000_000), (5, 1_000_000_000)),
        (-62_135_596_800, 0),  # the year 1
        (
            253_402_300_799,
            999_000_000,
        ),  # the last moment of protobuf and Python: a sum ends in neither
        (END_SECOND, 0),  # the first beyond our calendar
    ],
)
def test_a_time_that_is_no_whole_millisecond_of_this_age_is_refused(
    header: HeaderOf, name: str, seconds: int, nanos: int
) -> None:
    message = types_pb2.Header.FromString(signed_envelope.header_bytes(header()))
    stamp = getattr(message, name)
    stamp.seconds, stamp.nanos = seconds, nanos

    assert refused(message.SerializeToString(deterministic=True)) == f"header.{name}"


@pytest.mark.parametrize("name", ["create_time", "expire_time"])
def test_a_missing_time_is_refused(header: HeaderOf, name: str) -> None:
    message = types_pb2.Header.FromString(signed_envelope.header_bytes(header()))
    message.ClearField(name)

    assert refused(message.SerializeToString(deterministic=True)) == f"header.{name}"


def test_a_message_that_never_lives_is_refused(header: HeaderOf, now: datetime) -> None:
    assert refused(signed_envelope.header_bytes(header(expire_time=now))) == "header.expire_time"


@pytest.mark.parametrize("operation", REFERRING)
def test_asking_about_a_query_names_the_query(header: HeaderOf, operation: Operation) -> None:
    details = operation is Operation.REQUEST_HIT_DETAILS
    purpose = Purpose.VISA_PERMIT_BENEFIT if details else Purpose.NONE
    bare = header(operation=operation, purpose=purpose)

    assert refused(signed_envelope.header_bytes(bare)) == "header.transaction_reference"


def test_a_question_about_nobody_has_no_purpose(header: HeaderOf) -> None:
    asked = header(operation=Operation.GET_CAPABILITIES)

    assert refused(signed_envelope.header_bytes(asked)) == "header.purpose"


def test_a_response_says_what_it_answers(header: HeaderOf) -> None:
    answer = header(message_type=MessageType.RESPONSE, transaction_number="")

    assert refused(signed_envelope.header_bytes(answer)) == "header.in_reply_to"


def test_only_the_asker_numbers_transactions(header: HeaderOf) -> None:
    answer = header(message_type=MessageType.RESPONSE, in_reply_to=b"t" * 32)

    assert refused(signed_envelope.header_bytes(answer)) == "header.transaction_number"


def test_an_unknown_field_is_refused_wherever_it_is(header: HeaderOf) -> None:
    octets = signed_envelope.header_bytes(header())
    message = types_pb2.Header.FromString(octets)
    message.create_time.MergeFromString(b"\x18\x01")

    assert refused(octets + b"\xa8\x01\x01") == "header"  # field 21
    assert refused(message.SerializeToString()) == "header.create_time"


@pytest.mark.parametrize(
    "extra",
    [
        b"\x08\x01",  # format a second time; the last would win
        b"\x2a\x03AUS",  # sender a second time
        b"\x9a\x01\x00",  # in_reply_to, empty, written out
    ],
)
def test_a_second_spelling_of_a_header_is_refused(header: HeaderOf, extra: bytes) -> None:
    octets = signed_envelope.header_bytes(header())

    assert types_pb2.Header.FromString(octets + extra) == types_pb2.Header.FromString(octets)
    assert refused(octets + extra) == "header"


def test_a_padded_number_is_refused(header: HeaderOf) -> None:
    octets = signed_envelope.header_bytes(header())

    assert octets.startswith(b"\x08\x01")
    assert refused(b"\x08\x81\x00" + octets[2:]) == "header"


def test_a_header_is_bounded_before_it_is_parsed() -> None:
    assert refused(bytes(signed_envelope.MAX_HEADER + 1)) == "header"


def test_what_is_no_utf_8_is_refused(header: HeaderOf) -> None:
    octets = signed_envelope.header_bytes(header()).replace(b"AUS-2026", b"AUS\xff2026")

    assert refused(octets) == "header"


@EVERY_EXAMPLE
@given(at=st.integers(0, 400), mask=st.integers(1, 255))
def test_a_flipped_byte_of_a_header_is_refused_or_changes_what_it_says(
    header: HeaderOf, at: int, mask: int
) -> None:
    """Where a flip leaves a header that is well formed, it is another header, and its signature fails."""
    octets = bytearray(signed_envelope.header_bytes(header()))
    octets[at % len(octets)] ^= mask
    try:
        read = signed_envelope.parse_header(bytes(octets))
    except HeaderInvalid:
        return
    assert read != header()
    kind = (
        types_pb2.Header.DESCRIPTOR
    )  # a flip may make a number 0, which is then a default that is stated
    assert signed_envelope.header_bytes(read) == canonical_form.without_defaults(
        kind, bytes(octets)
    )


def test_every_truncation_of_a_header_is_refused(header: HeaderOf) -> None:
    octets = signed_envelope.header_bytes(header())

    for length in range(len(octets)):
        refused(octets[:length])


@given(st.binary(max_size=300))
@example(b"")
def test_no_bytes_do_anything_but_be_refused(octets: bytes) -> None:
    for parse in (
        signed_envelope.parse_header,
        signed_envelope.parse_envelope,
        signed_envelope.parse_receipt,
    ):
        try:
            parse(octets)
        except InvalidArgument as refusal:
            assert refusal.metadata["element"]  # noqa: PT017 - the other outcome is an envelope


def test_a_refusal_never_holds_a_value(header: HeaderOf) -> None:
    message = types_pb2.Header.FromString(signed_envelope.header_bytes(header()))
    message.transaction_number = "Jane Doe 1980"
    with pytest.raises(HeaderInvalid) as caught:
        signed_envelope.parse_header(message.SerializeToString())

    assert "Jane" not in repr((str(caught.value), caught.value.args, caught.value.metadata))


parts_of_envelopes = st.builds(
    SignedEnvelope,
    st.binary(min_size=1, max_size=64),
    st.binary(min_size=1, max_size=64),
    st.binary(min_size=1, max_size=64),
)


@given(parts_of_envelopes)
def test_a_letter_keeps_its_bytes(signed: SignedEnvelope) -> None:
    assert signed_envelope.envelope_from(signed_envelope.envelope_of(signed)) == signed
    assert signed_envelope.parse_envelope(signed_envelope.envelope_bytes(signed)) == signed


@pytest.mark.parametrize(
    ("signed", "element"),
    [
        (SignedEnvelope(b"", b"s", b"g"), "envelope.header"),
        (SignedEnvelope(b"h", b"", b"g"), "envelope.sealed"),
        (SignedEnvelope(b"h", b"s", b""), "envelope.signature"),
        (SignedEnvelope(bytes(signed_envelope.MAX_HEADER + 1), b"s", b"g"), "envelope.header"),
        (SignedEnvelope(b"h", bytes(signed_envelope.MAX_SEALED + 1), b"g"), "envelope.sealed"),
        (SignedEnvelope(b"h", b"s", bytes(signed_envelope.SIGNATURE + 1)), "envelope.signature"),
    ],
)
def test_an_envelope_has_three_parts_of_bounded_size(signed: SignedEnvelope, element: str) -> None:
    with pytest.raises(HeaderInvalid) as caught:
        signed_envelope.envelope_from(signed_envelope.envelope_of(signed))

    assert caught.value.metadata["element"] == element


def test_the_largest_envelope_is_read_and_one_byte_more_is_not() -> None:
    largest = SignedEnvelope(
        bytes(signed_envelope.MAX_HEADER),
        bytes(signed_envelope.MAX_SEALED),
        bytes(signed_envelope.SIGNATURE),
    )

    assert signed_envelope.parse_envelope(signed_envelope.envelope_bytes(largest)) == largest
    with pytest.raises(HeaderInvalid):
        signed_envelope.parse_envelope(bytes(signed_envelope.MAX_ENVELOPE + 1))


@given(parts_of_envelopes, st.integers(0, 250), st.integers(1, 255))
def test_a_flipped_byte_of_an_envelope_is_refused_or_another_letter(
    signed: SignedEnvelope, at: int, mask: int
) -> None:
    octets = bytearray(signed_envelope.envelope_bytes(signed))
    octets[at % len(octets)] ^= mask
    try:
        read = signed_envelope.parse_envelope(bytes(octets))
    except HeaderInvalid:
        return
    assert read != signed


def test_a_field_beside_the_envelope_is_refused() -> None:
    envelope = signed_envelope.envelope_of(SignedEnvelope(b"h", b"s", b"g"))
    clean = exchange_pb2.SubmitQueryRequest(envelope=envelope)
    beside = exchange_pb2.SubmitQueryRequest.FromString(clean.SerializeToString() + b"\x12\x04Jane")
    inside = exchange_pb2.SubmitQueryRequest.FromString(
        clean.SerializeToString() + b"\x0a\x02\x20\x01"
    )

    assert signed_envelope.envelope_from(signed_envelope.envelope_in(clean)) == SignedEnvelope(
        b"h", b"s", b"g"
    )
    for message in (beside, inside):
        with pytest.raises(HeaderInvalid):
            signed_envelope.envelope_in(message)
    with pytest.raises(HeaderInvalid) as caught:
        signed_envelope.envelope_from(inside.envelope)
    assert caught.value.metadata["element"] == "envelope"


def test_a_request_without_an_envelope_is_refused() -> None:
    with pytest.raises(HeaderInvalid):
        signed_envelope.envelope_from(
            signed_envelope.envelope_in(exchange_pb2.SubmitQueryRequest())
        )


receipts = st.builds(
    Receipt, st.binary(min_size=1, max_size=512), st.binary(min_size=1, max_size=200)
)


@given(receipts)
def test_a_receipt_keeps_its_bytes(receipt: Receipt) -> None:
    assert signed_envelope.receipt_of(signed_envelope.receipt_message(receipt)) == receipt
    assert signed_envelope.parse_receipt(signed_envelope.receipt_bytes(receipt)) == receipt


def test_a_receipt_has_two_parts_of_bounded_size() -> None:
    with pytest.raises(ElementMissing):
        signed_envelope.receipt_of(types_pb2.Receipt(leaf=b"l"))
    with pytest.raises(ElementInvalid):
        signed_envelope.receipt_of(types_pb2.Receipt(leaf=bytes(513), tlog_proof=b"p"))
    with pytest.raises(ElementInvalid):
        signed_envelope.receipt_of(
            types_pb2.Receipt(leaf=b"l", tlog_proof=bytes(signed_envelope.MAX_PROOF + 1))
        )
    with pytest.raises(ElementInvalid):
        signed_envelope.parse_receipt(b"\x0a\x01l\x12\x01p\x18\x01")


def test_a_reply_becomes_any_response() -> None:
    reply = Reply(SignedEnvelope(b"h", b"s", b"g"), Receipt(b"l", b"p"))

    response = exchange_pb2.SubmitQueryResponse(**signed_envelope.parts(reply))

    assert signed_envelope.envelope_from(response.envelope) == reply.envelope
    assert signed_envelope.receipt_of(response.receipt) == reply.receipt


@pytest.mark.parametrize(
    "moment",
    [datetime(2026, 1, 1), datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)],  # noqa: DTZ001
)
def test_a_time_that_the_wire_cannot_hold_is_not_written(
    header: HeaderOf, moment: datetime
) -> None:
    with pytest.raises(ValueError, match="time"):
        signed_envelope.header_bytes(header(create_time=moment))
