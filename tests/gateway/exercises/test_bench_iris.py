"""The bench of irises measures what it says, beside peers or alone, and says what to install."""

from __future__ import annotations

import sys

import pytest

from gateway.errors import UserError
from gateway.exercises.bench.iris import EXHAUSTIVE, STAGED, Order, measured


def test_decisions_are_judged_by_full_comparison_and_figures_are_told() -> None:
    told: list[int] = []
    figures = measured(Order(120, 6, 0.01, peers=False), told.append)

    assert sum(told) == 126
    assert (figures["gallery"], figures["bits"], figures["rotations"]) == (120, 16384, 31)
    rows = {row["name"]: row for row in figures["rows"]}
    assert rows[EXHAUSTIVE]["ratio"] == 1
    assert all(row["ms"] > 0 for row in rows.values())
    assert STAGED in rows
    assert figures["decisions_equal"]
    assert (figures["mates_lost"], figures["mates_accepted"] > 0) == (0, True)
    assert figures["bytes_per_eye"] > 4096


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu usearch"):
        measured(Order(100, 2, 0.01, peers=True), lambda _: None)
