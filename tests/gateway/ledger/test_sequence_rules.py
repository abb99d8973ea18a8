"""What must follow what, told from frames; each test the history of one exchange."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.ledger import sequence_rules
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.sequence_rules import CLOSING_GRACE, REPLAY_WINDOW, SequenceRules
from gateway.ledger.verify import Report, Severity, verify_log

if TYPE_CHECKING:
    from conftest import Ledger, Words

OTHER, DENIED = EntryClass.OTHER, EntryClass.DENIED


@pytest.fixture
def empty(empty_ledger: Ledger) -> Ledger:
    return empty_ledger


def judged(ledger: Ledger) -> Report:
    return verify_log(ledger.leaves, ledger.notes, ledger.log, ledger.details.get)


def faults(ledger: Ledger) -> list[tuple[int, str]]:
    """Return index and words of what was found, and that only the sequence rules found it."""
    report = judged(ledger)
    assert report.last is not None
    assert report.last.size == len(ledger.leaves)
    return [(f.index, f.text) for f in report.findings if f.severity is Severity.FAULT]


def refusal(words: Words, number: int = 1, entry_class: EntryClass = DENIED) -> Frame:
    return words.entry(EntryType.REFUSAL, number, entry_class)


def test_a_refusal_without_a_request_is_the_common_case(empty: Ledger, words: Words) -> None:
    empty.commit(refusal(words), refusal(words), refusal(words, 2, OTHER))

    assert faults(empty) == []


@pytest.mark.parametrize(
    "kinds",
    [
        (EntryType.DESTRUCTION, EntryType.RESPONSE),
        (EntryType.RESPONSE, EntryType.DESTRUCTION),
        (EntryType.REFUSAL,),
        (EntryType.DESTRUCTION, EntryType.REFUSAL),
        (EntryType.REFUSAL, EntryType.DESTRUCTION),
        (EntryType.ABANDONED,),
        (EntryType.ABANDONED, EntryType.DESTRUCTION),
    ],
)
def test_a_request_is_closed_in_any_lawful_way(
    empty: Ledger, words: Words, kinds: tuple[EntryType, ...]
) -> None:
    classes = {EntryType.RESPONSE: EntryClass.ANSWERED, EntryType.REFUSAL: DENIED}
    empty.commit(words.request())
    empty.commit(*(words.entry(kind, 1, classes.get(kind, OTHER)) for kind in kinds))

    assert faults(empty) == []


def test_an_answered_query_without_destruction_is_found(empty: Ledger, words: Words) -> None:
    """IRPR 315.43(2): prints die whatever the outcome; protocol 4, step 20: in the same commit."""
    empty.commit(words.request())
    empty.commit(words.response())
    assert faults(empty) == [(0, "a query was answered and its prints were never destroyed")]

    # A destruction that comes in a later commit is not the one that was promised.
    empty.commit(words.entry(EntryType.DESTRUCTION, 1, OTHER))
    assert [index for index, _ in faults(empty)] == [0, 2]


def test_an_answer_that_searched_nothing_destroys_nothing(empty: Ledger) -> None:
    empty.exchange(1, "GET_QUERY_STATE")

    assert faults(empty) == []


def test_prints_are_destroyed_once(empty: Ledger, words: Words) -> None:
    destruction = words.entry(EntryType.DESTRUCTION, 1, OTHER)
    empty.commit(words.request())
    empty.commit(destruction, destruction, words.response())

    assert faults(empty) == [(2, "a second DESTRUCTION of the same prints")]


def test_each_attempt_destroys_its_own_prints(empty: Ledger, words: Words) -> None:
    """The engine failed twice; the retry brought the prints anew each time (protocol 4, step 18)."""
    destruction = words.entry(EntryType.DESTRUCTION, 1, OTHER)
    empty.commit(words.request())
    for _ in range(2):
        empty.commit(destruction, refusal(words, entry_class=OTHER))
    empty.commit(destruction, words.response())

    assert faults(empty) == []


def test_the_prints_of_a_retry_are_not_covered_by_the_first_destruction(
    empty: Ledger, words: Words
) -> None:
    empty.commit(words.request())
    empty.commit(words.entry(EntryType.DESTRUCTION, 1, OTHER), refusal(words, entry_class=OTHER))
    empty.commit(words.response())

    assert faults(empty) == [(0, "a query was answered and its prints were never destroyed")]


@pytest.mark.parametrize(
    ("entry_class", "part"), [(DENIED, "ask"), (OTHER, "other bytes"), (DENIED, "other bytes")]
)
def test_no_other_refusal_allows_a_second_destruction(
    empty: Ledger, words: Words, entry_class: EntryClass, part: str
) -> None:
    destruction = words.entry(EntryType.DESTRUCTION, 1, OTHER)
    empty.commit(words.request())
    empty.commit(destruction, words.entry(EntryType.REFUSAL, 1, entry_class, part))
    empty.commit(destruction, words.response())

    assert faults(empty) == [(3, "a second DESTRUCTION of the same prints")]


def test_a_refusal_after_the_answer_allows_no_further_destruction(
    empty: Ledger, words: Words
) -> None:
    destruction = words.entry(EntryType.DESTRUCTION, 1, OTHER)
    empty.commit(words.request())
    empty.commit(destruction, words.response(), refusal(words, entry_class=OTHER), destruction)

    assert faults(empty) == [(4, "a second DESTRUCTION of the same prints")]


def test_a_destruction_for_nobody_is_found(empty: Ledger, words: Words) -> None:
    empty.commit(words.entry(EntryType.DESTRUCTION, 1, OTHER))

    assert faults(empty) == [(0, "a DESTRUCTION for no REQUEST, or long after its answer")]


@pytest.mark.parametrize("kind", [EntryType.RESPONSE, EntryType.ABANDONED])
def test_an_answer_to_what_was_never_asked_is_found(
    empty: Ledger, words: Words, kind: EntryType
) -> None:
    empty.commit(words.entry(kind, 1, EntryClass.ANSWERED))

    assert faults(empty) == [(0, f"a {kind.name} to no REQUEST")]


def test_a_request_closed_twice_is_found(empty: Ledger, words: Words) -> None:
    empty.exchange(1, "GET_QUERY_STATE")
    empty.commit(words.response())
    empty.commit(words.entry(EntryType.ABANDONED, 1, OTHER))

    assert [index for index, _ in faults(empty)] == [2, 3]
    assert all("closed before" in text for _, text in faults(empty))


def test_a_message_is_accepted_once(empty: Ledger, words: Words) -> None:
    empty.commit(words.request(), words.request())
    assert faults(empty) == [(1, "the message of this REQUEST was accepted before, at leaf 0")]

    empty.commit(words.entry(EntryType.ABANDONED, 1, OTHER))
    empty.commit(words.request())
    assert [index for index, _ in faults(empty)] == [1, 3]


def test_two_partners_may_choose_the_same_identifier(empty: Ledger, words: Words) -> None:
    empty.commit(words.request(), replace(words.request(), partner_id="NZL"))
    empty.commit(
        *(
            replace(words.entry(EntryType.ABANDONED, 1, OTHER), partner_id=partner)
            for partner in ("AUS", "NZL")
        )
    )

    assert faults(empty) == []


@pytest.mark.parametrize("entry_class", [OTHER, DENIED])
def test_what_was_refused_on_the_way_may_still_be_answered(
    empty: Ledger, words: Words, entry_class: EntryClass
) -> None:
    """The search failed; an identical retry is answered under the same REQUEST (ledger 10)."""
    empty.commit(words.request(operation="GET_QUERY_STATE"))
    empty.commit(refusal(words, entry_class=entry_class))
    empty.commit(words.response())

    assert faults(empty) == []


def test_what_was_refused_on_the_way_may_be_abandoned_when_nobody_comes_back(
    empty: Ledger, words: Words
) -> None:
    empty.commit(words.request())
    empty.commit(refusal(words))
    empty.now += 2 * REPLAY_WINDOW
    empty.commit(words.entry(EntryType.ABANDONED, 1, OTHER))

    assert judged(empty).findings == ()


def test_a_refusal_for_good_closes_and_one_for_now_does_not(empty: Ledger, words: Words) -> None:
    empty.commit(words.request(1), words.request(2))
    empty.commit(refusal(words, 1, DENIED), refusal(words, 2, OTHER))
    assert [f.index for f in judged(empty).findings] == [1]

    empty.now += CLOSING_GRACE
    empty.commit(words.own())
    assert faults(empty) == [(1, "a REQUEST was never closed")]


def test_a_refused_message_with_the_same_identifier_closes_nothing(
    empty: Ledger, words: Words
) -> None:
    """The same message_id with other bytes is another message."""
    empty.commit(words.request(operation="GET_QUERY_STATE"))
    empty.commit(words.entry(EntryType.REFUSAL, 1, DENIED, "other bytes"))

    assert [f.text for f in judged(empty).findings] == [
        "a REQUEST is open; it may still be under way"
    ]


def test_a_request_left_open_is_told_and_in_time_a_fault(empty: Ledger, words: Words) -> None:
    empty.commit(words.request())
    report = judged(empty)
    assert report.ok
    assert [(f.severity, f.index) for f in report.findings] == [(Severity.NOTICE, 0)]

    empty.now += CLOSING_GRACE
    empty.commit(words.own())
    assert not judged(empty).ok
    assert faults(empty) == [(0, "a REQUEST was never closed")]


@pytest.mark.parametrize(
    ("kind", "entry_class"),
    [
        (EntryType.REQUEST, DENIED),
        (EntryType.RESPONSE, OTHER),
        (EntryType.REFUSAL, EntryClass.ANSWERED),
    ],
)
def test_a_class_that_contradicts_its_type_is_found(
    empty: Ledger, words: Words, kind: EntryType, entry_class: EntryClass
) -> None:
    empty.commit(words.entry(kind, 1, entry_class))

    assert (0, f"a {kind.name} of class {entry_class.name}") in faults(empty)


@pytest.mark.parametrize("lost", [{"partner_id": ""}, {"message_id": b""}])
def test_an_exchange_names_its_partner_and_message(
    empty: Ledger, words: Words, lost: dict[str, str]
) -> None:
    empty.commit(replace(words.request(), **lost))  # type: ignore[arg-type]

    assert faults(empty) == [(0, "a REQUEST that does not name its partner and message")]


def test_acts_of_the_gateway_have_no_sequence_rules(empty: Ledger, words: Words) -> None:
    ordered = {EntryType.HOLD, EntryType.DECISION, EntryType.RETENTION}  # see test_shredding
    ordered |= {EntryType.PROPOSAL}  # likewise
    ordered |= {EntryType.REVIEW, EntryType.VERDICT}  # see test_sequence_rules_review
    ordered |= {kind for kind, _, _ in sequence_rules._EDGES}  # see test_sequel
    kinds = set(EntryType) - {EntryType.REQUEST, EntryType.RESPONSE, EntryType.ABANDONED} - ordered
    empty.commit(*(words.own(kind) for kind in sorted(kinds - {EntryType.DESTRUCTION})))

    assert [text for _, text in faults(empty)] == []


def test_memory_is_of_what_is_open_and_of_an_hour(words: Words) -> None:
    rules, now = SequenceRules(), words.now

    for number in range(1000):
        now += timedelta(seconds=10)
        last = refusal(words, number) if number % 2 else words.response(number)
        for frame in (words.request(number, "GET_QUERY_STATE"), last):
            assert list(rules.read(number, replace(frame, time=now))) == []
        assert list(rules.commit()) == []

    assert not rules._fresh
    assert len(rules._known) == len(rules._ages) == CLOSING_GRACE.total_seconds() / 10


def test_what_is_closed_very_late_is_forgotten_too(words: Words) -> None:
    rules, now = SequenceRules(), words.now
    list(rules.read(0, replace(words.request(), time=now)))
    list(rules.read(1, replace(words.own(), time=now + CLOSING_GRACE)))
    assert len(rules._known) == 1

    late = now + 2 * CLOSING_GRACE
    list(rules.read(2, replace(words.entry(EntryType.ABANDONED, 1, OTHER), time=late)))
    list(rules.read(3, replace(words.own(), time=late)))

    assert not rules._known
    assert not rules._ages


def test_an_identifier_may_return_when_its_first_message_has_long_expired(
    empty: Ledger, words: Words
) -> None:
    empty.exchange(1)
    empty.now += REPLAY_WINDOW
    empty.exchange(1)

    assert faults(empty) == []


def test_an_identifier_that_returned_is_not_forgotten_with_its_first_message(
    empty: Ledger, words: Words
) -> None:
    empty.exchange(1)
    empty.now += CLOSING_GRACE - timedelta(minutes=5)
    empty.exchange(1)
    empty.now += timedelta(minutes=6)
    empty.commit(words.request(1))

    assert [text for _, text in faults(empty)] == [
        "the message of this REQUEST was accepted before, at leaf 3"
    ]
