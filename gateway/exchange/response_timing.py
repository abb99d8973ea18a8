"""Step 21: answers leave on a quantum, so that their time reveals nothing of their outcome.

The first departure is at `floor` after the call began, the next ones every `step`. A search slower than the
floor leaves at the next step: what an observer sees is a whole number of steps (protocol 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import ceil

SMALLEST_FLOOR = (
    0.05  # seconds; below it the jitter of a network reveals more than we hide (protocol 9)
)
BESIDE = 0.03  # seconds of a call beside its search: two group commits on a disk that flushes in 5 ms, cryptography
HEADROOM = 1.5  # measured p99 of this gallery's searches times this; a floor that most searches miss hides nothing


def floor_of(p99: float, step: float) -> float:
    """Return the first departure, seconds, for searches whose 99th percentile is `p99` seconds."""
    wanted = max(SMALLEST_FLOOR, (p99 + BESIDE) * HEADROOM)
    return ceil(wanted / step - 1e-9) * step


def departure(elapsed: float, floor: float, step: float) -> float:
    """Return when an answer that is ready `elapsed` seconds after its call began leaves, likewise in seconds."""
    if elapsed <= floor:
        return floor
    return floor + ceil((elapsed - floor) / step - 1e-9) * step


@dataclass(frozen=True, slots=True)
class ResponseTiming:
    """The beat on which answers leave; seconds."""

    floor: float
    step: float

    def leaves(self, started: float, now: float) -> float:
        """Return the moment at which the answer, ready `now`, to a call that began at `started` may leave."""
        return started + departure(now - started, self.floor, self.step)


class Departures:
    """What waits for its moment, soonest first. Not for two threads; moments are seconds of any one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap)

    def add(self, moment: float, leave: Callable[[], None]) -> bool:
        """Let `leave` wait for its moment; return whether it is now the soonest."""
        entry = (moment, next(self._number), leave)
        heappush(self._heap, entry)
        return self._heap[0] is entry

    def due(self, now: float) -> list[Callable[[], None]]:
        """Take out what may leave by `now`, in order of its moments, and of its coming where these are the same."""
        taken = []
        while self._heap and self._heap[0][0] <= now:
            taken.append(heappop(self._heap)[2])
        return taken

    def pause(self, now: float) -> float | None:
        """Return the seconds until the soonest may leave; None where nothing waits."""
        return max(0.0, self._heap[0][0] - now) if self._heap else None
