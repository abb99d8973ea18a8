"""One process does a periodic job; another takes it over when the lease was given back, or has ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from gateway.server.workers.periodic_jobs import OF_EACH_PROCESS, Jobs
from gateway.store.leases import LENGTH, LeaseHeld, Leases, owner_of, take
from gateway.store.schema import leases

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.store.ledger.sequencer import Sequencer
    from tests.gateway.store.conftest import StoreFixture

JOB = "retention"


class Process:
    """One of the processes over a store; `sequencer` is its own, on an engine of its own."""

    def __init__(self, store: StoreFixture, owner: str) -> None:
        self.database = store.shared()
        self.sequencer: Sequencer = store.sequencer(self.database)
        self.leases = Leases(self.database, self.sequencer, store.clock, owner)

    def rows(self) -> list[tuple[str, str, int]]:
        with self.database.reader() as reader:
            return [tuple(row) for row in reader.execute(select(leases).order_by(leases.c.job))]


@pytest.fixture
def one(store: StoreFixture) -> Process:
    return Process(store, "one")


@pytest.fixture
def other(store: StoreFixture, one: Process) -> Process:
    del one  # it was there first
    return Process(store, "other")


def test_one_of_two_does_a_job_and_another_job_is_anothers(one: Process, other: Process) -> None:
    assert one.leases.holds(JOB)
    assert not other.leases.holds(JOB)
    assert other.leases.holds("stamper")
    assert not one.leases.holds("stamper")
    assert one.leases.holds(JOB)


def test_a_lease_is_renewed_by_whoever_has_it_and_never_ends_meanwhile(
    store: StoreFixture, one: Process, other: Process
) -> None:
    for _ in range(20):
        assert one.leases.holds(JOB)
        store.clock.move(seconds=LENGTH.total_seconds() * 0.49)
        assert not other.leases.holds(JOB)


def test_a_lease_costs_no_commit_before_half_of_it_is_over(
    store: StoreFixture, one: Process
) -> None:
    one.leases.holds(JOB)
    commits = len(store.commits)

    for _ in range(10):
        assert one.leases.holds(JOB)
    assert len(store.commits) == commits

    store.clock.move(seconds=LENGTH.total_seconds() / 2)
    assert one.leases.holds(JOB)
    assert len(store.commits) == commits + 1


def test_the_lease_of_a_killed_process_ends_by_itself(
    store: StoreFixture, one: Process, other: Process
) -> None:
    assert one.leases.holds(JOB)  # and nothing is heard of it again

    store.clock.move(seconds=LENGTH.total_seconds() - 1)
    assert not other.leases.holds(JOB)
    store.clock.move(seconds=1)
    assert other.leases.holds(JOB)


def test_who_was_thought_dead_finds_that_the_job_is_anothers(
    store: StoreFixture, one: Process, other: Process
) -> None:
    """A machine that slept wakes up after its lease was taken over."""
    assert one.leases.holds(JOB)
    store.clock.move(seconds=LENGTH.total_seconds())
    assert other.leases.holds(JOB)

    assert not one.leases.holds(JOB)


def test_a_process_that_stops_gives_its_leases_back_and_no_other(
    one: Process, other: Process
) -> None:
    assert one.leases.holds(JOB)
    assert one.leases.holds("publisher")
    assert other.leases.holds("stamper")

    one.leases.release()

    assert [row[:2] for row in other.rows()] == [("stamper", "other")]
    assert other.leases.holds(JOB)
    assert not one.leases.holds(JOB)


def test_two_that_take_a_lease_at_the_same_moment_do_not_both_have_it(
    store: StoreFixture, one: Process, other: Process
) -> None:
    """The look before is a courtesy: the commit decides."""
    until = store.clock() + LENGTH
    one.sequencer.commit((), take(JOB, "one", until, over=store.clock()))

    with pytest.raises(LeaseHeld):
        other.sequencer.commit((), take(JOB, "other", until, over=store.clock()))

    with other.database.reader() as reader:
        assert owner_of(reader, JOB, store.clock()) == "one"


def test_a_clock_that_was_set_back_does_not_keep_a_lease_for_ever(
    store: StoreFixture, one: Process, other: Process
) -> None:
    store.clock.move(days=1)
    assert one.leases.holds(JOB)
    store.clock.move(days=-1)

    assert one.leases.holds(JOB)  # the row says tomorrow no longer

    store.clock.move(seconds=LENGTH.total_seconds())
    assert other.leases.holds(JOB)


def test_whoever_has_the_writer_lock_waits_for_no_dead_owner(store: StoreFixture) -> None:
    """A gateway that crashed goes on with its jobs when it is started again, not twenty minutes later."""
    database = store.database()
    sequencer = store.sequencer(database)
    dead = store.clock() + LENGTH
    sequencer.commit((), take(JOB, "dead", dead, over=store.clock()))

    assert Leases(database, sequencer, store.clock, "new").holds(JOB)


def test_while_the_ledger_takes_nothing_a_lease_is_kept_to_its_end_and_none_is_taken(
    store: StoreFixture, one: Process
) -> None:
    assert one.leases.holds(JOB)
    one.sequencer.close()
    store.clock.move(seconds=LENGTH.total_seconds() * 0.75)

    assert one.leases.holds(JOB)
    assert not one.leases.holds("stamper")
    store.clock.move(seconds=LENGTH.total_seconds() * 0.25)
    assert not one.leases.holds(JOB)


def test_leases_write_nothing_into_the_ledger(one: Process) -> None:
    one.leases.holds(JOB)
    one.leases.release()

    assert one.sequencer.size == 0


class Silent:
    """Alarms that nobody hears."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def end(self, name: str) -> None:
        self.ended.append(name)


def test_of_two_processes_that_run_the_same_table_each_job_is_done_once(
    one: Process, other: Process
) -> None:
    names = (JOB, "publishing", "readiness", "refusals")
    done: list[str] = []
    silent = Silent()

    def table(of: str) -> tuple[tuple[str, Callable[[], None]], ...]:
        return tuple((name, lambda name=name: done.append(f"{of} {name}")) for name in names)

    first = Jobs(table("one"), Silent(), one.leases)  # type: ignore[arg-type]
    second = Jobs(table("other"), silent, other.leases)  # type: ignore[arg-type]
    for jobs in (first, second, first, second):
        assert jobs.run() == ()

    assert [each for each in done if each.endswith(JOB)] == [f"one {JOB}"] * 2
    assert done.count("other publishing") == 0
    assert {"readiness", "refusals"} <= OF_EACH_PROCESS
    assert done.count("other readiness") == done.count("other refusals") == 2
    # Nor does it say of another process's job that it goes well.
    assert sorted(silent.ended) == ["JOB/readiness", "JOB/refusals"]


def test_half_a_lease_is_longer_than_any_thread_may_be_silent() -> None:
    """Whoever hangs in a job is ended by the watchdog before another process takes it over."""
    from gateway.server.process import LAST_STUCK
    from gateway.server.workers import tiles, timestamps

    longest = max(tiles.HANGS, timestamps.RESOLVES)

    assert timedelta(seconds=longest + LAST_STUCK) < LENGTH / 2
