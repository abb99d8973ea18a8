"""What callers may ask of a listener: each partner its rate and its places, each address its refusals.

Moments are seconds of the monotonic clock, and come from outside.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Final

from gateway.errors import RateLimited, TooManyCalls
from gateway.exchange.rate_limits import Bucket, Buckets

REFUSED: Final = 20  # calls that one costs whose message was read and refused: with 200 calls a second, ten such a second
ADDRESSES: Final = 10  # times the share of one address that all unidentified callers have together


@dataclass(frozen=True, slots=True)
class Limits:
    """What one partner may ask of a listener at once, and what an address may whose caller is not identified.

    calls        places: calls under way, from the first look at the message until the answer was taken; more are
                 refused, not queued
    rate, burst  calls per second, calls; a token bucket
    shortest     seconds; less time than this is not worth beginning (protocol 12)
    longest      seconds
    unidentified_rate, unidentified_burst   refusals per second, refusals: of one address
    unidentified_open                       refusals that one address has not taken; beyond it calls are reset
    refused      calls that one costs whose message was read and refused
    """

    calls: int
    rate: float
    burst: int
    shortest: float
    longest: float
    unidentified_rate: float = 10.0
    unidentified_burst: int = 50
    unidentified_open: int = 64
    refused: int = REFUSED


class Admission:
    """Admits identified callers; raises where their share is used up."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buckets = Buckets(limits.rate, limits.burst)
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def spend(self, partner: str, now: float) -> None:
        """Count one call; raises RateLimited."""
        if not self._buckets.take(partner, now):
            raise RateLimited

    def charge(self, partner: str, now: float) -> None:
        """Count a refused message: it was read, verified perhaps and recorded, and brings its sender nothing.

        Whoever sends many is soon refused before their messages are read.
        """
        self._buckets.charge(partner, self._limits.refused - 1, now)

    def take_place(self, partner: str) -> None:
        """Take one of the partner's places; raises TooManyCalls."""
        with self._lock:
            if self._taken[partner] >= self._limits.calls:
                raise TooManyCalls
            self._taken[partner] += 1

    def free_place(self, partner: str) -> None:
        """Give a place back; a partner without calls is forgotten."""
        with self._lock:
            self._taken[partner] -= 1
            if not self._taken[partner]:
                del self._taken[partner]

    def taken(self, partner: str) -> int:
        """Return how many places a partner has taken."""
        with self._lock:
            return self._taken.get(partner, 0)


class Unidentified:
    """How many refusals are spent on callers of whom nobody knows who they are: by address, and in all."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._by_address = Buckets(limits.unidentified_rate, limits.unidentified_burst)
        self._together = Bucket(
            ADDRESSES * limits.unidentified_rate, ADDRESSES * limits.unidentified_burst, now
        )
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def spend(self, address: str, now: float) -> None:
        """Count one refusal; raises RateLimited."""
        # Its own share first: one address that floods must not use up what is for all of them.
        if not self._by_address.take(address, now):
            raise RateLimited
        with self._lock:
            if not self._together.take(now):
                raise RateLimited

    def begin(self, address: str) -> bool:
        """Count one refusal that is on its way; False where an address takes none of those it has."""
        with self._lock:
            if self._open[address] >= self._limits.unidentified_open:
                return False
            self._open[address] += 1
            return True

    def end(self, address: str) -> None:
        """Say that a refusal was taken, or that its stream ended."""
        with self._lock:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
