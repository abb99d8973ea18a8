"""The drill of the lost gateway, run for real; and that it would say so if something were wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.exercises.drill import restore
from gateway.exercises.drill.restore import Figures

GOOD = Figures(
    queries=6,
    backup_bytes=1,
    backup_seconds=0.1,
    restore_seconds=0.1,
    entries=9,
    damaged_restored=0,
    loss_unnoticed=False,
    version_back=0,
    check_ok=True,
    ledger_verified=True,
    answered_again=restore.ASKED,
)


@pytest.mark.slow
def test_a_lost_gateway_comes_back_and_says_what_it_lost(tmp_path: Path) -> None:
    figures = restore.drill(tmp_path / "drill")

    assert figures.ok, figures
    assert figures.queries == 2 * restore.ASKED
    assert not (tmp_path / "drill").exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"damaged_restored": 1},
        {"loss_unnoticed": True},
        {"version_back": 1},
        {"check_ok": False},
        {"ledger_verified": False},
        {"answered_again": 0},
    ],
)
def test_one_thing_that_is_wrong_fails_the_drill(fault: dict[str, int]) -> None:
    assert GOOD.ok
    assert not replace(GOOD, **fault).ok
