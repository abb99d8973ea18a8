"""ALARM entries: the one place that builds them, and what keeps each from being written again and again.

An alarm is news (`entry`), or it stands until what raised it is over (`LatchedAlarms`: an entry when it begins, one
when it ends, none between, across restarts), or it repeats while nobody acts, and is written once in a while
(`OnceInAWhile`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from gateway import telemetry
from gateway.domain.messages import Direction
from gateway.errors import AuditUnavailable
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.store import alarms
from gateway.store.alarms import AlarmStands
from gateway.store.ledger.sequencer import Effect, Leaf, Sequencer
from gateway.store.sqlite import Database

_log = telemetry.logger("alarms")


class About(TypedDict, total=False):
    """What an ALARM entry may name; as in `Frame`, and empty where it does not apply."""

    partner_id: str
    direction: Direction
    message_id: bytes
    transaction_number: str
    signing_key_id: bytes
    kem_key_id: bytes
    agreement_id: str
    agreement_version: int
    subject_reference: str


def entry(facts: Mapping[str, str] | None, **about: Unpack[About]) -> Leaf:
    """Return an ALARM entry; `facts` are what only auditors read."""
    return Leaf(Frame(type=EntryType.ALARM, entry_class=EntryClass.OTHER, **about), facts)


def raising(name: str, facts: Mapping[str, str], partner: str = "") -> Leaf:
    """Return the entry that says that an alarm stands from now on."""
    return entry(facts, partner_id=partner, subject_reference=f"RAISE/{name}")


def clearing(name: str, partner: str = "") -> Leaf:
    """Return the entry that says that what raised an alarm is over."""
    return entry(None, partner_id=partner, subject_reference=f"CLEAR/{name}")


class LatchedAlarms:
    """Raises and clears alarms by name, each once, across restarts."""

    def __init__(
        self, database: Database, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._sequencer, self._clock = database, sequencer, clock

    def begin(self, name: str, reason: str) -> None:
        """Raise an alarm that does not stand yet; never raises, for who watches and must go on."""
        with _logged(name):
            self.raise_once(name, raising(name, {"reason": reason}))

    def end(self, name: str) -> None:
        """Clear an alarm that stands; never raises."""
        with _logged(name):
            self.clear_once(name, clearing(name))

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
