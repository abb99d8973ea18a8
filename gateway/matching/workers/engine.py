"""The engine of one modality whose galleries lie in worker processes: the same port, the same answers.

Samples are read here; what was read goes to one process, which prepares it, searches for it and destroys it. Where that
process ends in between, another one gets it: nothing was answered yet, and the question is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from math import isinf
from typing import Any, TypeVar

from gateway.domain.messages import Modality, Sample
from gateway.errors import DeadlineTooShort, EngineUnavailable
from gateway.matching.engine import (
    Change,
    Deadline,
    EngineStatus,
    Found,
    OperatingPoint,
    Prepared,
    Probe,
    Scored,
    Source,
)
from gateway.matching.gallery_engine import GalleryEngine, demand_own, demand_ready
from gateway.matching.workers.pool import WorkerPool
from gateway.matching.workers.process import WorkerLost, WorkerProcess, answered

TRIES = 3  # processes that one question may see end; then it is likelier the question than the processes
SILENT = 60.0  # seconds without an answer until a process is ended; the longest deadline of a call (protocol 12)
LATE = 0.5  # seconds beyond a deadline that its answer is waited for: the process says so itself

T = TypeVar("T")
_tokens = count(1)


class RemoteProbe(Probe):
    """What was read of one person's samples, and where it lies prepared.

    own     as the engine in this process read it
    held    the process that holds it, and its number there
    counts  what there was of it to be destroyed, there
    """

    __slots__ = ("counts", "held", "own")

    def __init__(self, own: Probe) -> None:
        self.own = own
        self.held: tuple[WorkerProcess, int] | None = None
        self.counts: Mapping[str, int] = {}


class WorkerEngine:
    """One modality of a pool; see the port, `gateway.matching.engine.Engine`."""

    def __init__(self, local: GalleryEngine[Any], pool: WorkerPool) -> None:
        """Take the engine that reads samples here, which holds no gallery, and the pool."""
        self._local, self._pool = local, pool

    @property
    def modality(self) -> Modality:
        """Whose samples it reads."""
        return self._local.modality

    def load(self, source: Source) -> None:
        """Load every process, and each that is started later."""
        try:
            self._pool.load(self.modality, source)
        except ValueError as fault:
            raise EngineUnavailable("the stored gallery could not be loaded") from fault

    def apply(self, change: Change) -> None:
        """Change one subject in every process."""
        self._pool.apply(self.modality, change)

    def read(self, samples: Mapping[str, Sample]) -> RemoteProbe:
        """Read samples here, strictly."""
        return RemoteProbe(self._local.read(samples))

    def prepare(self, probe: Probe) -> Prepared:
        """Have a process make the probe ready."""
        mine = demand_own(probe, RemoteProbe)
        return self._tried(lambda: self._prepared(mine, time.monotonic() + SILENT))

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        """Return the best `limit` people; an answer that comes after the deadline is nobody's."""
        mine = demand_own(probe, RemoteProbe)

        def searched() -> Found:
            if deadline() <= 0:
                raise DeadlineTooShort
            process, token = self._held(mine, time.monotonic() + deadline())
            left = deadline()
            until = time.monotonic() + left
            future = process.ask("search", self.modality, token, point, limit, until)
            try:
                found: Found = answered(future, None if isinf(left) else max(0.0, left) + LATE)
            except TimeoutError:  # it may be slow; that it hangs, `destroy` finds out
                raise DeadlineTooShort from None
            version = self._pool.version(process, self.modality, found.version)
            return replace(found, version=version)

        return self._tried(searched)

    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return the exact scores of a few people."""
        mine = demand_own(probe, RemoteProbe)

        def scored() -> tuple[Scored, ...]:
            process, token = self._held(mine, time.monotonic() + SILENT)
            future = process.ask("scores", self.modality, token, tuple(subjects))
            said: tuple[Scored, ...] = _said(process, future)
            return said

        return self._tried(scored)

    def destroy(self, probe: Probe) -> Mapping[str, int]:
        """Overwrite what was read here and what is prepared there; a process that does not say so is ended, and that with it."""
        mine = demand_own(probe, RemoteProbe)
        here, there = self._local.destroy(mine.own), mine.counts
        held, mine.held, mine.counts = mine.held, None, {}
        if held is not None:
            process, token = held
            try:
                _said(process, process.ask("destroy", self.modality, token))
            except (WorkerLost, EngineUnavailable, ValueError):
                process.end()
        return {kind: max(here.get(kind, 0), there.get(kind, 0)) for kind in {**here, **there}}

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of so many searches takes in a process."""
        process = self._pool.take(time.monotonic() + SILENT)
        taken: tuple[float, ...] = answered(process.ask("rehearse", self.modality, searches))
        return taken

    def status(self) -> EngineStatus:
        """Return how many people can be found."""
        return self._pool.status(self.modality)

    def _held(self, mine: RemoteProbe, until: float) -> tuple[WorkerProcess, int]:
        """Return where the probe lies prepared: anew in another process, where the one that held it has ended."""
        process, token = demand_ready(mine.held)
        if process.lost.is_set():
            self._prepared(mine, until)
            process, token = demand_ready(mine.held)
        return process, token

    def _prepared(self, mine: RemoteProbe, until: float) -> Prepared:
        process = self._pool.take(until)
        token = next(_tokens)
        mine.held = process, token  # from here on there may be something to destroy
        future = process.ask("prepare", self.modality, token, mine.own)
        made: Prepared
        made, mine.counts = _said(process, future)
        return made

    def _tried(self, do: Callable[[], T]) -> T:
        for _ in range(TRIES):
            try:
                return do()
            except WorkerLost:
                continue
        raise EngineUnavailable("the search processes end with this question")


def _said(process: WorkerProcess, future: Future[Any]) -> Any:  # noqa: ANN401
    """Return an answer; a process that is silent for too long is ended, and EngineUnavailable raised."""
    try:
        return answered(future, SILENT)
    except TimeoutError:
        process.end()
        raise EngineUnavailable("a search process hung") from None
