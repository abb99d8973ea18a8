"""When the disk does not take it, nobody is told that it did.

The faults are real ones: SQLite's own page limit (SQLITE_FULL), the kernel's file size limit (a write that
fails, SQLITE_IOERR), SIGKILL around COMMIT, and a driver whose n-th statement fails. kill -9 tests the order
of things, not fsync (ledger.md 12).
"""

from __future__ import annotations

import sqlite3
import subprocess
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from gateway.domain.messages import Purpose
from gateway.errors import AuditUnavailable
from gateway.ledger.entry import EntryType, decode
from gateway.store.exchange.quotas import Claims
from gateway.store.exchange.transactions import begin_request
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.schema import quotas, replay, transactions
from tests.programs import Programs

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture

CLAIMS = Claims(purpose=Purpose.VISA_PERMIT_BENEFIT, day_limit=10_000, year_limit=10_000)


def ask(store: StoreFixture, sequencer: Sequencer, number: int) -> int:
    """Commit a whole step 14: leaf with detail, replay row, number, quota."""
    head = store.header(number, f"AUS-{number:04}")
    effects = begin_request(head, bytes(32), CLAIMS, store.clock())
    entry = store.leaf(message=number, number=head.transaction_number, case=f"C-{number}")
    return sequencer.commit([entry], effects).indices[0]


def check_whole(store: StoreFixture, acknowledged: list[int]) -> int:
    """Reopen the store: a prefix without gap, all that was acknowledged, each leaf with its rows."""
    sequencer = store.sequencer()  # verifies the tail, which here is all of it
    database = sequencer._database
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(database)]
    with database.reader() as reader:
        assert reader.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        seen = dict(reader.execute(select(replay.c.request_index, replay.c.message_id)).all())
        numbers = dict(
            reader.execute(select(transactions.c.request_index, transactions.c.number)).all()
        )
        used = reader.execute(select(func.sum(quotas.c.used)).group_by(quotas.c.period))
        counted = set(used.scalars())
    requests = [n for n, frame in enumerate(frames) if frame.type is EntryType.REQUEST]
    assert requests == list(range(len(frames)))
    assert seen == {n: frames[n].message_id for n in requests}
    assert numbers == {n: frames[n].transaction_number for n in requests}
    assert counted == ({len(requests)} if requests else set())
    assert [one.index for one in stored_ledger.iter_details(database)] == requests
    assert set(acknowledged) <= set(requests)
    size = sequencer.size
    assert ask(store, sequencer, 9000) == size
    return size


def fill(store: StoreFixture, sequencer: Sequencer, limit: int = 2000) -> list[int]:
    """Commit until nothing is taken any more; return what was acknowledged."""
    acknowledged = []
    for number in range(limit):
        try:
            acknowledged.append(ask(store, sequencer, number))
        except AuditUnavailable:
            return acknowledged
    raise AssertionError("the disk never failed")


def test_a_full_disk_answers_nothing_and_loses_nothing(store: StoreFixture) -> None:
    store.database().close()

    def small(*a: Any, **k: Any) -> sqlite3.Connection:
        connection = sqlite3.connect(*a, **k)
        connection.execute("PRAGMA max_page_count=80")
        return connection

    sequencer = store.sequencer(store.database(small))
    acknowledged = fill(store, sequencer)

    assert acknowledged
    assert not sequencer.healthy
    with pytest.raises(AuditUnavailable):
        ask(store, sequencer, 5000)
    assert len(store.fatal) == 1
    assert "full" in str(store.fatal[0])

    store.close()
    assert check_whole(store, acknowledged) == len(acknowledged)


PROGRAM = """
import os, resource, signal, sqlite3, sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest, test_failing_disk
from gateway.errors import AuditUnavailable
from keys.data_encryption import DataKey
from keys.envelope import OpeningKey
from keys.signatures import LogKey

store = conftest.StoreFixture(
    Path(sys.argv[2]),
    LogKey.from_seed(bytes(range(64))),
    OpeningKey.from_seed(bytes(32)),
    DataKey.from_seed(bytes(32)),
)

def told(index):
    os.write(1, b"%d\\n" % index)

"""


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(store: StoreFixture, programs: Programs) -> Run:
    """Return what runs the body of a program over the store in a process of its own."""

    def run(body: str, *words: object) -> subprocess.CompletedProcess[str]:
        program = PROGRAM + textwrap.dedent(body)
        return programs.run(program, Path(__file__).parent, store.path, *words)

    return run


@pytest.mark.parametrize("kib", [100, 333, 1024])
def test_a_write_that_the_kernel_refuses_is_the_last(
    store: StoreFixture, run: Run, kib: int
) -> None:
    """RLIMIT_FSIZE makes a real write() fail in the middle of the WAL."""
    store.database().close()
    body = """
    limit = int(sys.argv[3]) * 1024
    sequencer = store.sequencer()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for number in range(2000):
        try:
            told(test_failing_disk.ask(store, sequencer, number))
        except AuditUnavailable:
            assert not sequencer.healthy
            assert "disk I/O error" in str(store.fatal[0]), store.fatal
            os._exit(0)
    """

    done = run(body, kib)

    assert done.returncode == 0, done.stderr
    acknowledged = [int(line) for line in done.stdout.split()]
    assert acknowledged == list(range(len(acknowledged)))
    assert check_whole(store, acknowledged) == len(acknowledged)


