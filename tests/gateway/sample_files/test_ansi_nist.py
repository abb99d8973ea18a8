"""Transaction files are split into records that together are every byte of them; what contradicts itself is refused."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sample_files import ansi_nist
from gateway.sample_files.ansi_nist import FS, GS, US, text_record
from gateway.sample_files.errors import MalformedFile
from tests.ansi_nist_writer import binary_record, transaction

PERSON = (2, 0, text_record(2, {2: b"00", 18: b"DOE,JANE"}))
IMAGE = (4, 1, binary_record(4, 1, b"\0" + bytes(12) + FS + GS + b"9.001:1"))
FACE = (10, 2, text_record(10, {2: b"02", 3: b"FACE", 999: b"\xff\xd8" + FS + GS + b"10.003:x"}))
WHOLE = transaction(PERSON, IMAGE, FACE)


def test_the_records_are_every_byte_of_the_file() -> None:
    records = ansi_nist.read(WHOLE)

    assert [(each.kind, each.idc) for each in records] == [(1, 0), (2, 0), (4, 1), (10, 2)]
    assert b"".join(each.data for each in records) == WHOLE
    assert all(one.start + len(one.data) == other.start for one, other in pairwise(records))


def test_data_are_as_they_are_separators_among_them() -> None:
    face = ansi_nist.read(WHOLE)[3]

    offset, data = face.fields[999]
    assert data == b"\xff\xd8" + FS + GS + b"10.003:x"
    assert WHOLE[offset : offset + len(data)] == data
    assert face.fields[3][1] == b"FACE"


def test_what_is_written_holds_the_records_byte_for_byte_and_counts_them() -> None:
    first, _, image, face = ansi_nist.read(WHOLE)

    again = ansi_nist.read(ansi_nist.write(first, (image, face)))

    assert [each.data for each in again[1:]] == [image.data, face.data]
    assert again[0].fields[3][1].startswith(b"1" + US + b"2")
    assert {number: text for number, (_, text) in again[0].fields.items() if number > 3} == {
        number: text for number, (_, text) in first.fields.items() if number > 3
    }


def test_a_file_that_is_written_whole_again_is_the_same_however_it_was_spelt() -> None:
    """Field numbers and IDCs come with and without zeros; what is not said anew stays as it was."""
    spelt = WHOLE.replace(b"1.004:", b"1.0004:").replace(b"\x1e4\x1f01", b"\x1e4\x1f1")

    first, *others = ansi_nist.read(spelt)

    assert ansi_nist.write(first, others) == spelt


def test_fields_are_changed_and_left_out_and_the_rest_stays() -> None:
    record = ansi_nist.read(WHOLE)[3]

    assert ansi_nist.edited(record, {}) == record.data
    assert ansi_nist.edited(record, {3: None, 999: b"x"}) == text_record(10, {2: b"02", 999: b"x"})
    assert ansi_nist.edited(record, {999: bytes(2000)}) == text_record(
        10, {2: b"02", 3: b"FACE", 999: bytes(2000)}
    )


@pytest.mark.parametrize("size", [0, 4, 4000, 0xFFFFFFFF])
def test_a_binary_length_that_lies_is_refused(size: int) -> None:
    """Readers in the wild ran past the buffer on Type-7 (ebts/jet issues 4, 9)."""
    with pytest.raises(MalformedFile):
        ansi_nist.read(transaction(PERSON, (7, 0, size.to_bytes(4, "big") + b"\0")))


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (b"1\x1f2\x1e2\x1f00\x1e4\x1f01\x1e10\x1f02", "counts"),  # one too few
        (b"1\x1f2\x1e2\x1f00\x1e4\x1f01", "follow"),
        (b"1\x1f4\x1e2\x1f00\x1e4\x1f01\x1e10\x1f02\x1e10\x1f03", "fewer"),
        (b"1\x1f3\x1e2\x1f00\x1e10\x1f02\x1e4\x1f01", "announced"),
        (b"1\x1f3\x1e2\x1f00\x1e4\x1f02\x1e10\x1f02", "IDC"),
        (b"1\x1f3\x1e2\x1f01\x1e4\x1f01\x1e10\x1f02", "IDC"),
        (b"1\x1f3\x1e1\x1f00\x1e4\x1f01\x1e10\x1f02", "garbled"),
        (b"1\x1f3\x1e2\x1f00\x1e4\x1e10\x1f02", "garbled"),
        (b"2\x1f3\x1e2\x1f00\x1e4\x1f01\x1e10\x1f02", "counts"),
        (b"", "garbled"),
        (b"1\x1fx", "number"),
        (b"1\x1f1" + b"\x1e2\x1f00" * 100, "more than 100"),
    ],
)
def test_contents_that_are_not_those_of_the_file_are_refused(listed: bytes, why: str) -> None:
    with pytest.raises(MalformedFile, match=why):
        ansi_nist.read(transaction(PERSON, IMAGE, FACE, first={3: listed}))


def test_a_field_given_twice_is_refused() -> None:
    once = text_record(2, {2: b"00", 18: b"DOE"})
    twice = text_record(2, {2: b"00", 18: b"DOE" + GS + b"2.018:ROE"})

    assert ansi_nist.read(transaction((2, 0, once)))
    with pytest.raises(MalformedFile, match="twice"):
        ansi_nist.read(transaction((2, 0, twice)))


def test_a_record_that_ends_within_itself_is_refused() -> None:
    with pytest.raises(MalformedFile, match="within itself"):
        ansi_nist.read(transaction((2, 0, text_record(2, {2: b"00", 18: b"DOE" + FS + b"x"}))))


def test_bytes_behind_the_last_record_are_refused() -> None:
    with pytest.raises(MalformedFile, match="follow"):
        ansi_nist.read(WHOLE + b"\0")


def test_every_truncation_is_refused() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(MalformedFile):
            ansi_nist.read(WHOLE[:size])


@given(st.binary(max_size=100), st.integers(0, 400), st.integers(0, 40))
def test_any_bytes_in_the_middle_are_malformed_or_read_whole(
    junk: bytes, place: int, gone: int
) -> None:
    changed = WHOLE[:place] + junk + WHOLE[place + gone :]

    with suppress(MalformedFile):
        assert b"".join(each.data for each in ansi_nist.read(changed)) == changed
