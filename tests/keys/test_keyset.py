from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from keys import atomic_file, keyset_file
from keys.certificates import party_of, pin, public_of
from keys.custody import Argon2Cost, FileCustody
from keys.envelope import SealingKey, open_sealed, pack, seal
from keys.errors import (
    CertificateFault,
    CustodyFault,
    DamagedFile,
    KeyNotUsable,
    MalformedKey,
    UnknownKey,
)
from keys.keyset import KeyKind, Keyset, KeyState
from keys.keyset_file import KeyFile
from keys.lifecycle import LIFETIMES, Owner
from keys.signatures import REQUEST, VerifyingKey

S = KeyState
HOUR = timedelta(hours=1)


def rewritten(path: Path, keyset: Keyset, custody: FileCustody, **changes: object) -> None:
    """Write, with the custody's own seal, what this code would never write: another version's file."""
    record = replace(keyset.records[0], **changes)  # type: ignore[arg-type]
    content = KeyFile(Owner.HOUSE, "CAN", keyset.hosts, (record, *keyset.records[1:]))
    keyset_file.write(path, content, custody)


# Making


def test_a_gateway_starts_with_one_active_key_of_each_kind(gateway: Keyset, now: datetime) -> None:
    assert sorted(r.kind.value for r in gateway.records) == sorted(kind.value for kind in KeyKind)
    for record in gateway.records:
        assert record.state is S.ACTIVE
        assert record.created == record.changed == record.not_before == now
        assert record.not_after == now + LIFETIMES[record.kind]
        assert gateway.primary(record.kind) is record


def test_lifetimes_are_those_of_the_reference(gateway: Keyset) -> None:
    """keys.md 3: KEM epoch 7 days, signing and ledger 1 year, TLS leaf 30 to 90 days."""
    days = {r.kind: (r.not_after - r.not_before).days for r in gateway.records}

    assert (days[KeyKind.KEM], days[KeyKind.SIGNING], days[KeyKind.LOG]) == (7, 365, 365)
    assert 30 <= days[KeyKind.TLS_LEAF] <= 90


def test_the_auditors_private_half_is_not_in_the_gateway(gateway: Keyset, auditor: Keyset) -> None:
    public, opening = gateway.audit_public, auditor.audit_opening()
    assert public.key_id == opening.key_id
    packed = pack(b"detail")

    assert open_sealed(seal(packed, b"", public), b"", packed.commitment, opening) == b"detail"
    with pytest.raises(KeyNotUsable):
        gateway.audit_opening()


def test_a_gateway_without_an_auditor_says_so(now: datetime, custody: FileCustody) -> None:
    gateway = Keyset.create(now, "CAN", custody)

    with pytest.raises(KeyNotUsable, match="AUDIT"):
        _ = gateway.audit_public


def test_an_auditor_holds_nothing_of_the_gateway(auditor: Keyset) -> None:
    assert [record.kind for record in auditor.records] == [KeyKind.AUDIT]
    for use in (auditor.signing, auditor.kem, auditor.log, auditor.data, auditor.tls):
        with pytest.raises(KeyNotUsable):
            use()


def test_two_gateways_share_no_key(now: datetime, custody: FileCustody, gateway: Keyset) -> None:
    other = Keyset.create(now, "CAN", custody)

    assert not {r.kid for r in other.records} & {r.kid for r in gateway.records}


