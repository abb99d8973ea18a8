"""What happened to keys, agreements, the directory and the service: a few kinds of events in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.result_table import Period
from gateway.ledger.entry import EntryType
from gateway.ledger.exchange_history import OpenedEntry

MOST: Final = 300  # events on a page; beyond them the newest are shown, and how many are not
KINDS: Final = {
    EntryType.KEY: "keys",
    EntryType.DIRECTORY: "directory",
    EntryType.AGREEMENT: "agreements",
    EntryType.CALIBRATION: "service",
    EntryType.ALARM: "alarms",
    EntryType.CLOCK: "alarms",
    EntryType.RESTORE: "service",
    EntryType.START: "service",
    EntryType.STOP: "service",
}
LANES: Final = ("keys", "agreements", "directory", "service", "alarms")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `what` is in the ledger's own words, such as KEY KEM ACTIVE."""

    time_ms: int
    lane: str
    what: str
    of: str
    leaf: int


def events(index: Index, period: Period) -> tuple[tuple[Event, ...], int]:
    """Return the events of a period, and how many more there are."""
    kinds = ", ".join(str(int(kind)) for kind in KINDS)
    said, values = period.where("time_ms")
    wanted = f"type IN ({kinds}) AND {said}"
    count = int(index.rows(f"SELECT count(*) FROM entries WHERE {wanted}", values)[0][0])
    last = f"entries.idx IN (SELECT idx FROM entries WHERE {wanted} ORDER BY idx DESC LIMIT {MOST})"
    found = tuple(_event(each) for each in index.entries_where(last, values))
    return found, count - len(found)


def _event(each: OpenedEntry) -> Event:
    frame, facts = each.frame, each.facts or {}
    words = [frame.type.name, facts.get("key_kind", ""), facts.get("state_after", "")]
    if frame.agreement_id:
        words.append(f"{frame.agreement_id}@{frame.agreement_version}")
    elif frame.policy_id:
        words.append(frame.policy_id)
    elif frame.type is not EntryType.KEY and frame.subject_reference:
        words.append(frame.subject_reference)
    time_ms = round(frame.time.timestamp() * 1000)
    return Event(
        time_ms, KINDS[frame.type], " ".join(filter(None, words)), frame.partner_id, each.index
    )
