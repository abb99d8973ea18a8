"""Question 9: all masked and refused answers, and why.

refused        the law, the agreement or the protocol said no; the partner was told the reason
masked         something was found and not shown; the partner saw a no-hit
not completed  the house was at fault; a retry may have been answered
counted        too cheap to provoke for an entry of its own: a count for each minute and reason
"""

from __future__ import annotations

from collections import Counter

from gateway.audit.chapters import Cite
from gateway.audit.entry import EntryClass, EntryType
from gateway.auditor.index import Index
from gateway.auditor.table import WAYS, Period, Table, iso

COLUMNS = (
    *("time", "partner", "direction", "transaction", "what", "reason", "because", "paragraph"),
    "leaf",
)


def refusals(index: Index, period: Period, cite: Cite) -> Table:
    """Return every refusal and every masked answer of a period, in order of time."""
    # What an examiner decided was masked by the verdict, not by the answer before it.
    said, values = period.where("coalesce(verdict_ms, closed_ms)")
    wanted = (
        "SELECT coalesce(verdict_ms, closed_ms), partner, direction, number, closing, reason, element, why, true_outcome,"
        " coalesce(verdict_idx, closed_idx)"
        f" FROM exchanges WHERE {said} AND (closing = 'REFUSED' OR true_outcome <> disclosed_outcome)"
    )
    rows: list[tuple[int, tuple[object, ...]]] = []
    for ms, partner, way, number, closing, reason, element, why, true, leaf in index.each(
        wanted, values
    ):
        refused = closing == "REFUSED"
        because = (element or why) if refused else f"{true} not shown: {why or 'sealed'}"
        what = "refused" if refused else "masked"
        cited = cite(str(why)) if why else ""
        row = (iso(ms), partner, WAYS.get(way), number, what, reason, because, cited or None, leaf)
        rows.append((_int(leaf), row))
    rows += _others(index, period)
    rows.sort(key=lambda pair: pair[0])
    found = tuple(row for _, row in rows)
    by_reason = Counter(
        f"{row[4]}: {row[5] or (row[6] if row[4] == 'masked' else 'sealed')}" for row in found
    )
    return Table(COLUMNS, found, {"by_reason": dict(by_reason.most_common())})


def _others(index: Index, period: Period) -> list[tuple[int, tuple[object, ...]]]:
    """Return searches that were not completed, and counts of what was refused unread."""
    said, values = period.where("time_ms")
    kinds = (
        f"(type = {int(EntryType.REFUSAL_SUMMARY)} OR type = {int(EntryType.REPLAY_CONFLICT)}"
        f" OR (type = {int(EntryType.REFUSAL)} AND class = {int(EntryClass.OTHER)}))"
    )
    columns = (
        "time_ms, partner, direction, number, type, subject, facts ->> 'reason', facts ->> 'count'"
    )
    wanted = (
        f"SELECT entries.idx, {columns} FROM entries LEFT JOIN details USING (idx)"
        f" WHERE {kinds} AND {said}"
    )
    rows: list[tuple[int, tuple[object, ...]]] = []
    for leaf, ms, partner, way, number, kind, subject, reason, count in index.each(wanted, values):
        counted = kind == EntryType.REFUSAL_SUMMARY
        what = "counted" if counted else "not completed"
        if kind == EntryType.REPLAY_CONFLICT:
            what = "refused"
        because = f"{count or '?'} in the minute {subject}" if counted else None
        row = (
            *(iso(ms), partner or None, WAYS.get(way, WAYS[1]), number or None, what, reason),
            *(because, None, leaf),
        )
        rows.append((_int(leaf), row))
    return rows


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1
