"""The ledger's own keys follow each other under the writer lock: pairs that sign, the auditor who reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.ledger.entry import decode, open_detail
from gateway.ledger.signed_note import LogIdentity, NoteRefused, open_checkpoint
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Sequencer
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import LogKey

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture


def test_while_one_pair_follows_another_both_sign_and_either_bundle_verifies(
    store: StoreFixture,
) -> None:
    """Keys 5: the origin does not change, and who knows only one of the pairs ignores the other's lines."""
    following = LogKey.from_seed(bytes(reversed(range(64))))
    pairs = [store.log_key]
    sequencer = Sequencer(
        store.database(),
        FixedKeys(pairs, SealingKey(store.auditor.public)),
        store.log,
        store.clock,
    )
    sequencer.start()
    later = LogIdentity.from_public(store.log.origin, following.public, [store.log_key.public])
    notes = []
    for turn in (
        [store.log_key],
        [store.log_key, following],
        [following, store.log_key],
        [following],
    ):
        pairs[:] = turn
        sequencer.commit([store.leaf()])
        notes.append(sequencer.latest_checkpoint())
    sequencer.close()

    assert [later.open(each).size for each in notes] == [1, 2, 3, 4]
    assert [store.log.open(each).size for each in notes[:3]] == [1, 2, 3]
    assert [open_checkpoint(each, *later.vkeys).size for each in notes[1:]] == [2, 3, 4]
    with pytest.raises(NoteRefused):
        store.log.open(notes[3])
    assert len(notes[1]) < 8 * 1024


def test_a_pair_that_signed_once_lets_the_tail_be_verified_after_it_was_followed(
    store: StoreFixture,
) -> None:
    """A crash between the promotion and the next checkpoint leaves a note of the older pair alone."""
    following = LogKey.from_seed(bytes(reversed(range(64))))
    first = store.sequencer()
    first.commit([store.leaf()])
    first.close()

    again = Sequencer(
        store.database(),
        FixedKeys([following], SealingKey(store.auditor.public)),
        LogIdentity.from_public(store.log.origin, following.public, [store.log_key.public]),
        store.clock,
    )
    again.start()

    assert again.size == 1
    again.close()


def test_what_is_recorded_is_sealed_to_the_auditor_of_that_moment(store: StoreFixture) -> None:
    second = OpeningKey.from_seed(bytes(reversed(range(32))))
    auditors, keys = [store.auditor], FixedKeys([store.log_key], SealingKey(store.auditor.public))
    database = store.database()
    sequencer = Sequencer(
        database,
        keys,
        store.log,
        store.clock,
    )
    sequencer.start()
    sequencer.commit([store.leaf(reason="EARLIER")])
    auditors.append(second)
    keys.auditor = SealingKey(second.public)
    sequencer.commit([store.leaf(reason="LATER")])
    sequencer.close()

    stored = zip(
        stored_ledger.iter_leaves(database), stored_ledger.iter_details(database), strict=True
    )
    opened = [
        open_detail(decode(leaf), detail.ciphertext, detail.sealed_dek, key)
        for (leaf, detail), key in zip(stored, auditors, strict=True)
    ]
    assert [facts["reason"] for facts in opened] == ["EARLIER", "LATER"]
