"""All worker processes: each holds everybody; one that ends is replaced, and meanwhile the others answer.

A change is applied in every process that answers, and kept for those that are being loaded: none answers before it knows
all of them. Whoever comes to another number of people than the others is ended: a gallery with a hole answers nobody.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway import telemetry
from gateway.domain.messages import Modality
from gateway.errors import EngineUnavailable
from gateway.matching.calibrations import CalibrationsInForce
from gateway.matching.engine import Change, EngineStatus, Source
from gateway.matching.gallery_engine import GalleryEngine
from gateway.matching.workers import trial
from gateway.matching.workers.process import WorkerLost, WorkerProcess, answered, load_together

PAUSES = (
    0.0,
    0.5,
    2.0,
    10.0,
)  # seconds before a process is started again, by how often it failed in a row
PATIENCE = 10.0  # seconds without any process until the gallery counts as not loaded
WITHIN = 60.0  # seconds in which a change is applied, or a trial done; a search may be before it
QUEUED = 4  # questions that a process has before it, one of them in work: none waits for the pipe

_log = telemetry.logger("matching")


@dataclass(slots=True)
class _Place:
    """One place for a process: who is in it, whether it answers, and what it missed while it was loaded.

    failed    how often in a row no process came to answer
    offsets   what is added to the version of each of its galleries, to be that of the pool
    """

    process: WorkerProcess | None = None
    answers: bool = False
    failed: int = 0
    missed: list[tuple[Modality, Change]] = field(default_factory=list)
    offsets: dict[Modality, int] = field(default_factory=dict)


class WorkerPool:
    """So many processes, each with a thread that starts it, loads it and replaces it.

    engines        those of this process, which the trial is compared with; nobody is loaded into them
    calibrations   what scores are worth, which processes are told before they need it
    """

    def __init__(
        self,
        number: int,
        engines: Mapping[Modality, GalleryEngine[Any]],
        calibrations: CalibrationsInForce,
        quantised: frozenset[Modality] = frozenset(),
    ) -> None:
        self.places = number * QUEUED
        self._quantised, self._calibrations = quantised, calibrations
        self._owner = os.getpid()
        self._expected = tuple(engines.values())
        self._said: trial.Said | None = None
        self._slots = [_Place() for _ in range(number)]
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()  # of all that follows
        self._sources: dict[Modality, Source] = {}
        self._statuses: dict[Modality, EngineStatus] = {}
        self._silent_since: float | None = None
        self._fault = ""
        self._closing = False
        self._applying = threading.Lock()  # one change, or one load, after another
        self._trying = threading.Lock()

    def start(self) -> None:
        """Start the processes, if they are not started; they load what `load` was called with."""
        with self._changed:
            if self._closing:
                raise EngineUnavailable("the gateway is stopping")
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._keep, args=(each,), name="search", daemon=True)
                    for each in self._slots
                ]
                for each in self._threads:
                    each.start()

    def load(self, modality: Modality, source: Source) -> None:
        """Load every process from a source, which serves again whenever one is replaced; raises EngineUnavailable, ValueError."""
        self.start()
        self._await_processes()
        with self._applying:
            with self._changed:
                self._statuses.pop(modality, None)
                self._sources[modality] = source
                some = [each for each in self._slots if each.answers and each.process]
            try:
                loaded = self._loaded(some, modality, source)
            except BaseException:
                with self._changed:
                    self._sources.pop(modality, None)
                raise
            with self._changed:
                if not loaded:
                    self._sources.pop(modality, None)
                    raise EngineUnavailable("every search process ended while it was loaded")
                first = next(iter(loaded.values()))
                self._statuses[modality] = first
                for each in some:
                    each.offsets[modality] = 0

    def _loaded(
        self, some: Sequence[_Place], modality: Modality, source: Source
    ) -> Mapping[int, EngineStatus]:
        """Return what those processes say that lived through a load, by their place; others are replaced."""
        processes = [each.process for each in some if each.process]
        for each in processes:
            each.calibrate(self._calibrations.current)
        futures = load_together(processes, modality, source)
        found: dict[int, EngineStatus] = {}
        for at, future in enumerate(futures):
            try:
                found[at] = answered(future)
            except WorkerLost:
                continue
        return found

    def apply(self, modality: Modality, change: Change) -> None:
        """Change one subject in every process; raises ValueError with the old samples still in place, EngineUnavailable."""
        with self._applying:
            with self._changed:
                if modality not in self._statuses:
                    raise EngineUnavailable
                some = [each for each in self._slots if each.answers]
                for each in self._slots:
                    if not each.answers:
                        each.missed.append((modality, change))
            self._take(modality, self._applied(some, modality, change))

    def _applied(
        self, some: Sequence[_Place], modality: Modality, change: Change
    ) -> Sequence[tuple[_Place, EngineStatus]]:
        """Return what those processes say that took a change; raises ValueError where none took it for its samples' sake."""
        asked = []
        for each in some:
            if each.process:
                each.process.calibrate(self._calibrations.current)
                asked.append((each, each.process.ask("apply", modality, change)))
        found: list[tuple[_Place, EngineStatus]] = []
        refused: list[tuple[_Place, ValueError]] = []
        for each, future in asked:
            try:
                found.append((each, answered(future, WITHIN)))
            except ValueError as fault:
                refused.append((each, fault))
            except Exception:  # noqa: BLE001 - it ended, hangs, or has no memory: another one takes its place
                _end(each)
        if refused and not found:
            raise refused[0][1]
        for (
            each,
            _,
        ) in refused:  # what one process takes and another refuses is a fault of the other
            _end(each)
        return found

    def _take(self, modality: Modality, found: Sequence[tuple[_Place, EngineStatus]]) -> None:
        """Take the state that the processes came to; one that says another number of people than the first is ended."""
        with self._changed:
            before = self._statuses[modality]
            if not found:  # whoever is started next reads the change from the source
                version = before.version + 1
                self._statuses[modality] = EngineStatus(True, before.size, version)
                return
            place, status = found[0]
            version = status.version + place.offsets.get(modality, 0)
            self._statuses[modality] = EngineStatus(True, status.size, version)
            for other, theirs in found[1:]:
                if (theirs.size, theirs.version + other.offsets.get(modality, 0)) != (
                    status.size,
                    version,
                ):
                    _log.error("search_process_differs", size=theirs.size)
                    _end(other)

    def take(self, until: float) -> WorkerProcess:
        """Return the process that the fewest wait for; raises EngineUnavailable where none answers by then.

        until   moment of the monotonic clock; whoever finds no process waits for one, at most PATIENCE
        """
        if os.getpid() != self._owner:
            raise EngineUnavailable("a copy of the gateway's process has no search processes")
        patient = min(until, time.monotonic() + PATIENCE)
        with self._changed:
            while True:
                some = [each.process for each in self._slots if each.answers and each.process]
                alive = [each for each in some if not each.lost.is_set()]
                if alive:
                    return min(alive, key=lambda each: each.asked)
                left = patient - time.monotonic()
                if left <= 0 or self._closing:
                    raise EngineUnavailable(self._fault)
                self._changed.wait(left)

    def version(self, process: WorkerProcess, modality: Modality, version: int) -> int:
        """Return what the version of a gallery of a process is among those of the pool."""
        with self._changed:
            for each in self._slots:
                if each.process is process:
                    return version + each.offsets.get(modality, 0)
            return self._statuses[modality].version

    def status(self, modality: Modality) -> EngineStatus:
        """Return how many people can be found."""
        with self._changed:
            status = self._statuses.get(modality)
            since = self._silent_since
            if status is None or (since is not None and time.monotonic() - since > PATIENCE):
                return EngineStatus(False)
            return status

    def processes(self) -> tuple[int, ...]:
        """Return the numbers of the processes that answer."""
        with self._changed:
            return tuple(
                each.process.number for each in self._slots if each.answers and each.process
            )

    def close(self) -> None:
        """End the processes and their threads; whoever waits is told."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            for each in self._slots:
                _end(each)
        for thread in self._threads:
            thread.join()

    # In the thread of a place

    def _keep(self, place: _Place) -> None:
        while not self._closing:
            began = time.monotonic()
            try:
                self._start(place)
                if place.process is not None:
                    place.process.lost.wait()
                    if not self._closing:
                        _log.error("search_process_ended")
            except Exception as fault:  # noqa: BLE001 - whatever it was, the place gets another process, after a pause
                _log.error("search_process_not_started", kind=type(fault).__name__)
                self._fault = (
                    str(fault) if isinstance(fault, EngineUnavailable | WorkerLost) else ""
                )
                _end(place)
            if place.process is not None:
                place.process.wait()
            lived = time.monotonic() - began > PATIENCE
            self._vacate(place, 0 if lived else place.failed + 1)
            with self._changed:
                pause = PAUSES[min(place.failed, len(PAUSES)) - 1] if place.failed else 0.0
                self._changed.wait_for(lambda: self._closing, pause)

    def _start(self, place: _Place) -> None:
        """Start a process, hold it to the trial, load it, and have it answer."""
        process = WorkerProcess(self._quantised)
        with self._changed:
            place.process, place.missed, place.offsets = process, [], {}
            if self._closing:
                process.end()
                return
        if answered(process.ask("trial", Modality.FINGER), WITHIN) != self._trial():
            raise EngineUnavailable(
                "a search process does not find whom the engine in this process finds"
            )
        loaded: dict[Modality, tuple[Source, EngineStatus]] = {}
        while True:
            with self._changed:
                wanted = {
                    each: source
                    for each, source in self._sources.items()
                    if each in self._statuses
                    and (each not in loaded or loaded[each][0] is not source)
                }
            for modality, source in wanted.items():
                process.calibrate(self._calibrations.current)
                (future,) = load_together([process], modality, source)
                loaded[modality] = source, answered(future)
            if not wanted and self._join(place, process, {m: s for m, (_, s) in loaded.items()}):
                return

    def _join(
        self, place: _Place, process: WorkerProcess, loaded: dict[Modality, EngineStatus]
    ) -> bool:
        """Apply what a process missed, and have it answer; False where more has to be loaded first."""
        with self._applying:
            for modality, change in place.missed:
                if modality in loaded:
                    loaded[modality] = answered(process.ask("apply", modality, change), WITHIN)
            with self._changed:
                place.missed = []
                if any(each not in loaded for each in self._statuses):
                    return False
                alone = not any(each.answers for each in self._slots)
                for modality, status in self._statuses.items():
                    size = loaded[modality].size
                    if alone:  # what changed while none answered is in the source alone
                        self._statuses[modality] = replace(status, size=size)
                    elif size != status.size:
                        raise EngineUnavailable("a gallery was not loaded as it stands")
                    place.offsets[modality] = status.version - loaded[modality].version
                place.answers, self._silent_since = True, None
                self._tell()
                return True

    def _vacate(self, place: _Place, failed: int) -> None:
        with self._changed:
            place.process, place.answers, place.failed = None, False, failed
            if self._silent_since is None and not any(each.answers for each in self._slots):
                self._silent_since = time.monotonic()
            self._tell()

    def _tell(self) -> None:
        telemetry.show_search_processes(sum(each.answers for each in self._slots))
        self._changed.notify_all()

    def _trial(self) -> trial.Said:
        with self._trying:
            if self._said is None:
                self._said = trial.answers(self._expected)
            return self._said

    def _await_processes(self) -> None:
        """Wait until every place has a process that answers, or has failed once; raises EngineUnavailable where none has."""
        until = time.monotonic() + PATIENCE * 6
        with self._changed:
            while not all(each.answers or each.failed for each in self._slots):
                left = until - time.monotonic()
                if left <= 0 or self._closing:
                    break
                self._changed.wait(left)
            if not any(each.answers for each in self._slots):
                raise EngineUnavailable(self._fault or "no search process can be started")


def _end(place: _Place) -> None:
    if place.process is not None:
        place.process.end()
