"""The sequencer: one thread, one writing connection, and the only code that appends to the ledger.

A commit is leaves and effects that become durable together. Its life:

(1) the caller's thread seals the details and queues the commit;
(2) the sequencer takes up to 64 commits, or what came within 5 ms of the first;
(3) in one transaction that has the ledger's end for itself, and looks where that is if another process may have moved
    it, each commit in a savepoint of its own: effects in their order, then its leaves take the next indices. A commit
    whose effect does not apply is rolled back alone and takes none;
(4) the root, both signatures of every pair in use, the checkpoint row, COMMIT: one flush for all of them;
(5) only now do callers learn anything, refusals included: what was read inside the batch is as durable as
    the batch. A checkpoint whose COMMIT failed is discarded unseen.

A batch that the database says it undid whole is done again. After any other failed write nothing is: the kernel may
have dropped the pages, and a second fsync would say that all is well. Every caller gets AuditUnavailable from then
on, and `Observer.failed` lets the gateway exit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Protocol

from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from gateway.domain.messages import Receipt
from gateway.errors import AuditUnavailable, InternalError, PasserelleError
from gateway.ledger import merkle, proof, signed_note
from gateway.ledger.entry import Frame, Leaf, SealedDetail, encode, seal_detail
from gateway.ledger.signed_note import LogIdentity
from gateway.store.effects import Effect, EffectRefused
from gateway.store.engine import Failure, StorageEngine
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.detail_periods import DetailPeriods
from gateway.store.schema import checkpoints, detail_keys, details, leaves, nodes
from gateway.store.times import milliseconds, moment
from gateway.watchdog import Watchdog
from keys.envelope import SealingKey
from keys.signatures import LogKey

__all__ = ["GROUP", "WAIT", "Batch", "Committed", "Effect", "Leaf", "Sequencer", "peaks_of"]

GROUP = 64  # commits; one flush serves them all, beyond this latency grows and throughput does not
WAIT = 0.005  # seconds; about one flush, so a lone query waits at most twice what the disk takes
ATTEMPTS = 3  # to commit a batch that the database undoes for another process's sake
CLOCK_TOLERANCE = 2000  # milliseconds that the clock may be behind the last leaf (ledger.md 10)

# Made once: SQLAlchemy works out anew of each statement whether it compiled its like before.
_LEAVES, _NODES, _DETAILS, _DETAIL_KEYS, _CHECKPOINT = map(
    insert, (leaves, nodes, details, detail_keys, checkpoints)
)
_SAVEPOINT, _ROLL_BACK, _RELEASE = (
    text(f"{each}SAVEPOINT one_commit") for each in ("", "ROLLBACK TO ", "RELEASE ")
)


@dataclass(frozen=True, slots=True)
class Committed:
    """The places of the leaves of a commit; all of it is durable.

    checkpoint_size   size of the signed checkpoint that covers them; 0 for effects on an empty ledger
    """

    indices: tuple[int, ...]
    leaf_hashes: tuple[bytes, ...]
    time: datetime
    checkpoint_size: int
    _batch: tuple[Batch, bytes] | None = field(default=None, repr=False, compare=False)

    def receipt(self) -> Receipt:
        """Return the receipt of the last leaf, the bytes that `Sequencer.receipt` reads from the store."""
        if self._batch is None or not self.indices:
            raise InternalError("a commit without a leaf has no receipt")
        sheet, note = self._batch
        return sheet.receipt(self.indices[-1], note)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A queued commit and the caller who waits for it; `forget_traces` asks that nothing deleted is left after it."""

    entries: tuple[tuple[Frame, SealedDetail | None], ...] = ()
    effects: tuple[Effect, ...] = ()
    forget_traces: bool = False
    answer: Future[Committed] = field(default_factory=Future)


