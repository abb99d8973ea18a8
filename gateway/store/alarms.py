"""Alarms that were raised and not cleared: each once, across restarts, together with its ALARM leaf."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from gateway.errors import PasserelleError
from gateway.store.effects import Effect, says
from gateway.store.schema import values
from gateway.store.times import milliseconds, moment

_PREFIX = "alarm/"


class AlarmStands(PasserelleError):
    """Somebody else raised or cleared this alarm meanwhile."""


def raised(connection: Connection) -> frozenset[str]:
    """Return the names of the raised alarms."""
    wanted = select(values.c.key).where(values.c.key.startswith(_PREFIX, autoescape=True))
    return frozenset(key.removeprefix(_PREFIX) for key in connection.execute(wanted).scalars())


def raised_since(connection: Connection) -> dict[str, datetime]:
    """Return the raised alarms, by name, and when each was raised."""
    wanted = select(values).where(values.c.key.startswith(_PREFIX, autoescape=True))
    return {
        row.key.removeprefix(_PREFIX): moment(int(row.value)) for row in connection.execute(wanted)
    }


def raise_alarm(name: str, now: datetime) -> tuple[Effect, ...]:
    """Return what raises an alarm; the commit raises AlarmStands where it is raised already."""
    row = insert(values).values(key=_PREFIX + name, value=str(milliseconds(now)))
    return (Effect(row, rows=1, refusal=says(AlarmStands)),)


def clear_alarm(name: str) -> tuple[Effect, ...]:
    """Return what clears an alarm; the commit raises AlarmStands where none is raised."""
    row = delete(values).where(values.c.key == _PREFIX + name)
    return (Effect(row, rows=1, refusal=says(AlarmStands)),)
