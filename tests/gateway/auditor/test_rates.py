"""Question 15: rates by group, and nobody to be picked out of a small one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auditor.demographic_groups import GroupsRefused, read_groups
from gateway.auditor.questions.rates import rates, suppress, wilson
from gateway.auditor.result_table import Period, Table
from gateway.auditor.small_cells import LEAST, ROOM
from gateway.ledger.entry import EntryClass, EntryType, Leaf
from tests.gateway.auditor.year import indexed, query

HIT = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH"}
COUNTS = st.dictionaries(
    st.tuples(st.text("ab", max_size=4)), st.none() | st.integers(0, 40), max_size=8
)
LINES = "subject,sex,age_band,region\n1,F,30-44,Asia\n2,M,80+,Europe\n"


def told() -> Table:
    said = []
    for number in range(1, 61):
        subject = str(number)
        said += query(number, number / 10, subject=subject, **HIT)
    said += query(90, 20, subject="1", **HIT)  # the same person again
    said += query(91, 21)
    groups = {str(n): ("F" if n <= 200 else "M", "30-44", "Asia") for n in range(1, 401)}
    groups["60"] = ("M", "30-44", "Asia")
    with indexed(said) as index:
        return rates(index, Period(), ("sex",), groups)


def test_a_group_has_its_share_of_people_found() -> None:
    women = next(told().documents())

    assert (women["sex"], women["people"], women["hit_share"]) == ("F", 199, None)
    assert told().totals["hits"] == 61
    assert told().totals["searches"] == 62


def test_a_count_below_ten_is_suppressed_and_so_is_what_would_give_it_away() -> None:
    """One man was found: with the women's count and the whole, anybody would know."""
    assert [row["found"] for row in told().documents()] == [None, None]
    assert told().totals["suppressed_counts"] == 2


def test_a_total_gives_no_group_away() -> None:
    """Forty women and two others: with the forty shown, 42 hits would say that each of the others is one."""
    groups = {
        str(n): ("F" if n <= 40 else "M" if n == 41 else "X", "80+", "Asia") for n in range(1, 43)
    }
    for most, hits in ((42, 42), (40, 40), (1, None)):
        said = [each for n in range(1, most + 1) for each in query(n, n, subject=str(n), **HIT)]
        with indexed(said) as index:
            table = rates(index, Period(), ("sex",), groups)
        assert (table.totals["hits"], table.totals["searches"]) == (hits, most)
        shown = [row["found"] for row in table.documents()]
        assert shown == ([40, 0, 0] if most == 40 else [None] * 3 if most > 40 else [None, 0, 0])


def test_a_false_match_is_one_of_whom_an_examiner_said_so() -> None:
    said = []
    for number in range(1, 41):
        verdict = "DIFFERENT" if number <= 12 else "SAME"
        begun = query(number, number, subject=str(number), **HIT)
        frame = replace(begun[1].frame, type=EntryType.VERDICT, entry_class=EntryClass.OTHER)
        said += [*begun, Leaf(frame, {"verdict": verdict})]
    groups = {str(number): ("F", "30-44", "Asia") for number in range(1, 41)}
    with indexed(said) as index:
        (women,) = rates(index, Period(), ("sex",), groups).documents()

    assert (women["examined"], women["false"], women["false_share"]) == (40, 12, 0.3)
    assert (women["found"], women["hit_share"]) == (40, 1.0)


def test_without_a_file_of_groups_the_ledger_says_that_it_has_none() -> None:
    with indexed(query(1, 1)) as index:
        table = rates(index, Period(), ("sex", "region"), None)

    assert "--groups FILE" in table.findings[0]
    assert table.totals["searches"] == 1


def test_without_a_key_nobody_knows_who_was_found() -> None:
    with indexed(query(1, 1), opened=False) as index:
        assert "--key" in rates(index, Period(), ("sex",), {}).findings[0]


@given(COUNTS)
def test_no_small_count_stays_and_none_can_be_computed(column: dict[tuple[str, ...], int]) -> None:
    before = dict(column)

    hidden = suppress(column)

    assert not any(count is not None and 0 < count < LEAST for count in column.values())
    fresh = [each for each in column if column[each] is None and before[each] is not None]
    assert len(fresh) == hidden
    others = [each for each in before if before[each] and each not in fresh]
    room = sum(before[each] for each in fresh) - (len(fresh) - 1)
    assert not fresh or room >= ROOM or not others
    assert all(column[each] == before[each] for each in column if each not in fresh)


def test_an_interval_is_wilsons() -> None:
    """Wilson (1927): 10 of 100 at 95 %, the textbook's 0.0552 to 0.1744."""
    assert wilson(10, 100) == (0.1, 0.055229, 0.174366)
    assert wilson(0, 0) == wilson(None, 5) == wilson(3, 2) == (None, None, None)


def test_a_file_of_groups_is_read(tmp_path: Path) -> None:
    (tmp_path / "g").write_text(LINES)

    assert read_groups(tmp_path / "g") == {"1": ("F", "30-44", "Asia"), "2": ("M", "80+", "Europe")}


@pytest.mark.parametrize(
    "bad",
    [
        *("", "subject,sex\n", LINES + "1,F,30-44,Asia\n", LINES + "3,W,30-44,Asia\n"),
        *(LINES + "3,F,31-33,Asia\n", LINES + "3,F,30-44,=cmd\n", LINES + "x,F,30-44,Asia\n"),
        *(LINES + "3,F,30-44\n", LINES + '"3,F', LINES + "3,F,30-44,Île\n", LINES + "\0"),
    ],
)
def test_a_file_that_is_no_list_of_groups_is_refused(tmp_path: Path, bad: str) -> None:
    (tmp_path / "g").write_text(bad)

    with pytest.raises(GroupsRefused):
        read_groups(tmp_path / "g")


@given(st.binary(max_size=200))
def test_any_bytes_are_groups_or_refused(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes
) -> None:
    path = tmp_path_factory.mktemp("groups") / "g"
    path.write_bytes(octets)

    with pytest.raises(GroupsRefused):
        read_groups(path)
