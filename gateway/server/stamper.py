"""Asks the time stamp authority from a thread of its own, so that its network never holds anything else up."""

from __future__ import annotations

import threading
from typing import Final
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from gateway import telemetry
from gateway.audit import stamp
from gateway.office.stamping import Stamping

EVERY: Final = 30.0  # seconds between two looks whether a stamp is due
LONGEST: Final = 20.0  # seconds for an answer

_log = telemetry.logger("stamper")


class Stamper:
    """Walks until it is stopped."""

    def __init__(self, stamping: Stamping) -> None:
        self._stamping = stamping
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="stamper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the question under way; idempotent."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._stamping.round()
            except Exception as error:  # noqa: BLE001 - the next look comes all the same
                _log.error("stamping_failed", kind=type(error).__name__)
            if self._stop.wait(EVERY):
                return


class _Stay(HTTPRedirectHandler):
    """Follows no redirection: the authority is the one that the settings name."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def post(address: str, request: bytes) -> bytes:
    """Ask over HTTP (RFC 3161 section 3.4); raises OSError. Whatever comes is checked by who asked."""
    headers = {"Content-Type": "application/timestamp-query"}
    asked = Request(address, data=request, headers=headers, method="POST")  # noqa: S310 - the settings allow http and https alone
    try:
        with build_opener(_Stay()).open(asked, timeout=LONGEST) as answer:
            octets: bytes = answer.read(stamp.MOST + 1)
            return octets
    except URLError as fault:
        raise OSError(f"the authority does not answer: {type(fault).__name__}") from None
    except ValueError:
        raise OSError("the authority's answer is not HTTP") from None
