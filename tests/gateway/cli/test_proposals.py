"""`passerelle proposals`: two persons at a closed gateway, by commands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.trust.bundle import fingerprint
from keys.officer_keys import Request


@pytest.fixture
def can(homes: Any, officer: Any) -> Path:
    """A gateway with two operators: P-1 acts, P-2 has a folder of their own."""
    for person in ("P-1", "P-2"):
        officer(person, "operator")
    home: Path = homes["CAN"]
    return home


@pytest.fixture
def proposed(can: Path, run: Any, passphrase: Any, own_keys: Any, tmp_path: Path) -> str:
    own_keys(tmp_path / "p3", "P-3")
    words = ("--request", tmp_path / "p3" / "request.json", "--role", "operator")
    said = run("staff", "add", can, *words, *passphrase, "--json")
    assert said.code == 0, said.err
    return str(said.document["proposal"])


def test_an_operator_is_let_in_by_two_and_collects_the_badge(
    can: Path, proposed: str, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    waiting = run("proposals", "list", can, *passphrase)
    assert waiting.code == 1
    assert proposed in waiting.out
    request = tmp_path / "p3" / "request.json"
    collect = ("staff", "collect", can, "--request", request, *passphrase)
    assert run(*collect).code == 2

    shown = run("proposals", "show", can, proposed, *passphrase)
    assert "P-3 is granted access, as operator, for 90 days." in shown.out
    printed = fingerprint(Request.parse(request.read_bytes()).content())
    assert printed in shown.out
    approve = ("proposals", "approve", can, proposed, "--as", tmp_path / "p2", *passphrase)
    done = run(*approve, "--yes")
    assert done.code == 0, done.err
    assert run(*collect).code == 0

    listed = run("staff", "list", can, "--as", tmp_path / "p3", *passphrase, "--json")
    assert {row["person"] for row in listed.document["staff"]} == {"P-1", "P-2", "P-3"}
    none = run("proposals", "list", can, *passphrase)
    assert (none.code, none.out) == (0, "nothing is proposed\n")
    assert run("ledger", "verify", can).code == 0


def test_self_approval_is_refused_with_exit_code_one(
    can: Path, proposed: str, run: Any, passphrase: Any
) -> None:
    said = run("proposals", "approve", can, proposed, "--yes", *passphrase, "--json")

    assert said.code == 1
    assert "nobody approves their own proposal" in said.document["error"]["message"]


def test_without_a_terminal_yes_must_be_said(
    can: Path, proposed: str, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    said = run("proposals", "approve", can, proposed, "--as", tmp_path / "p2", *passphrase)

    assert said.code == 2
    assert "--yes" in said.err


def test_it_is_rejected_or_withdrawn(
    can: Path, proposed: str, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    reject = ("proposals", "reject", can, proposed, "--reason", "not agreed", *passphrase)
    assert run(*reject).code == 2  # his own: he withdraws it
    assert run(*reject, "--as", tmp_path / "p2").code == 0
    assert run("proposals", "withdraw", can, proposed, *passphrase).code == 2

    listed = run("proposals", "list", can, "--all", *passphrase, "--json").document["proposals"]
    assert [(row["state"], row["decider"], row["note"]) for row in listed] == [
        ("REJECTED", "P-2", "not agreed")
    ]


def test_an_id_that_is_none_is_refused(can: Path, run: Any, passphrase: Any) -> None:
    for identifier in ("P-1", "P-0123456789abcdef"):
        assert run("proposals", "show", can, identifier, *passphrase).code == 2


def test_suspend_takes_one_and_resume_two(
    can: Path, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    who = ("--official", "P-2", "--reason", "badge lost", *passphrase)
    assert run("staff", "suspend", can, *who).code == 0
    assert run("staff", "list", can, "--as", tmp_path / "p2", *passphrase).code == 1
    said = run("staff", "resume", can, *who, "--json")

    assert said.document["plan"] == ["The officer certificates of P-2 are valid again."]
