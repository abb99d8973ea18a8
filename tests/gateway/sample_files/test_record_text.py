"""Extended data of a record of a finger that no standard defines is text about a person: named, refused, taken out."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.errors import BiographicInQuery
from gateway.matching.engine import UnreadableSample
from gateway.matching.finger import read_declared
from gateway.matching.sample_files import minutiae_alone, opened
from gateway.sample_files import record_text
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.sample_text import text_in
from matcher.finger import record_fmr, synthetic
from matcher.finger.record import Format, View

FINGER = synthetic.impression(synthetic.person(7), 2, 1)
VENDOR = 0x0101
TEXT = b"ROE born 1970"
NAME = (f"extended data of a vendor's own kind {VENDOR}",)


def block(kind: int, content: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(content)) + content


def record(form: Format, extended: bytes = b"", views: int = 1) -> bytes:
    """Return a record whose last view has extended data."""
    data = record_fmr.write(
        record_fmr.at_197(form, [View(1 + at, 0, 60, FINGER) for at in range(views)])
    )
    grown = bytearray(data[:-2] + struct.pack(">H", len(extended)) + extended)
    if form is Format.INCITS_378_2004:
        struct.pack_into(">H", grown, 8, len(grown))
    else:
        struct.pack_into(">I", grown, 8, len(grown))
    if form is Format.ISO_19794_2_2011:
        at = 15
        for _ in range(views - 1):
            at += struct.unpack_from(">I", data, at)[0]
        struct.pack_into(">I", grown, at, len(grown) - at)
    return bytes(grown)


def sample(form: Format, data: bytes) -> Sample:
    return Sample(
        modality=Modality.FINGER,
        position=1,
        format=RecordFormat(int(form)),
        extractor="x",
        data=data,
        impression=0,
    )


@pytest.mark.parametrize("form", Format)
def test_a_vendors_block_is_named_without_its_value_and_cut(form: Format) -> None:
    data = record(form, block(1, b"\0\1\2\3") + block(VENDOR, TEXT), views=2)

    octets, removed = minutiae_alone(data)

    assert text_in(RecordFormat(int(form)), data) == opened(data).text == removed == NAME
    assert octets == record(form, views=2)
    assert record_fmr.read(octets).format is form


@pytest.mark.parametrize("form", Format)
def test_a_query_with_a_vendors_block_is_refused_and_one_without_is_read(form: Format) -> None:
    with pytest.raises(BiographicInQuery) as refused:
        read_declared(sample(form, record(form, block(VENDOR, TEXT))), "samples[0]")

    assert refused.value.metadata["element"] == "samples[0].data"
    # Scanners write an empty area, and what the standards define is no text.
    for fine in (b"", block(1, b"\0\1\2\3"), block(2, bytes(6)) + block(3, bytes(4))):
        assert len(read_declared(sample(form, record(form, fine)), "samples[0]"))


@pytest.mark.parametrize(
    "extended", [b"ROE", b"\0\1\0\3x", b"\0\1\0\xff" + TEXT, block(1, b"") + b"R"]
)
def test_extended_data_whose_parts_do_not_join_are_denied(extended: bytes) -> None:
    data = record(Format.ISO_19794_2_2005, extended)

    assert text_in(RecordFormat.ISO_19794_2_2005, data) == (
        "extended data whose parts do not join",
    )


def test_a_record_of_minutiae_alone_stays_byte_for_byte() -> None:
    data = record(Format.ISO_19794_2_2005, block(2, bytes(6)))

    assert minutiae_alone(data) == (data, ())
    assert opened(data).text == ()


def test_a_length_of_six_bytes_is_put_right() -> None:
    short = record(Format.INCITS_378_2004, block(VENDOR, TEXT))
    long = short[:8] + struct.pack(">HI", 0, len(short) + 4) + short[10:]

    octets, removed = minutiae_alone(long)

    assert removed == NAME
    assert len(record_fmr.read(octets).views) == 1


@pytest.mark.parametrize("form", sorted(record_text.FORMATS))
@given(junk=st.binary(max_size=8), place=st.integers(0, 80), gone=st.integers(0, 8))
def test_any_bytes_in_the_middle_are_malformed_or_read_within_their_bounds(
    form: RecordFormat, junk: bytes, place: int, gone: int
) -> None:
    whole = record(Format(int(form)), block(VENDOR, TEXT))

    with suppress(MalformedFile):
        record_text.names(form, whole[:place] + junk + whole[place + gone :])


@pytest.mark.parametrize("form", Format)
def test_a_record_that_cannot_be_looked_through_never_leaves(form: Format) -> None:
    whole = record(form, block(VENDOR, TEXT))

    for broken in (whole[:-1], whole + TEXT, b"ROE" + whole[3:], whole[:4] + b"ROE\0" + whole[8:]):
        with pytest.raises(MalformedFile):
            text_in(RecordFormat(int(form)), broken)
        with pytest.raises(UnreadableSample):
            opened(broken)
        with pytest.raises(UnreadableSample):
            minutiae_alone(broken)
