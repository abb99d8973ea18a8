"""One spelling, default values aside: what other makers' libraries write is read, and each other deviation is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message

from gateway.domain.messages import Header, Query
from gateway.errors import ElementInvalid, HeaderInvalid
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire import disclosure_payload, query_payload, signed_envelope


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def outspoken(message: Message) -> bytes:
    """Write a message as protobufjs 7 does where its program set every field: defaults are written like any value."""
    return b"".join(
        _field(message, field)
        for field in sorted(message.DESCRIPTOR.fields, key=lambda each: each.number)
    )


def _field(message: Message, field: Any) -> bytes:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is None:
            packed = b"".join(map(varint, value))
            return varint(field.number << 3 | 2) + varint(len(packed)) + packed if packed else b""
        return b"".join(_delimited(field.number, outspoken(each)) for each in value)
    if field.has_presence and not message.HasField(field.name):
        return b""
    if field.message_type is not None:
        return _delimited(field.number, outspoken(value))
    if isinstance(value, (str, bytes)):
        return _delimited(field.number, value.encode() if isinstance(value, str) else value)
    return varint(field.number << 3) + varint(int(value))


def _delimited(number: int, octets: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(octets)) + octets


def test_a_header_that_states_its_defaults_is_read_as_one_that_leaves_them_out(
    header: Callable[..., Header],
) -> None:
    """At a whole second nanos is 0: once in a thousand messages of a client that writes what it set."""
    second = datetime(2026, 3, 1, 12, tzinfo=UTC)
    made = header(create_time=second, expire_time=second + timedelta(minutes=5))
    octets = signed_envelope.header_bytes(made)
    stated = outspoken(types_pb2.Header.FromString(octets))

    assert b"\x10\x00" in stated  # Timestamp.nanos
    assert len(stated) > len(octets)
    assert signed_envelope.parse_header(stated) == made


def test_a_payload_that_states_its_defaults_is_read_too(query: Callable[..., Query]) -> None:
    made = query()
    octets = query_payload.query_bytes(made)
    stated = outspoken(exchange_pb2.QueryPayload.FromString(octets))

    assert len(stated) > len(octets)
    assert query_payload.read_query(stated) == made


def test_a_default_is_stated_once_and_at_its_place(header: Callable[..., Header]) -> None:
    octets = signed_envelope.header_bytes(header())
    empty = b"\x9a\x01\x00"  # in_reply_to, field 19
    before, after = octets[:-35], octets[-35:]  # field 20 is the last: tag 2, length 1, value 32

    assert signed_envelope.parse_header(before + empty + after) == header()
    for spelt, rule in (
        (octets + empty, "FIELD_ORDER"),
        (before + 2 * empty + after, "FIELD_TWICE"),
    ):
        with pytest.raises(HeaderInvalid) as caught:
            signed_envelope.parse_header(spelt)
        assert caught.value.metadata == {"element": "header", "rule": rule}


@pytest.mark.parametrize(
    ("spelt", "rule"),
    [
        (b"\x00", "NOT_A_MESSAGE"),
        (b"\x0a\x80\x00", "NUMBER_PADDED"),
        (b"\x0a\x01k\x0a\x01k", "FIELD_TWICE"),
        (b"\xa2\x06\x00", "UNKNOWN_FIELD"),
    ],
)
def test_each_other_spelling_has_its_reason(spelt: bytes, rule: str) -> None:
    with pytest.raises(ElementInvalid) as caught:
        query_payload.read_query(spelt)

    assert caught.value.metadata == {"element": "payload", "rule": rule}


def test_a_list_of_numbers_is_one_field() -> None:
    one_by_one = b"\x18\x01\x18\x02"  # HitDetailsPayload.fields

    with pytest.raises(ElementInvalid) as caught:
        disclosure_payload.read_details_request(one_by_one)

    assert caught.value.metadata["rule"] == "NOT_PACKED"
