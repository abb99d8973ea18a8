"""Asks the time stamp authority from a thread of its own, so that its network never holds anything else up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLCertVerificationError
from typing import Final
from urllib.parse import urlsplit

from gateway import telemetry
from gateway.ledger import timestamp
from gateway.ledger_ops.timestamps import Timestamps
from gateway.store.leases import Leases
from gateway.watchdog import Watchdog

EVERY: Final = 30.0  # seconds between two looks whether a stamp is due
LONGEST: Final = 20.0  # seconds for an answer
RESOLVES: Final = 300.0  # seconds without a sign of life: the system's resolver, and LONGEST for each address it names
STOPPING: Final = 3.0  # seconds that a question gets to end once it was cut
HEADERS: Final = {
    "Content-Type": "application/timestamp-query",
    "Accept": "application/timestamp-reply",
    "Connection": "close",
}

_log = telemetry.logger("timestamps")


class Cancellation:
    """Ends what is under way on connections, from another thread; from then on nothing is asked over them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cuts: set[Callable[[], None]] = set()
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether everything was cut."""
        return self._ended

    def begin(self) -> None:
        """Let connections be used, again."""
        self._ended = False

    def cut(self) -> None:
        """Cut every connection, and those that are made from now on."""
        with self._lock:
            self._ended = True
            cuts = tuple(self._cuts)
        for each in cuts:
            each()

    @contextmanager
    def over(self, cut: Callable[[], None]) -> Iterator[None]:
        """Have a connection be cut while this lasts; it is at once where all was."""
        with self._lock:
            self._cuts.add(cut)
            ended = self._ended
        if ended:
            cut()
        try:
            yield
        finally:
            with self._lock:
                self._cuts.discard(cut)


class TimestampWorker:
    """Walks until it is stopped."""

    def __init__(
        self,
        timestamps: Timestamps,
        cancellation: Cancellation,
        watchdog: Watchdog,
        leases: Leases,
    ) -> None:
        """Prepare; `cancellation` ends the question under way."""
        self._timestamps, self._cancellation, self._watchdog = timestamps, cancellation, watchdog
        self._leases = leases
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._stop.clear()
        self._cancellation.begin()
        self._thread = threading.Thread(target=self._run, name="stamper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cut the question under way and end within some seconds; idempotent."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._cancellation.cut()
        thread.join(STOPPING)
        if thread.is_alive():
            # It waits for a connection; what comes of it is not recorded.
            _log.error("thread_left_behind", state=thread.name)
        else:
            self._cancellation.begin()

    def _run(self) -> None:
        with self._watchdog.watching("stamper", RESOLVES):
            while True:
                try:
                    if self._leases.holds("stamper"):
                        self._timestamps.round(self._stop.is_set)
                except Exception as error:  # noqa: BLE001 - the next look comes all the same
                    _log.error("stamping_failed", kind=type(error).__name__)
                if self._watchdog.rest(self._stop, EVERY):
                    return


def post(
    address: str, request: bytes, longest: float = LONGEST, cancellation: Cancellation | None = None
) -> bytes:
    """Ask over HTTP (RFC 3161 section 3.4); raises OSError. Whatever comes is checked by who asked.

    longest   seconds until the road is cut: an authority that sends a byte now and then would hold us for days
    cutter    ends it sooner, from another thread

    No redirection is followed and no proxy taken from the environment: who is asked is who the settings name.
    """
    try:
        target = urlsplit(address)
        kind = HTTPSConnection if target.scheme == "https" else HTTPConnection
        road = kind(target.hostname or "", target.port, timeout=longest)
        with closing(road):
            road.connect()
            with _cut(road.sock, longest, cancellation or Cancellation()) as late:
                path = f"{target.path or '/'}{'?' if target.query else ''}{target.query}"
                road.request("POST", path, request, HEADERS)
                answer = road.getresponse()
                octets = answer.read(timestamp.MOST + 1)
    except (OSError, HTTPException, ValueError) as fault:
        raise OSError(f"the authority does not answer: {_why(fault)}") from None
    if late.is_set() or (
        cancellation is not None and cancellation.ended
    ):  # what was cut may look like an answer that is short
        raise OSError("the authority does not answer in time")
    if answer.status != HTTPStatus.OK:
        more = (
            ", and no redirection is followed: name where it leads"
            if 300 <= answer.status < 400
            else ""
        )
        raise OSError(f"the authority does not answer with a stamp: HTTP {answer.status}{more}")
    return octets


def _why(fault: Exception) -> str:
    """Return in words why nobody answered: the system's, else the kind of fault."""
    if isinstance(fault, SSLCertVerificationError):
        return f"its TLS certificate is not one that this machine trusts ({fault.verify_message})"
    if isinstance(fault, TimeoutError):
        return "it was silent"
    words = fault.strerror if isinstance(fault, OSError) else None
    return words or type(fault).__name__


@contextmanager
def _cut(
    road: socket.socket, longest: float, cancellation: Cancellation
) -> Iterator[threading.Event]:
    """Shut the road down when the time is up, whatever is under way on it; the event says that it was."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            road.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(longest, cut)
    timer.daemon = True
    timer.start()
    try:
        with cancellation.over(cut):
            yield late
    finally:
        timer.cancel()
