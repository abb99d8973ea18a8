"""The watchdog of retention, and its dead man's switch.

What is overdue beyond its grace is alarmed once, and from then on no query is answered until it is done. Whoever
erases nothing must not go on receiving: where the periodic jobs' rounds themselves are silent, the same follows, and
the call that notices it raises the alarm.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from gateway import telemetry
from gateway.errors import RetentionOverdue
from gateway.law.retention_policy import ROUNDS_SILENT, RetentionClass
from gateway.ledger import events
from gateway.monitoring.alarms import LatchedAlarms
from gateway.retention.copies import Copies
from gateway.retention.erasure import Retention
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer

TURN = (
    20  # rounds between two turns of erasing: ten minutes, one entry a class and turn at most times
)
TURN_BATCHES = (
    50  # batches of a class in one turn: 10,000 things, a few seconds of the writing connection
)
ROUNDS = "ROUNDS"  # the alarm of the dead man's switch

_log = telemetry.logger("retention")


class RetentionWatchdog:
    """Looks after the rounds. `demand` is asked on every call and costs nothing while all is well."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        retention: Retention,
        clock: Callable[[], datetime],
        copies: Copies,
    ) -> None:
        self._alarms = LatchedAlarms(database, sequencer, clock)
        self._retention, self._clock, self._copies = retention, clock, copies
        self._lock = threading.Lock()
        self._rounds = 0
        self._last = clock()
        self._late: Mapping[str, int] = {}
        self._raised = self._alarms.standing()

    @property
    def late(self) -> Mapping[str, int]:
        """What is overdue beyond its grace, by class, as of the last look."""
        return self._late

    def round(self) -> None:
        """Erase in every twentieth round, and in each while something is overdue; then look."""
        if self._rounds % TURN == 0 or self._late:
            try:
                done = self._retention.run(batches=TURN_BATCHES)
            finally:
                self.look()  # what could not be erased is late by its class, whatever kept it
            for kept, count in done.erased.items():
                telemetry.count_erased(kept.name, count)
            self._rounds += not done.more  # else the next round goes on
        else:
            self._rounds += 1
            self._settle({**self._retention.late_traces(), **self._copies.late()})
        self._last = self._clock()

    def look(self) -> None:
        """Find out what is overdue; raise alarms and clear them."""
        self._settle({**self._retention.late(), **self._copies.late()})

    def demand(self) -> None:
        """Raise RetentionOverdue while something is overdue, or the rounds are silent."""
        if self._late:
            raise RetentionOverdue
        if self._clock() - self._last > ROUNDS_SILENT:
            self._alarm(ROUNDS, 1)
            raise RetentionOverdue

    def _settle(self, found: Mapping[RetentionClass, int]) -> None:
        late = {kept.name: count for kept, count in found.items()}
        for name, count in late.items():
            self._alarm(name, count)
        with self._lock:
            over = self._raised & ({kept.name for kept in RetentionClass} | {ROUNDS}) - late.keys()
        for name in sorted(over):
            self._clear(name)
        self._late = late

    def _alarm(self, name: str, count: int) -> None:
        """Raise an alarm that is not raised yet: its entry, a line in the log, the gauge."""
        with self._lock:
            if name in self._raised:
                return
            self._raised.add(name)
        telemetry.show_overdue(name, count)
        _log.error("retention_overdue", state=name, count=count)
        leaf = events.overdue_alarm(name, RetentionOverdue.reason, count)
        self._alarms.raise_once(name, leaf)

    def _clear(self, name: str) -> None:
        with self._lock:
            self._raised.discard(name)
        telemetry.show_overdue(name, 0)
        _log.info("retention_done", state=name)
        self._alarms.clear_once(name, events.alarm_end(name))
