"""How keys of a keyset follow one another: promoted, retired, stopped, destroyed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.certificates import pin
from keys.custody import FileCustody
from keys.errors import (
    IllegalTransition,
    KeyNotUsable,
    UnknownKey,
)
from keys.keyset import KeyEvent, KeyKind, KeyRecord, Keyset, KeyState, step
from keys.lifecycle import ACCEPTS, DATA_WINDOW, DESTRUCTION_WAIT, KEM_WINDOW, LIFETIMES

S = KeyState
HOUR = timedelta(hours=1)


def moved(keyset: Keyset, kid: bytes, now: datetime, *states: KeyState) -> Keyset:
    for state in states:
        keyset, _ = keyset.transition(kid, state, now, "test", "operator")
    return keyset


def succeeded(keyset: Keyset, kind: KeyKind, now: datetime) -> Keyset:
    """Return the keyset with a second key of `kind` promoted beside the first."""
    keyset, event = keyset.generate(kind, now, reason="rotation", actor="schedule")
    return moved(keyset, event.kid, now, S.ACTIVE)


# Living


def test_a_new_key_produces_only_after_promotion(gateway: Keyset, now: datetime) -> None:
    later = now + HOUR
    keyset, event = gateway.generate(KeyKind.KEM, later, reason="epoch", actor="schedule")

    assert event == KeyEvent(later, event.kid, KeyKind.KEM, None, S.PREACTIVE, "epoch", "schedule")
    assert keyset.kem().kid == gateway.kem().kid
    assert keyset.opening(event.kid).key_id == event.kid  # partners may learn of it early
    assert [r.kid for r in keyset.published(KeyKind.KEM)] == [event.kid, gateway.kem().kid]
    assert event.kid not in {record.kid for record in gateway.records}  # a keyset is a value

    promoted = moved(keyset, event.kid, later, S.ACTIVE)
    assert promoted.kem().kid == event.kid
    assert [r.kid for r in promoted.published(KeyKind.KEM)] == [gateway.kem().kid, event.kid]


@pytest.mark.parametrize("kind", [kind for kind in KeyKind if kind is not KeyKind.AUDIT])
def test_every_kind_rotates_and_survives_a_restart(
    kind: KeyKind, gateway: Keyset, now: datetime, custody: FileCustody, tmp_path: Path
) -> None:
    old = gateway.primary(kind)
    keyset = moved(succeeded(gateway, kind, now + HOUR), old.kid, now + HOUR, S.DEACTIVATED)
    keyset.save(tmp_path / "keyset.json")
    again = Keyset.load(tmp_path / "keyset.json", custody)

    assert again.records == keyset.records
    assert again.primary(kind).kid != old.kid
    assert again.record(old.kid).not_after == now + HOUR
    keeps = kind in {KeyKind.KEM, KeyKind.DATA}
    assert bool(again.record(old.kid).wrapped) == keeps


def test_a_new_leaf_comes_from_the_current_authority(gateway: Keyset, now: datetime) -> None:
    keyset = succeeded(succeeded(gateway, KeyKind.TLS_CA, now + HOUR), KeyKind.TLS_LEAF, now + HOUR)
    _, chain = keyset.tls()

    authority = keyset.primary(KeyKind.TLS_CA).certificate
    assert chain.endswith(authority)
    assert keyset.tls_ca_pem == gateway.tls_ca_pem + authority
    assert keyset.tls_pins == (*gateway.tls_pins, pin(chain))


def test_a_deactivated_kem_key_opens_for_48_hours(gateway: Keyset, now: datetime) -> None:
    kid = gateway.kem().kid
    keyset = moved(succeeded(gateway, KeyKind.KEM, now), kid, now, S.DEACTIVATED)

    assert keyset.opening(kid, now + KEM_WINDOW).key_id == kid
    for late in (None, now + KEM_WINDOW + timedelta(milliseconds=1)):
        with pytest.raises(KeyNotUsable, match="seal to the current one"):
            keyset.opening(kid, late)
    with pytest.raises(IllegalTransition, match="too early"):
        moved(keyset, kid, now + KEM_WINDOW, S.DESTROYED)


def test_an_old_letter_no_longer_opens_once_its_key_is_destroyed(
    gateway: Keyset, now: datetime, custody: FileCustody, tmp_path: Path
) -> None:
    """keys.md 5, KEM epoch, step 6."""
    kid, end = gateway.kem().kid, now + KEM_WINDOW + HOUR
    keyset = moved(succeeded(gateway, KeyKind.KEM, now), kid, now, S.DEACTIVATED)
    keyset = moved(keyset, kid, end, S.DESTROYED)
    keyset.save(tmp_path / "keyset.json")
    again = Keyset.load(tmp_path / "keyset.json", custody)

    assert again.record(kid).wrapped == b""
    assert again.record(kid).public == gateway.kem().public
    with pytest.raises(KeyNotUsable):
        again.opening(kid, end)


def test_a_retired_signing_key_cannot_sign_at_once(gateway: Keyset, now: datetime) -> None:
    """Its private half is destroyed on deactivation; the public half stays for verification."""
    old = gateway.primary(KeyKind.SIGNING)
    keyset = moved(succeeded(gateway, KeyKind.SIGNING, now + HOUR), old.kid, now, S.DEACTIVATED)

    assert keyset.record(old.kid).wrapped == b""
    assert keyset.record(old.kid).public == old.public
    assert keyset.signing().key_id != old.kid


def test_a_long_lived_key_waits_a_week_for_destruction(gateway: Keyset, now: datetime) -> None:
    """keys.md 7: time in which one person can still cancel."""
    kid = gateway.primary(KeyKind.SIGNING).kid
    keyset = moved(succeeded(gateway, KeyKind.SIGNING, now), kid, now, S.DEACTIVATED)

    with pytest.raises(IllegalTransition, match="more than 168 h"):
        moved(keyset, kid, now + DESTRUCTION_WAIT, S.DESTROYED)
    assert moved(keyset, kid, now + DESTRUCTION_WAIT + HOUR, S.DESTROYED)


def test_a_data_key_opens_until_the_calls_of_before_are_over_and_never_again_when_destroyed(
    gateway: Keyset, now: datetime
) -> None:
    kid = gateway.primary(KeyKind.DATA).kid
    keyset = moved(succeeded(gateway, KeyKind.DATA, now), kid, now, S.DEACTIVATED)
    blob = gateway.data().seal(b"record", b"")

    assert keyset.data(kid).open(blob, b"") == b"record"
    with pytest.raises(IllegalTransition, match="more than 1 h"):
        moved(keyset, kid, now + DATA_WINDOW, S.DESTROYED)
    gone = moved(keyset, kid, now + DATA_WINDOW + HOUR, S.DESTROYED)
    with pytest.raises(KeyNotUsable):
        gone.data(kid)


def test_the_last_active_key_does_not_step_down(gateway: Keyset, now: datetime) -> None:
    with pytest.raises(IllegalTransition, match="no successor"):
        moved(gateway, gateway.kem().kid, now, S.DEACTIVATED)


def test_a_key_past_its_end_is_not_promoted(gateway: Keyset, now: datetime) -> None:
    keyset, event = gateway.generate(KeyKind.KEM, now, reason="epoch", actor="schedule")

    with pytest.raises(IllegalTransition, match="past its end"):
        moved(keyset, event.kid, now + LIFETIMES[KeyKind.KEM], S.ACTIVE)


@pytest.mark.parametrize("state", [S.SUSPENDED, S.COMPROMISED])
def test_a_stopped_key_serves_in_neither_direction(
    gateway: Keyset, now: datetime, state: KeyState
) -> None:
    keyset = gateway
    for record in gateway.records:
        keyset = moved(keyset, record.kid, now, state)

    uses: list[Callable[[], object]] = [
        keyset.signing,
        keyset.kem,
        keyset.log,
        keyset.data,
        keyset.tls,
        keyset.tls_ca,
        lambda: keyset.opening(gateway.kem().kid, now),
        lambda: keyset.data(gateway.primary(KeyKind.DATA).kid),
        lambda: keyset.audit_public,
    ]
    for use in uses:
        with pytest.raises(KeyNotUsable):
            use()
    assert keyset.tls_ca_pem == b""
    assert keyset.tls_pins == ()


def test_a_suspended_key_returns_after_the_question_is_settled(
    gateway: Keyset, now: datetime, custody: FileCustody, tmp_path: Path
) -> None:
    kid = gateway.kem().kid
    keyset = moved(gateway, kid, now, S.SUSPENDED, S.ACTIVE)
    keyset.save(tmp_path / "keyset.json")

    assert Keyset.load(tmp_path / "keyset.json", custody).opening(kid).key_id == kid


def test_an_event_says_what_moved_whence_and_why(gateway: Keyset, now: datetime) -> None:
    kid = gateway.kem().kid

    _, event = gateway.transition(kid, S.COMPROMISED, now, "disk stolen", "op-7")

    assert event == KeyEvent(now, kid, KeyKind.KEM, S.ACTIVE, S.COMPROMISED, "disk stolen", "op-7")


def test_an_unknown_key_does_not_move(gateway: Keyset, now: datetime) -> None:
    with pytest.raises(UnknownKey):
        moved(gateway, bytes(32), now, S.SUSPENDED)


def test_a_gateway_makes_no_audit_key_and_an_auditor_no_other(
    gateway: Keyset, auditor: Keyset, now: datetime
) -> None:
    for keyset, kind in ((gateway, KeyKind.AUDIT), (auditor, KeyKind.SIGNING)):
        with pytest.raises(IllegalTransition):
            keyset.generate(kind, now, reason="", actor="")
    with pytest.raises(IllegalTransition):
        auditor.adopt_auditor(gateway.kem().public, now, reason="", actor="")


def test_a_new_auditor_key_takes_over_and_the_old_one_still_opens(
    gateway: Keyset, auditor: Keyset, now: datetime
) -> None:
    later = now + HOUR
    renewed = succeeded(auditor, KeyKind.AUDIT, later)
    public = renewed.primary(KeyKind.AUDIT).public
    adopted, event = gateway.adopt_auditor(public, later, reason="yearly", actor="op-7")
    old = auditor.primary(KeyKind.AUDIT).kid
    renewed = moved(renewed, old, later, S.DEACTIVATED)

    assert adopted.audit_public.key_id == event.kid == renewed.audit_opening().key_id
    assert renewed.audit_opening(old).key_id == old


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(KeyKind), st.sampled_from(KeyState), st.integers(0, 300)),
        max_size=8,
    )
)
def test_whatever_happens_a_loaded_keyset_is_the_saved_one(
    gateway: Keyset,
    now: datetime,
    custody: FileCustody,
    tmp_path_factory: pytest.TempPathFactory,
    walk: list[tuple[KeyKind, KeyState, int]],
) -> None:
    """Every reachable keyset: table obeyed, refused moves change nothing, saved and loaded alike."""
    keyset, moment = gateway, now
    for kind, target, hours in walk:
        moment += timedelta(hours=hours)
        record = next(r for r in keyset.records if r.kind is kind)
        try:
            following, _ = keyset.transition(record.kid, target, moment, "walk", "test")
        except IllegalTransition:
            continue
        assert step(kind, record.state, target) is following.record(record.kid).state
        keyset = following

    path = tmp_path_factory.mktemp("walk") / "keyset.json"
    keyset.save(path)
    assert Keyset.load(path, custody).records == keyset.records
    for record in keyset.records:
        assert_usable_only_where_it_accepts(keyset, record, moment)


def assert_usable_only_where_it_accepts(keyset: Keyset, record: KeyRecord, now: datetime) -> None:
    if record.kind is KeyKind.KEM and record.state not in ACCEPTS:
        with pytest.raises(KeyNotUsable):
            keyset.opening(record.kid, now)
    if record.state is S.DESTROYED:
        assert record.wrapped == b""
