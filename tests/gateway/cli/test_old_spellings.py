"""The commands and options of the release before: they work as the new ones do, and nothing shows them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.cli import old_spellings
from gateway.cli.main import app

NUMBER = "20260301-0123456789abcdef0123"
MATTER = ("--agreement", "au@1", "--case", "C-1", "--unit", "U-1")
BLOCKED = (
    *("HOME", "--to", "AUS", *MATTER, "--purpose", "TRAVEL_ENTER_REMAIN", "--prior", NUMBER),
    *("--status", "CLAIMANT", "--nationality", "IRN", "--alleged-persecution", "AUS"),
)
PARTNERS = ("--to", "AUS", *MATTER, "--purpose", "TRAVEL_ENTER_REMAIN")
ROOT_KEYS = ("--root-keys-passphrase-file", "KEEPERS")
WHY = ("--reason", "why")

# The words of a command now; the old spelling follows from the tables.
COMMANDS = {
    ("ask",): [("caseworker", ("outbound", "query", *BLOCKED))],
    ("asked",): [
        ("caseworker", ("outbound", "list", "HOME")),
        ("caseworker", ("outbound", "show", "HOME", NUMBER)),
        ("caseworker", ("outbound", "irrelevant", "HOME", NUMBER, *WHY, "--yes")),
        (
            "caseworker",
            ("outbound", "details", "HOME", NUMBER, "--field", "LAST_NAME", *MATTER[2:]),
        ),
    ],
    ("use",): [("caseworker", ("outbound", "use", "HOME", NUMBER, "--in", "R-1"))],
    ("keys", "believe"): [
        ("operator", ("keys", "unblock", "HOME", "00" * 32, "--partner", "AUS", *WHY))
    ],
    ("keys", "adopt"): [
        ("operator", ("keys", "set-auditor-key", "HOME", "NONE", "--fingerprint", "AA", *WHY))
    ],
    ("directory", "keeper"): [
        ("", ("directory", "root-key", "HOME/keepers/2", "--to", "HOME/mine", *ROOT_KEYS))
    ],
}
OPTIONS = {
    ("--root-key", "--keeper"): [
        ("operator", ("directory", "root", "HOME", "ROOT", *ROOT_KEYS)),
        ("operator", ("directory", "renew", "HOME", "ROOT", *ROOT_KEYS)),
        ("", ("directory", "sign", "NONE", "--root-key", "HOME/keepers/1", *ROOT_KEYS)),
    ],
    ("--root-keys-passphrase-file", "--keepers-passphrase-file"): [
        ("", ("directory", "root-key", "HOME/keepers/2", "--to", "HOME/mine", *ROOT_KEYS)),
        ("", ("init", "HOME", "--party", "CAN", *ROOT_KEYS)),
    ],
    ("--official", "--person"): [
        ("", ("staff", "request", "HOME/keys of P 9", "--official", "not a pseudonym")),
        ("operator", ("staff", "end", "HOME", "--official", "P-99")),
        ("operator", ("staff", "suspend", "HOME", "--official", "caseworker", *WHY)),
        ("operator", ("staff", "resume", "HOME", "--official", "P-99", *WHY)),
        ("", ("query", "HOME", *PARTNERS, "--official", "P-9", "--prior", NUMBER)),
        ("", ("details", "HOME", NUMBER, *PARTNERS, "--official", "P-9", "--field", "LAST_NAME")),
    ],
    ("--subject", "--person"): [
        ("operator", ("retention", "hold", "place", "HOME", "--subject", "nobody", *WHY)),
        (
            "caseworker",
            (
                *("decisions", "refuse", "HOME", "--subject", "nobody"),
                *("--ground", "PUBLIC_POLICY", *WHY),
            ),
        ),
        ("caseworker", ("decisions", "list", "HOME", "--subject", "nobody")),
    ],
}


def pairs() -> list[Any]:
    """Return who acts, the old words and the new ones of each case."""
    found = []
    for old, cases in COMMANDS.items():
        now = old_spellings.COMMANDS[old]
        for who, words in cases:
            assert words[: len(now)] == now
            found.append((who, (*old, *words[len(now) :]), words))
    for (now_option, before), cases in OPTIONS.items():
        for who, words in cases:
            known = tuple(before if word == now_option else word for word in words)
            old_words = tuple("KEEPER" if word == "ROOT" else word for word in known)
            assert old_words != words
            found.append((who, old_words, words))
    return [pytest.param(*each, id=" ".join(each[1][:3])) for each in found]


@pytest.fixture(scope="module")
def staffed(
    founded: dict[str, Path], let_in: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Path]]:
    """CAN with an operator and a caseworker; never written to by a test."""
    folder = tmp_path_factory.mktemp("staffed")
    shutil.copytree(founded["CAN"], folder / "CAN")
    officers = {role: folder / role for role in ("operator", "caseworker")}
    for role, own in officers.items():
        let_in(folder / "CAN", role, [role], own, passphrase=lambda: b"correct horse battery")
    return folder / "CAN", officers


@pytest.mark.parametrize(("who", "old", "new"), pairs())
def test_an_old_spelling_does_what_the_new_one_does(
    *, staffed: Any, run: Any, tmp_path: Path, secrets_folder: Path, who: str, old: Any, new: Any
) -> None:
    home, officers = staffed
    said = []
    for name, words in (("old", old), ("new", new)):
        own = tmp_path / name / "CAN"
        shutil.copytree(home, own)
        meant: list[str] = []
        for word in words:
            if word in {"ROOT", "KEEPER"}:
                option = "--root-key" if word == "ROOT" else "--keeper"
                for number in (1, 2, 3) if "root" in words else (1, 2):
                    meant += [option, str(own / "keepers" / str(number))]
                continue
            path = word.replace("HOME", str(own)).replace("NONE", str(own / "none"))
            meant.append(path.replace("KEEPERS", str(secrets_folder / "keepers")))
        if who:
            meant += ["--as", str(officers[who])]
        if who or words[0] in {"query", "details"}:
            meant += ["--passphrase-file", str(secrets_folder / "gateway")]
        done = run(*meant, "--json")
        said.append((done, without_numbers(done.document, str(own))))
        assert done.document["ok"] or done.document.get("error", {}).get("kind") != "Usage"
    (before, told), (after, wanted) = said

    assert (before.code, told) == (after.code, wanted)
    assert "is now `" in before.err
    assert "is now `" not in after.err


def without_numbers(document: Any, home: str) -> Any:
    """Return a document without what differs from one home directory, or one call, to the next."""
    if isinstance(document, dict):
        varying = {"number", "fingerprint", "asked_at"}
        return {k: without_numbers(v, home) for k, v in document.items() if k not in varying}
    if isinstance(document, list):
        return [without_numbers(each, home) for each in document]
    return document.replace(home, "HOME") if isinstance(document, str) else document


def commands(command: Any, path: tuple[str, ...] = ()) -> Any:
    """Yield every command and group with its path."""
    yield path, command
    for name, child in dict(getattr(command, "commands", {})).items():
        yield from commands(child, (*path, name))


def test_every_old_spelling_is_tried() -> None:
    assert COMMANDS.keys() == old_spellings.COMMANDS.keys()
    tried = {
        (path, old)
        for (_, old), cases in OPTIONS.items()
        for _, words in cases
        for path, _ in commands(typer.main.get_command(app))
        if path == words[: len(path)]
    }
    known = {
        (path, old)
        for path, command in commands(typer.main.get_command(app))
        for old in getattr(command, "_old", ())
    }

    assert {old for _, old in known} == old_spellings.OPTIONS
    alike = {  # one declaration stands in each of these; its first user is driven above
        (("directory", verb), "--keepers-passphrase-file") for verb in ("root", "renew", "sign")
    }
    assert known - tried <= alike


def test_no_help_and_no_completion_shows_an_old_spelling(run: Any) -> None:
    """Neither the list of commands nor that of options; usage lines say the new name."""
    for path, command in commands(typer.main.get_command(app)):
        shown = {option for param in command.params for option in param.opts}
        assert not shown & old_spellings.OPTIONS, path
        for old in old_spellings.COMMANDS:
            assert path != old
        assert (
            not {
                item.value
                for item in command.shell_complete(
                    command.make_context("", [], resilient_parsing=True), "--"
                )
            }
            & old_spellings.OPTIONS
        )
    near = run("staff", "end", "x", "--perso", "P-1")
    assert (near.code, "--official" in near.err, "--person" in near.err) == (2, True, False)
    said = run("keys", "believe", "--help")
    assert "passerelle keys unblock" in said.out
    assert said.code == 0


def test_old_and_new_options_may_stand_together(
    staffed: Any, run: Any, tmp_path: Path, secrets_folder: Path
) -> None:
    home, officers = staffed
    shutil.copytree(home, tmp_path / "CAN")
    said = run(
        *("directory", "renew", tmp_path / "CAN", "--keeper", tmp_path / "CAN" / "keepers" / "1"),
        *("--root-key", tmp_path / "CAN" / "keepers" / "2", "--as", officers["operator"]),
        *("--keepers-passphrase-file", secrets_folder / "keepers"),
        *("--passphrase-file", secrets_folder / "gateway", "--json"),
    )

    assert said.code == 0, said.err
    assert said.document["version"] == 2
