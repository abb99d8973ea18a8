"""The private words of earlier releases are gone from all that a person reads: help, messages, documents, protos."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.cli.main import app

ROOT = Path(__file__).resolve().parents[2]

# What is not said any more, as an expression, and what is said instead.
WORDS = {
    r"houses?": "gateway",
    r"keepers?": "root key holder",
    r"badges?": "officer certificate",
    r"doors?|knock(?:s|ed|ing)?": "listener, endpoint; connect",
    r"desks?": "admin operation, admin session",
    r"couriers?|postm[ae]n": "transport, outbound worker",
    r"errands?": "outbound query",
    r"strangers?": "unidentified caller, unknown person",
    r"worst days?": "key compromise",
    r"caretakers?": "periodic jobs",
    r"corridors?": "pipeline",
    r"(?:key|record|custody) rooms?": "active keyset, subject records",
    r"at the counter": "admin session",
    r"pens?": "writer lock",
    r"rhythms?": "crypto-period",
    r"dooms?": "scheduled destruction",
    r"let(?:s|ting)? (?:a |an |the |any)?(?:\w+ )?in": "grant access",
    r"show(?:s|n|ing)? (?:a |an |the |any)?(?:\w+ )?out": "revoke access",
    r"step(?:s|ped|ping)? down": "is deactivated",
    r"(?:keys?|pairs?|kinds?) turn(?:s|ed|ing)?": "rotate",
    r"turns? (?:our keys|them|(?:itself|themselves)|by (?:itself|themselves))": "rotate",
    r"ledger (?:is |\S+ )?(?:not )?whole": "verified",
    r"not of its form": "what is expected",
    r"he|him|his|himself|she|hers?|herself": "they, them, their, themselves",
    r"passerelle (?:ask|asked|use)|asked (?:show|list|details|irrelevant)": "passerelle outbound …",
    r"keys believe": "keys unblock",
    r"keys adopt": "keys set-auditor-key",
    r"directory keeper": "directory root-key",
    r"(?:an|the|this|each|which|own|by|its) acts?": "operation",  # an Act of Parliament has another word before it
    r"home folders?|folders? of (?:a|the|this) (?:party|gateway)": "home directory",
    r"(?:party|gateway)'s folder": "home directory",
    r"folders? of (?:a |the )?(?:quer|answer)\w*": "stored answer",
    r"letters? (?:of ours|from|to|that|is|was|leaves?)|(?:a|the|this|each) letters?(?! of)": "signed envelope",
    r"stor(?:y|ies)": "exchange history",
    r"grammars?": "sequence rules",
    r"(?:a|the|this|each|ledger) volumes?(?! of)": "ledger archive",
    r"shel(?:f|ves)|drawers?": "data class",
    r"spared": "whose destruction is cancelled",
    r"(?:cannot|could not) be told": "not known, not decided",
}
OPTIONS = {
    "--keeper": "--root-key",
    "--keepers-passphrase-file": "--root-keys-passphrase-file",
    "--person": "--official, --subject",
}
# Not names of one word in code quotes, nor names of files, settings and fields that are contracts (stored_names.json), told apart by what stands beside them:
# keepers/1, door.json, limits.strangers_per_address.
SAID = [
    (re.compile(rf"(?<![\w/._-])(?:{old})(?![\w/_-]|\.\w)", re.IGNORECASE), new)
    for old, new in WORDS.items()
] + [(re.compile(rf"(?<!\S){old}(?![\w-])"), new) for old, new in OPTIONS.items()]
# What must be written so: the format of a stored file, which stored_names.json lists.
STORED = ("passerelle keeper 1",)

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROTOS = sorted((ROOT / "proto").rglob("*.proto"))
SOURCES = [
    path
    for folder in ("gateway", "keys", "matcher")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "v1" not in path.parts
]


def found(text: str) -> list[str]:
    """Return each old word of a text, where it stands, with the new one."""
    plain = " ".join(re.sub(r"`[^`\s]+`", "", text).split())
    for name in STORED:
        plain = plain.replace(name, "")
    return [
        f"…{plain[max(0, hit.start() - 30) : hit.end() + 30]}… → {new}"
        for old, new in SAID
        for hit in old.finditer(plain)
    ]


def helps() -> Iterator[tuple[str, str]]:
    """Yield each text of each command's help."""

    def walk(command: Any, path: str) -> Iterator[tuple[str, str]]:
        yield path, command.help or ""
        yield path, command.epilog or ""
        for each in command.params:
            yield path, " ".join((*each.opts, str(each.metavar or "")))
            yield path, getattr(each, "help", None) or ""
        for name, child in dict(getattr(command, "commands", {})).items():
            yield path, name
            yield from walk(child, f"{path} {name}")

    return walk(typer.main.get_command(app), "passerelle")


def messages(path: Path) -> Iterator[str]:
    """Yield the string constants with a blank in a module that are no docstrings; an f-string as one text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            told.add(id(node.value))  # a docstring, or one of a constant
        elif isinstance(node, ast.JoinedStr):
            parts = [each for each in node.values if isinstance(each, ast.Constant)]
            told |= {id(each) for each in parts}
            yield "…".join(str(each.value) for each in parts)
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and " " in text and id(node) not in told:
            yield text


def prose(page: Path) -> str:
    """Return a page without what must quote old words: the glossary."""
    text = page.read_text(encoding="utf-8")
    if page.name == "architecture.md":
        text = re.sub(r"^\| .*$", "", text, flags=re.MULTILINE)
    return text


def test_no_help_text_says_an_old_word() -> None:
    assert [(path, each) for path, text in helps() for each in found(text)] == []


@pytest.mark.parametrize("module", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_says_an_old_word(module: Path) -> None:
    assert [each for text in messages(module) for each in found(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_no_page_says_an_old_word(page: Path) -> None:
    assert found(prose(page)) == []


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.name)
def test_no_comment_of_a_proto_says_an_old_word(proto: Path) -> None:
    comments = re.findall(r"//(.*)", proto.read_text(encoding="utf-8"))

    assert [each for comment in comments for each in found(comment)] == []


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("the house answers", "gateway"),
        ("let a person in", "grant access"),
        ("Nobody approves his own.", "they"),
        ("give --keeper FOLDER", "--root-key"),
        ("a KEM key turns by itself", "rotate"),
        ("run `passerelle asked show`", "outbound"),
        ("the act waits for a second person", "operation"),
        ("name the folder of a gateway", "home directory"),
        ("a letter of ours is sent again", "signed envelope"),
        ("the volume was cut off", "ledger archive"),
        ("Home folder of the gateway", "home directory"),
    ],
)
def test_an_old_word_is_seen(text: str, new: str) -> None:
    assert any(new in each for each in found(text))


def test_a_name_in_a_stored_thing_is_none() -> None:
    assert found("keepers/1, DIR/keepers, door.json, limits.strangers_per_address") == []


def test_a_word_in_its_own_meaning_is_none() -> None:
    assert (
        found(
            "letters, digits and hyphens; the volume of queries; Privacy Act; the letter of a rule"
        )
        == []
    )
