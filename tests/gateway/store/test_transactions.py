"""Message ids once, numbers once, quotas to the limit and not beyond, replies byte for byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from gateway.domain.messages import Operation, Outcome, Purpose, SignedEnvelope, State
from gateway.errors import (
    InProgress,
    InternalError,
    TransactionReused,
)
from gateway.law.quota_policy import Usage
from gateway.ledger.entry import EntryType
from gateway.store.casework import issued_numbers
from gateway.store.exchange.quotas import Claims
from gateway.store.exchange.replay import ReplayState, find_replay, orphans
from gateway.store.exchange.transactions import (
    LIFE_CYCLE,
    Act,
    Finding,
    Hit,
    Settled,
    abandon,
    finish_request,
    open_result,
    seal_finding,
    seal_result,
    step,
)
from gateway.store.schema import hit_references, transactions

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Counterpart

TRANSCRIPT = bytes([7]) * 32
SIGNED_ENVELOPE = SignedEnvelope(b"header", b"sealed", b"signature")


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("state", State)
def test_only_drawn_edges_exist(state: State, act: Act) -> None:
    if (state, act) in LIFE_CYCLE:
        assert step(state, act) is LIFE_CYCLE[state, act]
    else:
        with pytest.raises(InternalError, match=state.name):
            step(state, act)


def test_the_ends_are_ends_and_every_state_can_be_reached() -> None:
    assert {state for state, _ in LIFE_CYCLE} == set(State) - {State.DECIDED, State.ABANDONED}
    assert {State.RECEIVED, *LIFE_CYCLE.values()} == set(State)
    for act in Act:
        assert len({after for (_, each), after in LIFE_CYCLE.items() if each is act}) == 1


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("act", [Act.DECIDE, Act.ABANDON])
def test_the_database_keeps_to_the_table_too(counter: Counterpart, state: State, act: Act) -> None:
    store, head = counter.store, counter.store.header()
    counter.begin(head)
    store.close()
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        writer.execute(transactions.update().values(state=int(state)))
    database.release_writer()
    counter.sequencer = store.sequencer(database)
    store.clock.move(minutes=20)

    if act is Act.ABANDON:
        with database.reader() as reader:
            (orphan,) = orphans(reader, store.clock())
        counter.sequencer.commit([store.leaf()], abandon(orphan, store.clock()))
    elif (state, act) in LIFE_CYCLE:
        counter.finish(head)
    else:
        with pytest.raises(InternalError):
            counter.finish(head)

    after = counter.row()
    assert after is not None
    assert after.state is LIFE_CYCLE.get((state, act), state)


def test_a_query_is_recorded_before_anything_is_compared(counter: Counterpart) -> None:
    head = counter.store.header()

    committed = counter.begin(head)

    row = counter.row()
    assert row is not None
    assert (row.state, row.outcome, row.result) == (State.SEARCHING, None, None)
    assert row.request_index == committed.indices[0]
    assert row.message_id == head.message_id
    assert row.receive_time == counter.store.clock()
    assert (row.agreement_id, row.agreement_version) == ("au", 3)
    assert counter.usage() == Usage(1, 1)
    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", head.message_id)
        assert find_replay(reader, "NZL", head.message_id) is None
    assert seen is not None
    assert (seen.transcript, seen.state, seen.reply) == (TRANSCRIPT, ReplayState.RUNNING, None)
    assert seen.request_index == committed.indices[0]


def test_an_answer_is_stored_with_its_receipt(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    reference = bytes(range(16))
    expires = counter.store.clock() + timedelta(days=30)

    committed = counter.finish(head, Outcome.MATCH, hit=Hit(reference, 2**62, expires))

    reply = counter.reply()
    assert reply is not None
    assert reply.envelope == SIGNED_ENVELOPE
    assert reply.receipt == counter.sequencer.receipt(
        committed.indices[-1], committed.checkpoint_size
    )
    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", head.message_id)
        hits = reader.execute(select(hit_references)).all()
    assert seen is not None
    assert (seen.state, seen.reply) == (ReplayState.DONE, reply)
    assert [(h.reference, h.partner, h.transaction_number, h.subject_id) for h in hits] == [
        (reference, "AUS", "AUS-0001", 2**62)
    ]
    row = counter.row()
    assert row is not None
    assert (row.state, row.outcome) == (State.DECIDED, Outcome.MATCH)
    assert row.response_index == committed.indices[-1]
    assert row.decide_time == counter.store.clock()


def test_a_recorded_result_is_sealed_and_bound_to_its_row(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    counter.finish(head)
    key, row = counter.store.data_key, counter.row()
    assert row is not None
    assert row.result is not None

    assert open_result(key, "AUS", "AUS-0001", row.result) == b"result of AUS-0001"
    assert b"result of" not in row.result
    assert "result=" not in repr(row)
    for partner, number, blob in (
        ("NZL", "AUS-0001", row.result),
        ("AUS", "AUS-0002", row.result),
        ("AUS", "AUS-0001", row.result[:-1] + bytes([row.result[-1] ^ 1])),
        ("AUS", "AUS-0001", b""),
    ):
        with pytest.raises(InternalError, match="does not open"):
            open_result(key, partner, number, blob)


def test_a_transaction_number_is_used_once(counter: Counterpart) -> None:
    counter.begin(counter.store.header(1))

    with pytest.raises(TransactionReused):
        counter.begin(counter.store.header(2))

    with counter.sequencer._database.reader() as reader:
        assert find_replay(reader, "AUS", counter.store.header(2).message_id) is None
    assert counter.usage() == Usage(1, 1)


def test_numbers_under_concurrency_are_used_once_each(counter: Counterpart) -> None:
    def ask(message: int) -> bool:
        try:
            counter.begin(counter.store.header(message, f"AUS-{message % 10:04}"))
        except TransactionReused:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(60))) == 10
    assert counter.usage() == Usage(10, 10)


def test_an_answer_is_given_once(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    counter.finish(head, Outcome.NO_MATCH)

    with pytest.raises(InProgress):
        counter.finish(head, Outcome.MATCH, SignedEnvelope(b"other", b"other", b"other"))

    row, reply = counter.row(), counter.reply()
    assert row is not None
    assert reply is not None
    assert (row.outcome, reply.envelope) == (Outcome.NO_MATCH, SIGNED_ENVELOPE)
    assert counter.sequencer.size == 3


def test_an_answer_to_nothing_is_refused(counter: Counterpart) -> None:
    with pytest.raises(InProgress):
        counter.finish(counter.store.header())

    assert counter.sequencer.size == 0


def test_a_transaction_is_kept_for_the_retention_period(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    counter.begin(counter.store.header(2, "AUS-0002"))  # never answered
    expires = counter.store.clock() + timedelta(days=30)
    counter.finish(head, Outcome.MATCH, hit=Hit(bytes(16), 5, expires))

    def expire() -> tuple[int, int]:
        counter.expire()
        return counter.count(transactions), counter.count(hit_references)

    counter.store.clock.move(days=29)
    assert expire() == (2, 1)
    counter.store.clock.move(days=1)
    assert expire() == (2, 0)
    counter.store.clock.move(days=699, hours=23)
    assert expire() == (2, 0)
    counter.store.clock.move(hours=1)
    assert expire() == (1, 0)
    assert counter.row("AUS-0001") is None


def test_a_removed_transaction_takes_its_hit_reference_along(counter: Counterpart) -> None:
    head = counter.store.header()
    counter.begin(head)
    forever = counter.store.clock() + timedelta(days=9999)
    counter.finish(head, Outcome.MATCH, hit=Hit(bytes(16), 5, forever))
    counter.store.clock.move(days=731)

    counter.expire()

    assert counter.count(hit_references) == 0


def test_a_crash_after_the_request_is_resumed_or_abandoned(counter: Counterpart) -> None:
    """An identical retry searches again under the same leaf; with none in the window, ABANDONED (ledger.md 10)."""
    store = counter.store
    counter.begin(store.header(1, "AUS-0001"))
    counter.begin(store.header(2, "AUS-0002"))
    store.close()
    counter.sequencer = store.sequencer()
    database = counter.sequencer._database

    with database.reader() as reader:
        assert orphans(reader, store.clock()) == ()  # an identical retry may still come
        seen = find_replay(reader, "AUS", store.header(1).message_id)
    assert seen is not None
    assert (seen.state, seen.request_index) == (ReplayState.RUNNING, 0)
    counter.finish(store.header(1, "AUS-0001"))

    store.clock.move(minutes=16)
    with database.reader() as reader:
        (orphan,) = orphans(reader, store.clock())
    assert (orphan.transaction_number, orphan.request_index) == ("AUS-0002", 1)
    assert orphan.operation is Operation.SUBMIT_QUERY
    counter.sequencer.commit([store.leaf(EntryType.ABANDONED)], abandon(orphan, store.clock()))

    row = counter.row("AUS-0002")
    assert row is not None
    assert (row.state, row.outcome, row.result) == (State.ABANDONED, None, None)
    assert counter.usage() == Usage(1, 1)
    with database.reader() as reader:
        assert orphans(reader, store.clock()) == ()
    with pytest.raises(InProgress):  # nothing is left to answer
        counter.finish(store.header(2, "AUS-0002"))
    with pytest.raises(InProgress):  # nor to abandon
        counter.sequencer.commit([store.leaf()], abandon(orphan, store.clock()))
    with pytest.raises(TransactionReused):  # and its number stays used
        counter.begin(store.header(3, "AUS-0002"))


def test_an_abandoned_message_without_a_query_disturbs_no_other(counter: Counterpart) -> None:
    """A standing request bears a number of its own, if any; its end is no query's."""
    counter.begin(counter.store.header(1, "AUS-0001"))
    counter.begin(counter.store.header(2, "AUS-0002", Operation.GET_CAPABILITIES), None)
    counter.finish(counter.store.header(1, "AUS-0001"))
    counter.store.clock.move(minutes=16)
    with counter.sequencer._database.reader() as reader:
        (orphan,) = orphans(reader, counter.store.clock())

    counter.sequencer.commit([counter.store.leaf()], abandon(orphan, counter.store.clock()))

    row = counter.row()
    assert row is not None
    assert row.state is State.DECIDED
    assert counter.usage() == Usage(1, 1)


