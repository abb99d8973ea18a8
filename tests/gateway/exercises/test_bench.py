"""A short measurement: real load, and figures that belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.exercises.bench.exchange import Load, shares
from gateway.exercises.bench.machine_speed import cores
from gateway.exercises.bench.stage_profile import ASKER, CRYPTO, REST, SEARCH, STEPS, profile

PROMISED = (
    *("qps", "p50_ms", "p95_ms", "p99_ms", "crypto_ms", "search_ms"),
    *("clients", "seconds", "cores", "errors"),
)


@pytest.mark.slow
def test_two_seconds_of_load_are_measured_and_nothing_fails(
    passerelle: Any, tmp_path: Path
) -> None:
    words = ("--seconds", "2", "--clients", "3", "--gallery", "12", "--json")
    done = passerelle("bench", "exchange", *words, at=tmp_path)

    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert told.keys() >= set(PROMISED)
    assert told["errors"] == 0
    assert told["errors_by_reason"] == {}
    assert told["clients"] == 3
    assert told["seconds"] == 2
    assert told["queries"] == round(told["qps"] * 2)
    assert 0 < told["hits"] < told["queries"]
    assert 0 < told["p50_ms"] <= told["p95_ms"] <= told["p99_ms"]
    assert all(told["stages_ms"][stage] > 0 for stage in (*CRYPTO, *SEARCH))
    assert told["crypto_ms"] > sum(told["stages_ms"][stage] for stage in CRYPTO)
    assert told["search_ms"] == pytest.approx(
        sum(told["stages_ms"][stage] for stage in SEARCH), abs=0.05
    )
    assert told["quiet_p50_ms"] >= 50  # the beat, which is not measured away
    for cpu in ("server_cpu_ms", "askers_cpu_ms", "quiet_server_cpu_ms", "quiet_askers_cpu_ms"):
        assert told[cpu] > 0
    assert told["busy_cores"] > 0
    assert told["signatures_per_s"] > 0
    assert told["sgemm_gflops"] > 0
    # Every stage that the server times is one whose steps are known, and all stages together are the whole.
    assert list(told["profile"]) == [*STEPS, ASKER, REST]
    assert sum(each["share"] for each in told["profile"].values()) == pytest.approx(1, abs=0.01)
    assert told["profile"]["search"]["ms"] == told["stages_ms"]["search"]


def test_a_question_is_shared_out_over_its_stages_and_nothing_is_left_out() -> None:
    found = profile(80.0, {"seal": 4.0, "search": 20.0, "later_stage": 6.0}, 10.0)

    assert list(found) == ["search", "seal", "later_stage", ASKER, REST]
    assert [each.ms for each in found.values()] == [20.0, 4.0, 6.0, 10.0, 40.0]
    assert [each.share for each in found.values()] == [0.25, 0.05, 0.075, 0.125, 0.5]


def test_where_nothing_was_answered_there_is_no_share() -> None:
    assert [each.share for each in profile(0.0, {}, 0.0).values()] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("clients", "processes", "expected"), [(8, 2, [4, 4]), (3, 2, [2, 1]), (1, 1, [1])]
)
def test_askers_are_shared_out_evenly(clients: int, processes: int, expected: list[int]) -> None:
    assert shares(clients, processes) == expected


def test_the_load_fits_the_machine() -> None:
    assert Load().clients == 4 * cores()
    assert cores() >= 1


def test_the_help_says_the_defaults_that_are_in_force(passerelle: Any, tmp_path: Path) -> None:
    told = " ".join(passerelle("bench", "exchange", "--help", at=tmp_path).stdout.split())
    told = told.replace("│ │ ", "")

    assert f"Default: {Load().seconds:g}." in told
    assert f"Default: {Load().gallery}." in told
    assert "Default: four for each core." in told
