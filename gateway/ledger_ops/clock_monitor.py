"""Steps of our own clock, recorded: an auditor who doubts a time learns when the clock was set, and by how much.

Between two looks the clock of the gateway and the machine's monotonic one should show the same time. A forward
step also shows where the machine was asleep. A backward step of more than two seconds stops the answers by itself
until the clock is past the last entry again (the sequencer's high-water mark); its entry follows then, unless
somebody had to record something meanwhile: that ends the process, which does not start before the clock is right.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from gateway import telemetry
from gateway.ledger import events
from gateway.store.ledger.sequencer import Sequencer

STEP: Final = timedelta(seconds=2)  # ledger.md 10; slewing, at most 500 ppm, is 15 ms a round

_log = telemetry.logger("clock")


class ClockMonitor:
    """Compares two clocks each round."""

    def __init__(
        self,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sequencer, self._clock, self._monotonic = sequencer, clock, monotonic
        self._seen = clock(), monotonic()
        self._owed: list[timedelta] = []  # steps that could not be recorded yet

    def round(self) -> None:
        """Record a step since the last look; where nothing can be recorded, it is recorded later."""
        now, ticks = self._clock(), self._monotonic()
        before, then = self._seen
        self._seen = now, ticks
        step = now - before - timedelta(seconds=ticks - then)
        if abs(step) > STEP:
            _log.error("clock_stepped", seconds=step.total_seconds())
            self._owed.append(step)
        if self._owed and self._sequencer.healthy:
            self._sequencer.commit(tuple(map(events.clock_step, self._owed)))
            self._owed = []
