"""The drill: every kind rotated under two partners' questions, nothing lost, and a loss would be told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.exercises.drill.rotation import TURNS, Figures
from keys.lifecycle import KeyKind

FINE = Figures(
    seconds=60.0,
    clients=4,
    rotations=len(TURNS),
    by_kind=dict.fromkeys(TURNS, 1),
    queries=100,
    failed=0,
    failed_by_reason={},
    unanswered=0,
    unanswered_by_reason={},
    old_ciphertexts=1,
    old_ciphertext_opens=0,
    ledger_verified=True,
    ledger_entries=400,
    versions=9,
    p50_ms=90.0,
    p95_ms=120.0,
)


@pytest.mark.slow
def test_every_kind_is_rotated_under_questions_and_nothing_is_lost(
    passerelle: Any, tmp_path: Any
) -> None:
    words = ("--clients", "2", "--seconds", "1", "--workdir", tmp_path / "drill", "--json")
    done = passerelle("drill", "rotation", *words, at=tmp_path)
    told = json.loads(done.stdout)

    assert done.returncode == 0
    assert set(told["by_kind"]) == set(TURNS)
    assert min(told["by_kind"].values()) >= 1
    assert (told["failed"], told["unanswered"], told["old_ciphertext_opens"]) == (0, 0, 0)
    assert told["queries"] > 0
    assert told["old_ciphertexts"] > 0
    assert told["ledger_verified"]
    assert not (tmp_path / "drill").exists()


def test_a_drill_without_a_loss_is_fine() -> None:
    assert FINE.ok


@pytest.mark.parametrize(
    "found",
    [
        {"failed": 1},
        {"unanswered": 1},
        {"old_ciphertext_opens": 1},
        {"old_ciphertexts": 0},
        {"queries": 0},
        {"ledger_verified": False},
        {"by_kind": {turn: 1 for turn in TURNS if turn != "LOG"}},
    ],
    ids=lambda found: next(iter(found)),
)
def test_a_loss_is_told(found: dict[str, Any]) -> None:
    """Each of these alone makes the command leave with another code than 0."""
    assert not replace(FINE, **found).ok


def test_the_drill_knows_every_kind_of_key() -> None:
    """Those of the directory too, which its root key holders name."""
    assert set(TURNS) == {kind.value for kind in KeyKind} | {"KEK"}
