"""What every question over a period returns: rows under named columns, what they add up to, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

DAY_MS = 86_400_000
SEALED = "sealed"  # stands where a detail could not be opened, or was shredded


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
class Table:
    """The answer to a question.

    columns    names, as they stand in JSON and CSV
    rows       values in that order; None is what the ledger does not say or could not be opened
    totals     what the rows add up to
    findings   what should not be, in plain words
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    totals: Mapping[str, object] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def documents(self) -> list[dict[str, object]]:
        """Return the rows as JSON objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def iso(milliseconds: object) -> str | None:
    """Return a moment as ISO 8601, UTC, whole seconds; None for none."""
    if not isinstance(milliseconds, int):
        return None
    seconds = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{seconds.isoformat()[:19]}Z"  # a third of what strftime takes, three times a row


def told(column: str) -> str:
    """Return the SQL that gives a moment as `iso` does; for questions whose rows are many."""
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', {column} / 1000, 'unixepoch')"
