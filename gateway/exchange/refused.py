"""Refusals of steps 0 to 5, counted: one REFUSAL_SUMMARY for each partner, reason and minute.

They say nothing about a person and are cheap to provoke; a leaf for each would let a flood fill the ledger.
A refusal without a partner stands under the empty name. Counts live in memory for at most a minute; a crash
loses those of the current one, as a call dropped before step 14 is lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.errors import AuditUnavailable
from gateway.store.sequencer import Leaf, Sequencer
from gateway.terms import Direction


class RefusalCounter:
    """Counts refusals by partner and reason, and writes the counts of each finished minute."""

    def __init__(self, sequencer: Sequencer, clock: Callable[[], datetime]) -> None:
        self._sequencer = sequencer
        self._clock = clock
        self._counts: Counter[tuple[str, str]] = Counter()
        self._minute = ""
        self._lock = threading.Lock()

    def count(self, partner: str, reason: str) -> None:
        """Add one; the first refusal of a new minute writes the counts of the last."""
        minute = f"{self._clock():%Y-%m-%dT%H:%MZ}"
        with self._lock:
            done, at = self._take(minute) if minute != self._minute else (Counter(), "")
            self._minute = minute
            self._counts[partner, reason] += 1
        self._write(done, at)

    def flush(self) -> None:
        """Write what is counted; called every minute and when the house closes."""
        with self._lock:
            done, at = self._take("")
        self._write(done, at)

    def _take(self, minute: str) -> tuple[Counter[tuple[str, str]], str]:
        done, at = self._counts, self._minute
        self._counts, self._minute = Counter(), minute
        return done, at

    def _write(self, counts: Counter[tuple[str, str]], minute: str) -> None:
        if not counts:
            return
        leaves = tuple(
            Leaf(
                Frame(
                    type=EntryType.REFUSAL_SUMMARY,
                    entry_class=EntryClass.DENIED,
                    partner_id=partner,
                    direction=Direction.INBOUND,
                    subject_reference=minute,
                ),
                {"reason": reason, "count": str(number)},
            )
            for (partner, reason), number in sorted(counts.items())
        )
        try:
            self._sequencer.commit(leaves, ())
        except AuditUnavailable:
            # The house is closing its doors for the same fault; the caller still gets its refusal.
            with self._lock:
                self._counts.update(counts)
