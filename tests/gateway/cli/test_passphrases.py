"""A passphrase that is set has a least length, whichever command sets it; what is open with a shorter one still opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SHORT = b"fourteen chars"


@pytest.fixture
def short(tmp_path: Path) -> Path:
    file = tmp_path / "short"
    file.write_bytes(SHORT + b"\n")
    file.chmod(0o600)
    return file


def _init(tmp_path: Path, secrets_folder: Path, **files: Path) -> list[Any]:
    names = {
        "passphrase": "gateway",
        "auditor_passphrase": "auditor",
        "root_keys_passphrase": "keepers",
    }
    words: list[Any] = ["init", tmp_path / "made", "--party", "CAN"]
    for option, name in names.items():
        spelt = "--" + option.replace("_", "-") + "-file"
        words += [spelt, files.get(option, secrets_folder / name)]
    return words


@pytest.mark.parametrize("which", ["passphrase", "auditor_passphrase", "root_keys_passphrase"])
def test_init_sets_none_that_is_short(
    run: Any, tmp_path: Path, short: Path, secrets_folder: Path, which: str
) -> None:
    said = run(*_init(tmp_path, secrets_folder, **{which: short}))

    _demand_refused(said, tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("staff", "request", "MADE", "--official", "P-7", "--passphrase-file", "SHORT"),
        ("recovery", "new", "MADE", "--recovery-passphrase-file", "SHORT"),
        ("witness", "new", "MADE", "--name", "w.example.ca/witness", "--passphrase-file", "SHORT"),
    ],
)
def test_no_command_that_makes_keys_sets_one_that_is_short(
    run: Any, tmp_path: Path, short: Path, words: tuple[str, ...]
) -> None:
    places = {"MADE": tmp_path / "made", "SHORT": short}

    said = run(*(places.get(word, word) for word in words))

    _demand_refused(said, tmp_path)


def test_a_root_key_is_taken_under_none_that_is_short(
    run: Any, homes: Any, tmp_path: Path, short: Path, secrets_folder: Path
) -> None:
    said = run(
        *("directory", "root-key", homes["CAN"] / "keepers" / "3", "--to", tmp_path / "made"),
        *("--root-keys-passphrase-file", secrets_folder / "keepers"),
        *("--new-passphrase-file", short),
    )

    _demand_refused(said, tmp_path)


def _demand_refused(said: Any, folder: Path) -> None:
    assert said.code == 2
    assert "is too short: a new one has at least 15 characters" in said.err
    assert SHORT.decode() not in said.err
    assert not (folder / "made").exists()
