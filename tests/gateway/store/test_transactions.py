"""Message ids once, numbers once, quotas to the limit and not beyond, replies byte for byte."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.audit.entry import EntryType
from gateway.errors import (
    Fault,
    InProgress,
    PasserelleError,
    QuotaExceeded,
    ReplayConflict,
    TransactionReused,
)
from gateway.store.schema import hit_references, quotas, replay, transactions
from gateway.store.sequencer import Committed, Sequencer
from gateway.store.transactions import (
    LIFE_CYCLE,
    Act,
    Claims,
    Hit,
    ReplayState,
    Settled,
    TransactionRow,
    Usage,
    abandon,
    begin_request,
    expire_rows,
    find_replay,
    finish_request,
    open_result,
    orphans,
    release_quota,
    seal_result,
    step,
    stored_reply,
    transaction,
    usage,
)
from gateway.terms import Direction, Header, Letter, Operation, Outcome, Purpose, Reply, State

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Desk

TRANSCRIPT = bytes([7]) * 32
CLAIMS = Claims(purpose=Purpose.VISA_PERMIT_BENEFIT, day_limit=100, year_limit=1000)
LETTER = Letter(b"header", b"sealed", b"signature")


class Counterpart:
    """The two commits of a query, as the corridor makes them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sequencer: Sequencer = desk.sequencer()

    def begin(
        self,
        head: Header,
        claims: Claims | None = CLAIMS,
        transcript: bytes = TRANSCRIPT,
    ) -> Committed:
        effects = begin_request(head, transcript, claims, self.desk.clock())
        return self.sequencer.commit([self.desk.leaf(number=head.transaction_number)], effects)

    def finish(
        self,
        head: Header,
        outcome: Outcome | None = Outcome.NO_MATCH,
        letter: Letter = LETTER,
        **more: object,
    ) -> Committed:
        settled = None
        if outcome is not None:
            payload = f"result of {head.transaction_number}".encode()
            sealed = seal_result(self.desk.data_key, "AUS", head.transaction_number, payload)
            settled = Settled(outcome=outcome, result=sealed, **more)  # type: ignore[arg-type]
        effects = finish_request(head, letter, settled, self.desk.clock())
        kinds = (EntryType.DESTRUCTION, EntryType.RESPONSE)
        return self.sequencer.commit([self.desk.leaf(kind) for kind in kinds], effects)

    def row(self, number: str = "AUS-0001") -> TransactionRow | None:
        with self.sequencer._database.reader() as reader:
            return transaction(reader, "AUS", number)

    def usage(self) -> Usage:
        with self.sequencer._database.reader() as reader:
            return usage(reader, "AUS", self.desk.clock())

    def count(self, table: object) -> int:
        with self.sequencer._database.reader() as reader:
            return reader.execute(select(func.count()).select_from(table)).scalar() or 0  # type: ignore[arg-type]

    def reply(self, number: str = "AUS-0001") -> Reply | None:
        with self.sequencer._database.reader() as reader:
            return stored_reply(reader, "AUS", number, self.desk.clock())


@pytest.fixture
def counter(desk: Desk) -> Counterpart:
    return Counterpart(desk)


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("state", State)
def test_only_drawn_edges_exist(state: State, act: Act) -> None:
    if (state, act) in LIFE_CYCLE:
        assert step(state, act) is LIFE_CYCLE[state, act]
    else:
        with pytest.raises(Fault, match=state.name):
            step(state, act)


def test_the_ends_are_ends_and_every_state_can_be_reached() -> None:
    assert {state for state, _ in LIFE_CYCLE} == set(State) - {State.DECIDED, State.ABANDONED}
    assert {State.RECEIVED, *LIFE_CYCLE.values()} == set(State)
    for act in Act:
        assert len({after for (_, each), after in LIFE_CYCLE.items() if each is act}) == 1


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("act", [Act.DECIDE, Act.ABANDON])
def test_the_database_keeps_to_the_table_too(counter: Counterpart, state: State, act: Act) -> None:
    desk, head = counter.desk, counter.desk.header()
    counter.begin(head)
    desk.close()
    database = desk.database()
    pen = database.take_pen()
    with pen.begin():
        pen.execute(transactions.update().values(state=int(state)))
    database.release_pen()
    counter.sequencer = desk.sequencer(database)
    desk.clock.move(minutes=20)

    if act is Act.ABANDON:
        with database.reader() as reader:
            (orphan,) = orphans(reader, desk.clock())
        counter.sequencer.commit([desk.leaf()], abandon(orphan, desk.clock()))
    elif (state, act) in LIFE_CYCLE:
        counter.finish(head)
    else:
        with pytest.raises(Fault):
            counter.finish(head)

    after = counter.row()
    assert after is not None
    assert after.state is LIFE_CYCLE.get((state, act), state)


