"""Custody, backup and restore by commands alone: two operators, a closed gateway, a recovery key kept elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def can(homes: Any, officer: Any) -> Path:
    """A gateway with two operators: P-1 acts, P-2 has a folder of their own."""
    for person in ("P-1", "P-2"):
        officer(person, "operator")
    home: Path = homes["CAN"]
    return home


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def approve(run: Any, can: Path, said: Any, tmp_path: Path, passphrase: Any) -> Any:
    assert said.code == 0, said.err
    words = (said.document["proposal"], "--as", tmp_path / "p2", "--yes")
    done = run("proposals", "approve", can, *words, *passphrase)
    assert done.code == 0, done.err
    return done


def test_custody_is_changed_by_two_and_the_old_passphrase_opens_nothing(
    can: Path, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    new = secret(tmp_path / "new.pass", "a new passphrase of tests")
    words = ("--new-passphrase-file", new, "--reason", "yearly")
    said = run("keys", "rewrap", can, *words, *passphrase, "--json")
    assert "new passphrase" not in said.out
    approve(run, can, said, tmp_path, passphrase)

    refused = run("keys", "custody", can, *passphrase)
    assert refused.code == 2
    assert "wrong passphrase" in refused.err
    shown = run("keys", "custody", can, "--passphrase-file", new, "--json").document
    assert shown["setting"] == "file:keys/kek.json"
    assert shown["seeds"] >= 6
    assert shown["last_good"]
    assert run("ledger", "verify", can).code == 0


def test_a_gateway_is_backed_up_lost_and_restored(
    can: Path, run: Any, passphrase: Any, tmp_path: Path
) -> None:
    apart = secret(tmp_path / "recovery.pass", "kept elsewhere than the rest")
    folder, file = tmp_path / "recovery", tmp_path / "can.backup"
    early = run("backup", can, file, *passphrase)
    assert early.code == 2
    assert "passerelle recovery new" in early.err

    made = run("recovery", "new", folder, "--recovery-passphrase-file", apart, "--json").document
    assert run("recovery", "show", folder, "--json").document["kid"] == made["kid"]
    use = ("recovery", "use", can, folder / "recipient.json", "--reason", "first")
    approve(run, can, run(*use, *passphrase, "--json"), tmp_path, passphrase)

    backed = run("backup", can, file, *passphrase, "--json")
    assert backed.code == 0, backed.err
    assert backed.document["recovery_key"] == made["kid"]
    assert run("backup", can, file, *passphrase).code == 2  # overwrites nothing

    again = tmp_path / "again"
    restore = ("restore", file, again, "--recovery", folder, "--recovery-passphrase-file", apart)
    restored = run(*restore, *passphrase)
    assert restored.code == 0, restored.err
    assert "no partner's checkpoint was compared" in restored.out
    assert run("check", again, *passphrase).code == run("check", can, *passphrase).code
    assert run("ledger", "verify", again).code == 0
    assert run(*restore, *passphrase).code == 2  # not empty


def test_a_recovery_key_is_not_made_into_a_folder_with_anything_in_it(
    run: Any, tmp_path: Path
) -> None:
    apart = secret(tmp_path / "recovery.pass", "kept elsewhere than the rest")

    said = run("recovery", "new", tmp_path, "--recovery-passphrase-file", apart)
    assert said.code == 2
    assert "not empty" in said.err


def test_a_damaged_keyset_is_recovered_by_the_command_that_the_error_names(
    can: Path, run: Any, passphrase: Any
) -> None:
    file = can / "keys" / "keyset.json"
    whole = file.read_bytes()
    assert "nothing to recover" in run("keys", "recover", can, *passphrase).err
    file.write_bytes(whole[:-30])

    broken = run("keys", "list", can, *passphrase)
    assert broken.code == 2
    assert "passerelle keys recover" in broken.err
    said = run("keys", "recover", can, *passphrase)
    assert said.code == 0, said.err
    assert file.read_bytes() == whole
    assert run("keys", "list", can, *passphrase).code in {0, 1}
    assert run("ledger", "verify", can).code == 0
