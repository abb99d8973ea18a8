"""Who backups are sealed for: the public half of a recovery key, set by two persons."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from gateway.errors import UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import values

_KEY = "recovery/recipient"


def recipient(connection: Connection) -> bytes | None:
    """Return the public half of the recovery key that backups are sealed for; None before the first."""
    found = connection.execute(select(values.c.value).where(values.c.key == _KEY)).scalar()
    return None if found is None else bytes.fromhex(found)


def set_recipient(public: bytes, before: bytes | None) -> tuple[Effect, ...]:
    """Return what has backups sealed for another key; the commit raises UserError where somebody was first."""
    taken = says(lambda: UserError("another recovery key was set meanwhile; look again"))
    row = insert(values).values(key=_KEY, value=public.hex())
    if before is None:
        return (Effect(row, rows=1, refusal=taken),)
    gone = delete(values).where(values.c.key == _KEY, values.c.value == before.hex())
    return (Effect(gone, rows=1, refusal=taken), Effect(row, rows=1, refusal=taken))
