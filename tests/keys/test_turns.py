"""What comes next for keys is pure: from records, schedules, evidence and the time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.keyset import KeyKind, Keyset, KeyState
from keys.rotation_schedule import (
    CRYPTO_PERIODS,
    CryptoPeriod,
    Evidence,
    Move,
    Outlook,
    due,
    needs_evidence,
    steps,
)

S = KeyState
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


# As it is from the start, but for data keys, which have tests of their own.
_OF_OTHERS = {**CRYPTO_PERIODS, KeyKind.DATA: CryptoPeriod(on=False, every=335 * DAY)}


def moved(keyset: Keyset, kid: bytes, now: datetime, *states: KeyState) -> Keyset:
    for state in states:
        keyset, _ = keyset.transition(kid, state, now, "test", "operator")
    return keyset


def succeeded(keyset: Keyset, kind: KeyKind, now: datetime) -> Keyset:
    """Return the keyset with a second key of `kind` promoted beside the first."""
    keyset, event = keyset.generate(kind, now, reason="rotation", actor="schedule")
    return moved(keyset, event.kid, now, S.ACTIVE)


def foreseen(keyset: Keyset, now: datetime, **known: object) -> list[tuple[Move, KeyKind]]:
    outlook = Outlook(**{"crypto_periods": _OF_OTHERS, **known})  # type: ignore[arg-type]
    return [(step.move, step.kind) for step in due(keyset.records, outlook, now)]


def seen(*kids: bytes, version: int = 2, missing: tuple[str, ...] = ()) -> dict[bytes, Evidence]:
    return dict.fromkeys(kids, Evidence(version, missing))


def test_nothing_is_due_for_young_keys(gateway: Keyset, now: datetime) -> None:
    assert foreseen(gateway, now + HOUR) == []


def test_a_successor_is_made_72_hours_before_an_epoch_ends(gateway: Keyset, now: datetime) -> None:
    """keys.md 5, KEM epoch, step 1."""
    early, late = now + 95 * HOUR, now + 96 * HOUR

    assert foreseen(gateway, early) == []
    assert foreseen(gateway, late) == [(Move.GENERATE, KeyKind.KEM)]
    off = {**CRYPTO_PERIODS, KeyKind.KEM: CryptoPeriod(on=False, every=7 * DAY)}
    assert foreseen(gateway, late, crypto_periods=off) == []


def test_a_successor_takes_over_at_the_end_of_the_turn_with_the_evidence(
    gateway: Keyset, now: datetime
) -> None:
    keyset, made = gateway.generate(KeyKind.KEM, now + 4 * DAY, reason="t", actor="t")
    evidence = seen(made.kid)

    assert foreseen(keyset, now + 5 * DAY, evidence=evidence) == []
    assert foreseen(keyset, now + 7 * DAY, evidence=evidence) == [(Move.PROMOTE, KeyKind.KEM)]
    # Who asked for it by hand wants it now.
    asked = {made.kid}
    assert foreseen(keyset, now + 5 * DAY, evidence=evidence, asked=asked) == [
        (Move.PROMOTE, KeyKind.KEM)
    ]


@pytest.mark.parametrize(
    "evidence", [Evidence(None), Evidence(None, ("AUS",)), Evidence(2, ("AUS",))]
)
def test_without_evidence_a_key_waits_and_its_predecessor_stays(
    gateway: Keyset, now: datetime, evidence: Evidence
) -> None:
    keyset, made = gateway.generate(KeyKind.KEM, now + 4 * DAY, reason="t", actor="t")

    late = foreseen(keyset, now + 9 * DAY, evidence={made.kid: evidence})

    assert late == [(Move.WAIT, KeyKind.KEM)]


def test_a_waiting_step_names_who_is_missing(gateway: Keyset, now: datetime) -> None:
    keyset, made = gateway.generate(KeyKind.KEM, now + 4 * DAY, reason="t", actor="t")
    outlook = Outlook(
        crypto_periods=CRYPTO_PERIODS, evidence=seen(made.kid, missing=("AUS", "NZL"))
    )

    sentences = " ".join(step.sentence for step in due(keyset.records, outlook, now + 7 * DAY))

    assert "not seen with version 2: AUS, NZL" in sentences


@pytest.mark.parametrize("kind", [KeyKind.SIGNING, KeyKind.LOG, KeyKind.TLS_LEAF])
def test_past_its_end_a_key_that_serves_nobody_is_not_waited_for(
    gateway: Keyset, now: datetime, kind: KeyKind
) -> None:
    keyset, made = gateway.generate(kind, now + 80 * DAY, reason="t", actor="t")
    record = keyset.record(made.kid)

    assert needs_evidence(keyset.records, record, now + 81 * DAY)
    assert not needs_evidence(keyset.records, record, now + 366 * DAY)


def test_a_data_key_is_nobodys_business_and_takes_over_at_once(
    gateway: Keyset, now: datetime
) -> None:
    keyset, made = gateway.generate(KeyKind.DATA, now + HOUR, reason="t", actor="t")

    assert foreseen(keyset, now + 2 * HOUR, asked={made.kid}) == [(Move.PROMOTE, KeyKind.DATA)]


@pytest.mark.parametrize(
    ("kind", "hours"),
    [(KeyKind.KEM, 0), (KeyKind.SIGNING, 0), (KeyKind.LOG, 0), (KeyKind.TLS_LEAF, 1)],
)
def test_who_was_succeeded_leaves_a_leaf_after_its_connections(
    gateway: Keyset, now: datetime, kind: KeyKind, hours: int
) -> None:
    keyset = succeeded(gateway, kind, now + HOUR)
    kid = keyset.primary(kind).kid
    known = {"evidence": seen(kid), "asked": {kid}}

    at = now + HOUR + hours * HOUR
    assert foreseen(keyset, at, **known) == [(Move.DEACTIVATE, kind)]
    if hours:
        assert foreseen(keyset, at - timedelta(seconds=1), **known) == []


@pytest.mark.parametrize("kind", [KeyKind.LOG, KeyKind.TLS_LEAF])
def test_what_was_promoted_without_evidence_keeps_its_predecessor(
    gateway: Keyset, now: datetime, kind: KeyKind
) -> None:
    keyset = succeeded(gateway, kind, now + HOUR)
    kid = keyset.primary(kind).kid

    unseen = {"evidence": seen(kid, missing=("AUS",)), "asked": {kid}}

    assert foreseen(keyset, now + 3 * DAY, **unseen) == []


def test_an_authority_leaves_by_hand_alone(gateway: Keyset, now: datetime) -> None:
    """Leaves and officer certificates that it issued live on."""
    keyset = succeeded(gateway, KeyKind.TLS_CA, now + HOUR)
    kid = keyset.primary(KeyKind.TLS_CA).kid

    assert foreseen(keyset, now + 3 * DAY, evidence=seen(kid), asked={kid}) == []


def test_where_data_keys_do_not_rotate_only_a_kem_key_dies_by_the_clock_and_any_other_by_decision(
    gateway: Keyset, now: datetime
) -> None:
    """keys.md 12: no timer destroys a long-lived key."""
    keyset, gone = gateway, []
    for kind in (KeyKind.KEM, KeyKind.SIGNING, KeyKind.DATA):
        old = keyset.primary(kind).kid
        keyset = moved(succeeded(keyset, kind, now), old, now + HOUR, S.DEACTIVATED)
        gone.append(old)
    off = {kind: CryptoPeriod(on=False, every=DAY) for kind in KeyKind}
    later = now + 40 * DAY

    assert foreseen(keyset, later, crypto_periods=off) == [(Move.DESTROY, KeyKind.KEM)]
    decided = {gone[1]: later, gone[2]: later + DAY}
    found = foreseen(keyset, later, crypto_periods=off, decided=decided, unused=gone)
    assert found == [(Move.DESTROY, KeyKind.KEM), (Move.DESTROY, KeyKind.SIGNING)]


def test_from_the_start_a_data_key_is_in_use_for_a_week(gateway: Keyset, now: datetime) -> None:
    crypto_periods = {KeyKind.DATA: CRYPTO_PERIODS[KeyKind.DATA]}
    ready = now + 7 * DAY - 2 * HOUR
    keyset, made = gateway.generate(KeyKind.DATA, ready, reason="t", actor="t")

    assert foreseen(gateway, ready - HOUR, crypto_periods=crypto_periods) == []
    assert foreseen(gateway, ready, crypto_periods=crypto_periods) == [
        (Move.GENERATE, KeyKind.DATA)
    ]
    assert foreseen(keyset, ready, crypto_periods=crypto_periods) == []
    assert foreseen(keyset, ready + HOUR, crypto_periods=crypto_periods) == [
        (Move.PROMOTE, KeyKind.DATA)
    ]
    keyset = moved(keyset, made.kid, ready + HOUR, S.ACTIVE)
    assert foreseen(keyset, ready + HOUR, crypto_periods=crypto_periods) == [
        (Move.DEACTIVATE, KeyKind.DATA)
    ]


@pytest.mark.parametrize("on", [True, False])
def test_a_data_key_ends_by_schedule_only_where_nothing_is_sealed_with_it_and_calls_are_over(
    gateway: Keyset, now: datetime, on: bool
) -> None:
    old = gateway.primary(KeyKind.DATA).kid
    keyset = moved(succeeded(gateway, KeyKind.DATA, now), old, now + HOUR, S.DEACTIVATED)
    crypto_periods = {KeyKind.DATA: CryptoPeriod(on=on, every=30 * DAY)}

    def found(at: datetime, **known: object) -> list[tuple[Move, KeyKind]]:
        return foreseen(keyset, at, crypto_periods=crypto_periods, **known)

    destroyed = [(Move.DESTROY, KeyKind.DATA)]
    assert found(now + 2 * HOUR, unused={old}) == []  # a call of before may still commit
    assert found(now + 3 * HOUR, unused={old}) == (destroyed if on else [])
    assert found(now + 20 * DAY) == []
    # Two persons decide when, and cannot decide that what is sealed with it is lost.
    late = {"decided": {old: now + 10 * DAY}}
    assert found(now + 9 * DAY, unused={old}, **late) == (destroyed if on else [])
    assert found(now + 10 * DAY, unused={old}, **late) == destroyed
    assert found(now + 10 * DAY, **late) == []
    early = {"decided": {old: now + HOUR}}
    assert found(now + HOUR, unused={old}, **early) == destroyed


@pytest.mark.parametrize("state", [S.SUSPENDED, S.COMPROMISED])
def test_no_schedule_destroys_a_data_key_that_a_person_stopped(
    gateway: Keyset, now: datetime, state: KeyState
) -> None:
    old = gateway.primary(KeyKind.DATA).kid
    keyset = moved(succeeded(gateway, KeyKind.DATA, now), old, now + HOUR, state)
    crypto_periods = {KeyKind.DATA: CryptoPeriod(on=True, every=30 * DAY)}

    assert foreseen(keyset, now + 20 * DAY, crypto_periods=crypto_periods, unused={old}) == []


def test_where_a_person_stopped_all_no_schedule_begins_anew(gateway: Keyset, now: datetime) -> None:
    keyset = moved(gateway, gateway.kem().kid, now + HOUR, S.SUSPENDED)

    assert (
        foreseen(keyset, now + 30 * DAY, crypto_periods={KeyKind.KEM: CRYPTO_PERIODS[KeyKind.KEM]})
        == []
    )


@given(days=st.integers(0, 4000), every=st.integers(1, 400))
def test_a_clock_of_any_time_gives_steps_in_order_and_each_once(
    gateway: Keyset, now: datetime, days: int, every: int
) -> None:
    crypto_periods = {kind: CryptoPeriod(on=True, every=every * DAY) for kind in KeyKind}
    found = steps(gateway.records, Outlook(crypto_periods=crypto_periods), now + days * DAY)

    assert [step.when for step in found] == sorted(step.when for step in found)
    assert len({(step.move, step.kind, step.kid) for step in found}) == len(found)
