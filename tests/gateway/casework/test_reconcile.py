"""Two gateways that told each other everything agree, whatever was lost, late, refused or asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.auditor.index import Index
from gateway.auditor.reconcile import Compared, Message, Part, compare, state
from gateway.auditor.reconcile_messages import recorded
from gateway.law.agreement import AgreementsInForce
from tests.gateway import ledger_reading
from tests.gateway.casework.outbound_requests import record

PERIOD = (0, 2**43)


def told(side: Any, us: str, other: str) -> list[Message]:
    with ledger_reading.read(side.home) as stored, Index.passing() as index:
        index.extend(stored, None)
        return recorded(index, us, other, *PERIOD)


def compared(sides: Any) -> tuple[Compared, Compared]:
    """Compare both ways: what CAN sees, what AUS sees."""
    can, aus = sides
    ours, theirs = told(can, "CAN", "AUS"), told(aus, "AUS", "CAN")
    now = can.clock.now()

    def stated(messages: list[Message], us: str, other: str) -> Any:
        return state(messages, us, other, PERIOD, salt=bytes(32), made=now, checkpoint=b"")

    return (
        compare(ours, "CAN", stated(theirs, "AUS", "CAN")),
        compare(theirs, "AUS", stated(ours, "CAN", "AUS")),
    )


def parts(messages: list[Message]) -> dict[Part, int]:
    return {part: sum(each.part is part for each in messages) for part in Part}


def test_what_one_side_forgot_is_named_by_the_other(sides: Any, ask: Any) -> None:
    can, aus = sides
    numbers = [ask(seed)["number"] for seed in (1, 2)]
    ours, theirs = told(can, "CAN", "AUS"), told(aus, "AUS", "CAN")
    assert sorted(each.number for each in ours) == sorted(numbers * 2)

    for part in (Part.QUESTION, Part.ANSWER):
        kept = [each for each in theirs if (each.number, each.part) != (numbers[0], part)]
        said = state(
            kept, "AUS", "CAN", PERIOD, salt=bytes(32), made=can.clock.now(), checkpoint=b""
        )
        found = compare(ours, "CAN", said)
        assert [(each.number, each.part) for each in found.only_here] == [(numbers[0], part)]
        assert (found.both, found.only_there) == (3, 0)


def test_every_kind_of_message_stands_in_both_ledgers(sides: Any, ask: Any) -> None:
    """Questions, details, a correction, its acknowledgement; and what reads a state is nobody's question."""
    can, aus = sides
    record(aus, b"1990-01-01")
    number = ask(1)["number"]
    can.act("asked.details", number=number, fields=["DATE_OF_BIRTH"], case="C-17", unit="U-3")
    can.act("asked.show", number=number)
    can.act("use.record", number=number, used_in="R-1")
    record(aus, b"1991-01-01")
    aus.act("corrections.open", subject="P-1", kind="WRONG_VALUE", reason="typed wrong")
    opened = compared(sides)  # nothing has left yet
    aus.walk()
    can.walk()

    expected = {
        Part.QUESTION: 2,
        Part.ANSWER: 2,
        Part.CORRECTION: 1,
        Part.ACKNOWLEDGEMENT: 1,
    }
    for side, us, other in zip(sides, ("CAN", "AUS"), ("AUS", "CAN"), strict=True):
        assert parts(told(side, us, other)) == expected
    for before, after in zip(opened, compared(sides), strict=True):
        assert before.clean
        assert (after.clean, after.both, after.unanswered) == (True, 6, 0)
    assert [each.unanswered for each in opened] == [0, 1]


def test_a_question_that_nobody_took_or_that_was_refused_is_no_finding(
    sides: Any, ask: Any, clock: Any, patience: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    can, aus = sides
    aus.close()
    patience(1.0)
    lost = ask(1)["number"]
    clock.pass_(minutes=7)
    patience(20.0)
    aus.open()
    can.walk()
    assert can.outbound_query("AUS", lost).state.name == "EXPIRED"
    pipeline = aus.serving.pipeline
    lawless = replace(
        pipeline._services, agreements=AgreementsInForce({})
    )  # none is in force there any more
    monkeypatch.setattr(pipeline, "_services", lawless)
    refused = ask(2)
    assert refused["state"] == "REFUSED"

    here, there = compared(sides)

    assert (here.clean, here.unanswered) == (True, 2)
    assert (there.clean, there.only_there) == (True, 0)


def test_an_answer_that_was_lost_is_named_and_the_one_that_came_later_stands_in_both(
    sides: Any, ask: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    can = sides[0]

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(can.gateway.outbound.worker._outbound, "_answered", dies)
        with pytest.raises(KeyboardInterrupt):
            ask(1)
    (asked,) = (each for each in told(can, "CAN", "AUS"))
    clock.pass_(minutes=7)
    can.gateway.outbound.worker._outbound.carry_on(can.outbound_query("AUS", asked.number))

    here, there = compared(sides)

    assert not here.only_here
    assert here.only_there == 1
    assert [each.part for each in there.only_here] == [Part.ANSWER]
    assert (here.both, there.both) == (2, 2)
