"""`passerelle registry`: files of people in, one person out, and never a value in a complaint."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.subjects import registry_file
from gateway.cli.subjects.biometric_files import Bad
from gateway.cli.subjects.registry_file import Line
from gateway.errors import UserError

CANARY = "Canary-Blue"
CSV = f"""reference,status,nationalities,persecutors,LAST_NAME,DATE_OF_BIRTH,photograph
F-1,FOREIGN_NATIONAL,IND,,{CANARY},1990-01-01,ann.jpg
F-2,NOBODY,IND,,{CANARY},,
F-3,CITIZEN,CAN IND,,{CANARY},,missing.jpg
F-4,CLAIMANT,PAK,NONE,{CANARY},1980-02-30,
"""


@pytest.fixture
def registrar(homes: Any, run: Any, passphrase: Any, officer: Any) -> Any:
    """Return what runs a registry command as a registrar."""
    home = homes["CAN"]
    officer("P-1", "registrar")
    return lambda verb, *words: run("registry", verb, home, *words, *passphrase, "--json")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    (tmp_path / "ann.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    file = tmp_path / "people.csv"
    file.write_text(CSV, encoding="utf-8")
    return file


def test_a_file_is_taken_in_and_each_bad_row_is_named(registrar: Any, people: Path) -> None:
    said = registrar("import", people)

    assert said.code == 1
    assert said.document["imported"] == 2
    assert [one["row"] for one in said.document["bad"]] == [
        "people.csv line 3",
        "people.csv line 4",
    ]
    assert CANARY not in said.out + said.err
    again = registrar("import", people).document
    assert (again["imported"], again["unchanged"], len(again["bad"])) == (0, 2, 2)


def test_the_help_of_an_import_names_the_form_of_every_column_that_has_one(run: Any) -> None:
    said = " ".join(run("registry", "import", "--help").out.split())

    assert (
        "confirmed is when the status was last confirmed, ISO 8601 with its zone, e.g. 2026-"
        in said
    )


def test_json_lines_say_the_same(registrar: Any, people: Path) -> None:
    registrar("import", people)
    file = people.with_suffix(".jsonl")
    row = {
        "reference": "F-1",
        "status": "FOREIGN_NATIONAL",
        "nationalities": ["IND"],
        "last_name": CANARY,
        "DATE_OF_BIRTH": "1990-01-01",
        "PHOTOGRAPH": "ann.jpg",
        "ALIAS": None,
    }
    file.write_text(json.dumps(row) + "\n[1]\n{\n\n", encoding="utf-8")

    said = registrar("import", file)

    assert said.document["unchanged"] == 1
    assert [one["row"] for one in said.document["bad"]] == [
        "people.jsonl line 2",
        "people.jsonl line 3",
    ]


def test_a_person_is_shown_changed_counted_and_removed(
    registrar: Any, people: Path, run: Any, homes: Any
) -> None:
    registrar("import", people)
    shown = registrar("show", "F-1", "--reason", "access request").document
    assert (shown["LAST_NAME"], shown["version"]) == (CANARY, 1)

    changes = people.with_name("changes.json")
    changes.write_text(json.dumps({"ALIAS": "Zed", "photograph": None}))
    changed = registrar("update", "F-1", "--status", "CITIZEN", "--data", changes)
    assert changed.document["version"] == 2
    shown = registrar("show", "F-1", "--reason", "to see").document
    assert (shown["status"], shown["ALIAS"], shown["media"]) == ("CITIZEN", "Zed", {})
    assert registrar("status").document["people"]["CITIZEN"] == 1

    assert registrar("remove", "F-1", "--reason", "an order", "--yes").code == 0
    assert registrar("show", "F-1", "--reason", "to see").code == 2
    assert run("gallery", "stats", homes["CAN"], "--json").document["people"] == 1


def test_without_a_badge_nothing_is_done(
    homes: Any, run: Any, passphrase: Any, people: Path
) -> None:
    said = run("registry", "import", homes["CAN"], people, *passphrase)

    assert said.code == 2
    assert "--as" in said.err


def test_people_without_a_status_are_told_of_loudly(
    homes: Any, run: Any, passphrase: Any, prints: Path
) -> None:
    """They are masked (law.md 3.3); whoever enrolled them must not learn it from a partner."""
    home = homes["CAN"]
    enrolled = run("gallery", "enrol", home, prints, "--position", 2, *passphrase, "--json")
    assert enrolled.code == 0

    stats = run("gallery", "stats", home)
    assert "MASKED   3 people" in stats.out
    checked = run("check", home, *passphrase, "--json").document["checks"]
    assert any("3 WITHOUT A STATUS" in one["detail"] for one in checked)

    words = ("--status", "FOREIGN_NATIONAL", "--nationality", "IND")
    again = run("gallery", "enrol", home, prints, "--position", 2, *words, *passphrase, "--json")
    assert again.document["bad"] == []
    assert run("gallery", "stats", home, "--json").document["without_status"] == 0


def test_people_on_file_without_prints_are_not_counted_among_those_who_can_be_found(
    *, registrar: Any, people: Path, homes: Any, run: Any, passphrase: Any, prints: Path
) -> None:
    home = homes["CAN"]
    assert registrar("import", people).document["imported"] == 2

    nobody = run("gallery", "stats", home, "--json").document
    checked = run("check", home, *passphrase, "--json").document["checks"]
    assert (nobody["people"], nobody["with_prints"], nobody["records"]) == (2, 0, 0)
    assert any("NOBODY HAS PRINTS" in one["detail"] for one in checked)

    run("gallery", "enrol", home, prints, "--position", 2, *passphrase)

    stats = run("gallery", "stats", home)
    gallery = run("status", home, "--json").document["gallery"]
    assert "people   5 on file, 3 with samples to search" in stats.out
    assert (gallery["people"], gallery["with_prints"]) == (5, 3)
    assert "5 people on file, 3 with samples to search" in run("status", home).out


def test_a_status_without_a_country_is_refused_once(
    homes: Any, run: Any, passphrase: Any, prints: Path
) -> None:
    said = run("gallery", "enrol", homes["CAN"], prints, "--status", "CITIZEN", *passphrase)

    assert said.code == 2
    assert said.err.count("nationalities") == 1


@pytest.mark.parametrize(
    "text",
    ["", "name\n", "reference,reference\n", f"reference,{CANARY}\n", 'reference\n"', "\xff\n"],
)
def test_a_file_that_is_no_csv_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(UserError) as told:
        list(registry_file.rows(file))

    assert CANARY not in str(told.value)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("{outside}", "move it there"),
        ("../secret.jpg", "move it there"),
        ("inner/../../secret.jpg", "move it there"),
        ("link.jpg", "put the file itself there"),
        ("linked/secret.jpg", "put the file itself there"),
        ("pipe.jpg", "no regular file"),
        ("huge.jpg", "larger than"),
    ],
)
def test_a_photograph_lies_below_the_file_that_names_it(
    tmp_path: Path, suffix: str, path: str, remedy: str
) -> None:
    """Whoever made the file would have any picture of this machine stored, and shown to a partner."""
    folder = tmp_path / "table"
    (folder / "inner").mkdir(parents=True)
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(b"\xff\xd8\xff" + CANARY.encode())
    (folder / "link.jpg").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.jpg")
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(registry_file.MAX_PHOTOGRAPH + 1)
    named = path.format(outside=outside)
    table = folder / f"people{suffix}"
    row = {"reference": "F-1", "PHOTOGRAPH": named}
    text = json.dumps(row) if suffix == ".jsonl" else f"reference,PHOTOGRAPH\nF-1,{named}"
    table.write_text(text + "\n", encoding="utf-8")

    (found,) = registry_file.rows(table)

    assert isinstance(found, Bad)
    assert found.label == f"{table.name} line {1 if suffix == '.jsonl' else 2}"
    assert remedy in found.reason
    assert CANARY not in found.reason


def test_a_line_without_an_end_is_refused_without_being_held(tmp_path: Path) -> None:
    table = tmp_path / "people.jsonl"
    table.write_bytes(b"x" * (3 * registry_file.LONGEST) + b'\n{"reference": "F-1"}\n')

    first, second = registry_file.rows(table)

    assert isinstance(first, Bad)
    assert "longer than" in first.reason
    assert isinstance(second, Line)
    assert (second.number, second.row) == (2, {"reference": "F-1"})


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([".csv", ".jsonl"]))
def test_whatever_a_file_holds_its_rows_are_text_or_named(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, suffix: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    file.write_bytes((b"" if suffix == ".jsonl" else b"reference,LAST_NAME\n") + octets)

    try:
        found = list(registry_file.rows(file))
    except UserError:
        return

    for each in found:
        if isinstance(each, Bad):
            assert each.label.startswith(f"{file.name} line ")
        else:
            assert isinstance(each, Line)
            assert all(isinstance(value, str) for value in each.row.values())
