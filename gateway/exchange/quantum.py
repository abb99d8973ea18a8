"""Step 21: answers leave on a quantum, so that their time tells nothing of their outcome.

The first departure is at `floor` after the call began, the next ones every `step`. A search slower than the
floor leaves at the next step: what an observer sees is a whole number of steps (protocol 9).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

SMALLEST_FLOOR = (
    0.05  # seconds; below it the jitter of a network tells more than we hide (protocol 9)
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


class Quantum:
    """Holds answers; `now` and `sleep` are the edge."""

    def __init__(
        self, floor: float, step: float, now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self.floor = floor
        self.step = step
        self._now = now
        self._sleep = sleep

    def hold(self, started: float) -> None:
        """Wait until the answer to a call that began at `started` may leave."""
        wait = started + departure(self._now() - started, self.floor, self.step) - self._now()
        if wait > 0:
            self._sleep(wait)
