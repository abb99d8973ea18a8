"""What is due goes, batch by batch, each with its entry; what is not, stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, text, update

from gateway.domain.hold import HoldKind
from gateway.domain.messages import State
from gateway.domain.outbound_query import UNANSWERED, OutboundState
from gateway.law.retention_policy import RULES, RetentionClass, Schedule
from gateway.ledger.entry import EntryType
from gateway.retention.erasure import BATCH
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.store.retention import due_data
from gateway.store.retention.data_classes import DATA_CLASSES
from gateway.store.schema import (
    asked,
    detail_keys,
    disclosures,
    hit_references,
    replay,
    transactions,
)
from gateway.store.times import milliseconds

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Counterpart
    from tests.gateway.store.retention.conftest import Keeper

MANY = 1000


def test_every_class_but_what_is_no_row_has_a_data_class_and_every_class_a_rule() -> None:
    assert set(DATA_CLASSES) == set(RetentionClass) - {RetentionClass.PROBE, RetentionClass.TRACE}
    assert set(RULES) == set(RetentionClass)
    assert all(rule.grace > timedelta(0) and rule.ground for rule in RULES.values())


def test_replies_go_after_a_day_hit_references_after_thirty(keeper: Keeper) -> None:
    keeper.query(1, "AUS-0001", subject=5)
    keeper.clock.move(hours=23, minutes=59)
    assert keeper.run() == {}
    keeper.clock.move(minutes=2)
    assert keeper.run() == {"REPLY": 1}
    keeper.clock.move(days=28, hours=23)
    assert keeper.run() == {}
    keeper.clock.move(hours=2)
    assert keeper.run() == {"HIT_REFERENCE": 1}
    assert keeper.counter.row() is not None
    assert keeper.entries(EntryType.RETENTION) == ["REPLY/1", "HIT_REFERENCE/1"]


def test_exchange_logs_go_after_two_years_and_the_tree_stays_verifiable(keeper: Keeper) -> None:
    """law.md 10; ledger.md 3: the leaf, its hash and all proofs stay valid; the content is gone."""
    keeper.query(1, "AUS-0001")
    first = keeper.detail()
    own = keeper.detail(EntryType.START)
    keeper.clock.move(days=730, seconds=1)

    done = keeper.run()

    assert done == {"REPLY": 1, "EXCHANGE_DETAIL": 1, "TRANSACTION": 1}
    assert f"EXCHANGE_DETAIL/{first}-{first}/1" in keeper.entries(EntryType.RETENTION)
    with keeper.database.reader() as reader:
        kept = set(reader.execute(select(detail_keys.c.idx)).scalars())
    assert first not in kept
    assert own in kept
    assert keeper.whole() == []


def test_our_own_acts_are_kept_ten_years(keeper: Keeper) -> None:
    keeper.detail(EntryType.ENROLLED)
    keeper.clock.move(days=3652)
    assert "OFFICE_DETAIL" not in keeper.run()
    keeper.clock.move(days=2)
    assert keeper.run()["OFFICE_DETAIL"] == 1
    assert keeper.whole() == []


def test_an_unused_answer_goes_after_thirty_days_and_a_used_one_two_years_after_its_use(
    keeper: Keeper,
) -> None:
    """IRPR 315.26; Privacy Regulations s. 4(1)."""
    now = milliseconds(keeper.clock())
    used = milliseconds(keeper.clock() + timedelta(days=20))
    keeper.put(
        keeper.asked_row("A-00000001", now), keeper.asked_row("A-00000002", now, used_ms=used)
    )

    keeper.clock.move(days=30)
    assert keeper.run() == {"UNUSED_RESULT": 1}
    keeper.clock.move(days=699)
    assert keeper.run() == {}
    keeper.clock.move(days=1)
    assert keeper.run() == {"ASKED": 1}  # the row of the unused one, two years after it was asked
    keeper.clock.move(days=20)
    assert keeper.run() == {"USED_RESULT": 1, "ASKED": 1}


@pytest.mark.parametrize("state", OutboundState)
def test_what_is_kept_of_a_query_of_ours_is_an_unused_answer_only_where_one_came(
    keeper: Keeper, state: OutboundState
) -> None:
    """While it waits nothing was received; and why none came is no answer, and is kept with the row."""
    now = milliseconds(keeper.clock())
    keeper.put(keeper.asked_row("A-00000001", now, state=int(state), outcome=1))
    keeper.clock.move(days=31)

    stays = state in {OutboundState.ASKED, OutboundState.PENDING, *UNANSWERED}
    assert keeper.run() == ({} if stays else {"UNUSED_RESULT": 1})
    with keeper.database.reader() as reader:
        kept = reader.execute(select(asked.c.sealed, asked.c.outcome)).one()
    assert tuple(kept) == ((b"answer", 1) if stays else (None, None))  # nor whether it was a hit
    keeper.clock.move(days=700)
    assert keeper.run() == (
        {"ASKED": 1} if state not in {OutboundState.ASKED, OutboundState.PENDING} else {}
    )


def test_what_was_disclosed_is_remembered_while_a_correction_is_open(keeper: Keeper) -> None:
    """IRPR 315.42(1): who does not know whom he told cannot tell him that it was wrong."""
    now = milliseconds(keeper.clock())
    keeper.put(
        keeper.disclosure_row("AUS-0001", now),
        keeper.correction_row("AUS-0001", None, state=1),
        keeper.disclosure_row("AUS-0002", now),
        keeper.correction_row("AUS-0002", now),
    )
    keeper.clock.move(days=730)

    assert keeper.run() == {"CORRECTION": 1, "DISCLOSURE": 1}
    assert keeper.counter.count(disclosures) == 1


@pytest.mark.parametrize("state", CorrectionPhase)
def test_a_query_is_remembered_until_its_corrections_are_acknowledged(
    keeper: Keeper, state: CorrectionPhase
) -> None:
    """IRPR 315.42(1): in whichever state but the last, the duty remains."""
    keeper.query(1, "AUS-0001")
    now = milliseconds(keeper.clock())
    keeper.put(
        keeper.correction_row("AUS-0001", now, state=int(state)),
        keeper.disclosure_row("AUS-0001", now),
    )
    keeper.clock.move(days=731)

    done = keeper.run()

    over = state is CorrectionPhase.ACKNOWLEDGED
    assert ("TRANSACTION" in done, "CORRECTION" in done) == (over, over)
    assert ("DISCLOSURE" in done) == over


def test_an_open_query_is_never_erased(keeper: Keeper) -> None:
    keeper.counter.begin(keeper.counter.store.header())
    keeper.clock.move(days=9999)

    assert keeper.run() == {}


def test_an_agreement_may_say_another_period(
    counter: Counterpart, keeper_of: Callable[..., Keeper]
) -> None:
    """law.md 10: a parameter per class."""
    said = SimpleNamespace(period=timedelta(days=365))
    agreement = SimpleNamespace(partner="AUS", retention={RetentionClass.TRANSACTION.name: said})
    keeper = keeper_of(counter, {"au": (agreement,)})
    keeper.query(1, "AUS-0001")
    other = update(transactions).values(partner="GBR", number="GBR-0001")
    keeper.query(2, "AUS-0002")
    keeper.put(other.where(transactions.c.number == "AUS-0002"))
    keeper.clock.move(days=365)

    assert keeper.run()["TRANSACTION"] == 1
    keeper.clock.move(days=365)
    assert keeper.run()["TRANSACTION"] == 1


def test_running_twice_is_running_once_and_a_bounded_run_goes_on(keeper: Keeper) -> None:
    expire = milliseconds(keeper.clock())
    keeper.query(1, "AUS-0001")
    rows = [
        insert(hit_references).values(
            reference=n.to_bytes(16, "big"),
            partner="AUS",
            transaction_number="AUS-0001",
            subject_id=n,
            expires_ms=expire,
        )
        for n in range(2 * BATCH + 1)
    ]
    keeper.put(*rows)

    assert [keeper.run(1) for _ in range(4)] == [
        {"HIT_REFERENCE": BATCH},
        {"HIT_REFERENCE": BATCH},
        {"HIT_REFERENCE": 1},
        {},
    ]


def test_what_was_used_between_look_and_commit_is_kept(keeper: Keeper) -> None:
    now = milliseconds(keeper.clock())
    keeper.put(keeper.asked_row("A-00000001", now))
    keeper.clock.move(days=31)
    with keeper.database.reader() as reader:
        until = due_data.cutoffs(reader, RetentionClass.UNUSED_RESULT, Schedule(), keeper.clock())
        items = due_data.due(reader, RetentionClass.UNUSED_RESULT, until, most=10)
    keeper.put(update(asked).values(used_ms=milliseconds(keeper.clock())))

    with pytest.raises(due_data.Moved):
        keeper.sequencer.commit([], due_data.erase(RetentionClass.UNUSED_RESULT, items, until, 0))
    assert keeper.run() == {}


def test_late_is_what_is_beyond_its_grace(keeper: Keeper) -> None:
    keeper.query(1, "AUS-0001")
    keeper.run()  # empties the journal
    keeper.clock.move(days=1, minutes=59)
    assert keeper.store.late() == {}
    keeper.clock.move(minutes=2)
    assert keeper.store.late() == {RetentionClass.REPLY: 1}


def test_prints_past_their_end_are_late_under_any_hold(keeper: Keeper) -> None:
    """IRPR 315.43(2) knows no hold: a review that outlives its end, and a search that hangs."""
    keeper.query(1, "AUS-0001")
    keeper.put(keeper.review_row("AUS-0001", milliseconds(keeper.clock())))
    keeper.counter.begin(keeper.counter.store.header(2, "AUS-0002"))
    keeper.hold(HoldKind.EVERYTHING, "")
    keeper.clock.move(minutes=4)
    assert RetentionClass.PROBE not in keeper.store.late()
    keeper.clock.move(minutes=2)
    assert keeper.store.late()[RetentionClass.PROBE] == 1
    keeper.clock.move(minutes=20)
    assert keeper.store.late()[RetentionClass.PROBE] == 2


def test_what_was_erased_is_in_neither_file_while_the_gateway_still_writes(keeper: Keeper) -> None:
    """ledger.md 3: complete only after secure_delete and an emptied journal."""
    secret = b"distinctive bytes of an answer that is two days old"
    now = milliseconds(keeper.clock())
    keeper.put(keeper.asked_row("A-00000001", now, sealed=secret))
    keeper.clock.move(days=31)
    folder = keeper.counter.store.path.parent
    assert any(secret in each.read_bytes() for each in folder.iterdir())

    assert keeper.run() == {"UNUSED_RESULT": 1}

    assert not any(secret in each.read_bytes() for each in folder.iterdir())


def test_a_reader_in_the_way_leaves_the_journal_and_that_is_told(keeper: Keeper) -> None:
    keeper.query(1, "AUS-0001")
    keeper.clock.move(days=2)
    with keeper.database.reader() as reader:
        reader.execute(select(replay.c.state)).all()
        done = keeper.store.run(batches=MANY)
        assert not done.tidy
        keeper.clock.move(hours=2)
        assert keeper.store.late() == {RetentionClass.TRACE: 1}

    assert keeper.store.run(batches=MANY).tidy
    assert keeper.store.late() == {}


def test_a_failing_store_erases_nothing_and_the_rest_goes_on(keeper: Keeper) -> None:
    """A trigger stands for whatever keeps a row from going."""
    keeper.query(1, "AUS-0001", subject=5)
    keeper.clock.move(days=31)
    keeper.put(
        text(
            "CREATE TRIGGER stuck BEFORE DELETE ON hit_references"
            " BEGIN SELECT RAISE(ABORT, 'stuck'); END"
        )
    )

    assert keeper.run() == {"REPLY": 1}
    assert keeper.store.late() == {RetentionClass.HIT_REFERENCE: 1}
    keeper.put(text("DROP TRIGGER stuck"))
    assert keeper.run() == {"HIT_REFERENCE": 1}
    assert keeper.store.late() == {}


@pytest.mark.parametrize("state", State)
def test_decided_and_abandoned_are_the_only_ends(keeper: Keeper, state: State) -> None:
    """What is neither is still somebody's question."""
    keeper.query(1, "AUS-0001")
    keeper.put(update(transactions).values(state=int(state)))
    keeper.clock.move(days=9999)

    assert ("TRANSACTION" in keeper.run()) == (state in {State.DECIDED, State.ABANDONED})
