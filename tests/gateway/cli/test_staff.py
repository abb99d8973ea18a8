"""`passerelle staff`: the first operator by passphrase, later ones by an operator, the same answers both ways."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any


def test_the_first_operator_is_made_by_the_passphrase_and_the_next_by_him(
    homes: Any, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    home = homes["CAN"]
    first = run(
        *("staff", "add", home, "--person", "P-1", "--role", "operator"),
        *("-o", home / "staff" / "me", *passphrase, "--json"),
    )
    assert first.code == 0, first.err
    assert first.document["roles"] == ["operator"]
    key = home / "staff" / "me" / "officer.json"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert json.loads(key.read_text())["seed"] not in first.out

    second = run(
        *("staff", "add", home, "--person", "P-7", "--role", "caseworker", "-o", tmp_path / "p7"),
        *passphrase,
    )
    assert second.code == 0, second.err
    listed = run("staff", "list", home, *passphrase, "--json")
    assert [row["person"] for row in listed.document["staff"]] == ["P-1", "P-7"]


def test_init_makes_the_first_operator_where_asked(
    run: Any, secrets_folder: Path, tmp_path: Path
) -> None:
    said = run(
        *("init", tmp_path / "can", "--party", "CAN", "--operator", "P-1", "--json"),
        *("--passphrase-file", secrets_folder / "house"),
        *("--auditor-passphrase-file", secrets_folder / "auditor"),
        *("--keepers-passphrase-file", secrets_folder / "keepers"),
    )
    assert said.code == 0, said.err
    assert said.document["operator"] == str(tmp_path / "can" / "staff" / "me")


def test_another_role_is_told_no(homes: Any, run: Any, passphrase: Any, tmp_path: Path) -> None:
    home = homes["CAN"]
    run(
        *("staff", "add", home, "--person", "P-7", "--role", "examiner", "-o", tmp_path / "p7"),
        *passphrase,
    )

    said = run("staff", "list", home, "--as", tmp_path / "p7", *passphrase, "--json")

    assert said.code == 1
    assert "auditor or operator" in said.document["error"]["message"]


def test_a_folder_that_holds_a_credential_is_not_written_over(
    homes: Any, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    words = ("staff", "add", homes["CAN"], "--role", "examiner", "-o", tmp_path / "p", *passphrase)
    assert run(*words, "--person", "P-7").code == 0
    before = (tmp_path / "p" / "officer.json").read_bytes()

    said = run(*words, "--person", "P-8")

    assert said.code == 2
    assert "another folder" in said.err
    assert (tmp_path / "p" / "officer.json").read_bytes() == before


def test_no_credential_is_said_with_its_remedy(homes: Any, run: Any, tmp_path: Path) -> None:
    said = run("staff", "list", homes["CAN"], "--as", tmp_path / "nobody")

    assert said.code == 2
    assert "passerelle staff add" in said.err
