"""What a population costs: every figure is of what really happened, and they fit each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_a_few_people_are_enrolled_served_and_found(passerelle: Any, tmp_path: Path) -> None:
    words = ("--people", "24", "--fingers", "2", "--searches", "6", "--json")
    done = passerelle("bench", "population", *words, at=tmp_path)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["people"], told["fingers"], told["searches"]) == (24, 2, 12)
    assert told["found"] + told["missed"] == 6
    assert told["found"] > 0
    assert told["wrong"] == 0
    for figure in ("enrolled_per_s", "enrol_cpu_ms", "load_s", "prepare_ms", "search_cpu_ms"):
        assert told[figure] > 0
    assert told["search_p50_ms"] <= told["search_p95_ms"]
    assert told["start_s"] > 0 < told["empty_start_s"]
    assert list(tmp_path.iterdir()) == []  # its gateway was its own


def test_more_searches_than_people_are_wrong_usage(passerelle: Any, tmp_path: Path) -> None:
    words = ("--people", "10", "--searches", "11")
    done = passerelle("bench", "population", *words, at=tmp_path)

    assert done.returncode == 2
    assert "--searches" in done.stderr
