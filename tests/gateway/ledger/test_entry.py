"""A leaf has one size and one spelling, and nothing hides in it."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.messages import Direction
from gateway.ledger.entry import (
    LEAF_SIZE,
    NO_DETAIL,
    EntryClass,
    EntryType,
    Frame,
    MalformedEntry,
    decode,
    encode,
)
from gateway.v1 import audit_pb2

NOW = datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)

visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=64)
hashes = st.sampled_from([b""]) | st.binary(min_size=32, max_size=32)
frames = st.builds(
    Frame,
    type=st.sampled_from(EntryType),
    entry_class=st.sampled_from(EntryClass),
    time=st.integers(1, 253_402_300_799_999).map(
        lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    ),
    partner_id=st.just("") | st.from_regex(r"[A-Z0-9-]{2,32}", fullmatch=True),
    direction=st.none() | st.sampled_from(Direction),
    message_id=st.just(b"") | st.binary(min_size=16, max_size=16),
    transcript=hashes,
    transaction_number=st.just("") | st.from_regex(r"[A-Za-z0-9-]{8,64}", fullmatch=True),
    signing_key_id=hashes,
    kem_key_id=hashes,
    directory_version=st.integers(0, 2**64 - 1),
    agreement_id=visible,
    agreement_version=st.integers(0, 2**32 - 1),
    policy_id=visible,
    detail_commitment=st.binary(min_size=32, max_size=32),
    subject_reference=visible,
)
START = Frame(type=EntryType.START, entry_class=EntryClass.OTHER, time=NOW)


def leaf_of(message: audit_pb2.LeafFrame, extra: bytes = b"") -> bytes:
    """Return a leaf that holds whatever we want it to hold."""
    serialised = message.SerializeToString() + extra
    return (len(serialised).to_bytes(2, "big") + serialised).ljust(LEAF_SIZE, b"\0")


def message_of(frame: Frame = START) -> audit_pb2.LeafFrame:
    leaf = encode(frame)
    return audit_pb2.LeafFrame.FromString(leaf[2 : 2 + int.from_bytes(leaf[:2], "big")])


@settings(max_examples=150, deadline=None)
@given(frames)
def test_a_frame_survives_its_leaf(frame: Frame) -> None:
    leaf = encode(frame)

    assert len(leaf) == LEAF_SIZE
    assert decode(leaf) == frame


def test_the_largest_frame_fits() -> None:
    full = Frame(
        type=EntryType.AGREEMENT,
        entry_class=EntryClass.OTHER,
        time=datetime(9999, 12, 31, tzinfo=UTC),
        partner_id="P" * 32,
        direction=Direction.OUTBOUND,
        message_id=b"m" * 16,
        transcript=b"t" * 32,
        transaction_number="n" * 64,
        signing_key_id=b"s" * 32,
        kem_key_id=b"k" * 32,
        directory_version=2**64 - 1,
        agreement_id="a" * 64,
        agreement_version=2**32 - 1,
        policy_id="p" * 64,
        detail_commitment=b"d" * 32,
        subject_reference="r" * 64,
    )

    assert int.from_bytes(encode(full)[:2], "big") <= LEAF_SIZE - 2
    assert decode(encode(full)) == full


def test_numbers_and_fields_are_those_of_the_proto() -> None:
    assert {kind.name: kind.value for kind in EntryType} == {
        name.removeprefix("ENTRY_TYPE_"): number
        for name, number in audit_pb2.EntryType.items()
        if number
    }
    assert {kind.name: kind.value for kind in EntryClass} == {
        name.removeprefix("ENTRY_CLASS_"): number
        for name, number in audit_pb2.EntryClass.items()
        if number
    }
    stated = {field.name for field in fields(Frame)}
    proto = {field.name for field in audit_pb2.LeafFrame.DESCRIPTOR.fields}
    assert stated - proto == {"time"}
    assert proto - stated == {"format", "time_ms"}


def test_the_sequencer_may_stamp_time_and_commitment_afterwards() -> None:
    prepared = Frame(type=EntryType.STOP, entry_class=EntryClass.OTHER)
    with pytest.raises(MalformedEntry, match="time"):
        encode(prepared)

    stamped = replace(prepared, time=NOW, detail_commitment=b"c" * 32)

    assert encode(stamped) == encode(replace(prepared, time=NOW), b"c" * 32)
    assert decode(encode(stamped)).detail_commitment == b"c" * 32


def test_an_entry_without_detail_commits_to_zeros() -> None:
    assert message_of().detail_commitment == NO_DETAIL == bytes(32)


def test_times_of_other_zones_are_the_same_leaf() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-5)))

    assert encode(replace(START, time=elsewhere)) == encode(START)


@pytest.mark.parametrize(
    "change",
    [
        {"partner_id": "aus"},
        {"partner_id": "A"},
        {"partner_id": "A" * 33},
        {"partner_id": "AUS\n"},
        {"message_id": b"m" * 15},
        {"message_id": b"m" * 32},
        {"transcript": b"t" * 31},
        {"signing_key_id": b"t" * 33},
        {"kem_key_id": b"t"},
        {"detail_commitment": b""},
        {"detail_commitment": b"c" * 16},
        {"transaction_number": "short-7"},
        {"transaction_number": "n" * 65},
        {"transaction_number": "number one"},
        {"agreement_id": "a" * 65},
        {"policy_id": "a policy"},
        {"subject_reference": "Zoë"},
        {"directory_version": -1},
        {"directory_version": 2**64},
        {"agreement_version": 2**32},
        {"time": NOW.replace(tzinfo=None)},
        {"time": NOW.replace(microsecond=1)},
        {"time": datetime(1969, 12, 31, tzinfo=UTC)},
    ],
)
def test_a_field_that_breaks_its_rule_is_neither_written_nor_named_by_value(
    change: dict[str, Any],
) -> None:
    with pytest.raises(MalformedEntry) as refusal:
        encode(replace(START, **change))

    assert next(iter(change)) in str(refusal.value)
    value = next(iter(change.values()))
    assert not isinstance(value, str) or len(value) < 4 or value not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 0),
        ("format", 2),
        ("type", 0),
        ("type", 99),
        ("type", -1),
        ("entry_class", 0),
        ("entry_class", 5),
        ("direction", 3),
        ("time_ms", 0),
        ("time_ms", 253_402_300_800_000),
        ("time_ms", 2**64 - 1),
        ("partner_id", "x"),
        ("message_id", b"m"),
        ("detail_commitment", b""),
    ],
)
def test_a_leaf_with_a_value_outside_its_rule_is_refused(name: str, value: object) -> None:
    message = message_of()
    setattr(message, name, value)

    with pytest.raises(MalformedEntry):
        decode(leaf_of(message))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("partner_id", "aus", "not 2 to 32 of A-Z, 0-9 and hyphen, or nothing, e.g. AUS"),
        ("transaction_number", "x y", "not 8 to 64 letters, digits and hyphens, or nothing, e.g. "),
        ("agreement_id", "a b", "not at most 64 printable characters of ASCII without a space"),
        ("policy_id", "x" * 65, "without a space, e.g. facenet512"),
        ("subject_reference", "é", "without a space, e.g. SUBMIT_QUERY"),
        ("message_id", b"x", "not 0 or 16 bytes long"),
        ("agreement_version", 2**32, "not from 0 to 4294967295"),
    ],
)
def test_a_field_that_breaks_its_rule_is_told_what_it_should_be(
    name: str, value: object, said: str
) -> None:
    with pytest.raises(MalformedEntry) as told:
        encode(replace(START, **{name: value}))  # type: ignore[arg-type]

    assert str(told.value).startswith(f"{name}: ")
    assert said in str(told.value)


@pytest.mark.parametrize(
    "extra",
    [
        b"\x90\x01\x01",  # field 18, unknown
        b"\xf8\xff\xff\xff\x0f\x01",  # the highest field number
        b"\x08\x01",  # format, stated twice
        b"\x28\x00",  # direction 0, a default stated
        b"\x08\x81\x00",  # format 1 as a long varint
    ],
)
def test_a_second_way_to_write_the_same_frame_is_refused(extra: bytes) -> None:
    with pytest.raises(MalformedEntry, match="one way"):
        decode(leaf_of(message_of(), extra))


def test_nothing_hides_in_the_padding_or_behind_the_length() -> None:
    leaf = encode(START)
    length = int.from_bytes(leaf[:2], "big")

    for at in range(length + 2, LEAF_SIZE):
        with pytest.raises(MalformedEntry):
            decode(leaf[:at] + b"\x01" + leaf[at + 1 :])
    with pytest.raises(MalformedEntry, match="length"):
        decode(b"\x01\xff" + leaf[2:])
    with pytest.raises(MalformedEntry):
        decode((length + 1).to_bytes(2, "big") + leaf[2:])


@pytest.mark.parametrize("size", [0, 1, 2, LEAF_SIZE - 1, LEAF_SIZE + 1])
def test_a_leaf_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedEntry, match="512"):
        decode((encode(START) + b"\0")[:size])


def test_bytes_that_are_no_protobuf_are_refused() -> None:
    with pytest.raises(MalformedEntry, match="protobuf"):
        decode(b"\x00\x02\xff\xff".ljust(LEAF_SIZE, b"\0"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=510), st.integers(0, 520))
def test_no_leaf_brings_down_the_parser(content: bytes, length: int) -> None:
    leaf = (length.to_bytes(2, "big") + content).ljust(LEAF_SIZE, b"\0")
    try:
        frame = decode(leaf)
    except MalformedEntry:
        return
    assert encode(frame) == leaf


@settings(max_examples=150, deadline=None)
@given(frames, st.integers(0, LEAF_SIZE - 1), st.integers(1, 255))
def test_a_changed_byte_is_another_frame_or_none(frame: Frame, at: int, mask: int) -> None:
    leaf = bytearray(encode(frame))
    leaf[at] ^= mask
    try:
        assert decode(bytes(leaf)) != frame
    except MalformedEntry:
        return
