from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import durable, keyfile
from keys.certificates import party_of, pin, public_of
from keys.custody import Argon2Cost, FileCustody
from keys.envelope import SealingKey, open_sealed, pack, seal
from keys.errors import (
    CertificateFault,
    CustodyFault,
    DamagedFile,
    IllegalTransition,
    KeyNotUsable,
    MalformedKey,
    UnknownKey,
)
from keys.keyfile import KeyFile
from keys.keyset import KeyEvent, KeyKind, KeyRecord, Keyset, KeyState, step
from keys.lifecycle import ACCEPTS, DESTRUCTION_WAIT, KEM_WINDOW, LIFETIMES, Owner
from keys.sign import REQUEST, VerifyingKey

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


def rewritten(path: Path, keyset: Keyset, custody: FileCustody, **changes: object) -> None:
    """Write, with the custody's own seal, what this code would never write: another version's file."""
    record = replace(keyset.records[0], **changes)  # type: ignore[arg-type]
    content = KeyFile(Owner.HOUSE, "CAN", keyset.hosts, (record, *keyset.records[1:]))
    keyfile.write(path, content, custody)


# Making


def test_a_house_starts_with_one_active_key_of_each_kind(house: Keyset, now: datetime) -> None:
    assert sorted(r.kind.value for r in house.records) == sorted(kind.value for kind in KeyKind)
    for record in house.records:
        assert record.state is S.ACTIVE
        assert record.created == record.changed == record.not_before == now
        assert record.not_after == now + LIFETIMES[record.kind]
        assert house.primary(record.kind) is record


def test_lifetimes_are_those_of_the_reference(house: Keyset) -> None:
    """keys.md 3: KEM epoch 7 days, signing and ledger 1 year, TLS leaf 30 to 90 days."""
    days = {r.kind: (r.not_after - r.not_before).days for r in house.records}

    assert (days[KeyKind.KEM], days[KeyKind.SIGNING], days[KeyKind.LOG]) == (7, 365, 365)
    assert 30 <= days[KeyKind.TLS_LEAF] <= 90


def test_the_auditors_private_half_is_not_in_the_house(house: Keyset, auditor: Keyset) -> None:
    public, opening = house.audit_public, auditor.audit_opening()
    assert public.key_id == opening.key_id
    packed = pack(b"detail")

    assert open_sealed(seal(packed, b"", public), b"", packed.commitment, opening) == b"detail"
    with pytest.raises(KeyNotUsable):
        house.audit_opening()


def test_a_house_without_an_auditor_says_so(now: datetime, custody: FileCustody) -> None:
    house = Keyset.create(now, "CAN", custody)

    with pytest.raises(KeyNotUsable, match="AUDIT"):
        _ = house.audit_public


def test_an_auditor_holds_nothing_of_the_house(auditor: Keyset) -> None:
    assert [record.kind for record in auditor.records] == [KeyKind.AUDIT]
    for use in (auditor.signing, auditor.kem, auditor.log, auditor.data, auditor.tls):
        with pytest.raises(KeyNotUsable):
            use()


def test_two_houses_share_no_key(now: datetime, custody: FileCustody, house: Keyset) -> None:
    other = Keyset.create(now, "CAN", custody)

    assert not {r.kid for r in other.records} & {r.kid for r in house.records}


@pytest.mark.parametrize(
    ("party", "hosts"), [("can", ()), ("C", ()), ("CAN\n", ()), ("CAN", ("not a host",))]
)
def test_a_house_that_no_certificate_can_name_is_refused(
    now: datetime, custody: FileCustody, party: str, hosts: tuple[str, ...]
) -> None:
    with pytest.raises(CertificateFault):
        Keyset.create(now, party, custody, hosts=hosts)


def test_a_false_audit_key_is_refused(now: datetime, custody: FileCustody) -> None:
    with pytest.raises(MalformedKey):
        Keyset.create(now, "CAN", custody, audit_public=bytes(1216 - 1))


def test_a_moment_without_a_time_zone_is_refused(custody: FileCustody) -> None:
    with pytest.raises(ValueError, match="time zone"):
        Keyset.create(datetime(2026, 1, 1), "CAN", custody)  # noqa: DTZ001


# Keeping


def test_a_keyset_comes_back_whole(saved: Path, house: Keyset, custody: FileCustody) -> None:
    again = Keyset.load(saved, custody)

    assert (again.owner, again.party, again.hosts) == (house.owner, house.party, house.hosts)
    assert again.records == house.records
    assert again.signing().key_id == house.signing().key_id
    assert again.log().key_id == house.log().key_id
    assert again.tls() == house.tls()
    assert again.data().open(house.data().seal(b"record", b"row 7"), b"row 7") == b"record"
    assert again.opening(house.kem().kid).key_id == house.kem().kid
    assert saved.stat().st_mode & 0o777 == 0o600


