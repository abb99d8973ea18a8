"""One pen: gapless indices, receipts that hold, and nothing acknowledged that is not durable."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import OperationalError

from gateway.errors import (
    AuditUnavailable,
    InternalError,
    PasserelleError,
    TransactionReused,
    UserError,
)
from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.ledger import merkle
from gateway.ledger.entry import (
    EntryClass,
    EntryType,
    Frame,
    Leaf,
    MalformedEntry,
    decode,
    open_detail,
)
from gateway.ledger.proof import Expected, verify_receipt
from gateway.ledger.signed_note import open_checkpoint
from gateway.store.effects import LEAF, Effect, says
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Committed, Sequencer
from gateway.store.schema import values
from keys.envelope import SealingKey

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture


def note_value(key: str, value: str = "v") -> Effect:
    """Return an effect that can be true once."""
    return Effect(
        insert(values).values(key=key, value=value), rows=1, refusal=says(TransactionReused)
    )


def keys_of(store: StoreFixture, sequencer: Sequencer) -> set[str]:
    with sequencer._database.reader() as reader:
        return set(reader.execute(select(values.c.key)).scalars())


def check_receipt(
    store: StoreFixture, sequencer: Sequencer, committed: Committed, at: int = -1
) -> None:
    """Verify a receipt as a partner does, without the store."""
    receipt = sequencer.receipt(committed.indices[at], committed.checkpoint_size)
    frame = decode(receipt.leaf)
    expected = Expected(
        partner_id="AUS",
        message_id=frame.message_id,
        transcript=frame.transcript,
        operation="",
        transaction_number=frame.transaction_number,
        agreement_id="",
        agreement_version=0,
        signing_key_id=b"",
        kem_key_id=b"",
        directory_version=0,
        earliest=frame.time,
        latest=store.clock() + timedelta(days=1),
    )
    verified = verify_receipt(receipt, log=store.log, expected=expected)
    assert verified.index == committed.indices[at]
    assert verified.checkpoint.size == committed.checkpoint_size
    assert merkle.leaf_hash(receipt.leaf) == committed.leaf_hashes[at]


def answer(store: StoreFixture, message: int = 1) -> Leaf:
    """Return a RESPONSE entry, the kind of leaf that receipts are for."""
    plain = store.leaf(EntryType.RESPONSE, message=message)
    return Leaf(replace(plain.frame, entry_class=EntryClass.ANSWERED))


def test_an_empty_ledger_begins(store: StoreFixture) -> None:
    sequencer = store.sequencer()

    assert sequencer.size == 0
    assert sequencer.healthy
    with pytest.raises(InternalError, match="empty"):
        sequencer.latest_checkpoint()

    committed = sequencer.commit([answer(store)])

    assert committed.indices == (0,)
    assert committed.checkpoint_size == sequencer.size == 1
    check_receipt(store, sequencer, committed)


def test_leaves_of_a_commit_stand_side_by_side(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf(message=1)])

    committed = sequencer.commit([store.leaf(EntryType.DESTRUCTION), answer(store, 2)])

    assert committed.indices == (1, 2)
    assert committed.checkpoint_size == 3
    check_receipt(store, sequencer, committed)
    assert sequencer.leaf_hash(2) == committed.leaf_hashes[1]
    assert committed.time == store.clock.now


def test_two_hundred_commits_of_sixteen_threads_leave_no_gap(store: StoreFixture) -> None:
    """Indices come from the sequencer; every receipt verifies against the ledger as it is at the end."""
    sequencer = store.sequencer()

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda n: sequencer.commit([answer(store, n)]), range(200)))

    assert sorted(one.indices[0] for one in done) == list(range(200))
    for one in done:
        check_receipt(store, sequencer, one)
    stored = list(stored_ledger.iter_leaves(sequencer._database))
    assert {merkle.leaf_hash(one) for one in stored} == {one.leaf_hashes[0] for one in done}
    heads = [
        open_checkpoint(one, *store.log.vkeys)
        for one in stored_ledger.iter_checkpoints(sequencer._database)
    ]
    assert [one.root for one in heads] == [
        merkle.root(merkle.leaf_hash(leaf) for leaf in stored[: one.size]) for one in heads
    ]
    assert heads[-1].size == 200
    for old, new in pairwise(heads):
        merkle.verify_consistency(
            sequencer.consistency(old.size, new.size),
            old=old.size,
            new=new.size,
            old_root=old.root,
            new_root=new.root,
        )


def test_commits_that_wait_together_share_one_flush(store: StoreFixture) -> None:
    """At most 64 commits, or what came within the wait (ledger.md 9)."""
    together = threading.Barrier(65)
    sequencer = store.sequencer(wait=60.0)

    def commit(number: int) -> Committed:
        together.wait()
        return sequencer.commit([answer(store, number)])

    with ThreadPoolExecutor(64) as pool:
        pending = [pool.submit(commit, number) for number in range(64)]
        together.wait()
        done = [one.result() for one in pending]

    assert {one.checkpoint_size for one in done} == {64}
    assert [count for count, _ in store.commits] == [64]


def test_who_came_alone_the_last_time_is_not_waited_with(store: StoreFixture) -> None:
    """Else a lone question waits for company twice, and nobody comes."""
    sequencer = store.sequencer(wait=0.01)
    sequencer.commit([answer(store)])
    sequencer._wait = 3600.0
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(sequencer.commit, [answer(store, 2)]).result(timeout=60)

    assert done.indices == (1,)


def test_receipts_are_the_same_bytes_later_and_after_a_restart(store: StoreFixture) -> None:
    first = store.sequencer()
    committed = first.commit([answer(store)])
    early = first.receipt(0, committed.checkpoint_size)
    at_once = committed.receipt()
    for number in range(2, 9):
        first.commit([answer(store, number)])
    late = first.receipt(0)
    store.close()

    again = store.sequencer().receipt(0, committed.checkpoint_size)

    assert at_once == early == late == again


def test_a_receipt_needs_no_look_at_the_store(store: StoreFixture) -> None:
    """Whatever the ledger's size and the leaves of a commit, it is what the store says of the last of them."""
    sequencer = store.sequencer(wait=0.02)  # so that some share a batch
    with ThreadPoolExecutor(8) as pool:
        commits = [[answer(store, at)] * (1 + at % 3) for at in range(1, 48)]
        for committed in pool.map(sequencer.commit, commits):
            stored = sequencer.receipt(committed.indices[-1], committed.checkpoint_size)
            assert committed.receipt() == stored


