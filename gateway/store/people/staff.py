"""Our people: which key opens the admin listener to whom, with which roles, from when to when.

Reading takes a connection, writing returns effects. A row is never removed; it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from gateway.errors import UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import staff
from gateway.store.times import milliseconds, moment


@dataclass(frozen=True, slots=True)
class Member:
    """A key of one person: SHA-256 of its public half, the roles by name, its dates.

    suspended   since when it opens nothing, until two persons let it
    approving   public half of the key that signs what the person proposes and approves; empty: neither
    """

    pin: bytes
    person: str
    roles: tuple[str, ...]
    granted: datetime
    expires: datetime
    ended: datetime | None = None
    suspended: datetime | None = None
    approving: bytes = field(default=b"", repr=False)

    def live(self, now: datetime) -> bool:
        """Tell whether the admin listener accepts the key at a moment."""
        return self.suspended is None and self.endable(now)

    def endable(self, now: datetime) -> bool:
        """Tell whether the key opens the admin listener at a moment, or would once it is resumed."""
        return self.ended is None and now < self.expires


def member(connection: Connection, pin: bytes) -> Member | None:
    """Return whose key it is, whether or not it still opens anything."""
    row = connection.execute(select(staff).where(staff.c.pin == pin)).one_or_none()
    return None if row is None else _member(row)


def members(connection: Connection) -> list[Member]:
    """Return every key ever granted, by person, the oldest first."""
    wanted = select(staff).order_by(staff.c.person, staff.c.grant_ms, staff.c.pin)
    return [_member(row) for row in connection.execute(wanted)]


KNOWN = "this key was granted before: `passerelle staff collect` writes its certificate; else have the person make another"


def grant(new: Member) -> Effect:
    """Return what lets a key in; its commit raises UserError where the key is known already."""
    row = insert(staff).values(
        pin=new.pin,
        person=new.person,
        roles="+".join(new.roles),
        grant_ms=milliseconds(new.granted),
        expire_ms=milliseconds(new.expires),
        approving=new.approving or None,
    )
    return Effect(row, rows=1, refusal=says(UserError, KNOWN))


def end(pin: bytes, now: datetime) -> Effect:
    """Return what shuts a key out; its commit raises UserError where somebody else did it first."""
    row = (
        update(staff)
        .where(staff.c.pin == pin, staff.c.end_ms.is_(None))
        .values(end_ms=milliseconds(now))
    )
    return Effect(row, rows=1, refusal=says(UserError, "this key was ended meanwhile"))


def suspend(pin: bytes, now: datetime) -> Effect:
    """Return what keeps a key out until it is resumed; its commit raises UserError where it is out already."""
    row = (
        update(staff)
        .where(staff.c.pin == pin, staff.c.end_ms.is_(None), staff.c.suspend_ms.is_(None))
        .values(suspend_ms=milliseconds(now))
    )
    return Effect(row, rows=1, refusal=says(UserError, "this key was ended or suspended meanwhile"))


def resume(pin: bytes) -> Effect:
    """Return what lets a suspended key in again; its commit raises UserError where it is not suspended."""
    row = (
        update(staff)
        .where(staff.c.pin == pin, staff.c.end_ms.is_(None), staff.c.suspend_ms.is_not(None))
        .values(suspend_ms=None)
    )
    return Effect(row, rows=1, refusal=says(UserError, "this key was ended or resumed meanwhile"))


def _member(row: Row[tuple[object, ...]]) -> Member:
    return Member(
        pin=row.pin,
        person=row.person,
        roles=tuple(row.roles.split("+")),
        granted=moment(row.grant_ms),
        expires=moment(row.expire_ms),
        ended=None if row.end_ms is None else moment(row.end_ms),
        suspended=None if row.suspend_ms is None else moment(row.suspend_ms),
        approving=row.approving or b"",
    )
