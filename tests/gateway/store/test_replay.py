"""Messages seen: the same bytes get the stored reply, other bytes are a conflict, for as long as they can come."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.domain.messages import Operation, SignedEnvelope
from gateway.errors import (
    InProgress,
    PasserelleError,
    ReplayConflict,
)
from gateway.law.quota_policy import Usage
from gateway.ledger.entry import EntryType
from gateway.ledger.sequence_rules import REPLAY_WINDOW
from gateway.store.exchange.replay import find_replay, orphans
from gateway.store.exchange.transactions import abandon, finish_request
from gateway.store.schema import replay, transactions

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Counterpart

SIGNED_ENVELOPE = SignedEnvelope(b"header", b"sealed", b"signature")


def test_two_identical_queries_at_the_same_instant_search_once(counter: Counterpart) -> None:
    head = counter.store.header()
    together = threading.Barrier(16)

    def ask(_: int) -> str:
        together.wait()
        try:
            counter.begin(head)
        except PasserelleError as refusal:
            return type(refusal).__name__
        return "searched"

    with ThreadPoolExecutor(16) as pool:
        told = Counter(pool.map(ask, range(16)))

    assert told == {"searched": 1, "InProgress": 15}
    assert counter.sequencer.size == 1
    assert counter.usage() == Usage(1, 1)


def test_the_same_message_after_its_answer_does_not_search_again(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    counter.finish(head)

    with pytest.raises(InProgress):  # the retry that this asks for finds the stored reply
        counter.begin(head)


def test_other_bytes_under_the_same_message_id_are_a_conflict(counter: Counterpart) -> None:
    counter.begin(counter.store.header())

    with pytest.raises(ReplayConflict):
        counter.begin(counter.store.header(number="AUS-0002"), transcript=bytes(32))

    assert counter.row("AUS-0002") is None
    assert counter.usage() == Usage(1, 1)


def test_another_partner_may_use_the_same_message_id_and_number(counter: Counterpart) -> None:
    counter.begin(counter.store.header())

    counter.begin(replace(counter.store.header(), sender="NZL"), transcript=bytes(32))

    assert counter.usage() == Usage(1, 1)
    assert counter.count(transactions) == 2


def test_a_redelivered_answer_keeps_the_receipt_of_the_first(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    answered = counter.finish(head)
    again = counter.store.header(2, "AUS-0002", Operation.REDELIVER_RESULT)
    counter.begin(again, None)

    effects = finish_request(
        again, SIGNED_ENVELOPE, None, counter.store.clock(), response_index=answered.indices[-1]
    )
    counter.sequencer.commit([counter.store.leaf(EntryType.RESPONSE)], effects)

    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", again.message_id)
    assert seen is not None
    assert seen.reply == counter.reply()


def test_a_reply_is_kept_for_a_day_and_a_message_id_while_it_can_come_again(
    counter: Counterpart,
) -> None:
    query = counter.store.header(1, "AUS-0001")
    state = counter.store.header(2, "AUS-0002", Operation.GET_QUERY_STATE)
    counter.begin(query)
    counter.finish(query)
    counter.begin(state, None)
    counter.finish(state, None)

    def expire() -> int:
        counter.expire()
        return counter.count(replay)

    counter.store.clock.move(minutes=15, seconds=59)
    assert expire() == 2
    counter.store.clock.move(seconds=1)
    assert expire() == 1
    counter.store.clock.move(hours=23, minutes=43, seconds=59)
    assert expire() == 1
    assert counter.reply() is not None
    counter.store.clock.move(seconds=1)
    assert counter.reply() is None  # also where the purge is late
    assert expire() == 0
    row = counter.row()
    assert row is not None
    assert row.result is not None


LIVES = (timedelta(milliseconds=1), timedelta(seconds=5), timedelta(minutes=10))


@pytest.mark.parametrize("life", LIVES)
def test_a_short_lived_message_keeps_its_id_taken_for_the_whole_window(
    counter: Counterpart, life: timedelta
) -> None:
    """Otherwise its sender could have two REQUESTs recorded that the sequence rules forbid."""
    store = counter.store
    head = replace(store.header(), expire_time=store.clock() + life)
    counter.begin(head)
    counter.finish(head)
    store.clock.move(seconds=REPLAY_WINDOW.total_seconds())
    counter.expire()

    with pytest.raises(ReplayConflict):
        counter.begin(replace(head, transaction_number="AUS-0002"), transcript=bytes(32))


@pytest.mark.parametrize("life", LIVES)
def test_a_message_is_abandoned_when_its_window_is_over_and_not_before(
    counter: Counterpart, life: timedelta
) -> None:
    store = counter.store
    head = replace(store.header(), expire_time=store.clock() + life)
    counter.begin(head)
    store.clock.move(seconds=REPLAY_WINDOW.total_seconds())
    with counter.sequencer._database.reader() as reader:
        assert orphans(reader, store.clock()) == ()

    store.clock.move(minutes=1)
    with counter.sequencer._database.reader() as reader:
        (orphan,) = orphans(reader, store.clock())
    counter.sequencer.commit([store.leaf(EntryType.ABANDONED)], abandon(orphan, store.clock()))

    # By now the same bytes are outside their own time; other bytes are another message.
    assert store.clock() > head.expire_time + timedelta(seconds=120)
    counter.begin(replace(head, transaction_number="AUS-0002"), transcript=bytes(32))
