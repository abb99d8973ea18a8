"""Metrics on loopback: readers who do not read hold a place for a while, and hold up nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Gauge

from gateway.errors import UserError
from gateway.server.metrics_endpoint import Metrics


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    registry = CollectorRegistry()
    Gauge("passerelle_example", "An example.", registry=registry).set(7)
    server = Metrics(0, registry, 2)
    server.start()
    yield server
    server.stop()


def test_a_reader_gets_the_text(metrics: Metrics) -> None:
    with urlopen(f"http://127.0.0.1:{metrics.server_port}/metrics", timeout=30) as page:
        assert b"passerelle_example 7.0" in page.read()


def test_silent_readers_have_the_places_there_are_and_no_thread_more(metrics: Metrics) -> None:
    where = ("127.0.0.1", metrics.server_port)
    silent = [socket.create_connection(where, timeout=30) for _ in range(2)]
    try:
        while metrics._places._value:  # both have their thread
            pass
        with socket.create_connection(where, timeout=30) as third:
            assert third.recv(1) == b""  # turned away at once
    finally:
        for one in silent:
            one.close()


def test_a_stop_does_not_wait_for_a_reader_who_is_silent(metrics: Metrics) -> None:
    with socket.create_connection(("127.0.0.1", metrics.server_port), timeout=30):
        metrics.stop()


def test_a_silent_reader_is_let_go_after_a_while(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.server.metrics_endpoint._Handler.timeout", 0.2)
    with socket.create_connection(("127.0.0.1", metrics.server_port), timeout=30) as silent:
        assert silent.recv(1) == b""


def test_a_port_that_is_taken_is_a_remedy(metrics: Metrics) -> None:
    with pytest.raises(UserError, match="metrics_port"):
        Metrics(metrics.server_port, CollectorRegistry(), 1)
