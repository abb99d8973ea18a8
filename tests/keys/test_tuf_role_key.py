"""The pair that signs a role of the directory: two signatures, one seed, no composite."""

from __future__ import annotations

import pickle

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from keys.errors import KeyNotUsable, UnknownKey
from keys.keyset import KeyKind, Keyset, KeyState
from keys.keyset_upgrade import completed
from keys.signatures import DirectoryKey, SigningKey

SEED = bytes(range(64))
ROLES = (KeyKind.DELEGATION, KeyKind.SNAPSHOT, KeyKind.TIMESTAMP)


def test_a_seed_gives_the_same_pair_again() -> None:
    assert DirectoryKey.from_seed(SEED).key_id == DirectoryKey.from_seed(SEED).key_id
    assert DirectoryKey.generate().key_id != DirectoryKey.generate().key_id
    with pytest.raises(ValueError, match="64 bytes"):
        DirectoryKey.from_seed(SEED[:-1])


def test_each_half_verifies_alone_under_its_own_public_key() -> None:
    key = DirectoryKey.from_seed(SEED)
    ed25519 = Ed25519PublicKey.from_public_bytes(key.ed25519_public)
    mldsa = MLDSA65PublicKey.from_public_bytes(key.mldsa65_public)

    ed25519.verify(key.sign_ed25519(b"role"), b"role")
    mldsa.verify(key.sign_mldsa65(b"role"), b"role")
    with pytest.raises(InvalidSignature):
        mldsa.verify(key.sign_mldsa65(b"role"), b"rule")
    assert key.public == key.ed25519_public + key.mldsa65_public


def test_it_is_another_key_than_the_composite_of_the_same_seed() -> None:
    """Neither half of a composite may sign elsewhere (lamps-wg 208): the seeds are read in another order."""
    composite, pair = SigningKey.from_seed(SEED), DirectoryKey.from_seed(SEED)

    assert pair.ed25519_public not in composite.public
    assert pair.mldsa65_public not in composite.public


def test_the_pair_is_a_handle() -> None:
    key = DirectoryKey.from_seed(SEED)

    assert repr(key) == "<DirectoryKey>"
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_gateway_signs_each_role_with_a_pair_of_its_own(gateway: Keyset) -> None:
    kids = {gateway.directory(kind).key_id for kind in ROLES}

    assert len(kids) == len(ROLES)
    for kind in ROLES:
        record = gateway.primary(kind)
        assert gateway.directory(kind, record.kid).key_id == record.kid
    with pytest.raises(UnknownKey):
        gateway.directory(KeyKind.SNAPSHOT, gateway.primary(KeyKind.TIMESTAMP).kid)
    with pytest.raises(UnknownKey):
        gateway.directory(KeyKind.LOG)


def test_an_announced_pair_signs_no_role_before_it_is_promoted(
    gateway: Keyset, now: object
) -> None:
    keyset, made = gateway.generate(KeyKind.SNAPSHOT, now, reason="next", actor="op")

    assert keyset.directory(KeyKind.SNAPSHOT).key_id == gateway.primary(KeyKind.SNAPSHOT).kid
    with pytest.raises(KeyNotUsable, match="PREACTIVE"):
        keyset.directory(KeyKind.SNAPSHOT, made.kid)


def test_a_keyset_of_an_earlier_release_gets_the_kinds_it_lacks(
    gateway: Keyset, now: object, custody: object
) -> None:
    kept = [r for r in gateway.records if r.kind not in ROLES]
    older = Keyset(
        gateway.owner,
        gateway.party,
        gateway.hosts,
        custody,
        [(r, gateway._live[r.kid]) for r in kept],
    )
    whole, events = completed(older, now, reason="a new kind", actor="")

    assert [e.kind for e in events if e.state is KeyState.ACTIVE] == list(ROLES)
    assert all(whole.primary(kind).state is KeyState.ACTIVE for kind in ROLES)
    assert {record.kid for record in kept} < {record.kid for record in whole.records}
    assert completed(whole, now, reason="a new kind", actor="")[1] == ()
