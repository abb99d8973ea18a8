"""Two languages: every message has its French, none is left over, and it is French as officials in Canada write it."""

from __future__ import annotations

import ast
import importlib
import io
import json
import pkgutil
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from jinja2 import nodes
from typer.testing import CliRunner

from gateway.auditor import questions
from gateway.auditor.reconcile import Compared, Part
from gateway.auditor.reconcile import Message as Recorded
from gateway.auditor.report.page import TEMPLATES, environment
from gateway.auditor.report.text import placeholders
from gateway.cli.audit import period_questions
from gateway.cli.ledger import reconcile
from gateway.cli.main import app
from gateway.language import LOCALE, Catalogue, Language, Message, catalogue, heading, say, wanted
from gateway.ledger.entry import EntryClass, EntryType
from gateway.ledger.exchange_history import Question

Key = tuple[str, str]


def said() -> Iterator[Key]:
    """Yield each message of the sources: what `say` is called with, which is always written out."""
    for path in sorted(LOCALE.parent.rglob("*.py")):
        text = path.read_text("utf-8")
        if "from gateway.language import" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say":
                first = node.args[0]
                assert isinstance(first, ast.Constant), f"{path}:{node.lineno}: not written out"
                yield "", first.value


def templates() -> Iterator[Key]:
    """Yield each message of the console's pages: what `_` is called with."""
    for path in sorted(TEMPLATES.glob("*.html")):
        tree = environment().parse(path.read_text("utf-8"))
        for call in tree.find_all(nodes.Call):
            if getattr(call.node, "name", "") == "_":
                assert isinstance(call.args[0], nodes.Const), f"{path}:{call.lineno}"
                yield "", call.args[0].value


def columns() -> Iterator[Key]:
    """Yield the name of each column and each total of the questions."""
    for module in pkgutil.iter_modules(questions.__path__, f"{questions.__name__}."):
        loaded = importlib.import_module(module.name)
        names = [getattr(loaded, name, ()) for name in TABLES]
        for name in chain(*names, totals(ast.parse(Path(str(loaded.__file__)).read_text("utf-8")))):
            yield "column", heading(name).template


TABLES = ("COLUMNS", "USES", "ERASURES", "DECISIONS", "READINGS", "MEASURES", "DIMENSIONS")


