"""Small invented ledgers for the questions: entries as a gateway writes them, held as an auditor holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.auditor.index import Index
from gateway.domain.messages import Direction
from gateway.exercises.bench.synthetic_events import BEGINS
from gateway.exercises.bench.synthetic_year import ORIGIN, _EntryMaker
from gateway.ledger.archive import Held
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from gateway.ledger.signed_note import LogIdentity
from keys.envelope import OpeningRing
from keys.keyset import KeyKind, Keyset


class Bare:
    """Custody of nothing: keys that live for one test."""

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        del aad
        return secret

    def unwrap(self, blob: bytes, aad: bytes) -> bytes:
        del aad
        return blob

    def describe(self) -> str:
        return "none"


def keys(now: datetime = BEGINS) -> tuple[Keyset, Keyset]:
    """Return the keys of a gateway, and of its auditor."""
    auditor = Keyset.create_auditor(now, "CAN", Bare())
    public = auditor.primary(KeyKind.AUDIT).public
    return Keyset.create(now, "CAN", Bare(), audit_public=public), auditor


@dataclass
class Small:
    """A source of a few entries."""

    log: LogIdentity
    entries: list[Held]
    first: int = 0

    @property
    def size(self) -> int:
        return len(self.entries)

    def held(self, start: int | None = None, stop: int | None = None) -> Iterator[Held]:
        yield from self.entries[start or 0 : self.size if stop is None else stop]

    def agreements(self) -> dict[str, bytes]:
        return {}


def indexed(said: Iterable[Leaf], *, opened: bool = True) -> Index:
    """Return a passing index of some entries, in order of time."""
    gateway, auditor = keys()
    maker = _EntryMaker(gateway.audit_public, gateway.log(), 0)
    ordered = sorted(said, key=lambda each: each.frame.time)
    entries = [maker.entry(each) for each in ordered]
    source = Small(LogIdentity.from_log_key(ORIGIN, gateway.log()), entries)
    ring: OpeningRing | None = auditor.audit_ring() if opened else None
    index = Index.passing()
    index.extend(source, ring)
    return index


def query(
    number: int,
    hours: float,
    *,
    case: str = "C-1",
    partner: str = "AUS",
    outbound: bool = False,
    **answer: str,
) -> list[Leaf]:
    """Return the entries of one query, so many hours after the year began, and of its answer."""
    frame = Frame(
        type=EntryType.ASKED if outbound else EntryType.REQUEST,
        entry_class=EntryClass.OTHER if outbound else EntryClass.ACCEPTED,
        time=BEGINS + timedelta(hours=hours),
        partner_id=partner,
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        message_id=number.to_bytes(16, "big"),
        transcript=bytes(31) + b"\1",
        transaction_number=f"20260101-{number:08}",
        subject_reference="" if outbound else "SUBMIT_QUERY",
    )
    asked = {"purpose": "VISA_PERMIT_BENEFIT", "paragraph": "IRPR 315.41(1)(a)", "case": case}
    asked |= {"unit": "U-3", "person": "OFFICER-9"}
    after = replace(
        frame,
        type=EntryType.ANSWER_RECEIVED if outbound else EntryType.RESPONSE,
        entry_class=EntryClass.ANSWERED,
        time=frame.time + timedelta(seconds=1),
    )
    nobody = {"true_outcome": "NO_MATCH", "disclosed_outcome": "NO_MATCH"}
    if outbound:
        nobody = {"outcome_received": "NO_MATCH"}
    return [Leaf(frame, asked), Leaf(after, {**nobody, **answer})]
