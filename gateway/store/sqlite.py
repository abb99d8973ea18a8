"""One file, one connection that writes, any number that read.

The writing connection is the pen. It is guarded by a lock beside the file, so that two processes never
hold one at once, and only the sequencer asks for it; migrations borrow it while nobody serves. Readers open
the file `mode=ro`, which can neither write nor checkpoint: in SQLite 3.7.0 to 3.51.2 two connections that
write or checkpoint at the same moment can lose commits (sqlite.org/wal.html, the WAL-reset race), so here
the single pen is a condition of serving, not a convenience.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from gateway.errors import InternalError, UserError
from gateway.store.schema import REVISION
from keys import atomic_file

Reader = Connection  # what `Database.reader` lends: one snapshot, which nothing can be written by
Connect = Callable[..., sqlite3.Connection]

BUSY_TIMEOUT = (
    5000  # milliseconds; only a backup or a shell could make us wait, and neither should for long
)
READERS = 8  # connections kept open; more are opened when needed, one call uses one
WAL = "wal"

# Pragma → (what we set, what it must read back). Most are per connection, hence set on each, in one place.
_SHARED: Mapping[str, tuple[str, object]] = {
    "foreign_keys": ("ON", 1),
    "busy_timeout": (str(BUSY_TIMEOUT), BUSY_TIMEOUT),
    "mmap_size": (
        "0",
        0,
    ),  # mapped pages and the WAL-reset race together are the worst known corruption
    "temp_store": ("MEMORY", 2),  # no spill of rows to a temporary file
    "trusted_schema": ("OFF", 0),
}
PEN_PRAGMAS: Mapping[str, tuple[str, object]] = {
    "journal_mode": ("WAL", WAL),
    "synchronous": (
        "FULL",
        2,
    ),  # NORMAL lost acknowledged commits at power loss in 262 of 300 trials
    "secure_delete": ("ON", 1),  # a removed key must not stay in a free page
    "fullfsync": (
        "ON",
        1,
    ),  # macOS only, where fsync does not reach the platter; no effect elsewhere
    "checkpoint_fullfsync": ("ON", 1),
    **_SHARED,
}
READER_PRAGMAS: Mapping[str, tuple[str, object]] = {"query_only": ("ON", 1), **_SHARED}


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What `passerelle check` says of the store.

    pragmas    as read back from a writing connection, or from a reading one while another process serves
    served     whether another process holds the writer lock
    affected   whether this SQLite has the WAL-reset race; verdict says what follows
    """

    path: Path
    revision: str
    sqlite_version: str
    pragmas: Mapping[str, str]
    served: bool
    affected: bool
    verdict: str


class Database:
    """A store that is at the right migration. `connect` makes the driver's connections."""

    def __init__(self, path: Path, connect: Connect = sqlite3.connect) -> None:
        self.path = path.absolute()
        self._connect = connect
        self._pragmas: dict[str, str] = {}
        self._lock: IO[bytes] | None = None
        self._pen: Connection | None = None
        self._pens = self._engine("rw", "BEGIN IMMEDIATE", PEN_PRAGMAS)
        self._readers = self._engine("ro", "BEGIN", READER_PRAGMAS)

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """Lend a connection that reads one snapshot; leave the block soon, a snapshot holds the WAL back."""
        with self._readers.connect() as connection, connection.begin():
            yield connection

    def take_pen(self) -> Connection:
        """Return the one connection that writes; its transactions are `BEGIN IMMEDIATE`.

        Raises UserError while anyone, here or in another process, holds it. `release_pen` gives it back.
        """
        if self._lock is not None:
            raise UserError("this process already writes to the store")
        self._lock = _lock(self.path)
        try:
            self._pen = self._pens.connect()
        except BaseException:
            self.release_pen()
            raise
        return self._pen

    def release_pen(self, *, tidy: bool = False) -> None:
        """Close the writing connection, if it is open, and let another process have it.

        tidy   first bring the WAL home and empty it, so that what was deleted is in neither file; never
               after a failed write, whose pages the kernel may have dropped
        """
        if self._pen is not None:
            driver = self._pen.connection.driver_connection
            if tidy and driver is not None:
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            self._pen.close()
            self._pen = None
        self._pens.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def empty_wal(self) -> bool:
        """Bring the WAL home and empty it, unless a reader stands in the way; return whether it is empty.

        Only for who holds the pen. It waits for nobody: meanwhile nothing could be committed.
        """
        driver = None if self._pen is None else self._pen.connection.driver_connection
        if driver is None:
            return False
        driver.execute("PRAGMA busy_timeout=0").close()
        try:
            busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}").close()
        return not busy

    def close(self) -> None:
        """Close every connection."""
        self.release_pen()
        self._readers.dispose()

    def revision(self) -> str | None:
        """Return the migration that the file is at; None for a file without our tables."""
        with self.reader() as reader:
            if not inspect(reader).has_table("alembic_version"):
                return None
            return reader.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def report(self) -> StoreReport:
        """Return what is in force, read back from the database, not from this program's intentions."""
        served = False
        if self._pen is None:
            try:
                self.take_pen()
            except UserError:
                served = True
            else:
                self.release_pen()
        affected = wal_reset_affected(sqlite3.sqlite_version_info)
        with self.reader() as reader:
            pragmas = _read_back(reader, READER_PRAGMAS) if served else self._pragmas
        return StoreReport(
            self.path,
            self.revision() or "",
            sqlite3.sqlite_version,
            dict(pragmas),
            served,
            affected,
            _VERDICTS[affected],
        )

    def _prepare(
        self, connection: sqlite3.Connection, mode: str, pragmas: Mapping[str, tuple[str, object]]
    ) -> None:
        connection.isolation_level = None
        for name, (value, _) in pragmas.items():
            connection.execute(f"PRAGMA {name}={value}").close()
        if mode == "rw":
            self._pragmas = _read_back(connection, pragmas)
        else:
            _read_back(connection, {**pragmas, "journal_mode": ("", WAL)})

    def _engine(self, mode: str, begin: str, pragmas: Mapping[str, tuple[str, object]]) -> Engine:
        """Make a pool whose transactions begin as we say: the driver's own idea of BEGIN is switched off."""

        def connect() -> sqlite3.Connection:
            address = f"{self.path.as_uri()}?mode={mode}"
            connection = self._connect(address, uri=True, check_same_thread=False)
            try:
                self._prepare(connection, mode, pragmas)
            except BaseException:
                connection.close()
                raise
            return connection

        if mode == "rw":
            engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=StaticPool)
        else:
            engine = create_engine(
                "sqlite+pysqlite://",
                creator=connect,
                poolclass=QueuePool,
                pool_size=READERS,
                max_overflow=-1,
            )
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine


