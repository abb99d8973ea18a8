"""How fast the ledger is: written by many at once, verified whole, and a receipt for one of its answers.

The ledger to verify is filled without the sequencer, in its own tables and batches: one sealed detail stands beside
many leaves, because sealing is paid by callers and verifying does not open. The rates of writing are the sequencer's
own, once as it serves and once with a flush for each entry; beside them stands what a plain table of rows would do.
"""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from sqlalchemy import Connection, insert

from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.exercises.crashtest.fixture_ledger import ORIGIN, START, exchange, expected
from gateway.ledger import merkle, signed_note
from gateway.ledger.entry import Frame, SealedDetail, seal_detail
from gateway.ledger.proof import Expected, verify_receipt
from gateway.ledger.signed_note import LogIdentity
from gateway.store.ledger import stored_ledger, verification
from gateway.store.ledger.sequencer import GROUP, WAIT, Batch, Observer, Sequencer, peaks_of
from gateway.store.schema import checkpoints, detail_keys, details, leaves, nodes
from gateway.store.sqlite import WRITER_PRAGMAS, open_file
from gateway.store.times import milliseconds, moment
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import LogKey

BY_GROUP = GROUP  # commits of one flush, as the gateway serves
CALLERS = 64  # that wait for their entries at once; one batch takes as many
RECEIPTS = 200  # verified, of which the median counts
SEED = bytes(range(64))
KIB = 1024
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying the whole took, in a process of its own; peak memory is that process's."""

    ok: bool
    entries: int
    seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Written:
    """Entries a second, and the median of what one COMMIT took."""

    per_s: float
    commit_ms: float


def fill(path: Path, entries: int, progress: Callable[[float], None]) -> None:
    """Write a ledger of so many entries at the least; `progress` is told of each batch."""
    key, auditor = LogKey.from_seed(SEED), SealingKey(OpeningKey.from_seed(SEED[:32]).public)
    log = LogIdentity.from_log_key(ORIGIN, key)
    sealed = {
        leaf.frame.type: seal_detail(leaf.frame, leaf.detail or {}, auditor) for leaf in exchange(1)
    }
    database = open_file(path, create=True)
    writer = database.take_writer()
    peaks: dict[tuple[int, int], bytes] = {}
    size, frames = 0, _frames()
    for number in itertools.count():
        if size >= entries:
            break
        sheet = Batch(milliseconds(START + timedelta(seconds=number)), size, dict(peaks))
        for frame in itertools.islice(frames, GROUP - GROUP % 3):
            _add(sheet, frame, sealed[frame.type])
        with writer.begin():
            _put(writer, sheet, log, key)
        size, peaks = sheet.size, {at: sheet.peaks[at] for at in peaks_of(sheet.size)}
        progress(len(sheet.leaves))
    database.release_writer(forget_traces=True)
    database.close()


