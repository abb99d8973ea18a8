"""An authority whose road fails in one way or another holds nobody up, and is counted down."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.ledger_ops.timestamps import Authority, authority_of
from gateway.server.workers.timestamps import Cancellation, TimestampWorker, post
from gateway.watchdog import Watchdog


class Road:
    """An authority that takes a call and then does to it what a test says."""

    def __init__(self, answers: Callable[[socket.socket, threading.Event], None]) -> None:
        self._answers, self._over = answers, threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        road, _ = self._listening.accept()
        with road, suppress(OSError):
            road.recv(65_536)
            self._answers(road, self._over)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listening.close()


def _drip(road: socket.socket, over: threading.Event) -> None:
    road.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        road.sendall(b"X")


def _elsewhere(road: socket.socket, _: threading.Event) -> None:
    road.sendall(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    )


def _no_http(road: socket.socket, _: threading.Event) -> None:
    road.sendall(b"220 mail.example.ca ESMTP\r\n\r\n")


@pytest.mark.parametrize("answers", [_drip, _elsewhere, _no_http])
def test_an_authority_that_drips_sends_elsewhere_or_speaks_otherwise_holds_nobody_up(
    answers: Any,
) -> None:
    road = Road(answers)
    try:
        with pytest.raises(OSError, match="does not answer"):
            post(road.address, b"a request", longest=0.3)
    finally:
        road.close()


def test_whatever_keeps_a_stamp_away_is_counted_down(pair: Any) -> None:
    """A fault that nobody foresaw must not leave the ledger without stamps and without an alarm."""

    def falls(*_: object) -> bytes:
        raise KeyError("unforeseen")

    timestamps = pair.gateway.evidence.timestamps
    timestamps._authority, timestamps._post = Authority("http://x", b"", timedelta(hours=1)), falls
    timestamps.round()

    assert "STAMPS" in pair.gateway.evidence.deadline.standing


def test_an_authority_without_roots_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="authority_roots"):
        authority_of("https://tsa.example.ca", None, 3600)
    with pytest.raises(UserError, match="cannot be read"):
        authority_of("https://tsa.example.ca", tmp_path / "none", 3600)
    (tmp_path / "roots.der").write_bytes(b"\x30\x82")
    with pytest.raises(UserError, match="no certificates in PEM"):
        authority_of("https://tsa.example.ca", tmp_path / "roots.der", 3600)
    assert authority_of(None, None, 3600) is None


def test_a_stop_cuts_a_question_that_is_under_way() -> None:
    """An authority that keeps us waiting for hours: SIGTERM is not one of those who wait."""
    asked = threading.Event()

    def silent(_: socket.socket, over: threading.Event) -> None:
        asked.set()
        over.wait()

    class Stamps:
        def round(self, stopping: Callable[[], bool]) -> None:
            with suppress(OSError):
                post(road.address, b"a request", longest=3600.0, cancellation=cancellation)
            assert stopping()

    road, cancellation = Road(silent), Cancellation()

    class Held:
        def holds(self, _: str) -> bool:
            return True

    stamper = TimestampWorker(Stamps(), cancellation, Watchdog(60.0), Held())  # type: ignore[arg-type]
    try:
        stamper.start()
        assert asked.wait(30)
        stamper.stop()
        assert not [one for one in threading.enumerate() if one.name == "stamper"]
    finally:
        road.close()


def test_what_comes_after_the_cut_is_no_answer() -> None:
    cancellation = Cancellation()
    cancellation.cut()
    road = Road(_drip)
    try:
        with pytest.raises(OSError, match="does not answer"):
            post(road.address, b"a request", longest=3600.0, cancellation=cancellation)
    finally:
        road.close()


def test_a_question_cut_by_a_stop_is_no_late_stamp(pair: Any) -> None:
    """Nothing may be recorded after the STOP entry."""

    def cut(*_: object) -> bytes:
        raise OSError("cut")

    timestamps = pair.gateway.evidence.timestamps
    timestamps._authority = Authority("http://127.0.0.1:9/", b"", timedelta(0))
    timestamps._post = cut
    size = pair.gateway.sequencer.size

    timestamps.round(lambda: True)

    assert pair.gateway.sequencer.size == size
