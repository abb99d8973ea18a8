"""apsw in the place of the standard library's sqlite3: the store's own code on a disk that we can cut off.

As much of a DB-API connection as SQLAlchemy's dialect and our store use. The transactions are theirs: here nothing
begins or ends one by itself. Errors become those of sqlite3, since these are what the sequencer tells apart.
"""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import apsw

_WRITES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_SYNCHRONOUS = re.compile(r"PRAGMA synchronous(=FULL)?$")
FULL = 2

Row = tuple[Any, ...]


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as fault:
        raise sqlite3.IntegrityError(str(fault)) from fault
    except apsw.Error as fault:
        raise sqlite3.OperationalError(str(fault)) from fault


class Cursor:
    """What a statement gave."""

    arraysize = 1
    lastrowid = 0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = connection.inner.cursor()
        self._cursor.exec_trace = self._described
        self.description: tuple[Row, ...] | None = None
        self.rowcount = -1
        self._rows: Iterator[Row] = iter(())

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run one statement."""
        return self._run(sql, lambda text: self._cursor.execute(text, tuple(parameters)))

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> Cursor:
        """Run one statement for each row of parameters."""
        return self._run(sql, lambda text: self._cursor.executemany(text, map(tuple, rows)))

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Row]:
        """Return the next rows."""
        return list(itertools.islice(self._rows, size))

    def fetchall(self) -> list[Row]:
        """Return the rows that are left."""
        return list(self._rows)

    def close(self) -> None:
        """Drop what is left."""
        self._cursor.close(force=True)

    def _run(self, sql: str, statement: Callable[[str], object]) -> Cursor:
        before = self._connection.inner.total_changes()
        self.description = None
        with _errors():
            statement(self._connection.spoken(sql))
            self._rows = iter(
                list(self._cursor)
            )  # a statement that waits for its reader stops a COMMIT
        if _WRITES.match(sql):
            self.rowcount = self._connection.inner.total_changes() - before
        return self

    def _described(self, cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        del sql, bindings
        columns = cursor.get_description()
        empty = (None,) * 5
        self.description = tuple((name, *empty, None) for name, *_ in columns) or None
        return True


class Connection:
    """A connection over one VFS, which must be alone: there is no shared memory on it.

    weak   whether it is given synchronous=NORMAL where FULL is asked for, and says FULL: what must lose
    """

    isolation_level: str | None = None

    def __init__(self, name: str, vfs: str, *, weak: bool = False, checkpoint: int = 1000) -> None:
        """Open; `checkpoint` is the number of pages of journal after which SQLite brings them home."""
        self._weak = weak
        with _errors():
            self.inner = apsw.Connection(name, vfs=vfs)
            self.inner.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            self.inner.execute(f"PRAGMA wal_autocheckpoint={checkpoint:d}").fetchall()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self.inner.in_transaction)

    def spoken(self, sql: str) -> str:
        """Return the statement that is run: another one where this connection is weak."""
        if self._weak and (found := _SYNCHRONOUS.match(sql)):
            return "PRAGMA synchronous=NORMAL" if found[1] else f"SELECT {FULL}"
        return sql

    def cursor(self, *_: object) -> Cursor:
        """Return a new cursor."""
        return Cursor(self)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        """Run one statement."""
        return Cursor(self).execute(sql, parameters)

    def create_function(self, *_: object, **__: object) -> None:
        """Take a function that SQLAlchemy brings and our statements do not use."""

    def commit(self) -> None:
        """End the transaction, if one is open; what it wrote is then durable, or this raises."""
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        """Close it; a disk without power cannot tidy up, and need not."""
        with suppress(apsw.Error):
            self.inner.close(force=True)
