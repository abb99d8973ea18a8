"""What is cheap to provoke is bounded: refusals are counted, calls without a quota have an allowance.

Refusals of steps 0 to 5 are one REFUSAL_SUMMARY for each partner, reason and minute: they say nothing about
a person, and a leaf for each would let a flood fill the ledger. From step 6 on each is a leaf of its own, up
to so many a minute; signed junk costs its sender as little as unsigned, so the rest is counted too (ADR 12).
A refusal without a partner is counted under the empty name. Counts live in memory for at most a minute; a crash
loses those of the current one, as a call dropped before step 14 is lost.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from gateway.errors import AuditUnavailable, RateLimited
from gateway.exchange.rate_limits import Buckets
from gateway.ledger import exchange_events
from gateway.store.ledger.sequencer import Sequencer

RECORDED = 60  # refusals of a partner that get their own leaf in a minute; honest clients have few
# And in a day: as many as a day has queries; the rest is counted, none is forgotten
RECORDED_DAY = 2_000
STANDING = 120  # calls of a partner in a minute to operations that no legal quota bounds
# And in a day: four follow-ups to each query of the largest agreement (4,384 a day)
STANDING_DAY = 20_000
REMEMBERED = 1024  # messages of a partner: more than it can have in doubt at once, 100 KiB


class Allowance:
    """So many of something for each partner in each minute and each UTC day; forgets what is past.

    Names are those of identified callers only. A restart begins the day anew: no partner can cause one.
    """

    def __init__(self, minute: int, day: int, clock: Callable[[], datetime]) -> None:
        self._most = {"%Y-%m-%dT%H:%M": minute, "%Y-%m-%d": day}
        self._used: dict[str, tuple[str, Counter[str]]] = {}
        self._clock = clock
        self._lock = threading.Lock()

    def take(self, partner: str) -> bool:
        """Use one; False where the minute's or the day's are used up."""
        now = self._clock().astimezone(UTC)
        with self._lock:
            counts = []
            for period in self._most:
                name, used = self._used.get(period, ("", Counter()))
                if name != (current := now.strftime(period)):
                    name, used = self._used[period] = current, Counter()
                counts.append((used, self._most[period]))
            if any(used[partner] >= most for used, most in counts):
                return False
            for used, _ in counts:
                used[partner] += 1
            return True


class RefusalStanding:
    """The allowance of calls that are about nobody; beyond it they are RATE_LIMITED."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._allowance = Allowance(STANDING, STANDING_DAY, clock)

    def take(self, partner: str) -> None:
        """Use one; raises RateLimited."""
        if not self._allowance.take(partner):
            raise RateLimited


class Copies:
    """The allowance of copies of messages that were seen: each costs a verification and is answered or refused again.

    Each partner's last `REMEMBERED` messages are known from memory, so that a copy beyond the allowance is refused
    before it is verified, or the store read. Copies of older ones are counted once the store knows them.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], datetime]) -> None:
        self._buckets = Buckets(rate, burst)
        self._clock = clock
        self._known: dict[str, OrderedDict[bytes, bytes]] = {}
        self._lock = threading.Lock()

    def take(self, partner: str) -> None:
        """Use one; raises RateLimited."""
        if not self._buckets.take(partner, self._clock().timestamp()):
            raise RateLimited

    def knows(self, partner: str, message_id: bytes, transcript: bytes) -> bool:
        """Return whether these very bytes are remembered."""
        with self._lock:
            return self._known.get(partner, OrderedDict()).get(message_id) == transcript

    def remember(self, partner: str, message_id: bytes, transcript: bytes) -> None:
        """Remember an authentic message, whether it is answered or refused."""
        with self._lock:
            known = self._known.setdefault(partner, OrderedDict())
            known[message_id] = transcript
            known.move_to_end(message_id)
            if len(known) > REMEMBERED:
                known.popitem(last=False)


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
