"""The directory's commands: its root key holders sign, at one place or each at home, and a gateway takes what enough signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.server.application import Gateway
from gateway.trust.partners import own_bundle


@pytest.fixture
def keepers_file(secrets_folder: Path) -> tuple[str, Path]:
    return ("--root-keys-passphrase-file", secrets_folder / "keepers")


@pytest.fixture
def home(homes: dict[str, Path], officer: Any) -> Path:
    """A closed gateway with a first operator."""
    officer("O-1", "operator")
    return homes["CAN"]


def roles(run: Any, home: Path, passphrase: Any) -> dict[str, Any]:
    said = run("directory", "status", home, *passphrase, "--json")
    assert said.code == 0, said.err
    return {each["role"]: each for each in said.document["roles"]}


def test_a_founded_gateway_has_a_directory_of_five_roles(
    run: Any, home: Path, passphrase: Any
) -> None:
    found = roles(run, home, passphrase)

    assert [(r["role"], r["threshold"], r["keys"]) for r in found.values()] == [
        ("root", 3, 5),
        ("targets", 2, 3),
        ("CAN", 2, 2),
        ("snapshot", 2, 2),
        ("timestamp", 2, 2),
    ]


def test_three_keepers_sign_the_next_root_and_our_entry_starts_from_it(
    run: Any, home: Path, passphrase: Any, keepers_file: Any
) -> None:
    chosen = [word for n in (1, 3, 4) for word in ("--root-key", home / "keepers" / str(n))]
    said = run("directory", "root", home, *chosen, *keepers_file, *passphrase, "--json")

    assert said.code == 0, said.err
    assert said.document["version"] == 2
    assert own_bundle(home).root.version == 2  # type: ignore[union-attr]
    assert roles(run, home, passphrase)["root"]["version"] == 2


@pytest.mark.parametrize(
    ("kind", "verb", "keepers"),
    [("SNAPSHOT", "root", "123"), ("TIMESTAMP", "root", "245"), ("DELEGATION", "renew", "13")],
)
def test_a_pair_is_rotated_by_the_commands_that_each_one_names(  # noqa: PLR0917 - the fixtures
    run: Any, home: Path, passphrase: Any, keepers_file: Any, kind: str, verb: str, keepers: str
) -> None:
    """Made by an operator, named by root key holders, in use with that; the list says what it waits for."""
    made = run("keys", "rotate", home, kind, "--reason", "yearly", *passphrase)
    assert made.code == 0, made.err
    assert f"passerelle directory {verb} {home}" in made.out
    chosen = [word for n in keepers for word in ("--root-key", home / "keepers" / n)]

    said = run("directory", verb, home, *chosen, *keepers_file, *passphrase)

    assert said.code == 0, said.err
    listed = run("keys", "list", home, *passphrase, "--json").document["keys"]
    found = [row for row in listed if row["kind"] == kind]
    assert [(row["state"], row["in_use"]) for row in found] == [
        ("ACTIVE", False),  # for an hour more, or until the next round
        ("ACTIVE", True),
    ]


def test_a_pair_is_not_promoted_before_keepers_name_it(
    run: Any, home: Path, passphrase: Any
) -> None:
    """Nor by two persons: nobody could check what it signs."""
    said = run("keys", "generate", home, "SNAPSHOT", "--reason", "t", *passphrase, "--json")
    key = said.document["moves"][0]["key"]

    early = run("keys", "promote", home, key, "--reason", "t", *passphrase)
    plan = run("keys", "rotate", home, "SNAPSHOT", "--dry-run", *passphrase)

    assert early.code == 2
    assert "passerelle directory root" in early.err
    assert "three root key holders sign a new root" in plan.out


def test_two_keepers_renew_the_targets_by_a_file_that_travels(
    run: Any, home: Path, passphrase: Any, keepers_file: Any, tmp_path: Path
) -> None:
    draft = tmp_path / "next.targets.json"
    assert run("directory", "renew", home, "-o", draft, *passphrase).code == 0
    early = run("directory", "renew", home, "--signed", draft, *passphrase)
    assert early.code == 2
    assert "too few root key holders" in early.err
    for number in (1, 2):
        folder = home / "keepers" / str(number)
        assert run("directory", "sign", draft, "--root-key", folder, *keepers_file).code == 0

    said = run("directory", "renew", home, "--signed", draft, *passphrase, "--json")

    assert said.code == 0, said.err
    assert roles(run, home, passphrase)["targets"]["version"] == 2


def test_a_keeper_of_the_root_alone_signs_no_targets(
    run: Any, home: Path, passphrase: Any, keepers_file: Any
) -> None:
    said = run(
        *("directory", "renew", home, "--root-key", home / "keepers" / "5"),
        *(*keepers_file, *passphrase),
    )

    assert said.code == 2
    assert "keeps the root only" in said.err


def test_a_keeper_takes_a_folder_under_an_own_passphrase(
    run: Any, home: Path, keepers_file: Any, tmp_path: Path, passphrase: Any
) -> None:
    own = tmp_path / "own.pass"
    own.write_text("known to one person\n")
    own.chmod(0o600)
    taken = tmp_path / "mine"
    said = run(
        *("directory", "root-key", home / "keepers" / "2", "--to", taken),
        *(*keepers_file, "--new-passphrase-file", own),
    )
    assert said.code == 0, said.err
    draft = tmp_path / "next.root.json"
    assert run("directory", "root", home, "-o", draft, *passphrase).code == 0

    wrong = run("directory", "sign", draft, "--root-key", taken, *keepers_file)
    right = run("directory", "sign", draft, "--root-key", taken, "--root-keys-passphrase-file", own)

    assert wrong.code == 2
    assert right.code == 0, right.err


def test_a_gateway_whose_directory_has_ended_answers_nothing(home: Path) -> None:
    from datetime import timedelta

    from gateway.errors import DirectoryStale

    with Gateway.open(home, lambda: b"correct horse battery") as gateway:
        gateway.directory.publication.demand()
        real = gateway.directory.publication._clock
        gateway.directory.publication._clock = lambda: real() + timedelta(hours=25)
        with pytest.raises(DirectoryStale):
            gateway.directory.publication.demand()
        gateway.directory.publication.round()  # the periodic jobs signs anew, long before that
        gateway.directory.publication.demand()
