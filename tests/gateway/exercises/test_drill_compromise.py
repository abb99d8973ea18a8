"""The drill of the key compromise, run for real and short; and that it would say so if something got through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.exercises.drill import compromise
from gateway.exercises.drill.compromise import Figures

GOOD = Figures(
    queries=6,
    orders=4,
    seconds_to_stop=1.0,
    opened_after=0,
    signed_after=0,
    believed_after=0,
    let_in_after=0,
    missed=0,
    surplus=0,
    answered_again=3,
    ledger_verified=True,
)


@pytest.mark.slow
def test_after_an_order_nothing_gets_through_and_work_goes_on(tmp_path: Path) -> None:
    figures = compromise.drill(tmp_path / "drill")

    assert figures.ok, figures
    assert (figures.orders, figures.answered_again) == (4, compromise.ASKED_BEFORE)
    assert figures.queries >= 2 * compromise.ASKED_BEFORE
    assert not (tmp_path / "drill").exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"opened_after": 1},
        {"signed_after": 1},
        {"believed_after": 1},
        {"let_in_after": 1},
        {"missed": 1},
        {"surplus": 1},
        {"answered_again": 0},
        {"ledger_verified": False},
    ],
)
def test_one_thing_that_got_through_fails_the_drill(fault: dict[str, int]) -> None:
    assert GOOD.ok
    assert not replace(GOOD, **fault).ok


def test_entries_after_the_list_are_counted_by_kind() -> None:
    then = [{"index": 3, "type": "REQUEST"}]
    now = [*then, {"index": 5, "type": "REFUSAL"}, {"index": 6, "type": "REQUEST"}]

    assert compromise._later(now, then, "REQUEST") == 1
    assert compromise._later(then, then, "REQUEST") == 0
