"""One worker process as the gateway sees it: started, asked, its answers handed to whoever waits, killed at the first doubt."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from typing import Any

from gateway.child.pipes import Garbled
from gateway.child.process import PythonProcess
from gateway.domain.messages import Modality
from gateway.errors import DeadlineTooShort, EngineUnavailable
from gateway.matching.calibrations import Calibrations
from gateway.matching.engine import Source
from gateway.matching.gallery_engine import UncalibratedRecord
from gateway.matching.workers import messages
from gateway.matching.workers.messages import Asked, Fault, Frame

MODULE = "gateway.matching.workers.worker"
STARTING = 60.0  # seconds in which the process says that it is there; it takes half of one
SENDING = 60.0  # seconds in which it takes what it is sent: it reads between two searches, the longest deadline of a call
LOADING = 600.0  # seconds in which it takes a batch, once it has described the one before
ENDED = "a search process ended"
UNSTARTED = (
    "a search process did not start: where the kernel has no seccomp, set matching.workers = 0"
)


class WorkerLost(RuntimeError):
    """The process ended, or was ended, before it answered: what it held is gone with it."""


class WorkerProcess:
    """One process, and a thread that reads its answers. MUST be made by a thread that lives as long (`PythonProcess`)."""

    def __init__(self, quantised: Iterable[Modality]) -> None:
        """Start it; raises WorkerLost where that fails."""
        self.lost = threading.Event()
        self._waiting: dict[int, Future[Any]] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()  # of who waits
        self._sending = threading.Lock()
        self._calibrations: Calibrations | None = None
        try:
            self._process = PythonProcess()
        except OSError as fault:
            raise WorkerLost(f"no process can be started: {fault.strerror}") from None
        try:
            said = {"quantised": sorted(int(each) for each in quantised)}
            self._process.begin(MODULE, said, time.monotonic() + STARTING)
        except (Garbled, TimeoutError, ValueError):
            self._process.kill()
            raise WorkerLost(UNSTARTED) from None
        os.set_blocking(self._process.target, False)
        self._reader = threading.Thread(target=self._read, name="search-answers", daemon=True)
        self._reader.start()

    @property
    def number(self) -> int:
        """Its process number."""
        return self._process.number

    @property
    def asked(self) -> int:
        """How many answers are waited for."""
        return len(self._waiting)

    def ask(self, name: str, modality: Modality, *values: object) -> Future[Any]:
        """Ask for one thing; the answer is what `answered` takes."""
        future: Future[Any] = Future()
        number = next(self._numbers)
        frame = messages.pack(Asked(number, name, modality, values))
        with self._lock:
            if self.lost.is_set():
                future.set_exception(WorkerLost(ENDED))
                return future
            self._waiting[number] = future
        self._send(frame, SENDING)
        return future

    def calibrate(self, calibrations: Calibrations) -> None:
        """Tell it which calibrations count, where it does not know."""
        if calibrations is not self._calibrations:
            self._calibrations = calibrations
            values = calibrations.faces, calibrations.irises
            self.ask("calibrate", Modality.FACE, *values)

    def end(self) -> None:
        """End it; whoever waits for an answer learns of it."""
        self._process.end()

    def wait(self) -> None:
        """Wait until it has ended and nothing of it is left."""
        self._reader.join()

    def send_batch(self, frame: Frame) -> None:
        """Send what follows a request to load."""
        self._send(frame, LOADING)

    def _send(self, frame: Frame, seconds: float) -> None:
        """Send a frame; a process that does not take it is ended."""
        try:
            with self._sending:
                messages.send(self._process.target, frame, time.monotonic() + seconds)
        except (Garbled, TimeoutError, ValueError):
            self.end()

    def _read(self) -> None:
        """Hand answers over until the process ends."""
        with suppress(Garbled, OSError):
            while True:
                answer = messages.receive(self._process.source)
                with self._lock:
                    future = self._waiting.pop(answer.number, None)
                if future is not None:
                    future.set_result(answer.value)
        self._process.end()
        with self._lock:
            self.lost.set()
            left, self._waiting = list(self._waiting.values()), {}
        for future in left:
            future.set_exception(WorkerLost(ENDED))
        with self._sending:
            self._process.kill()


def answered(future: Future[Any], seconds: float | None = None) -> Any:  # noqa: ANN401
    """Return what a process answered, or raise what it says happened: as the engine in this process does, or EngineUnavailable.

    Raises WorkerLost, and TimeoutError after so many seconds.
    """
    value = future.result(seconds)
    if not isinstance(value, Fault):
        return value
    if value.kind == DeadlineTooShort.__name__:
        raise DeadlineTooShort
    if value.kind == UncalibratedRecord.__name__:
        raise ValueError(value.text)
    if value.kind == EngineUnavailable.__name__:
        raise EngineUnavailable(value.text)
    if value.kind in {"ValueError", "UnreadableSample", "NothingUsable", "MalformedRecord"}:
        raise ValueError(value.text or "samples that cannot be used")
    if value.kind == MemoryError.__name__:
        raise MemoryError
    raise EngineUnavailable(f"a search process failed with {value.kind}")


def load_together(
    processes: Iterable[WorkerProcess], modality: Modality, source: Source
) -> list[Future[Any]]:
    """Have processes load what a source yields, which is read once for all of them; each answers with its EngineStatus.

    What the source raises is raised, after the processes were told.
    """
    some = list(processes)
    futures = [each.ask("load", modality) for each in some]
    last: bool | None = False
    try:
        for batch in source.batches(modality, 0, 1):
            frame = messages.pack(batch)
            for each in some:
                each.send_batch(list(frame))
        last = None
    finally:
        for each in some:
            each.send_batch(messages.pack(last))
    return futures
