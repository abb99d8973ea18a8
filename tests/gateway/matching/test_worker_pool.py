"""Search processes say what the engine in this process says, to the last bit, whatever changes and whichever of them dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf

import pytest

from gateway.errors import DeadlineTooShort, EngineUnavailable
from gateway.matching.engine import Change, EngineStatus
from gateway.matching.finger import FingerEngine
from gateway.matching.gallery_engine import Search
from gateway.matching.workers import pool, process
from gateway.matching.workers.engine import RemoteProbe
from gateway.matching.workers.process import WorkerProcess
from tests.gateway.matching.test_finger import samples
from tests.gateway.matching.worker_pools import (
    LOOK,
    PEOPLE,
    POINT,
    Pool,
    answer,
    asked,
    gone,
)
from tests.patience import PATIENCE

STRANGER = 900


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(round(PATIENCE / LOOK)):
        if true():
            return
        time.sleep(LOOK)
    raise TimeoutError


@pytest.fixture
def workers() -> Iterator[Pool]:
    made = Pool()
    try:
        yield made.loaded()
    finally:
        made.pool.close()


@pytest.fixture
def here(workers: Pool) -> FingerEngine:
    made = FingerEngine()
    made.load(workers.people)
    return made


def test_they_say_what_the_engine_in_this_process_says(workers: Pool, here: FingerEngine) -> None:
    for seed in (*range(PEOPLE), STRANGER):
        assert answer(workers.engine, seed) == answer(here, seed)
    assert workers.engine.status() == here.status()


def test_many_who_ask_at_once_each_get_their_own_answer(workers: Pool, here: FingerEngine) -> None:
    seeds = [seed % (PEOPLE + 2) for seed in range(60)]
    wanted = {seed: answer(here, seed) for seed in set(seeds)}

    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda seed: answer(workers.engine, seed), seeds))

    assert found == [wanted[seed] for seed in seeds]


def test_exact_scores_and_destroyed_counts_are_the_same(workers: Pool, here: FingerEngine) -> None:
    mine, theirs = here.read(asked(3)), workers.engine.read(asked(3))

    assert workers.engine.prepare(theirs) == here.prepare(mine)
    assert workers.engine.scores(theirs, [103, 101]) == here.scores(mine, [103, 101])
    assert isinstance(theirs, RemoteProbe)
    minutiae = [each for _, each in theirs.own.minutiae]  # type: ignore[attr-defined]
    assert workers.engine.destroy(theirs) == here.destroy(mine)
    assert not any(each.xy.any() for each in minutiae)
    with pytest.raises(TypeError, match="prepare"):
        workers.engine.search(theirs, POINT, 1, lambda: 10.0)


def test_a_change_counts_for_the_next_search_in_every_process(
    workers: Pool, here: FingerEngine
) -> None:
    for engine in (workers.engine, here):
        engine.apply(Change(500, samples(STRANGER)))
        engine.apply(Change(103, ()))

    for _ in range(4):  # both processes are asked
        assert answer(workers.engine, STRANGER) == answer(here, STRANGER)
        assert all(each.subject != 103 for each in answer(workers.engine, 3).candidates)
    assert workers.engine.status() == here.status()


def test_a_record_that_cannot_be_used_is_refused_and_the_person_stays(
    workers: Pool, here: FingerEngine
) -> None:
    whole = samples(3)[0]
    cut = replace(whole, data=whole.data[:-3])
    for engine in (workers.engine, here):
        with pytest.raises(ValueError, match=r"\A"):
            engine.apply(Change(103, (cut,)))

    assert answer(workers.engine, 3) == answer(here, 3)
    assert len(workers.pool.processes()) == workers.number


def test_a_process_killed_in_the_middle_of_a_search_costs_no_answer(
    workers: Pool, here: FingerEngine
) -> None:
    wanted = {seed: answer(here, seed) for seed in range(PEOPLE)}
    stop = threading.Event()

    def ask(first: int) -> list[bool]:
        said, seed = list[bool](), first
        while not stop.is_set():
            said.append(answer(workers.engine, seed % PEOPLE) == wanted[seed % PEOPLE])
            seed += 1
        return said

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, first) for first in range(4)]
        for _ in range(3):
            killed = workers.kill()
            workers.until_all_answer(killed)
        stop.set()
        said = [one for each in asking for one in each.result()]

    assert said
    assert all(said)


def test_whoever_takes_the_place_of_a_killed_one_may_be_killed_too(workers: Pool) -> None:
    wanted = answer(workers.engine, 3)

    for _ in range(2):
        workers.until_all_answer(workers.kill())

    assert [answer(workers.engine, 3) for _ in range(4)] == [wanted] * 4


def test_a_process_killed_while_it_loads_is_replaced_and_the_start_goes_on() -> None:
    made = Pool()
    made.people.met = lambda number: made.kill() if number == 1 else None
    try:
        made.loaded()
        made.people.met = lambda _: None
        made.until_all_answer()
        assert answer(made.engine, 3).candidates[0].subject == 103
        assert made.engine.status().size == PEOPLE
    finally:
        made.pool.close()


def test_a_change_while_a_process_is_loaded_is_not_missed(workers: Pool) -> None:
    loading, changed = threading.Event(), threading.Event()

    def met(number: int) -> None:
        if number == 1:
            loading.set()
            changed.wait(PATIENCE)

    workers.people.met = met
    workers.kill()
    assert loading.wait(PATIENCE)
    (other,) = workers.pool.processes()
    workers.engine.apply(Change(500, samples(STRANGER)))
    workers.engine.apply(Change(103, ()))
    status = workers.engine.status()
    changed.set()
    workers.until_all_answer()

    changed.clear()
    os.kill(other, signal.SIGKILL)  # only the one that was loaded meanwhile can answer
    assert loading.wait(PATIENCE)
    try:
        assert answer(workers.engine, STRANGER).candidates[0].subject == 500
        assert all(each.subject != 103 for each in answer(workers.engine, 3).candidates)
        assert workers.engine.status() == status
    finally:
        changed.set()


def test_what_changes_while_no_process_answers_is_read_by_the_next(workers: Pool) -> None:
    before = workers.engine.status()
    for number in workers.pool.processes():
        os.kill(number, signal.SIGKILL)
    workers.people.stored[500] = samples(STRANGER)
    workers.engine.apply(Change(500, samples(STRANGER)))

    workers.until_all_answer()

    assert answer(workers.engine, STRANGER).candidates[0].subject == 500
    assert workers.engine.status().size == PEOPLE + 1
    assert workers.engine.status().version > before.version


def test_a_process_that_loads_another_number_of_people_does_not_answer(workers: Pool) -> None:
    del workers.people.stored[103]  # the store has lost somebody whom the others hold
    workers.kill()

    wait_until(lambda: "not loaded as it stands" in workers.pool._fault)
    assert len(workers.pool.processes()) == 1
    assert answer(workers.engine, 3).candidates[0].subject == 103


def test_processes_that_find_others_than_this_process_does_never_answer() -> None:
    made = Pool()
    made.pool._said = ()  # what this process's own engines would say
    try:
        with pytest.raises(EngineUnavailable, match="does not find whom"):
            made.loaded()
    finally:
        made.pool.close()


def test_a_deadline_that_has_passed_is_an_error_and_the_next_answer_is_right(
    workers: Pool, here: FingerEngine
) -> None:
    with pytest.raises(DeadlineTooShort):
        answer(workers.engine, 3, lambda: 0.0)
    assert answer(workers.engine, 3, lambda: inf) == answer(here, 3)


def test_one_expired_deadline_among_searches_that_share_a_pass_is_its_own_alone(
    here: FingerEngine,
) -> None:
    some = [here.read(asked(seed)) for seed in (3, 4, 5)]
    for each in some:
        here.prepare(each)
    lasting, over = lambda: 60.0, lambda: 0.0
    searches = [
        Search(each, POINT, 5, over if at == 1 else lasting) for at, each in enumerate(some)
    ]

    first, second, third = here.search_all(searches)

    assert isinstance(second, DeadlineTooShort)
    assert [first, third] == [answer(here, 3), answer(here, 5)]


def test_a_question_that_ends_every_process_is_given_up(
    workers: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = workers.pool.take

    def taken(until: float) -> WorkerProcess:
        process = take(until)
        os.kill(process.number, signal.SIGKILL)
        process.lost.wait(PATIENCE)
        return process

    monkeypatch.setattr(workers.pool, "take", taken)
    with pytest.raises(EngineUnavailable, match="end with this question"):
        answer(workers.engine, 3)
    monkeypatch.undo()
    assert answer(workers.engine, 3).candidates[0].subject == 103


def test_a_silent_process_is_ended_and_replaced(
    workers: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.matching.workers.engine.SILENT", 0.2)
    number = workers.pool.processes()[0]
    os.kill(number, signal.SIGSTOP)
    probe = workers.engine.read(asked(3))
    with pytest.raises(EngineUnavailable, match="hung"):
        workers.engine.prepare(probe)
    workers.engine.destroy(probe)

    workers.until_all_answer(number)
    assert gone(number)


def test_a_copy_of_the_gateways_process_asks_none(
    workers: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers.pool, "_owner", os.getpid() + 1)

    with pytest.raises(EngineUnavailable, match="copy of the gateway"):
        answer(workers.engine, 3)


def test_closed_they_end_and_say_so(workers: Pool) -> None:
    numbers = workers.pool.processes()

    workers.pool.close()

    assert all(map(gone, numbers))
    with pytest.raises(EngineUnavailable):
        answer(workers.engine, 3)
    with pytest.raises(EngineUnavailable):
        workers.pool.start()


def test_a_batch_that_takes_long_to_describe_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame of many records does not fit into the pipe: it is taken when those before it are described."""
    monkeypatch.setattr(process, "SENDING", 0.05)
    made = Pool(1)
    made.people.stored = {seed: samples(seed % PEOPLE) for seed in range(1200)}
    made.people.batch = 600
    try:
        made.loaded()
        assert made.engine.status().size == 1200
        assert len(made.pool.processes()) == 1
    finally:
        made.pool.close()


def test_where_no_process_can_be_started_the_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MODULE", "gateway.matching.workers.nowhere")
    monkeypatch.setattr(pool, "PATIENCE", 0.2)
    made = Pool()
    try:
        with pytest.raises(EngineUnavailable, match="did not start"):
            made.loaded()
        assert made.engine.status() == EngineStatus(loaded=False, size=0)
    finally:
        made.pool.close()
