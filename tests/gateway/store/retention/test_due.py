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
    from tests.gateway.store.retention.conftest import ErasingGateway

MANY = 1000


def test_every_class_but_what_is_no_row_has_a_data_class_and_every_class_a_rule() -> None:
    no_rows = {RetentionClass.PROBE, RetentionClass.TRACE, RetentionClass.DATA_KEY}
    assert set(DATA_CLASSES) == set(RetentionClass) - no_rows
    assert set(RULES) == set(RetentionClass)
    assert all(rule.grace > timedelta(0) and rule.ground for rule in RULES.values())


def test_replies_go_after_a_day_hit_references_after_thirty(erasing: ErasingGateway) -> None:
    erasing.query(1, "AUS-0001", subject=5)
    erasing.clock.move(hours=23, minutes=59)
    assert erasing.run() == {}
    erasing.clock.move(minutes=2)
    assert erasing.run() == {"REPLY": 1}
    erasing.clock.move(days=28, hours=23)
    assert erasing.run() == {}
    erasing.clock.move(hours=2)
    assert erasing.run() == {"HIT_REFERENCE": 1}
    assert erasing.counter.row() is not None
    assert erasing.entries(EntryType.RETENTION) == ["REPLY/1", "HIT_REFERENCE/1"]


def test_exchange_logs_go_after_two_years_and_the_tree_stays_verifiable(
    erasing: ErasingGateway,
) -> None:
    """law.md 10; ledger.md 3: the leaf, its hash and all proofs stay valid; the content is gone."""
    erasing.query(1, "AUS-0001")
    first = erasing.detail()
    own = erasing.detail(EntryType.START)
    erasing.clock.move(days=730, seconds=1)

    done = erasing.run()

    assert done == {"REPLY": 1, "EXCHANGE_DETAIL": 1, "TRANSACTION": 1}
    assert f"EXCHANGE_DETAIL/{first}-{first}/1" in erasing.entries(EntryType.RETENTION)
    with erasing.database.reader() as reader:
        kept = set(reader.execute(select(detail_keys.c.idx)).scalars())
    assert first not in kept
    assert own in kept
    assert erasing.whole() == []


def test_our_own_acts_are_kept_ten_years(erasing: ErasingGateway) -> None:
    erasing.detail(EntryType.ENROLLED)
    erasing.clock.move(days=3652)
    assert "OFFICE_DETAIL" not in erasing.run()
    erasing.clock.move(days=2)
    assert erasing.run()["OFFICE_DETAIL"] == 1
    assert erasing.whole() == []


def test_an_unused_answer_goes_after_thirty_days_and_a_used_one_two_years_after_its_use(
    erasing: ErasingGateway,
) -> None:
    """IRPR 315.26; Privacy Regulations s. 4(1)."""
    now = milliseconds(erasing.clock())
    used = milliseconds(erasing.clock() + timedelta(days=20))
    erasing.put(
        erasing.asked_row("A-00000001", now), erasing.asked_row("A-00000002", now, used_ms=used)
    )

    erasing.clock.move(days=30)
    assert erasing.run() == {"UNUSED_RESULT": 1}
    erasing.clock.move(days=699)
    assert erasing.run() == {}
    erasing.clock.move(days=1)
    assert erasing.run() == {"ASKED": 1}  # the row of the unused one, two years after it was asked
    erasing.clock.move(days=20)
    assert erasing.run() == {"USED_RESULT": 1, "ASKED": 1}


@pytest.mark.parametrize("state", OutboundState)
def test_what_is_kept_of_a_query_of_ours_is_an_unused_answer_only_where_one_came(
    erasing: ErasingGateway, state: OutboundState
) -> None:
    """While it waits nothing was received; and why none came is no answer, and is kept with the row."""
    now = milliseconds(erasing.clock())
    erasing.put(erasing.asked_row("A-00000001", now, state=int(state), outcome=1))
    erasing.clock.move(days=31)

    stays = state in {OutboundState.ASKED, OutboundState.PENDING, *UNANSWERED}
    assert erasing.run() == ({} if stays else {"UNUSED_RESULT": 1})
    with erasing.database.reader() as reader:
        kept = reader.execute(select(asked.c.sealed, asked.c.outcome)).one()
    assert tuple(kept) == ((b"answer", 1) if stays else (None, None))  # nor whether it was a hit
    erasing.clock.move(days=700)
    assert erasing.run() == (
        {"ASKED": 1} if state not in {OutboundState.ASKED, OutboundState.PENDING} else {}
    )