@pytest.mark.parametrize("other", [each for each in Operation if each])
def test_a_number_serves_one_message_whatever_it_asks(
    counter: Counterpart, other: Operation
) -> None:
    """A query's number is no other message's, and no other's is a query's, at the same moment too."""
    store = counter.store
    counter.begin(store.header(1, "AUS-0001"))
    query = Claims(purpose=Purpose.VISA_PERMIT_BENEFIT, day_limit=9, year_limit=9)
    claims = query if other is Operation.SUBMIT_QUERY else None
    with pytest.raises(TransactionReused):
        counter.begin(store.header(2, "AUS-0001", other), claims)

    counter.begin(store.header(3, "AUS-0002", other), claims)
    with pytest.raises(TransactionReused):
        counter.begin(store.header(4, "AUS-0002"))
    counter.begin(replace(store.header(5, "AUS-0001", other), sender="NZL"), claims)  # of another


def test_letters_about_one_correction_share_its_number(counter: Counterpart) -> None:
    counter.begin(counter.store.header(1, "AUS-0001", Operation.SUBMIT_CORRECTION), None)
    counter.begin(counter.store.header(2, "AUS-0001", Operation.SUBMIT_CORRECTION), None)
    with pytest.raises(TransactionReused):
        counter.begin(counter.store.header(3, "AUS-0001", Operation.ACK_CORRECTION), None)


