"""A review that is demonstrated is one: the agreement differs in nothing else, and a lost verdict is noticed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Answer
from gateway.domain.messages import Modality, Outcome, QueryState, Result, State
from gateway.exercises.demo import people, review
from gateway.exercises.demo.attacks import Stage
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import Person
from gateway.exercises.demo.queries import AskedQuery
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse
from gateway.matching.calibrations import shipped
from gateway.matching.engine import OperatingPoint
from gateway.matching.finger import FingerCodec, FingerEngine
from gateway.matching.modality import least_score
from matcher.finger import synthetic

NOW = datetime.now(UTC)
KNOWN = Person("P-01", "DB1 101+102", enrolled=True, impressions={})


def test_the_agreement_with_the_clause_differs_from_australias_in_nothing_else() -> None:
    """It reveals nobody more and discloses nothing more; its band begins where au@1 has its threshold."""
    theirs = parse(packaged()["au.toml"], "au.toml")
    ours = parse(review.agreement().encode(), "au-review.toml")

    assert ours.answering.reveal.keys() == theirs.answering.reveal.keys()
    for place, cell in ours.answering.reveal.items():
        assert cell.reveal == theirs.answering.reveal[place].reveal
    assert [block.codes for block in ours.answering.blocks] == [
        block.codes for block in theirs.answering.blocks
    ]
    assert ours.review is not None
    assert ours.review.floor_fpir == theirs.fpir
    assert ours.fpir < ours.review.floor_fpir


def test_no_score_reaches_the_machine_of_that_agreement() -> None:
    """The fewest people have the lowest threshold; records beside themselves have the highest score."""
    who = synthetic.person(1)
    prints = [(at, synthetic.impression(who, at, 1)) for at in people.POSITIONS]
    codec, engine = FingerCodec(), FingerEngine()
    held = [codec.sample(synthetic.record(minutiae, at), at, "test") for at, minutiae in prints]
    engine.load(type("Source", (), {"batches": lambda *_: [[(1, held)]]})())
    probe = engine.read({str(at): one for at, one in enumerate(held)})
    engine.prepare(probe)

    found = engine.search(probe, OperatingPoint(float(review.BEYOND)), 1, lambda: 10.0)

    (best,) = found.candidates
    assert best.shared == len(people.POSITIONS)
    assert best.score < least_score(
        shipped(), float(review.BEYOND), 1, {Modality.FINGER: best.shared}
    )


class Reviewed:
    """A peer that says first that an examiner must look, and then what it is told to."""

    def __init__(self, first: AskedQuery, state: State, result: Result | None) -> None:
        self.first, self.states = first, [State.REVIEWING, state]
        self.result = result

    def query(self, samples: object, **_: Any) -> Answer:
        del samples
        assert self.first.answer is not None
        return self.first.answer

    def state(self, number: str) -> QueryState:
        del number
        state = self.states.pop(0)
        return QueryState(state, None if state is State.REVIEWING else self.result)


def decide(
    monkeypatch: pytest.MonkeyPatch, peer: Reviewed, cases: int = 1
) -> tuple[bool, dict[str, str]]:
    """Let the peer's case be decided by commands that say what ours would."""
    said = {
        "list": {"cases": [{"case": f"R-{number}"} for number in range(cases)]},
        "show": {"fingers": [{"pairs": [[0, 0], [1, 1]]}]},
        "decide": {"ok": True},
    }
    monkeypatch.setattr(review.subprocess_cli, "run", lambda *words, **_: said[words[1]])
    cast = people.with_citizen(people.invented(range(5)))
    stage = Stage(None, peer, None, cast)  # type: ignore[arg-type]
    can = Party("CAN", Path(), Path(), Path())
    one = AskedQuery(cast.known[0], 2, None, "", 0.0)
    promise, receipts = review.decided(stage, can, Path(), Path(), one)
    return promise.kept, receipts


def result(outcome: Outcome, reference: bytes = bytes(16)) -> Result:
    return Result(
        outcome=outcome,
        decide_time=NOW,
        request_leaf_hash=bytes(32),
        hit_reference=reference,
        destruction_receipt_id="D-1",
    )


def test_a_case_that_waited_and_became_a_match_keeps_the_promise(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Reviewed(asked(KNOWN, Outcome.REVIEW_PENDING), State.DECIDED, result(Outcome.MATCH))

    assert decide(monkeypatch, peer) == (True, {"N-1": "D-1"})


@pytest.mark.parametrize(
    ("first", "found"),
    [
        (Outcome.MATCH, result(Outcome.MATCH)),
        (Outcome.REVIEW_PENDING, result(Outcome.NO_MATCH, b"")),
        (Outcome.REVIEW_PENDING, result(Outcome.MATCH, b"")),
    ],
    ids=["nobody was asked", "the verdict was lost", "there is no reference"],
)
def test_a_verdict_that_changes_nothing_breaks_it(
    asked: Any, monkeypatch: pytest.MonkeyPatch, first: Outcome, found: Result
) -> None:
    assert not decide(monkeypatch, Reviewed(asked(KNOWN, first), State.DECIDED, found))[0]


def test_a_case_that_is_still_open_or_never_was_breaks_it(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = Reviewed(asked(KNOWN, Outcome.REVIEW_PENDING), State.REVIEWING, None)
    never = Reviewed(asked(KNOWN, Outcome.REVIEW_PENDING), State.DECIDED, result(Outcome.MATCH))

    assert decide(monkeypatch, still) == (False, {})
    assert decide(monkeypatch, never, cases=0) == (False, {})
