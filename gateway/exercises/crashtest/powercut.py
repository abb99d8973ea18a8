"""Power cuts under the real store: whatever was acknowledged is there when the power is back.

(1) A store at the newest migration lies on a disk in memory (`disk`), and the real sequencer commits to it through
    apsw (`driver`): entries with sealed details and an effect each, several callers at once, the journal now and then
    brought home.
(2) At a change or flush chosen by chance the power fails. What was acknowledged until then is remembered: index, hash
    of the leaf, and every signed head that somebody could have seen.
(3) Images of the disk are made (see `disk.Cut`) and opened as any store is, by the platform's own SQLite: SQLite finds it
    whole, the ledger verifies, each acknowledged leaf is in its place and each signed head with it, effects are there
    for exactly the leaves that are there; and it goes on from there.

The test of the test: where SQLite is told not to flush each commit (synchronous=NORMAL), trials must lose.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError

from gateway.errors import AuditUnavailable, InternalError
from gateway.exercises.crashtest.driver import Connection
from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.exercises.crashtest.vfs import Cut, Disk, Stored
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.verify import verify_log
from gateway.store.effects import Effect
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.schema import checkpoints, values
from gateway.store.sqlite import SqliteEngine, open_file
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import LogKey

ORIGIN = "drill.example/exchange-log"
STORE = "/store.db"
START = datetime(2026, 1, 1, tzinfo=UTC)
CALLERS = 4  # that commit at once
ROUNDS = 30  # of commits in a trial, at the most
LEAST_WEAKENED = 10  # trials; one in three of them loses something
MOST_STEPS = 500  # changes and flushes after which the power fails, at the latest
EFFECT = "drill/"

_names = itertools.count()


@dataclass(slots=True)
class Seen:
    """What callers got as answer before the power failed."""

    leaves: dict[int, bytes] = field(default_factory=dict)  # index → hash
    heads: dict[int, bytes] = field(default_factory=dict)  # size → signed note


@dataclass(slots=True, kw_only=True)
class Figures:
    """What came of trials; later versions add fields and remove none.

    acknowledged   commits whose callers got the answer that they are durable
    lost           of those, how many a disk did not hold when the power was back, over all images
    broken         images that did not open, did not verify, or did not go on; `first` says of the first why
    cut            trials whose power failed while something was written; the others' failed after
    kept           commits that nobody got an answer for, and that are there all the same: allowed
    """

    trials: int = 0
    images: int = 0
    acknowledged: int = 0
    lost: int = 0
    broken: int = 0
    cut: int = 0
    kept: int = 0
    first: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was lost."""
        return bool(self.trials and self.acknowledged) and not self.lost and not self.broken


