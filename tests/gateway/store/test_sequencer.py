"""One pen: gapless indices, receipts that hold, and nothing acknowledged that is not durable."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import OperationalError

from gateway.audit import tree
from gateway.audit.entry import EntryClass, EntryType, Frame, MalformedEntry, decode, open_detail
from gateway.audit.note import open_checkpoint
from gateway.audit.proof import verify_receipt
from gateway.errors import (
    AuditUnavailable,
    ElementInvalid,
    Fault,
    PasserelleError,
    Remedy,
    TransactionReused,
)
from gateway.store import ledger
from gateway.store.effects import LEAF, Effect, says
from gateway.store.schema import leaves, values
from gateway.store.sequencer import Committed, Leaf, Sequencer
from gateway.store.sheet import peaks_of
from keys.envelope import SealingKey
from keys.sign import LogKey

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Desk


def note_value(key: str, value: str = "v") -> Effect:
    """Return an effect that can be true once."""
    return Effect(
        insert(values).values(key=key, value=value), rows=1, refusal=says(TransactionReused)
    )


def keys_of(desk: Desk, sequencer: Sequencer) -> set[str]:
    with sequencer._database.reader() as reader:
        return set(reader.execute(select(values.c.key)).scalars())


def check_receipt(desk: Desk, sequencer: Sequencer, committed: Committed, at: int = -1) -> None:
    """Verify a receipt as a partner does, without the store."""
    receipt = sequencer.receipt(committed.indices[at], committed.checkpoint_size)
    frame = decode(receipt.leaf)
    verified = verify_receipt(
        receipt, log=desk.log, message_id=frame.message_id, transcript=frame.transcript
    )
    assert verified.index == committed.indices[at]
    assert verified.checkpoint.size == committed.checkpoint_size
    assert tree.leaf_hash(receipt.leaf) == committed.leaf_hashes[at]


def answer(desk: Desk, message: int = 1) -> Leaf:
    """Return a RESPONSE entry, the kind of leaf that receipts are for."""
    plain = desk.leaf(EntryType.RESPONSE, message=message)
    return Leaf(replace(plain.frame, entry_class=EntryClass.ANSWERED))


def test_an_empty_ledger_begins(desk: Desk) -> None:
    sequencer = desk.sequencer()

    assert sequencer.size == 0
    assert sequencer.healthy
    with pytest.raises(Fault, match="empty"):
        sequencer.latest_checkpoint()

    committed = sequencer.commit([answer(desk)])

    assert committed.indices == (0,)
    assert committed.checkpoint_size == sequencer.size == 1
    check_receipt(desk, sequencer, committed)


def test_leaves_of_a_commit_stand_side_by_side(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf(message=1)])

    committed = sequencer.commit([desk.leaf(EntryType.DESTRUCTION), answer(desk, 2)])

    assert committed.indices == (1, 2)
    assert committed.checkpoint_size == 3
    check_receipt(desk, sequencer, committed)
    assert sequencer.leaf_hash(2) == committed.leaf_hashes[1]
    assert committed.time == desk.clock.now


def test_two_hundred_commits_of_sixteen_threads_leave_no_gap(desk: Desk) -> None:
    """Indices come from the sequencer; every receipt verifies against the ledger as it is at the end."""
    sequencer = desk.sequencer()

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(lambda n: sequencer.commit([answer(desk, n)]), range(200)))

    assert sorted(one.indices[0] for one in done) == list(range(200))
    for one in done:
        check_receipt(desk, sequencer, one)
    stored = list(ledger.iter_leaves(sequencer._database))
    assert {tree.leaf_hash(one) for one in stored} == {one.leaf_hashes[0] for one in done}
    heads = [
        open_checkpoint(one, *desk.log.vkeys)
        for one in ledger.iter_checkpoints(sequencer._database)
    ]
    assert [one.root for one in heads] == [
        tree.root(tree.leaf_hash(leaf) for leaf in stored[: one.size]) for one in heads
    ]
    assert heads[-1].size == 200
    for old, new in pairwise(heads):
        tree.verify_consistency(
            sequencer.consistency(old.size, new.size),
            old=old.size,
            new=new.size,
            old_root=old.root,
            new_root=new.root,
        )


def test_commits_that_wait_together_share_one_flush(desk: Desk) -> None:
    """At most 64 commits, or what came within the wait (ledger.md 9)."""
    together = threading.Barrier(65)
    sequencer = desk.sequencer(wait=60.0)

    def commit(number: int) -> Committed:
        together.wait()
        return sequencer.commit([answer(desk, number)])

    with ThreadPoolExecutor(64) as pool:
        pending = [pool.submit(commit, number) for number in range(64)]
        together.wait()
        done = [one.result() for one in pending]

    assert {one.checkpoint_size for one in done} == {64}
    assert [count for count, _ in desk.commits] == [64]


def test_receipts_are_the_same_bytes_later_and_after_a_restart(desk: Desk) -> None:
    first = desk.sequencer()
    committed = first.commit([answer(desk)])
    early = first.receipt(0, committed.checkpoint_size)
    for number in range(2, 9):
        first.commit([answer(desk, number)])
    late = first.receipt(0)
    desk.close()

    again = desk.sequencer().receipt(0, committed.checkpoint_size)

    assert early == late == again


def test_a_restart_goes_on_where_the_ledger_ended(desk: Desk) -> None:
    for start in range(12):
        sequencer = desk.sequencer()
        assert sequencer.size == start
        committed = sequencer.commit([answer(desk, start)])
        assert committed.indices == (start,)
        check_receipt(desk, sequencer, committed)
        desk.close()

    sequencer = desk.sequencer()
    stored = list(ledger.iter_leaves(sequencer._database))
    head = open_checkpoint(sequencer.latest_checkpoint(), *desk.log.vkeys)

    assert head.root == tree.root(map(tree.leaf_hash, stored))


def test_a_refused_commit_takes_no_index_and_leaves_nothing(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf()], [note_value("taken")])

    with pytest.raises(TransactionReused):
        sequencer.commit([desk.leaf(message=2)], [note_value("other"), note_value("taken")])

    assert sequencer.size == 1
    assert keys_of(desk, sequencer) == {"taken"}
    assert sequencer.commit([desk.leaf(message=3)]).indices == (1,)


def test_a_refused_commit_harms_no_other_of_its_batch(desk: Desk) -> None:
    sequencer = desk.sequencer(wait=60.0, group=8)
    together = threading.Barrier(9)

    def commit(number: int) -> int | None:
        together.wait()
        try:
            done = sequencer.commit([answer(desk, number)], [note_value(f"{number % 4}")])
        except TransactionReused:
            return None
        check_receipt(desk, sequencer, done)
        return done.indices[0]

    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(commit, number) for number in range(8)]
        together.wait()
        indices = [one.result() for one in pending]

    assert sorted(index for index in indices if index is not None) == [0, 1, 2, 3]
    assert keys_of(desk, sequencer) == {"0", "1", "2", "3"}
    assert len(desk.commits) == 1


def test_effects_learn_the_indices_of_their_own_leaves(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf()])
    first = Effect(insert(values).values(key="first", value=LEAF), leaf=0)
    last = Effect(insert(values).values(key="last", value=LEAF), leaf=-1)

    sequencer.commit([desk.leaf(message=n) for n in (2, 3, 4)], [first, last])

    with sequencer._database.reader() as reader:
        rows = reader.execute(select(values.c.key, values.c.value))
        assert {row.key: int(row.value) for row in rows} == {"first": 1, "last": 3}


def test_effects_without_leaves_sign_nothing(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf()])
    before = sequencer.latest_checkpoint()

    committed = sequencer.commit([], [note_value("k")])

    assert committed.indices == ()
    assert committed.checkpoint_size == 1
    assert sequencer.latest_checkpoint() == before
    assert keys_of(desk, sequencer) == {"k"}


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
def test_a_defective_effect_is_its_own_commits_fault_alone(desk: Desk, broken: Effect) -> None:
    sequencer = desk.sequencer()

    with pytest.raises(Fault):
        sequencer.commit([desk.leaf()], [note_value("before"), broken])

    assert keys_of(desk, sequencer) == set()
    assert sequencer.commit([desk.leaf()]).indices == (0,)
    assert desk.fatal == []


def test_a_disk_that_fails_while_explaining_is_everyones_fault(desk: Desk) -> None:
    def unreadable(_: object) -> PasserelleError:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    sequencer = desk.sequencer()

    with pytest.raises(AuditUnavailable):
        sequencer.commit([desk.leaf()], [replace(note_value("k"), rows=9, refusal=unreadable)])

    assert not sequencer.healthy


def test_a_sequencer_needs_no_listeners(desk: Desk) -> None:
    quiet = Sequencer(
        desk.database(), desk.log_key, desk.log, SealingKey(desk.auditor.public), desk.clock
    )
    quiet.close()  # never started
    quiet.start()
    quiet.commit([desk.leaf()])
    desk.clock.move(hours=-1)

    with pytest.raises(AuditUnavailable):
        quiet.commit([desk.leaf(message=2)])

    quiet.close()
    assert quiet.size == 1


def test_the_extent_of_the_ledger_is_known(desk: Desk) -> None:
    sequencer = desk.sequencer()
    with sequencer._database.reader() as reader:
        assert ledger.extent(reader) == (0, 0)

    sequencer.commit([desk.leaf(message=1), desk.leaf(message=2)])

    with sequencer._database.reader() as reader:
        assert ledger.extent(reader) == (2, 2)


def test_a_leaf_that_cannot_be_written_is_refused(desk: Desk) -> None:
    sequencer = desk.sequencer()
    plain = desk.leaf()
    broken = Leaf(Frame(type=plain.frame.type, entry_class=plain.frame.entry_class, partner_id="x"))

    with pytest.raises(MalformedEntry, match="partner_id"):
        sequencer.commit([plain, broken], [note_value("k")])
    with pytest.raises(MalformedEntry, match="fact"):
        sequencer.commit([desk.leaf(name_of_the_person="Ann")])

    assert keys_of(desk, sequencer) == set()
    assert sequencer.size == 0


def test_details_are_for_the_auditor_alone(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf()])
    sequencer.commit([desk.leaf(message=2, case="C-77", purpose="VISA_PERMIT_BENEFIT")])

    details = list(ledger.iter_details(sequencer._database))
    frame = decode(list(ledger.iter_leaves(sequencer._database))[1])

    assert [one.index for one in details] == [1]
    opened = open_detail(frame, details[0].ciphertext, details[0].sealed_dek or b"", desk.auditor)
    assert opened == {"case": "C-77", "purpose": "VISA_PERMIT_BENEFIT"}
    desk.close()
    assert all(b"C-77" not in each.read_bytes() for each in desk.path.parent.iterdir())


def test_time_never_falls(desk: Desk) -> None:
    sequencer = desk.sequencer()
    first = sequencer.commit([desk.leaf()])
    desk.clock.move(seconds=-2)

    second = sequencer.commit([desk.leaf(message=2)])

    assert sequencer.healthy
    assert second.time == first.time


def test_a_clock_that_fell_back_stops_the_pen(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf()])
    desk.clock.move(seconds=-2.001)

    assert not sequencer.healthy
    with pytest.raises(AuditUnavailable):
        sequencer.commit([desk.leaf(message=2)])

    desk.clock.move(hours=1)
    with pytest.raises(AuditUnavailable):
        sequencer.commit([desk.leaf(message=3)])
    assert [str(error) for error in desk.fatal] == ["the clock is 2 s behind leaf 0; set it right"]


def test_a_clock_behind_the_ledger_does_not_start(desk: Desk) -> None:
    desk.sequencer().commit([desk.leaf()])
    desk.close()
    desk.clock.move(minutes=-1)

    with pytest.raises(Fault, match="behind leaf 0"):
        desk.sequencer()

    desk.clock.move(minutes=1)
    assert desk.sequencer().healthy  # the pen was given back


def test_another_logs_key_does_not_start(desk: Desk) -> None:
    desk.sequencer().commit([desk.leaf()])
    desk.close()
    ours, desk.log_key = desk.log_key, LogKey.from_seed(bytes(64))

    with pytest.raises(Fault, match="checkpoint of size 1 does not hold"):
        desk.sequencer()

    desk.log_key = ours


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM leaves WHERE idx = 4", "9 leaves, the last 9; 10 were signed"),
        ("DELETE FROM leaves WHERE idx = 9", "9 leaves, the last 8; 10 were signed"),
        ("DELETE FROM leaves", "0 leaves"),
        ("UPDATE leaves SET idx = 77 WHERE idx = 9", "10 leaves, the last 77"),
        ("UPDATE leaves SET idx = -1 WHERE idx = 4", "no leaf 4"),
        ("UPDATE leaves SET leaf = zeroblob(512) WHERE idx = 4", "leaf 4 is malformed"),
        ("UPDATE leaves SET leaf = substr(leaf, 1, 500) WHERE idx = 9", "leaf 9 is malformed"),
        (
            "UPDATE leaves SET leaf = (SELECT leaf FROM leaves WHERE idx = 3) WHERE idx = 6",
            "leaf 6",
        ),
        ("UPDATE leaves SET leaf_hash = zeroblob(32) WHERE idx = 8", "leaf 8"),
        ("UPDATE leaves SET time_ms = 1 WHERE idx = 2", "time of leaf 2"),
        ("UPDATE nodes SET hash = zeroblob(32) WHERE level = 1 AND number = 2", "leaf 5"),
        ("UPDATE nodes SET hash = zeroblob(32) WHERE level = 3", "leaf 7"),
        ("DELETE FROM nodes WHERE level = 2 AND number = 1", "level 2 at leaf 4"),
        ("UPDATE checkpoints SET root = zeroblob(32) WHERE size = 10", "not what its row says"),
        ("DELETE FROM checkpoints WHERE size = 10", "10 leaves, the last 9; 9 were signed"),
        ("DELETE FROM checkpoints", "10 leaves, the last 9; 0 were signed"),
        ("UPDATE checkpoints SET note = X'00' WHERE size = 10", "size 10 does not hold"),
        (
            "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 9) WHERE size = 10",
            "not what its row says",
        ),
    ],
)
def test_a_row_edited_after_signing_does_not_start(desk: Desk, statement: str, named: str) -> None:
    """An operator edits or deletes rows (ledger.md 10): the tail names the place before anything is added."""
    sequencer = desk.sequencer()
    for number in range(10):
        sequencer.commit([desk.leaf(message=number)])
    desk.close()
    database = desk.database()
    pen = database.take_pen()
    with pen.begin():
        pen.exec_driver_sql(statement)
    database.release_pen()

    with pytest.raises(Fault, match=named):
        desk.sequencer(database)


def test_the_tail_is_checked_from_its_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies before the tail is for `passerelle ledger verify`; the signed root still covers it."""
    monkeypatch.setattr(ledger, "TAIL", 3)
    sequencer = desk.sequencer()
    for number in range(10):
        sequencer.commit([desk.leaf(message=number)])
    desk.close()

    assert desk.sequencer().size == 10


