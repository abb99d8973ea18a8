"""Evidence that is late: an alarm at once, a countdown, and at its end nothing is answered (ledger.md section 10).

Files, cosignatures and time stamps are made off the hot path, so a day without a witness is no day without
service; but a ledger that nobody else holds is one that its operator can rewrite, and that may last some
hours only. The countdown goes on across restarts: when an alarm was raised is in the store.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from gateway import telemetry
from gateway.errors import EvidenceOverdue
from gateway.monitoring.alarms import LatchedAlarms
from gateway.store import alarms
from gateway.store.engine import StorageEngine

PREFIX: Final = "EVIDENCE_"  # of the alarms' names
_NAME: Final = re.compile(
    r"[A-Z_]{1,23}"
)  # with the prefix what `gateway.ledger.sequence_rules` reads

_log = telemetry.logger("evidence")


def late_in(database: StorageEngine) -> dict[str, datetime]:
    """Return what is late by the raised alarms, and since when."""
    with database.reader() as reader:
        raised = alarms.raised_since(reader)
    return {
        name.removeprefix(PREFIX): since
        for name, since in raised.items()
        if name.startswith(PREFIX)
    }


class EvidenceDeadline:
    """Who is late, and since when. `demand` is asked on every call and costs nothing while nobody is.

    Whoever makes a kind of evidence says `late` each time that they are behind, and `settled` each
    time that they are not; also where the kind is switched off, since an alarm may be raised from before.
    """

    def __init__(self, database: StorageEngine, standing: LatchedAlarms, limit: timedelta) -> None:
        """Prepare; what was late when the gateway was last open still is.

        limit   how long something may be late before nothing is answered
        """
        self._standing, self._limit = standing, limit
        self._lock = threading.Lock()
        self._late = late_in(database)

    @property
    def standing(self) -> Mapping[str, datetime]:
        """What is late, and since when."""
        with self._lock:
            return dict(self._late)

    def left(self, name: str, now: datetime) -> timedelta | None:
        """Return how long it is until nothing is answered because of `name`; None where it is not late."""
        since = self._late.get(name)
        return None if since is None else since + self._limit - now

    def late(self, name: str, since: datetime, now: datetime, reason: str = "") -> None:
        """Say that a kind of evidence is late, since when, and why; the alarm is raised once.

        name    capital letters and underscores, of ours: "TILES", "WITNESSES", "STAMPS"
        since   the countdown runs from the earliest moment that was ever named for this lateness
        """
        if not _NAME.fullmatch(name):
            raise ValueError("an alarm is named by capital letters and underscores")
        with self._lock:
            known = self._late.get(name)
            self._late[name] = since if known is None else min(known, since)
            left = self._late[name] + self._limit - now
        telemetry.show_evidence(name, left.total_seconds())
        if known is None:
            _log.error("evidence_late", state=name, seconds=left.total_seconds())
        # Each time: where the ledger could not take the entry before, it is tried again.
        self._standing.begin(PREFIX + name, reason or EvidenceOverdue.reason)

    def settled(self, name: str) -> None:
        """Say that a kind of evidence is up to date, or is not made here."""
        with self._lock:
            known = self._late.pop(name, None)
        telemetry.show_evidence(name, None)
        if known is not None:
            _log.info("evidence_settled", state=name)
            self._standing.end(PREFIX + name)

    def demand(self, now: datetime) -> None:
        """Raise EvidenceOverdue while something has been late for longer than it may be."""
        if not self._late:
            return
        with self._lock:
            over = any(since + self._limit <= now for since in self._late.values())
        if over:
            raise EvidenceOverdue