@dataclass(slots=True)
class Batch:
    """What a batch adds to the ledger: rows, worked out before any is inserted; pure.

    peaks   begins with the roots of the complete subtrees before it
    """

    time_ms: int
    size: int
    peaks: dict[tuple[int, int], bytes]
    leaves: list[dict[str, object]] = field(default_factory=list)
    nodes: list[dict[str, object]] = field(default_factory=list)
    details: list[dict[str, object]] = field(default_factory=list)
    detail_keys: list[dict[str, object]] = field(default_factory=list)

    def encoded(self, entries: Sequence[tuple[Frame, SealedDetail | None]]) -> list[bytes]:
        """Return the leaves of one commit, stamped; raises MalformedEntry before anything is added."""
        stamp = moment(self.time_ms)
        return [
            encode(replace(frame, time=stamp), detail.commitment if detail else None)
            for frame, detail in entries
        ]

    def add(self, frame: Frame, leaf: bytes, detail: SealedDetail | None) -> bytes:
        """Append one leaf; return its hash."""
        index, hashed = self.size, merkle.leaf_hash(leaf)
        for level, number, value in merkle.new_nodes(index, hashed, self.get):
            self.peaks[level, number] = value
            if level:  # level 0 is the leaf's own row
                self.nodes.append({"level": level, "number": number, "hash": value})
        self.leaves.append(
            {
                "idx": index,
                "leaf": leaf,
                "leaf_hash": hashed,
                "type": int(frame.type),
                "time_ms": self.time_ms,
                "partner": frame.partner_id,
                "message_id": frame.message_id,
                "transaction_number": frame.transaction_number,
            }
        )
        if detail is not None:
            self.details.append({"idx": index, "ciphertext": detail.ciphertext})
            self.detail_keys.append({"idx": index, "sealed_dek": detail.sealed_dek})
        self.size = index + 1
        return hashed

    def get(self, level: int, number: int) -> bytes:
        """Return a complete subtree that an append, the root or a proof of a leaf of this batch can ask for."""
        return self.peaks[level, number]

    def receipt(self, index: int, note: bytes) -> Receipt:
        """Return the receipt of a leaf of this batch, under the checkpoint that `note` signs: that of the whole batch."""
        leaf = self.leaves[index - self.size]["leaf"]
        if not isinstance(leaf, bytes):
            raise TypeError
        hashes = merkle.inclusion_proof(index, self.size, self.get)
        return Receipt(leaf, proof.make_proof(index, hashes, note))


def peaks_of(size: int) -> list[tuple[int, int]]:
    """Return the places (level, number) of the complete subtrees that make up a tree, largest first."""
    places, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            places.append((level, start >> level))
            start += 1 << level
    return places


class LedgerKeys(Protocol):
    """What signs and seals for the ledger, asked for each batch and each commit: keys change while it is open."""

    def log_keys(self) -> Sequence[LogKey]:
        """Return the pairs that sign the next checkpoint, the primary first."""
        ...

    def audit_public(self) -> SealingKey:
        """Return what the details of the next commit are sealed to."""
        ...


class Observer:
    """Whom a sequencer tells of its work. This one makes nothing of it."""

    def failed(self, error: BaseException) -> None:
        """Learn, on the sequencer's thread, why nothing will be committed any more."""

    def committed(self, leaves: int, seconds: float) -> None:
        """Learn of a batch: its leaves, and how long its COMMIT took."""


