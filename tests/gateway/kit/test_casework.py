"""What counts as kept of what follows a match: fields by paragraph, a citizen unseen, records of nobody."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.casework import Caveat, Details, DetailsOutcome, Field, FieldCode, SubjectKind
from gateway.client import Answer, Refused
from gateway.engine.inprocess import InProcessEngine
from gateway.kit import casefiles, disclosing, masking, people, reviewing
from gateway.kit.asking import Asked
from gateway.kit.attacks import Stage
from gateway.kit.disclosing import UNAGREED, WANTED
from gateway.kit.masking import NEVER
from gateway.kit.parties import Party
from gateway.kit.people import Person
from gateway.law.library import packaged
from gateway.law.parsing import parse
from gateway.office import personal
from gateway.terms import Outcome, QueryState, Receipt, Result, State
from matcher import calibration, synthetic
from matcher.probe import prepare

NOW = datetime.now(UTC)
CITIZEN = Person("P-19", "DB4 107+108", enrolled=True, impressions={}, citizen=True)
KNOWN = Person("P-01", "DB1 101+102", enrolled=True, impressions={})
CAVEAT = Caveat("AGREEMENT", "Arrangement between Canada and Australia")


def asked(person: Person, outcome: Outcome, number: str = "N-1", size: int = 8873) -> Asked:
    result = Result(
        outcome=outcome,
        decide_time=NOW,
        request_leaf_hash=bytes(32),
        hit_reference=bytes(16) if outcome is Outcome.MATCH else b"",
    )
    answer = Answer(
        outcome=outcome,
        result=result,
        transaction_number=number,
        receipt=Receipt(b"leaf", b"proof"),
        receipt_index=7,
        checkpoint_size=8,
        envelope_size=size,
        attempts=1,
        seconds=0.05,
        crypto_seconds=0.003,
    )
    return Asked(person, 2, answer, "", 0.05)


class Peer:
    """A peer that discloses what it is told to, and refuses prints as it should or does not."""

    def __init__(self, fields: Sequence[Field], reason: str = "FIELD_NOT_PERMITTED") -> None:
        self.fields, self.reason = tuple(fields), reason

    def details(self, number: str, reference: bytes, wanted: Sequence[FieldCode], **_: Any) -> Any:
        del number, reference
        if UNAGREED in wanted and self.reason:
            raise Refused("PERMISSION_DENIED", self.reason, "fields[5]")
        self.told = Details(DetailsOutcome.DISCLOSED, self.fields)
        return type("Disclosed", (), {"details": self.told})()


def fields() -> list[Field]:
    return [
        Field(code=code, value=b"X", authority="IRPR 315.41(2)(a)", caveats=(CAVEAT,))
        for code in WANTED
    ]


def told(peer: Peer) -> list[bool]:
    spoken = disclosing.disclosed(peer, [asked(KNOWN, Outcome.MATCH)])  # type: ignore[arg-type]
    return [promise.kept for promise in spoken.promises]


def test_all_fields_with_paragraph_and_caveat_keep_the_promise() -> None:
    assert told(Peer(fields())) == [True, True]


@pytest.mark.parametrize(
    "given",
    [
        fields()[1:],
        [replace(fields()[0], caveats=()), *fields()[1:]],
        [],
    ],
    ids=["one is missing", "one has no caveat", "nothing"],
)
def test_a_field_too_few_or_without_its_caveat_breaks_it(given: list[Field]) -> None:
    assert told(Peer(given)) == [True, False]


@pytest.mark.parametrize("reason", ["", "ELEMENT_INVALID"])
def test_prints_that_are_given_or_refused_for_another_reason_break_it(reason: str) -> None:
    assert told(Peer(fields(), reason)) == [False, True]


def test_without_a_hit_nothing_was_shown() -> None:
    spoken = disclosing.disclosed(Peer(fields()), [asked(KNOWN, Outcome.NO_MATCH)])  # type: ignore[arg-type]

    assert [promise.kept for promise in spoken.promises] == [False]


def test_a_citizen_who_was_found_and_not_shown_keeps_the_promise() -> None:
    answers = [asked(CITIZEN, Outcome.NO_MATCH), asked(KNOWN, Outcome.MATCH, "N-2")]

    promise, masked = masking.hidden(answers, {"N-1"}, NEVER)

    assert (promise.kept, masked) == (True, 1)
    assert asked(CITIZEN, Outcome.NO_MATCH).good


@pytest.mark.parametrize(
    ("outcome", "size", "found", "why"),
    [
        (Outcome.MATCH, 8873, {"N-1"}, NEVER),
        (Outcome.NO_MATCH, 8875, {"N-1"}, NEVER),
        (Outcome.NO_MATCH, 8873, set(), NEVER),
        (Outcome.NO_MATCH, 8873, {"N-1"}, ""),
    ],
    ids=["revealed", "of another size", "never found", "by no paragraph"],
)
def test_whatever_tells_a_citizen_apart_breaks_it(
    outcome: Outcome, size: int, found: set[str], why: str
) -> None:
    answers = [asked(CITIZEN, outcome, size=size), asked(KNOWN, Outcome.MATCH, "N-2")]

    assert not masking.hidden(answers, found, why)[0].kept


def test_the_records_of_nobody_are_records(tmp_path: Path) -> None:
    """Every row is one that the registrar's desk takes, with a photograph that is an image."""
    cast = people.with_citizen(people.invented(range(5)))

    file = casefiles.write_records(cast, tmp_path)

    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for row in rows:
        octets = (tmp_path / row["PHOTOGRAPH"]).read_bytes()
        row["PHOTOGRAPH"] = base64.b64encode(octets).decode()
    taken = dict(personal.read_row(row, NOW) for row in rows)
    assert {who: record.status.kind for who, record in taken.items()} == {
        "P-01": SubjectKind.FOREIGN_NATIONAL,
        "P-02": SubjectKind.FOREIGN_NATIONAL,
        "P-04": SubjectKind.CITIZEN,
    }
    assert all(record.data[FieldCode.LAST_NAME].value == b"SPECIMEN" for record in taken.values())
    assert all(set(WANTED) <= record.data.keys() for record in taken.values())


