"""What an engine is asked, apart from any database: another writer, a batch that is undone, the words of another dialect."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

import gateway.store
from gateway.errors import AuditUnavailable, UserError
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf, decode
from gateway.store.address import open_store
from gateway.store.effects import Effect
from gateway.store.engine import Failure, Position
from gateway.store.ledger import stored_ledger, verification
from gateway.store.schema import leases, leaves, metadata, values

if TYPE_CHECKING:
    from gateway.store.engine import StorageEngine
    from gateway.store.ledger.sequencer import Sequencer
    from tests.gateway.store.conftest import StoreFixture

STORE = Path(gateway.store.__path__[0])


def entry(number: int = 0) -> Leaf:
    """Return an entry that a ledger may have anywhere."""
    frame = Frame(
        type=EntryType.START,
        entry_class=EntryClass.OTHER,
        message_id=number.to_bytes(16, "big"),
    )
    return Leaf(frame, {"reason": "x"})


def test_two_sequencers_over_one_store_write_one_ledger(store: StoreFixture) -> None:
    """Each begins a batch by having the ledger's end to itself, and looks where it is now."""
    one, other = (store.sequencer(store.shared()) for _ in range(2))

    places = [
        sequencer.commit([entry(number)]).indices[0]
        for number, sequencer in enumerate((one, other, other, one, other, one))
    ]

    assert places == list(range(6))
    assert one.size == 6
    database = store.shared()
    assert verification.verify(database, store.log).ok
    messages = [decode(leaf).message_id[-1] for leaf in stored_ledger.iter_leaves(database)]
    assert messages == list(range(6))


def test_the_time_of_another_processs_last_entry_is_not_gone_behind(store: StoreFixture) -> None:
    one, other = (store.sequencer(store.shared()) for _ in range(2))
    store.clock.move(seconds=1)
    one.commit([entry()])
    store.clock.move(seconds=-1)

    done = other.commit([entry(2)])

    assert done.time > store.clock()
    assert verification.verify(store.shared(), store.log).ok


def test_an_end_that_another_process_did_not_sign_is_not_gone_on_from(store: StoreFixture) -> None:
    engine = store.shared()
    sequencer = store.sequencer(engine)
    sequencer.commit([entry()])
    beside = store.shared()
    writer = beside.take_writer()
    with writer.begin():
        row = writer.execute(select(leaves)).one()._asdict()
        writer.execute(insert(leaves).values({**row, "idx": 1}))
        checkpoint = writer.exec_driver_sql("SELECT root, time_ms, note FROM checkpoints").one()
        writer.exec_driver_sql("INSERT INTO checkpoints VALUES (2, ?, ?, ?)", tuple(checkpoint))
    beside.release_writer()

    with pytest.raises(AuditUnavailable):
        sequencer.commit([entry(2)])

    assert "checkpoint of size 2" in str(store.fatal[0])


class Undone(OperationalError):
    """What a database says of a transaction that it undid because another one was first."""

    def __init__(self) -> None:
        super().__init__("UPDATE", None, Exception("could not serialize access"))


def undoing(monkeypatch: pytest.MonkeyPatch, engine: StorageEngine, times: int) -> list[int]:
    """Have so many transactions undone, and the engine say so; return the list of what was undone."""
    undone: list[int] = []

    def lock(_: object) -> None:
        if len(undone) < times:
            undone.append(1)
            raise Undone

    monkeypatch.setattr(engine, "lock_head", lock)
    monkeypatch.setattr(engine, "failure", lambda _: Failure.RETRY)
    return undone


