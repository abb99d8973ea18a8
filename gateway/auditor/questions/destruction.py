"""Question 6: when prints and templates were destroyed, and where the proof is.

IRPR 315.43(2): immediately after the search, whatever was found. So each answered query has its destruction not
later than its answer; one that waits for an examiner, when the examiner has decided.
"""

from __future__ import annotations

from gateway.auditor.index import Index
from gateway.auditor.table import Period, Table, told

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


def destruction(index: Index, period: Period, number: str = "") -> Table:
    """Return the destruction of every query that was searched, of one transaction or of a period."""
    said, values = period.where("asked_ms")
    if number:
        said, values = f"{said} AND number = ?", [*values, number]
    wanted = (
        f"SELECT {told('asked_ms')}, partner, number, closed_ms, {told('closed_ms')}, destroyed_ms,"
        f" {told('destroyed_ms')}, receipt, destroyed_idx, reviewed_ms, closing, idx"
        f" FROM exchanges WHERE direction = 1 AND operation = 'SUBMIT_QUERY' AND {said}"
        " AND (closing = 'ANSWERED' OR destroyed_ms IS NOT NULL) ORDER BY idx"
    )
    rows, findings, waiting = [], [], 0
    for (
        asked,
        partner,
        txn,
        closed,
        answered,
        destroyed,
        gone,
        receipt,
        leaf,
        reviewed,
        closing,
        first,
    ) in index.each(wanted, values):
        early = None
        if isinstance(destroyed, int) and isinstance(closed, int) and reviewed is None:
            early = closed - destroyed
        rows.append((asked, partner, txn, answered, gone, receipt, leaf, early))
        if destroyed is None and reviewed is not None:
            waiting += 1
        elif destroyed is None and closing == "ANSWERED":
            findings.append(
                f"transaction {txn} of {partner} was answered and its prints live on: leaf {first}"
            )
        elif early is not None and early < 0:
            findings.append(
                f"transaction {txn} of {partner}: destroyed after the answer, leaf {leaf}"
            )
    totals = {"searched": len(rows), "waiting_for_examiner": waiting}
    return Table(COLUMNS, tuple(rows), totals, tuple(findings))
