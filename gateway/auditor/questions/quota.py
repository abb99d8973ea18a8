"""Question 10: quota use by partner, purpose and day, both ways, beside what the agreement permits.

What counts is what the house counts: a question with prints or a number that was accepted for a search. Without the
auditor's key purposes are sealed and stand together.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.auditor.index import Index
from gateway.auditor.table import WAYS, Period, Table
from gateway.terms import Direction

COLUMNS = ("day", "partner", "direction", "purpose", "used", "agreed_per_day")

Limits = Mapping[tuple[str, int, str], int]  # agreement, its version, purpose → queries a day
# The house gives back what brought no search (protocol 15): a query given up, and prints that could not be used; not
# what an examiner could not decide, whose outcome reads the same.
COUNTED = (
    "closing <> 'REFUSED' AND (direction = 2 OR closing <> 'ABANDONED'"
    " AND (reviewed_ms IS NOT NULL OR coalesce(true_outcome, '') <> 'QUALITY_INSUFFICIENT'))"
)


def quota(index: Index, period: Period, limits: Limits) -> Table:
    """Return the queries of each day; a finding where more were accepted than were agreed.

    What a partner agreed to let us ask stands in its agreement, not in ours: of our own queries no limit is known here.
    """
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT strftime('%Y-%m-%d', asked_ms / 1000, 'unixepoch') AS day, partner, direction, purpose,"
        " agreement, version, count(*)"
        " FROM exchanges WHERE (operation = 'SUBMIT_QUERY' OR direction = 2 AND operation = '')"
        f" AND {COUNTED} AND {said} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4"
    )
    used: dict[tuple[str, str, int, str | None], int] = {}
    most: dict[tuple[str, str, int, str | None], int] = {}
    for day, partner, direction, purpose, agreement, version, count in index.each(wanted, values):
        key = day, partner, direction, purpose
        used[key] = used.get(key, 0) + count
        limit = limits.get((agreement, version, str(purpose)))
        if limit is not None and direction == Direction.INBOUND:
            most[key] = max(most.get(key, 0), limit)  # a day may see a new version come
    rows, findings = [], []
    for key, count in used.items():
        day, partner, direction, purpose = key
        agreed = most.get(key)
        rows.append((day, partner, WAYS[direction], purpose, count, agreed))
        if agreed is not None and count > agreed:
            findings.append(
                f"{day}: {partner} asked {count} times for {purpose}; {agreed} were agreed"
            )
    total = sum(used.values())
    return Table(COLUMNS, tuple(rows), {"queries": total}, tuple(findings))