def test_a_batch_that_the_database_undid_is_done_again_once(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = store.database()
    sequencer = store.sequencer(database)
    undone = undoing(monkeypatch, database, 2)
    effect = Effect(insert(values).values(key="k", value="v"), rows=1)

    done = sequencer.commit([entry()], [effect])

    assert len(undone) == 2
    assert done.indices == (0,)
    assert verification.verify(database, store.log).ok


def test_a_batch_that_is_undone_again_and_again_ends_the_ledger(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = store.database()
    sequencer = store.sequencer(database)
    undoing(monkeypatch, database, 99)

    with pytest.raises(AuditUnavailable):
        sequencer.commit([entry()])

    assert isinstance(store.fatal[0], Undone)
    with database.reader() as reader:
        assert stored_ledger.extent(reader) == (0, 0)


def test_sqlite_undoes_nothing_for_anothers_sake(store: StoreFixture) -> None:
    """A busy or failing disk is not a transaction to try again: after a failed fsync a second one says that all is well."""
    engine = store.database()
    asked = ("INSERT", None, Exception())

    assert engine.failure(IntegrityError(*asked)) is Failure.OF_ONE_STATEMENT
    assert engine.failure(OperationalError(*asked)) is Failure.FATAL
    assert engine.sole_writer


def test_nobody_begins_to_write_while_a_store_is_kept_stopped(store: StoreFixture) -> None:
    one, other = store.database(), store.database()

    with one.stopped(), pytest.raises(UserError, match="another process"):
        other.take_writer()

    other.take_writer()
    with pytest.raises(UserError, match="stop it first"), one.stopped():
        pytest.fail("a gateway serves")


def test_a_copy_begins_without_leases(store: StoreFixture) -> None:
    engine = store.database()
    writer = engine.take_writer()
    with writer.begin():
        writer.execute(insert(leases).values(job="retention", owner="a", until_ms=9))

    with engine.copy() as copy:
        copied = open_store(copy.database)
        with copied.reader() as reader:
            assert reader.execute(select(leases)).all() == []
        copied.close()

    with engine.reader() as reader:
        assert len(reader.execute(select(leases)).all()) == 1


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_is_one_that_postgresql_can_have(table: object) -> None:
    made = [CreateTable(table), *map(CreateIndex, table.indexes)]  # type: ignore[attr-defined,arg-type]

    text = "".join(str(each.compile(dialect=postgresql.dialect())) for each in made)

    assert "BLOB" not in text
    assert not re.search(r"\b(INTEGER|INT)\b", text)  # 64 bits everywhere
    assert text.count("WHERE") == (table.name == "leaves")  # type: ignore[attr-defined]


def test_every_migration_is_one_that_postgresql_can_be_asked() -> None:
    said = StringIO()
    options = {"as_sql": True, "output_buffer": said}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    scripts = list(ScriptDirectory(str(STORE / "migrations")).walk_revisions())

    with Operations.context(context):
        for script in reversed(scripts):
            script.module.upgrade()

    for table in metadata.tables:
        assert re.search(rf'CREATE TABLE "?{table}"? ', said.getvalue())
    assert "WHERE type = 1" in said.getvalue()
    assert "BLOB" not in said.getvalue()


def test_bytes_are_looked_for_in_each_dialects_words(store: StoreFixture) -> None:
    sequencer: Sequencer = store.sequencer()
    sequencer.commit([entry(259)])
    place = Position(leaves.c.leaf, (259).to_bytes(16, "big"))
    asked = select(leaves.c.idx).where(place > 0)

    with sequencer._database.reader() as reader:
        assert reader.execute(asked).scalars().all() == [0]
        beyond = Position(leaves.c.leaf, b"not in any leaf")
        assert reader.execute(select(leaves.c.idx).where(beyond > 0)).all() == []
    assert "position(%(param_1)s in leaves.leaf)" in str(
        asked.compile(dialect=postgresql.dialect())
    )


_WORDS = re.compile(
    r"sqlite3|PRAGMA|OR REPLACE|OR IGNORE|\binstr\b|total_changes|wal_checkpoint|rowid|exec_driver_sql",
    re.IGNORECASE,
)


def test_what_is_sqlites_own_is_in_one_module() -> None:
    """Where it is elsewhere too, the store runs on no other database, and nobody notices before it does not."""
    files = [path for path in STORE.rglob("*.py") if path.name != "sqlite.py"]

    found = {
        path.name: words
        for path in files
        if (words := _WORDS.findall(path.read_text(encoding="utf-8")))
    }

    assert files
    assert found == {}