class PowerCuts:
    """Trials in a scratch folder; each is told by its seed."""

    def __init__(self, folder: Path, *, weak: bool = False, honest: bool = True) -> None:
        """Prepare.

        weak     have SQLite not flush each commit: must lose
        honest   False has the disk acknowledge flushes and not do them: must lose
        """
        self._folder, self._weak, self._honest = folder, weak, honest
        self._log_key = LogKey.from_seed(bytes(range(64)))
        self._auditor = OpeningKey.from_seed(bytes(32))
        self._log = LogIdentity.from_log_key(ORIGIN, self._log_key)
        self._empty = _empty_store(folder)
        self._ticks = itertools.count()
        self.figures = Figures()

    def run(self, seed: int) -> None:
        """Do one trial and count what came of it."""
        chance = random.Random(seed)  # noqa: S311 - a trial is told by its seed
        disk = Disk(f"powercut-{os.getpid()}-{next(_names)}")
        disk.files[STORE] = Stored(bytearray(self._empty), bytearray(self._empty))
        try:
            seen = self._write(disk, chance)
            images = [disk.images(cut, chance) for cut in (Cut.DURABLE, Cut.SOME, Cut.TORN)]
        finally:
            disk.unmount()
        told = self.figures
        told.trials += 1
        told.acknowledged += len(seen.leaves)
        told.cut += disk.struck
        for image in images[:1] + chance.sample(images[1:], 1):
            told.images += 1
            self._find(image, seen, f"trial {seed}")

    def _write(self, disk: Disk, chance: random.Random) -> Seen:
        """Do (1) and (2)."""
        checkpoint = chance.choice((8, 24, 1000))
        database = SqliteEngine(
            self._folder / "passerelle.db",
            lambda *_, **__: Connection(  # type: ignore[arg-type]  # as much of one as is used
                STORE, disk.vfs, weak=self._weak, checkpoint=checkpoint
            ),
        )
        sequencer = self._sequencer(database)
        seen = Seen()
        try:
            sequencer.start()
            disk.honest = self._honest
            disk.cut_at = disk.done + chance.randrange(1, MOST_STEPS)
            with ThreadPoolExecutor(CALLERS) as callers:
                numbers = itertools.count()
                for _ in range(chance.randrange(1, ROUNDS)):
                    together = [next(numbers) for _ in range(chance.randrange(1, CALLERS + 1))]
                    list(callers.map(lambda number: _commit(sequencer, seen, number), together))
                    if chance.random() < 0.1:
                        with suppress(AuditUnavailable):
                            sequencer.forget_traces()
            disk.freeze()
        finally:
            with suppress(sqlite3.Error):  # it would tidy up, without power
                sequencer.close()
            database.close()
        return seen

    def _find(self, image: dict[str, bytes], seen: Seen, name: str) -> None:
        """Do (3) with one image."""
        told = self.figures
        try:
            with self._opened(image) as database:
                lost = self._lost(database, seen)
                told.lost += lost
                if lost and not told.first:
                    told.first = f"{name}: {lost} acknowledged entries are gone"
                self._goes_on(database)
        except (InternalError, DBAPIError, sqlite3.Error, AuditUnavailable) as fault:
            told.broken += 1
            told.first = told.first or f"{name}: {fault}"

    def _lost(self, database: SqliteEngine, seen: Seen) -> int:
        """Return how many acknowledged leaves are not there; raises InternalError where what is there is not whole."""
        with database.reader() as reader:
            if (found := reader.exec_driver_sql("PRAGMA integrity_check").scalar()) != "ok":
                raise InternalError(f"SQLite finds it damaged: {found}")
            size, _ = stored_ledger.extent(reader)
            gone = sum(
                index >= size or stored_ledger.leaf_hash(reader, index) != hashed
                for index, hashed in seen.leaves.items()
            )
            effects = reader.execute(
                select(func.count()).select_from(values).where(values.c.key.startswith(EFFECT))
            ).scalar()
            notes = dict(reader.execute(select(checkpoints.c.size, checkpoints.c.note)).all())
            has_key = stored_ledger.keyed(reader, size)
        if effects != size:
            raise InternalError(f"{size} leaves and {effects} of their effects")
        if not gone and any(notes.get(size) != note for size, note in seen.heads.items()):
            raise InternalError("a signed head that was shown to somebody is not there")
        self.figures.kept += max(0, size - len(seen.leaves))
        if not size:
            return gone
        held = {each.index: each.ciphertext for each in stored_ledger.iter_details(database)}
        report = verify_log(
            stored_ledger.iter_leaves(database),
            stored_ledger.iter_checkpoints(database),
            self._log,
            held.get,
            has_key,
        )
        if not report.ok:
            raise InternalError(str(report.findings[0]))
        return gone

    def _goes_on(self, database: SqliteEngine) -> None:
        sequencer = self._sequencer(database)
        sequencer.start()
        try:
            before = sequencer.size
            if sequencer.commit([_leaf(before)]).indices != (before,):
                raise InternalError("it does not go on where it stopped")
        finally:
            sequencer.close()

    def _sequencer(self, database: SqliteEngine) -> Sequencer:
        return Sequencer(
            database,
            FixedKeys([self._log_key], SealingKey(self._auditor.public)),
            self._log,
            lambda: START + timedelta(seconds=next(self._ticks)),
            wait=0.002,
        )

    @contextmanager
    def _opened(self, image: dict[str, bytes]) -> Iterator[SqliteEngine]:
        """Lend a store made of an image, as the platform's SQLite opens it."""
        folder = Path(tempfile.mkdtemp(prefix="found-", dir=self._folder))
        try:
            path = folder / "passerelle.db"
            for name, content in image.items():
                file = path.with_name(path.name + name.removeprefix(STORE))
                file.write_bytes(content)
                file.chmod(0o600)
            database = open_file(path)
            try:
                yield database
            finally:
                database.close()
        finally:
            shutil.rmtree(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Trials as the store is, and the test of the test; later versions add fields and remove none.

    weakened_lost   entries lost in `weakened_trials` trials where SQLite does not flush each commit: not 0
    """

    trials: int
    acknowledged: int
    lost: int
    images: int
    broken: int
    cut: int
    kept: int
    first: str
    weakened_trials: int
    weakened_lost: int
    sqlite: str

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, and it would have been seen."""
        whole = not self.lost and not self.broken
        return whole and self.acknowledged > 0 and self.weakened_lost > 0


def drill(folder: Path, count: int, progress: Callable[[float], None] = lambda _: None) -> Result:
    """Run trials 1 to `count`, and a tenth of them weakened; `progress` is told of each."""
    honest = _trials(folder / "as it is", count, progress, weak=False)
    fewer = weakened(count)
    weak = _trials(folder / "weakened", fewer, progress, weak=True)
    return Result(
        **asdict(honest),
        weakened_trials=fewer,
        weakened_lost=weak.lost,
        sqlite=apsw.sqlite_lib_version(),
    )


def weakened(count: int) -> int:
    """Return how many trials are the test of the test."""
    return max(LEAST_WEAKENED, count // 10)


def _trials(folder: Path, count: int, progress: Callable[[float], None], *, weak: bool) -> Figures:
    folder.mkdir(mode=0o700, parents=True)
    cuts = PowerCuts(folder, weak=weak)
    for seed in range(1, count + 1):
        cuts.run(seed)
        progress(1)
    return cuts.figures


def _commit(sequencer: Sequencer, seen: Seen, number: int) -> None:
    effect = Effect(insert(values).values(key=f"{EFFECT}{number}", value="x" * (number % 700)))
    try:
        done = sequencer.commit([_leaf(number)], [effect])
    except AuditUnavailable:
        return
    seen.leaves[done.indices[0]] = done.leaf_hashes[0]
    head = sequencer.latest_checkpoint()
    seen.heads[int(head.split(b"\n", 2)[1])] = head


def _leaf(number: int) -> Leaf:
    """Return an entry of its own for each trial; one in three has no sealed detail."""
    name = f"TRIAL/{number}"
    return events.alarm(name, "TRIAL") if number % 3 else events.alarm_end(name)


def _empty_store(folder: Path) -> bytes:
    """Return the bytes of a store at the newest migration; its file stays, for the lock beside it."""
    path = folder / "passerelle.db"
    database = open_file(path, create=True)
    database.take_writer()
    database.release_writer(forget_traces=True)
    database.close()
    return path.read_bytes()