def test_what_was_disclosed_is_remembered_while_a_correction_is_open(
    erasing: ErasingGateway,
) -> None:
    """IRPR 315.42(1): who does not know whom he told cannot tell him that it was wrong."""
    now = milliseconds(erasing.clock())
    erasing.put(
        erasing.disclosure_row("AUS-0001", now),
        erasing.correction_row("AUS-0001", None, state=1),
        erasing.disclosure_row("AUS-0002", now),
        erasing.correction_row("AUS-0002", now),
    )
    erasing.clock.move(days=730)

    assert erasing.run() == {"CORRECTION": 1, "DISCLOSURE": 1}
    assert erasing.counter.count(disclosures) == 1


@pytest.mark.parametrize("state", CorrectionPhase)
def test_a_query_is_remembered_until_its_corrections_are_acknowledged(
    erasing: ErasingGateway, state: CorrectionPhase
) -> None:
    """IRPR 315.42(1): in whichever state but the last, the duty remains."""
    erasing.query(1, "AUS-0001")
    now = milliseconds(erasing.clock())
    erasing.put(
        erasing.correction_row("AUS-0001", now, state=int(state)),
        erasing.disclosure_row("AUS-0001", now),
    )
    erasing.clock.move(days=731)

    done = erasing.run()

    over = state is CorrectionPhase.ACKNOWLEDGED
    assert ("TRANSACTION" in done, "CORRECTION" in done) == (over, over)
    assert ("DISCLOSURE" in done) == over


def test_an_open_query_is_never_erased(erasing: ErasingGateway) -> None:
    erasing.counter.begin(erasing.counter.store.header())
    erasing.clock.move(days=9999)

    assert erasing.run() == {}


def test_an_agreement_may_say_another_period(
    counter: Counterpart, erasing_of: Callable[..., ErasingGateway]
) -> None:
    """law.md 10: a parameter per class."""
    said = SimpleNamespace(period=timedelta(days=365))
    agreement = SimpleNamespace(partner="AUS", retention={RetentionClass.TRANSACTION.name: said})
    erasing = erasing_of(counter, {"au": (agreement,)})
    erasing.query(1, "AUS-0001")
    other = update(transactions).values(partner="GBR", number="GBR-0001")
    erasing.query(2, "AUS-0002")
    erasing.put(other.where(transactions.c.number == "AUS-0002"))
    erasing.clock.move(days=365)

    assert erasing.run()["TRANSACTION"] == 1
    erasing.clock.move(days=365)
    assert erasing.run()["TRANSACTION"] == 1


def test_running_twice_is_running_once_and_a_bounded_run_goes_on(erasing: ErasingGateway) -> None:
    expire = milliseconds(erasing.clock())
    erasing.query(1, "AUS-0001")
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
    erasing.put(*rows)

    assert [erasing.run(1) for _ in range(4)] == [
        {"HIT_REFERENCE": BATCH},
        {"HIT_REFERENCE": BATCH},
        {"HIT_REFERENCE": 1},
        {},
    ]


def test_what_was_used_between_look_and_commit_is_kept(erasing: ErasingGateway) -> None:
    now = milliseconds(erasing.clock())
    erasing.put(erasing.asked_row("A-00000001", now))
    erasing.clock.move(days=31)
    with erasing.database.reader() as reader:
        until = due_data.cutoffs(reader, RetentionClass.UNUSED_RESULT, Schedule(), erasing.clock())
        items = due_data.due(reader, RetentionClass.UNUSED_RESULT, until, most=10)
    erasing.put(update(asked).values(used_ms=milliseconds(erasing.clock())))

    with pytest.raises(due_data.Moved):
        erasing.sequencer.commit([], due_data.erase(RetentionClass.UNUSED_RESULT, items, until, 0))
    assert erasing.run() == {}