class Sequencer:
    """Commits leaves and effects; hands out receipts. Safe to call from any thread."""

    def __init__(
        self,
        database: StorageEngine,
        keys: LedgerKeys,
        log_identity: LogIdentity,
        clock: Callable[[], datetime],
        *,
        group: int = GROUP,
        wait: float = WAIT,
        observer: Observer | None = None,
        watchdog: Watchdog | None = None,
        periods: DetailPeriods | None = None,
    ) -> None:
        """Prepare a sequencer; `start` takes the writer lock.

        log_identity   what verifies the tail at the start
        observer       who is told of failures and batches
        watchdog       hears from a caller's thread that it goes on, once its commit was answered
        periods        seals the keys to details once more; a ledger without a gateway, which shreds nothing, has none
        """
        self._database = database
        self._keys, self._log = keys, log_identity
        self._clock, self._group, self._wait = clock, group, wait
        self._observer, self._watchdog = observer or Observer(), watchdog
        self._periods = periods
        self._busy: float | None = None
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._open = self._failed = self._forgotten = False
        self._company = True  # whether the batch before held more than one commit, as far as known
        self._head = stored_ledger.Head(0, 0, None)
        self._peaks: dict[tuple[int, int], bytes] = {}
        self._thread: threading.Thread | None = None

    @property
    def size(self) -> int:
        """Leaves that are durable."""
        return self._head.size

    @property
    def healthy(self) -> bool:
        """Whether a commit would be taken now: nothing failed, and the clock is not behind the last leaf."""
        return self._open and self._clock_ms() >= self._head.time_ms - CLOCK_TOLERANCE

    @property
    def busy(self) -> float | None:
        """When the batch under way began, in monotonic seconds; None while there is none."""
        return self._busy

    def start(self) -> None:
        """Take the writer lock, verify the ledger's tail, and begin.

        Raises InternalError, naming the index, where the tail is broken or another log's, or the clock is more
        than two seconds behind it; UserError where another process holds the writer lock.
        """
        writer = self._database.take_writer()
        try:
            with writer.begin():
                self._take_up(writer, 0)
            self._now_ms()
        except BaseException:
            self._database.release_writer()
            raise
        self._open = True
        self._thread = threading.Thread(
            target=self._run, args=(writer,), name="sequencer", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Commit what is queued, then give the writer lock back; idempotent.

        Not for the end after a failed write: there the process exits at once, without clean-up.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._gate:
            self._open = False
            self._queue.put(None)
        thread.join()
        self._database.release_writer(forget_traces=not self._failed)

    def commit(self, leaves: Sequence[Leaf], effects: Sequence[Effect] = ()) -> Committed:
        """Make leaves and effects durable together; return their places.

        Raises what an effect's builder says when it does not apply (nothing of this commit was done then),
        MalformedEntry for a leaf that cannot be written, AuditUnavailable when nothing can be recorded.
        """
        auditor = self._keys.audit_public()
        entries = tuple(
            (leaf.frame, seal_detail(leaf.frame, leaf.detail, auditor))
            if leaf.detail
            else (leaf.frame, None)
            for leaf in leaves
        )
        return self._submit(_Pending(entries, tuple(effects)))

    def forget_traces(self) -> bool:
        """Remove what was deleted from the disk, so that it is in no file and in no journal.

        Return whether nothing of it is left; a reader that looked at that moment is in the way, and later is soon enough.
        """
        self._submit(_Pending(forget_traces=True))
        return self._forgotten

    def _submit(self, pending: _Pending) -> Committed:
        with self._gate:
            if not self._open:
                raise AuditUnavailable
            self._queue.put(pending)
        try:
            return pending.answer.result()
        finally:
            if self._watchdog is not None:
                self._watchdog.beat()

    def receipt(self, index: int, checkpoint_size: int | None = None) -> Receipt:
        """Return the receipt of a durable leaf: the same bytes whenever it is asked for."""
        with self._database.reader() as reader:
            return stored_ledger.receipt(reader, index, checkpoint_size)

    def leaf_hash(self, index: int) -> bytes:
        """Return the hash of a durable leaf."""
        with self._database.reader() as reader:
            return stored_ledger.leaf_hash(reader, index)

    def latest_checkpoint(self) -> bytes:
        """Return the newest signed note; raises InternalError while the ledger is empty."""
        newest = self._head.note
        if newest is None:
            raise InternalError("the ledger is empty; nothing was signed yet")
        return newest

    def inclusion(self, leaf_hash: bytes, size: int) -> tuple[int, list[bytes]]:
        """Return index and proof of a leaf in a signed tree; raises ElementInvalid."""
        with self._database.reader() as reader:
            return stored_ledger.inclusion(reader, leaf_hash, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof between two signed trees; raises ElementInvalid."""
        with self._database.reader() as reader:
            return stored_ledger.consistency(reader, old, new)

    def tile(self, path: str) -> bytes:
        """Return a tile of hashes under the newest checkpoint; raises ElementInvalid."""
        size = self._head.size
        with self._database.reader() as reader:
            return stored_ledger.tile(reader, path, size)

    # On the sequencer's thread --------------------------------------------------------------------

    def _run(self, writer: Connection) -> None:
        batch: list[_Pending] = []
        try:
            while batch := self._gather():
                self._busy = time.monotonic()
                self._write_until_taken(writer, batch)
                self._busy = None
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever
            self._fail(error, batch)

    def _take_up(self, writer: Connection, known: int) -> None:
        """Go on from where the ledger ends, once what follows the first `known` leaves was verified, whoever wrote it."""
        self._head = stored_ledger.check_tail(writer, self._log, known)
        node = stored_ledger.node(writer)
        self._peaks = {at: node(*at) for at in peaks_of(self._head.size)}

    def _gather(self) -> list[_Pending]:
        """Return the next batch; empty when the sequencer is closed and its queue is drained.

        Who came alone the last time is not waited with: what comes while a batch is written is the next one's company.
        """
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        until = time.monotonic() + (self._wait if self._company else 0.0)
        while len(batch) < self._group:
            try:
                pending = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            if pending is None:
                self._queue.put(None)  # after this batch
                break
            batch.append(pending)
        self._company = len(batch) > 1
        return batch

    def _write_until_taken(self, writer: Connection, batch: Sequence[_Pending]) -> None:
        """Commit a batch, again where the database undid all of it for another process's sake; nobody was told yet."""
        for left in reversed(range(ATTEMPTS)):
            try:
                self._write(writer, batch)
            except DBAPIError as error:
                if not left or self._database.failure(error) is not Failure.RETRY:
                    raise
            else:
                return

    def _write(self, writer: Connection, batch: Sequence[_Pending]) -> None:
        """Commit a batch; raises whatever keeps it from being durable."""
        with writer.begin() as transaction:
            size = self._database.lock_head(writer)
            if size is not None and size != self._head.size:
                self._take_up(writer, self._head.size)
            sheet = Batch(self._now_ms(), self._head.size, dict(self._peaks))
            results = [self._admit(writer, pending, sheet) for pending in batch]
            signed = self._put(writer, sheet) if sheet.leaves else None
            began = time.monotonic()
            transaction.commit()
            seconds = time.monotonic() - began
        if signed is not None:
            self._head = stored_ledger.Head(sheet.size, sheet.time_ms, signed)
            self._peaks = {at: sheet.peaks[at] for at in peaks_of(sheet.size)}
        if any(pending.forget_traces for pending in batch):
            self._forgotten = self._database.forget_traces()
        stamp = moment(sheet.time_ms)
        for pending, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                pending.answer.set_exception(result)
                continue
            first, hashes = result
            indices = tuple(range(first, first + len(hashes)))
            covered = None if signed is None else (sheet, signed)
            done = Committed(indices, hashes, stamp, self._head.size, covered)
            pending.answer.set_result(done)
        self._observer.committed(len(sheet.leaves), seconds)

    def _admit(
        self, writer: Connection, pending: _Pending, sheet: Batch
    ) -> tuple[int, tuple[bytes, ...]] | Exception:
        """Apply one commit in its savepoint: first index and leaf hashes, or the error for its caller."""
        first = sheet.size
        indices = range(first, first + len(pending.entries))
        try:
            writer.execute(_SAVEPOINT)
            try:
                for effect in pending.effects:
                    effect.apply(writer, indices)
                encoded = sheet.encoded(pending.entries)
            except BaseException:
                writer.execute(_ROLL_BACK)
                writer.execute(_RELEASE)
                raise
            writer.execute(_RELEASE)
        except EffectRefused as refused:
            return _explained(writer, refused.effect)
        except PasserelleError as fault:
            return fault
        except DBAPIError as error:
            if self._database.failure(error) is not Failure.OF_ONE_STATEMENT:
                raise
            return _fault(error)
        except Exception as error:  # noqa: BLE001 - a defect in one commit is not the others' loss
            return _fault(error)
        parts = zip(pending.entries, encoded, strict=True)
        return first, tuple(sheet.add(frame, leaf, detail) for (frame, detail), leaf in parts)

    def _put(self, writer: Connection, sheet: Batch) -> bytes:
        """Write the rows of a batch and its checkpoint; return the signed note, which nobody has seen."""
        writer.execute(_LEAVES, sheet.leaves)
        if self._periods is not None:
            self._periods.seal(writer, sheet.detail_keys, sheet.time_ms)
        for statement, rows in (
            (_NODES, sheet.nodes),
            (_DETAILS, sheet.details),
            (_DETAIL_KEYS, sheet.detail_keys),
        ):
            if rows:
                writer.execute(statement, rows)
        root = merkle.root_at(sheet.size, sheet.get)
        checkpoint = signed_note.Checkpoint(self._log.origin, sheet.size, root)
        primary, *others = self._keys.log_keys()
        signed = signed_note.sign_checkpoint(checkpoint, primary, moment(sheet.time_ms), others)
        newest = {"size": sheet.size, "root": root, "time_ms": sheet.time_ms, "note": signed}
        writer.execute(_CHECKPOINT, newest)
        return signed

    def _fail(self, error: BaseException, batch: Sequence[_Pending]) -> None:
        """Refuse this batch, all that is queued and all that will come."""
        with self._gate:
            self._open, self._failed = False, True
        for pending in batch:
            _refuse(pending)
        while True:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is not None:
                _refuse(waiting)
        self._observer.failed(error)

    def _clock_ms(self) -> int:
        return milliseconds(self._clock())

    def _now_ms(self) -> int:
        """Return the time of the next leaves: the clock's, and never less than the last leaf's."""
        now, last = self._clock_ms(), self._head.time_ms
        if now < last - CLOCK_TOLERANCE:
            raise InternalError(
                f"the clock is {(last - now) / 1000:.0f} s behind leaf {self._head.size - 1}; set it right"
            )
        return max(now, last)


def _explained(writer: Connection, effect: Effect) -> Exception:
    """Return what an effect's builder says; a defect of the builder is an InternalError, a failing disk is everyone's."""
    try:
        return effect.explain(writer)
    except DBAPIError:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        return _fault(error)


def _fault(error: Exception) -> InternalError:
    fault = InternalError("a commit could not be applied")
    fault.__cause__ = error
    return fault


def _refuse(pending: _Pending) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(AuditUnavailable())
