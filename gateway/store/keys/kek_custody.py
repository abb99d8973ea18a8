"""Since when the key above the keys is in use; written with the entry of its change."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from gateway.store.effects import Effect
from gateway.store.schema import values
from gateway.store.times import milliseconds, moment

_KEY = "kek"


def since(connection: Connection) -> datetime | None:
    """Return when it was last changed; None where it is the one of the founding."""
    found = connection.execute(select(values.c.value).where(values.c.key == _KEY)).scalar()
    return None if found is None else moment(int(found))


def changed(now: datetime) -> tuple[Effect, ...]:
    """Return what notes that it was changed."""
    row = insert(values).values(key=_KEY, value=str(milliseconds(now)))
    return Effect(delete(values).where(values.c.key == _KEY)), Effect(row, rows=1)
