"""Work is done though this machine has no thread to spare for a while, and the thread that hands it on is watched."""

from __future__ import annotations

import threading
from time import monotonic

import pytest

from gateway.server.listener.response_threads import Workers
from gateway.server.workers.partner_threads import PartnerThreads

LONG = 20.0  # seconds after which a test gives up


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_answers_leave_again_after_no_thread_could_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers, tried = Workers("work"), threading.Event()
    left = threading.Semaphore(0)

    def refuse(thread: threading.Thread) -> None:
        tried.set()
        no_thread(thread)

    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", refuse)
        workers.do_at(monotonic(), left.release)
        assert tried.wait(LONG)
    workers.do_at(monotonic(), left.release)

    assert left.acquire(timeout=LONG)
    assert left.acquire(timeout=LONG)  # the one that found no thread was kept
    assert workers.stop(LONG)


def test_a_call_that_finds_no_thread_is_kept_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, left = Workers("work"), threading.Semaphore(0)
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", no_thread)
        assert workers.do(left.release)
    assert workers._busy == 1  # a stop waits for it

    assert workers.do(left.release)
    assert left.acquire(timeout=LONG)
    assert left.acquire(timeout=LONG)
    assert workers.stop(LONG)
    assert not workers.do(left.release)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_that_cannot_be_handed_on_stops_no_other_and_a_scheduler_that_ended_gives_no_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers, left = Workers("work"), threading.Event()
    real = workers.do

    def do(work: object) -> bool:
        if work is None:
            raise MemoryError
        return real(left.set)

    monkeypatch.setattr(workers, "do", do)
    workers.do_at(monotonic(), None)  # type: ignore[arg-type]
    workers.do_at(monotonic(), left.set)
    assert left.wait(LONG)

    monkeypatch.setattr(workers, "_departures", None)
    with workers._changed:
        workers._changed.notify_all()
    workers._scheduler.join(LONG)
    assert workers.sign() == workers.sign() == "ended"


def test_a_partner_for_whom_no_thread_could_be_made_is_offered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = threading.Event()
    turns = PartnerThreads("line", lambda _: served.set(), 2)
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", no_thread)
        assert not turns.offer("AUS")

    assert turns.offer("AUS")
    assert served.wait(LONG)
    assert turns.stop(LONG)


def test_a_stop_waits_for_no_thread_that_never_began(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = PartnerThreads("line", lambda _: None, 2)
    with monkeypatch.context() as none_left:
        none_left.setattr(threading.Thread, "start", no_thread)
        turns.offer("AUS")

    assert turns.stop(LONG)
