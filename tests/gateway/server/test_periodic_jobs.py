"""One periodic job that fails stops no other; it is counted, and an alarm where it goes on failing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import pytest

from gateway.isolated_loop import each
from gateway.ledger.entry import EntryType, decode
from gateway.server.workers.periodic_jobs import OF_EACH_PROCESS, PERSISTS, Jobs
from gateway.server.workers.timestamps import TimestampWorker
from gateway.store.ledger import stored_ledger
from gateway.telemetry import exposition

NAMES = (
    "own_keys",
    "abandoned",
    "reviews",
    "proposals",
    "retention",
    "publishing",
    "tiles",
    "readiness",
    "listeners",
    "admin_address",
    "agreements",
    "calibrations",
    "rotation",
    "resealing",
    "expiry",
    "witnesses",
    "quotas",
    "misread_samples",
    "partners",
    "refusals",
    "alarms",
)


class Unforeseen(Exception):
    """What nobody who wrote a job thought of."""


def breaking(jobs: Jobs, broken: str, ran: list[str]) -> Callable[[], None]:
    """Have every job say that it ran, and one raise; return what puts the table back."""
    table = jobs._table

    def work(name: str, real: Callable[[], object]) -> Callable[[], None]:
        def do() -> None:
            ran.append(name)
            if name == broken:
                raise Unforeseen("with a value in its text")
            real()

        return do

    jobs._table = tuple((name, work(name, real)) for name, real in table)

    def mended() -> None:
        jobs._table = table

    return mended


def test_the_table_is_what_is_tried_here(shared_pair: Any) -> None:
    assert shared_pair.serving._jobs.names == NAMES


@pytest.mark.parametrize("broken", NAMES)
def test_a_job_that_fails_stops_no_other(shared_pair: Any, broken: str) -> None:
    ran: list[str] = []
    mended = breaking(shared_pair.serving._jobs, broken, ran)
    try:
        shared_pair.serving.run_jobs()
    finally:
        mended()

    assert ran == list(NAMES)
    counted = f'passerelle_job_failures_total{{job="{broken}",kind="Unforeseen"}}'
    assert counted in exposition().decode()


def alarms(pair: Any, name: str) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database)]
    return [
        frame.subject_reference
        for frame in frames
        if frame.type is EntryType.ALARM and frame.subject_reference.endswith(name)
    ]


def test_a_job_that_goes_on_failing_is_one_alarm_until_it_succeeds(
    shared_pair: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mended = breaking(shared_pair.serving._jobs, "witnesses", [])
    try:
        for _ in range(PERSISTS - 1):
            shared_pair.serving.run_jobs()
        assert alarms(shared_pair, "JOB/witnesses") == []
        for _ in range(3):
            shared_pair.serving.run_jobs()
    finally:
        mended()
    assert alarms(shared_pair, "JOB/witnesses") == ["RAISE/JOB/witnesses"]

    shared_pair.serving.run_jobs()

    assert alarms(shared_pair, "JOB/witnesses") == ["RAISE/JOB/witnesses", "CLEAR/JOB/witnesses"]
    assert "with a value" not in capsys.readouterr().err


def test_a_round_says_before_each_job_that_it_is_alive(shared_pair: Any) -> None:
    heard: list[str] = []

    shared_pair.serving.run_jobs(heard.append)

    assert heard == ["clock", *NAMES, ""]


class Held:
    """The leases of a process that has those of some jobs; `asked` is of which it was asked."""

    def __init__(self, jobs: frozenset[str] = frozenset()) -> None:
        self.jobs = jobs
        self.asked: list[str] = []

    def holds(self, job: str) -> bool:
        self.asked.append(job)
        return job in self.jobs


def test_a_process_without_leases_looks_after_itself_alone(
    shared_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, leases, ran = shared_pair.serving._jobs, Held(), []
    monkeypatch.setattr(jobs, "_leases", leases)
    mended = breaking(jobs, "", ran)
    try:
        shared_pair.serving.run_jobs()
    finally:
        mended()

    assert set(ran) == OF_EACH_PROCESS
    assert set(leases.asked) == set(NAMES) - OF_EACH_PROCESS


class Once:
    """A watchdog under which a loop goes round once."""

    rounds = 0

    @contextmanager
    def watching(self, *_: object) -> Iterator[None]:
        yield

    def rest(self, *_: object) -> bool:
        self.rounds += 1
        return self.rounds > 1


@pytest.mark.parametrize(
    ("loop", "job"), [("_dispatch", "outbound"), ("_dispatch_readings", "directories")]
)
def test_nothing_leaves_for_partners_from_a_process_without_the_lease(
    shared_pair: Any, loop: str, job: str
) -> None:
    worker = copy(shared_pair.gateway.outbound.worker)
    worker._watchdog, worker._leases = Once(), Held()
    worker._database = worker._directory = None  # what it would look at first

    getattr(worker, loop)(None)

    assert worker._leases.asked == [job]


def test_no_file_of_the_ledger_is_published_by_a_process_without_the_lease(
    shared_pair: Any,
) -> None:
    worker = copy(shared_pair.serving._tile_worker)
    worker._leases, worker._publisher, worker._fine = Held(), None, 0.0

    worker.step()

    assert worker._leases.asked == ["publisher"]
    assert not worker._fault
    assert worker._fine  # nor is it this process that is late


def test_no_stamp_is_asked_for_by_a_process_without_the_lease() -> None:
    leases, asked = Held(), []

    class Stamps:
        round = asked.append

    worker = TimestampWorker(Stamps(), None, Once(), leases)  # type: ignore[arg-type]
    worker._run()
    assert (set(leases.asked), asked) == ({"stamper"}, [])
    leases.jobs = frozenset({"stamper"})
    worker._run()

    assert asked


def test_an_alarm_that_cannot_be_recorded_stops_no_job() -> None:
    class Deaf:
        def begin(self, *_: str) -> None:
            raise Unforeseen

        end = begin

    ran: list[str] = []

    def fails() -> None:
        raise Unforeseen

    table = (("one", fails), ("two", lambda: ran.append("two")))
    jobs = Jobs(table, Deaf(), Held(frozenset({"one", "two"})))  # type: ignore[arg-type]
    for _ in range(PERSISTS):
        assert jobs.run() == ("one",)

    assert ran == ["two"] * PERSISTS


def test_one_bad_item_stops_no_other_and_is_told_to_whoever_runs_the_loop() -> None:
    done: list[int] = []

    def do(item: int) -> None:
        if item % 2:
            raise Unforeseen(item)
        done.append(item)

    with pytest.raises(Unforeseen, match="1"):
        each(range(6), do, "a test")

    assert done == [0, 2, 4]
