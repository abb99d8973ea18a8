"""`passerelle retention` and `passerelle decisions`, as a person types them, while the gateway is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.subjects import retention

STAMPED = ("REPLY", "HIT_REFERENCE")  # each bears its own end


@pytest.fixture
def home(homes: Any, run: Any, passphrase: Any, officer: Any, prints: Path) -> Path:
    """A gateway with two officers and three people."""
    folder: Path = homes["CAN"]
    officer("P-1", "operator", "caseworker")
    enrolled = run(
        "gallery", "enrol", folder, prints, "--extractor", "e-1", "--position", "2", *passphrase
    )
    assert enrolled.code == 0, enrolled.err
    return folder


def test_status_run_and_dry_run_of_a_young_gateway_find_nothing_due(
    home: Path, run: Any, passphrase: Any
) -> None:
    status = run("retention", "status", home, *passphrase, "--json")
    dry = run("retention", "run", home, "--dry-run", *passphrase)
    done = run("retention", "run", home, *passphrase, "--json")
    shown = run("retention", "status", home, *passphrase).out

    assert status.code == dry.code == done.code == 0, status.err + dry.err + done.err
    classes = {row["class"]: row for row in status.document["classes"]}
    assert len(classes) == 13
    assert classes["OFFICE_DETAIL"]["total"] > 3
    assert shown.count("at once") == 2  # prints, and traces in the journal
    assert {name: row["period_days"] for name, row in classes.items() if name in STAMPED} == {
        "REPLY": 1,
        "HIT_REFERENCE": 30,
    }
    assert status.document["copies"]["scheduled"]
    assert status.document["copies"]["final_before"] < status.document["copies"]["final_by"]
    assert dry.out == "nothing is due\n"
    assert done.document == {"ok": True, "erased": {}, "journal_empty": True, "overdue": []}


def test_where_data_keys_do_not_rotate_the_status_names_the_command_that_has_them_rotate() -> None:
    found = {
        "final_before": "2026-03-01T12:00:00+00:00",
        "scheduled": False,
        "final_by": None,
        "kept": [],
    }

    lines = retention._copies(found, "can")

    assert "2026-03-01T12:00" in lines[0]
    assert lines[-1].endswith("passerelle keys schedule can DATA on --every 7 --reason WORDS")


def test_where_somebody_stopped_a_data_key_the_status_names_it_and_promises_no_day() -> None:
    found = {
        "final_before": "2026-03-01T12:00:00+00:00",
        "scheduled": True,
        "final_by": None,
        "kept": ["3f9a01c2" * 8],
    }

    lines = retention._copies(found, "can")

    assert "DATA 3f9a01c23f9a01c2 was stopped" in lines[1]
    assert lines[-1].endswith("passerelle keys list can")


def test_an_overdue_data_key_is_for_the_rotation_and_not_for_an_erasure() -> None:
    both = retention._remedies(["REPLY", "DATA_KEY"], "can")

    assert ["run" in line for line in both] == [True, False]
    assert "keys list can" in both[1]
    assert retention._remedies([], "can") == []


def test_a_hold_is_placed_listed_and_released(
    home: Path, run: Any, passphrase: Any, officer: Any
) -> None:
    placed = run(
        *("retention", "hold", "place", home, "--subject", "person-1"),
        *("--reason", "access request 14", *passphrase, "--json"),
    )
    assert placed.code == 0, placed.err
    identifier = placed.document["hold"]

    listed = run("retention", "hold", "list", home, *passphrase)
    assert identifier in listed.out
    assert "person-1" in listed.out

    words = ("retention", "hold", "release", home, identifier, "--reason", "closed", *passphrase)
    other = officer("P-2", "operator")
    proposal = run(*words, "--json").document["proposal"]
    approve = ("proposals", "approve", home, proposal, "--yes", "--as", other, *passphrase)
    assert run(*approve).code == 0
    again = run(*words)
    assert (again.code, "no such hold stands" in again.err) == (2, True)
    assert run("retention", "hold", "list", home, *passphrase).out == "nothing is held\n"
    assert run("ledger", "verify", home).code == 0


@pytest.mark.parametrize(
    "named", [(), ("--subject", "person-1", "--everything"), ("--subject", "nobody")]
)
def test_a_hold_names_one_thing_that_is_there(
    home: Path, run: Any, passphrase: Any, named: tuple[str, ...]
) -> None:
    said = run("retention", "hold", "place", home, *named, "--reason", "why", *passphrase)

    assert said.code == 2


@pytest.mark.parametrize(
    ("option", "wrong"), [("--transaction", "AUS"), ("--partner", "A US"), ("--subject", "P 1")]
)
def test_a_hold_on_what_is_misspelt_names_the_option_that_was_typed(
    home: Path, run: Any, passphrase: Any, option: str, wrong: str
) -> None:
    said = run("retention", "hold", "place", home, option, wrong, "--reason", "why", *passphrase)

    assert said.code == 2
    last = said.err.splitlines()[-1]
    assert last.startswith(f"passerelle: {option}: ")
    assert "reference" not in last


def test_an_argument_that_is_refused_is_named_as_its_option(
    home: Path, run: Any, passphrase: Any
) -> None:
    """`person` is what the message to the gateway calls it."""
    said = run("staff", "end", home, "--official", "P 7", *passphrase)

    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("passerelle: --official: ")


def test_who_lacks_a_role_reads_who_grants_it_and_how(
    home: Path, run: Any, passphrase: Any, officer: Any
) -> None:
    examiner = officer("P-9", "examiner")

    said = run("retention", "run", home, "--as", examiner, *passphrase)

    assert said.code == 1
    assert "is for a person who is " in said.err
    assert "ask an operator" in said.err
    assert "passerelle staff add" in said.err


def test_an_officer_named_where_a_folder_is_meant_is_told_so(
    home: Path, run: Any, passphrase: Any
) -> None:
    said = run("retention", "status", home, "--as", "nobody", *passphrase)

    assert said.code == 2
    assert "there is no folder nobody" in said.err
    assert "passerelle staff request" in said.err


def test_a_decision_is_made_listed_and_lifted(home: Path, run: Any, passphrase: Any) -> None:
    refused = run(
        *("decisions", "refuse", home, "--subject", "person-1", "--partner", "AUS"),
        *("--field", "PHOTOGRAPH", "--ground", "PUBLIC_POLICY", "--reason", "file 13"),
        *(*passphrase, "--json"),
    )
    assert refused.code == 0, refused.err
    identifier = refused.document["decision"]

    listed = run("decisions", "list", home, "--subject", "person-1", *passphrase, "--json")
    assert listed.document["decisions"][0]["fields"] == ["PHOTOGRAPH"]
    lifted = run("decisions", "lift", home, identifier, "--reason", "reviewed", *passphrase)
    assert lifted.code == 0, lifted.err
    assert run("decisions", "list", home, *passphrase, "--json").document["decisions"] == []
    assert run("decisions", "list", home, *passphrase).out == "nothing is refused\n"
    assert run("ledger", "verify", home).code == 0


@pytest.mark.parametrize(
    "wrong", [("--ground", "WHIM"), ("--ground", "PUBLIC_POLICY", "--field", "SHOE_SIZE")]
)
def test_a_decision_of_another_list_is_refused(
    home: Path, run: Any, passphrase: Any, wrong: tuple[str, ...]
) -> None:
    said = run(
        *("decisions", "refuse", home, "--subject", "person-1", *wrong, "--reason", "x"),
        *passphrase,
    )

    assert said.code == 2
