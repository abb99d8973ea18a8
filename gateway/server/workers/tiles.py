"""Publishes in a thread of its own while the gateway serves, and says when it is behind.

A disk for files that is full, slow or gone stops no answer at once: an alarm, a countdown, then
EVIDENCE_OVERDUE. What hangs without an error is noticed by the rounds, which ask `look`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway import config, telemetry, user_files
from gateway.errors import PasserelleError, UserError
from gateway.ledger.tiles import new_since
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.ledger_ops.tile_publisher import AnotherPublishes, Publisher
from gateway.store.address import open_store
from gateway.store.engine import StorageEngine
from gateway.store.leases import Leases
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from gateway.watchdog import Watchdog

EVERY: Final = (
    2.0  # seconds between two looks; each makes at most one checkpoint and its partial tiles
)
BEHIND: Final = 60.0  # seconds of silence; who catches up with a day's entries says so at each file
HANGS: Final = (
    600.0  # seconds; silence is an alarm after BEHIND, but a disk may come back, and answers go on
)
STOPPING: Final = 3.0  # seconds that a stop waits for the file under way
KIND: Final = "TILES"
PATIENCE, PAUSE = (
    20,
    0.25,
)  # attempts of a command, and seconds between: a step of the gateway is shorter

_log = telemetry.logger("tiles")


class TileWorker:
    """Works until it is stopped; a step that fails is reported, and the next one comes all the same."""

    def __init__(
        self,
        publisher: Publisher,
        deadline: EvidenceDeadline,
        clock: Callable[[], datetime],
        watchdog: Watchdog,
        leases: Leases,
    ) -> None:
        self._publisher, self._deadline, self._clock = publisher, deadline, clock
        self._watchdog, self._leases = watchdog, leases
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._fine = time.monotonic()  # no step of the clock looks like a file that is late
        self._fault = ""
        self._hung = False

    def start(self) -> None:
        """Begin to publish."""
        self._fine = time.monotonic()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the file under way; a disk that hangs is not waited for. Idempotent."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(STOPPING)
        if thread is not None and thread.is_alive():
            self._hung = True
            _log.error("thread_left_behind", state=thread.name)
            return
        self._stop.clear()

    def finish(self) -> None:
        """Publish what was recorded last, once nothing more will be; a failure is reported and no more.

        Whatever is not on disk in a while is left to the next start.
        """
        if self._hung:
            return
        last = threading.Thread(target=self._publish, name="publisher", daemon=True)
        last.start()
        last.join(STOPPING)
        if last.is_alive():
            self._stop.set()  # after the file under way
            _log.error("thread_left_behind", state=last.name)

    def step(self) -> None:
        """Publish what is new; what prevents it is reported and counted down, never raised."""
        self._publish()
        self.look()

    def _publish(self) -> None:
        try:
            if self._leases.holds(
                "publisher"
            ):  # else whoever has the lease publishes, and is late or not
                self._publisher.publish(stopped=self._stop.is_set, progress=self._still_going)
        except AnotherPublishes:
            pass  # our work is being done; where it never ends, that is silence
        except (PasserelleError, OSError) as fault:
            self._fault = type(fault).__name__
            _log.error("publishing_failed", kind=self._fault, reason=_reason(fault))
        else:
            self._fault, self._fine = "", time.monotonic()

    def look(self) -> None:
        """Say whether files are late: after a failure at once, after silence in a minute."""
        now, silent = self._clock(), time.monotonic() - self._fine
        if self._fault or silent > BEHIND:
            since = now - timedelta(seconds=silent)
            self._deadline.late(KIND, since, now, self._fault or "SILENT")
        else:
            self._deadline.settled(KIND)

    def _still_going(self, _: int) -> None:
        self._watchdog.beat()
        if not self._fault:  # after a failure only a published checkpoint is good news
            self._fine = time.monotonic()

    def _run(self) -> None:
        with self._watchdog.watching("publisher", HANGS):
            while True:
                try:
                    self.step()
                except Exception as error:  # noqa: BLE001 - a step that fails is not the end of the gateway
                    self._fault = type(error).__name__
                    _log.error("publishing_failed", kind=self._fault)
                if self._watchdog.rest(self._stop, EVERY):
                    return


def publish(home: Path, progress: Callable[[int], None]) -> tuple[Path, int]:
    """Publish a folder's whole ledger, repairing what is there; return where, and how many entries.

    Raises InternalError and UserError as `Publisher.publish` does, and UserError where the disk does not take it.
    """
    with _opened(home) as (folder, database):
        publisher = Publisher(folder, database, lambda: own_bundle(home).log)
        try:
            for _ in range(PATIENCE):
                with suppress(AnotherPublishes):
                    return folder, publisher.publish(whole=True, progress=progress)
                time.sleep(PAUSE)
            return folder, publisher.publish(whole=True, progress=progress)
        except OSError as error:
            if user_files.is_full(error):
                raise UserError(user_files.no_room(folder)) from None
            raise UserError(f"{folder} cannot be written: {user_files.why(error)}") from None


def count(home: Path) -> int:
    """Return how many tiles a folder's ledger has now."""
    with _opened(home) as (_, database), database.reader() as reader:
        size = stored_ledger.extent(reader)[1]
    return sum(1 for _ in new_since(0, size))


@contextmanager
def _opened(home: Path) -> Iterator[tuple[Path, StorageEngine]]:
    settings = config.load(home)
    with closing(open_store(settings.store.path)) as database:
        yield settings.evidence.tiles, database


def _reason(fault: BaseException) -> str:
    """Return what can be logged: the disk's own word, or ours; both name no person."""
    return (fault.strerror or "") if isinstance(fault, OSError) else str(fault)
