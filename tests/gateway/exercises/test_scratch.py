"""The scratch folder is ours alone: nobody's files are lost to a mistyped name."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from gateway.errors import UserError
from gateway.exercises.scratch_folder import MARK, Scratch


def test_a_new_folder_is_made_for_our_eyes_only_and_removed_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "demo"

    with Scratch(folder) as scratch:
        (scratch.folder / "can.pass").write_text("secret")
        mode = folder.stat().st_mode & 0o777

    assert mode == 0o700
    assert not folder.exists()


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(UserError, match="was not made by the demo"), Scratch(tmp_path):
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_nobody_s_loss(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()

    with Scratch(folder, keep=True):
        pass

    assert [path.name for path in folder.iterdir()] == [MARK]


def test_a_file_and_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "aim").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "aim")

    for name in ("file", "link"):
        with pytest.raises(UserError, match="is no folder"), Scratch(tmp_path / name):
            pass

    assert (tmp_path / "file").read_text() == "mine"


def test_a_mark_that_is_a_link_makes_no_folder_ours(tmp_path: Path) -> None:
    """Whoever can plant a link must not choose what we empty."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "real").write_text("")
    (tmp_path / "demo" / MARK).symlink_to(tmp_path / "real")

    with pytest.raises(UserError, match="was not made by the demo"), Scratch(tmp_path / "demo"):
        pass


def test_the_next_run_begins_with_nothing_and_follows_no_link(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "demo", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_text("kept")
    with Scratch(folder, keep=True):
        (folder / "can").mkdir()
        (folder / "can" / "party.json").write_text("{}")
        (folder / "link").symlink_to(elsewhere)

    with Scratch(folder, keep=True):
        left = [path.name for path in folder.iterdir()]

    assert left == [MARK]
    assert (elsewhere / "kept.txt").read_text() == "kept"


def test_what_went_wrong_can_be_looked_at(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    with suppress(ZeroDivisionError), Scratch(folder):
        (folder / "can.log").write_text("why")
        raise ZeroDivisionError

    assert (folder / "can.log").read_text() == "why"


def test_two_demonstrations_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    with Scratch(folder), pytest.raises(UserError, match="another demo"), Scratch(folder):
        pass

    with Scratch(folder):  # the first has left, so there is room again
        pass
