"""Tokens that refill with time, and turns at the work that fills a processor: pure, and with threads that wait."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.rate_limits import (
    RECENT,
    Bucket,
    Buckets,
    Gate,
    Lanes,
    Place,
    Turns,
    heavy_at_once,
)

WAIT = 10.0  # seconds after which a test gives up


@given(st.lists(st.floats(0.0, 5.0), max_size=60), st.floats(0.1, 20.0), st.integers(1, 10))
def test_no_time_gives_more_than_the_burst_and_the_rate(
    pauses: list[float], rate: float, burst: int
) -> None:
    bucket, now, taken = Bucket(rate, burst, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
        assert taken <= burst + now * rate + 1e-6


def test_a_clock_set_back_refills_nothing() -> None:
    bucket = Bucket(1.0, 2, 100.0)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]

    assert not bucket.take(50.0)
    assert bucket.take(51.0)


def test_names_are_forgotten_when_their_bucket_is_full_again_and_beyond_the_most() -> None:
    buckets = Buckets(1.0, 2, most=3)
    for name in "abc":
        buckets.take(name, 0.0)
    assert len(buckets) == 3

    buckets.take("d", 0.5)  # none is full again: the one used least lately goes
    assert len(buckets) == 3

    buckets.take("e", 60.0)
    assert len(buckets) == 1


def test_a_flood_of_names_does_not_grow_the_map() -> None:
    buckets = Buckets(0.001, 5, most=64)
    for number in range(5_000):
        buckets.take(str(number), number / 1e6)
    assert len(buckets) == 64


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from(["come", "go", "give up"]))),
)
def test_turns_are_shared_whatever_comes_and_goes(most: int, acts: list[tuple[str, str]]) -> None:
    """Never more than there are, none idle while somebody waits, first come first within a partner, none passed over."""
    turns = Turns(most)
    waiting: list[Place] = []
    working: list[Place] = []
    passed: dict[Place, Counter[str]] = {}
    came: dict[Place, int] = {}

    for who, act in acts:
        if act == "come":
            place = turns.come(who)
            waiting.append(place)
            passed[place] = Counter()
            came[place] = len(came)
        elif act == "go" and working:
            turns.go(working.pop(0))
        elif act == "give up" and waiting:
            turns.go(waiting.pop())
        begun = [place for place in waiting if place.given.is_set()]
        for place in begun:
            waiting.remove(place)
            working.append(place)
            assert all(came[each] > came[place] for each in waiting if each.who == place.who)
            for each in first_of_each(waiting):
                passed[each][place.who] += each.who != place.who
        assert len(working) <= most
        assert len(working) == most or not waiting
        assert all(count <= 2 for place in waiting for count in passed[place].values())


def first_of_each(waiting: list[Place]) -> list[Place]:
    """Return the one of each partner that is next; those behind it wait for their own partner."""
    firsts: dict[str, Place] = {}
    for place in waiting:
        firsts.setdefault(place.who, place)
    return list(firsts.values())


@given(st.integers(1, 3), st.integers(1, 50))
def test_whoever_comes_waits_for_the_piece_that_is_being_worked_on(most: int, queued: int) -> None:
    """A partner with fifty pieces in the row does not delay another by fifty."""
    turns = Turns(most)
    flood = deque(turns.come("A") for _ in range(queued + most))
    other = turns.come("B")

    ended = 0
    while not other.given.is_set():
        turns.go(flood.popleft())
        ended += 1

    assert ended == 1


def test_a_turn_given_up_while_it_is_given_goes_to_the_next() -> None:
    turns = Turns(1)
    first, second, third = (turns.come(who) for who in "ABC")
    turns.go(first)
    assert second.given.is_set()

    turns.go(second)  # it stopped waiting at that very moment

    assert third.given.is_set()


def test_a_caller_who_cannot_wait_any_longer_leaves_no_hole_in_the_row() -> None:
    gate = Gate(1)
    with gate.turn("A") as first, gate.turn("B") as second, gate.turn("C") as third:
        assert first.enter()
        assert not second.enter(lambda: 0.0)
        first.leave()
        first.leave()  # twice is as good as once
        assert third.enter(lambda: WAIT)
        third.leave()
        assert first.enter(lambda: WAIT)


def test_a_partner_alone_has_as_many_calls_under_way_as_it_brings() -> None:
    lanes = Lanes()

    assert all(lanes.come("A").given.is_set() for _ in range(8))


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["come", "go", "give up"]))))
def test_beside_others_a_partner_has_one_call_under_way_at_a_time(
    acts: list[tuple[str, str]],
) -> None:
    """Whoever comes first begins, nobody waits who has none under way, and all begin in the order in which they came."""
    lanes, waiting, working = Lanes(), list[Place](), list[Place]()
    for who in "AB":  # both are there
        working.append(lanes.come(who))
    for who, act in acts[: RECENT - 2]:
        mine = [place for place in working if place.who == who]
        if act == "come":
            waiting.append(lanes.come(who))
        elif act == "go" and mine:
            working.remove(mine[0])
            lanes.go(mine[0])
        elif act == "give up" and (own := [place for place in waiting if place.who == who]):
            waiting.remove(own[-1])
            lanes.go(own[-1])
        for place in [place for place in waiting if place.given.is_set()]:
            assert (
                place
                is first_of_each(waiting)[[p.who for p in first_of_each(waiting)].index(place.who)]
            )
            waiting.remove(place)
            working.append(place)
        assert all(count == 1 for count in Counter(place.who for place in working).values())
        assert all(any(each.who == place.who for each in working) for place in waiting)


def test_a_partner_whose_neighbours_left_is_alone_again() -> None:
    lanes = Lanes()
    lanes.go(lanes.come("B"))
    for _ in range(RECENT):
        lanes.go(lanes.come("A"))

    assert all(lanes.come("A").given.is_set() for _ in range(8))


def test_an_exception_in_a_turn_ends_it() -> None:
    gate = Gate(1)
    with suppress(ValueError), gate.turn("A") as turn:
        turn.enter()
        raise ValueError
    with gate.turn("B") as turn:
        assert turn.enter(lambda: WAIT)


def test_threads_of_many_partners_all_come_to_an_end_and_never_work_together() -> None:
    gate, lock, inside, done = Gate(2), threading.Lock(), [0], Counter[str]()
    seen: list[int] = []

    def work(who: str) -> None:
        for _ in range(20):
            with gate.turn(who) as turn:
                assert turn.enter(lambda: WAIT)
                with lock:
                    inside[0] += 1
                    seen.append(inside[0])
                with lock:
                    inside[0] -= 1
                turn.leave()
                assert turn.enter()
            done[who] += 1

    threads = [threading.Thread(target=work, args=(who,)) for who in "AAAAB"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)

    assert done == {"A": 80, "B": 20}
    assert max(seen) <= 2


def test_a_thousand_questions_of_one_partner_let_anothers_search_next() -> None:
    """Places with the search processes are given by turns of their own; a turn at the processors is not held meanwhile."""
    gate, order, lock = Gate(1, searches=2), list[str](), threading.Lock()
    held = [gate.wait_to_search("A") for _ in range(2)]

    def search(who: str) -> None:
        with gate.turn(who) as turn:
            assert turn.enter()
            with turn.searching(), lock:
                order.append(who)

    threads = [threading.Thread(target=search, args=("A",)) for _ in range(1000)]
    for thread in threads:
        thread.start()
    while len(gate._searches._waiting.get("A", ())) < 1000:
        time.sleep(0.001)
    threads.append(threading.Thread(target=search, args=("B",)))
    threads[-1].start()
    while "B" not in gate._searches._waiting:
        time.sleep(0.001)
    for each in held:
        gate.end_search(each)
    for thread in threads:
        thread.join(WAIT)

    assert len(order) == 1001
    assert "B" in order[:4]


def test_without_search_processes_the_turn_is_kept() -> None:
    gate = Gate(1)
    with gate.turn("A") as turn, gate.turn("B") as other:
        assert turn.enter()
        with turn.searching():
            assert not other.enter(lambda: 0.0)


def test_a_processor_is_left_for_the_rest_where_there_is_more_than_one() -> None:
    assert heavy_at_once() >= 1
