"""What every question over a period returns: rows under named columns, what they add up to, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from gateway.language import Message, say

DAY_MS = 86_400_000
WAYS = {1: say("they asked"), 2: say("we asked")}  # by direction
SEALED = say("sealed")  # shown where a detail could not be opened, or was shredded

Cells: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """From when to when, in milliseconds since 1970, UTC; `until` is exclusive, None for no end."""

    since: int = 0
    until: int | None = None
    partner: str = ""

    def where(self, column: str) -> tuple[str, list[str | int]]:
        """Return the condition that keeps a column inside the period, and the partner's, with its values."""
        said, values = f"{column} >= ?", [self.since]
        found: list[str | int] = [*values]
        if self.until is not None:
            said, found = f"{said} AND {column} < ?", [*found, self.until]
        if self.partner:
            said, found = f"{said} AND partner = ?", [*found, self.partner]
        return said, found


@dataclass(frozen=True, slots=True)
class Read(Collection[Cells]):
    """Rows that stay in the index until they are looked at: of millions, those alone are in memory that are shown.

    count   how many there are
    read    begins to read them anew, in order; good while the index is open
    """

    count: int
    read: Callable[[], Iterator[Cells]]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.count

    def __iter__(self) -> Iterator[Cells]:
        """Read them from the first one on."""
        return self.read()

    def __contains__(self, row: object) -> bool:
        """Tell whether a row is among them; reads them all."""
        return any(row == each for each in self)


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a question.

    columns    names, as they are in JSON and CSV
    rows       values in that order; a word that is no code is a `Message`; None is what the ledger does not say or could not be opened. Where they are as
               many as the exchanges, they are `Read`: looked at while the index is open
    totals     what the rows add up to
    findings   what should not be, in plain words
    """

    columns: tuple[str, ...]
    rows: Collection[Cells]
    totals: Mapping[str, object] = field(default_factory=dict)
    findings: tuple[Message, ...] = ()

    def documents(self) -> Iterator[dict[str, object]]:
        """Yield the rows as JSON objects."""
        for row in self.rows:
            yield dict(zip(self.columns, row, strict=True))


def iso(milliseconds: object) -> str | None:
    """Return a moment as ISO 8601, UTC, whole seconds; None for none."""
    if not isinstance(milliseconds, int):
        return None
    seconds = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{seconds.isoformat()[:19]}Z"  # a third of what strftime takes, three times a row


def iso_sql(column: str) -> str:
    """Return the SQL that gives a moment as `iso` does; for questions whose rows are many."""
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column} / 1000, 'unixepoch')"