def test_a_query_is_recorded_before_anything_is_compared(counter: Counterpart) -> None:
    head = counter.desk.header()

    committed = counter.begin(head)

    row = counter.row()
    assert row is not None
    assert (row.state, row.outcome, row.result) == (State.SEARCHING, None, None)
    assert row.request_index == committed.indices[0]
    assert row.message_id == head.message_id
    assert row.receive_time == counter.desk.clock()
    assert (row.agreement_id, row.agreement_version) == ("au", 3)
    assert counter.usage() == Usage(1, 1)
    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", head.message_id)
        assert find_replay(reader, "NZL", head.message_id) is None
    assert seen is not None
    assert (seen.transcript, seen.state, seen.reply) == (TRANSCRIPT, ReplayState.RUNNING, None)
    assert seen.request_index == committed.indices[0]


def test_an_answer_is_stored_with_its_receipt(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    reference = bytes(range(16))
    expires = counter.desk.clock() + timedelta(days=30)

    committed = counter.finish(head, Outcome.MATCH, hit=Hit(reference, 2**62, expires))

    reply = counter.reply()
    assert reply is not None
    assert reply.letter == LETTER
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
    assert row.decide_time == counter.desk.clock()


def test_a_recorded_result_is_sealed_and_bound_to_its_row(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    counter.finish(head)
    key, row = counter.desk.data_key, counter.row()
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
        with pytest.raises(Fault, match="does not open"):
            open_result(key, partner, number, blob)


def test_two_identical_queries_at_the_same_instant_search_once(counter: Counterpart) -> None:
    head = counter.desk.header()
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
    head = counter.desk.header()
    counter.begin(head)
    counter.finish(head)

    with pytest.raises(InProgress):  # the retry that this asks for finds the stored reply
        counter.begin(head)


def test_other_bytes_under_the_same_message_id_are_a_conflict(counter: Counterpart) -> None:
    counter.begin(counter.desk.header())

    with pytest.raises(ReplayConflict):
        counter.begin(counter.desk.header(number="AUS-0002"), transcript=bytes(32))

    assert counter.row("AUS-0002") is None
    assert counter.usage() == Usage(1, 1)


def test_another_partner_may_use_the_same_message_id_and_number(counter: Counterpart) -> None:
    counter.begin(counter.desk.header())

    counter.begin(replace(counter.desk.header(), sender="NZL"), transcript=bytes(32))

    assert counter.usage() == Usage(1, 1)
    assert counter.count(transactions) == 2


def test_a_transaction_number_is_used_once(counter: Counterpart) -> None:
    counter.begin(counter.desk.header(1))

    with pytest.raises(TransactionReused):
        counter.begin(counter.desk.header(2))

    with counter.sequencer._database.reader() as reader:
        assert find_replay(reader, "AUS", counter.desk.header(2).message_id) is None
    assert counter.usage() == Usage(1, 1)


def test_numbers_under_concurrency_are_used_once_each(counter: Counterpart) -> None:
    def ask(message: int) -> bool:
        try:
            counter.begin(counter.desk.header(message, f"AUS-{message % 10:04}"))
        except TransactionReused:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(60))) == 10
    assert counter.usage() == Usage(10, 10)


