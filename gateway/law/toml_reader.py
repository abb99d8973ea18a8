"""A TOML file read strictly: each value by its path, each complaint with file, line and key.

What nobody asked for by the time the reading ends is no key of the format, and refuses the file: a misspelt
restriction would otherwise be none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import TypeVar

from gateway import bounded_toml, calendar_bounds
from gateway.bounded_toml import TomlRefused
from gateway.errors import PasserelleError

MAX_BYTES = 65_536  # an agreement is a few pages; more is a mistake or an attack
MOST = 2**31 - 1  # the largest number that a file may state; what the ledger can hold
PARAGRAPH = re.compile(r"[A-Z][A-Za-z ]{1,31} \d{1,4}(\.\d{1,3})?(\([0-9a-z]{1,4}\)){0,4}")

# What a text has to look like, with an example; by its pattern.
WANTED = {
    PARAGRAPH.pattern: "a paragraph, e.g. IRPR 315.41(1)(a)",
    r"[a-z][a-z0-9-]{0,31}": "small letters, digits and hyphens, e.g. au",
    r"[A-Z0-9-]{2,32}": "a party as its bundle names it, e.g. AUS",
    r"[^\x00-\x1f\x7f]{1,300}": "one line of 1 to 300 characters",
    r"[A-Z]{3}": "codes of three capitals, e.g. AUS",
    r"[A-Z0-9_]{1,32}": "capitals, digits and underscores, e.g. NOT_FOR_REMOVAL",
}

_heading = re.compile(r"\[{1,2}\s*([^\]]+?)\s*\]{1,2}")
_E = TypeVar("_E", bound=Enum)


def misshapen(pattern: re.Pattern[str]) -> str:
    """Return what is said of a text of another form: what it should be, never the pattern."""
    return f"misshapen; write {WANTED.get(pattern.pattern, 'it as the packaged agreements do')}"


class MalformedAgreement(PasserelleError):
    """An agreement file was refused; the one in force stays so.

    file, key, line   where to look; line 0 where none can be named
    """

    def __init__(self, file: str, key: str, line: int, why: str) -> None:
        place = f"{file} line {line}" if line else file
        super().__init__(f"{place}: {key}: {why}" if key else f"{place}: {why}")
        self.file = file
        self.key = key
        self.line = line


class Document:
    """One file being read. Paths are those of rules: `answer.purposes.CITIZENSHIP`."""

    def __init__(self, text: bytes, name: str) -> None:
        self.name = name
        self._asked: set[str] = set()
        self._tables: set[str] = set()
        try:
            self._tree = bounded_toml.read(text, MAX_BYTES)
        except TomlRefused as fault:
            raise MalformedAgreement(name, "", fault.line, fault.why) from None
        self._text = text.decode("utf-8")

    def has(self, path: str) -> bool:
        """Return whether there is anything at `path`."""
        return self._at(path) is not None

    def keys(self, path: str, *, optional: bool = False) -> tuple[str, ...]:
        """Return the keys of a table in the order of the file; none for an optional one that is absent."""
        value = self._at(path)
        if value is None and optional:
            return ()
        if value is None:
            raise self.wrong(path, "is missing")
        if not isinstance(value, dict):
            raise self.wrong(path, "not a table")
        self._tables.add(path)
        return tuple(value)

    def rows(self, path: str) -> tuple[str, ...]:
        """Return the paths of an array of tables, at least one."""
        value = self._at(path)
        if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
            raise self.wrong(path, "is missing" if value is None else "not a list of tables")
        return tuple(f"{path}[{index}]" for index in range(len(value)))

    def string(self, path: str, pattern: re.Pattern[str]) -> str:
        """Return a text of a form."""
        value = self._leaf(path)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.wrong(path, misshapen(pattern))
        return value

    def paragraph(self, path: str) -> str:
        """Return the paragraph at `path`, e.g. "IRPR 315.41(1)(a)"."""
        return self.string(path, PARAGRAPH)

    def choice(self, path: str, kind: type[_E]) -> _E:
        """Return one of a closed list, by its name."""
        value = self._leaf(path)
        if not isinstance(value, str) or value not in kind.__members__:
            raise self.wrong(path, f"unknown; it is one of {', '.join(kind.__members__)}")
        return kind[value]

    def choices(self, path: str, kind: type[_E]) -> tuple[_E, ...]:
        """Return several of a closed list, none twice and at least one; there is no word for all."""
        value = self._leaf(path)
        if not isinstance(value, list) or not value:
            raise self.wrong(path, "not a list of at least one")
        if any(not isinstance(each, str) or each not in kind.__members__ for each in value):
            raise self.wrong(
                path, f"names what is unknown; there are {', '.join(kind.__members__)}"
            )
        if len(set(value)) < len(value):
            raise self.wrong(path, "names one twice")
        return tuple(kind[each] for each in value)

    def texts(self, path: str, pattern: re.Pattern[str]) -> tuple[str, ...]:
        """Return a list of texts of a form, none twice; it may be empty."""
        value = self._leaf(path)
        if not isinstance(value, list) or len(set(map(str, value))) < len(value):
            raise self.wrong(path, "not a list without repeats")
        if any(not isinstance(each, str) or not pattern.fullmatch(each) for each in value):
            raise self.wrong(path, misshapen(pattern))
        return tuple(value)

    def flag(self, path: str) -> bool:
        """Return a yes or no."""
        value = self._leaf(path)
        if not isinstance(value, bool):
            raise self.wrong(path, "neither true nor false")
        return value

    def count(self, path: str, low: int = 1, high: int = MOST) -> int:
        """Return a whole number."""
        value = self._leaf(path)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(path, f"not a whole number from {low} to {high}")
        return value

    def share(self, path: str) -> float:
        """Return a share, neither 0 nor 1."""
        value = self._leaf(path)
        if not isinstance(value, float) or not 0 < value < 1:
            raise self.wrong(path, "not between 0 and 1")
        return value

    def day(self, path: str, *, past: bool = False) -> datetime:
        """Return the first moment of a date, UTC; `past` = as long ago as may be, for a name that is only compared."""
        value = self._leaf(path)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.wrong(path, "not a date")
        day = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if day >= calendar_bounds.END or (day < calendar_bounds.FIRST and not past):
            raise self.wrong(path, f"not {calendar_bounds.RULE}")
        return day

    def finish(self) -> None:
        """Refuse every key that nobody asked for."""
        ways = {path[:end] for path in self._asked for end, sign in enumerate(path) if sign in ".["}
        for path in self._unasked("", self._tree, ways | self._tables):
            raise self.wrong(path, "not a key of this format")

    def wrong(self, path: str, why: str) -> MalformedAgreement:
        """Return a complaint about what is, or should be, at `path`."""
        return MalformedAgreement(self.name, path, self._line(path), why)

    def _leaf(self, path: str) -> object:
        value = self._at(path)
        if value is None:
            raise self.wrong(path, "is missing")
        self._asked.add(path)
        return value

    def _unasked(self, above: str, value: object, ways: Collection[str]) -> Iterator[str]:
        """Yield what is below `above` and on the way to nothing that was asked for; `ways` are the paths that are."""
        for path, each in _below(above, value):
            if "." in path[len(above) + 1 if above else 0 :]:  # "a.b" = … reads like a.b and is not
                yield path
                continue
            if path in ways:
                yield from self._unasked(path, each, ways)
            elif path not in self._asked:
                yield path

    def _at(self, path: str) -> object:
        value: object = self._tree
        for key in path.replace("[", ".[").split("."):
            if key.startswith("["):
                value = value[int(key[1:-1])] if isinstance(value, list) else None
            else:
                value = value.get(key) if isinstance(value, dict) else None
        return value

    def _line(self, path: str) -> int:
        """Return the line of `path` as these files are usually laid out; 0 where it is not found."""
        wanted = {path.rsplit(".", count)[0]: count for count in range(path.count(".") + 1)}
        current, best, depth = "", 0, path.count(".") + 1
        seen: dict[str, int] = {}
        for number, line in enumerate(self._text.splitlines(), 1):
            stripped = line.strip()
            if stripped.startswith("[") and (found := _heading.match(stripped)):
                current = found[1]
                if stripped.startswith("[["):
                    seen[current] = seen.get(current, -1) + 1
                    current = f"{current}[{seen[current]}]"
                here = current
            elif key := re.match(r"\"?([A-Za-z0-9_-]+)\"?\s*=", stripped):
                here = f"{current}.{key[1]}" if current else key[1]
            else:
                continue
            if wanted.get(here, depth) < depth:
                best, depth = number, wanted[here]
        return best


def _below(above: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield f"{above}.{key}" if above else str(key), each
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield f"{above}[{index}]", each
