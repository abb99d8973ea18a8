"""A copy of the store as it is at one moment, while the house serves; and who backups are sealed for."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from gateway.errors import Fault, Remedy
from gateway.store.effects import Effect, says
from gateway.store.schema import values

_RECIPIENT = "recovery/recipient"


@contextmanager
def snapshot(path: Path) -> Iterator[Path]:
    """Lend a copy of the database, beside it, as one reader sees it; it is gone afterwards.

    One read transaction: in WAL mode it stops nobody from writing, and sees no commit by half. Raises Fault
    where the copy is not whole, and what the disk raises.
    """
    handle, name = tempfile.mkstemp(prefix=".copy-", suffix=".db", dir=path.parent)  # mode 0600
    os.close(handle)
    copy = Path(name)
    try:
        try:
            with (
                closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
                (found,) = target.execute("PRAGMA quick_check").fetchone()
        except sqlite3.Error as fault:
            raise Fault(f"the store at {path} cannot be copied: {fault}") from None
        if found != "ok":
            raise Fault(f"the copy of {path} is not whole: {found}")
        yield copy
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def recipient(connection: Connection) -> bytes | None:
    """Return the public half of the recovery key that backups are sealed for; None before the first."""
    found = connection.execute(select(values.c.value).where(values.c.key == _RECIPIENT)).scalar()
    return None if found is None else bytes.fromhex(found)


def set_recipient(public: bytes, before: bytes | None) -> tuple[Effect, ...]:
    """Return what has backups sealed for another key; the commit raises Remedy where somebody was first."""
    taken = says(lambda: Remedy("another recovery key was set meanwhile; look again"))
    row = insert(values).values(key=_RECIPIENT, value=public.hex())
    if before is None:
        return (Effect(row, rows=1, refusal=taken),)
    gone = delete(values).where(values.c.key == _RECIPIENT, values.c.value == before.hex())
    return (Effect(gone, rows=1, refusal=taken), Effect(row, rows=1, refusal=taken))
