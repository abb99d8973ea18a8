"""The bench of faces measures what it says, beside peers or a matrix product, and says what to install."""

from __future__ import annotations

import sys

import pytest

from gateway.errors import UserError
from gateway.exercises.bench.face import KINDS, Order, measured


@pytest.mark.slow
def test_every_engine_finds_the_ten_best_and_its_figures_are_told() -> None:
    told: list[int] = []
    figures = measured(Order(2000, 8, peers=False), told.append)

    assert (figures["gallery"], figures["threads"]) == (2000, 1)
    assert sum(told) == 2000 * 2 * len(KINDS)
    assert [each["vectors"] for each in figures["kinds"]] == list(KINDS)
    for kind in figures["kinds"]:
        rows = {row["name"]: row for row in kind["rows"]}
        assert rows["numpy"]["single_ratio"] == 1
        assert rows["passerelle float32"]["same_ten_best"] == 1
        assert rows["passerelle int16"]["same_ten_best"] >= 0.8
        assert rows["passerelle int16"]["bytes_per_face"] < 1500
        assert all(row["single_ms"] > 0 and row["batch_ms"] > 0 for row in rows.values())


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="pip install faiss-cpu usearch"):
        measured(Order(100, 8, peers=True), lambda _: None)
