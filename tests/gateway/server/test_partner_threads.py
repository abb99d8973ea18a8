"""One partner's turn holds up nobody else's, and a stop waits for none."""

from __future__ import annotations

import threading

import pytest

from gateway.server.workers.partner_threads import PartnerThreads

LONG = 20.0  # seconds after which a test gives up


def test_a_partner_that_hangs_holds_its_own_thread_alone() -> None:
    hang, served = threading.Event(), threading.Semaphore(0)

    def take(partner: str) -> None:
        if partner == "HANGS":
            hang.wait(LONG)
        else:
            served.release()

    turns = PartnerThreads("test", take, 2)
    try:
        assert turns.offer("HANGS")
        for partner in ("AUS", "NZL", "USA", "GBR"):
            assert turns.offer(partner)
        for _ in range(4):
            assert served.acquire(timeout=LONG)
        assert not turns.offer("HANGS")  # it has its turn: no second thread of its own
    finally:
        hang.set()
        assert turns.stop(LONG)


def test_whoever_was_served_goes_to_the_end_of_the_line() -> None:
    """One thread; a partner that always has something more, and one that waits."""
    order: list[str] = []
    begin, done = threading.Event(), threading.Event()

    def take(partner: str) -> None:
        begin.wait(LONG)
        order.append(partner)
        if partner == "NZL":
            done.set()

    turns = PartnerThreads("test", take, 1)
    turns.offer("AUS")
    turns.offer("NZL")
    assert not turns.offer("NZL")
    begin.set()
    while not done.wait(0.001):
        turns.offer("AUS")
    turns.stop(LONG)

    assert order[:2] == ["AUS", "NZL"]


def test_there_are_no_more_threads_than_allowed() -> None:
    hang = threading.Event()
    taken: list[str] = []

    def take(partner: str) -> None:
        taken.append(partner)
        hang.wait(LONG)

    turns = PartnerThreads("test", take, 3)
    try:
        for number in range(40):
            turns.offer(f"P-{number}")
        named = [each for each in threading.enumerate() if each.name.startswith("test-")]
        assert len(named) == 3
    finally:
        hang.set()
        turns.stop(LONG)


def test_a_turn_that_fails_is_followed_by_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    served = threading.Event()

    def take(partner: str) -> None:
        if partner == "AUS":
            raise KeyError("what a message says")
        served.set()

    turns = PartnerThreads("test", take, 1)
    turns.offer("AUS")
    turns.offer("NZL")

    assert served.wait(LONG)
    assert turns.stop(LONG)
    told = capsys.readouterr().err
    assert "KeyError" in told
    assert "what a message says" not in told


def test_a_stop_waits_no_longer_than_it_was_told() -> None:
    hang, taken = threading.Event(), threading.Event()

    def take(_: str) -> None:
        taken.set()
        hang.wait(LONG)

    turns = PartnerThreads("test", take, 1)
    turns.offer("AUS")
    assert taken.wait(LONG)
    try:
        assert not turns.stop(0.05)
        assert not turns.offer("NZL")
    finally:
        hang.set()