def test_the_quota_holds_under_concurrency(counter: Counterpart) -> None:
    claims = Claims(purpose=Purpose.DATA_ACCURACY, day_limit=25, year_limit=1000)

    def ask(message: int) -> bool:
        try:
            counter.begin(counter.desk.header(message, f"AUS-{message:04}"), claims)
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
    counter.begin(counter.desk.header(1, "AUS-0001"), small[0])
    counter.begin(counter.desk.header(2, "AUS-0002"), small[1])

    with pytest.raises(QuotaExceeded):
        counter.begin(counter.desk.header(3, "AUS-0003"), small[2])

    counter.begin(replace(counter.desk.header(4, "AUS-0003"), sender="NZL"), small[2])


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
    counter.desk.clock.now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    claims = Claims(purpose=Purpose.CITIZENSHIP, day_limit=day, year_limit=year)

    with pytest.raises(QuotaExceeded) as refusal:
        counter.begin(counter.desk.header(), claims)

    assert refusal.value.renews == datetime.fromisoformat(renews).replace(tzinfo=UTC)
    assert counter.count(quotas) == 0


def test_the_quota_renews_at_midnight_utc(counter: Counterpart) -> None:
    claims = Claims(purpose=Purpose.CITIZENSHIP, day_limit=1, year_limit=2)
    counter.desk.clock.now = datetime(2026, 12, 30, 23, 59, tzinfo=UTC)
    counter.begin(counter.desk.header(1, "AUS-0001"), claims)
    with pytest.raises(QuotaExceeded):
        counter.begin(counter.desk.header(2, "AUS-0002"), claims)

    counter.desk.clock.move(minutes=1)
    counter.begin(counter.desk.header(2, "AUS-0002"), claims)
    assert counter.usage() == Usage(1, 2)

    counter.desk.clock.move(days=1)
    counter.begin(counter.desk.header(3, "AUS-0003"), claims)
    assert counter.usage() == Usage(1, 1)


def test_a_query_that_was_not_searched_costs_nothing(counter: Counterpart) -> None:
    counter.begin(counter.desk.header(1, "AUS-0001"))
    counter.begin(counter.desk.header(2, "AUS-0002"))

    counter.desk.clock.move(days=1)  # what is given back is the day on which it was reserved
    counter.finish(
        counter.desk.header(1, "AUS-0001"), Outcome.QUALITY_INSUFFICIENT, release_quota=True
    )

    assert counter.usage() == Usage(0, 1)
    counter.desk.clock.move(days=-1, seconds=86399)
    with counter.sequencer._database.reader() as reader:
        today = usage(reader, "AUS", counter.desk.clock() - timedelta(hours=23))
    assert today == Usage(1, 1)


