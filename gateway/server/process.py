"""A process that serves until it is asked to end, or until a thread of it makes no progress; then it ends, however far it came."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway import telemetry
from gateway.config import Telemetry
from gateway.server import signals
from gateway.server.listener import file_descriptors
from gateway.server.process_hardening import forbid_core
from gateway.watchdog import EXIT_STUCK, Watchdog

GRACE = 30.0  # seconds that calls under way get when the gateway closes; the longest honest search is shorter
SWITCH = 0.0005  # seconds that a thread keeps the interpreter while others wait for it; Python's own is ten times that, and
# a call waits so long after each of its forty statements of SQL, whenever another partner's work is under way
TICK = 1.0  # seconds between two looks at which thread makes no progress
LAST = GRACE + 15.0  # seconds from the signal on; then the process is ended however far it came
LAST_STARTING = 5.0  # seconds, of a process that does not serve yet
LAST_STUCK = 20.0  # seconds, of a process in which a thread makes no progress


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway listens; ports as bound, 0 where it does not."""

    exchange: int
    health: int
    metrics: int
    admin: int


class Service(Protocol):
    """What a process serves."""

    def start(self) -> Addresses:
        """Open the listeners and return where they are; raises UserError where that is not possible."""
        ...

    def start_jobs(self) -> None:
        """Begin the periodic jobs."""
        ...

    def report_stuck(self, names: list[str]) -> None:
        """Tell which threads make no progress, in a bounded time."""
        ...

    def stop(self) -> None:
        """Finish the calls under way, take no more, record the end."""
        ...


def run(
    service: Service,
    watchdog: Watchdog,
    telemetry_settings: Telemetry,
    ready: Callable[[Addresses], None],
) -> int:
    """Serve until SIGTERM or SIGINT, or until a thread of ours makes no progress; return what the process is to end with.

    `ready` gets the addresses once the listeners are open. For the main thread of a process that ends with it: whoever
    gets the signal does nothing else, and an end that does not come to its own is cut.
    """
    forbid_core()
    telemetry.set_levels(telemetry_settings.level, telemetry_settings.access)
    file_descriptors.raise_limit()
    sys.setswitchinterval(SWITCH)
    with signals.heard(_leave) as asked_to_end:
        addresses = service.start()
        # What a start leaves behind stays until the end; each look of the collector at all of it takes a tenth of
        # a second, in which no call is answered.
        gc.collect()
        gc.freeze()
        asked_to_end(0.0)  # from here on a signal is waited for, and the end is recorded
        ready(addresses)
        service.start_jobs()
        stuck: list[str] = []
        while not stuck and not asked_to_end(TICK):
            stuck = watchdog.late(time.monotonic())
        end_at_last(LAST_STUCK if stuck else LAST)
        if stuck:
            service.report_stuck(stuck)
        service.stop()
    return EXIT_STUCK if stuck else 0


def in_parallel(seconds: float, works: Mapping[str, Callable[[], object]]) -> list[str]:
    """Do several things at once, each in a thread of its own; return what was not done in time, or failed."""
    done: set[str] = set()

    def one(name: str, work: Callable[[], object]) -> None:
        try:
            work()
            done.add(name)
        except Exception as error:  # noqa: BLE001 - the others are done all the same
            telemetry.logger("serving").error("step_failed", state=name, kind=type(error).__name__)

    threads = [
        threading.Thread(target=one, args=item, name=f"end-{item[0]}", daemon=True)
        for item in works.items()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [name for name in works if name not in done]


def _leave() -> None:
    """End a process that was asked to while it starts: its records are complete, and it answered nobody yet."""
    end_at_last(LAST_STARTING)
    raise SystemExit(0)


def end_at_last(seconds: float) -> None:
    """End this process when the time is up, whatever it waits for then; a thread without progress may delay its end."""
    timer = threading.Timer(seconds, os._exit, (EXIT_STUCK,))
    timer.daemon = True
    timer.start()