def test_a_subtree_edited_before_the_tail_breaks_the_root(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "TAIL", 1)
    sequencer = desk.sequencer()
    for number in range(10):
        sequencer.commit([desk.leaf(message=number)])
    desk.close()
    database = desk.database()
    pen = database.take_pen()
    with pen.begin():
        pen.exec_driver_sql("UPDATE nodes SET hash = zeroblob(32) WHERE level = 3")
    database.release_pen()

    with pytest.raises(Fault, match="first 10 leaves do not give the signed root"):
        desk.sequencer(database)


def test_proofs_are_served_between_signed_sizes_only(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf(message=1), desk.leaf(message=2)])
    done = sequencer.commit([desk.leaf(message=3)])

    index, hashes = sequencer.inclusion(done.leaf_hashes[0], 3)
    head = open_checkpoint(sequencer.latest_checkpoint(), *desk.log.vkeys)
    tree.verify_inclusion(done.leaf_hashes[0], hashes, index=index, size=3, expected=head.root)

    assert index == 2
    assert sequencer.consistency(2, 2) == []
    for refused in (
        lambda: sequencer.inclusion(done.leaf_hashes[0], 2),  # not in that tree
        lambda: sequencer.inclusion(bytes(32), 3),
        lambda: sequencer.inclusion(done.leaf_hashes[0], 1),  # no checkpoint has that size
        lambda: sequencer.inclusion(done.leaf_hashes[0], 0),
        lambda: sequencer.inclusion(done.leaf_hashes[0], 2**63 - 1),
        lambda: sequencer.consistency(1, 3),
        lambda: sequencer.consistency(3, 2),
        lambda: sequencer.consistency(0, 3),
        lambda: sequencer.consistency(2, 4),
    ):
        with pytest.raises(ElementInvalid):
            refused()