KILLED = """
class FailingConnection(sqlite3.Connection):
    left = int(sys.argv[3])

    def commit(self):
        if not self.in_transaction:
            return super().commit()
        FailingConnection.left -= 1
        if FailingConnection.left == 0 and sys.argv[4] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().commit()
        if FailingConnection.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

database = store.database(lambda *a, **k: sqlite3.connect(*a, factory=FailingConnection, **k))
sequencer = store.sequencer(database)
for number in range(100):
    told(test_failing_disk.ask(store, sequencer, number))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3, 4, 9])
def test_killed_around_commit_nothing_acknowledged_is_lost(
    store: StoreFixture, run: Run, commit: int, moment: str
) -> None:
    """The first COMMIT is the migration of a fresh file, or the reading of the tail."""
    done = run(KILLED, commit, moment)

    assert done.returncode == -9, done.stderr
    acknowledged = [int(line) for line in done.stdout.split()]
    assert acknowledged == list(range(len(acknowledged)))
    size = check_whole(store, acknowledged)
    assert len(acknowledged) <= size <= len(acknowledged) + 1


def test_killed_among_many_writers_nothing_acknowledged_is_lost(
    store: StoreFixture, run: Run
) -> None:
    body = """
    import threading, itertools
    sequencer = store.sequencer()
    counter = itertools.count()
    def work():
        while True:
            told(test_failing_disk.ask(store, sequencer, next(counter)))
    def kill():
        while sequencer.size < 40:
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    for _ in range(8):
        threading.Thread(target=work, daemon=True).start()
    kill()
    """

    done = run(body)

    assert done.returncode == -9, done.stderr
    acknowledged = [int(line) for line in done.stdout.split()]
    assert len(acknowledged) == len(set(acknowledged))
    check_whole(store, acknowledged)


class Failing(sqlite3.Connection):
    """A driver whose n-th write, COMMIT included, fails as a disk does."""

    left = 10**9

    @classmethod
    def count(cls) -> None:
        cls.left -= 1
        if cls.left == 0:
            raise sqlite3.OperationalError("disk I/O error")

    def cursor(self, *_: object) -> FailingCursor:  # type: ignore[override]
        return super().cursor(FailingCursor)

    def commit(self) -> None:
        if self.in_transaction:
            self.count()
        super().commit()


class FailingCursor(sqlite3.Cursor):
    """Counts the statements that write."""

    def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
        if sql.split(maxsplit=1)[0] in {
            "INSERT",
            "UPDATE",
            "DELETE",
            "SAVEPOINT",
            "RELEASE",
            "BEGIN",
        }:
            Failing.count()
        return super().execute(sql, *rest)

    def executemany(self, sql: str, *rest: Any) -> sqlite3.Cursor:
        Failing.count()
        return super().executemany(sql, *rest)


@pytest.fixture
def failing() -> Callable[..., sqlite3.Connection]:
    Failing.left = 10**9
    return lambda *a, **k: sqlite3.connect(*a, factory=Failing, **k)


@pytest.mark.parametrize("write", range(1, 17))
def test_whichever_write_fails_the_whole_commit_is_undone(
    store: StoreFixture, failing: Callable[..., sqlite3.Connection], write: int
) -> None:
    sequencer = store.sequencer(store.database(failing))
    acknowledged = [ask(store, sequencer, 0), ask(store, sequencer, 1), ask(store, sequencer, 2)]
    Failing.left = write

    with pytest.raises(AuditUnavailable):
        ask(store, sequencer, 3)

    Failing.left = 10**9
    with pytest.raises(AuditUnavailable):  # the disk is well again; we are not
        ask(store, sequencer, 4)
    assert not sequencer.healthy
    assert sequencer.size == 3
    store.close()
    assert check_whole(store, acknowledged) == 3


def test_the_write_test_reaches_commit(
    store: StoreFixture, failing: Callable[..., sqlite3.Connection]
) -> None:
    """The test of the test: a commit of this kind makes as many writes as the walk above tries."""
    sequencer = store.sequencer(store.database(failing))
    for number in range(3):
        ask(store, sequencer, number)
    Failing.left = 1000

    ask(store, sequencer, 3)

    assert 1000 - Failing.left == 16


def test_everyone_in_the_batch_and_in_the_queue_is_told(
    store: StoreFixture, failing: Callable[..., sqlite3.Connection]
) -> None:
    sequencer = store.sequencer(store.database(failing), group=4)
    Failing.left = 20
    together = threading.Barrier(16)

    def work(number: int) -> bool:
        together.wait()
        try:
            ask(store, sequencer, number)
        except AuditUnavailable:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        answered = list(pool.map(work, range(16)))

    assert not all(answered)
    assert len(store.fatal) == 1
    Failing.left = 10**9
    store.close()
    assert check_whole(store, []) == sum(answered)


class Deceived(sqlite3.Connection):
    """A driver whose COMMIT succeeds and reports failure: nobody can know, so nobody is told yes."""

    armed = False

    def commit(self) -> None:
        super().commit()
        if Deceived.armed:
            Deceived.armed = False
            raise sqlite3.OperationalError("disk I/O error")


def test_a_commit_of_unknown_fate_is_not_acknowledged_and_not_repeated(store: StoreFixture) -> None:
    database = store.database(lambda *a, **k: sqlite3.connect(*a, factory=Deceived, **k))
    sequencer = store.sequencer(database)
    first = ask(store, sequencer, 0)
    before = sequencer.latest_checkpoint()
    Deceived.armed = True

    with pytest.raises(AuditUnavailable):
        ask(store, sequencer, 1)

    assert sequencer.latest_checkpoint() == before  # the unsure head is shown to no one
    store.close()
    assert check_whole(store, [first]) == 2


def test_a_sequencer_that_breaks_inside_leaves_nobody_waiting(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer = store.sequencer()

    def broken() -> int:
        raise MemoryError

    monkeypatch.setattr(sequencer, "_now_ms", broken)

    with pytest.raises(AuditUnavailable):
        sequencer.commit([store.leaf()])
    assert not sequencer.healthy
