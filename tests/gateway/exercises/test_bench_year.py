"""`passerelle bench year`: an invented year, and every question of an auditor asked of it by its command."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import UserError
from gateway.exercises.bench.audit import QUESTIONS, measured


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")

    with pytest.raises(UserError, match="not empty"):
        measured(tmp_path, 1000, lambda _: None)

    assert [each.name for each in tmp_path.iterdir()] == ["kept"]


def test_every_question_but_the_proof_of_the_whole_is_asked() -> None:
    """law.md section 9; question 14 is `ledger verify`, which `bench ledger` measures."""
    assert [int(name.split()[0]) for name in QUESTIONS] == [*range(1, 14), 15, 16]


@pytest.mark.slow
def test_questions_are_timed_by_their_commands(tmp_path: Path) -> None:
    steps: list[float] = []
    some = {name: QUESTIONS[name] for name in ("1 who", "8 subject")}

    figures = measured(tmp_path / "year", 1000, steps.append, some)

    assert figures.questions.keys() == some.keys()
    assert all(each.exit_code in {0, 1} for each in figures.questions.values())
    assert all(each.seconds > 0 < each.cpu_seconds for each in figures.questions.values())
    assert sum(steps) >= 2 * 1000
    assert (tmp_path / "year" / "pack-2" / "fr.txt").exists()
