"""Samples that reach somebody only if they are not what is said of them: an alarm for each partner that sends such.

A search that sees one notes it, and the alarm is raised by the next round. It is not written beside the answer: who
counts the ledger's entries would learn of a person from it, and the answer is the same as for nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from gateway import telemetry
from gateway.domain.messages import Modality
from gateway.isolated_loop import each
from gateway.ledger import events
from gateway.monitoring.alarms import LatchedAlarms
from gateway.store import alarms
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer

PREFIX: Final = "MISREAD/"
REASON: Final = "SAMPLE_MISREAD"
STANDS: Final = timedelta(days=1)  # since it was raised; a further one raises it again
MOST: Final = 1000  # notes between two rounds; each partner, modality and way counts once

_log = telemetry.logger("misread_alerts")


class MisreadNotes:
    """What searches saw since the last round; in this process's memory."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._noted: set[str] = set()

    def note(self, partner: str, modality: Modality, how: str) -> None:
        """Note that a partner's probe reached somebody only if read otherwise than stated; never raises."""
        name = f"{partner}/{modality.name}/{how}"
        with self._lock:
            if len(self._noted) < MOST:
                self._noted.add(name)

    def take(self) -> frozenset[str]:
        """Return what was noted, by partner, modality and way, and forget it."""
        with self._lock:
            noted, self._noted = frozenset(self._noted), set()
        return noted


class MisreadAlerts:
    """Raises the alarms, and ends each a day later."""

    def __init__(
        self,
        notes: MisreadNotes,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
    ) -> None:
        self._notes, self._database, self._clock = notes, database, clock
        self._alarms = LatchedAlarms(database, sequencer, clock)

    def round(self) -> None:
        """Raise an alarm for what was noted; end those that have stood for a day and were not noted again."""
        noted = {PREFIX + name for name in self._notes.take()}
        with self._database.reader() as reader:
            standing = {
                name: since
                for name, since in alarms.raised_since(reader).items()
                if name.startswith(PREFIX)
            }
        over = {name for name, since in standing.items() if self._clock() - since >= STANDS}
        try:
            each(sorted(noted - standing.keys()), self._begin, "misread_alerts")
        finally:
            each(sorted(over - noted), self._end, "misread_alerts")

    def _begin(self, name: str) -> None:
        _log.warning("sample_misread", state=name)
        what, partner = _entry_of(name)
        self._alarms.raise_once(name, events.misread_alarm(what, partner, REASON))

    def _end(self, name: str) -> None:
        self._alarms.clear_once(name, events.alarm_end(*_entry_of(name)))


def _entry_of(name: str) -> tuple[str, str]:
    """Return what an entry calls an alarm, and its partner, who has a place of their own in it."""
    partner, _, what = name.removeprefix(PREFIX).partition("/")
    return PREFIX + what, partner