def test_a_receipt_of_no_leaf_is_refused(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([answer(store)])
    with pytest.raises(InternalError, match="without a leaf"):
        sequencer.commit([], [note_value("k")]).receipt()


def test_a_restart_goes_on_where_the_ledger_ended(store: StoreFixture) -> None:
    for start in range(12):
        sequencer = store.sequencer()
        assert sequencer.size == start
        committed = sequencer.commit([answer(store, start)])
        assert committed.indices == (start,)
        check_receipt(store, sequencer, committed)
        store.close()

    sequencer = store.sequencer()
    stored = list(stored_ledger.iter_leaves(sequencer._database))
    head = open_checkpoint(sequencer.latest_checkpoint(), *store.log.vkeys)

    assert head.root == merkle.root(map(merkle.leaf_hash, stored))


def test_a_refused_commit_takes_no_index_and_leaves_nothing(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf()], [note_value("taken")])

    with pytest.raises(TransactionReused):
        sequencer.commit([store.leaf(message=2)], [note_value("other"), note_value("taken")])

    assert sequencer.size == 1
    assert keys_of(store, sequencer) == {"taken"}
    assert sequencer.commit([store.leaf(message=3)]).indices == (1,)


def test_a_refused_commit_harms_no_other_of_its_batch(store: StoreFixture) -> None:
    sequencer = store.sequencer(wait=60.0, group=8)
    together = threading.Barrier(9)

    def commit(number: int) -> int | None:
        together.wait()
        try:
            done = sequencer.commit([answer(store, number)], [note_value(f"{number % 4}")])
        except TransactionReused:
            return None
        check_receipt(store, sequencer, done)
        return done.indices[0]

    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(commit, number) for number in range(8)]
        together.wait()
        indices = [one.result() for one in pending]

    assert sorted(index for index in indices if index is not None) == [0, 1, 2, 3]
    assert keys_of(store, sequencer) == {"0", "1", "2", "3"}
    assert len(store.commits) == 1


def test_effects_learn_the_indices_of_their_own_leaves(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf()])
    first = Effect(insert(values).values(key="first", value=LEAF), leaf=0)
    last = Effect(insert(values).values(key="last", value=LEAF), leaf=-1)

    sequencer.commit([store.leaf(message=n) for n in (2, 3, 4)], [first, last])

    with sequencer._database.reader() as reader:
        rows = reader.execute(select(values.c.key, values.c.value))
        assert {row.key: int(row.value) for row in rows} == {"first": 1, "last": 3}


def test_effects_without_leaves_sign_nothing(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf()])
    before = sequencer.latest_checkpoint()

    committed = sequencer.commit([], [note_value("k")])

    assert committed.indices == ()
    assert committed.checkpoint_size == 1
    assert sequencer.latest_checkpoint() == before
    assert keys_of(store, sequencer) == {"k"}


