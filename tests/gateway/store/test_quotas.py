"""What a partner may ask in a day and a year: reserved with the question, given back where nothing was searched."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.messages import Direction, Operation, Outcome, Purpose, SignedEnvelope
from gateway.errors import (
    QuotaExceeded,
)
from gateway.law.quota_policy import Quota, Usage, poor_allowance
from gateway.store.exchange.quotas import Claims, release_quota, used
from gateway.store.exchange.replay import find_replay, orphans
from gateway.store.exchange.transactions import abandon
from gateway.store.schema import quotas, replay, transactions

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Counterpart, StoreFixture

SIGNED_ENVELOPE = SignedEnvelope(b"header", b"sealed", b"signature")


def test_the_quota_holds_under_concurrency(counter: Counterpart) -> None:
    claims = Claims(purpose=Purpose.DATA_ACCURACY, day_limit=25, year_limit=1000)

    def ask(message: int) -> bool:
        try:
            counter.begin(counter.store.header(message, f"AUS-{message:04}"), claims)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(64))) == 25

    assert counter.usage() == Usage(25, 25)
    assert counter.count(transactions) == counter.count(replay) == 25
    assert counter.sequencer.size == 25


def test_the_quota_is_of_all_purposes_together_and_of_each_partner(counter: Counterpart) -> None:
    small = [
        Claims(purpose=purpose, day_limit=2, year_limit=1000)
        for purpose in (Purpose.VISA_PERMIT_BENEFIT, Purpose.DATA_ACCURACY, Purpose.CITIZENSHIP)
    ]
    counter.begin(counter.store.header(1, "AUS-0001"), small[0])
    counter.begin(counter.store.header(2, "AUS-0002"), small[1])

    with pytest.raises(QuotaExceeded):
        counter.begin(counter.store.header(3, "AUS-0003"), small[2])

    counter.begin(replace(counter.store.header(4, "AUS-0003"), sender="NZL"), small[2])


@pytest.mark.parametrize(
    ("day", "year", "now", "renews"),
    [
        (0, 9, "2026-11-22T23:59:59.999", "2026-11-23T00:00"),
        (0, 9, "2026-12-31T12:00", "2027-01-01T00:00"),
        (0, 9, "2028-02-28T12:00", "2028-02-29T00:00"),
        (9, 0, "2026-11-22T12:00", "2027-01-01T00:00"),
        (0, 0, "2026-11-22T12:00", "2027-01-01T00:00"),  # the day would not help
    ],
)
def test_a_refused_quota_says_when_it_renews(
    counter: Counterpart, day: int, year: int, now: str, renews: str
) -> None:
    counter.store.clock.now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    claims = Claims(purpose=Purpose.CITIZENSHIP, day_limit=day, year_limit=year)

    with pytest.raises(QuotaExceeded) as refusal:
        counter.begin(counter.store.header(), claims)

    assert refusal.value.renews == datetime.fromisoformat(renews).replace(tzinfo=UTC)
    assert counter.count(quotas) == 0


def test_the_quota_renews_at_midnight_utc(counter: Counterpart) -> None:
    claims = Claims(purpose=Purpose.CITIZENSHIP, day_limit=1, year_limit=2)
    counter.store.clock.now = datetime(2026, 12, 30, 23, 59, tzinfo=UTC)
    counter.begin(counter.store.header(1, "AUS-0001"), claims)
    with pytest.raises(QuotaExceeded):
        counter.begin(counter.store.header(2, "AUS-0002"), claims)

    counter.store.clock.move(minutes=1)
    counter.begin(counter.store.header(2, "AUS-0002"), claims)
    assert counter.usage() == Usage(1, 2)

    counter.store.clock.move(days=1)
    counter.begin(counter.store.header(3, "AUS-0003"), claims)
    assert counter.usage() == Usage(1, 1)


def test_a_query_that_was_not_searched_costs_nothing(counter: Counterpart) -> None:
    counter.begin(counter.store.header(1, "AUS-0001"))
    counter.begin(counter.store.header(2, "AUS-0002"))

    counter.store.clock.move(days=1)  # what is given back is the day on which it was reserved
    counter.finish(
        counter.store.header(1, "AUS-0001"), Outcome.QUALITY_INSUFFICIENT, release_most=10
    )

    assert counter.usage() == Usage(0, 1)
    counter.store.clock.move(days=-1, seconds=86399)
    with counter.sequencer._database.reader() as reader:
        today = used(reader, "AUS", Direction.INBOUND, counter.store.clock() - timedelta(hours=23))
    assert (today.day, today.year) == (1, 1)


def test_a_quota_is_given_back_once(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    counter.begin(counter.store.header(2, "AUS-0002"))

    for _ in range(3):
        counter.sequencer.commit([], release_quota("AUS", "AUS-0001", head.message_id))
    counter.sequencer.commit([], release_quota("AUS", "AUS-0002", head.message_id))  # not its own

    assert counter.usage() == Usage(1, 1)


@pytest.mark.parametrize(("day", "poor"), [(1, 10), (99, 10), (101, 10), (4384, 438)])
def test_a_tenth_of_the_day_or_ten_too_poor_to_search_cost_nothing(day: int, poor: int) -> None:
    assert poor_allowance(day) == poor


def test_queries_too_poor_to_search_cost_nothing_up_to_an_allowance_a_day(
    counter: Counterpart,
) -> None:
    def poor(message: int) -> None:
        head = counter.store.header(message, f"AUS-{message:04}")
        counter.begin(head)
        counter.finish(head, Outcome.QUALITY_INSUFFICIENT, release_most=2)

    poor(1)
    poor(2)
    assert counter.usage() == Usage(0, 0)

    poor(3)
    poor(4)
    assert counter.usage() == Usage(2, 2)
    with counter.sequencer._database.reader() as reader:
        assert used(reader, "AUS", Direction.INBOUND, counter.store.clock()) == Usage(
            2, 2, {Purpose.VISA_PERMIT_BENEFIT: Quota(2, 2)}
        )

    counter.store.clock.move(days=1)
    poor(5)
    assert counter.usage() == Usage(0, 2)


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 4))
def test_queries_of_a_day_are_bounded_by_quota_and_allowance_whatever_their_quality(
    tmp_path_factory: pytest.TempPathFactory,
    store_of: Callable[[Path], StoreFixture],
    counter_of: Callable[[StoreFixture], Counterpart],
    poor: list[bool],
    most: int,
) -> None:
    """Each query that begins is three entries; what begins is the quota, and what gave its quota back."""
    store = store_of(tmp_path_factory.mktemp("poor"))
    claims = Claims(purpose=Purpose.CITIZENSHIP, day_limit=5, year_limit=1000)
    begun = 0
    try:
        counter = counter_of(store)
        for number, each in enumerate(poor, 1):
            head = store.header(number, f"AUS-{number:04}")
            try:
                counter.begin(head, claims)
            except QuotaExceeded:
                continue
            begun += 1
            outcome = Outcome.QUALITY_INSUFFICIENT if each else Outcome.NO_MATCH
            counter.finish(head, outcome, release_most=most if each else None)
        assert begun <= 5 + most
        assert counter.usage().day == begun - min(most, begun, _given_back(poor, begun, most))
    finally:
        store.close()


def _given_back(poor: list[bool], begun: int, most: int) -> int:
    """Return how many of the queries that began, which are the first ones, gave their quota back."""
    return min(most, sum(poor[:begun]))


def test_usage_counts_one_direction(counter: Counterpart) -> None:
    counter.begin(counter.store.header())

    with counter.sequencer._database.reader() as reader:
        assert used(reader, "AUS", Direction.OUTBOUND, counter.store.clock()) == Usage(0, 0)


def test_a_standing_request_uses_no_number_and_no_quota(counter: Counterpart) -> None:
    head = counter.store.header(operation=Operation.GET_CAPABILITIES)
    counter.begin(head, None)
    counter.finish(head, None)

    assert counter.row() is None
    assert counter.usage() == Usage(0, 0)
    assert counter.reply() is None  # only queries are redelivered
    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", head.message_id)
    assert seen is not None
    assert seen.reply is not None
    assert seen.reply.envelope == SIGNED_ENVELOPE


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("bfar"), st.integers(0, 3)), max_size=25))
def test_quotas_add_up_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory,
    store_of: Callable[[Path], StoreFixture],
    counter_of: Callable[[StoreFixture], Counterpart],
    acts: list[tuple[str, int]],
) -> None:
    """Model: begin, finish, abandon and release in any order; used = what is open or decided."""
    store = store_of(tmp_path_factory.mktemp("model"))
    try:
        counter = counter_of(store)
        held: dict[int, bool] = {}  # number → whether it still holds its quota
        running: set[int] = set()
        for act, number in acts:
            head = store.header(number + 1, f"AUS-{number:04}")
            if act == "b" and number not in held:
                counter.begin(head)
                held[number] = True
                running.add(number)
            elif act == "f" and number in running:
                counter.finish(head)
                running.discard(number)
            elif act == "a" and number in running:
                with counter.sequencer._database.reader() as reader:
                    found = orphans(reader, store.clock() + timedelta(hours=1))
                one = next(o for o in found if o.transaction_number == head.transaction_number)
                counter.sequencer.commit([store.leaf()], abandon(one, store.clock()))
                running.discard(number)
                held[number] = False
            elif act == "r" and number in held:
                effects = release_quota("AUS", head.transaction_number, head.message_id)
                counter.sequencer.commit([], effects)
                held[number] = False
            total = sum(held.values())
            assert counter.usage() == Usage(total, total)
    finally:
        store.close()
