"""Question 8: all exchanges about one person, as a pack that can be handed to the person who asks for it.

What is in it: when, with which party, for which purpose and paragraph, what was found and what was told, which fields
were disclosed (names, not values), when the prints were destroyed, what was corrected. What is left out, since it is
about others: officers, examiners and units, scores, other people's queries, keys.

What may have to be withheld from the person too (Privacy Act s. 19, 21, 22) is a finding: an officer looks first.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import files
from gateway.audit.entry import EntryType
from gateway.auditor.index import Index, Row
from gateway.auditor.questions import subject_words
from gateway.auditor.table import WAYS, Period, Table, iso
from gateway.errors import Remedy
from gateway.terms import Direction

COLUMNS = (
    *("time", "partner", "direction", "transaction", "operation", "purpose", "paragraph", "found"),
    *("told", "fields", "destroyed", "about", "leaf"),
)
NAME: Final = re.compile(r"S-([1-9][0-9]{0,18})")
LANGUAGES: Final = ("en", "fr")
_READ: Final = (
    "asked_ms, partner, direction, number, operation, purpose, paragraph, true_outcome, disclosed_outcome,"
    " fields, destroyed_ms, transaction_reference, ground, closing, idx"
)


@dataclass(frozen=True, slots=True)
class Pack:
    """What goes to one person: the same rows for machines and, in each language, for eyes.

    unknown   exchanges of the time of which nobody knows any more whom they were about
    """

    subject: str
    table: Table
    unknown: int = 0

    def texts(self, languages: Sequence[str]) -> Mapping[str, bytes]:
        """Return the files of the pack by name."""
        exchanges = list(self.table.documents())
        found = {
            f"{each}.txt": subject_words.text(each, self.subject, exchanges, self.unknown).encode()
            for each in languages
        }
        document = {"subject": self.subject, "exchanges": exchanges, "erased": self.unknown}
        found["exchanges.json"] = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
        return found


def number_of(name: str) -> str | None:
    """Return the number of the registry that `S-…` names; None where it is a file number of the house."""
    found = NAME.fullmatch(name)
    return found[1] if found else None


def subject(index: Index, period: Period, number: str, cases: Sequence[str] = ()) -> Pack:
    """Return every exchange about one person: found under this number, or asked by us in one of these cases.

    number   of the registry, as details and frames state it; "" where only cases are known
    """
    if not index.opened:
        raise Remedy("whom an exchange was about is sealed: give the auditor's key (--key)")
    said, values = period.where("asked_ms")
    marks = ", ".join("?" * len(cases))
    whose = f'subject = ? OR (direction = 2 AND "case" IN ({marks}))'
    wanted = f"SELECT {_READ} FROM exchanges WHERE ({whose}) AND {said} ORDER BY idx"
    rows, findings = [], []
    for read in index.each(wanted, [number, *cases, *values]):
        row, ground = _row(read)
        rows.append(row)
        if ground or (row[7] == "MATCH" != row[8] and row[2] == WAYS[Direction.INBOUND]):
            why = f"ground {ground}" if ground else "a match that the partner was not told of"
            findings.append(f"leaf {row[-1]}: {why}; an officer decides whether it is released")
    rows += _corrected(index, rows)
    unread = index.rows(
        "SELECT count(*) FROM exchanges WHERE (direction = 1 AND (closing = 'ANSWERED' OR reviewed_ms IS NOT NULL)"
        " AND operation = 'SUBMIT_QUERY' AND true_outcome IS NULL"
        f" OR direction = 2 AND {int(bool(cases))} AND closing <> 'REFUSED' AND purpose IS NULL) AND {said}",
        values,
    )[0][0]
    if unread:
        findings.append(
            f"{unread} exchanges of this time are erased or sealed: whom they were about is not known, and the pack says so"
        )
    totals = {
        "subject": f"S-{number}" if number else "",
        "exchanges": len(rows),
        "shredded": unread,
    }
    named = f"S-{number}" if number else ", ".join(cases)
    return Pack(named, _table(rows, totals, findings), int(unread))


def _table(
    rows: Sequence[tuple[object, ...]], totals: Mapping[str, object], findings: Sequence[str]
) -> Table:
    ordered = sorted(rows, key=lambda row: int(str(row[-1])))
    return Table(COLUMNS, tuple(ordered), totals, tuple(findings))


def _row(read: Row) -> tuple[tuple[object, ...], object]:
    asked, partner, direction, number, operation, purpose, paragraph, true, shown = read[:9]
    fields, destroyed, about, ground, closing, leaf = read[9:]
    outcome = shown if closing == "ANSWERED" else closing
    row = (
        *(iso(asked), partner, WAYS[direction], number),
        *(operation or "SUBMIT_QUERY", purpose, paragraph),
        *(true if true is not None else outcome, outcome, fields, iso(destroyed), about, leaf),
    )
    return row, ground


def _corrected(index: Index, rows: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return the corrections of these exchanges: what was wrong, when it was told."""
    mine = {(str(row[3]), str(row[1])) for row in rows}
    wanted = (
        "SELECT time_ms, direction, number, facts ->> 'correction_kind', facts ->> 'transaction_reference',"
        " partner, entries.idx FROM entries JOIN details USING (idx)"
        f" WHERE type = {int(EntryType.CORRECTION)} AND facts ->> 'correction_kind' IS NOT NULL"
    )
    found: list[tuple[object, ...]] = []
    for at, direction, name, kind, reference, partner, leaf in index.each(wanted):
        if (reference, partner) in mine:
            said = (iso(at), partner, WAYS[direction], name, "CORRECTION", None, None, kind, kind)
            found.append((*said, None, None, reference, leaf))
    return found


def write_pack(pack: Pack, out: Path, languages: Sequence[str]) -> list[str]:
    """Write the pack as a folder, or as one file where the name ends in .zip; return the names in it."""
    texts = pack.texts(languages)
    if out.exists():
        raise Remedy(f"{out} is there already; a pack is never written over another")
    if out.suffix == ".zip":
        with files.creating(out) as file, zipfile.ZipFile(file, "w") as archive:
            for name, content in texts.items():
                archive.writestr(name, content)
        return sorted(texts)
    out.mkdir(mode=0o700)
    for name, content in texts.items():
        files.create(out / name, content)
    return sorted(texts)