@pytest.mark.parametrize(
    "broken",
    [
        Effect(update(values).values(value="x"), rows=2),  # nobody foresaw that
        Effect(insert(values).values(key="k", value=LEAF), leaf=5),  # no such leaf in its commit
        Effect(insert(values).values(key="k", value=object())),  # no such type
        Effect(  # cannot explain itself
            insert(values).values(key="k", value="v"), rows=9, refusal=lambda _: 1 / 0
        ),
    ],
)
def test_a_defective_effect_is_its_own_commits_fault_alone(
    store: StoreFixture, broken: Effect
) -> None:
    sequencer = store.sequencer()

    with pytest.raises(InternalError):
        sequencer.commit([store.leaf()], [note_value("before"), broken])

    assert keys_of(store, sequencer) == set()
    assert sequencer.commit([store.leaf()]).indices == (0,)
    assert store.fatal == []


def test_a_disk_that_fails_while_explaining_is_everyones_fault(store: StoreFixture) -> None:
    def unreadable(_: object) -> PasserelleError:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    sequencer = store.sequencer()

    with pytest.raises(AuditUnavailable):
        sequencer.commit([store.leaf()], [replace(note_value("k"), rows=9, refusal=unreadable)])

    assert not sequencer.healthy


def test_a_sequencer_needs_no_listeners(store: StoreFixture) -> None:
    quiet = Sequencer(
        store.database(),
        FixedKeys([store.log_key], SealingKey(store.auditor.public)),
        store.log,
        store.clock,
    )
    quiet.close()  # never started
    quiet.start()
    quiet.commit([store.leaf()])
    store.clock.move(hours=-1)

    with pytest.raises(AuditUnavailable):
        quiet.commit([store.leaf(message=2)])

    quiet.close()
    assert quiet.size == 1


def test_a_leaf_that_cannot_be_written_is_refused(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    plain = store.leaf()
    broken = Leaf(Frame(type=plain.frame.type, entry_class=plain.frame.entry_class, partner_id="x"))

    with pytest.raises(MalformedEntry, match="partner_id"):
        sequencer.commit([plain, broken], [note_value("k")])
    with pytest.raises(MalformedEntry, match="fact"):
        sequencer.commit([store.leaf(name_of_the_person="Ann")])

    assert keys_of(store, sequencer) == set()
    assert sequencer.size == 0


def test_details_are_for_the_auditor_alone(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf()])
    sequencer.commit([store.leaf(message=2, case="C-77", purpose="VISA_PERMIT_BENEFIT")])

    details = list(stored_ledger.iter_details(sequencer._database))
    frame = decode(list(stored_ledger.iter_leaves(sequencer._database))[1])

    assert [one.index for one in details] == [1]
    opened = open_detail(frame, details[0].ciphertext, details[0].sealed_dek or b"", store.auditor)
    assert opened == {"case": "C-77", "purpose": "VISA_PERMIT_BENEFIT"}
    store.close()
    assert all(b"C-77" not in each.read_bytes() for each in store.path.parent.iterdir())


def test_time_never_falls(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    first = sequencer.commit([store.leaf()])
    store.clock.move(seconds=-2)

    second = sequencer.commit([store.leaf(message=2)])

    assert sequencer.healthy
    assert second.time == first.time


def test_a_clock_that_fell_back_stops_the_sequencer(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf()])
    store.clock.move(seconds=-2.001)

    assert not sequencer.healthy
    with pytest.raises(AuditUnavailable):
        sequencer.commit([store.leaf(message=2)])

    store.clock.move(hours=1)
    with pytest.raises(AuditUnavailable):
        sequencer.commit([store.leaf(message=3)])
    assert [str(error) for error in store.fatal] == ["the clock is 2 s behind leaf 0; set it right"]


def test_a_closed_sequencer_records_nothing_and_keeps_what_was_queued(store: StoreFixture) -> None:
    sequencer = store.sequencer(wait=60.0)
    with ThreadPoolExecutor(8) as pool:
        pending = [
            pool.submit(sequencer.commit, [store.leaf(message=number)]) for number in range(8)
        ]
        sequencer.close()
        done = [one for one in pending if one.exception() is None]

    with pytest.raises(AuditUnavailable):
        sequencer.commit([store.leaf()])
    sequencer.close()
    assert not sequencer.healthy
    assert sequencer.size == len(done)
    assert all(isinstance(one.exception(), AuditUnavailable | None) for one in pending)


def test_only_one_sequencer_writes(store: StoreFixture) -> None:
    store.sequencer()

    with pytest.raises(UserError):
        store.sequencer(store.database())
