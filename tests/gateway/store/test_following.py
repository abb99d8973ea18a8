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
    from tests.gateway.store.conftest import Desk


def test_while_one_pair_follows_another_both_sign_and_either_bundle_verifies(desk: Desk) -> None:
    """Keys 5: the origin does not change, and who knows only one of the pairs ignores the other's lines."""
    following = LogKey.from_seed(bytes(reversed(range(64))))
    pairs = [desk.log_key]
    sequencer = Sequencer(
        desk.database(),
        FixedKeys(pairs, SealingKey(desk.auditor.public)),
        desk.log,
        desk.clock,
    )
    sequencer.start()
    later = LogIdentity.from_public(desk.log.origin, following.public, [desk.log_key.public])
    notes = []
    for turn in ([desk.log_key], [desk.log_key, following], [following, desk.log_key], [following]):
        pairs[:] = turn
        sequencer.commit([desk.leaf()])
        notes.append(sequencer.latest_checkpoint())
    sequencer.close()

    assert [later.open(each).size for each in notes] == [1, 2, 3, 4]
    assert [desk.log.open(each).size for each in notes[:3]] == [1, 2, 3]
    assert [open_checkpoint(each, *later.vkeys).size for each in notes[1:]] == [2, 3, 4]
    with pytest.raises(NoteRefused):
        desk.log.open(notes[3])
    assert len(notes[1]) < 8 * 1024


def test_a_pair_that_signed_once_lets_the_tail_be_verified_after_it_was_followed(
    desk: Desk,
) -> None:
    """A crash between the promotion and the next checkpoint leaves a note of the older pair alone."""
    following = LogKey.from_seed(bytes(reversed(range(64))))
    first = desk.sequencer()
    first.commit([desk.leaf()])
    first.close()

    again = Sequencer(
        desk.database(),
        FixedKeys([following], SealingKey(desk.auditor.public)),
        LogIdentity.from_public(desk.log.origin, following.public, [desk.log_key.public]),
        desk.clock,
    )
    again.start()

    assert again.size == 1
    again.close()


def test_what_is_recorded_is_sealed_to_the_auditor_of_that_moment(desk: Desk) -> None:
    second = OpeningKey.from_seed(bytes(reversed(range(32))))
    auditors, keys = [desk.auditor], FixedKeys([desk.log_key], SealingKey(desk.auditor.public))
    database = desk.database()
    sequencer = Sequencer(
        database,
        keys,
        desk.log,
        desk.clock,
    )
    sequencer.start()
    sequencer.commit([desk.leaf(reason="EARLIER")])
    auditors.append(second)
    keys.auditor = SealingKey(second.public)
    sequencer.commit([desk.leaf(reason="LATER")])
    sequencer.close()

    stored = zip(
        stored_ledger.iter_leaves(database), stored_ledger.iter_details(database), strict=True
    )
    opened = [
        open_detail(decode(leaf), detail.ciphertext, detail.sealed_dek, key)
        for (leaf, detail), key in zip(stored, auditors, strict=True)
    ]
    assert [facts["reason"] for facts in opened] == ["EARLIER", "LATER"]