def verify(path: Path) -> Verified:
    """Verify the whole ledger in a fresh process, as `passerelle ledger verify` does."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_verify, args=(path, theirs))
    child.start()
    theirs.close()
    try:
        found: Verified = mine.recv()
    finally:
        child.join()
    return found


@dataclass(frozen=True, slots=True)
class _Stopwatch(Observer):
    """Keeps how long each batch took."""

    took: list[float]

    def committed(self, leaves: int, seconds: float) -> None:
        """Keep it."""
        del leaves
        self.took.append(seconds)


def write(folder: Path, seconds: float, *, group: int, callers: int = CALLERS) -> Written:
    """Have callers commit entries with sealed details for so long; `group` 1 flushes for each of them."""
    key, auditor = LogKey.from_seed(SEED), SealingKey(OpeningKey.from_seed(SEED[:32]).public)
    took: list[float] = []
    database = open_file(folder / f"written-{group}.db", create=True)
    ticks = itertools.count()
    sequencer = Sequencer(
        database,
        FixedKeys([key], auditor),
        LogIdentity.from_log_key(ORIGIN, key),
        lambda: START + timedelta(milliseconds=next(ticks)),
        group=group,
        wait=WAIT if group > 1 else 0,
        observer=_Stopwatch(took),
    )
    sequencer.start()
    numbers = itertools.count(1)
    until = time.perf_counter() + seconds

    def call() -> None:
        while time.perf_counter() < until:
            sequencer.commit(exchange(next(numbers))[:1])

    began = time.perf_counter()
    threads = [threading.Thread(target=call) for _ in range(callers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    elapsed, size = time.perf_counter() - began, sequencer.size
    sequencer.close()
    database.close()
    return Written(round(size / elapsed, 1), round(statistics.median(took) * 1000, 3))


def plain_rows(folder: Path, seconds: float) -> float:
    """Return how many rows a second a plain table takes, each flushed alone: no tree, no signature, no seal."""
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as table:
        for name in ("journal_mode", "synchronous"):
            table.execute(f"PRAGMA {name}={WRITER_PRAGMAS[name][0]}").close()
        table.execute("CREATE TABLE log (idx INTEGER PRIMARY KEY, entry BLOB)")
        entry, done, began = bytes(KIB), 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds or not done:
            table.execute("INSERT INTO log (entry) VALUES (?)", (entry,))
            done += 1
    return round(done / elapsed, 1)


def receipt(path: Path) -> tuple[float, int]:
    """Return how long verifying a receipt for the first answer takes, in milliseconds, and its bytes."""
    log = LogIdentity.from_log_key(ORIGIN, LogKey.from_seed(SEED))
    database = open_file(path)
    with database.reader() as reader:
        size, _ = stored_ledger.extent(reader)
        found = stored_ledger.receipt(reader, 2, size)
    database.close()
    wanted: Expected = replace(expected(1), latest=START + timedelta(days=36_500))
    took = []
    for _ in range(RECEIPTS):
        began = time.perf_counter()
        verify_receipt(found, log=log, expected=wanted)
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 3), len(found.leaf) + len(found.tlog_proof)


def _frames() -> Iterator[Frame]:
    for number in itertools.count(1):
        yield from (leaf.frame for leaf in exchange(number))


def _add(sheet: Batch, frame: Frame, sealed: SealedDetail) -> None:
    (leaf,) = sheet.encoded([(frame, sealed)])
    sheet.add(frame, leaf, sealed)


def _put(writer: Connection, sheet: Batch, log: LogIdentity, key: LogKey) -> None:
    for table, rows in (
        (leaves, sheet.leaves),
        (nodes, sheet.nodes),
        (details, sheet.details),
        (detail_keys, sheet.detail_keys),
    ):
        writer.execute(insert(table), rows)
    root = merkle.root_at(sheet.size, sheet.get)
    said = signed_note.Checkpoint(log.origin, sheet.size, root)
    signed = signed_note.sign_checkpoint(said, key, moment(sheet.time_ms))
    row = {"size": sheet.size, "root": root, "time_ms": sheet.time_ms, "note": signed}
    writer.execute(insert(checkpoints).values(row))


def _verify(path: Path, pipe: Pipe) -> None:
    """In a process of its own: verify, and say what it took."""
    log = LogIdentity.from_log_key(ORIGIN, LogKey.from_seed(SEED))
    database = open_file(path)
    began = time.perf_counter()
    report = verification.verify(database, log)
    took = time.perf_counter() - began
    database.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = MIB if sys.platform == "darwin" else KIB
    pipe.send(Verified(report.ok, report.size, round(took, 2), round(peak / unit, 1)))
    pipe.close()


def kernel(seconds: float = 0.4) -> float:
    """Return how many megabytes a second one thread hashes in pieces of a leaf: a yardstick for verifying."""
    piece, done, began = bytes(512), 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds or not done:
        for _ in range(KIB):
            sha256(piece).digest()
        done += KIB
    return round(done * len(piece) / elapsed / 1e6, 1)
