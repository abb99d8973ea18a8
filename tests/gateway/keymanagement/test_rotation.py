"""Keys turn by themselves under evidence; a clock, a disk or a crash in the way leaves nothing half-done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import watchdog
from gateway.errors import UserError
from gateway.keymanagement import transitions
from gateway.ledger.entry import EntryType
from gateway.server.application import Gateway
from gateway.trust.partners import own_bundle
from keys import atomic_file
from keys.keyset import KeyKind, KeyState

# By schedule


def test_the_schedule_turns_a_kem_epoch_by_itself(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    gateway.keys.rotation.round()
    assert len(own_bundle(gateway.home).kem) == 1
    clock.ahead = timedelta(days=4, hours=1)
    gateway.keys.rotation.round()
    new = key_operations.key(KeyKind.KEM, KeyState.PREACTIVE)
    assert own_bundle(gateway.home).version == 2
    key_operations.sight("AUS", 2)
    gateway.keys.rotation.round()
    assert key_operations.state(new) is KeyState.PREACTIVE  # the epoch lasts seven days
    clock.ahead = timedelta(days=7)
    gateway.keys.rotation.round()

    assert key_operations.state(new) is KeyState.ACTIVE
    assert key_operations.state(old) is KeyState.DEACTIVATED
    clock.ahead = timedelta(days=9, hours=1)
    gateway.keys.rotation.round()
    assert key_operations.state(old) is KeyState.DESTROYED


def test_without_evidence_the_old_key_stays_and_it_is_an_alarm_once_a_day(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    """keys.md 5, KEM epoch: the old key stays primary, with a daily alarm."""
    old = key_operations.key(KeyKind.KEM, KeyState.ACTIVE)
    clock.ahead = timedelta(days=5)
    gateway.keys.rotation.round()
    alarms = key_operations.entries(EntryType.ALARM)
    for hours in (1, 2, 23):
        clock.ahead = timedelta(days=7, hours=hours)
        gateway.keys.rotation.round()
    assert key_operations.state(old) is KeyState.ACTIVE
    assert key_operations.entries(EntryType.ALARM) == alarms + 1

    clock.ahead = timedelta(days=8, hours=3)
    gateway.keys.rotation.round()

    assert key_operations.entries(EntryType.ALARM) == alarms + 2
    assert gateway.keyset.opening(bytes.fromhex(old), clock())


def test_a_schedule_is_set_kept_and_listed(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    before = {row["kind"]: row for row in key_operations.do("keys.list")["schedules"]}
    assert before["KEM"] == {"kind": "KEM", "on": True, "days": 7}
    assert before["TLS_LEAF"]["on"]
    assert not before["SIGNING"]["on"]
    key_operations.do("keys.schedule", kind="KEM", on=False)
    key_operations.do("keys.schedule", kind="SIGNING", on=True, days=40)

    clock.ahead = timedelta(days=25)
    gateway.keys.rotation.round()

    after = {row["kind"]: row for row in key_operations.do("keys.list")["schedules"]}
    assert after["KEM"] == {"kind": "KEM", "on": False, "days": 7}
    assert after["SIGNING"] == {"kind": "SIGNING", "on": True, "days": 40}
    assert key_operations.key(KeyKind.SIGNING, KeyState.PREACTIVE)
    assert not [r for r in gateway.keyset.records if r.kind is KeyKind.KEM][1:]


def test_the_auditors_key_has_no_schedule_and_is_not_made_here(
    key_operations: Any, gateway: Gateway
) -> None:
    for act, values in (("keys.schedule", {"on": True}), ("keys.generate", {})):
        with pytest.raises(UserError, match="auditor"):
            key_operations.do(act, kind="AUDIT", **values)


# Bad input


@pytest.mark.parametrize("named", ["", "abc", "g" * 8, "0" * 64, "A" * 16])
def test_an_unknown_key_is_refused_with_what_lists_them(
    key_operations: Any, gateway: Gateway, named: str
) -> None:
    with pytest.raises(UserError, match="key: "):
        key_operations.do("keys.suspend", key=named)


def test_an_ambiguous_beginning_names_no_key(key_operations: Any, gateway: Gateway) -> None:
    twins = SimpleNamespace(records=(gateway.keyset.kem(), gateway.keyset.kem()))

    with pytest.raises(UserError, match="more digits"):
        transitions.named(twins, key_operations.key(KeyKind.KEM, KeyState.ACTIVE)[:8])  # type: ignore[arg-type]


def test_a_clock_that_was_set_back_moves_nothing(
    key_operations: Any, gateway: Gateway, clock: Any
) -> None:
    before, file = gateway.keyset.records, (gateway.home / "keys" / "keyset.json").read_bytes()
    clock.ahead = -timedelta(days=1)

    with pytest.raises(UserError, match="set the clock"):
        key_operations.do("keys.generate", kind="KEM")
    gateway.keys.rotation.round()  # says so, and goes on

    assert gateway.keyset.records == before
    assert (gateway.home / "keys" / "keyset.json").read_bytes() == file


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Have the disk be full when the file of that name is replaced."""
    real = atomic_file.os.fsync

    def fsync(descriptor: int) -> None:
        if f"/.{name}." in atomic_file.os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(atomic_file.os, "fsync", fsync)
        yield


def test_a_disk_that_is_full_when_keys_are_saved_leaves_the_old_keys(
    key_operations: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, file = gateway.keyset.records, (gateway.home / "keys" / "keyset.json").read_bytes()

    with full_disk(monkeypatch, "keyset.json"), pytest.raises(OSError, match="No space"):
        key_operations.do("keys.rotate", kind="KEM")

    assert gateway.keyset.records == before
    assert (gateway.home / "keys" / "keyset.json").read_bytes() == file
    assert not list((gateway.home / "keys").glob(".keyset*"))
    assert key_operations.do("keys.rotate", kind="KEM")["version"] == 2  # room was made


def test_a_disk_that_is_full_when_it_is_published_is_made_good_by_the_next_round(
    key_operations: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is made and recorded; partners know nothing of it, and nobody uses it, until it is published."""
    with full_disk(monkeypatch, "party.json"), pytest.raises(OSError, match="No space"):
        key_operations.do("keys.rotate", kind="KEM")
    new = key_operations.key(KeyKind.KEM, KeyState.PREACTIVE)
    assert own_bundle(gateway.home).version == 1
    assert not list(gateway.home.glob(".party*"))

    gateway.keys.rotation.round()

    assert own_bundle(gateway.home).version == 2
    assert key_operations.do("keys.show", key=new)["published"] == 2


def test_a_gateway_that_is_opened_again_knows_what_was_asked_and_who_has_seen_it(
    key_operations_of: Any, homes: Any, secret: Any
) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        new = key_operations_of(gateway).do("keys.rotate", kind="SIGNING")["key"]
        key_operations_of(gateway).sight("AUS", 2)
    with Gateway.open(homes[0], secret) as gateway:
        gateway.keys.rotation.round()
        assert key_operations_of(gateway).state(new) is KeyState.ACTIVE


def test_the_rounds_go_on_giving_signs_while_an_officer_changes_keys_by_a_slow_token(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SLICE", 0.01)
    beats = threading.Semaphore(0)
    monkeypatch.setattr(gateway.watchdog, "beat", beats.release)
    rounds = threading.Thread(
        target=lambda: gateway.keys.active.publish(actor="rounds"), daemon=True
    )

    with gateway.keys.active._lock:  # as an officer's change has it
        rounds.start()
        for _ in range(3):
            assert beats.acquire(timeout=20.0)
    rounds.join(20.0)

    assert not rounds.is_alive()
