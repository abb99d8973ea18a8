"""What operators do with keys: by one person or two, and what is refused leaves nothing half-done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.errors import UserError
from gateway.ledger.entry import EntryType
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import own_bundle
from keys.errors import KeyNotUsable
from keys.keyset import KeyKind, KeyState

# The three steps


def test_a_key_is_generated_published_seen_and_promoted(
    key_operations: Any, gateway: Gateway
) -> None:
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    new = key_operations.do("keys.generate", kind="KEM")["moves"][0]["key"]
    published = key_operations.do("keys.publish")
    assert (published["published"], published["version"]) == (True, 2)
    key_operations.sight("AUS", 2)

    key_operations.do("keys.promote", key=new[:12])

    assert gateway.keyset.kem().kid.hex() == new
    assert key_operations.state(old) is KeyState.ACTIVE  # it steps down by a step of its own
    key_operations.do("keys.deactivate", key=old)
    assert key_operations.state(old) is KeyState.DEACTIVATED
    assert self_check.verify_ledger(gateway.home).ok


def test_a_partner_seals_to_the_key_in_use_while_the_next_is_only_announced(
    key_operations: Any, gateway: Gateway
) -> None:
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    new = key_operations.do("keys.rotate", kind="KEM")["key"]

    def sealed_to() -> str:
        found = own_bundle(gateway.home).sealing_key(gateway.clock())
        assert found is not None
        return found.key_id.hex()

    assert len(own_bundle(gateway.home).kem) == 2
    assert sealed_to() == old
    key_operations.sight("AUS", 2)
    key_operations.do("keys.promote", key=new)
    assert sealed_to() == new


def test_a_key_that_nobody_has_seen_is_not_promoted_and_who_is_missing_is_named(
    key_operations: Any,
    gateway: Gateway,
) -> None:
    """Issue 5, bad input: promoting a PREACTIVE key nobody has seen."""
    new = key_operations.do("keys.generate", kind="SIGNING")["moves"][0]["key"]
    with pytest.raises(UserError, match="keys publish"):
        key_operations.do("keys.promote", key=new)
    key_operations.do("keys.publish")
    key_operations.sight("AUS", 1)  # it was seen, with the version before

    with pytest.raises(UserError, match="not seen by AUS with version 2"):
        key_operations.do("keys.promote", key=new)

    assert key_operations.state(new) is KeyState.PREACTIVE


def test_only_two_persons_promote_what_was_not_seen(key_operations: Any, gateway: Gateway) -> None:
    new = key_operations.do("keys.rotate", kind="SIGNING")["key"]
    with pytest.raises(TwoPersons):
        key_operations.do("keys.promote", key=new, override=True)
    assert key_operations.state(new) is KeyState.PREACTIVE

    key_operations.do("keys.promote", key_operations.two, key=new, override=True)

    assert key_operations.state(new) is KeyState.ACTIVE


def test_a_partner_who_left_is_not_waited_for(
    key_operations: Any, gateway: Gateway, homes: Any
) -> None:
    new = key_operations.do("keys.rotate", kind="KEM")["key"]
    (homes[0] / "parties" / "AUS.json").unlink()

    key_operations.do("keys.promote", key=new)

    assert key_operations.state(new) is KeyState.ACTIVE


def test_rotate_says_who_is_missing_and_the_round_goes_on(
    key_operations: Any, gateway: Gateway
) -> None:
    old = key_operations.key(KeyKind.SIGNING, KeyState.ACTIVE)
    said = key_operations.do("keys.rotate", kind="SIGNING")
    assert (said["promoted"], said["missing"], said["version"]) == (False, ["AUS"], 2)
    gateway.keys.rotation.round()
    assert key_operations.state(said["key"]) is KeyState.PREACTIVE
    key_operations.sight("AUS", 2)

    gateway.keys.rotation.round()

    assert key_operations.state(said["key"]) is KeyState.ACTIVE
    assert key_operations.state(old) is KeyState.DEACTIVATED
    assert gateway.keyset.record(bytes.fromhex(old)).wrapped == b""  # its private half is gone
    bundle = own_bundle(gateway.home)
    assert bundle.version == 4  # promoted; stepped down
    assert bundle.names(bytes.fromhex(old))  # what it signed stays its own


def test_rotate_again_goes_on_with_the_key_that_waits(
    key_operations: Any, gateway: Gateway
) -> None:
    """Issue 5, bad input: two operators rotating at once."""
    first = key_operations.do("keys.rotate", kind="KEM")["key"]

    second = key_operations.do("keys.rotate", key_operations.other, kind="KEM")

    assert second["key"] == first
    assert second["moves"] == []
    with pytest.raises(UserError, match="PREACTIVE already"):
        key_operations.do("keys.generate", kind="KEM")
    assert sum(r.kind is KeyKind.KEM for r in gateway.keyset.records) == 2


def test_with_nobody_to_wait_for_a_rotation_is_one_command(
    key_operations: Any, gateway: Gateway, homes: Any
) -> None:
    (homes[0] / "parties" / "AUS.json").unlink()
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)

    said = key_operations.do("keys.rotate", kind="KEM")

    assert said["promoted"]
    assert key_operations.state(old) is KeyState.DEACTIVATED


@pytest.mark.parametrize("kind", ["SIGNING", "TLS_LEAF"])
def test_the_successor_of_a_key_that_has_ended_waits_for_nobody(
    key_operations: Any, clock: Any, gateway: Gateway, kind: str
) -> None:
    """Past its end the old key serves nobody, so waiting protects nothing; a closed gateway comes back alone."""
    clock.ahead = timedelta(days=366)

    assert key_operations.do("keys.rotate", kind=kind)["promoted"]

    inspected = gateway.keyset.primary(KeyKind(kind))
    assert inspected.not_after > clock()


def test_the_successor_of_an_ended_epoch_waits_all_the_same(
    key_operations: Any, clock: Any
) -> None:
    """An ended KEM key still opens, and stays in use until its successor was seen."""
    clock.ahead = timedelta(days=8)

    assert not key_operations.do("keys.rotate", kind="KEM")["promoted"]


# What one person may, and what takes two


def test_one_person_stops_a_key_at_once_and_loudly(key_operations: Any, gateway: Gateway) -> None:
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    alarms = key_operations.entries(EntryType.ALARM)

    said = key_operations.do("keys.suspend", key=old)

    with pytest.raises(KeyNotUsable):
        gateway.keyset.opening(bytes.fromhex(old), gateway.clock())
    bundle: PartyBundle = own_bundle(gateway.home)
    assert bundle.version == said["version"] == 2
    assert key_operations.entries(EntryType.ALARM) == alarms + 1
    # It was the only one: partners learn of a successor in the same step, and it opens.
    successor = next(m["key"] for m in said["moves"] if m["from"] is None)
    assert [each.public for each in bundle.kem] == [
        gateway.keyset.record(bytes.fromhex(successor)).public
    ]
    assert gateway.keyset.opening(bytes.fromhex(successor), gateway.clock())


def test_a_suspended_key_returns_by_two_persons(key_operations: Any, gateway: Gateway) -> None:
    kid = key_operations.key(KeyKind.SIGNING, KeyState.ACTIVE)
    key_operations.do("keys.suspend", key=kid)
    with pytest.raises(TwoPersons):
        key_operations.do("keys.resume", key=kid)
    with pytest.raises(TwoPersons):
        key_operations.do("keys.deactivate", key=kid)
    with pytest.raises(UserError, match="keys resume"):
        key_operations.do("keys.promote", key=kid)

    key_operations.do("keys.resume", key_operations.two, key=kid)

    assert key_operations.state(kid) is KeyState.ACTIVE


@pytest.mark.parametrize(
    ("kind", "remedy"), [("LOG", "LOG"), ("DATA", "DATA"), ("AUDIT", "auditor")]
)
def test_one_person_does_not_stop_the_gateway_itself(
    key_operations: Any, gateway: Gateway, kind: str, remedy: str
) -> None:
    kid = key_operations.key(KeyKind(kind), KeyState.ACTIVE)

    with pytest.raises(UserError, match=remedy):
        key_operations.do("keys.suspend", key=kid)

    assert key_operations.state(kid) is KeyState.ACTIVE


def test_revoking_the_only_key_leaves_partners_with_a_successor(
    key_operations: Any, gateway: Gateway
) -> None:
    kid = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)

    key_operations.do("keys.revoke", key_operations.two, key=kid)

    assert key_operations.state(kid) is KeyState.COMPROMISED
    successor = gateway.keyset.record(
        bytes.fromhex(key_operations.key(KeyKind.KEM, KeyState.PREACTIVE))
    )
    assert [each.public for each in own_bundle(gateway.home).kem] == [successor.public]


def test_revoking_takes_two_persons_and_is_for_ever(key_operations: Any, gateway: Gateway) -> None:
    kid = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    with pytest.raises(TwoPersons):
        key_operations.do("keys.revoke", key=kid)
    key_operations.do("keys.suspend", key=kid)

    key_operations.do("keys.revoke", key_operations.two, key=kid)

    assert key_operations.state(kid) is KeyState.COMPROMISED
    for act in ("keys.resume", "keys.deactivate", "keys.promote"):
        with pytest.raises(UserError):
            key_operations.do(act, key_operations.two, key=kid)
    assert key_operations.state(kid) is KeyState.COMPROMISED


@pytest.mark.parametrize("act", ["keys.deactivate", "keys.destroy"])
@pytest.mark.parametrize("kind", ["KEM", "SIGNING", "LOG", "DATA", "TLS_LEAF", "TLS_CA"])
def test_the_only_active_key_neither_steps_down_nor_is_destroyed(
    key_operations: Any, gateway: Gateway, act: str, kind: str
) -> None:
    """Issue 5, bad input: destroying the only ACTIVE key."""
    kid = key_operations.key(KeyKind(kind), KeyState.ACTIVE)
    before = gateway.keyset.records

    with pytest.raises(UserError, match="promote a successor"):
        key_operations.do(act, key_operations.two, key=kid)

    assert gateway.keyset.records == before


def test_another_role_does_nothing_with_keys(key_operations: Any, gateway: Gateway) -> None:
    with pytest.raises(NotAllowed):
        key_operations.do("keys.generate", Officer("P-9", frozenset({Role.AUDITOR})), kind="KEM")
    assert key_operations.do("keys.list", Officer("P-9", frozenset({Role.AUDITOR})))["keys"]


# The end of a key


def test_an_old_kem_key_is_destroyed_by_the_round_after_48_hours(
    key_operations: Any, gateway: Gateway, homes: Any, clock: Any
) -> None:
    (homes[0] / "parties" / "AUS.json").unlink()
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    key_operations.do("keys.rotate", kind="KEM")

    clock.ahead = timedelta(hours=47)
    gateway.keys.rotation.round()
    assert key_operations.state(old) is KeyState.DEACTIVATED
    clock.ahead = timedelta(hours=48, seconds=1)
    gateway.keys.rotation.round()

    assert key_operations.state(old) is KeyState.DESTROYED
    assert gateway.keyset.record(bytes.fromhex(old)).wrapped == b""


def test_a_long_lived_key_waits_for_its_destruction_and_one_person_cancels_it(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    kid = key_operations.do("keys.generate", kind="SIGNING")["moves"][0]["key"]
    with pytest.raises(TwoPersons):
        key_operations.do("keys.destroy", key=kid)
    said = key_operations.do("keys.destroy", key_operations.two, key=kid, days=9)
    assert said["moves"] == []
    with pytest.raises(UserError, match="decided already"):
        key_operations.do("keys.destroy", key_operations.two, key=kid, days=30)
    clock.ahead = timedelta(days=8)
    gateway.keys.rotation.round()
    assert key_operations.state(kid) is KeyState.PREACTIVE

    key_operations.do("keys.cancel", key=kid)
    clock.ahead = timedelta(days=10)
    gateway.keys.rotation.round()
    assert key_operations.state(kid) is KeyState.PREACTIVE
    with pytest.raises(UserError, match="neither a destruction nor a rotation"):
        key_operations.do("keys.cancel", key=kid)


def test_what_two_persons_decided_is_done_when_its_wait_is_over(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    kid = key_operations.do("keys.generate", kind="SIGNING")["moves"][0]["key"]
    key_operations.do("keys.destroy", key_operations.two, key=kid)

    clock.ahead = timedelta(days=7, seconds=1)
    gateway.keys.rotation.round()

    assert key_operations.state(kid) is KeyState.DESTROYED
    assert gateway.keys.rotation.scheduled_destructions() == {}


def test_no_schedule_promotes_what_two_persons_decided_to_destroy(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    old = key_operations.key(KeyKind.SIGNING, KeyState.ACTIVE)
    kid = key_operations.do("keys.rotate", kind="SIGNING")["key"]
    key_operations.do("keys.destroy", key_operations.two, key=kid)
    key_operations.sight("AUS", 2)

    gateway.keys.rotation.round()
    with pytest.raises(UserError, match="is to be destroyed, as two persons decided"):
        key_operations.do("keys.rotate", kind="SIGNING")
    assert (key_operations.state(kid), key_operations.state(old)) == (
        KeyState.PREACTIVE,
        KeyState.ACTIVE,
    )

    clock.ahead = timedelta(days=7, seconds=1)
    gateway.keys.rotation.round()
    assert (key_operations.state(kid), key_operations.state(old)) == (
        KeyState.DESTROYED,
        KeyState.ACTIVE,
    )


@pytest.mark.parametrize("days", [0, 6, 31, True, "7"])
def test_a_wait_is_of_7_to_30_days(key_operations: Any, gateway: Gateway, days: object) -> None:
    kid = key_operations.do("keys.generate", kind="SIGNING")["moves"][0]["key"]

    with pytest.raises(UserError, match="from 7 to 30"):
        key_operations.do("keys.destroy", key_operations.two, key=kid, days=days)


# What is foretold


def test_a_dry_run_says_what_would_happen_and_does_nothing(
    key_operations: Any, gateway: Gateway
) -> None:
    before = (gateway.keyset.records, gateway.sequencer.size, own_bundle(gateway.home).version)
    kem = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    said = {
        act: " ".join(key_operations.do(act, dry_run=True, **values)["plan"])
        for act, values in {
            "keys.generate": {"kind": "KEM"},
            "keys.publish": {},
            "keys.rotate": {"kind": "KEM"},
            "keys.promote": {"key": kem},
            "keys.suspend": {"key": kem},
            "keys.resume": {"key": kem},
            "keys.deactivate": {"key": kem},
            "keys.revoke": {"key": kem},
            "keys.destroy": {"key": kem},
            "keys.cancel": {"key": kem},
            "keys.schedule": {"kind": "KEM", "on": True, "days": 5},
        }.items()
    }

    assert "AUS" in said["keys.rotate"]
    assert said["keys.destroy"].startswith("Refused: ")
    assert said["keys.promote"].startswith("Refused: ")
    assert "ALARM" in said["keys.suspend"]
    assert "every 5 days" in said["keys.schedule"]
    after = (gateway.keyset.records, gateway.sequencer.size, own_bundle(gateway.home).version)
    assert after == before


def test_the_state_that_an_approval_is_bound_to_changes_with_every_key(
    key_operations: Any, gateway: Gateway
) -> None:
    act = gateway.admin.operations.handler(key_operations.one, "keys.revoke")
    before = act.state(None)
    assert act.state(None) == before

    key_operations.do("keys.generate", kind="KEM")

    assert act.state(None) != before


@pytest.mark.parametrize("verb", ["keys.generate", "keys.rotate"])
def test_a_dry_run_refuses_the_kind_that_the_act_refuses(key_operations: Any, verb: str) -> None:
    for more in ({}, {"dry_run": True}):
        with pytest.raises(UserError, match="the auditor's"):
            key_operations.do(verb, kind="AUDIT", **more)
