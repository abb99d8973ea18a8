"""Two search processes with a dozen people, the engine in this process beside them, and what kills a process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gateway.domain.messages import Modality, Sample
from gateway.matching.calibrations import CalibrationsInForce
from gateway.matching.engine import Batch, Engine, Found, OperatingPoint
from gateway.matching.modality import engines_of
from gateway.matching.workers.engine import WorkerEngine
from gateway.matching.workers.pool import WorkerPool
from tests.gateway.matching.test_finger import samples
from tests.patience import PATIENCE

PEOPLE = 12
LOOK = 0.01  # seconds
POINT = OperatingPoint(fpir=0.001, review_fpir=0.01)


class People:
    """A source that can be changed; `met` is called with the number of each batch that is read."""

    def __init__(self) -> None:
        self.stored = {100 + seed: samples(seed) for seed in range(PEOPLE)}
        self.met: Callable[[int], object] = lambda _: None
        self.batch = 5

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        assert (modality, shard, of) == (Modality.FINGER, 0, 1)
        people = list(self.stored.items())
        for number, start in enumerate(range(0, len(people), self.batch)):
            self.met(number)
            yield people[start : start + self.batch]


class Pool:
    """Search processes, the engine of fingers that asks them, and the source they load."""

    def __init__(self, number: int = 2) -> None:
        by = CalibrationsInForce()
        self.local = engines_of(by)
        self.pool = WorkerPool(number, self.local, by)
        self.engine = WorkerEngine(self.local[Modality.FINGER], self.pool)
        self.people = People()
        self.number = number

    def loaded(self) -> Pool:
        """Load the people and return the pool."""
        self.engine.load(self.people)
        return self

    def until_all_answer(self, but: int | None = None) -> tuple[int, ...]:
        """Return the processes' numbers as soon as every place has one that answers, `but` not among them."""
        for _ in range(round(PATIENCE / LOOK)):
            some = self.pool.processes()
            if len(some) == self.number and but not in some:
                return some
            time.sleep(LOOK)
        raise TimeoutError("a place has no process")

    def kill(self) -> int:
        """Kill the process that answers first, and return its number."""
        first = self.pool.processes()[0]
        os.kill(first, signal.SIGKILL)
        return first


def asked(seed: int) -> Mapping[str, Sample]:
    """Return another impression of a person's fingers."""
    return {f"s[{at}]": one for at, one in enumerate(samples(seed, 2))}


def answer(engine: Engine, seed: int, deadline: Callable[[], float] = lambda: 60.0) -> Found:
    """Return what a search for a person says; the probe is destroyed."""
    probe = engine.read(asked(seed))
    try:
        engine.prepare(probe)
        return engine.search(probe, POINT, 5, deadline)
    finally:
        engine.destroy(probe)


def gone(number: int) -> bool:
    """Return whether a process is no more, or waits for nothing but to be taken from the table."""
    try:
        line = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return line.rpartition(") ")[2][0] in "ZX"
