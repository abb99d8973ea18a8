"""Evidence comes from authentic messages alone, is kept once, and carries a rotation through without a restart."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.store.keys import rotations
from gateway.store.keys.rotations import Sightings
from gateway.trust.partners import own_bundle
from keys.keyset import KeyKind, KeyState


def seen(gateway: Any) -> dict[str, int]:
    with gateway.database.reader() as reader:
        return {party: one.version for party, one in rotations.seen(reader).items()}


def test_a_rotation_under_traffic_needs_no_restart_and_no_query_fails(
    pair: Any, people: Any, key_operations_of: Any
) -> None:
    """A message of the partner's is what promotes: with the older entry it is answered and no evidence."""
    key_operations, gateway = key_operations_of(pair.gateway), pair.gateway
    before = pair.partner()  # it holds version 1 and goes on with it
    before.query(people.samples(1), **people.matter())
    assert seen(gateway) == {"AUS": 1}

    new = key_operations.do("keys.rotate", kind="KEM")["key"]
    before.query(people.samples(1), **people.matter())
    pair.serving.run_jobs()
    assert key_operations.state(new) is KeyState.PREACTIVE
    assert seen(gateway) == {"AUS": 1}

    after = pair.partner()  # it has refreshed
    after.query(people.samples(1), **people.matter())
    assert seen(gateway) == {"AUS": 2}
    pair.serving.run_jobs()

    assert key_operations.state(new) is KeyState.ACTIVE
    assert own_bundle(pair.home).version == 4
    # In flight, and in the window: both older entries are still answered.
    for partner in (before, after, pair.partner()):
        partner.query(people.samples(1), **people.matter())


def test_a_message_that_is_refused_is_no_evidence(
    pair: Any, people: Any, forger: Any, key_operations_of: Any
) -> None:
    """An attacker who replays or forges cannot have a key promoted that the partner does not know."""
    key_operations_of(pair.gateway).do("keys.rotate", kind="KEM")
    signer = pair.keyset.signing()

    ahead = forger.compose(directory_version=3, signer=signer)
    assert forger.refused(ahead)[1] == "KEY_STALE"
    unknown = forger.compose(directory_version=2, commitment=bytes(32))
    forger.refused(unknown)

    assert seen(pair.gateway) == {}


def test_a_sighting_is_written_once_and_never_goes_back(pair: Any) -> None:
    gateway = pair.gateway
    known = Sightings(gateway.database)

    def message(version: int) -> int:
        effects = known.effects("AUS", version, gateway.clock())
        if effects:
            gateway.sequencer.commit((), effects)
            known.kept("AUS", version)
        return len(effects)

    assert [message(version) for version in (3, 3, 2, 4, 3)] == [2, 0, 0, 2, 0]
    assert seen(gateway) == {"AUS": 4}
    assert Sightings(gateway.database).effects("AUS", 4, gateway.clock()) == ()  # after a restart
    gateway.sequencer.commit((), rotations.see("AUS", 1, gateway.clock()))
    assert seen(gateway) == {"AUS": 4}


def test_operators_who_rotate_at_once_make_one_key(gateway: Any, key_operations_of: Any) -> None:
    """Issue 5, bad input: two operators rotating at once; each is told what became of it."""
    key_operations, told, start = key_operations_of(gateway), [], threading.Barrier(4)

    def rotate(act: str) -> None:
        start.wait()
        try:
            told.append(key_operations.do(act, kind="SIGNING"))
        except UserError as refused:
            told.append(str(refused))

    acts = ("keys.rotate", "keys.rotate", "keys.generate", "keys.generate")
    threads = [threading.Thread(target=rotate, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    coming = [r for r in gateway.keyset.records if r.state is KeyState.PREACTIVE]
    assert [record.kind for record in coming] == [KeyKind.SIGNING]
    assert len(told) == 4
    assert own_bundle(gateway.home).version == 2
    made = [one for one in told if isinstance(one, dict) and one["moves"]]
    assert len(made) == 1
    assert all("PREACTIVE already" in one for one in told if isinstance(one, str))


@pytest.mark.parametrize("times", [3])
def test_a_gateway_lives_through_rotation_after_rotation(
    pair: Any, people: Any, key_operations_of: Any, times: int
) -> None:
    key_operations = key_operations_of(pair.gateway)
    for _ in range(times):
        for kind in ("KEM", "SIGNING"):
            kid = key_operations.do("keys.rotate", kind=kind)["key"]
            pair.partner().query(people.samples(1), **people.matter())
            pair.serving.run_jobs()
            assert key_operations.state(kid) is KeyState.ACTIVE
