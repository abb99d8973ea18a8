"""Each partner's share: tokens that refill with time, allowances, and turns at the work that fills a processor.

The cores take the time, or nothing, from outside: `Bucket` gets `now` in seconds of any one clock, `Turns`
only who comes and who goes. `Gate` is `Turns` with threads that wait. What no legal quota bounds, calls about nobody
and copies of messages, has an allowance.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from gateway.errors import RateLimited

RECENT: Final = (
    64  # calls; who began one of the last so many is there still, between two of its questions
)
LOOK: Final = 0.25  # seconds between looks at whether a waiting caller is still there
STANDING = 120  # calls of a partner in a minute to operations that no legal quota bounds
# And in a day: four follow-ups to each query of the largest agreement (4,384 a day)
STANDING_DAY = 20_000
REMEMBERED = 1024  # messages of a partner: more than it can have in doubt at once, 100 KiB


@dataclass(slots=True)
class Bucket:
    """A token bucket; a clock that is set back refills nothing.

    rate    tokens a second
    burst   tokens; as many as it holds, and what it begins with
    """

    rate: float
    burst: float
    at: float
    tokens: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin full."""
        self.tokens = self.burst

    def take(self, now: float) -> bool:
        """Use one token; False where there is none."""
        self._refill(now)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def charge(self, tokens: float, now: float) -> None:
        """Use up more tokens, there or not; the deficit is refilled within a second."""
        self._refill(now)
        self.tokens = max(-self.rate, self.tokens - tokens)

    def full(self, now: float) -> bool:
        """Return whether it is as a new one would be, and may be forgotten."""
        self._refill(now)
        return self.tokens >= self.burst

    def _refill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + max(0.0, now - self.at) * self.rate)
        self.at = now


class Buckets:
    """A bucket for each name; those that are full again are forgotten, so that the map stays as small as the traffic.

    most   names remembered at once; beyond it the one that was used least lately is forgotten
    """

    def __init__(self, rate: float, burst: float, most: int = 4096) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many names are remembered."""
        return len(self._buckets)

    def take(self, name: str, now: float) -> bool:
        """Use one token of `name`; False where it has none."""
        with self._lock:
            return self._of(name, now).take(now)

    def charge(self, name: str, tokens: float, now: float) -> None:
        """Use up more tokens of `name`, there or not."""
        with self._lock:
            self._of(name, now).charge(tokens, now)

    def _of(self, name: str, now: float) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            self._forget(now)
            bucket = self._buckets[name] = Bucket(self._rate, self._burst, now)
        self._buckets.move_to_end(name)
        return bucket

    def _forget(self, now: float) -> None:
        """Make room from the end that was used least lately."""
        while self._buckets:
            name, bucket = next(iter(self._buckets.items()))
            if len(self._buckets) < self._most and not bucket.full(now):
                return
            del self._buckets[name]


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


class Place:
    """One wait for a turn, and then the turn; `given` is set when it begins."""

    __slots__ = ("given", "who")

    def __init__(self, who: str) -> None:
        self.who = who
        self.given = threading.Event()


class Turns:
    """Who may work next: at most `most` at once, partner by partner in turn, first come first within one.

    Start-time fair queueing with pieces of one size: each turn moves its partner's tag on by one, the lowest tag is
    next, and who was away comes back at the tag that was served last. So whoever comes waits for the pieces that are
    being worked on, not for those that another partner brought before, and nobody who waits is passed over more than
    twice by any one of the others. Not for two threads.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: dict[str, deque[Place]] = {}
        self._tags: dict[str, int] = {}
        self._served = 0

    def come(self, who: str) -> Place:
        """Wait for a turn; it may be given at once."""
        place = Place(who)
        if who not in self._waiting:
            self._waiting[who] = deque()
            self._tags[who] = max(self._tags.get(who, 0), self._served)
        self._waiting[who].append(place)
        self._give()
        return place

    def go(self, place: Place) -> None:
        """End a turn, or stop waiting for one."""
        if place.given.is_set():
            self._free += 1
            self._give()
            return
        waiting = self._waiting[place.who]
        waiting.remove(place)
        if not waiting:
            del self._waiting[place.who]

    def _give(self) -> None:
        while self._free and self._waiting:
            who = min(self._waiting, key=self._tags.__getitem__)
            place = self._waiting[who].popleft()
            if not self._waiting[who]:
                del self._waiting[who]
            self._served = self._tags[who]
            self._tags[who] += 1
            # Who is away and behind would come back at the tag served last all the same.
            self._tags = {
                each: tag
                for each, tag in self._tags.items()
                if tag > self._served or each in self._waiting
            }
            self._free -= 1
            place.given.set()


