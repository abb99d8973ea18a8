"""Question 6: when prints and templates were destroyed, and where the proof is.

IRPR 315.43(2): immediately after the search, whatever was found. So each answered query has its destruction not
later than its answer; one that waits for an examiner, when the last verdict is given, or when nobody gave one in a
day (`gateway.ledger.sequence_rules`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.result_table import Period, Read, Table, iso_sql
from gateway.language import Message, say
from gateway.ledger.sequence_rules import REVIEW_LONGEST

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
SEARCHED: Final = (
    "direction = 1 AND operation = 'SUBMIT_QUERY'"
    " AND (closing = 'ANSWERED' OR destroyed_ms IS NOT NULL OR reviewed_ms IS NOT NULL)"
)
# Without an examiner: prints that live on, and prints that died too late.
LIVES: Final = "destroyed_ms IS NULL AND reviewed_ms IS NULL AND closing = 'ANSWERED'"
AFTER: Final = "destroyed_ms > closed_ms AND reviewed_ms IS NULL AND closing = 'ANSWERED'"
REVIEWED: Final = "reviewed_ms IS NOT NULL"
_LONGEST: Final = int(REVIEW_LONGEST.total_seconds() * 1000)
# A first verdict of two leaves the outcome as it was; the last one states it.
_DECIDED: Final = "verdict_ms IS NOT NULL AND true_outcome <> 'REVIEW_PENDING'"


def kept_after_review(end: int) -> str:
    """Return the condition that samples live on after their review; `end` is the last moment of the ledger, in ms."""
    over = f"closing = 'ABANDONED' OR reviewed_ms < {end - _LONGEST} OR ({_DECIDED})"
    return f"destroyed_ms IS NULL AND ({over})"


LATE_REVIEW: Final = (
    f"destroyed_ms - reviewed_ms > {_LONGEST} OR ({_DECIDED}) AND destroyed_ms > verdict_ms"
)


def end_of(index: Index) -> int:
    """Return the time of the last entry, in milliseconds since 1970; 0 where there is none."""
    found = index.rows("SELECT time_ms FROM entries ORDER BY idx DESC LIMIT 1")
    return int(found[0][0]) if found else 0


def destruction(index: Index, period: Period, number: str = "") -> Table:
    """Return the destruction of every query that was searched, of one transaction or of a period."""
    said, values = period.where("asked_ms")
    where = f"{SEARCHED} AND {said}"
    if number:
        where, values = f"{where} AND number = ?", [*values, number]
    counted = f"SELECT count(*), total({LIVES} OR {AFTER}) FROM exchanges WHERE {where}"
    count, wrong = index.rows(counted, values)[0]
    kept = kept_after_review(end_of(index))
    # Few wait for an examiner: they are looked at apart, and the count above reads an index alone.
    reviewed = (
        f"SELECT total(destroyed_ms IS NULL), total({kept}), total({LATE_REVIEW}) FROM exchanges"
    )
    waiting, forgotten, late = index.rows(f"{reviewed} WHERE {REVIEWED} AND {where}", values)[0]
    wanted = (
        f"SELECT {iso_sql('asked_ms')}, partner, number, {iso_sql('closed_ms')}, {iso_sql('destroyed_ms')}, receipt,"
        " destroyed_idx, iif(reviewed_ms IS NULL, closed_ms - destroyed_ms, NULL)"
        f" FROM exchanges WHERE {where} ORDER BY idx"
    )
    found = wrong or forgotten or late
    findings = tuple(_findings(index, where, values, kept)) if found else ()
    totals = {"searched": count, "waiting_for_examiner": int(waiting - forgotten)}
    return Table(COLUMNS, Read(count, lambda: index.each(wanted, values)), totals, findings)


def _findings(
    index: Index, where: str, values: Sequence[str | int], kept: str
) -> Iterator[Message]:
    review = f"{REVIEWED} AND ({kept} OR {LATE_REVIEW})"
    wanted = (
        "SELECT number, partner, idx, destroyed_idx, reviewed_ms IS NOT NULL FROM exchanges"
        f" WHERE {where} AND ({LIVES} OR {AFTER} OR {review}) ORDER BY idx"
    )
    for number, partner, first, leaf, examined in index.each(wanted, values):
        which = {"number": number, "partner": partner, "leaf": first if leaf is None else leaf}
        if leaf is None and examined:
            yield say(
                "transaction {number} of {partner}: its review is over and its samples live on, leaf {leaf}",
                **which,
            )
        elif leaf is None:
            yield say(
                "transaction {number} of {partner} was answered and its samples live on: leaf {leaf}",
                **which,
            )
        elif examined:
            yield say(
                "transaction {number} of {partner}: destroyed after its review was over, leaf {leaf}",
                **which,
            )
        else:
            yield say(
                "transaction {number} of {partner}: destroyed after the answer, leaf {leaf}",
                **which,
            )
