"""Legal holds: what stops every erasure of a person, a query, a partner's, or of everything, until it is released.

A hold is a row that is never removed; it ends. The number of rows and of ends together is the serial of all holds: it
grows with each placing and each release, so an erasure can demand in its own commit that the holds it knew are those
that stand. No hold keeps the prints of a query: the regulation destroys them (IRPR 315.43(2)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, literal, select

from gateway.domain.hold import HoldKind
from gateway.store.dated_rulings import Rulings, RulingState
from gateway.store.effects import Effect
from gateway.store.schema import asked, holds, leaves, subjects, transactions
from gateway.store.times import milliseconds, moment

_RULINGS = Rulings(
    *(holds, holds.c.place_ms, holds.c.release_ms, holds.c.released_by),
    what="a hold",
    gone="no such hold stands; `passerelle retention hold list` names those that do",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold; `reference` is empty where it names everything."""

    id: str
    kind: HoldKind
    reference: str
    reason: str
    placed_by: str
    placed: datetime
    released_by: str = ""
    released: datetime | None = None

    @property
    def state(self) -> RulingState:
        """Where it stands."""
        return RulingState.STANDING if self.released is None else RulingState.ENDED


@dataclass(frozen=True, slots=True)
class Named:
    """Whom and what a thing is about: a partner, the numbers it goes under, the people it speaks of."""

    partner: str = ""
    numbers: frozenset[str] = frozenset()
    subjects: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class HoldStatus:
    """The holds in force at one moment, and their serial.

    subjects   the numbers of the people that are named by file number
    """

    serial: int
    holds: tuple[Hold, ...] = ()
    subjects: Mapping[int, Hold] = field(default_factory=dict)

    @property
    def narrow(self) -> bool:
        """Whether some hold names a person or a query, so that what a row is about must be looked up."""
        return any(one.kind in {HoldKind.PERSON, HoldKind.TRANSACTION} for one in self.holds)

    def keeps(self, what: Named) -> Hold | None:
        """Return a hold that keeps a thing; None where nothing does."""
        for one in self.holds:
            if one.kind is HoldKind.EVERYTHING:
                return one
            if one.kind is HoldKind.PARTNER and one.reference == what.partner:
                return one
            if one.kind is HoldKind.TRANSACTION and one.reference in {
                f"{what.partner}/{number}" for number in what.numbers
            }:
                return one
        return next((self.subjects[each] for each in what.subjects if each in self.subjects), None)


def standing(connection: Connection) -> HoldStatus:
    """Return the holds that stand."""
    found = tuple(map(_hold, _RULINGS.standing(connection)))
    people = {one.reference: one for one in found if one.kind is HoldKind.PERSON}
    numbers = select(subjects.c.id, subjects.c.reference).where(subjects.c.reference.in_(people))
    by_number = {row.id: people[row.reference] for row in connection.execute(numbers)}
    serial = connection.execute(select(_serial())).scalar() or 0
    return HoldStatus(serial, found, by_number)


def every(connection: Connection) -> tuple[Hold, ...]:
    """Return all holds there ever were, the newest first."""
    return tuple(map(_hold, _RULINGS.every(connection)))


def known(connection: Connection, kind: HoldKind, reference: str) -> bool:
    """Return whether there is what a hold would name; a partner is known by any entry of the ledger."""
    if kind is HoldKind.PERSON:
        wanted = select(subjects.c.id).where(subjects.c.reference == reference)
        return connection.execute(wanted).first() is not None
    if kind is HoldKind.PARTNER:
        named = select(leaves.c.idx).where(leaves.c.partner == reference).limit(1)
        return connection.execute(named).first() is not None
    if kind is HoldKind.EVERYTHING:
        return True
    partner, _, number = reference.partition("/")
    return any(
        connection.execute(
            select(table.c.number).where(table.c.partner == partner, table.c.number == number)
        ).first()
        for table in (transactions, asked)
    )


def unmoved(seen: int) -> ColumnElement[bool]:
    """Return the condition that no hold was placed or released since the serial was `seen`."""
    return _serial() == literal(seen)


def place(hold: Hold) -> tuple[Effect, ...]:
    """Return what places a hold, together with its HOLD leaf."""
    return _RULINGS.make(
        id=hold.id,
        kind=hold.kind.value,
        reference=hold.reference,
        reason=hold.reason,
        placed_by=hold.placed_by,
        place_ms=milliseconds(hold.placed),
    )


def release(identifier: str, person: str, now: datetime) -> tuple[Effect, ...]:
    """Return what releases a hold, together with its HOLD leaf; the commit raises UserError where none stands."""
    return _RULINGS.end(identifier, person, now)


def _serial() -> ColumnElement[Any]:
    return select(func.count(holds.c.id) + func.count(holds.c.release_ms)).scalar_subquery()


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        id=row.id,
        kind=HoldKind(row.kind),
        reference=row.reference,
        reason=row.reason,
        placed_by=row.placed_by,
        placed=moment(row.place_ms),
        released_by=row.released_by or "",
        released=None if row.release_ms is None else moment(row.release_ms),
    )
