"""The engine on SQLite: one file, one connection that writes, any number that read.

The writing connection is guarded by a lock beside the file, so that two processes never hold one at once, and
only the sequencer asks for it; migrations borrow it while nobody serves. Readers open the file `mode=ro`, which
can neither write nor checkpoint: in SQLite 3.7.0 to 3.51.2 two connections that write or checkpoint at the same
moment can lose commits (sqlite.org/wal.html, the WAL-reset race), so here the single writer is a condition of
serving, not a convenience. Whatever is SQLite's own, its words and its files, is in this module alone.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, Engine, PoolProxiedConnection, create_engine, inspect, text
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import QueuePool, StaticPool
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.errors import InternalError, UserError
from gateway.store.engine import INDEX_BYTES, LENGTH_BYTES, Copy, Failure, Position
from gateway.store.schema import REVISION
from keys import atomic_file

Connect = Callable[..., sqlite3.Connection]

BUSY_TIMEOUT = (
    5000  # milliseconds; only a backup or a shell could make us wait, and neither should for long
)
READERS = 8  # connections kept open; more are opened when needed, one call uses one
WAL = "wal"
LOCKS: Final = Path("/proc/locks")  # Linux's list of held locks; elsewhere nothing is known of them

_COPY = ".copy-"
_SUFFIXES = ("", "-journal", "-wal", "-shm")

# Errors of one statement; every other error of the driver may mean that the disk did not take the batch.
_OF_ONE_STATEMENT = (DataError, IntegrityError, InterfaceError, NotSupportedError, ProgrammingError)

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
WRITER_PRAGMAS: Mapping[str, tuple[str, object]] = {
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


class SqliteEngine:
    """A store in one file, at the newest migration. `connect` makes the driver's connections."""

    sole_writer = True

    def __init__(self, path: Path, connect: Connect = sqlite3.connect) -> None:
        self.path = path.absolute()
        self._connect = connect
        self._pragmas: dict[str, str] = {}
        self._lock: IO[bytes] | None = None
        self._writer: Connection | None = None
        self._idle: deque[Connection] = deque()  # readers that are lent to nobody
        self._writers = self._engine("rw", "BEGIN IMMEDIATE", WRITER_PRAGMAS)
        self._readers = self._engine("ro", "BEGIN", READER_PRAGMAS)

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """Lend a connection that reads one snapshot; leave the block soon, a snapshot holds the WAL back."""
        try:
            connection = self._idle.pop()  # opening one anew takes longer than most reads
        except IndexError:
            connection = self._readers.connect()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < READERS:
            self._idle.append(connection)
        else:
            connection.close()

    def take_writer(self) -> Connection:
        """Return the one connection that writes; its transactions are `BEGIN IMMEDIATE`.

        Raises UserError while anyone, here or in another process, holds it. `release_writer` gives it back.
        """
        if self._lock is not None:
            raise UserError("this process already writes to the store")
        self._lock = _lock(self.path)
        try:
            self._writer = self._writers.connect()
        except BaseException:
            self.release_writer()
            raise
        return self._writer

    def release_writer(self, *, forget_traces: bool = False) -> None:
        """Close the writing connection, if it is open, and let another process have it.

        forget_traces   first bring the WAL home and empty it, so that what was deleted is in neither file; never
                        after a failed write, whose pages the kernel may have dropped
        """
        if self._writer is not None:
            driver = self._writer.connection.driver_connection
            if forget_traces and driver is not None:
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            self._writer.close()
            self._writer = None
        self._writers.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep every process from writing while the block runs; raises UserError while one does."""
        self.take_writer()
        try:
            yield
        finally:
            self.release_writer()

    def lock_head(self, writer: Connection) -> int | None:
        """Return None: BEGIN IMMEDIATE under the writer lock leaves nobody who could move the ledger's end."""
        del writer
        return None

    def failure(self, error: DBAPIError) -> Failure:
        """Return what follows from an error.

        Never RETRY: with one writer nothing is undone for another's sake, and after a failed write the kernel may have
        dropped the pages, so that a second fsync would say that all is well.
        """
        return Failure.OF_ONE_STATEMENT if isinstance(error, _OF_ONE_STATEMENT) else Failure.FATAL

    def forget_traces(self) -> bool:
        """Bring the WAL home and empty it, unless a reader stands in the way; return whether it is empty.

        Only for who holds the writing connection. It waits for nobody: meanwhile nothing could be committed.
        """
        driver = None if self._writer is None else self._writer.connection.driver_connection
        if driver is None:
            return False
        driver.execute("PRAGMA busy_timeout=0").close()
        try:
            busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}").close()
        return not busy

    @contextmanager
    def copy(self) -> Iterator[Copy]:
        """Lend a copy of the store, beside it, as one reader sees it; it is gone afterwards.

        One read transaction: in WAL mode it stops nobody from writing, and sees no commit by half. Raises
        InternalError where the copy is not complete, and what the disk raises.
        """
        self.sweep_copies()
        folder = self.path.parent
        with _scratch(folder) as database, _scratch(folder) as keys:
            try:
                with (
                    closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as source,
                    closing(sqlite3.connect(database)) as target,
                ):
                    source.backup(target)
                    (found,) = target.execute("PRAGMA quick_check").fetchone()
                    if found == "ok":
                        with keys.open("wb") as file:
                            _part(target, file)
            except sqlite3.Error as fault:
                raise InternalError(f"the store at {self.path} cannot be copied: {fault}") from None
            if found != "ok":
                raise InternalError(f"the copy of {self.path} is damaged: {found}")
            yield Copy(database, keys)

    def sweep_copies(self) -> int:
        """Remove copies that a killed process left beside the store; return how many."""
        gone = 0
        for path in filter(Path.is_file, self.path.parent.glob(f"{_COPY}*.db")):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its maker lives
                _remove(path)
                gone += 1
        return gone

    def close(self) -> None:
        """Close every connection."""
        self.release_writer()
        while self._idle:
            self._idle.pop().close()
        self._readers.dispose()

    def revision(self) -> str | None:
        """Return the migration that the file is at; None for a file without our tables."""
        with self.reader() as reader:
            if not inspect(reader).has_table("alembic_version"):
                return None
            return reader.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def describe(self) -> str:
        """Return which SQLite it is, and whether it can lose commits."""
        report = self.report()
        return f"SQLite {report.sqlite_version}, {report.verdict}"

    def report(self) -> StoreReport:
        """Return what is in force, read back from the database, not from this program's intentions."""
        served = False
        if self._writer is None:
            try:
                with self.stopped():
                    pass
            except UserError:
                served = True
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
        engine.dialect.do_begin = _beginning(begin)  # type: ignore[assignment,method-assign]
        return engine