def test_receipts_exist_for_durable_leaves_only(desk: Desk) -> None:
    sequencer = desk.sequencer()
    sequencer.commit([desk.leaf()])

    for index, size in ((1, None), (1, 1), (0, 2), (-1, 1)):
        with pytest.raises(Fault):
            sequencer.receipt(index, size)
    with pytest.raises(Fault):
        sequencer.leaf_hash(1)
    with sequencer._database.reader() as reader:
        assert ledger.leaf(reader, 0) == sequencer.receipt(0).leaf
        with pytest.raises(Fault, match="no leaf 1"):
            ledger.leaf(reader, 1)


def test_a_closed_sequencer_records_nothing_and_keeps_what_was_queued(desk: Desk) -> None:
    sequencer = desk.sequencer(wait=60.0)
    with ThreadPoolExecutor(8) as pool:
        pending = [
            pool.submit(sequencer.commit, [desk.leaf(message=number)]) for number in range(8)
        ]
        sequencer.close()
        done = [one for one in pending if one.exception() is None]

    with pytest.raises(AuditUnavailable):
        sequencer.commit([desk.leaf()])
    sequencer.close()
    assert not sequencer.healthy
    assert sequencer.size == len(done)
    assert all(isinstance(one.exception(), AuditUnavailable | None) for one in pending)