class Lanes:
    """How many calls of a partner are under way at once, turns and waits for the disk together.

    As many as it brings while it is alone; one at a time while others come too, so that a commit, and the interpreter
    between two turns, is shared by partners and not by calls. Others count until so many calls came after theirs. Not
    for two threads.
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._waiting: dict[str, deque[Place]] = {}
        self._recent: deque[str] = deque(maxlen=RECENT)

    def come(self, who: str) -> Place:
        """Begin a call, or wait until it may begin."""
        place = Place(who)
        if self._may(who):
            self._begin(place)
        else:
            self._waiting.setdefault(who, deque()).append(place)
        return place

    def go(self, place: Place) -> None:
        """End a call, or stop waiting. Who waits has another call under way, whose end lets it begin."""
        if not place.given.is_set():
            self._waiting[place.who].remove(place)
        else:
            self._open[place.who] -= 1
            if not self._open[place.who]:
                del self._open[place.who]
        while (waiting := self._waiting.get(place.who)) and self._may(place.who):
            self._begin(waiting.popleft())
        if not self._waiting.get(place.who):
            self._waiting.pop(place.who, None)

    def _may(self, who: str) -> bool:
        alone = all(each == who for each in (*self._open, *self._recent))
        return alone or not self._open[who]

    def _begin(self, place: Place) -> None:
        self._open[place.who] += 1
        self._recent.append(place.who)
        place.given.set()


def processors() -> int:
    """Return how many processors this process may use."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return here or 1


def heavy_at_once() -> int:
    """Return how many pieces of heavy work may run at once: one less than the processors, for the disk and TLS."""
    return max(1, processors() - 1)


class Turn:
    """A partner's turn at the gate, which may be left while a disk is waited for, and entered again."""

    def __init__(self, gate: Gate, who: str) -> None:
        self._gate, self._who = gate, who
        self._lane: Place | None = None
        self._place: Place | None = None

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Leave the turn for one of the search processes', by turns among partners, and come back; nothing where there are none."""
        if not self._gate.searches:
            yield
            return
        self.leave()
        place = self._gate.wait_to_search(self._who)
        try:
            yield
        finally:
            self._gate.end_search(place)
            self.enter()

    def enter(self, patience: Callable[[], float] | None = None) -> bool:
        """Wait for a turn; False when `patience` says that no second is left. Without it, as long as it takes."""
        if self._lane is None:
            self._lane = self._gate.begin(self._who, patience)
            if self._lane is None:
                return False
        self._place = self._gate.wait(self._who, patience)
        return self._place is not None

    def leave(self) -> None:
        """Let the next one work; twice is as good as once."""
        place, self._place = self._place, None
        if place is not None:
            self._gate.go(place)

    def end(self) -> None:
        """End the call whose turns these were."""
        self.leave()
        lane, self._lane = self._lane, None
        if lane is not None:
            self._gate.end(lane)


class Gate:
    """Lets so many pieces of heavy work run at once, by turns among partners.

    Python runs one thread at a time, and gives each an equal part: without a gate a partner with eight calls under
    way takes eight ninths of the processor from one that has a single call.
    """

    def __init__(self, most: int, searches: int = 0) -> None:
        """Take how many pieces run at once in this process, and how many questions search processes have before them."""
        self.searches = searches
        self._turns = Turns(most)
        self._searches = Turns(searches)
        self._lanes = Lanes()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self, who: str) -> Iterator[Turn]:
        """Yield a turn that is not entered yet; it is left at the end, whatever happens."""
        one = Turn(self, who)
        try:
            yield one
        finally:
            one.end()

    def begin(self, who: str, patience: Callable[[], float] | None) -> Place | None:
        """Return the place of a call that may begin; None when no patience is left."""
        with self._lock:
            place = self._lanes.come(who)
        return place if _given(place, patience, self.end) else None

    def end(self, place: Place) -> None:
        """End a call, or stop waiting to begin one."""
        with self._lock:
            self._lanes.go(place)

    def wait_to_search(self, who: str) -> Place:
        """Return a place among the questions that search processes have before them."""
        with self._lock:
            place = self._searches.come(who)
        _given(place, None, self.end_search)
        return place

    def end_search(self, place: Place) -> None:
        """End a search, or stop waiting for one."""
        with self._lock:
            self._searches.go(place)

    def wait(self, who: str, patience: Callable[[], float] | None) -> Place | None:
        """Return a place whose turn it is; None when no patience is left."""
        with self._lock:
            place = self._turns.come(who)
        return place if _given(place, patience, self.go) else None

    def go(self, place: Place) -> None:
        """End a turn, or stop waiting for one."""
        with self._lock:
            self._turns.go(place)


def _given(
    place: Place, patience: Callable[[], float] | None, give_up: Callable[[Place], None]
) -> bool:
    """Wait until a place is given; give it up, and return False, when no patience is left."""
    while not place.given.is_set():
        left = LOOK if patience is None else patience()
        if left <= 0:
            give_up(place)
            return False
        place.given.wait(min(left, LOOK))
    return True