def _beginning(words: str) -> Callable[[PoolProxiedConnection], None]:
    """Return what begins a transaction with these words.

    The dialect's own step, and no event: an engine with one listener asks at each statement for all the others.
    """

    def begin(driver: PoolProxiedConnection) -> None:
        cursor = driver.cursor()
        try:
            cursor.execute(words)
        finally:
            cursor.close()

    return begin


def open_file(
    path: Path, *, create: bool = False, connect: Connect = sqlite3.connect
) -> SqliteEngine:
    """Open the store at `path` as `address.open_store` does; what is made is a file 0600 in a folder 0700."""
    if create:
        _create(path)
    if not path.is_file():
        raise UserError(f"no store at {path}; `passerelle init` makes one")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UserError(f"others may read {path}; run `chmod 600` on it")
    fresh = path.stat().st_size == 0
    if fresh and not create:
        raise UserError(f"the store at {path} is empty; restore it from a backup")
    database = SqliteEngine(path, connect)
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


def is_locked(path: Path) -> bool:
    """Say whether a process holds the writer lock of a store, as far as this system lists it; asking takes no lock."""
    return bool(_holders(path))


def _holders(path: Path) -> list[str]:
    """Return the process ids that hold the writer lock of a store, as far as this system lists them."""
    try:
        inode = f":{_lock_file(path).stat().st_ino} "
        held = LOCKS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF; proc_locks(5)
    found = [line.split() for line in held if "FLOCK" in line and inode in line]
    return [words[4] for words in found if len(words) > 4]


def _who(path: Path) -> str:
    """Return the holder of the writer lock for a message; empty where the system lists none, or none that is seen here."""
    holders = [pid for pid in _holders(path) if pid.isdigit() and pid != "0"]
    return f" (process {', '.join(holders)})" if holders else ""


def _lock_file(path: Path) -> Path:
    return path.with_name(path.name + ".pen")


def _lock(path: Path) -> IO[bytes]:
    """Take the writer lock; the system drops it when its process dies."""
    handle = os.fdopen(os.open(_lock_file(path), os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise UserError(
            f"another process writes to {path}{_who(path)}; stop it first: it is `passerelle serve`, which `passerelle"
            " status DIR` shows and SIGTERM ends, or a command, which ends by itself"
        ) from None
    return handle


def _migrate(database: SqliteEngine) -> None:
    """Bring the file to the newest migration, in one transaction, while nobody else writes."""
    from alembic import command  # heavy, and needed once in a store's life
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    writer = database.take_writer()
    try:
        with writer.begin():
            config.attributes["connection"] = writer
            command.upgrade(config, "head")
    except CommandError as error:
        raise UserError(f"{database.path} was made by a newer release; install that one") from error
    finally:
        database.release_writer()


def _part(target: sqlite3.Connection, file: IO[bytes]) -> None:
    """Move the keys to details out of a copy into a file, and leave no trace of them in the copy; end every lease."""
    target.execute("PRAGMA secure_delete=ON").close()
    for index, sealed in target.execute("SELECT idx, sealed_dek FROM detail_keys ORDER BY idx"):
        file.write(index.to_bytes(INDEX_BYTES, "big") + len(sealed).to_bytes(LENGTH_BYTES, "big"))
        file.write(sealed)
    target.execute("DELETE FROM detail_keys")
    target.execute(
        "DELETE FROM leases"
    )  # they are of processes that live, and a restored gateway is none of them
    target.commit()
    target.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Lend an empty file that `sweep_copies` leaves alone while this process lives."""
    handle, name = tempfile.mkstemp(prefix=_COPY, suffix=".db", dir=folder)  # mode 0600
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


@compiles(Position, "sqlite")
def _instr(element: Position, compiler: SQLCompiler, **words: object) -> str:
    whole, part = element.clauses
    return f"instr({compiler.process(whole, **words)}, {compiler.process(part, **words)})"
