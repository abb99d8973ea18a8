"""The file, its pragmas, its one writer lock and its migrations."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text
from sqlalchemy.exc import OperationalError

import gateway.store
from gateway.errors import InternalError, UserError
from gateway.store.schema import REVISION, metadata, values
from gateway.store.sqlite import WRITER_PRAGMAS, open_file, wal_reset_affected

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture


def test_a_fresh_store_is_nobody_elses_to_read(store: StoreFixture) -> None:
    store.sequencer().commit([store.leaf()])

    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in store.path.parent.iterdir()}

    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert {"passerelle.db", "passerelle.db-wal", "passerelle.db.pen"} <= set(modes)
    assert all(mode == 0o600 for mode in modes.values())


def test_a_store_that_others_may_read_is_refused(store: StoreFixture) -> None:
    store.database().close()
    store.path.chmod(0o640)

    with pytest.raises(UserError, match="chmod 600"):
        open_file(store.path)


def test_a_missing_store_is_not_made_by_accident(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no store"):
        open_file(tmp_path / "store.db")

    assert not (tmp_path / "store.db").exists()


def test_an_emptied_store_is_reported_and_not_replaced(store: StoreFixture) -> None:
    store.database().close()
    for each in store.path.parent.iterdir():
        each.write_bytes(b"")

    with pytest.raises(UserError, match="empty"):
        open_file(store.path)


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(2000)]
)
def test_a_file_that_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises((InternalError, UserError)):
        open_file(path)


def test_a_database_without_our_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    path.chmod(0o600)

    with pytest.raises(UserError, match="not a store of ours"):
        open_file(path)


def test_the_pragmas_are_in_force_on_the_writing_connection(store: StoreFixture) -> None:
    database = store.database()
    writer = database.take_writer()

    found = {name: writer.exec_driver_sql(f"PRAGMA {name}").scalar() for name in WRITER_PRAGMAS}

    assert found == {name: wanted for name, (_, wanted) in WRITER_PRAGMAS.items()}
    assert found["synchronous"] == 2
    assert found["journal_mode"] == "wal"


class Deaf(sqlite3.Connection):
    """A connection on which `synchronous` cannot be set, as on some wrapped file systems."""

    def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA synchronous="):
            sql = "PRAGMA synchronous=NORMAL"
        return super().execute(sql, *rest)


def test_a_pragma_that_does_not_hold_is_a_fault(store: StoreFixture) -> None:
    store.database().close()
    made: list[Deaf] = []

    def connect(*a: Any, **k: Any) -> sqlite3.Connection:
        made.append(sqlite3.connect(*a, factory=Deaf, **k))
        return made[-1]

    database = open_file(store.path, connect=connect)

    with pytest.raises(InternalError, match="synchronous"):
        database.take_writer()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[-1].execute("SELECT 1")
    database.close()
    open_file(store.path).close()  # the lock was given back


def test_readers_cannot_write(store: StoreFixture) -> None:
    """A `mode=ro` connection can neither write nor checkpoint (ledger.md 11)."""
    database = store.database()

    with (
        database.reader() as reader,
        pytest.raises(OperationalError, match="readonly"),
    ):
        reader.execute(insert(values).values(key="k", value="v"))


def test_a_reader_sees_one_snapshot(store: StoreFixture) -> None:
    database = store.database()
    writer = database.take_writer()

    with database.reader() as reader:
        before = reader.execute(select(values)).all()
        with writer.begin():
            writer.execute(insert(values).values(key="k", value="v"))
        during = reader.execute(select(values)).all()
    with database.reader() as reader:
        after = reader.execute(select(values)).all()

    assert before == during == []
    assert [tuple(row) for row in after] == [("k", "v")]


def test_the_writer_begins_immediately(store: StoreFixture) -> None:
    """A deferred BEGIN could find at its first write that somebody else wrote (SQLITE_BUSY_SNAPSHOT)."""
    writer = store.database().take_writer()
    other = sqlite3.connect(store.path, isolation_level=None, timeout=0)

    with writer.begin(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")

    other.close()


def test_two_writers_are_never_held(store: StoreFixture) -> None:
    first = store.database()
    second = store.database()
    first.take_writer()

    with pytest.raises(UserError, match="already writes"):
        first.take_writer()
    with pytest.raises(UserError, match="another process"):
        second.take_writer()

    first.release_writer()
    second.take_writer()


def test_another_process_cannot_take_the_writer(store: StoreFixture) -> None:
    database = store.database()
    database.take_writer()
    program = (
        "import sys; from pathlib import Path; from gateway.errors import UserError\n"
        "from gateway.store.address import open_store\n"
        "try: open_store(Path(sys.argv[1])).take_writer()\n"
        "except UserError: sys.exit(7)\n"
    )

    done = subprocess.run([sys.executable, "-c", program, store.path], check=False)

    assert done.returncode == 7


def test_many_threads_read_at_once(store: StoreFixture) -> None:
    database = store.database()
    together = threading.Barrier(20)
    seen: list[str | None] = []

    def read() -> None:
        with database.reader() as reader:
            together.wait()
            seen.append(reader.execute(text("SELECT version_num FROM alembic_version")).scalar())

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [REVISION] * 20


def test_the_migrations_make_the_tables_that_we_use(store: StoreFixture) -> None:
    database = store.database()

    with database.reader() as reader:
        context = MigrationContext.configure(reader, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_the_newest_migration_is_the_one_we_expect() -> None:
    config = Config()
    folder = Path(gateway.store.__path__[0]) / "migrations"
    config.set_main_option("script_location", str(folder))

    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


def test_a_store_of_a_newer_release_is_refused(store: StoreFixture) -> None:
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        writer.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()

    with pytest.raises(UserError, match="newer release"):
        open_file(store.path)


def test_opening_twice_changes_nothing(store: StoreFixture) -> None:
    store.database().close()
    before = store.path.read_bytes()

    open_file(store.path, create=True).close()

    assert store.path.read_bytes() == before


def test_the_report_reads_back_what_is_in_force(store: StoreFixture) -> None:
    database = store.database()

    idle = database.report()
    database.take_writer()
    writing = database.report()
    beside = store.database().report()

    assert idle == writing
    assert idle.revision == REVISION
    assert idle.sqlite_version == sqlite3.sqlite_version
    assert idle.pragmas["synchronous"] == "2"
    assert idle.affected is wal_reset_affected(sqlite3.sqlite_version_info)
    assert "WAL-reset" in idle.verdict
    assert beside.served
    assert not idle.served


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 54, 1), False),
    ],
)
def test_the_wal_reset_range_is_that_of_sqlite_org(
    version: tuple[int, int, int], affected: bool
) -> None:
    assert wal_reset_affected(version) is affected
