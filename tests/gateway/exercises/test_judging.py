"""What counts as a broken promise. The demonstration is worth nothing if it cannot fail."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from gateway.client import Answer
from gateway.domain.messages import Outcome, Receipt, Result
from gateway.exercises.demo import attacks
from gateway.exercises.demo.output import DemoOutput
from gateway.exercises.demo.people import Person
from gateway.exercises.demo.queries import AskedQuery, percentile
from gateway.exercises.demo.scenario import Demo, Verified
from gateway.exercises.demo.summary import MISSED_ALLOWED, summarise
from gateway.exercises.scratch_folder import Scratch

KNOWN = Person("P-01", "DB1 101+102", enrolled=True, impressions={1: (), 2: ()})
OTHER = Person("P-02", "DB1 103+104", enrolled=True, impressions={1: (), 2: ()})
UNKNOWN = Person("P-03", "DB1 105+106", enrolled=False, impressions={1: (), 2: ()})
WHOLE = Verified(ok=True, entries=10, hits={})


def asked(
    person: Person, outcome: Outcome | None, number: str = "N-1", size: int = 8873
) -> AskedQuery:
    if outcome is None:
        return AskedQuery(person, 2, None, "nobody answered", 1.0)
    answer = Answer(
        outcome=outcome,
        result=Result(outcome=outcome, decide_time=datetime.now(UTC), request_leaf_hash=bytes(32)),
        transaction_number=number,
        receipt=Receipt(b"leaf", b"proof"),
        receipt_index=7,
        checkpoint_size=8,
        envelope_size=size,
        attempts=1,
        seconds=0.05,
        crypto_seconds=0.003,
    )
    return AskedQuery(person, 2, answer, "", 0.05)


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    telling = DemoOutput(Console(file=io.StringIO(), width=120))
    return Demo(Scratch(tmp_path / "demo"), telling, None)


def broken(demo: Demo) -> list[str]:
    return [one.says for one in demo.kept if not one.kept]


def test_right_answers_break_no_promise(demo: Demo) -> None:
    answers = (asked(KNOWN, Outcome.MATCH), asked(UNKNOWN, Outcome.NO_MATCH, "N-2"))
    summary = summarise(answers, {"N-1": "P-01"})

    demo.judge(summary, replace(WHOLE, hits={"N-1": "P-01"}))

    assert broken(demo) == []
    assert (summary.hits, summary.no_hits, summary.wrong_hits, summary.missed) == (1, 1, 0, 0)


def test_a_hit_on_an_unknown_person_is_wrong(demo: Demo) -> None:
    summary = summarise((asked(UNKNOWN, Outcome.MATCH),), {"N-1": "P-01"})

    demo.judge(summary, WHOLE)

    assert summary.wrong_hits == 1
    assert "no unknown person was a hit" in broken(demo)[0]


def test_a_hit_on_the_wrong_person_is_wrong_although_it_is_a_hit(demo: Demo) -> None:
    """The asker cannot see it; only the sealed detail names whom a hit was on."""
    summary = summarise((asked(KNOWN, Outcome.MATCH),), {"N-1": "P-02"})

    demo.judge(summary, WHOLE)

    assert summary.wrong_hits == 1
    assert broken(demo)


def test_a_hit_that_the_ledger_does_not_know_is_wrong() -> None:
    assert summarise((asked(KNOWN, Outcome.MATCH),), {}).wrong_hits == 1


def test_a_question_without_an_answer_breaks_the_promise_of_receipts(demo: Demo) -> None:
    summary = summarise((asked(UNKNOWN, Outcome.NO_MATCH), asked(UNKNOWN, None)), {})

    demo.judge(summary, WHOLE)

    assert (summary.queries, summary.receipts_verified, summary.unanswered) == (2, 1, 1)
    assert "every question was answered" in broken(demo)[0]


def test_nothing_asked_proves_nothing(demo: Demo) -> None:
    demo.judge(summarise((), {}), WHOLE)

    assert broken(demo)


def test_a_few_mates_may_be_missed_and_more_may_not(demo: Demo) -> None:
    """A matcher errs; how much is allowed is said, and counted against it."""
    many = 20
    hits = {f"N-{number}": "P-01" for number in range(many)}
    answers = [asked(KNOWN, Outcome.MATCH, number) for number in hits]
    allowed = int(MISSED_ALLOWED * many)
    for number in range(allowed):
        answers[number] = asked(KNOWN, Outcome.NO_MATCH, f"N-{number}")
    demo.judge(summarise(answers, hits), WHOLE)
    assert broken(demo) == []

    answers[allowed] = asked(KNOWN, Outcome.QUALITY_INSUFFICIENT)
    summary = summarise(answers, hits)
    demo.judge(summary, WHOLE)

    assert summary.missed == allowed + 1
    assert "were missed" in broken(demo)[0]


def test_answers_of_two_sizes_are_told_apart() -> None:
    same = (asked(KNOWN, Outcome.MATCH), asked(UNKNOWN, Outcome.NO_MATCH))
    other = (asked(KNOWN, Outcome.MATCH), asked(UNKNOWN, Outcome.NO_MATCH, size=8875))

    assert attacks.alike(same, 8873).kept
    assert not attacks.alike(other, 8873).kept
    assert not attacks.alike(same, 8875).kept


def test_without_a_hit_and_a_no_hit_there_is_nothing_to_compare() -> None:
    assert not attacks.alike((asked(KNOWN, Outcome.MATCH),), 8873).kept


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_a_percentile_of_nothing_is_nothing() -> None:
    assert percentile([], 0.5) == 0.0


def test_the_table_has_a_row_a_person_and_names_what_went_wrong() -> None:
    file = io.StringIO()
    telling = DemoOutput(Console(file=file))

    telling.people(
        [
            asked(KNOWN, Outcome.MATCH),
            asked(KNOWN, Outcome.NO_MATCH, "N-2"),
            asked(OTHER, None),
            asked(UNKNOWN, Outcome.NO_MATCH, "N-3"),
        ]
    )

    told = file.getvalue()
    first, *_, last = (line for line in told.splitlines() if "DB1" in line)
    assert all(word in first for word in ("✓", "P-01", "DB1 101+102", "hit", "50", "#7", "✗"))
    assert last.count("no hit") == 2
    assert "P-01 impression 2: expected hit, came no hit" in told
    assert "P-02 impression 2: expected hit, came nobody answered" in told
