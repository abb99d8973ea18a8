"""The ledger read back: what does not add up does not start, and proofs are of what was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from gateway.errors import (
    ElementInvalid,
    InternalError,
)
from gateway.ledger import merkle
from gateway.ledger.entry import decode
from gateway.ledger.signed_note import open_checkpoint
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import peaks_of
from gateway.store.schema import leaves
from keys.signatures import LogKey

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture


def test_the_extent_of_the_ledger_is_known(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    with sequencer._database.reader() as reader:
        assert stored_ledger.extent(reader) == (0, 0)

    sequencer.commit([store.leaf(message=1), store.leaf(message=2)])

    with sequencer._database.reader() as reader:
        assert stored_ledger.extent(reader) == (2, 2)


def test_a_clock_behind_the_ledger_does_not_start(store: StoreFixture) -> None:
    store.sequencer().commit([store.leaf()])
    store.close()
    store.clock.move(minutes=-1)

    with pytest.raises(InternalError, match="behind leaf 0"):
        store.sequencer()

    store.clock.move(minutes=1)
    assert store.sequencer().healthy  # the writer lock was given back


def test_another_logs_key_does_not_start(store: StoreFixture) -> None:
    store.sequencer().commit([store.leaf()])
    store.close()
    ours, store.log_key = store.log_key, LogKey.from_seed(bytes(64))

    with pytest.raises(InternalError, match="checkpoint of size 1 does not hold"):
        store.sequencer()

    store.log_key = ours


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
def test_a_row_edited_after_signing_does_not_start(
    store: StoreFixture, statement: str, named: str
) -> None:
    """An operator edits or deletes rows (ledger.md 10): the tail names the place before anything is added."""
    sequencer = store.sequencer()
    for number in range(10):
        sequencer.commit([store.leaf(message=number)])
    store.close()
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        writer.exec_driver_sql(statement)
    database.release_writer()

    with pytest.raises(InternalError, match=named):
        store.sequencer(database)


def test_the_tail_is_checked_from_its_place(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies before the tail is for `passerelle ledger verify`; the signed root still covers it."""
    monkeypatch.setattr(stored_ledger, "TAIL", 3)
    sequencer = store.sequencer()
    for number in range(10):
        sequencer.commit([store.leaf(message=number)])
    store.close()

    assert store.sequencer().size == 10


def test_a_subtree_edited_before_the_tail_breaks_the_root(
    store: StoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_ledger, "TAIL", 1)
    sequencer = store.sequencer()
    for number in range(10):
        sequencer.commit([store.leaf(message=number)])
    store.close()
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        writer.exec_driver_sql("UPDATE nodes SET hash = zeroblob(32) WHERE level = 3")
    database.release_writer()

    with pytest.raises(InternalError, match="first 10 leaves do not give the signed root"):
        store.sequencer(database)


def test_proofs_are_served_between_signed_sizes_only(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf(message=1), store.leaf(message=2)])
    done = sequencer.commit([store.leaf(message=3)])

    index, hashes = sequencer.inclusion(done.leaf_hashes[0], 3)
    head = open_checkpoint(sequencer.latest_checkpoint(), *store.log.vkeys)
    merkle.verify_inclusion(done.leaf_hashes[0], hashes, index=index, size=3, expected=head.root)

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


def test_receipts_exist_for_durable_leaves_only(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    sequencer.commit([store.leaf()])

    for index, size in ((1, None), (1, 1), (0, 2), (-1, 1)):
        with pytest.raises(InternalError):
            sequencer.receipt(index, size)
    with pytest.raises(InternalError):
        sequencer.leaf_hash(1)
    with sequencer._database.reader() as reader:
        assert stored_ledger.leaf(reader, 0) == sequencer.receipt(0).leaf
        with pytest.raises(InternalError, match="no leaf 1"):
            stored_ledger.leaf(reader, 1)


def test_pages_hide_no_leaf(store: StoreFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_ledger, "PAGE", 3)
    sequencer = store.sequencer()
    for number in range(7):
        sequencer.commit([store.leaf(message=number, case=f"C-{number}")])
    database = sequencer._database

    found = [decode(one).message_id[-1] for one in stored_ledger.iter_leaves(database)]

    assert found == list(range(7))
    assert [decode(one).message_id[-1] for one in stored_ledger.iter_leaves(database, 2, 6)] == [
        2,
        3,
        4,
        5,
    ]
    assert list(stored_ledger.iter_leaves(database, 7)) == []
    assert [one.index for one in stored_ledger.iter_details(database)] == list(range(7))
    assert len(list(stored_ledger.iter_checkpoints(database))) == 7


def test_a_gap_is_reported_while_reading(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    for number in range(3):
        sequencer.commit([store.leaf(message=number)])
    store.close()
    database = store.database()
    writer = database.take_writer()
    with writer.begin():
        writer.execute(leaves.delete().where(leaves.c.idx == 1))

    with pytest.raises(InternalError, match="no leaf 1"):
        list(stored_ledger.iter_leaves(database))


@pytest.mark.parametrize("size", range(70))
def test_peaks_cover_the_tree_once(size: int) -> None:
    covered = [
        leaf
        for level, number in peaks_of(size)
        for leaf in range(number << level, (number + 1) << level)
    ]

    assert covered == list(range(size))


def test_what_is_kept_in_memory_does_not_grow(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    for number in range(33):
        sequencer.commit([store.leaf(message=number)])

    assert set(sequencer._peaks) == set(peaks_of(33))
    with sequencer._database.reader() as reader:
        assert reader.execute(select(func.count()).select_from(leaves)).scalar() == 33
