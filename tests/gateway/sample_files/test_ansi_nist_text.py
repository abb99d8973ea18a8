"""Text about a person is found wherever a transaction has room for it, named without a value, and taken out."""

from __future__ import annotations

import pytest

from gateway.domain.messages import RecordFormat
from gateway.sample_files import ansi_nist, ansi_nist_text
from gateway.sample_files.ansi_nist import text_record
from gateway.sample_files.ansi_nist_text import descriptive, stripped
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.sample_text import text_in
from tests.ansi_nist_writer import binary_record, image, print_image, transaction

PERSON = (2, 0, text_record(2, {2: b"00", 18: b"DOE,JANE", 22: b"19900401"}))
PRINT = print_image(2, bytes(6))
FINE = image(14, 3, {})
SIGNATURE = (8, 4, binary_record(8, 4, bytes(30)))
ODD = (99, 5, text_record(99, {2: b"05", 999: b"DOE"}))


def test_every_record_and_field_that_is_no_sample_is_named_and_no_value() -> None:
    commented = image(14, 3, {20: b"seen with ROE", 204: b"ROE"})

    found = descriptive(
        ansi_nist.read(transaction(PERSON, PRINT, commented, SIGNATURE, ODD, first={17: b"Police"}))
    )

    assert [str(each) for each in found] == [
        "1.017 in record Type-1",
        "record Type-2, text about a person (2.018, 2.022)",
        "14.020, 14.204 in record Type-14",
        "record Type-8, a signature",
        "record Type-99, a record of another standard (99.999)",
    ]


@pytest.mark.parametrize(
    ("kind", "field"),
    [(9, 179), (9, 353), (9, 351), (9, 381), (9, 902), (10, 20), (10, 27), (10, 38), (10, 40), (10, 992), (10, 998), (13, 20), (14, 46),
     (14, 200), (14, 900), (14, 998), (15, 20), (17, 20), (17, 21), (17, 902), (19, 993), (14, 1000)],
)  # fmt: skip
def test_a_field_that_no_sample_needs_is_denied(kind: int, field: int) -> None:
    record = (kind, 1, text_record(kind, {2: b"01", field: b"DOE"}))

    (found,) = descriptive(ansi_nist.read(transaction(record)))

    assert found.fields == (field,)


def test_records_that_hold_samples_alone_stay_byte_for_byte() -> None:
    whole = transaction(PERSON, PRINT, FINE, SIGNATURE)

    octets, removed = stripped(whole)

    first, *others = ansi_nist.read(octets)
    assert [each.data for each in others] == [PRINT[2], FINE[2]]
    assert [each.kind for each in removed] == [2, 8]
    before = ansi_nist.read(whole)[0].fields
    assert {n: text for n, (_, text) in first.fields.items() if n not in (1, 3)} == {
        n: text for n, (_, text) in before.items() if n not in (1, 3)
    }
    assert b"JANE" not in octets


def test_a_field_goes_and_its_record_is_as_it_was_without_it() -> None:
    octets, _ = stripped(transaction(PRINT, image(14, 3, {20: b"ROE", 204: b"ROE"})))

    assert octets == transaction(PRINT, FINE)


def test_where_there_is_nothing_to_take_out_the_file_is_the_same() -> None:
    whole = transaction(PRINT, FINE)

    assert stripped(whole) == (whole, ())


def test_what_is_stripped_holds_nothing_more_to_strip() -> None:
    octets, removed = stripped(transaction(PERSON, PRINT, image(14, 3, {998: b"x"}), ODD))

    assert removed
    assert descriptive(ansi_nist.read(octets)) == ()


def test_a_file_of_text_alone_is_refused() -> None:
    with pytest.raises(MalformedFile, match="no sample"):
        stripped(transaction(PERSON))


def test_a_type_2_record_that_was_not_announced_does_not_slip_through() -> None:
    smuggled = transaction(PRINT, (9, 3, PERSON[2]))

    with pytest.raises(MalformedFile, match="announced"):
        stripped(smuggled)


@pytest.mark.parametrize("kind", [3, 5, 6])
def test_a_binary_record_that_nobody_looks_into_is_no_sample(kind: int) -> None:
    whole = transaction(PRINT, (kind, 9, binary_record(kind, 9, bytes(13) + b"ROE born 1970")))

    octets, removed = stripped(whole)

    assert [each.kind for each in removed] == [kind]
    assert octets == transaction(PRINT)


def test_every_type_that_holds_samples_is_a_type_of_the_standard() -> None:
    assert set(ansi_nist_text.SAMPLE_FIELDS) <= {1, 4, *range(9, 20)}


CASE = {4: b"CAR", 7: b"CANADA", 8: b"POST 7", 9: b"T-17", 10: b"T-16", 13: b"NORAM", 16: b"EBTS"}


@pytest.mark.parametrize("field", CASE)
def test_what_leads_to_a_case_is_denied_within_a_sample(field: int) -> None:
    whole = transaction(PRINT, first={field: CASE[field]})

    octets, (removed,) = stripped(whole)

    assert text_in(RecordFormat.ANSI_NIST, whole) == (f"1.{field:03d} in record Type-1",)
    assert (removed.kind, removed.fields) == (1, (field,))
    assert CASE[field] not in octets
    first, taken = ansi_nist.read(octets)
    assert taken.data == PRINT[2]
    # What the standard demands of Type-1 stays, and says nothing.
    stated = {each: content for each, (_, content) in first.fields.items()}
    assert {**ansi_nist.UNSAID, **stated}.items() >= ansi_nist.UNSAID.items()
    assert text_in(RecordFormat.ANSI_NIST, octets) == ()


def test_a_sample_that_is_made_of_a_file_says_nothing_of_its_case() -> None:
    first, taken = ansi_nist.read(transaction(PRINT, first=CASE))

    assert text_in(RecordFormat.ANSI_NIST, ansi_nist.alone(first, taken)) == ()
