"""The kept corpus says what it says, and its mutants are records or malformed, never anything else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import corpus as maker
import fuzz

KEPT = fuzz.corpus()
MUTANTS = 20_000


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_file_is_what_its_name_says(name: str) -> None:
    kind = name.partition("-")[0]
    read = fuzz.strictly if kind in {"accept", "refuse"} else fuzz.opened
    if kind in {"accept", "open"}:
        read(KEPT[name])
    elif kind == "partly":
        found = fuzz.opened(KEPT[name])
        assert found.samples
        assert found.unread
    else:
        assert kind in {"refuse", "closed"}
        with pytest.raises((*fuzz.REFUSED, fuzz.UnreadableSample)):
            read(KEPT[name])


def test_the_corpus_is_what_its_maker_makes() -> None:
    assert {name: KEPT.get(name) for name, _ in maker.made()} == dict(maker.made())


def test_mutants_are_records_or_malformed() -> None:
    assert list(fuzz.finds(MUTANTS, seed=3)) == []
