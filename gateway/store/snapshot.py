"""A copy of the store as it is at one moment, while the gateway serves; and who backups are sealed for."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, delete, insert, select

from gateway.errors import InternalError, UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import values

INDEX_BYTES = 8
LENGTH_BYTES = 2  # of a sealed key; X-Wing's is 1,168 bytes
_RECIPIENT = "recovery/recipient"
_PREFIX = ".copy-"
_SUFFIXES = ("", "-journal", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copy:
    """The store in two files: all of it but the keys to details, and those.

    keys   for each, in order: index (8 bytes), length (2 bytes), the sealed key
    """

    database: Path
    keys: Path


@contextmanager
def snapshot(path: Path) -> Iterator[Copy]:
    """Lend a copy of the database, beside it, as one reader sees it; it is gone afterwards.

    One read transaction: in WAL mode it stops nobody from writing, and sees no commit by half. The keys to
    details are kept apart, so that a copy that is kept for long is no place where a shredded detail lives on.
    Raises InternalError where the copy is not complete, and what the disk raises.
    """
    sweep(path.parent)
    with _scratch(path.parent) as database, _scratch(path.parent) as keys:
        try:
            with (
                closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(database)) as target,
            ):
                source.backup(target)
                (found,) = target.execute("PRAGMA quick_check").fetchone()
                if found == "ok":
                    with keys.open("wb") as file:
                        _part(target, file)
        except sqlite3.Error as fault:
            raise InternalError(f"the store at {path} cannot be copied: {fault}") from None
        if found != "ok":
            raise InternalError(f"the copy of {path} is not whole: {found}")
        yield Copy(database, keys)


def sweep(folder: Path) -> int:
    """Remove copies that a killed process left lying, keys to details among them; return how many."""
    gone = 0
    for path in filter(Path.is_file, folder.glob(f"{_PREFIX}*.db")):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its maker lives
            _remove(path)
            gone += 1
    return gone


def unpart(path: Path, keys: Iterator[tuple[int, bytes]]) -> int:
    """Put keys to details back into a copy that nobody has opened; return how many.

    Raises InternalError where one is already there, or belongs to no detail.
    """
    with closing(sqlite3.connect(path)) as target:
        before = target.total_changes
        try:
            target.executemany("INSERT INTO detail_keys (idx, sealed_dek) VALUES (?, ?)", keys)
            (strange,) = target.execute(
                "SELECT count(*) FROM detail_keys WHERE idx NOT IN (SELECT idx FROM details)"
            ).fetchone()
            if strange:
                raise InternalError("keys to details that are not in this copy")
            target.commit()
        except sqlite3.Error as fault:
            raise InternalError(f"the keys to details do not fit this copy: {fault}") from None
        return target.total_changes - before


def keyless(path: Path) -> bool:
    """Say whether a copy has details and no key to any of them."""
    wanted = "SELECT EXISTS (SELECT 1 FROM details), EXISTS (SELECT 1 FROM detail_keys)"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source:
        try:
            details, keys = source.execute(wanted).fetchone()
        except sqlite3.Error as fault:
            raise InternalError(f"the store at {path} cannot be read: {fault}") from None
    return bool(details and not keys)


def _part(target: sqlite3.Connection, file: IO[bytes]) -> None:
    """Move the keys to details out of a copy into a file, and leave no trace of them in the copy."""
    target.execute("PRAGMA secure_delete=ON").close()
    for index, sealed in target.execute("SELECT idx, sealed_dek FROM detail_keys ORDER BY idx"):
        file.write(index.to_bytes(INDEX_BYTES, "big") + len(sealed).to_bytes(LENGTH_BYTES, "big"))
        file.write(sealed)
    target.execute("DELETE FROM detail_keys")
    target.commit()
    target.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Lend an empty file that `sweep` leaves alone while this process lives."""
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=".db", dir=folder)  # mode 0600
    path = Path(name)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # another kind of lock than SQLite's own
        yield path
    finally:
        _remove(path)
        os.close(handle)


def _remove(path: Path) -> None:
    for suffix in _SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def recipient(connection: Connection) -> bytes | None:
    """Return the public half of the recovery key that backups are sealed for; None before the first."""
    found = connection.execute(select(values.c.value).where(values.c.key == _RECIPIENT)).scalar()
    return None if found is None else bytes.fromhex(found)


def set_recipient(public: bytes, before: bytes | None) -> tuple[Effect, ...]:
    """Return what has backups sealed for another key; the commit raises UserError where somebody was first."""
    taken = says(lambda: UserError("another recovery key was set meanwhile; look again"))
    row = insert(values).values(key=_RECIPIENT, value=public.hex())
    if before is None:
        return (Effect(row, rows=1, refusal=taken),)
    gone = delete(values).where(values.c.key == _RECIPIENT, values.c.value == before.hex())
    return (Effect(gone, rows=1, refusal=taken), Effect(row, rows=1, refusal=taken))