def test_a_quota_is_given_back_once(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    counter.begin(counter.desk.header(2, "AUS-0002"))

    for _ in range(3):
        counter.sequencer.commit([], release_quota("AUS", "AUS-0001", head.message_id))
    counter.sequencer.commit([], release_quota("AUS", "AUS-0002", head.message_id))  # not its own

    assert counter.usage() == Usage(1, 1)


def test_usage_counts_one_direction(counter: Counterpart) -> None:
    counter.begin(counter.desk.header())

    with counter.sequencer._database.reader() as reader:
        assert usage(reader, "AUS", counter.desk.clock(), Direction.OUTBOUND) == Usage(0, 0)


def test_an_answer_is_given_once(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    counter.finish(head, Outcome.NO_MATCH)

    with pytest.raises(InProgress):
        counter.finish(head, Outcome.MATCH, Letter(b"other", b"other", b"other"))

    row, reply = counter.row(), counter.reply()
    assert row is not None
    assert reply is not None
    assert (row.outcome, reply.letter) == (Outcome.NO_MATCH, LETTER)
    assert counter.sequencer.size == 3


def test_an_answer_to_nothing_is_refused(counter: Counterpart) -> None:
    with pytest.raises(InProgress):
        counter.finish(counter.desk.header())

    assert counter.sequencer.size == 0


def test_a_standing_request_uses_no_number_and_no_quota(counter: Counterpart) -> None:
    head = counter.desk.header(operation=Operation.GET_CAPABILITIES)
    counter.begin(head, None)
    counter.finish(head, None)

    assert counter.row() is None
    assert counter.usage() == Usage(0, 0)
    assert counter.reply() is None  # only queries are redelivered
    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", head.message_id)
    assert seen is not None
    assert seen.reply is not None
    assert seen.reply.letter == LETTER


def test_a_redelivered_answer_keeps_the_receipt_of_the_first(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    answered = counter.finish(head)
    again = counter.desk.header(2, "AUS-0002", Operation.REDELIVER_RESULT)
    counter.begin(again, None)

    effects = finish_request(
        again, LETTER, None, counter.desk.clock(), response_index=answered.indices[-1]
    )
    counter.sequencer.commit([counter.desk.leaf(EntryType.RESPONSE)], effects)

    with counter.sequencer._database.reader() as reader:
        seen = find_replay(reader, "AUS", again.message_id)
    assert seen is not None
    assert seen.reply == counter.reply()


def test_a_reply_is_kept_for_a_day_and_a_message_id_while_it_can_come_again(
    counter: Counterpart,
) -> None:
    query = counter.desk.header(1, "AUS-0001")
    state = counter.desk.header(2, "AUS-0002", Operation.GET_QUERY_STATE)
    counter.begin(query)
    counter.finish(query)
    counter.begin(state, None)
    counter.finish(state, None)

    def expire() -> int:
        counter.sequencer.commit([], expire_rows(counter.desk.clock()))
        return counter.count(replay)

    counter.desk.clock.move(minutes=14, seconds=59)
    assert expire() == 2
    counter.desk.clock.move(seconds=1)
    assert expire() == 1
    counter.desk.clock.move(hours=23, minutes=44, seconds=59)
    assert expire() == 1
    assert counter.reply() is not None
    counter.desk.clock.move(seconds=1)
    assert counter.reply() is None  # also where the purge is late
    assert expire() == 0
    row = counter.row()
    assert row is not None
    assert row.result is not None


def test_a_transaction_is_kept_for_the_retention_period(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    counter.begin(counter.desk.header(2, "AUS-0002"))  # never answered
    expires = counter.desk.clock() + timedelta(days=30)
    counter.finish(head, Outcome.MATCH, hit=Hit(bytes(16), 5, expires))

    def expire() -> tuple[int, int]:
        counter.sequencer.commit([], expire_rows(counter.desk.clock()))
        return counter.count(transactions), counter.count(hit_references)

    counter.desk.clock.move(days=29)
    assert expire() == (2, 1)
    counter.desk.clock.move(days=1)
    assert expire() == (2, 0)
    counter.desk.clock.move(days=699, hours=23)
    assert expire() == (2, 0)
    counter.desk.clock.move(hours=1)
    assert expire() == (1, 0)
    assert counter.row("AUS-0001") is None


def test_a_removed_transaction_takes_its_hit_reference_along(counter: Counterpart) -> None:
    head = counter.desk.header()
    counter.begin(head)
    forever = counter.desk.clock() + timedelta(days=9999)
    counter.finish(head, Outcome.MATCH, hit=Hit(bytes(16), 5, forever))
    counter.desk.clock.move(days=731)

    counter.sequencer.commit([], expire_rows(counter.desk.clock()))

    assert counter.count(hit_references) == 0


def test_a_crash_after_the_request_is_resumed_or_abandoned(counter: Counterpart) -> None:
    """An identical retry searches again under the same leaf; with none in the window, ABANDONED (ledger.md 10)."""
    desk = counter.desk
    counter.begin(desk.header(1, "AUS-0001"))
    counter.begin(desk.header(2, "AUS-0002"))
    desk.close()
    counter.sequencer = desk.sequencer()
    database = counter.sequencer._database

    with database.reader() as reader:
        assert orphans(reader, desk.clock()) == ()  # an identical retry may still come
        seen = find_replay(reader, "AUS", desk.header(1).message_id)
    assert seen is not None
    assert (seen.state, seen.request_index) == (ReplayState.RUNNING, 0)
    counter.finish(desk.header(1, "AUS-0001"))

    desk.clock.move(minutes=15)
    with database.reader() as reader:
        (orphan,) = orphans(reader, desk.clock())
    assert (orphan.transaction_number, orphan.request_index) == ("AUS-0002", 1)
    assert orphan.operation is Operation.SUBMIT_QUERY
    counter.sequencer.commit([desk.leaf(EntryType.ABANDONED)], abandon(orphan, desk.clock()))

    row = counter.row("AUS-0002")
    assert row is not None
    assert (row.state, row.outcome, row.result) == (State.ABANDONED, None, None)
    assert counter.usage() == Usage(1, 1)
    with database.reader() as reader:
        assert orphans(reader, desk.clock()) == ()
    with pytest.raises(InProgress):  # nothing is left to answer
        counter.finish(desk.header(2, "AUS-0002"))
    with pytest.raises(InProgress):  # nor to abandon
        counter.sequencer.commit([desk.leaf()], abandon(orphan, desk.clock()))
    with pytest.raises(TransactionReused):  # and its number stays used
        counter.begin(desk.header(3, "AUS-0002"))


def test_an_abandoned_message_without_a_query_disturbs_no_other(counter: Counterpart) -> None:
    """A standing request may bear the number of a query; its end is not the query's."""
    counter.begin(counter.desk.header(1, "AUS-0001"))
    counter.begin(counter.desk.header(2, "AUS-0001", Operation.GET_CAPABILITIES), None)
    counter.finish(counter.desk.header(1, "AUS-0001"))
    counter.desk.clock.move(minutes=15)
    with counter.sequencer._database.reader() as reader:
        (orphan,) = orphans(reader, counter.desk.clock())

    counter.sequencer.commit([counter.desk.leaf()], abandon(orphan, counter.desk.clock()))

    row = counter.row()
    assert row is not None
    assert row.state is State.DECIDED
    assert counter.usage() == Usage(1, 1)


def test_what_is_deleted_is_in_no_file(counter: Counterpart) -> None:
    """SQLite keeps deleted bytes unless told otherwise, and the WAL until it is emptied (ledger.md 3)."""
    desk, head = counter.desk, counter.desk.header()
    secret = b"a stored reply that must go " * 200
    counter.begin(head)
    counter.finish(head, letter=Letter(b"h", secret, b"s"))
    desk.clock.move(days=2)
    assert any(secret[:28] in each.read_bytes() for each in desk.path.parent.iterdir())

    counter.sequencer.commit([], expire_rows(desk.clock()))
    desk.close()

    assert not any(secret[:28] in each.read_bytes() for each in desk.path.parent.iterdir())


def test_what_is_remembered_survives_a_restart(counter: Counterpart) -> None:
    desk, head = counter.desk, counter.desk.header()
    counter.begin(head)
    counter.finish(head)
    before = counter.row(), counter.reply(), counter.usage()
    desk.close()

    counter.sequencer = desk.sequencer()

    assert (counter.row(), counter.reply(), counter.usage()) == before


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("bfar"), st.integers(0, 3)), max_size=25))
def test_quotas_add_up_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory,
    desk_of: Callable[[Path], Desk],
    acts: list[tuple[str, int]],
) -> None:
    """Model: begin, finish, abandon and release in any order; used = what is open or decided."""
    desk = desk_of(tmp_path_factory.mktemp("model"))
    try:
        counter = Counterpart(desk)
        held: dict[int, bool] = {}  # number → whether it still holds its quota
        running: set[int] = set()
        for act, number in acts:
            head = desk.header(number + 1, f"AUS-{number:04}")
            if act == "b" and number not in held:
                counter.begin(head)
                held[number] = True
                running.add(number)
            elif act == "f" and number in running:
                counter.finish(head)
                running.discard(number)
            elif act == "a" and number in running:
                with counter.sequencer._database.reader() as reader:
                    found = orphans(reader, desk.clock() + timedelta(hours=1))
                one = next(o for o in found if o.transaction_number == head.transaction_number)
                counter.sequencer.commit([desk.leaf()], abandon(one, desk.clock()))
                running.discard(number)
                held[number] = False
            elif act == "r" and number in held:
                effects = release_quota("AUS", head.transaction_number, head.message_id)
                counter.sequencer.commit([], effects)
                held[number] = False
            total = sum(held.values())
            assert counter.usage() == Usage(total, total)
    finally:
        desk.close()