def test_every_truncation_of_the_file_is_refused(saved: Path, custody: FileCustody) -> None:
    content = saved.read_bytes()
    for size in [*range(0, len(content), 97), len(content) - 1]:
        saved.write_bytes(content[:size])
        with pytest.raises(DamagedFile, match="restore it from backup"):
            Keyset.load(saved, custody)


def test_no_damaged_byte_of_the_file_is_accepted(saved: Path, custody: FileCustody) -> None:
    content = saved.read_bytes()
    for at in range(0, len(content), 11):
        saved.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        with pytest.raises(DamagedFile, match="restore it from backup"):
            Keyset.load(saved, custody)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"state": "ACTIVE"', b'"state": "PREACTIVE"'),
        (b'"not_after": "2027', b'"not_after": "2037'),
        (b'"party": "CAN"', b'"party": "USA"'),
        (b'"127.0.0.1"', b'"127.0.0.2"'),
        (b'"reason": "first', b'"reason": "FIRST'),
        (b'"owner": "HOUSE"', b'"owner": "AUDITOR"'),
    ],
)
def test_an_edit_with_a_fitting_checksum_is_refused(
    saved: Path, custody: FileCustody, old: bytes, new: bytes
) -> None:
    """Who can write the file and not unwrap a seed can change nothing in it, dates included."""
    content = saved.read_bytes()
    assert old in content
    body = json.loads(content.replace(old, new))
    del body["checksum"]
    durable.replace(saved, durable.encode(body))

    with pytest.raises(DamagedFile, match="edited"):
        Keyset.load(saved, custody)


def test_a_keyset_of_another_custody_is_refused_with_the_remedy(
    saved: Path, tmp_path: Path, cheap: Argon2Cost
) -> None:
    stranger = FileCustody.create(tmp_path / "other.json", b"correct horse", cheap)

    with pytest.raises(DamagedFile, match="name the custody that belongs to it"):
        Keyset.load(saved, stranger)


def test_an_absent_keyset_is_refused_with_the_remedy(tmp_path: Path, custody: FileCustody) -> None:
    with pytest.raises(CustodyFault, match="passerelle init"):
        Keyset.load(tmp_path / "keyset.json", custody)


def test_a_seed_that_gives_another_key_is_refused(
    tmp_path: Path, house: Keyset, custody: FileCustody
) -> None:
    """Loading recomputes the id from the seed (keys.md 2.3)."""
    path, kem = tmp_path / "keyset.json", house.kem()
    other = custody.wrap(bytes(32), kem.seed_aad())
    cases: list[tuple[dict[str, object], str]] = [
        ({"wrapped": other}, "another key id"),
        ({"wrapped": custody.wrap(bytes(31), kem.seed_aad())}, "does not unwrap"),
        ({"state": S.SUSPENDED}, "does not unwrap"),
        ({"kind": KeyKind.AUDIT}, "does not unwrap"),
        ({"created": kem.created + HOUR}, "does not unwrap"),
        ({"public": house.signing().public}, "not that of its public half"),
    ]
    for changes, why in cases:
        rewritten(path, house, custody, **changes)
        with pytest.raises(DamagedFile, match=why):
            Keyset.load(path, custody)


