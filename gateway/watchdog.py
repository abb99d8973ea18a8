"""Notices a thread of ours that does not come round, within a minute, so that the process is ended and started anew.

Each watched thread says that it goes on: between two steps of its work, at each commit it made, and while it waits for
its next turn. A thread that says nothing for longer than its patience makes no progress, whatever it waits for.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

EXIT_STUCK: Final = 75  # sysexits.h EX_TEMPFAIL: a thread stood still, or the end did; start again
SLICE: Final = 1.0  # seconds between two signs of life of a thread that waits for its turn
STEP: Final = 5.0  # seconds between two looks that count at most: a machine that slept is not a thread without progress
FRAMES: Final = 8  # innermost functions that are named of a thread without progress

Sign = object  # whatever changes while a thread goes on; None while it has nothing to do


class Patience:
    """How long each thread has given no new sign. Pure: the signs and the time are handed in."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._ran = 0.0  # seconds that we were seen to run
        self._seen: dict[str, tuple[Sign, float]] = {}

    def look(
        self, signs: Mapping[str, Sign], patience: Callable[[str], float], now: float
    ) -> list[str]:
        """Return who has given no new sign for longer than their patience, in seconds.

        now   monotonic seconds; of a step longer than STEP the rest does not count
        """
        self._ran += min(max(0.0, now - (now if self._last is None else self._last)), STEP)
        self._last = now
        seen = {}
        for name, sign in signs.items():
            before = self._seen.get(name)
            same = before is not None and sign is not None and before[0] == sign
            seen[name] = before if same and before is not None else (sign, self._ran)
        self._seen = seen
        return [name for name, (_, since) in seen.items() if self._ran - since > patience(name)]


class Watchdog:
    """Collects the signs of life. `beat` costs nothing, and nothing at all in a thread that is not watched."""

    def __init__(self, patience: float) -> None:
        """Prepare.

        patience   seconds, of every thread that asks for no other
        """
        self._default = patience
        self._others: dict[str, float] = {}
        self._names: dict[int, str] = {}
        self._beats: dict[str, int] = {}
        self._signs: dict[str, Callable[[], Sign]] = {}
        self._tick = count(1)
        self._core = Patience()
        self._lock = threading.Lock()

    @contextmanager
    def watching(self, name: str, patience: float = 0.0) -> Iterator[None]:
        """Watch the calling thread while the block runs; longer than by default where `patience` is."""
        ident = threading.get_ident()
        with self._lock:
            self._names[ident], self._beats[name] = name, next(self._tick)
            self._others[name] = max(self._default, patience)
        yield  # a thread that an error ended stays watched: its silence is noticed
        with self._lock:
            self._names.pop(ident, None)
            self._beats.pop(name, None)

    def also(self, name: str, sign: Callable[[], Sign]) -> None:
        """Watch what gives a sign itself: None while it has nothing to do, and another with each piece of work."""
        self._signs[name] = sign

    def beat(self) -> None:
        """Say that the calling thread goes on."""
        name = self._names.get(threading.get_ident())
        if name is not None:
            self._beats[name] = next(self._tick)

    def rest(self, asked: threading.Event, seconds: float) -> bool:
        """Wait for an event as `Event.wait` does, and go on giving signs meanwhile."""
        left = seconds
        while left > 0:
            self.beat()
            if asked.wait(min(left, SLICE)):
                return True
            left -= SLICE
        self.beat()
        return asked.is_set()

    def hold(self, lock: threading.Lock | threading.RLock) -> None:
        """Take a lock, and go on giving signs while another thread has it: that one is watched itself."""
        while not lock.acquire(timeout=SLICE):
            self.beat()

    def late(self, now: float) -> list[str]:
        """Return which threads make no progress, at a moment of a monotonic clock; to be asked once a second, by one thread."""
        with self._lock:
            signs: dict[str, Sign] = dict(self._beats)
        signs |= {name: sign() for name, sign in self._signs.items()}
        return self._core.look(signs, lambda name: self._others.get(name, self._default), now)

    def where(self, name: str) -> str:
        """Return in which functions a thread is, the innermost first: names of our code, and nothing it works on."""
        ident = next((one for one, known in self._names.items() if known == name), 0)
        ident = ident or next(
            (one.ident or 0 for one in threading.enumerate() if one.name == name), 0
        )
        frame = sys._current_frames().get(ident)  # noqa: SLF001 - the only way to ask
        names: list[str] = []
        while frame is not None and len(names) < FRAMES:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        return "<".join(names)
