"""What the gateway believes is replaced only by someone who knows what it was."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from gateway.errors import InternalError, UserError
from gateway.ledger.entry import EntryType
from gateway.store.keys.adopted_versions import (
    Adopted,
    KeyStanding,
    Subject,
    adopt,
    adopted,
    key_states,
    record_key,
)
from gateway.store.ledger.sequencer import Sequencer
from keys.keyset import KeyEvent, KeyKind, KeyState

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture

KID = bytes(range(32))


def in_force(sequencer: Sequencer, subject: Subject) -> dict[str, Adopted]:
    with sequencer._database.reader() as reader:
        return adopted(reader, subject)


def keys_now(sequencer: Sequencer) -> dict[bytes, KeyStanding]:
    with sequencer._database.reader() as reader:
        return key_states(reader)


def event(store: StoreFixture, previous: KeyState | None, state: KeyState) -> KeyEvent:
    return KeyEvent(store.clock(), KID, KeyKind.KEM, previous, state, "weekly epoch", "rounds")


def test_an_agreement_and_an_entry_are_adopted_version_by_version(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    first, second = Adopted(1, "aa", store.clock()), Adopted(2, "bb", store.clock())
    leaf = store.leaf(EntryType.AGREEMENT)

    sequencer.commit([leaf], adopt(Subject.AGREEMENT, "au", first, None))
    sequencer.commit([leaf], adopt(Subject.AGREEMENT, "au", second, first))
    sequencer.commit([leaf], adopt(Subject.AGREEMENT, "nz_%", first, None))
    sequencer.commit(
        [store.leaf(EntryType.DIRECTORY)], adopt(Subject.DIRECTORY, "AUS", first, None)
    )

    assert in_force(sequencer, Subject.AGREEMENT) == {"au": second, "nz_%": first}
    assert in_force(sequencer, Subject.DIRECTORY) == {"AUS": first}


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_version_never_goes_back(store: StoreFixture, version: int) -> None:
    held = Adopted(2, "bb", store.clock())

    with pytest.raises(UserError, match="does not follow"):
        adopt(Subject.AGREEMENT, "au", Adopted(version, "cc", store.clock()), held)


def test_two_adoptions_at_once_cannot_both_succeed(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    leaf = store.leaf(EntryType.AGREEMENT)
    versions = [Adopted(number, str(number), store.clock()) for number in range(4)]
    sequencer.commit([leaf], adopt(Subject.AGREEMENT, "au", versions[1], None))

    with pytest.raises(UserError, match="meanwhile"):
        sequencer.commit([leaf], adopt(Subject.AGREEMENT, "au", versions[2], None))
    sequencer.commit([leaf], adopt(Subject.AGREEMENT, "au", versions[2], versions[1]))
    with pytest.raises(UserError, match="meanwhile"):
        sequencer.commit([leaf], adopt(Subject.AGREEMENT, "au", versions[3], versions[1]))

    assert in_force(sequencer, Subject.AGREEMENT) == {"au": versions[2]}
    assert sequencer.size == 2


def test_the_last_state_of_a_key_is_known_after_a_restart(store: StoreFixture) -> None:
    """An older keyset file, put back, would revive a destroyed key; the store remembers."""
    sequencer = store.sequencer()
    life = (
        None,
        KeyState.PREACTIVE,
        KeyState.ACTIVE,
        KeyState.DEACTIVATED,
        KeyState.DESTROYED,
    )
    for previous, state in pairwise(life):
        moved = event(store, previous, state or KeyState.PREACTIVE)
        effects = record_key(moved, keys_now(sequencer).get(KID))
        sequencer.commit([store.leaf(EntryType.KEY)], effects)
        store.clock.move(hours=1)
    store.close()

    standing = keys_now(store.sequencer())[KID]

    assert (standing.kind, standing.state) == (KeyKind.KEM, KeyState.DESTROYED)


def test_a_key_event_begins_where_the_last_one_ended(store: StoreFixture) -> None:
    sequencer = store.sequencer()
    made = event(store, None, KeyState.PREACTIVE)
    sequencer.commit([store.leaf(EntryType.KEY)], record_key(made, None))
    held = keys_now(sequencer)[KID]

    with pytest.raises(InternalError, match="does not begin"):
        record_key(event(store, KeyState.ACTIVE, KeyState.DEACTIVATED), held)
    with pytest.raises(InternalError, match="does not begin"):
        record_key(made, held)
    with pytest.raises(UserError, match="meanwhile"):
        sequencer.commit([store.leaf(EntryType.KEY)], record_key(made, None))
