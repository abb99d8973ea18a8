"""`passerelle calibrations`: a file from check to the approval of another operator, what counts then, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.matching.calibrations import shipped
from tests.gateway.own_calibrations import face_file, iris_file, read, text_of


def rows(run: Any, home: Path) -> dict[str, dict[str, str]]:
    said = run("calibrations", "list", home, "--json")
    assert said.code == 0, said.err
    return {row["model"]: row for row in said.document["calibrations"]}


def test_a_file_goes_from_check_by_two_operators_to_list_and_back(
    homes: Any, run: Any, passphrase: Any, officer: Any, tmp_path: Path
) -> None:
    home, file, old = homes["CAN"], tmp_path / "ours.json", tmp_path / "old.json"
    file.write_text(iris_file())
    checked = run("calibrations", "check", file, "--for", home, "--json")
    assert (checked.code, checked.document["calibration"]) == (0, read(iris_file()).id)
    assert {row["stands"] for row in rows(run, home).values()} == {"shipped"}

    for person in ("P-1", "P-2"):
        officer(person, "operator")
    adopt = ("calibrations", "adopt", home, file)
    planned = run(*adopt, "--dry-run", *passphrase, "--json")
    assert "needs a score of" in str(planned.document["plan"])
    proposed = run(*adopt, "--reason", "fitted in spring", *passphrase, "--json")
    assert proposed.code == 0, proposed.err
    assert rows(run, home)["masek-1"]["stands"] == "shipped"
    other = (proposed.document["proposal"], "--yes", "--as", tmp_path / "p2", *passphrase)
    approved = run("proposals", "approve", home, *other, "--json")
    assert approved.code == 0, approved.err

    row = rows(run, home)["masek-1"]
    assert row["calibration"] == read(iris_file()).id == approved.document["answer"]["calibration"]
    assert row["stands"].startswith("adopted 2")
    again = run(*adopt, "--reason", "why", *passphrase)
    assert again.code != 0
    assert "counts already" in again.err
    saved = run("calibrations", "show", home, "masek-1", "--shipped", "--save", old)
    assert saved.code == 0, saved.err
    assert old.read_text() == text_of("masek-1")
    assert run("calibrations", "show", home, "masek-1", "--save", tmp_path / "kept").code == 0
    assert (tmp_path / "kept").read_text() == iris_file()
    assert run("calibrations", "check", old, "--for", home).code == 0  # the way back


def test_show_tells_what_it_was_fitted_on(homes: Any, run: Any) -> None:
    said = run("calibrations", "show", homes["CAN"], "facenet512", "--json").document

    one = shipped().of("facenet512")
    assert one is not None
    assert (said["calibration"], said["dimension"], said["stands"]) == (one.id, 512, "shipped")
    assert said["data"] == one.data
    assert said["hit"].endswith("people: a score of 3.41, cosine 0.917")
    missing = run("calibrations", "show", homes["CAN"], "nobodys-1")
    assert missing.code == 2
    assert "passerelle calibrations list" in missing.err


def test_a_file_that_cannot_be_adopted_is_named_with_the_reason(
    homes: Any, run: Any, passphrase: Any, officer: Any, tmp_path: Path
) -> None:
    officer("P-1", "operator")
    file = tmp_path / "ours.json"
    for text, why in (
        ("{", "no JSON"),
        (iris_file("masek-9"), "no coder of irises"),
        (json.dumps({**json.loads(face_file()), "trials": 3}), "trials is a whole"),
    ):
        file.write_text(text)
        checked = run("calibrations", "check", file, "--json")
        assert checked.code == 1
        assert f"ours.json: no calibration: {why}" in checked.document["error"]["message"]
        adopted = run("calibrations", "adopt", homes["CAN"], file, "--reason", "x", *passphrase)
        assert adopted.code != 0
        assert why in adopted.err
    file.write_text(face_file("facenet512", 128))
    assert run("calibrations", "check", file).code == 0
    fits = run("calibrations", "check", file, "--for", homes["CAN"])
    assert fits.code == 1
    assert "another model" in fits.err
    file.write_bytes(b"\xff\xfe{")
    adopted = run("calibrations", "adopt", homes["CAN"], file, "--reason", "x", *passphrase)
    assert adopted.code != 0
    assert "UTF-8" in adopted.err
