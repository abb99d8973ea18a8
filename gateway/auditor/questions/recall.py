"""Question 12: answers that a withdrawn version of the algorithm gave.

ALGORITHM@VERSION   the calibration as each answer states it, or its beginning up to one of ./:+@-
"""

from __future__ import annotations

import re

from gateway.auditor.index import Index
from gateway.auditor.result_table import Period, Read, Table, iso_sql
from gateway.errors import UserError
from gateway.language import say
from gateway.ledger.entry import EntryType

COLUMNS = (
    "time",
    "partner",
    "transaction",
    "calibration",
    "outcome",
    "shown",
    "score",
    "threshold",
    "examined",
    "leaf",
)


def recall(index: Index, period: Period, named: str) -> Table:
    """Return every answer of one calibration; none of one that was adopted and decided nothing.

    Raises UserError that lists what there is where none has that name.
    """
    there = [
        str(row[0])
        for row in index.rows(
            "SELECT DISTINCT calibration FROM exchanges WHERE calibration IS NOT NULL ORDER BY 1"
        )
    ]
    meant = [each for each in there if _is(each, named)]
    if not index.opened and not meant:
        raise UserError(
            "which calibration gave an answer is sealed: give the auditor's key (--key)"
        )
    said, values = period.where("closed_ms")
    sealed = index.rows(
        "SELECT count(*) FROM exchanges WHERE closing = 'ANSWERED' AND direction = 1"
        f" AND operation = 'SUBMIT_QUERY' AND true_outcome IS NULL AND {said}",
        values,
    )[0][0]
    adopted = _adopted(index)
    if not meant and not sealed and not any(_is(each, named) for each in adopted):
        known = ", ".join(dict.fromkeys([*there, *adopted])) or "none"
        raise UserError(f"no answer was given by {named}; there are: {known}")
    marks = ", ".join("?" * len(meant))
    where, values = f"calibration IN ({marks}) AND {said}", [*meant, *values]
    counted = "SELECT count(*), total(true_outcome = 'MATCH') FROM exchanges"
    count, matches = index.rows(f"{counted} WHERE {where}", values)[0]
    wanted = (
        f"SELECT {iso_sql('closed_ms')}, partner, number, calibration, true_outcome, disclosed_outcome, scores, threshold,"
        f" verdict, closed_idx FROM exchanges INDEXED BY exchanges_closed WHERE {where} ORDER BY closed_idx"
    )
    rows = Read(count, lambda: index.each(wanted, values))
    findings = (
        (say("{count} answers are sealed or shredded: what gave them is not known", count=sealed),)
        if sealed
        else ()
    )
    return Table(COLUMNS, rows, {"answers": count, "matches": int(matches)}, findings)


def _adopted(index: Index) -> list[str]:
    """Return the calibrations that were adopted, as answers would state them; not of entries that are sealed."""
    entries = index.entries_where("type = ?", (int(EntryType.CALIBRATION),))
    return [each.facts["calibration"] for each in entries if each.facts]


def _is(calibrations: str, named: str) -> bool:
    """Return whether an answer rests on a calibration: of several modalities on one of each, of several models on all."""
    stated = [*calibrations.split(","), *re.split("[,+]", calibrations)]
    return any(
        each == named or (each.startswith(named) and each[len(named)] in "./:+@-")
        for each in stated
    )
