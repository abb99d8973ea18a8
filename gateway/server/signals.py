"""How a process that serves learns that it is to end.

A handler of Python's runs when the main thread next runs Python. A signal that another thread took, or that
came just before the main thread fell asleep, wakes nobody: the gateway would end at its next round. So what the
interpreter's own handler writes into a descriptor at once is what is waited for (`signal.set_wakeup_fd`).
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def heard(early: Callable[[], None] = lambda: None) -> Iterator[Callable[[float], bool]]:
    """Take SIGTERM and SIGINT, and yield what waits for one: for so many seconds, and whether one came.

    early   is called, once, in the main thread for a signal that comes before anybody waits; it may raise

    For the main thread alone. Both stay taken afterwards: a gateway that closes is not hurried by a second one.
    """
    ear, mouth = socket.socketpair()
    with ear, mouth:
        mouth.setblocking(False)
        waited = False

        def take(*_: object) -> None:
            nonlocal waited
            if not waited:
                waited = True
                early()

        for number in SIGNALS:
            signal.signal(number, take)
        before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)

        def wait(seconds: float) -> bool:
            nonlocal waited
            waited = True
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                ear.settimeout(left)
                try:
                    came = ear.recv(64)
                except TimeoutError:
                    return False
                if any(number in came for number in SIGNALS):
                    return True
            return False

        try:
            yield wait
        finally:
            signal.set_wakeup_fd(before)
