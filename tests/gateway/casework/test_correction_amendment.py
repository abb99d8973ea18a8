"""What is left of received information: notices may come in any order, and the newest word stands."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import pytest

from gateway.casework import correction_amendment
from gateway.domain.correction import CorrectionKind, CorrectionNotice
from gateway.domain.outbound_query import StoredAnswer
from gateway.domain.person import Details, DetailsOutcome, Field, FieldCode
from gateway.wire import disclosure_payload as wire
from gateway.wire.received_fields import fields_in


def field(value: bytes, version: str) -> Field:
    return Field(
        code=FieldCode.DATE_OF_BIRTH,
        value=value,
        authority="IRPR 315.41(2)(a)",
        source_version=version,
    )


def notice(right: Field) -> CorrectionNotice:
    return CorrectionNotice(
        id=bytes(16),
        kind=CorrectionKind.WRONG_VALUE,
        fields=(right.code,),
        due=datetime(2026, 3, 1, tzinfo=UTC),
        corrected=(right,),
    )


def folder(held: Field) -> StoredAnswer:
    return StoredAnswer(details=(wire.details_bytes(Details(DetailsOutcome.DISCLOSED, (held,))),))


FIRST, SECOND, TENTH = field(b"1990", "1"), field(b"1991", "2"), field(b"1992", "10")


@pytest.mark.parametrize("order", list(permutations((SECOND, TENTH))))
def test_a_notice_that_was_overtaken_does_not_put_the_older_value_back(
    order: tuple[Field, ...],
) -> None:
    left = folder(FIRST)
    for right in order:
        left = correction_amendment.without(left, notice(right))
        assert correction_amendment.right_already(left, notice(right))

    assert [each.value for each in fields_in(left)] == [TENTH.value]


def test_versions_that_are_no_numbers_leave_the_last_word_to_who_speaks_last() -> None:
    held, told = field(b"1990", "rev-b"), field(b"1991", "rev-a")

    left = correction_amendment.without(folder(held), notice(told))

    assert [each.value for each in fields_in(left)] == [told.value]


def test_nothing_held_is_nothing_set_right() -> None:
    assert not correction_amendment.right_already(StoredAnswer(), notice(SECOND))
