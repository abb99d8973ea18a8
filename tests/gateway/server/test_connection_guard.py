"""The guard sees the connections of this very process, and cuts those it meant and no others."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.server.listener.connection_guard import Guard, _shut
from gateway.server.listener.connection_limits import Limits, Why
from gateway.watchdog import Watchdog

FEW = Limits(unidentified=8, by_address=4, age=1e9, by_partner=2)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Listening:
    """A listener on loopback, and whoever connects to it."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.ends: list[tuple[socket.socket, socket.socket]] = []

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        accepted, _ = self._server.accept()
        self.ends.append((client, accepted))
        return client

    def close(self) -> None:
        for pair in self.ends:
            for end in pair:
                end.close()
        self._server.close()


@pytest.fixture
def listening() -> Iterator[Listening]:
    listener = Listening()
    yield listener
    listener.close()


@pytest.fixture
def guard(listening: Listening) -> Iterator[tuple[Guard, Clock]]:
    clock = Clock()
    made = Guard(Watchdog(45.0), clock)
    made.protect("exchange", listening.port, FEW)
    yield made, clock
    made.stop()


def cut(client: socket.socket) -> bool:
    client.settimeout(10)
    try:
        client.setblocking(False)
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_the_oldest_of_too_many_silent_connections_are_cut_and_the_others_live(
    guard: tuple[Guard, Clock], listening: Listening
) -> None:
    watched, clock = guard
    clients = []
    for second in range(6):
        clock.now = float(second)
        clients.append(listening.connect())
        if second < 4:
            assert not watched.look()
    shed = watched.look()

    assert list(shed.values()) == [Why.ADDRESS, Why.ADDRESS]
    assert [cut(client) for client in clients] == [True, True, False, False, False, False]


def test_whoever_was_identified_does_not_count_as_unidentified(
    guard: tuple[Guard, Clock], listening: Listening
) -> None:
    watched, clock = guard
    first = listening.connect()
    host, port = first.getsockname()
    watched.look()
    watched.identified(f"ipv4:{host}:{port}", "AUS")
    clients = []
    for second in range(1, 7):
        clock.now = float(second)
        clients.append(listening.connect())
        watched.look()

    assert not cut(first)
    assert [cut(client) for client in clients] == [True, True, False, False, False, False]


def test_an_identified_port_that_an_unidentified_caller_has_next_is_theirs(
    guard: tuple[Guard, Clock], listening: Listening
) -> None:
    """What was said of a connection that has ended is said of no later one."""
    watched, _ = guard
    watched.identified("ipv4:127.0.0.1:1", "AUS")
    watched.look()

    assert watched._marks == {}
    listening.connect()
    watched.look()
    assert [one.who for one in watched._known.values()] == [""]


def test_a_descriptor_that_is_anothers_by_now_is_not_touched(
    guard: tuple[Guard, Clock], listening: Listening
) -> None:
    watched, _ = guard
    client = listening.connect()
    watched.look()
    number = listening.ends[0][1].fileno()

    assert _shut(number, next(iter(watched._known)) + 1) is False
    assert not cut(client)


def test_sockets_of_ours_that_no_listener_accepted_are_left_alone(
    guard: tuple[Guard, Clock], listening: Listening
) -> None:
    watched, _ = guard
    other = Listening()
    try:
        client = other.connect()
        one, two = socket.socketpair()
        with one, two:
            watched.look()
            assert watched._known == {}
        assert not cut(client)
    finally:
        other.close()


_NONE_LEFT = """
import os, resource, socket
from gateway.server.listener.connection_limits import Limits
from gateway.server.listener.connection_guard import Guard
from gateway.watchdog import Watchdog

server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
guard = Guard(Watchdog(45.0))
guard.protect("exchange", port, Limits(unidentified=100, by_address=100, age=1e9, by_partner=2))
guard.look()
clients = []
for _ in range(20):
    clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
    clients.append(server.accept()[0])
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    pass
shed = guard.look()
print(len(shed), sorted(set(shed.values())), sum(one.recv(1) == b"" for one in clients[::2][: len(shed)]))
"""


def test_where_no_descriptor_is_left_unidentified_callers_are_cut_all_the_same() -> None:
    said: Any = subprocess.run(
        [sys.executable, "-c", _NONE_LEFT],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout.split() == ["10", "[<Why.DESCRIPTORS:", "'DESCRIPTORS'>]", "10"], said.stderr
