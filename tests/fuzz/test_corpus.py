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
    if name.startswith("accept-"):
        fuzz.strictly(KEPT[name])
    else:
        assert name.startswith("refuse-")
        with pytest.raises(fuzz.REFUSED):
            fuzz.strictly(KEPT[name])


def test_the_corpus_is_what_its_maker_makes() -> None:
    assert {name: KEPT.get(name) for name, _ in maker.made()} == dict(maker.made())


def test_mutants_are_records_or_malformed() -> None:
    assert list(fuzz.finds(MUTANTS, seed=3)) == []
