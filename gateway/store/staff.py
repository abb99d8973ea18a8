"""Our people: which key opens the admin door to whom, with which roles, from when to when.

Reading takes a connection, writing returns effects. A row is never removed; it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from gateway.errors import Remedy
from gateway.store.casebook import staff
from gateway.store.effects import Effect, says
from gateway.store.times import milliseconds, moment


@dataclass(frozen=True, slots=True)
class Member:
    """A key of one person: SHA-256 of its public half, the roles by name, its dates."""

    pin: bytes
    person: str
    roles: tuple[str, ...]
    granted: datetime
    expires: datetime
    ended: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Tell whether the key opens the door at a moment."""
        return self.ended is None and now < self.expires


def member(connection: Connection, pin: bytes) -> Member | None:
    """Return whose key it is, whether or not it still opens anything."""
    row = connection.execute(select(staff).where(staff.c.pin == pin)).one_or_none()
    return None if row is None else _member(row)


def members(connection: Connection) -> list[Member]:
    """Return every key ever granted, by person, the oldest first."""
    wanted = select(staff).order_by(staff.c.person, staff.c.grant_ms, staff.c.pin)
    return [_member(row) for row in connection.execute(wanted)]


def grant(new: Member) -> Effect:
    """Return what lets a key in; its commit raises Remedy where the key is known already."""
    row = insert(staff).values(
        pin=new.pin,
        person=new.person,
        roles="+".join(new.roles),
        grant_ms=milliseconds(new.granted),
        expire_ms=milliseconds(new.expires),
    )
    return Effect(row, rows=1, refusal=says(Remedy, "this key was granted before; make another"))


def end(pin: bytes, now: datetime) -> Effect:
    """Return what shuts a key out; its commit raises Remedy where somebody else did it first."""
    row = (
        update(staff)
        .where(staff.c.pin == pin, staff.c.end_ms.is_(None))
        .values(end_ms=milliseconds(now))
    )
    return Effect(row, rows=1, refusal=says(Remedy, "this key was ended meanwhile"))


def _member(row: Row[tuple[object, ...]]) -> Member:
    return Member(
        pin=row.pin,
        person=row.person,
        roles=tuple(row.roles.split("+")),
        granted=moment(row.grant_ms),
        expires=moment(row.expire_ms),
        ended=None if row.end_ms is None else moment(row.end_ms),
    )
