"""Secrets are handles (style.md rule 9): no repr, no equality, no pickle, no copies."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from keys.certificates import TlsKey
from keys.custody import FileCustody
from keys.data_encryption import DataKey
from keys.envelope import OpeningKey, SealingKey, pack
from keys.keyset import Keyset
from keys.signatures import LogKey, SigningKey, VerifyingKey

SEEDS = {
    OpeningKey: bytes(range(32)),
    SigningKey: bytes(range(64)),
    LogKey: bytes(range(64)),
    DataKey: bytes(range(32)),
    TlsKey: bytes(range(40)),
}


@pytest.fixture(
    params=["opening", "signing", "log", "data", "tls", "packed", "custody", "keyset"],
    scope="module",
)
def secret(request: pytest.FixtureRequest, gateway: Keyset, custody: FileCustody) -> object:
    return {
        "opening": OpeningKey.from_seed(SEEDS[OpeningKey]),
        "signing": SigningKey.from_seed(SEEDS[SigningKey]),
        "log": LogKey.from_seed(SEEDS[LogKey]),
        "data": DataKey.from_seed(SEEDS[DataKey]),
        "tls": TlsKey.from_seed(SEEDS[TlsKey]),
        "packed": pack(b"payload"),
        "custody": custody,
        "keyset": gateway,
    }[request.param]


def test_a_secret_shows_its_kind_and_nothing_else(secret: object) -> None:
    assert repr(secret) == str(secret) == f"{secret}" == f"<{type(secret).__name__}>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(secret: object, protocol: int) -> None:
    with pytest.raises(TypeError, match="not picklable"):
        pickle.dumps(secret, protocol)


def test_a_secret_is_not_copied(secret: object) -> None:
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            duplicate(secret)


def test_secrets_are_not_compared_or_used_as_keys(secret: object) -> None:
    with pytest.raises(TypeError, match="not compared"):
        assert secret == secret  # noqa: PLR0124
    with pytest.raises(TypeError, match="not compared"):
        assert secret != 1
    with pytest.raises(TypeError):
        hash(secret)


def test_a_secret_has_no_dictionary_to_print(secret: object) -> None:
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_a_key_id_does_the_comparing() -> None:
    for kind, seed in SEEDS.items():
        assert kind.from_seed(seed).key_id == kind.from_seed(seed).key_id


def test_no_seed_leaves_a_key() -> None:
    """There is no export verb: no public name of a key holds or returns its seed (keys.md 4)."""
    for kind, seed in SEEDS.items():
        key = kind.from_seed(seed)
        for name in dir(key):
            value = getattr(key, name)
            assert not (isinstance(value, bytes) and seed[:32] in value), f"{kind.__name__}.{name}"


def test_records_are_shown_without_what_they_wrap(gateway: Keyset) -> None:
    for record in gateway.records:
        shown = repr(record)
        assert "wrapped" not in shown
        assert record.wrapped.hex() not in shown or not record.wrapped


def test_a_saved_keyset_holds_no_seed_in_clear(
    saved: Path, custody: FileCustody, gateway: Keyset
) -> None:
    text = saved.read_text("ascii")

    for record in gateway.records:
        if record.wrapped:
            seed = custody.unwrap(record.wrapped, record.seed_aad())
            assert seed.hex() not in text
            assert seed not in saved.read_bytes()


def test_public_keys_are_shown_by_the_start_of_their_id() -> None:
    sealing = SealingKey(OpeningKey.from_seed(SEEDS[OpeningKey]).public)
    verifying = VerifyingKey(SigningKey.from_seed(SEEDS[SigningKey]).public)

    assert repr(sealing) == f"SealingKey({sealing.key_id.hex()[:16]})"
    assert repr(verifying) == f"VerifyingKey({verifying.key_id.hex()[:16]})"
