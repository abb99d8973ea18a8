"""What must follow a REVIEW: the prints are owed until a verdict, or the end of the time for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.sequence_rules import CLOSING_GRACE, REVIEW_LONGEST
from gateway.ledger.verify import Report, Severity, verify_log

if TYPE_CHECKING:
    from conftest import Ledger, Words

OTHER = EntryClass.OTHER
DAY = 86_400 - CLOSING_GRACE.total_seconds()


def judged(ledger: Ledger) -> Report:
    return verify_log(ledger.leaves, ledger.notes, ledger.log, ledger.details.get)


def faults(ledger: Ledger) -> list[str]:
    return [f.text for f in judged(ledger).findings if f.severity is Severity.FAULT]


@pytest.fixture
def reviewed(empty_ledger: Ledger, words: Words) -> Ledger:
    """A query that was answered REVIEW_PENDING."""
    empty_ledger.commit(words.request())
    empty_ledger.commit(words.entry(EntryType.REVIEW, 1, OTHER), words.response())
    return empty_ledger


def frames(words: Words, *kinds: EntryType) -> list[Frame]:
    return [words.entry(kind, 1, OTHER) for kind in kinds]


@pytest.mark.parametrize("last", [EntryType.VERDICT, EntryType.ABANDONED])
@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("seconds", [60, DAY])
def test_a_review_ends_with_its_prints(
    reviewed: Ledger, words: Words, last: EntryType, noted: bool, seconds: float
) -> None:
    """Hours later too, when the exchange itself is long forgotten."""
    if noted:
        reviewed.commit(*frames(words, EntryType.VERDICT), seconds=seconds)
    reviewed.commit(words.own(), seconds=seconds)
    reviewed.commit(*frames(words, EntryType.DESTRUCTION, last))

    assert faults(reviewed) == []
    assert judged(reviewed).findings == ()


def test_an_open_review_is_told_and_in_time_a_fault(reviewed: Ledger, words: Words) -> None:
    assert faults(reviewed) == []
    assert [f.text for f in judged(reviewed).findings] == [
        "a REVIEW is open; it may still be under way"
    ]

    reviewed.now += REVIEW_LONGEST
    reviewed.commit(words.own())

    assert faults(reviewed) == ["a REVIEW was never ended"]


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        (
            [EntryType.DESTRUCTION],
            "prints of a review were destroyed and nothing ended it",
        ),
        (
            [EntryType.VERDICT, EntryType.VERDICT],
            "a second VERDICT, and the prints were not destroyed",
        ),
        (
            [EntryType.ABANDONED],
            "a REVIEW was abandoned and its prints were not destroyed",
        ),
        (
            [EntryType.DESTRUCTION, EntryType.DESTRUCTION, EntryType.VERDICT],
            "a second DESTRUCTION of the same prints",
        ),
        (
            [EntryType.DESTRUCTION, EntryType.VERDICT, EntryType.VERDICT],
            "a VERDICT to no open REVIEW",
        ),
        (
            [EntryType.DESTRUCTION, EntryType.VERDICT, EntryType.ABANDONED],
            "a ABANDONED to what was closed before",
        ),
        ([EntryType.REVIEW], "a REVIEW of prints that are gone, or of no REQUEST"),
    ],
)
def test_a_review_that_ends_otherwise_is_found(
    reviewed: Ledger, words: Words, kinds: list[EntryType], told: str
) -> None:
    reviewed.commit(*frames(words, *kinds))

    assert told in faults(reviewed)


@pytest.mark.parametrize("kind", [EntryType.REVIEW, EntryType.VERDICT])
def test_a_review_of_nothing_is_found(empty_ledger: Ledger, words: Words, kind: EntryType) -> None:
    empty_ledger.commit(*frames(words, kind))

    assert len(faults(empty_ledger)) == 1


def test_prints_that_are_gone_cannot_be_reviewed(empty_ledger: Ledger, words: Words) -> None:
    empty_ledger.commit(words.request())
    empty_ledger.commit(*frames(words, EntryType.DESTRUCTION, EntryType.REVIEW), words.response())

    assert faults(empty_ledger) == ["a REVIEW of prints that are gone, or of no REQUEST"]
