"""Which field of a transaction's Type-2 record is which of the registry: an explicit file, for every domain numbers its own.

    [LAST_NAME]          # a column of the registry: LAST_NAME …, status, nationalities or persecutors
    field = 18           # 2.018 in the application profile of whoever wrote the transactions
    form = "LAST"        # TEXT as it stands · LAST, FIRST of "LAST,FIRST", never without a comma · DATE of YYYYMMDD · CODE of the table below
    codes = { F = "FEMALE" }

Nothing is guessed: a value that its form does not fit makes the file bad, and names the column, never the value. Of several
values the first is taken, but of nationalities and persecutors all; that others were left is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway import bounded_toml, user_files
from gateway.bounded_toml import TomlRefused
from gateway.cli.subjects.biometric_files import Unusable
from gateway.domain.person import FieldCode
from gateway.errors import UserError
from gateway.sample_files.ansi_nist import RS, US

MOST_BYTES: Final = 65_536
STANDING: Final = ("status", "nationalities", "persecutors")
COLUMNS: Final = frozenset({*STANDING, *FieldCode.__members__} - {"PHOTOGRAPH", "FINGERPRINTS"})
MOST_FIELD: Final = (
    999_999  # the number of a field; those of some domains have more than three digits
)
_date = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a column comes from: the number of a field, and in which form it is there."""

    column: str
    number: int
    form: str
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a Type-2 record gave: texts by column of the registry, and in words what nothing took, never with a value."""

    texts: Mapping[str, str] = field(repr=False)
    left: tuple[str, ...]


def read(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a map; raises UserError, which names what is wrong in it."""
    try:
        tree = bounded_toml.read(user_files.named(path, MOST_BYTES), MOST_BYTES)
    except TomlRefused as fault:
        raise UserError(f"{path}: {fault}") from None
    if not tree:
        raise UserError(f"{path}: maps nothing; write [LAST_NAME] and below it field = 18")
    return tuple(_entry(path, column, said) for column, said in tree.items())


def apply(entries: tuple[Entry, ...], person: Mapping[int, bytes]) -> Mapped:
    """Return what is recorded of a person; an absent or empty field gives nothing. Raises Unusable, naming the column."""
    texts, shortened = {}, {}
    for each in entries:
        content = person.get(each.number, b"")
        value, whole = _value(each, content)
        if value:
            texts[each.column] = value
        if not whole:
            shortened[each.number] = f"{_named(each.number)} beyond its first value"
    taken = {each.number for each in entries} | {1, 2}
    left = (_named(number) for number in person if number not in taken)
    return Mapped(texts, (*left, *shortened.values()))


def _named(number: int) -> str:
    return f"2.{number:03d}"


def _entry(path: Path, column: str, said: Any) -> Entry:  # noqa: ANN401 - of a file of somebody's
    def refuse(what: str) -> UserError:
        return UserError(f"{path}: [{column}] {what}")

    if column not in COLUMNS:
        raise UserError(
            f"{path}: a column of no known name; known are {', '.join(sorted(COLUMNS))}"
        )
    if not isinstance(said, dict) or not set(said) <= {"field", "form", "codes"}:
        raise refuse("holds field, form and codes, and nothing else")
    number, form, codes = said.get("field"), said.get("form", "TEXT"), said.get("codes", {})
    if type(number) is not int or not 3 <= number <= MOST_FIELD:
        raise refuse("field: the number of a field of Type-2, e.g. 18")
    if form not in _FORMS:
        raise refuse(f"form: one of {', '.join(_FORMS)}")
    plain = isinstance(codes, dict) and all(isinstance(each, str) for each in codes.values())
    if not plain or bool(codes) != (form == "CODE"):
        raise refuse('codes: a table of texts, with form = "CODE" and no other')
    return Entry(column, number, form, codes)


def _value(entry: Entry, content: bytes) -> tuple[str, bool]:
    """Return the text of a field for a column, and whether it is all: of several nationalities or persecutors all are taken."""
    first = [each.partition(US) for each in content.split(RS)]
    try:
        parts = [each.decode("utf-8").strip() for each, _, _ in first]
    except UnicodeDecodeError:
        raise Unusable(f"Type-2, {entry.column}: no text in UTF-8") from None
    several = entry.column in {"nationalities", "persecutors"}
    stated = [each for each in parts if each]
    wanted = stated if several else stated[:1]
    whole = len(wanted) == len(stated) and not any(rest.strip(US) for _, _, rest in first)
    return " ".join(_FORMS[entry.form](entry, each) for each in wanted), whole


def _text(_: Entry, value: str) -> str:
    return value


def _last(entry: Entry, value: str) -> str:
    return _halves(entry, value)[0]


def _first(entry: Entry, value: str) -> str:
    return _halves(entry, value)[1]


def _halves(entry: Entry, value: str) -> tuple[str, str]:
    """Return last and first names, of which either may be empty; without a comma nobody says which is which."""
    last, comma, first = value.partition(",")
    if not comma:
        raise Unusable(
            f"Type-2, {entry.column}: no LAST,FIRST; a name of one part has a comma behind it, or take form TEXT"
        )
    return last.strip(), first.strip()


def _day(entry: Entry, value: str) -> str:
    """Return YYYY-MM-DD of YYYYMMDD, without a day or a month that is written as 00, unknown."""
    found = _date.fullmatch(value)
    if found is None:
        raise Unusable(f"Type-2, {entry.column}: no date YYYYMMDD")
    year, month, day = found.groups()
    return year if month == "00" else f"{year}-{month}" if day == "00" else f"{year}-{month}-{day}"


def _code(entry: Entry, value: str) -> str:
    if value not in entry.codes:
        raise Unusable(f"Type-2, {entry.column}: a code that the map does not have")
    return entry.codes[value]


_FORMS: Final[Mapping[str, Callable[[Entry, str], str]]] = {
    "TEXT": _text,
    "LAST": _last,
    "FIRST": _first,
    "DATE": _day,
    "CODE": _code,
}
