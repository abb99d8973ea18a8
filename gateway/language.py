"""What is said to people in English and in French: gettext, with the catalogue in the text that translators edit.

A message is written in English where it arises, with `say`, and is English wherever a string is wanted: in JSON, in CSV,
in the ledger. Whoever shows it to a person asks a `Language` for its words. `gateway/locale/fr.po` has the French; it
is read as it is, so that nothing has to be compiled, and a test holds it against every message in the sources.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from typing import Final, Protocol, Self

LANGUAGES: Final = ("en", "fr")
LOCALE: Final = Path(__file__).parent / "locale"
_WORDS: Final = ("msgctxt", "msgid", "msgstr")


class Message(str):
    """English that can be said in another language.

    template   as the catalogue has it, with {names} to be filled in
    filled     values by name; a message among them is translated too
    context    distinguishes messages that are equal in English only: `column` of a table, `entry` of the ledger
    """

    __slots__ = ("context", "filled", "template")

    template: str
    filled: Mapping[str, object]
    context: str

    def __new__(
        cls, template: str, filled: Mapping[str, object] | None = None, context: str = ""
    ) -> Self:
        """Make a message; its English is made at once."""
        made = super().__new__(cls, template.format(**filled) if filled else template)
        made.template, made.filled, made.context = template, filled or {}, context
        return made


def say(template: str, /, **filled: object) -> Message:
    """Return a message; the template is in the catalogue, so it is written out where this is called."""
    return Message(template, filled)


def heading(name: str) -> Message:
    """Return the name of a column or of a total as a person reads it; in JSON and CSV it stays as it is."""
    return Message(name.replace("_", " "), context="column")


class _Readable(Protocol):
    def read(self) -> bytes: ...


class Catalogue(NullTranslations):
    """A catalogue of gettext's, read from the text form (PO) without plural forms.

    Raises ValueError for a line that is not of that form, and for a message that comes twice.
    """

    def __init__(self, file: _Readable | None = None) -> None:
        self.messages: dict[tuple[str, str], str] = {}
        super().__init__(file)

    def _parse(self, fp: _Readable) -> None:  # named by `gettext`
        entry: dict[str, str] = {}
        word = ""
        for line in [*fp.read().decode("utf-8").splitlines(), ""]:
            if not line:
                self._add(entry)
                entry = {}
            elif not line.startswith("#"):
                begun, _, text = line.partition(" ") if line[0] != '"' else (word, "", line)
                if begun not in _WORDS:
                    raise ValueError(f"no line of a catalogue: {line}")
                word = begun
                entry[word] = entry.get(word, "") + str(ast.literal_eval(text))

    def _add(self, entry: Mapping[str, str]) -> None:
        key = entry.get("msgctxt", ""), entry.get("msgid", "")
        if not key[1]:
            return  # the head, or nothing
        if key in self.messages:
            raise ValueError(f"twice in the catalogue: {key[1]}")
        self.messages[key] = unbroken(entry["msgstr"])

    def gettext(self, message: str) -> str:
        """Return a message in the language; as it is where it is not there."""
        return self.messages.get(("", message), message)

    def pgettext(self, context: str, message: str) -> str:
        """Return a message in its context; as it is where it is not there."""
        return self.messages.get((context, message), message)


class Language:
    """The words of one language."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.catalogue = catalogue(code)
        self.colon = "\u00a0:" if code == "fr" else ":"

    def __call__(self, text: object) -> str:
        """Return a message in this language; what is no message is data, and stays as it is."""
        if not isinstance(text, Message):
            return str(text)
        found = self.catalogue.pgettext(text.context, text.template)
        if not text.filled:
            return found
        filled = {
            name: self(value) if isinstance(value, Message) else value
            for name, value in text.filled.items()
        }
        return found.format(**filled)


@cache
def catalogue(code: str) -> Catalogue:
    """Return the catalogue of a language; English needs none."""
    if code not in LANGUAGES:
        raise ValueError(f"no language here: {code}")
    if code == "en":
        return Catalogue()
    with (LOCALE / f"{code}.po").open("rb") as file:
        return Catalogue(file)


def wanted(environment: Mapping[str, str]) -> str:
    """Return the language that the environment asks for, by gettext's own variables; English where it has none of ours."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next(filter(None, (environment.get(name) for name in names)), "")
    if locale.partition(".")[0] in {"", "C", "POSIX"}:
        return "en"
    every = [*environment.get("LANGUAGE", "").split(":"), locale]
    return next((each[:2] for each in every if each[:2] in LANGUAGES), "en")


def unbroken(text: str) -> str:
    """Return French with the spaces about its marks that no line may break at, as officials in Canada write it.

    The Translation Bureau's Clefs du français pratique: no space before ; ? and !, one before a colon and %.
    """
    for mark in ":%»":
        text = text.replace(f" {mark}", f"\u00a0{mark}")
    return text.replace("« ", "«\u00a0")