def test_only_one_sequencer_writes(desk: Desk) -> None:
    desk.sequencer()

    with pytest.raises(Remedy):
        desk.sequencer(desk.database())


def test_pages_hide_no_leaf(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "PAGE", 3)
    sequencer = desk.sequencer()
    for number in range(7):
        sequencer.commit([desk.leaf(message=number, case=f"C-{number}")])
    database = sequencer._database

    found = [decode(one).message_id[-1] for one in ledger.iter_leaves(database)]

    assert found == list(range(7))
    assert [decode(one).message_id[-1] for one in ledger.iter_leaves(database, 2, 6)] == [
        2,
        3,
        4,
        5,
    ]
    assert list(ledger.iter_leaves(database, 7)) == []
    assert [one.index for one in ledger.iter_details(database)] == list(range(7))
    assert len(list(ledger.iter_checkpoints(database))) == 7


def test_a_gap_is_reported_while_reading(desk: Desk) -> None:
    sequencer = desk.sequencer()
    for number in range(3):
        sequencer.commit([desk.leaf(message=number)])
    desk.close()
    database = desk.database()
    pen = database.take_pen()
    with pen.begin():
        pen.execute(leaves.delete().where(leaves.c.idx == 1))

    with pytest.raises(Fault, match="no leaf 1"):
        list(ledger.iter_leaves(database))


@pytest.mark.parametrize("size", range(70))
def test_peaks_cover_the_tree_once(size: int) -> None:
    covered = [
        leaf
        for level, number in peaks_of(size)
        for leaf in range(number << level, (number + 1) << level)
    ]

    assert covered == list(range(size))


def test_what_is_kept_in_memory_does_not_grow(desk: Desk) -> None:
    sequencer = desk.sequencer()
    for number in range(33):
        sequencer.commit([desk.leaf(message=number)])

    assert set(sequencer._peaks) == set(peaks_of(33))
    with sequencer._database.reader() as reader:
        assert reader.execute(select(func.count()).select_from(leaves)).scalar() == 33
