"""Alarms that stay until their cause is over: an entry when one begins, one when it ends, none between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from gateway import telemetry
from gateway.errors import AuditUnavailable
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.store import alarms
from gateway.store.alarms import AlarmStands
from gateway.store.ledger.sequencer import Effect, Leaf, Sequencer
from gateway.store.sqlite import Database

_log = telemetry.logger("alarms")


class LatchedAlarms:
    """Raises and clears alarms by name, each once, across restarts; never raises itself."""

    def __init__(
        self, database: Database, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._sequencer, self._clock = database, sequencer, clock

    def begin(self, name: str, reason: str) -> None:
        """Raise an alarm that is not raised yet."""
        if not self._stands(name):
            leaf = Leaf(_frame("RAISE", name), {"reason": reason})
            self._commit(name, leaf, alarms.raise_alarm(name, self._clock()))

    def end(self, name: str) -> None:
        """Clear a raised alarm."""
        if self._stands(name):
            self._commit(name, Leaf(_frame("CLEAR", name)), alarms.clear_alarm(name))

    def standing(self, prefix: str) -> set[str]:
        """Return the names of the raised alarms that begin so, less the prefix."""
        with self._database.reader() as reader:
            names = alarms.raised(reader)
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    def _stands(self, name: str) -> bool:
        with self._database.reader() as reader:
            return name in alarms.raised(reader)

    def _commit(self, name: str, leaf: Leaf, effects: tuple[Effect, ...]) -> None:
        try:
            with suppress(AlarmStands):  # somebody else was first
                self._sequencer.commit((leaf,), effects)
        except AuditUnavailable:
            _log.error("alarm_unrecorded", state=name)


def _frame(verb: str, name: str) -> Frame:
    return Frame(
        type=EntryType.ALARM, entry_class=EntryClass.OTHER, subject_reference=f"{verb}/{name}"
    )
