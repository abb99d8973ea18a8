"""Question 13: what is odd is found, and what is usual is not."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.auditor.questions.anomalies import ENOUGH, REPEATS, anomalies
from gateway.auditor.result_table import Period, Table
from gateway.ledger.entry import Leaf
from tests.gateway.auditor.year import indexed, query


def found(said: Sequence[Leaf], *, opened: bool = True, **more: object) -> Table:
    with indexed(said, opened=opened) as index:
        return anomalies(index, Period(), **more)  # type: ignore[arg-type]


def kinds(table: Table) -> list[tuple[object, object]]:
    return [(row["transaction"], row["what"]) for row in table.documents()]


def test_a_usual_query_is_not_odd() -> None:
    table = found([*query(1, 10), *query(2, 11, case="C-2")])

    assert (table.rows, table.findings) == ((), ())


def test_a_query_without_a_case_is_named() -> None:
    table = found([*query(1, 10, case=""), *query(2, 10.5)])

    assert kinds(table) == [("20260101-00000001", "no case")]
    assert table.findings == ("1 queries: no case",)


def test_a_case_that_does_not_exist_is_named() -> None:
    """The list is of the party that asked: ours, unless a partner is named."""
    said = [*query(1, 10, case="C-9", outbound=True), *query(2, 10, case="C-8")]

    ours = found(said, cases={"C-1"})

    assert kinds(ours) == [("20260101-00000001", "no case")]
    with indexed(said) as index:
        theirs = anomalies(index, Period(partner="AUS"), {"C-9"})
    assert kinds(theirs) == [("20260101-00000002", "no case")]


def test_a_case_asked_about_again_and_again_is_named_from_the_third_time_on() -> None:
    said = [each for number in range(REPEATS + 1) for each in query(number + 1, 9 + number)]

    table = found(said)

    assert kinds(table) == [("20260101-00000003", "repeated"), ("20260101-00000004", "repeated")]
    assert list(table.documents())[1]["detail"] == "asked 4 times within a day"


def test_the_same_case_on_other_days_or_of_another_partner_is_no_repetition() -> None:
    said = [*query(1, 1), *query(2, 2), *query(3, 26.5), *query(4, 3, partner="NZL")]

    assert found(said).rows == ()


def test_a_person_found_in_several_cases_within_a_day_is_named() -> None:
    hit = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH", "subject": "77"}
    said = [each for n in (1, 2, 3) for each in query(n, 8 + n, case=f"C-{n}", **hit)]

    table = found(said)

    assert kinds(table) == [("20260101-00000003", "same person")]
    assert "77" not in str(table.rows)  # whom, the list need not tell


def test_hours_outside_the_working_day_are_odd() -> None:
    said = [*query(1, 3, case="C-1"), *query(2, 6, case="C-2"), *query(3, 18.9, case="C-3")]

    assert kinds(found(said, hours=(6, 18))) == [("20260101-00000001", "odd hour")]


def test_a_working_day_may_go_beyond_midnight() -> None:
    said = [*query(1, 3, case="C-1"), *query(2, 12, case="C-2"), *query(3, 23, case="C-3")]

    assert kinds(found(said, hours=(22, 6))) == [("20260101-00000002", "odd hour")]


def test_the_habits_of_a_party_say_what_is_odd() -> None:
    said = []
    for number in range(ENOUGH):
        hours = 3.0 if number == ENOUGH // 2 else 24 * (number % 300) + 9 + number % 8
        said += query(number + 1, hours, case=f"C-{number}")

    table = found(said)

    assert kinds(table) == [(f"20260101-{ENOUGH // 2 + 1:08}", "odd hour")]
    assert f"1 of {ENOUGH}" in str(next(table.documents())["detail"])


def test_without_a_key_the_hours_remain_and_the_rest_is_said_to_be_sealed() -> None:
    table = found([*query(1, 3, case="")], opened=False, hours=(6, 18))

    assert kinds(table) == [("20260101-00000001", "odd hour")]
    assert any("--key" in finding for finding in table.findings)
