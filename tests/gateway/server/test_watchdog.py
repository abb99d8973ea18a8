"""A thread that stands still is noticed within a minute; one that works long, or a machine that slept, is not."""

from __future__ import annotations

import sys
import threading

from gateway.watchdog import STEP, Patience, Watchdog


def patience(_: str) -> float:
    return 45.0


def seconds(core: Patience, signs: dict[str, object], start: int, count: int) -> list[list[str]]:
    return [core.look(signs, patience, float(start + step)) for step in range(count)]


def test_a_thread_that_gives_no_sign_is_late_within_a_minute() -> None:
    told = seconds(Patience(), {"rounds": 7, "guard": 3}, 0, 60)

    assert told[45] == []
    assert told[46] == ["rounds", "guard"]


def test_a_thread_that_goes_on_is_never_late() -> None:
    core = Patience()
    for second in range(200):
        assert core.look({"rounds": second // 40}, patience, float(second)) == []


def test_a_machine_that_slept_is_no_thread_that_stands_still() -> None:
    core = Patience()
    assert core.look({"rounds": 1}, patience, 0.0) == []
    assert core.look({"rounds": 1}, patience, 100_000.0) == []
    told = [core.look({"rounds": 1}, patience, 100_000.0 + step) for step in range(1, 45)]

    assert told[int(45 - STEP) - 1] == []
    assert told[int(45 - STEP)] == ["rounds"]


def test_a_clock_that_goes_back_makes_nobody_late() -> None:
    core = Patience()
    core.look({"rounds": 1}, patience, 100.0)
    assert core.look({"rounds": 1}, patience, 0.0) == []


def test_what_has_nothing_to_do_is_not_late_and_what_is_at_one_piece_of_work_is() -> None:
    core = Patience()
    assert not any(seconds(core, {"sequencer": None}, 0, 100))
    assert seconds(core, {"sequencer": 12.5}, 100, 60)[-1] == ["sequencer"]


def test_each_thread_has_the_patience_it_asked_for() -> None:
    watchdog, begun, end = Watchdog(5.0), threading.Event(), threading.Event()

    def work() -> None:
        with watchdog.watching("publisher", 60.0):
            begun.set()
            end.wait(60)

    thread = threading.Thread(target=work, name="publisher")
    thread.start()
    begun.wait(60)
    try:
        assert not any(watchdog.late(float(second)) for second in range(60))
        assert [watchdog.late(float(second)) for second in range(60, 70)][-1] == ["publisher"]
        assert watchdog.where("publisher").startswith("wait<wait<work<")
    finally:
        end.set()
        thread.join()
    assert watchdog.late(71.0) == []


def test_a_thread_that_an_error_ended_is_late_too() -> None:
    watchdog = Watchdog(5.0)

    def work() -> None:
        try:
            with watchdog.watching("rounds"):
                sys.exit()
        except SystemExit:
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [watchdog.late(float(second)) for second in range(10)][-1] == ["rounds"]


def test_whoever_waits_for_its_turn_or_for_a_lock_gives_signs_meanwhile() -> None:
    watchdog, lock, end = Watchdog(5.0), threading.Lock(), threading.Event()
    seen: list[int] = []

    def work() -> None:
        with watchdog.watching("directories"):
            watchdog.hold(lock)
            lock.release()
            watchdog.rest(end, 600.0)

    lock.acquire()
    thread = threading.Thread(target=work)
    thread.start()
    for stage in range(2):  # first it waits for the lock, then for its turn
        before = watchdog._beats.get("directories", 0)
        while watchdog._beats.get("directories", 0) <= before + 1:
            end.wait(0.05)
        seen.append(stage)
        if not stage:
            lock.release()
    end.set()
    thread.join()
    assert seen == [0, 1]


def test_a_beat_of_a_thread_that_is_not_watched_is_nothing() -> None:
    watchdog = Watchdog(5.0)
    watchdog.beat()
    assert watchdog._beats == {}
