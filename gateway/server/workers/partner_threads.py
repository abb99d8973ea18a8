"""Turns of partners on a few threads: one partner has one thread at a time, and nobody waits behind another's queue.

A partner whose turn takes long, hangs or fails holds its own thread alone. As many partners as there are threads have
to hang at once before a further one waits, and then no longer than a turn takes; whoever was just served goes to the
end of the line.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from gateway import telemetry

_log = telemetry.logger("partner_threads")


class PartnerThreads:
    """A line of partners that wait for a thread; threads are made as they are needed, up to a limit."""

    def __init__(self, name: str, take: Callable[[str], None], most: int) -> None:
        """Prepare; `take` gives a partner its turn, `most` is how many threads there may be."""
        self._name, self._take, self._most = name, take, most
        self._changed = threading.Condition()
        self._line: deque[str] = deque()
        self._taken: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._ended = False

    def offer(self, partner: str) -> bool:
        """Put a partner in line; False where it is there already, has its turn now, or nobody could serve it."""
        with self._changed:
            if self._ended or partner in self._taken or partner in self._line:
                return False
            if self._idle <= len(self._line) and len(self._threads) < self._most:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as fault:  # this machine has none now
                    _log.error("thread_missing", partner=partner, kind=type(fault).__name__)
                    if not self._threads:
                        return False
                else:
                    self._threads.append(thread)
            self._line.append(partner)
            self._changed.notify()
            return True

    def stop(self, within: float) -> bool:
        """Take nobody any more; wait so many seconds for turns under way. Return whether they ended."""
        with self._changed:
            self._ended = True
            self._line.clear()
            self._changed.notify_all()
        until = time.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (partner := self._next()) is not None:
            try:
                self._take(partner)
            except Exception as fault:  # noqa: BLE001 - its next turn comes all the same
                _log.error("turn_failed", partner=partner, kind=type(fault).__name__)
            finally:
                with self._changed:
                    self._taken.discard(partner)

    def _next(self) -> str | None:
        with self._changed:
            self._idle += 1
            while not self._line and not self._ended:
                self._changed.wait()
            self._idle -= 1
            if self._ended:
                return None
            partner = self._line.popleft()
            self._taken.add(partner)
            return partner
