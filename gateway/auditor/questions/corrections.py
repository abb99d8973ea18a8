"""Question 11: corrections sent, received, acknowledged, late (IRPR 315.27, 315.35, 315.42).

    sent       from us to a partner: opened, delivered, acknowledged by it
    received   from a partner to us: accepted, settled here, our acknowledgement delivered

Late is what was delivered more than 24 hours after it was opened, or acknowledged more than 72 hours after that, or
is not yet and its time has passed at the end of the ledger; agreements may say less (`due` in the entry counts).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.result_table import Period, Table, iso
from gateway.domain.messages import Direction
from gateway.language import say
from gateway.ledger.entry import EntryClass, EntryType
from gateway.ledger.exchange_history import OpenedEntry

COLUMNS = (
    *("correction", "partner", "way", "about", "kind", "opened", "delivered", "acknowledged"),
    *("outcome", "late", "leaf"),
)
SEND_MS: Final = 24 * 3_600_000  # law.md section 10, "Correction notice"
ACKNOWLEDGE_MS: Final = 72 * 3_600_000


@dataclass(slots=True)
class _Correction:
    partner: str
    number: str
    outbound: bool
    leaf: int
    opened: int
    delivered: int | None = None
    acknowledged: int | None = None
    facts: dict[str, str] = field(default_factory=dict)


def corrections(index: Index, period: Period, *, late: bool = False) -> Table:
    """Return every correction opened in a period, and what was opened before it and late in it.

    late   those alone whose time has passed
    """
    kinds = f"type IN ({int(EntryType.CORRECTION)}, {int(EntryType.ACKNOWLEDGEMENT)})"
    # Opened before the period, it may be late in it; opened in it, it may be acknowledged after it.
    said, values = Period(0, None, period.partner).where("time_ms")
    now = index.rows("SELECT max(time_ms) FROM entries")[0][0]
    end = now if isinstance(now, int) else 0
    rows, count = [], 0
    for one in _gathered(index.entries_where(f"{kinds} AND {said}", values)):
        passed = _late(one, end)
        if not _within(one, period, passed=passed):
            continue
        count += passed
        if passed or not late:
            rows.append(_row(one, passed=passed))
    findings = (say("{count} corrections are late or were", count=count),) if count else ()
    return Table(COLUMNS, tuple(rows), {"corrections": len(rows), "late": count}, findings)


def _within(one: _Correction, period: Period, *, passed: bool) -> bool:
    if period.until is not None and one.opened >= period.until:
        return False
    lasting = passed and (one.acknowledged is None or one.acknowledged >= period.since)
    return one.opened >= period.since or lasting


def _gathered(told: Iterable[OpenedEntry]) -> Iterable[_Correction]:
    """Return the histories, by partner, number, and direction: a number is the choice of who opens it."""
    found: dict[tuple[str, str, bool], _Correction] = {}
    for each in told:
        frame, when = each.frame, round(each.frame.time.timestamp() * 1000)
        notice = frame.type is EntryType.CORRECTION
        outbound = notice == (frame.direction is Direction.OUTBOUND)
        exchange = frame.partner_id, frame.transaction_number, outbound
        opening = notice and frame.entry_class is not EntryClass.ANSWERED
        one = found.get(exchange)
        if one is None:
            if not opening:
                continue  # the bundle begins after it was opened
            one = _Correction(
                frame.partner_id, frame.transaction_number, outbound, each.index, when
            )
            found[exchange] = one
        one.facts |= {**(each.facts or {})}
        if frame.entry_class is EntryClass.ANSWERED and one.delivered is None:
            one.delivered = when
        elif frame.type is EntryType.ACKNOWLEDGEMENT and one.acknowledged is None:
            one.acknowledged = when
    return found.values()


def _late(one: _Correction, end: int) -> bool:
    if not one.outbound:
        return (one.acknowledged or end) - one.opened > ACKNOWLEDGE_MS
    due = one.facts.get("due", "")
    until = (
        round(datetime.fromisoformat(due).timestamp() * 1000)
        if due
        else one.opened + ACKNOWLEDGE_MS
    )
    slow = (one.delivered or end) - one.opened > SEND_MS
    return slow or (one.acknowledged or end) > until


def _row(one: _Correction, *, passed: bool) -> tuple[object, ...]:
    facts = one.facts
    return (
        one.number,
        one.partner,
        say("sent") if one.outbound else say("received"),
        facts.get("transaction_reference"),
        facts.get("correction_kind"),
        iso(one.opened),
        iso(one.delivered),
        iso(one.acknowledged),
        facts.get("correction_outcome"),
        passed,
        one.leaf,
    )
