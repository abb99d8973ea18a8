"""`passerelle bench year`: an invented year, and every question of an auditor asked of it by its command."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Remedy
from gateway.kit.bench_year import QUESTIONS, measured


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")

    with pytest.raises(Remedy, match="not empty"):
        measured(tmp_path, 1000, lambda _: None)

    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


@pytest.mark.slow
def test_every_question_is_timed(tmp_path: Path) -> None:
    steps = []

    figures = measured(tmp_path / "year", 1000, steps.append)

    assert figures.questions.keys() == QUESTIONS.keys()
    assert all(seconds > 0 and code in {0, 1} for seconds, code in figures.questions.values())
    assert sum(steps) >= 2 * 1000
    assert (tmp_path / "year" / "pack-2" / "fr.txt").exists()