@pytest.mark.parametrize("where", ["format", "owner", "state", "created", "kid"])
def test_a_value_of_another_version_is_refused(
    where: str, saved: Path, custody: FileCustody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed by our own custody, as a later version's file would be."""
    body = json.loads(saved.read_bytes())
    del body["checksum"], body["seal"]
    if where in body:
        body[where] = "passerelle keyset 2"
    else:
        body["keys"][0][where] = "2026-03-01T12:00:00Z"
    seal_now = custody.wrap(keyfile._digest(body), keyfile.pae(keyfile.SEAL_LABEL))
    durable.replace(saved, durable.encode({**body, "seal": durable.text_of(seal_now)}))

    with pytest.raises(DamagedFile, match="not what this version writes"):
        Keyset.load(saved, custody)


# Using


def test_our_signature_verifies_under_our_published_key(house: Keyset) -> None:
    signature = house.signing().sign(b"message", REQUEST)

    VerifyingKey(house.primary(KeyKind.SIGNING).public).verify(signature, b"message", REQUEST)


def test_what_is_sealed_to_our_published_key_opens(house: Keyset) -> None:
    record, packed = house.kem(), pack(b"query")
    sealed = seal(packed, b"header", SealingKey(record.public))

    opened = open_sealed(sealed, b"header", packed.commitment, house.opening(record.kid))
    assert opened == b"query"


def test_an_unknown_key_id_opens_nothing(house: Keyset) -> None:
    for kid in (bytes(32), b"", house.primary(KeyKind.AUDIT).kid, house.primary(KeyKind.DATA).kid):
        with pytest.raises(UnknownKey):
            house.opening(kid)
    with pytest.raises(UnknownKey):
        house.data(house.kem().kid)
    with pytest.raises(UnknownKey):
        house.audit_opening(house.kem().kid)


def test_tls_material_names_the_party_and_fits_together(house: Keyset) -> None:
    key_pem, chain = house.tls()

    assert b"BEGIN PRIVATE KEY" in key_pem
    assert party_of(chain) == "CAN"
    assert public_of(chain) == house.tls_leaf().public
    assert public_of(house.tls_ca_pem) == house.tls_ca().public
    assert chain.endswith(house.tls_ca_pem)
    assert house.tls_pins == (pin(chain),)


# Living


def test_a_new_key_produces_only_after_promotion(house: Keyset, now: datetime) -> None:
    later = now + HOUR
    keyset, event = house.generate(KeyKind.KEM, later, reason="epoch", actor="schedule")

    assert event == KeyEvent(later, event.kid, KeyKind.KEM, None, S.PREACTIVE, "epoch", "schedule")
    assert keyset.kem().kid == house.kem().kid
    assert keyset.opening(event.kid).key_id == event.kid  # partners may learn of it early
    assert [r.kid for r in keyset.published(KeyKind.KEM)] == [event.kid, house.kem().kid]
    assert event.kid not in {record.kid for record in house.records}  # a keyset is a value

    promoted = moved(keyset, event.kid, later, S.ACTIVE)
    assert promoted.kem().kid == event.kid
    assert [r.kid for r in promoted.published(KeyKind.KEM)] == [house.kem().kid, event.kid]


@pytest.mark.parametrize("kind", [kind for kind in KeyKind if kind is not KeyKind.AUDIT])
def test_every_kind_rotates_and_survives_a_restart(
    kind: KeyKind, house: Keyset, now: datetime, custody: FileCustody, tmp_path: Path
) -> None:
    old = house.primary(kind)
    keyset = moved(succeeded(house, kind, now + HOUR), old.kid, now + HOUR, S.DEACTIVATED)
    keyset.save(tmp_path / "keyset.json")
    again = Keyset.load(tmp_path / "keyset.json", custody)

    assert again.records == keyset.records
    assert again.primary(kind).kid != old.kid
    assert again.record(old.kid).not_after == now + HOUR
    keeps = kind in {KeyKind.KEM, KeyKind.DATA}
    assert bool(again.record(old.kid).wrapped) == keeps


def test_a_new_leaf_comes_from_the_current_authority(house: Keyset, now: datetime) -> None:
    keyset = succeeded(succeeded(house, KeyKind.TLS_CA, now + HOUR), KeyKind.TLS_LEAF, now + HOUR)
    _, chain = keyset.tls()

    authority = keyset.primary(KeyKind.TLS_CA).certificate
    assert chain.endswith(authority)
    assert keyset.tls_ca_pem == house.tls_ca_pem + authority
    assert keyset.tls_pins == (*house.tls_pins, pin(chain))


def test_a_deactivated_kem_key_opens_for_48_hours(house: Keyset, now: datetime) -> None:
    kid = house.kem().kid
    keyset = moved(succeeded(house, KeyKind.KEM, now), kid, now, S.DEACTIVATED)

    assert keyset.opening(kid, now + KEM_WINDOW).key_id == kid
    for late in (None, now + KEM_WINDOW + timedelta(milliseconds=1)):
        with pytest.raises(KeyNotUsable, match="seal to the current one"):
            keyset.opening(kid, late)
    with pytest.raises(IllegalTransition, match="too early"):
        moved(keyset, kid, now + KEM_WINDOW, S.DESTROYED)


def test_an_old_letter_no_longer_opens_once_its_key_is_destroyed(
    house: Keyset, now: datetime, custody: FileCustody, tmp_path: Path
) -> None:
    """keys.md 5, KEM epoch, step 6."""
    kid, end = house.kem().kid, now + KEM_WINDOW + HOUR
    keyset = moved(succeeded(house, KeyKind.KEM, now), kid, now, S.DEACTIVATED)
    keyset = moved(keyset, kid, end, S.DESTROYED)
    keyset.save(tmp_path / "keyset.json")
    again = Keyset.load(tmp_path / "keyset.json", custody)

    assert again.record(kid).wrapped == b""
    assert again.record(kid).public == house.kem().public
    with pytest.raises(KeyNotUsable):
        again.opening(kid, end)


def test_a_retired_signing_key_cannot_sign_at_once(house: Keyset, now: datetime) -> None:
    """Its private half is destroyed on deactivation; the public half stays for verification."""
    old = house.primary(KeyKind.SIGNING)
    keyset = moved(succeeded(house, KeyKind.SIGNING, now + HOUR), old.kid, now, S.DEACTIVATED)

    assert keyset.record(old.kid).wrapped == b""
    assert keyset.record(old.kid).public == old.public
    assert keyset.signing().key_id != old.kid


def test_a_long_lived_key_waits_a_week_for_destruction(house: Keyset, now: datetime) -> None:
    """keys.md 7: time in which one person can still cancel."""
    kid = house.primary(KeyKind.DATA).kid
    keyset = moved(succeeded(house, KeyKind.DATA, now), kid, now, S.DEACTIVATED)
    blob = house.data().seal(b"record", b"")

    assert keyset.data(kid).open(blob, b"") == b"record"
    with pytest.raises(IllegalTransition, match="too early"):
        moved(keyset, kid, now + DESTRUCTION_WAIT, S.DESTROYED)
    gone = moved(keyset, kid, now + DESTRUCTION_WAIT + HOUR, S.DESTROYED)
    with pytest.raises(KeyNotUsable):
        gone.data(kid)


def test_the_last_active_key_does_not_step_down(house: Keyset, now: datetime) -> None:
    with pytest.raises(IllegalTransition, match="no successor"):
        moved(house, house.kem().kid, now, S.DEACTIVATED)


def test_a_key_past_its_end_is_not_promoted(house: Keyset, now: datetime) -> None:
    keyset, event = house.generate(KeyKind.KEM, now, reason="epoch", actor="schedule")

    with pytest.raises(IllegalTransition, match="past its end"):
        moved(keyset, event.kid, now + LIFETIMES[KeyKind.KEM], S.ACTIVE)


@pytest.mark.parametrize("state", [S.SUSPENDED, S.COMPROMISED])
def test_a_stopped_key_serves_in_neither_direction(
    house: Keyset, now: datetime, state: KeyState
) -> None:
    keyset = house
    for record in house.records:
        keyset = moved(keyset, record.kid, now, state)

    uses: list[Callable[[], object]] = [
        keyset.signing,
        keyset.kem,
        keyset.log,
        keyset.data,
        keyset.tls,
        keyset.tls_ca,
        lambda: keyset.opening(house.kem().kid, now),
        lambda: keyset.data(house.primary(KeyKind.DATA).kid),
        lambda: keyset.audit_public,
    ]
    for use in uses:
        with pytest.raises(KeyNotUsable):
            use()
    assert keyset.tls_ca_pem == b""
    assert keyset.tls_pins == ()


def test_a_suspended_key_returns_after_the_question_is_settled(
    house: Keyset, now: datetime, custody: FileCustody, tmp_path: Path
) -> None:
    kid = house.kem().kid
    keyset = moved(house, kid, now, S.SUSPENDED, S.ACTIVE)
    keyset.save(tmp_path / "keyset.json")

    assert Keyset.load(tmp_path / "keyset.json", custody).opening(kid).key_id == kid


def test_an_event_says_what_moved_whence_and_why(house: Keyset, now: datetime) -> None:
    kid = house.kem().kid

    _, event = house.transition(kid, S.COMPROMISED, now, "disk stolen", "op-7")

    assert event == KeyEvent(now, kid, KeyKind.KEM, S.ACTIVE, S.COMPROMISED, "disk stolen", "op-7")


def test_an_unknown_key_does_not_move(house: Keyset, now: datetime) -> None:
    with pytest.raises(UnknownKey):
        moved(house, bytes(32), now, S.SUSPENDED)


def test_a_house_makes_no_audit_key_and_an_auditor_no_other(
    house: Keyset, auditor: Keyset, now: datetime
) -> None:
    for keyset, kind in ((house, KeyKind.AUDIT), (auditor, KeyKind.SIGNING)):
        with pytest.raises(IllegalTransition):
            keyset.generate(kind, now, reason="", actor="")
    with pytest.raises(IllegalTransition):
        auditor.adopt_auditor(house.kem().public, now, reason="", actor="")


def test_a_new_auditor_key_takes_over_and_the_old_one_still_opens(
    house: Keyset, auditor: Keyset, now: datetime
) -> None:
    later = now + HOUR
    renewed = succeeded(auditor, KeyKind.AUDIT, later)
    public = renewed.primary(KeyKind.AUDIT).public
    adopted, event = house.adopt_auditor(public, later, reason="yearly", actor="op-7")
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
    house: Keyset,
    now: datetime,
    custody: FileCustody,
    tmp_path_factory: pytest.TempPathFactory,
    walk: list[tuple[KeyKind, KeyState, int]],
) -> None:
    """Every reachable keyset: table obeyed, refused moves change nothing, saved and loaded alike."""
    keyset, moment = house, now
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