def test_the_agreement_with_the_clause_differs_from_australias_in_nothing_else() -> None:
    """It reveals nobody more and discloses nothing more; its band begins where au@1 has its threshold."""
    theirs = parse(packaged()["au.toml"], "au.toml")
    ours = parse(reviewing.agreement().encode(), "au-review.toml")

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
    held = [(at, synthetic.record(minutiae, at)) for at, minutiae in prints]
    engine = InProcessEngine()
    engine.load(type("Source", (), {"batches": lambda *_: [[(1, held)]]})())

    score = float(engine.search(prepare(prints), 1).score[0])

    assert score < calibration.threshold(float(reviewing.BEYOND), 1, len(prints)).score


class Reviewed:
    """A peer that says first that an examiner must look, and then what it is told to."""

    def __init__(self, first: Outcome, state: State, result: Result | None) -> None:
        self.first, self.states = first, [State.REVIEWING, state]
        self.result = result

    def query(self, samples: object, **_: Any) -> Answer:
        del samples
        answer = asked(KNOWN, self.first).answer
        assert answer is not None
        return answer

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
    monkeypatch.setattr(reviewing.commands, "run", lambda *words, **_: said[words[1]])
    cast = people.with_citizen(people.invented(range(5)))
    stage = Stage(None, peer, None, cast)  # type: ignore[arg-type]
    can = Party("CAN", Path(), Path(), Path())
    promise, receipts = reviewing.decided(stage, can, Path(), Path())
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peer = Reviewed(Outcome.REVIEW_PENDING, State.DECIDED, result(Outcome.MATCH))

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
    monkeypatch: pytest.MonkeyPatch, first: Outcome, found: Result
) -> None:
    assert not decide(monkeypatch, Reviewed(first, State.DECIDED, found))[0]


def test_a_case_that_is_still_open_or_never_was_breaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    still = Reviewed(Outcome.REVIEW_PENDING, State.REVIEWING, None)
    never = Reviewed(Outcome.REVIEW_PENDING, State.DECIDED, result(Outcome.MATCH))

    assert decide(monkeypatch, still) == (False, {})
    assert decide(monkeypatch, never, cases=0) == (False, {})
