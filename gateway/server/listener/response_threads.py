"""Threads that answer, and one that lets answers leave at their moment; an answer that waits holds neither."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final

from gateway import telemetry
from gateway.exchange.response_timing import Departures

MOST_THREADS: Final = (
    1024  # made when needed: 128 partners with eight places each have one for each call
)


class Workers:
    """Does work in threads, at once or at a moment of the monotonic clock.

    Whoever gives work here has a place for it (`Admission`), so that what one partner brings never waits for a
    thread that another partner's reader holds.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix=f"{name}-calls")
        self._departures = Departures()
        self._changed = threading.Condition()
        self._busy = 0
        self._ended = self._shut = False
        self._at: object = None  # which work the scheduler hands on now
        self._log = telemetry.logger("answering")
        self._scheduler = threading.Thread(
            target=self._schedule, name=f"{name}-departures", daemon=True
        )
        self._scheduler.start()

    @property
    def waiting(self) -> int:
        """How much work waits for its moment."""
        return len(self._departures)

    def sign(self) -> object:
        """Return the scheduler's sign of life: None while it waits, always the same once an error ended it."""
        return self._at if self._scheduler.is_alive() or self._ended else "ended"

    def do(self, work: Callable[[], None]) -> bool:
        """Do work as soon as there is a thread; False where it is too late for that.

        Where no thread can be made now, the pool keeps the work, and the next thread that is free takes it.
        """
        with self._changed:
            if self._ended:
                return False
            self._busy += 1
        try:
            self._pool.submit(self._run, work)
        except RuntimeError as error:
            with self._changed:
                if self._shut:  # it was not kept
                    self._busy -= 1
                    return False
            self._log.error("thread_missing", kind=type(error).__name__)
        return True

    def do_at(self, moment: float, work: Callable[[], None]) -> None:
        """Do work at a moment; what still waits at the end is not done."""
        with self._changed:
            if self._departures.add(moment, work):
                self._changed.notify_all()

    def stop(self, grace: float) -> bool:
        """Take no more work, and wait so many seconds for what is under way; return whether all of it ended."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            over = self._changed.wait_for(lambda: not self._busy, grace)
            self._shut = True
        self._scheduler.join()
        self._pool.shutdown(wait=False)
        return over

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it was, the thread is needed for others
            self._log.error("work_failed", kind=type(error).__name__)
        finally:
            with self._changed:
                self._busy -= 1
                if self._ended:
                    self._changed.notify_all()

    def _schedule(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                now = monotonic()
                due = self._departures.due(now)
                if not due:
                    self._changed.wait(self._departures.pause(now))
            for work in due:
                self._at = work
                try:
                    self.do(work)
                except Exception as error:  # noqa: BLE001 - whatever it was, others wait for their moment
                    self._log.error("departure_failed", kind=type(error).__name__)
            self._at = None
