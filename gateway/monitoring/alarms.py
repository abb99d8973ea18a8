"""What keeps an ALARM entry from being written again and again; `gateway.ledger.events` builds them.

An alarm is news, or it stands until what raised it is over (`LatchedAlarms`: an entry when it begins, one
when it ends, none between, across restarts), or it repeats while nobody acts, and is written once in a while
(`OnceInAWhile`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from gateway import telemetry
from gateway.errors import AuditUnavailable
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.store import alarms
from gateway.store.alarms import AlarmStands
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Effect, Sequencer

_log = telemetry.logger("alarms")


class LatchedAlarms:
    """Raises and clears alarms by name, each once, across restarts."""

    def __init__(
        self, database: StorageEngine, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._sequencer, self._clock = database, sequencer, clock

    def begin(self, name: str, reason: str) -> None:
        """Raise an alarm that does not stand yet; never raises, for who watches and must go on."""
        with _logged(name):
            self.raise_once(name, events.alarm(name, reason))

    def end(self, name: str) -> None:
        """Clear an alarm that stands; never raises."""
        with _logged(name):
            self.clear_once(name, events.alarm_end(name))

    def raise_once(self, name: str, leaf: Leaf, *, instead_of: Iterable[str] = ()) -> None:
        """Raise an alarm with its entry, unless it stands; raises AuditUnavailable.

        instead_of   alarms that end with this commit, without an entry of their own
        """
        if not self._stands(name):
            effects = alarms.raise_alarm(name, self._clock())
            for other in sorted(instead_of):
                effects += alarms.clear_alarm(other)
            self._commit((leaf,), effects)

    def clear_once(self, name: str, leaf: Leaf | None = None) -> None:
        """Clear an alarm that stands, with its entry where there is one; raises AuditUnavailable."""
        if self._stands(name):
            self._commit(() if leaf is None else (leaf,), alarms.clear_alarm(name))

    def standing(self, prefix: str = "") -> set[str]:
        """Return the names of the alarms that stand and begin so, less the prefix."""
        with self._database.reader() as reader:
            names = alarms.raised(reader)
        return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}

    def _stands(self, name: str) -> bool:
        return name in self.standing()

    def _commit(self, leaves: tuple[Leaf, ...], effects: tuple[Effect, ...]) -> None:
        with suppress(AlarmStands):  # somebody else was first
            self._sequencer.commit(leaves, effects)


class OnceInAWhile:
    """What was said lately, in this process's memory: a restart says it again."""

    def __init__(self, every: timedelta) -> None:
        """Take how long what was said is not said again."""
        self._every = every
        self._said: dict[str, datetime] = {}

    def due(self, name: str, now: datetime) -> bool:
        """Return whether to say it now; from then on it counts as said. A clock that was set back silences nothing."""
        last = self._said.get(name)
        if last is not None and timedelta(0) <= now - last < self._every:
            return False
        self._said[name] = now
        return True

    def forget(self, name: str) -> None:
        """Let it be said again at once: the ledger did not take it."""
        self._said.pop(name, None)


@contextmanager
def _logged(name: str) -> Iterator[None]:
    try:
        yield
    except AuditUnavailable:
        _log.error("alarm_unrecorded", state=name)