def totals(tree: ast.Module) -> Iterator[str]:
    """Yield the keys of the totals: of what stands third in a Table, or is called `totals`, or is returned as such."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Table":
            found = list(node.args[2:3])
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if getattr(target, "id", "") == "totals":
                found = [node.value]
            elif isinstance(target, ast.Subscript) and getattr(target.value, "id", "") == "totals":
                assert isinstance(target.slice, ast.Constant)
                yield target.slice.value
        elif isinstance(node, ast.FunctionDef) and node.name == "_over_all":
            found = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
        for each in found:
            if isinstance(each, ast.Dict):
                yield from (key.value for key in each.keys if isinstance(key, ast.Constant))


def used() -> set[Key]:
    kinds = (("entry", kind.name.lower().replace("_", " ")) for kind in EntryType)
    asked = (("question", question.value) for question in Question)
    standing = (("class", each.name.lower()) for each in EntryClass)
    parts = (("part", each.value) for each in Part)
    return {*said(), *templates(), *columns(), *kinds, *asked, *standing, *parts}


def test_every_message_has_its_french() -> None:
    assert used() - set(catalogue("fr").messages) == set()


def test_no_entry_of_the_catalogue_is_unused() -> None:
    assert set(catalogue("fr").messages) - used() == set()


def test_a_translation_fills_in_what_the_english_does() -> None:
    wrong = {
        english: french
        for (_, english), french in catalogue("fr").messages.items()
        if placeholders(english) != placeholders(french) or not french.strip()
    }

    assert wrong == {}


@pytest.mark.parametrize("wrong", [r"\s[;?!]", r"(?<!\u00a0):(?=\s|$)", " :", "'", "IRPR", '"'])
def test_the_french_is_written_as_officials_in_canada_write_it(wrong: str) -> None:
    """No space before ; ? and !, one that does not break before a colon, typographic apostrophes, RIPR."""
    assert [each for each in catalogue("fr").messages.values() if re.search(wrong, each)] == []


def test_a_message_is_english_wherever_a_string_is_wanted() -> None:
    message = say("{count} corrections are late or were", count=3)

    assert message == "3 corrections are late or were"
    assert Language("en")(message) == message
    assert Language("fr")(message) == "rectifications en retard, ou qui l’ont été\u00a0: 3"


def test_a_message_within_a_message_is_translated_too() -> None:
    inner = say("no case")
    message = say("{count} queries: {what}", count=2, what=inner)

    assert Language("fr")(message) == "sans dossier\u00a0: 2 requêtes"


def test_what_was_recorded_is_never_taken_for_a_word() -> None:
    """A unit may be called `refused`: it is data, and data is not translated."""
    french = Language("fr")

    assert (french(say("refused")), french("refused"), french(7)) == ("refusé", "refused", "7")


def test_braces_of_what_is_filled_in_are_left_alone() -> None:
    message = say("ground {ground}", ground="{count} {0}")

    assert Language("fr")(message) == "motif {count} {0}"


def test_alike_in_english_and_not_in_french() -> None:
    french = Language("fr")

    assert french(heading("asked")) == "demandé"
    assert french(Message("asked", context="entry")) == "question posée"


@pytest.mark.parametrize(
    "text",
    [
        'msgid "a"\nmsgstr "b"\n\nmsgid "a"\nmsgstr "c"\n',
        'msgid "a"\nmsgid_plural "b"\n',
        "no entry\n",
    ],
)
def test_a_catalogue_that_is_not_of_its_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="catalogue"):
        Catalogue(io.BytesIO(text.encode()))


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "fr_CA.UTF-8"}, "fr"),
        ({"LANG": "en_CA.UTF-8"}, "en"),
        ({"LANG": "de_CH.UTF-8"}, "en"),
        ({"LANG": "fr_CA.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_CA.UTF-8", "LC_MESSAGES": "fr_CA.UTF-8"}, "fr"),
        ({"LANG": "de_CH.UTF-8", "LANGUAGE": "de:fr"}, "fr"),
        ({"LANG": "C", "LANGUAGE": "fr"}, "en"),
    ],
)
def test_without_a_choice_the_environment_says_the_language(
    environment: dict[str, str], code: str
) -> None:
    assert wanted(environment) == code


def ask(archive: Any, *words: str, **environment: str) -> tuple[int, str]:
    options = ("--bundle", str(archive.bundle), *archive.as_auditor)
    result = CliRunner().invoke(
        app,
        ["audit", *words, *options],
        prog_name="passerelle",
        env={"COLUMNS": "250", **environment},
    )
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_a_question_is_answered_in_french(archive: Any) -> None:
    code, told = ask(archive, "refusals", "--language", "fr")

    assert code == 0
    assert {"partenaire", "disposition", "refusé"} <= set(told.split())
    assert "they asked" not in told


def test_the_environment_asks_for_french_and_the_option_for_english(archive: Any) -> None:
    _, french = ask(archive, "refusals", LC_ALL="fr_CA.UTF-8")
    _, english = ask(archive, "refusals", "--language", "en", LC_ALL="fr_CA.UTF-8")

    assert "disposition" in french
    assert "paragraph" in english


def test_json_keeps_its_names_and_words_in_french(archive: Any) -> None:
    _, told = ask(archive, "refusals", "--language", "fr", "--json")
    _, plain = ask(archive, "refusals", "--json")

    assert told == plain


def test_a_finding_is_told_in_the_language_in_json_too(archive: Any) -> None:
    code, told = ask(archive, "rates", "--language", "fr", "--json")

    assert code == 1
    assert "demandez au registraire" in told


def test_the_history_of_an_exchange_is_shown_in_french(archive: Any) -> None:
    code, told = ask(archive, "explain", archive.matched, "--language", "fr")

    assert code == 0
    assert "échantillons et gabarits détruits" in told
    assert "[RIPR 315.43(2)]" in told
    assert not re.search(r"\b(leaf|asked by|destroyed)\b", told)


def test_a_language_that_is_not_here_is_refused_by_name(archive: Any) -> None:
    code, told = ask(archive, "refusals", "--language", "de")
    _, document = ask(archive, "refusals", "--language", "de", "--json")

    assert code == 2
    assert "de is none of en, fr" in told
    assert json.loads(document.splitlines()[0])["error"]["kind"] == "Usage"


def test_what_two_parties_recorded_otherwise_is_told_in_french() -> None:
    one = Recorded(Part.ANSWER, "AUS", "20260101-1", b"", b"", 0, sure=True)
    compared = Compared(
        both=7, only_here=(one,) * 51, differing=(one,), only_there=2, unanswered=3, edge=4
    )

    told = [Language("fr")(line) for line in reconcile._lines(compared, "AUS")]

    assert told[0] == "consigné de même par les deux  7 messages"
    assert told[1].startswith("jamais consigné par AUS  réponse  20260101-1  envoyé par AUS")
    assert told[51] == "… et 1 autres  → --json"
    assert told[52].startswith("consigné autrement  réponse")
    assert len(told) == 56


def test_a_share_has_a_comma_in_french_and_a_point_in_english() -> None:
    cells = [
        period_questions._cell(Language(code), "hit_share", value)
        for code in ("en", "fr")
        for value in (0.0625, "0.0625", True, None)
    ]

    assert cells == ["0.0625", "0.0625", "yes", "", "0,0625", "0.0625", "oui", ""]
