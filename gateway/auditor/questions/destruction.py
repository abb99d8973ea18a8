"""Question 6: when prints and templates were destroyed, and where the proof is.

IRPR 315.43(2): immediately after the search, whatever was found. So each answered query has its destruction not
later than its answer; one that waits for an examiner, when the examiner has decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.table import Period, Read, Table, told

COLUMNS = (
    "asked",
    "partner",
    "transaction",
    "answered",
    "destroyed",
    "receipt",
    "leaf",
    "before_answer_ms",
)


_SEARCHED: Final = "direction = 1 AND operation = 'SUBMIT_QUERY' AND (closing = 'ANSWERED' OR destroyed_ms IS NOT NULL)"
# an examiner's case keeps the prints until it is decided: only where there was none has time run out
_LIVES: Final = "destroyed_ms IS NULL AND reviewed_ms IS NULL AND closing = 'ANSWERED'"
_AFTER: Final = "destroyed_ms > closed_ms AND reviewed_ms IS NULL"


def destruction(index: Index, period: Period, number: str = "") -> Table:
    """Return the destruction of every query that was searched, of one transaction or of a period."""
    said, values = period.where("asked_ms")
    where = f"{_SEARCHED} AND {said}"
    if number:
        where, values = f"{where} AND number = ?", [*values, number]
    counted = f"SELECT count(*), total(destroyed_ms IS NULL AND reviewed_ms IS NOT NULL), total({_LIVES} OR {_AFTER})"
    count, waiting, wrong = index.rows(f"{counted} FROM exchanges WHERE {where}", values)[0]
    wanted = (
        f"SELECT {told('asked_ms')}, partner, number, {told('closed_ms')}, {told('destroyed_ms')}, receipt,"
        " destroyed_idx, iif(reviewed_ms IS NULL, closed_ms - destroyed_ms, NULL)"
        f" FROM exchanges WHERE {where} ORDER BY idx"
    )
    findings = tuple(_findings(index, where, values)) if wrong else ()
    totals = {"searched": count, "waiting_for_examiner": int(waiting)}
    return Table(COLUMNS, Read(count, lambda: index.each(wanted, values)), totals, findings)


def _findings(index: Index, where: str, values: Sequence[str | int]) -> Iterator[str]:
    wanted = (
        "SELECT number, partner, idx, destroyed_idx FROM exchanges"
        f" WHERE {where} AND ({_LIVES} OR {_AFTER}) ORDER BY idx"
    )
    for number, partner, first, leaf in index.each(wanted, values):
        if leaf is None:
            yield f"transaction {number} of {partner} was answered and its prints live on: leaf {first}"
        else:
            yield f"transaction {number} of {partner}: destroyed after the answer, leaf {leaf}"
