"""The periodic jobs of a gateway that serves: a table, in the order in which a round runs them.

Each runs alone: what one raises is logged by its name and counted, and all the others run. A job that fails in
several rounds in a row is an ALARM until a round of it succeeds. Where several processes work over one store, each job
is done by the one that has its lease, but for those by which a process looks after itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from gateway import telemetry
from gateway.monitoring.alarms import LatchedAlarms
from gateway.store.leases import Leases
from gateway.watchdog import Watchdog

Job = tuple[str, Callable[[], object]]  # name, what it does in one round

ROUND = 30.0  # seconds between two rounds
STOPPING: Final = (
    3.0  # seconds that a stop waits for the round under way; each step of it can be cut
)
PERSISTS: Final = 3  # failures in a row that are an ALARM: a minute and a half, no passing trouble
PREFIX: Final = "JOB/"  # of the alarms' names

# Every process does these: they look after its own keys in memory, workers, listeners, agreements, counts and gauges.
OF_EACH_PROCESS: Final = frozenset(
    {
        "own_keys",
        "tiles",
        "readiness",
        "listeners",
        "admin_address",
        "agreements",
        "refusals",
        "alarms",
    }
)

_log = telemetry.logger("jobs")


class JobThread:
    """The thread in which the rounds run; `work` runs one, and is given what says that the thread goes on."""

    def __init__(self, work: Callable[[Callable[[str], None]], None], watchdog: Watchdog) -> None:
        self._work, self._watchdog = work, watchdog
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first round comes after `ROUND` seconds."""
        self._thread = threading.Thread(target=self._run, name="rounds", daemon=True)
        self._thread.start()

    def ask_to_end(self) -> None:
        """Begin no further round."""
        self._stop.set()

    def stop(self) -> None:
        """Wait some seconds for the round under way; idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOPPING)
            if self._thread.is_alive():
                _log.error("thread_left_behind", state=self._thread.name)

    def _run(self) -> None:
        with self._watchdog.watching("rounds"):
            while not self._watchdog.rest(self._stop, ROUND):
                try:
                    self._work(lambda _: self._watchdog.beat())
                except Exception as error:  # noqa: BLE001 - a round that fails is not the end of the gateway
                    _log.error("round_failed", kind=type(error).__name__)


class Jobs:
    """Runs a table of jobs, round by round; for one thread."""

    def __init__(self, table: Sequence[Job], alarms: LatchedAlarms, leases: Leases) -> None:
        self._table, self._alarms, self._leases = tuple(table), alarms, leases
        self._failed: dict[str, int] = {}  # in a row, by name
        self._looked: set[str] = set()  # whose alarm of an earlier process was ended, if it stood

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the jobs, in their order."""
        return tuple(name for name, _ in self._table)

    def run(self, alive: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
        """Run every job once that is this process's to do; return the names of those that failed.

        alive   is called with each job's name before it begins, and once more with an empty name at the end: whoever
                watches that the round goes on knows from it where the round is
        """
        failed = []
        for name, work in self._table:
            alive(name)
            try:
                if name not in OF_EACH_PROCESS and not self._leases.holds(name):
                    continue  # whoever has the lease does it, and says how it goes
                work()
            except Exception as fault:  # noqa: BLE001 - the other jobs run all the same
                failed.append(name)
                self._fail(name, type(fault).__name__)
            else:
                self._succeed(name)
        alive("")
        return tuple(failed)

    def _fail(self, name: str, kind: str) -> None:
        times = self._failed[name] = self._failed.get(name, 0) + 1
        telemetry.count_job_failure(name, kind)
        _log.error("job_failed", operation=name, kind=kind, count=times)
        if times >= PERSISTS:
            self._alarm(lambda: self._alarms.begin(PREFIX + name, kind))

    def _succeed(self, name: str) -> None:
        if self._failed.pop(name, 0) or name not in self._looked:
            self._looked.add(name)
            self._alarm(lambda: self._alarms.end(PREFIX + name))

    def _alarm(self, say: Callable[[], None]) -> None:
        try:
            say()
        except Exception as fault:  # noqa: BLE001 - the log has said it; the next round says it again
            _log.error("alarm_unrecorded", kind=type(fault).__name__)