def test_what_is_deleted_is_in_no_file(counter: Counterpart) -> None:
    """SQLite keeps deleted bytes unless told otherwise, and the WAL until it is emptied (ledger.md 3)."""
    store, head = counter.store, counter.store.header()
    secret = b"a stored reply that must go " * 200
    counter.begin(head)
    counter.finish(head, envelope=SignedEnvelope(b"h", secret, b"s"))
    store.clock.move(days=2)
    assert any(secret[:28] in each.read_bytes() for each in store.path.parent.iterdir())

    counter.expire()
    store.close()

    assert not any(secret[:28] in each.read_bytes() for each in store.path.parent.iterdir())


def test_what_is_remembered_survives_a_restart(counter: Counterpart) -> None:
    store, head = counter.store, counter.store.header()
    counter.begin(head)
    counter.finish(head)
    before = counter.row(), counter.reply(), counter.usage()
    store.close()

    counter.sequencer = store.sequencer()

    assert (counter.row(), counter.reply(), counter.usage()) == before


@pytest.mark.parametrize("outcome", [Outcome.MATCH, Outcome.NO_MATCH, Outcome.REFUSED])
def test_a_match_that_was_not_told_is_none_to_who_asks_back_by_its_number(
    counter: Counterpart, outcome: Outcome
) -> None:
    """Else NO_MATCH becomes MATCH, with nothing compared, once the person's status lets it."""
    head, store = counter.store.header(), counter.store
    counter.begin(head)
    settled = Settled(
        outcome=outcome,
        result=seal_result(store.data_key, "AUS", "AUS-0001", b"result"),
        finding=seal_finding(store.data_key, "AUS", "AUS-0001", Finding(7)),
    )
    effects = finish_request(head, SIGNED_ENVELOPE, settled, store.clock())
    kinds = (EntryType.DESTRUCTION, EntryType.RESPONSE)
    counter.sequencer.commit([store.leaf(kind) for kind in kinds], effects)

    with counter.sequencer._database.reader() as reader:
        behind = issued_numbers.find_received(reader, store.data_key, "AUS", "AUS-0001")

    assert behind is not None
    assert behind.matched is (outcome is Outcome.MATCH)