def test_late_is_what_is_beyond_its_grace(erasing: ErasingGateway) -> None:
    erasing.query(1, "AUS-0001")
    erasing.run()  # empties the journal
    erasing.clock.move(days=1, minutes=59)
    assert erasing.store.late() == {}
    erasing.clock.move(minutes=2)
    assert erasing.store.late() == {RetentionClass.REPLY: 1}


def test_prints_past_their_end_are_late_under_any_hold(erasing: ErasingGateway) -> None:
    """IRPR 315.43(2) knows no hold: a review that outlives its end, and a search that hangs."""
    erasing.query(1, "AUS-0001")
    erasing.put(erasing.review_row("AUS-0001", milliseconds(erasing.clock())))
    erasing.counter.begin(erasing.counter.store.header(2, "AUS-0002"))
    erasing.hold(HoldKind.EVERYTHING, "")
    erasing.clock.move(minutes=4)
    assert RetentionClass.PROBE not in erasing.store.late()
    erasing.clock.move(minutes=2)
    assert erasing.store.late()[RetentionClass.PROBE] == 1
    erasing.clock.move(minutes=20)
    assert erasing.store.late()[RetentionClass.PROBE] == 2


def test_what_was_erased_is_in_neither_file_while_the_gateway_still_writes(
    erasing: ErasingGateway,
) -> None:
    """ledger.md 3: complete only after secure_delete and an emptied journal."""
    secret = b"distinctive bytes of an answer that is two days old"
    now = milliseconds(erasing.clock())
    erasing.put(erasing.asked_row("A-00000001", now, sealed=secret))
    erasing.clock.move(days=31)
    folder = erasing.counter.store.path.parent
    assert any(secret in each.read_bytes() for each in folder.iterdir())

    assert erasing.run() == {"UNUSED_RESULT": 1}

    assert not any(secret in each.read_bytes() for each in folder.iterdir())


def test_a_reader_in_the_way_leaves_the_journal_and_that_is_told(erasing: ErasingGateway) -> None:
    erasing.query(1, "AUS-0001")
    erasing.clock.move(days=2)
    with erasing.database.reader() as reader:
        reader.execute(select(replay.c.state)).all()
        done = erasing.store.run(batches=MANY)
        assert not done.tidy
        erasing.clock.move(hours=2)
        assert erasing.store.late() == {RetentionClass.TRACE: 1}

    assert erasing.store.run(batches=MANY).tidy
    assert erasing.store.late() == {}


def test_a_failing_store_erases_nothing_and_the_rest_goes_on(erasing: ErasingGateway) -> None:
    """A trigger stands for whatever keeps a row from going."""
    erasing.query(1, "AUS-0001", subject=5)
    erasing.clock.move(days=31)
    erasing.put(
        text(
            "CREATE TRIGGER stuck BEFORE DELETE ON hit_references"
            " BEGIN SELECT RAISE(ABORT, 'stuck'); END"
        )
    )

    assert erasing.run() == {"REPLY": 1}
    assert erasing.store.late() == {RetentionClass.HIT_REFERENCE: 1}
    erasing.put(text("DROP TRIGGER stuck"))
    assert erasing.run() == {"HIT_REFERENCE": 1}
    assert erasing.store.late() == {}


@pytest.mark.parametrize("state", State)
def test_decided_and_abandoned_are_the_only_ends(erasing: ErasingGateway, state: State) -> None:
    """What is neither is still somebody's question."""
    erasing.query(1, "AUS-0001")
    erasing.put(update(transactions).values(state=int(state)))
    erasing.clock.move(days=9999)

    assert ("TRANSACTION" in erasing.run()) == (state in {State.DECIDED, State.ABANDONED})
