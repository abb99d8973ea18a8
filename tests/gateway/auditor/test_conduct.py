"""What our own people did: every use, erasure, hold, decision and reading is told, by whom and of whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.auditor.questions.conduct import decisions, erasures, readings, uses
from gateway.auditor.result_table import DAY_MS, Period
from gateway.domain.messages import Direction
from gateway.exercises.bench.synthetic_events import BEGINS
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from tests.gateway.auditor.year import indexed, query

BEGUN = round(BEGINS.timestamp() * 1000)
DAY = Period(BEGUN, BEGUN + DAY_MS)
NAMES = {"AUS": "Department of Home Affairs of Australia"}


def act(kind: EntryType, hours: float, of: str = "", facts: Any = None, **frame: Any) -> Leaf:
    made = Frame(
        type=kind,
        entry_class=EntryClass.OTHER,
        time=BEGINS + timedelta(hours=hours),
        subject_reference=of,
    )
    return Leaf(replace(made, **frame), facts)


def columns(table: Any, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in table.documents()]


USED = {"actor": "P-4", "used_in": "D-7", "case": "C-9"}
USE = act(
    EntryType.USE,
    3,
    facts=USED,
    partner_id="AUS",
    direction=Direction.OUTBOUND,
    transaction_number="20260101-00000001",
)


def test_a_use_is_told_with_its_record_and_the_partners_name() -> None:
    later = replace(USE, frame=replace(USE.frame, time=BEGINS + timedelta(days=2)))
    with indexed([*query(1, 1, outbound=True), USE, later]) as index:
        table = uses(index, DAY, NAMES)
        every = uses(index, Period(), {})

    assert columns(table, "name", "transaction", "case", "used_in", "who") == [
        (NAMES["AUS"], "20260101-00000001", "C-9", "D-7", "P-4")
    ]
    assert every.totals == {"uses": 2, "by_partner": {"AUS": 2}}


def test_erasures_and_holds_stand_side_by_side_and_what_still_holds_is_counted() -> None:
    erased = {"paragraph": "IRPR 315.26", "first": "2026-01-01", "last": "2026-01-02", "actor": "-"}
    said = [
        act(EntryType.RETENTION, 1, "UNUSED_RESULT/12", erased),
        act(EntryType.HOLD, 2, "PLACE/H-1", {"hold": "person", "subject": "17", "actor": "P-2"}),
        act(EntryType.HOLD, 3, "PLACE_ALL/H-2", {"hold": "everything", "actor": "P-1"}),
        act(EntryType.HOLD, 4, "RELEASE/H-1", {"actor": "P-1", "approver": "P-3"}),
        act(EntryType.REMOVED, 5, "S-17", {"actor": "P-5", "reason": "left", "subject": "17"}),
    ]
    with indexed(said) as index:
        table = erasures(index, DAY)
        before = erasures(index, Period(BEGUN, BEGUN + 3_600_000 * 3))

    assert columns(table, "what", "of", "count", "ground", "approved_by") == [
        ("erased", "UNUSED_RESULT", 12, "IRPR 315.26", None),
        ("hold placed", "H-1 S-17", None, None, None),
        ("hold placed on everything", "H-2", None, None, None),
        ("hold released", "H-1", None, None, "P-3"),
        ("person removed", "S-17", 1, None, None),
    ]
    assert table.totals == {"erased": {"UNUSED_RESULT": 12}, "holds_standing": 1}
    assert before.totals["holds_standing"] == 1


def decided(hours: float, verb: str, name: str, partner: str = "", **facts: str) -> Leaf:
    said = {"decision": "ALL", "subject": "17", "ground": "SOVEREIGNTY", "actor": "P-2", **facts}
    return act(EntryType.DECISION, hours, f"{verb}/{name}", said, partner_id=partner)


def test_a_decision_says_of_whom_to_whom_and_on_which_ground() -> None:
    said = [
        decided(1, "REFUSE", "R-1"),
        decided(2, "REFUSE", "R-2", "AUS", decision="PART", fields="PHOTOGRAPH"),
        decided(3, "REFUSE", "R-3", "NZL"),
        decided(4, "LIFT", "R-1"),
    ]
    with indexed(said) as index:
        table = decisions(index, DAY, NAMES)
        australia = decisions(index, replace(DAY, partner="AUS"), NAMES)

    assert columns(table, "what", "decision", "person", "partner", "refused") == [
        ("refused", "R-1", "S-17", "every partner", "everything"),
        ("refused", "R-2", "S-17", "AUS", "PHOTOGRAPH"),
        ("refused", "R-3", "S-17", "NZL", "everything"),
        ("lifted", "R-1", "S-17", "every partner", "everything"),
    ]
    assert table.totals == {"refused": 3, "by_ground": {"SOVEREIGNTY": 3}, "standing": 2}
    assert columns(australia, "decision") == [("R-1",), ("R-2",), ("R-1",)]


def read(hours: float, of: str = "", number: str = "", **facts: str) -> Leaf:
    detail = {"actor": "P-8", **facts}
    return act(EntryType.AUDIT_READ, hours, of, detail, transaction_number=number)


FOUND = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH", "subject": "17"}


def test_who_read_a_file_is_found_however_the_reading_named_the_person() -> None:
    """By number, by a query that found them, by an auditor's question, by the case; and nobody else's."""
    theirs = [
        read(2, subject="16,17", source="decisions"),
        read(3, "S-17", subject="17", reason="access request"),
        read(4, transaction_reference="20260101-00000001", source="trace"),
        read(5, source="subject F-17 since 2026-01-01", reason="complaint"),
        read(6, source="20260101-00000001", reason="complaint"),
        read(7, source="subject S-17"),
        read(8, number="20260101-00000001", source="prints"),
        read(9, source="answer", case="C-4"),
    ]
    others = [
        read(10, subject="117", source="decisions"),
        read(11, source="subject F-171"),
        read(12, source="answer", case="C-44"),
        read(13, "S-170", subject="170"),
    ]
    with indexed([*query(1, 1, **FOUND), *theirs, *others]) as index:
        every = readings(index, DAY)
        of_one = readings(index, DAY, number="17", named="F-17", case="C-4")
        of_nobody = readings(index, DAY, number="99")

    assert len(every.rows) == 12
    assert [row[0][11:13] for row in of_one.rows] == [f"{hour:02}" for hour in range(2, 10)]
    assert of_nobody.rows == ()
    assert columns(of_one, "what", "person", "transaction")[0] == ("decisions", "S-16, S-17", None)
    assert not of_one.findings


def test_readings_that_are_sealed_are_a_finding_and_nobody_is_guessed() -> None:
    with indexed([read(2, subject="17")], opened=False) as index:
        table = readings(index, DAY, number="17")

    assert table.rows == ()
    assert "sealed" in table.findings[0]
