"""What the documents promise: commands that exist, links that lead somewhere, decisions that say their price."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from click.testing import CliRunner

from gateway import config
from gateway.cli import old_spellings
from gateway.cli.main import app
from gateway.exercises import operations_reference, settings_reference

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file()),
)
ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))

FENCED = re.compile(r"^ *(?:\$ |- |RUN |exec )?(passerelle [a-z].*)$", re.MULTILINE)
INLINE = re.compile(r"`(passerelle [a-z][^`]*)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PARTS = ("## Context", "## Decision", "## What we gave up", "## How we would notice it was wrong")
SCREENS = 100  # lines of the README: two screens


def commands() -> list[tuple[str, str]]:
    """Return every `passerelle …` of the documents with the document that says it."""
    said: dict[str, str] = {}
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        fences = "\n".join(re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        for found in (*FENCED.findall(fences), *INLINE.findall(text)):
            # In a fence a comment stands after a # or after a gap of two spaces.
            command = re.split(r"  +|\s+#|\s+\\$", found)[0].strip()
            said.setdefault(command, path.name)
    return sorted(said.items())


@cache
def root() -> Any:
    """Return the tree of commands, which takes a tenth of a second to make."""
    return typer.main.get_command(app)


@cache
def helps(*path: str) -> bool:
    return CliRunner().invoke(root(), [*path, "--help"]).exit_code == 0


@pytest.mark.parametrize(("said", "document"), commands())
def test_a_command_of_the_documents_exists(said: str, document: str) -> None:
    """Its words name a command, its options are options of that command, and its help can be read."""
    command = root()
    path: list[str] = []
    words = shlex.split(said)[1:]
    if document == "CHANGELOG.md":  # it tells of releases before, too
        words = old_spellings.renamed(words, quiet=True)
    while words and (children := getattr(command, "commands", None)):
        word = words.pop(0)
        if word not in children and hasattr(command, "default"):
            word, words = command.default, [word, *words]
        assert word in children, f"{document}: no command {word!r} in `{said}`"
        command = children[word]
        path.append(word)
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    options = {word.split("=")[0] for word in words if word.startswith("-")}

    assert options <= {*known, "--help"}, f"{document}: `{said}`"
    assert helps(*path)


def test_the_documents_say_commands_at_all() -> None:
    assert {"query", "serve", "demo"} <= {said.split()[1] for said, _ in commands()}


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.suffix == ".md"], ids=lambda path: path.name
)
def test_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]

    assert broken == []


def test_a_test_that_the_documents_name_exists() -> None:
    """The threat model names its proofs; a renamed test must be renamed there."""
    named = {
        (path.name, name)
        for path in DOCUMENTS
        if path.suffix == ".md"
        for name in re.findall(r"`(test_[a-z0-9_]+)`", path.read_text(encoding="utf-8"))
    }
    written = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )

    assert {(doc, name) for doc, name in named if f"def {name}(" not in written} == set()


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_a_decision_says_its_price_on_one_page(adr: Path) -> None:
    text = adr.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 60
    assert [text.count(f"{part}\n") for part in PARTS] == [1, 1, 1, 1]
    assert text.startswith(f"# {int(adr.stem[:4])}. ")


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.stem[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))


def test_the_readme_is_two_screens_and_names_the_two_words() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= SCREENS
    assert "make demo" in text
    assert "make test" in text


def test_the_reference_of_operations_is_what_is_declared() -> None:
    """`make operations` makes it; every operation is in it, with whoever may ask for it."""
    text = operations_reference.render()

    assert (ROOT / operations_reference.PLACE).read_text(encoding="utf-8") == text, (
        "run `make operations`"
    )
    rows = re.findall(
        r"^\| `([a-z.-]+)` \| .* \| ([a-z, ]+) \| .+ \| (?:yes|) \| .+ \|$", text, re.MULTILINE
    )
    assert {name for name, _ in rows} == {
        each.declaration.name for each in operations_reference.every_operation()
    }


def test_the_reference_of_settings_is_what_the_code_says() -> None:
    """`make settings` makes it; every setting is in it, with its default and the words beside it."""
    text = settings_reference.render()

    assert (ROOT / settings_reference.PLACE).read_text(encoding="utf-8") == text, (
        "run `make settings`"
    )
    sections = re.findall(r"^### ([a-z_]+\.[a-z0-9_]+)\n\n(.+);.*\.\n\n(.+)$", text, re.MULTILINE)
    named = [
        f"{section}.{key}"
        for section, field in config.Settings.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    ]
    assert [name for name, _, _ in sections] == named
    assert all(len(words) > 20 for _, _, words in sections)
