"""Question 10: quota use by partner, purpose and day, both ways, beside what the agreement permits.

What counts is what the house counts: a question with prints or a number that was accepted for a search. Without the
auditor's key purposes are sealed and stand together.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.auditor.index import Index
from gateway.auditor.table import Period, Table
from gateway.terms import Direction

COLUMNS = ("day", "partner", "direction", "purpose", "used", "agreed_per_day")

Limits = Mapping[
    tuple[str, str], int
]  # (partner, purpose) → queries a day, the largest agreed in the period


def quota(index: Index, period: Period, limits: Limits) -> Table:
    """Return the queries of each day; a finding where more were accepted than were agreed."""
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT strftime('%Y-%m-%d', asked_ms / 1000, 'unixepoch') AS day, partner, direction, purpose, count(*)"
        " FROM exchanges WHERE (operation = 'SUBMIT_QUERY' OR direction = 2 AND operation = '')"
        f" AND closing <> 'REFUSED' AND {said} GROUP BY day, partner, direction, purpose"
        " ORDER BY day, partner, direction, purpose"
    )
    rows, findings = [], []
    total = 0
    for day, partner, direction, purpose, used in index.each(wanted, values):
        way = "they asked" if direction == Direction.INBOUND else "we asked"
        agreed = limits.get((str(partner), str(purpose)))
        rows.append((day, partner, way, purpose, used, agreed))
        count = used if isinstance(used, int) else 0
        total += count
        if agreed is not None and direction == Direction.INBOUND and count > agreed:
            findings.append(
                f"{day}: {partner} asked {count} times for {purpose}; {agreed} were agreed"
            )
    return Table(COLUMNS, tuple(rows), {"queries": total}, tuple(findings))
