"""Refusals are cheap to provoke, so they are counted.

Those of steps 0 to 5 are one REFUSAL_SUMMARY for each partner, reason and minute: they say nothing about
a person, and a leaf for each would let a flood fill the ledger. From step 6 on each is a leaf of its own, up
to so many a minute; signed junk costs its sender as little as unsigned, so the rest is counted too (ADR 12).
A refusal without a partner is counted under the empty name. Counts live in memory for at most a minute; a crash
loses those of the current one, as a call dropped before step 14 is lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from gateway.errors import AuditUnavailable
from gateway.exchange.rate_limits import Allowance
from gateway.ledger import exchange_events
from gateway.store.ledger.sequencer import Sequencer

RECORDED = 60  # refusals of a partner that get their own leaf in a minute; honest clients have few
# And in a day: as many as a day has queries; the rest is counted, none is forgotten
RECORDED_DAY = 2_000


class RefusalCounter:
    """Counts refusals by partner, reason and minute; the rounds write the counts, twice a minute."""

    def __init__(self, sequencer: Sequencer, clock: Callable[[], datetime]) -> None:
        self._sequencer = sequencer
        self._clock = clock
        self._own_leaves = Allowance(RECORDED, RECORDED_DAY, clock)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, partner: str, reason: str) -> None:
        """Add one. This waits for no disk: the threads that receive calls are few."""
        minute = f"{self._clock():%Y-%m-%dT%H:%MZ}"
        with self._lock:
            self._counts[partner, reason, minute] += 1

    def recordable(self, partner: str) -> bool:
        """Return whether one more refusal of this partner may have a leaf of its own this minute."""
        return self._own_leaves.take(partner)

    def flush(self) -> None:
        """Write what is counted; called every round and when the gateway closes."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        leaves = tuple(
            exchange_events.refusal_count(partner, reason, minute, number)
            for (partner, reason, minute), number in sorted(counts.items())
        )
        try:
            self._sequencer.commit(leaves, ())
        except AuditUnavailable:
            # The gateway is closing its listeners for the same fault; the caller still gets its refusal.
            with self._lock:
                self._counts.update(counts)