@pytest.mark.parametrize(
    ("party", "hosts"), [("can", ()), ("C", ()), ("CAN\n", ()), ("CAN", ("not a host",))]
)
def test_a_gateway_that_no_certificate_can_name_is_refused(
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


def test_a_keyset_comes_back_whole(saved: Path, gateway: Keyset, custody: FileCustody) -> None:
    again = Keyset.load(saved, custody)

    assert (again.owner, again.party, again.hosts) == (gateway.owner, gateway.party, gateway.hosts)
    assert again.records == gateway.records
    assert again.signing().key_id == gateway.signing().key_id
    assert again.log().key_id == gateway.log().key_id
    assert again.tls() == gateway.tls()
    assert again.data().open(gateway.data().seal(b"record", b"row 7"), b"row 7") == b"record"
    assert again.opening(gateway.kem().kid).key_id == gateway.kem().kid
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
    atomic_file.replace(saved, atomic_file.encode(body))

    with pytest.raises(DamagedFile, match="edited"):
        Keyset.load(saved, custody)


def test_a_keyset_of_another_custody_is_refused_with_the_remedy(
    saved: Path, tmp_path: Path, cheap: Argon2Cost
) -> None:
    unknown = FileCustody.create(tmp_path / "other.json", b"correct horse battery", cheap)

    with pytest.raises(DamagedFile, match="name the custody that belongs to it"):
        Keyset.load(saved, unknown)


def test_an_absent_keyset_is_refused_with_the_remedy(tmp_path: Path, custody: FileCustody) -> None:
    with pytest.raises(CustodyFault, match="passerelle init"):
        Keyset.load(tmp_path / "keyset.json", custody)


def test_a_seed_that_gives_another_key_is_refused(
    tmp_path: Path, gateway: Keyset, custody: FileCustody
) -> None:
    """Loading recomputes the id from the seed (keys.md 2.3)."""
    path, kem = tmp_path / "keyset.json", gateway.kem()
    other = custody.wrap(bytes(32), kem.seed_aad())
    cases: list[tuple[dict[str, object], str]] = [
        ({"wrapped": other}, "another key id"),
        ({"wrapped": custody.wrap(bytes(31), kem.seed_aad())}, "does not unwrap"),
        ({"state": S.SUSPENDED}, "does not unwrap"),
        ({"kind": KeyKind.AUDIT}, "does not unwrap"),
        ({"created": kem.created + HOUR}, "does not unwrap"),
        ({"public": gateway.signing().public}, "not that of its public half"),
    ]
    for changes, why in cases:
        rewritten(path, gateway, custody, **changes)
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
    seal_now = custody.wrap(keyset_file._digest(body), keyset_file.pae(keyset_file.SEAL_LABEL))
    atomic_file.replace(saved, atomic_file.encode({**body, "seal": atomic_file.text_of(seal_now)}))

    with pytest.raises(DamagedFile, match="not what this version writes"):
        Keyset.load(saved, custody)


# Using


def test_our_signature_verifies_under_our_published_key(gateway: Keyset) -> None:
    signature = gateway.signing().sign(b"message", REQUEST)

    VerifyingKey(gateway.primary(KeyKind.SIGNING).public).verify(signature, b"message", REQUEST)


def test_what_is_sealed_to_our_published_key_opens(gateway: Keyset) -> None:
    record, packed = gateway.kem(), pack(b"query")
    sealed = seal(packed, b"header", SealingKey(record.public))

    opened = open_sealed(sealed, b"header", packed.commitment, gateway.opening(record.kid))
    assert opened == b"query"


def test_an_unknown_key_id_opens_nothing(gateway: Keyset) -> None:
    for kid in (
        bytes(32),
        b"",
        gateway.primary(KeyKind.AUDIT).kid,
        gateway.primary(KeyKind.DATA).kid,
    ):
        with pytest.raises(UnknownKey):
            gateway.opening(kid)
    with pytest.raises(UnknownKey):
        gateway.data(gateway.kem().kid)
    with pytest.raises(UnknownKey):
        gateway.audit_opening(gateway.kem().kid)


def test_tls_material_names_the_party_and_fits_together(gateway: Keyset) -> None:
    key_pem, chain = gateway.tls()

    assert b"BEGIN PRIVATE KEY" in key_pem
    assert party_of(chain) == "CAN"
    assert public_of(chain) == gateway.tls_leaf().public
    assert public_of(gateway.tls_ca_pem) == gateway.tls_ca().public
    assert chain.endswith(gateway.tls_ca_pem)
    assert gateway.tls_pins == (pin(chain),)
