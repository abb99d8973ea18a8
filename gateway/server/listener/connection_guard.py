"""Watches the connections of our listeners from outside the library that holds them, and cuts what `connections` names.

gRPC's Python has no say at accept, and its C core no limit by address. But each connection is a descriptor of this very
process: the system says whose it is, and shuts it down for us. Twice a second:

(1) who was identified since the last look, as the interceptor reported it
(2) each socket of ours that one of our ports accepted, by its inode
(3) what is too much → shut down, on the library's own descriptor, which the library then closes

Never on a second descriptor of it: the kernel keeps a connection in the library's poll set until the last one is closed,
and the library, which has closed its own by then, would get what it no longer has.
So between the last look and the shutting down a descriptor may become another connection's. That one is cut instead,
and its owner connects again; a file is not touched. It takes no descriptor, so it works where none is left.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from gateway import telemetry
from gateway.server.listener import file_descriptors
from gateway.server.listener.connection_limits import (
    Connection,
    Limits,
    Peer,
    Why,
    peer_named,
    peer_of,
    to_shed,
)
from gateway.watchdog import Watchdog

EVERY: Final = 0.5  # seconds between looks; an unidentified caller from one address has that long to fill the listener
TOLD: Final = 60.0  # seconds between two lines of the log about what was cut; the metrics have each

_log = telemetry.logger("connections")


class Guard:
    """Knows the connections of the listeners given to it. `identified` may be called from any thread."""

    def __init__(
        self,
        watchdog: Watchdog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        clock   monotonic seconds
        """
        self._watchdog, self._clock = watchdog, clock
        self._limits: dict[str, Limits] = {}
        self._ports: dict[int, str] = {}
        self._known: dict[int, Connection] = {}
        self._other: set[int] = set()  # sockets of ours that no listener accepted
        self._marks: dict[Peer, str] = {}
        self._lock = threading.Lock()
        self._cut: Counter[tuple[str, Why]] = Counter()  # since the last line of the log
        self._told = -TOLD
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def protect(self, listener: str, port: int, limits: Limits) -> None:
        """Look after one listener from the next look on."""
        self._limits[listener] = limits
        self._ports[port] = listener

    def identified(self, peer: str, who: str = "") -> None:
        """Say that a call passed identification; never waits for anybody outside.

        peer   as gRPC names it
        who    whose connections are counted together; "" = all that were identified from that address
        """
        named = peer_named(peer)
        if named is not None:
            with self._lock:
                self._marks[named] = who or named.address

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; idempotent."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def look(self) -> Mapping[int, Why]:
        """Look once and cut what is too much; return what that was, by inode."""
        with self._lock:
            marks, self._marks = self._marks, {}
        used, now = file_descriptors.in_use(), self._clock()
        numbers = self._see(used, now)
        for key, one in self._known.items():
            if who := marks.get(one.peer):
                self._known[key] = replace(one, who=who, heard=now)
        excess = file_descriptors.excess(len(used), file_descriptors.limit())
        shed = to_shed(self._known.values(), self._limits, now, excess)
        for key, why in shed.items():
            if _shut(numbers[key], key):
                self._cut[self._known[key].listener, why] += 1
                telemetry.count_shed(self._known[key].listener, why)
        here = Counter(one.listener for one in self._known.values())
        telemetry.show_connections({name: here[name] for name in self._limits})
        self._log_counts(now)
        return shed

    def _run(self) -> None:
        with self._watchdog.watching("guard"):
            while not self._watchdog.rest(self._stop, EVERY):
                try:
                    self.look()
                except Exception as error:  # noqa: BLE001 - the next look comes all the same
                    _log.error("look_failed", kind=type(error).__name__)

    def _see(self, used: list[int], now: float) -> dict[int, int]:
        """Bring what is known up to date; return the descriptor of each connection, by inode."""
        numbers: dict[int, int] = {}
        others: set[int] = set()
        known: dict[int, Connection] = {}
        for number in used:
            inode = _inode(number)
            if inode == 0:
                continue
            if inode in self._other:
                others.add(inode)
                continue
            one = self._known.get(inode) or self._accepted(number, inode, now)
            if one is None:
                others.add(inode)
            else:
                known[inode], numbers[inode] = one, number
        self._known, self._other = known, others
        return numbers

    def _accepted(self, number: int, inode: int, now: float) -> Connection | None:
        """Return the connection behind a descriptor; None where none of our listeners accepted it."""
        ends = _ends(number)
        if ends is None or _inode(number) != inode:
            return None
        port, peer = ends
        listener = self._ports.get(port)
        return None if listener is None else Connection(inode, listener, peer, now, now)

    def _log_counts(self, now: float) -> None:
        if not self._cut or now - self._told < TOLD:
            return
        for (listener, why), count in sorted(self._cut.items()):
            _log.warning("connections_cut", address=listener, reason=why.value, count=count)
        self._cut.clear()
        self._told = now


def _inode(number: int) -> int:
    """Return what the system calls a socket; 0 for a descriptor that is none."""
    try:
        found = os.fstat(number)
    except OSError:
        return 0
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0


def _ends(number: int) -> tuple[int, Peer] | None:
    """Return our port and the other end of a TCP connection; None for any other socket."""
    try:
        looked = socket.socket(fileno=number)
    except OSError:
        return None
    try:
        if looked.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        ours, theirs = looked.getsockname(), looked.getpeername()
    except OSError:
        return None
    finally:
        looked.detach()  # it is not ours to close
    return ours[1], peer_of(theirs[0], theirs[1])


def _shut(number: int, inode: int) -> bool:
    """Shut a connection down, if it is still the one that was seen; return whether it was."""
    try:
        held = socket.socket(fileno=number)
    except OSError:  # it ended meanwhile
        return False
    try:
        if _inode(number) != inode:
            return False
        held.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    finally:
        held.detach()
    return True
