"""Question 16: who changed configuration just before an exchange.

Keys, directory, agreements, calibrations, staff, proposals, custody, restores, starts and stops, settings that were other at
a start than at the one before, holds, and what officials decided. Of people what was changed of the one whom the exchange is
about, by names of fields, never values; where nobody was found or the details are sealed, of everybody. Not what was only read.
"""

from __future__ import annotations

from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.result_table import SEALED, Table, iso
from gateway.errors import UserError
from gateway.ledger.entry import EntryType
from gateway.ledger.exchange_history import OpenedEntry

COLUMNS = ("time", "what", "of", "who", "second", "change", "leaf")
CHANGING: Final = (
    *(EntryType.KEY, EntryType.DIRECTORY, EntryType.AGREEMENT, EntryType.STAFF, EntryType.PROPOSAL),
    *(EntryType.CUSTODY, EntryType.RESTORE, EntryType.BACKUP, EntryType.START, EntryType.STOP),
    *(EntryType.CLOCK, EntryType.HOLD, EntryType.CALIBRATION),
)
OF_PEOPLE: Final = (
    *(EntryType.ENROLLED, EntryType.UPDATED, EntryType.REMOVED, EntryType.DECISION),
)
_SHOWN: Final = (
    *("person", "action", "state_before", "state_after", "roles", "reason", "evidence"),
    *("partner_version", "agreement_digest", "settings_digest", "software", "step_ms"),
    *("calibration", "fields_before", "fields", "fields_changed", "decision", "ground"),
)


def changes(index: Index, number: str, window_ms: int, partner: str = "") -> Table:
    """Return what was changed in the time before a transaction.

    partner   needed where several have used the number: it is unique only within a pair

    Raises UserError for a number that nobody used, or whose party is to be named.
    """
    partners = index.partners_of(number)
    if not partner and len(partners) > 1:
        names = ", ".join(partners)
        raise UserError(f"several partners have used this number: name one with --partner: {names}")
    asked = index.rows(
        "SELECT min(time_ms), min(idx) FROM entries WHERE number = ? AND partner = ?",
        (number, partner or "".join(partners)),
    )
    at, leaf = asked[0]
    if not isinstance(at, int) or not isinstance(leaf, int):
        raise UserError("no entry bears this transaction number")
    kinds = ", ".join(str(int(kind)) for kind in (*CHANGING, *OF_PEOPLE))
    told = index.entries_where(
        f"type IN ({kinds}) AND time_ms >= ? AND entries.idx < ?", (at - window_ms, leaf)
    )
    whom = _whom(index, number, partner or "".join(partners))
    rows = tuple(_row(each) for each in told if _concerns(each, whom))
    return Table(COLUMNS, rows, {"transaction": number, "time": iso(at), "changes": len(rows)})


def _whom(index: Index, number: str, partner: str) -> frozenset[str]:
    """Return whom a transaction is about, by number of the registry; nobody where that is not known."""
    wanted = "SELECT DISTINCT subject FROM exchanges WHERE number = ? AND partner = ? AND subject IS NOT NULL"
    return frozenset(str(row[0]) for row in index.rows(wanted, (number, partner)))


def _concerns(each: OpenedEntry, whom: frozenset[str]) -> bool:
    """Whether a change may have mattered: of a person, only where it is the one whom the exchange is about."""
    if each.frame.type not in OF_PEOPLE:
        return True
    if not whom:
        return each.frame.type is not EntryType.ENROLLED  # a gallery may be filled in a day
    about = (each.facts or {}).get("subject") or each.frame.subject_reference.removeprefix("S-")
    return about in whom


def _row(each: OpenedEntry) -> tuple[object, ...]:
    frame, facts = each.frame, each.facts
    of = frame.partner_id or frame.subject_reference or frame.agreement_id or None
    if frame.agreement_id:
        of = f"{frame.agreement_id}@{frame.agreement_version} {frame.subject_reference}".strip()
    elif frame.policy_id:  # of a calibration, whose reference is a digest
        of = frame.policy_id
    when = frame.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    if facts is None:
        sealed = SEALED if any(frame.detail_commitment) else None
        return when, frame.type.name, of, sealed, None, sealed, each.index
    change = ", ".join(f"{name} {facts[name]}" for name in _SHOWN if facts.get(name))
    kind = facts.get("key_kind", "")
    what = f"{frame.type.name} {kind}".strip()
    return when, what, of, facts.get("actor"), facts.get("approver"), change or None, each.index
