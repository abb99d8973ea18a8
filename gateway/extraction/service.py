"""Records from images: a few child processes for each modality, a queue of so many queries before them, and what they did counted.

Each child process has a thread of its own that starts it, hands it one picture after another, and replaces it at the
first fault; the kernel ends a child process with the thread that started it. A caller waits for one picture, and not
longer than they have time.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import compress
from queue import SimpleQueue

from gateway import telemetry
from gateway.child.pipes import Garbled
from gateway.domain.messages import COMPRESSED, Modality, RecordFormat
from gateway.extraction.child_process import (
    ChildProcess,
    ChildSettings,
    ExtractorUnavailable,
    Offer,
)
from gateway.extraction.extractor import Extracted
from gateway.extraction.frames import Status, Task
from gateway.sample_files.containers import formats

TRIES = (
    2  # child processes that one picture may take with it; the second says that it was the picture
)
STOPPING = "the gateway is stopping"
REPLACED = "the extractor {} is another one than at the start  → restart the gateway"
_log = telemetry.logger("extraction")
HUNG, CRASHED = "HUNG", "CRASHED"  # beside the names of Status, in what is counted


class ExtractionFailed(Exception):
    """No record can be made of a picture; `reason` says why, by the name of a status."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutOfTime(Exception):
    """The caller's time ended before the record was made."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A picture in the queue; `last` of those that were queued together, which so leave room for others."""

    task: Task
    last: bool
    made: Future[Extracted] = field(default_factory=Future)


class _Pool:
    """The child processes of one modality."""

    def __init__(self, settings: ChildSettings, processes: int, waiting: int) -> None:
        """Start one child process, to learn what it offers; raises ExtractorUnavailable."""
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._room = threading.Semaphore(waiting)
        self._started: Future[Offer] = Future()
        self._threads = [
            threading.Thread(target=self._work, name=f"extractor-{number}", daemon=True)
            for number in range(processes)
        ]
        self._children: dict[threading.Thread, ChildProcess] = {}
        self._closing = threading.Event()
        self._queueing = threading.Lock()  # nothing is queued behind the end
        self._threads[0].start()
        try:
            self.offer = self._started.result()
        except BaseException:
            self.close()
            raise
        for each in self._threads[1:]:
            each.start()

    def put(self, tasks: Sequence[Task]) -> tuple[Future[Extracted], ...]:
        """Queue pictures that belong together, all or none; raises ExtractorUnavailable where too many wait."""
        if not tasks:
            return ()
        with self._queueing:
            if self._closing.is_set():
                raise ExtractorUnavailable(STOPPING)
            if not self._room.acquire(blocking=False):
                raise ExtractorUnavailable("more queries wait than extraction.waiting allows")
            jobs = [_Job(task, last=at == len(tasks)) for at, task in enumerate(tasks, 1)]
            for each in jobs:
                self._jobs.put(each)
        return tuple(each.made for each in jobs)

    def processes(self) -> tuple[int, ...]:
        """Return the numbers of the child processes that are ready."""
        return tuple(each.number for each in tuple(self._children.values()) if each.offer)

    def close(self) -> None:
        """End the threads and their child processes; what waits is answered with ExtractorUnavailable."""
        with self._queueing:
            self._closing.set()
        for child in tuple(self._children.values()):
            child.end()
        # A mark for each thread, for one that ended already may have taken another's.
        for _ in self._threads:
            self._jobs.put(None)
        for each in self._threads:
            if each.is_alive():
                each.join()

    def _work(self) -> None:
        child: ChildProcess | None = None
        try:
            child = self._new()
        except Exception as fault:  # noqa: BLE001 - whoever starts the pool waits for one or the other
            if not self._started.done():
                self._started.set_exception(fault)
                return
        while (job := self._jobs.get()) is not None:
            child = self._turn(job, child)
            job = None  # whoever waits for the next picture holds this one no longer
        self._end()

    def _turn(self, job: _Job, child: ChildProcess | None) -> ChildProcess | None:
        """Answer the next job, if anybody still waits for it; return the child process for the one after it."""
        if job.last:
            self._room.release()
        if not job.made.set_running_or_notify_cancel():
            return child
        try:
            return self._answer(job, child)
        except Exception:  # noqa: BLE001 - a fault of ours: the caller is told, the next one gets another process
            self._end()
            if not job.made.done():
                job.made.set_exception(ExtractorUnavailable("an extraction ended by a fault"))
            return None

    def _answer(self, job: _Job, child: ChildProcess | None) -> ChildProcess | None:
        """Answer one job; return the child process for the next one, a new one where this one is not believed."""
        for tries in range(1, TRIES + 1):
            try:
                child = child or self._new()
                status, extracted = child.extract(job.task, self.settings.seconds + 1)
            except ExtractorUnavailable as fault:
                # A new one: what was raised holds this frame, and with it the picture.
                job.made.set_exception(ExtractorUnavailable(str(fault)))
                return child
            except (Garbled, TimeoutError) as fault:
                self._end()
                child = None
                hung = isinstance(fault, TimeoutError)
                self._count(HUNG if hung else CRASHED)
                if hung or tries == TRIES:
                    job.made.set_exception(ExtractionFailed(HUNG if hung else CRASHED))
                    return self._replaced()
            else:
                self._count(status.name)
                if status is Status.EXTRACTED:
                    job.made.set_result(extracted)
                else:
                    job.made.set_exception(ExtractionFailed(status.name))
                return child
        raise AssertionError  # the last try answers

    def _count(self, end: str) -> None:
        self.counts[end] += 1
        telemetry.count_extraction(self.settings.modality.name, end)

    def _new(self) -> ChildProcess:
        """Return a child process that is ready; raises ExtractorUnavailable, and leaves none behind."""
        if self._closing.is_set():
            raise ExtractorUnavailable(STOPPING)
        child = ChildProcess()
        # Known before it loads, which may take minutes: whoever closes the pool ends it.
        self._children[threading.current_thread()] = child
        if self._closing.is_set():  # whoever closed the pool did not see it yet
            child.end()
        try:
            offer = child.load(self.settings)
        except BaseException as fault:
            self._end()
            if isinstance(fault, ExtractorUnavailable) and self._closing.is_set():
                raise ExtractorUnavailable(STOPPING) from None
            if self._started.done():  # before that whoever starts the pool is told
                _log.error("extractor_not_started", state=self.settings.modality.name)
            raise
        if not self._started.done():
            self._started.set_result(offer)
        elif offer != self._started.result():  # what is recorded of its records would not be true
            self._end()
            _log.error("extractor_replaced", state=self.settings.modality.name)
            raise ExtractorUnavailable(REPLACED.format(self.settings.extractor))
        return child

    def _replaced(self) -> ChildProcess | None:
        """Return a new child process before the next picture comes; None where it cannot be had now, then it is asked again."""
        try:
            return self._new()
        except ExtractorUnavailable:
            return None

    def _end(self) -> None:
        """End the child process of this thread, if it has one."""
        child = self._children.pop(threading.current_thread(), None)
        if child is not None:
            child.kill()