def open_store(path: Path, *, create: bool = False, connect: Connect = sqlite3.connect) -> Database:
    """Open the store at `path`, at the newest migration.

    create   make it where it is missing: the file 0600 in a folder 0700. Without it a missing or emptied
             file is refused, because a fresh ledger in place of an old one is a loss to report, not to mend

    Raises UserError for what an operator can put right, InternalError where the database is not as it must be.
    """
    if create:
        _create(path)
    if not path.is_file():
        raise UserError(f"no store at {path}; `passerelle init` makes one")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UserError(f"others may read {path}; run `chmod 600` on it")
    fresh = path.stat().st_size == 0
    if fresh and not create:
        raise UserError(f"the store at {path} is empty; restore it from a backup")
    database = Database(path, connect)
    try:
        revision = None if fresh else database.revision()
        if revision is None and not create:
            raise UserError(f"{path} is not a store of ours")  # noqa: TRY301 - closed below
        if revision != REVISION:
            _migrate(database)
    except DBAPIError as error:
        database.close()
        raise InternalError(f"the store at {path} cannot be read: {error.orig}") from error
    except BaseException:
        database.close()
        raise
    return database


def wal_reset_affected(version: tuple[int, int, int]) -> bool:
    """Say whether this SQLite can lose commits when two connections write or checkpoint at once.

    3.7.0 to 3.51.2; fixed in 3.51.3, and in 3.44.6 and 3.50.7 of the older lines (sqlite.org/wal.html).
    """
    if version[:2] == (3, 44):
        return version < (3, 44, 6)
    if version[:2] == (3, 50):
        return version < (3, 50, 7)
    return (3, 7, 0) <= version < (3, 51, 3)


_VERDICTS = {
    True: "this SQLite has the WAL-reset race; safe here, because one locked connection alone writes "
    "and checkpoints. Never open the store with another tool while the gateway serves.",
    False: "this SQLite is free of the WAL-reset race",
}


def _read_back(
    connection: sqlite3.Connection | Connection, pragmas: Mapping[str, tuple[str, object]]
) -> dict[str, str]:
    """Return what is in force; raise InternalError where it is not what we asked for."""
    found: dict[str, str] = {}
    for name, (_, wanted) in pragmas.items():
        if isinstance(connection, Connection):
            row: Any = connection.exec_driver_sql(f"PRAGMA {name}").fetchone()
        else:
            row = connection.execute(f"PRAGMA {name}").fetchone()
        # A build without memory mapping answers its pragma with no row at all, which is what we want.
        value = row[0] if row is not None else 0
        if value != wanted:
            raise InternalError(
                f"the database does not keep PRAGMA {name}: {value!r} instead of {wanted!r}"
            )
        found[name] = str(value)
    return found


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        atomic_file.exclusive(path).close()
    except FileExistsError:
        return
    atomic_file.flush_folder(path.parent)  # the name is durable only when its folder is


def _lock(path: Path) -> IO[bytes]:
    """Take the writer lock; the system drops it when its process dies."""
    name = path.with_name(path.name + ".pen")
    handle = os.fdopen(os.open(name, os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise UserError(f"another process writes to {path}; stop it first") from None
    return handle


def _migrate(database: Database) -> None:
    """Bring the file to the newest migration, in one transaction, while nobody else writes."""
    from alembic import command  # heavy, and needed once in a store's life
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    pen = database.take_pen()
    try:
        with pen.begin():
            config.attributes["connection"] = pen
            command.upgrade(config, "head")
    except CommandError as error:
        raise UserError(f"{database.path} was made by a newer release; install that one") from error
    finally:
        database.release_pen()
