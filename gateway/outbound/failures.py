"""What failed on the way to a partner as nobody foresaw: counted, tried again later, alarmed where it goes on.

It is one message's or one partner's: whatever it was, the others go their way. Told are the partner and the type of
the failure; never its text, which could hold what the message says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway import telemetry

FIRST_PAUSE: Final = timedelta(seconds=2)  # before a second try; it doubles
LONGEST_PAUSE: Final = timedelta(minutes=5)
PERSISTS: Final = 5  # failures in a row of one message that are an ALARM: half a minute of trying
PREFIX: Final = "OUTGOING/"  # of the alarms' names

Message = tuple[str, str]  # its group, and its name in that group

_log = telemetry.logger("outgoing")


class Alarms(Protocol):
    """Alarms that stay until their cause is over, each once."""

    def begin(self, name: str, reason: str) -> None:
        """Raise one."""

    def end(self, name: str) -> None:
        """Clear one."""

    def standing(self, prefix: str) -> set[str]:
        """Return those that are raised, also since before a restart, less their prefix."""


class SendFailures:
    """Failures in a row by partner and message; for several threads."""

    def __init__(self, clock: Callable[[], datetime], alarms: Alarms | None = None) -> None:
        self._clock, self._alarms = clock, alarms
        self._failed: dict[str, dict[Message, tuple[int, datetime]]] = {}
        self._alarmed: set[str] = set() if alarms is None else alarms.standing(PREFIX)
        self._lock = threading.Lock()

    def ready(self, partner: str, message: Message) -> bool:
        """Return whether a message may be tried now."""
        with self._lock:
            held = self._failed.get(partner, {}).get(message)
        return held is None or held[1] <= self._clock()

    def failed(self, partner: str, message: Message, fault: Exception) -> None:
        """Count a failure; the message is tried again after a pause that doubles."""
        kind = type(fault).__name__
        with self._lock:
            mine = self._failed.setdefault(partner, {})
            times = mine[message][0] + 1 if message in mine else 1
            pause = min(FIRST_PAUSE * (1 << min(times - 1, 10)), LONGEST_PAUSE)
            mine[message] = times, self._clock() + pause
            alarming = times >= PERSISTS and partner not in self._alarmed
            if alarming:
                self._alarmed.add(partner)
        telemetry.count_outgoing_failure(partner, kind)
        _log.error("outgoing_failed", partner=partner, kind=kind, count=times)
        if alarming and self._alarms is not None:
            self._alarms.begin(PREFIX + partner, kind)

    def settled(self, partner: str, message: Message) -> None:
        """Say that a message went its way, or is none any more."""
        with self._lock:
            mine = self._failed.get(partner, {})
            if mine.pop(message, None) is not None and not mine:
                del self._failed[partner]

    def only(self, partner: str, group: str, open_ones: Collection[Message]) -> None:
        """Forget a partner's messages of a group, the first half of their names, that are open no more."""
        with self._lock:
            known = tuple(self._failed.get(partner, {}))
        for message in known:
            if message[0] == group and message not in open_ones:
                self.settled(partner, message)

    def partners(self) -> set[str]:
        """Return the partners of whom something failed last, or whose alarm is raised."""
        with self._lock:
            return {*self._failed, *self._alarmed}

    def review(self, partner: str) -> None:
        """End a partner's alarm where nothing of it fails any more; called at the end of its turn."""
        with self._lock:
            ended = partner in self._alarmed and partner not in self._failed
            if ended:
                self._alarmed.discard(partner)
        if ended and self._alarms is not None:
            self._alarms.end(PREFIX + partner)