class ExtractionService:
    """The extractors of a gateway, by modality; none is a service that reads no image."""

    def __init__(
        self, extractors: tuple[ChildSettings, ...] = (), *, processes: int = 1, waiting: int = 16
    ) -> None:
        """Start the child processes; raises ExtractorUnavailable, which says what to do, and leaves none behind."""
        self._pools: dict[Modality, _Pool] = {}
        try:
            for each in extractors:
                self._pools[each.modality] = _Pool(each, processes, waiting)
        except BaseException:
            self.close()
            raise

    def offer(self, modality: Modality) -> Offer | None:
        """Return which extractor reads images of a modality; None where none does."""
        pool = self._pools.get(modality)
        return None if pool is None else pool.offer

    def formats(self, modality: Modality) -> tuple[RecordFormat, ...]:
        """Return the formats of images that are read of a modality, as the capabilities list them."""
        pool = self._pools.get(modality)
        if pool is None:
            return ()
        able = pool.offer.compressions
        return tuple(
            each
            for each in formats.formats_of(modality)
            if each not in COMPRESSED or COMPRESSED[each] in able
        )

    def begin(self, modality: Modality, tasks: Sequence[Task]) -> tuple[Future[Extracted], ...]:
        """Queue the pictures of one query, and return what `finish` waits for, of each.

        Raises ExtractorUnavailable where there is no extractor of the modality, or too many queries wait; then none of
        them is queued. However many pictures a query may have, they find room together: the query holds them anyway.
        """
        pool = self._pools.get(modality)
        if pool is None:
            raise ExtractorUnavailable(f"no extractor of modality {modality.name} is configured")
        able = [each.picture.compression in pool.offer.compressions for each in tasks]
        queued = iter(pool.put(list(compress(tasks, able))))
        return tuple(next(queued) if each else _undecodable() for each in able)

    def finish(self, made: Future[Extracted], seconds: float | None = None) -> Extracted:
        """Return the record of a picture that was queued; None = wait as long as it may take.

        Raises ExtractionFailed where the picture gives none, OutOfTime where the caller's seconds end before, and
        ExtractorUnavailable where no child process can be had.
        """
        try:
            return made.result(seconds)
        except (TimeoutError, CancelledError):
            made.cancel()  # what has begun is finished and thrown away; what waits is passed over
            raise OutOfTime from None

    def extract(self, modality: Modality, task: Task, seconds: float | None = None) -> Extracted:
        """Return the record of one picture; raises what `begin` and `finish` raise."""
        (made,) = self.begin(modality, [task])
        return self.finish(made, seconds)

    def counts(self) -> Mapping[Modality, Mapping[str, int]]:
        """Return how extractions ended, by the name of a status, HUNG or CRASHED."""
        return {modality: dict(pool.counts) for modality, pool in self._pools.items()}

    def processes(self) -> tuple[int, ...]:
        """Return the numbers of the child processes that are ready, as the system knows them."""
        return tuple(number for pool in self._pools.values() for number in pool.processes())

    def close(self) -> None:
        """End all child processes; none is left behind.

        What was offered stays known: an image that comes now is asked for again, not refused as of a format that nobody reads.
        """
        for pool in self._pools.values():
            pool.close()


def _undecodable() -> Future[Extracted]:
    made: Future[Extracted] = Future()
    made.set_exception(ExtractionFailed(Status.UNDECODABLE.name))
    return made
