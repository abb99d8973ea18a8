from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given
from hypothesis import strategies as st

from keys import atomic_file
from keys.custody import (
    Argon2Cost,
    Custody,
    FileCustody,
    create_custody,
    open_custody,
)
from keys.errors import CustodyFault, DamagedFile, WrongPassphrase
from keys.keyset import KeyKind, Keyset

PASSPHRASE = b"correct horse battery"

Reopen = Callable[[], Custody]


@pytest.fixture
def path(tmp_path: Path, cheap: Argon2Cost) -> Path:
    path = tmp_path / "keys" / "kek.json"
    FileCustody.create(path, PASSPHRASE, cheap)
    return path


def forge(path: Path, **changes: object) -> None:
    """Write what someone without the passphrase can write: any members, with a fitting checksum."""
    body = json.loads(path.read_bytes())
    del body["checksum"]
    atomic_file.replace(path, atomic_file.encode({**body, **changes}))


def test_what_is_wrapped_unwraps_after_a_restart(path: Path) -> None:
    wrapped = FileCustody.open(path, PASSPHRASE).wrap(b"seed", b"aad")

    assert FileCustody.open(path, PASSPHRASE).unwrap(wrapped, b"aad") == b"seed"
    assert path.stat().st_mode & 0o777 == 0o600


def test_wrapping_twice_gives_unlike_bytes(custody: FileCustody) -> None:
    assert custody.wrap(b"seed", b"") != custody.wrap(b"seed", b"")


@given(st.data())
def test_no_altered_blob_or_aad_unwraps(custody: FileCustody, data: st.DataObject) -> None:
    blob = custody.wrap(b"seed", b"aad")
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    altered = bytearray(blob)
    altered[bit // 8] ^= 1 << bit % 8

    for wrapped, aad in ((bytes(altered), b"aad"), (blob, b"abd"), (blob[: bit // 8], b"aad")):
        with pytest.raises(CustodyFault):
            custody.unwrap(wrapped, aad)


def test_another_custody_does_not_unwrap(custody: FileCustody, path: Path) -> None:
    with pytest.raises(CustodyFault):
        FileCustody.open(path, PASSPHRASE).unwrap(custody.wrap(b"seed", b""), b"")


@pytest.mark.parametrize("passphrase", [b"", b"guessed", PASSPHRASE + b"\n", PASSPHRASE.upper()])
def test_a_wrong_passphrase_is_told_from_a_damaged_file(path: Path, passphrase: bytes) -> None:
    with pytest.raises(WrongPassphrase, match="try again") as refused:
        FileCustody.open(path, passphrase)
    assert not passphrase or passphrase.decode() not in str(refused.value)


def test_every_damaged_byte_is_told_from_a_wrong_passphrase(path: Path) -> None:
    """Refused before any key is derived, whatever the passphrase."""
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        with pytest.raises(DamagedFile, match="restore it from backup"):
            FileCustody.open(path, PASSPHRASE)


def test_every_truncation_is_told_from_a_wrong_passphrase(path: Path) -> None:
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(DamagedFile):
            FileCustody.open(path, PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_kib": 2**31},
        {"memory_kib": 1024 * 1024 + 1},
        {"memory_kib": 7},
        {"memory_kib": -1},
        {"iterations": 0},
        {"iterations": 17},
        {"lanes": 0},
        {"lanes": 17},
    ],
)
def test_a_hostile_file_cannot_make_us_allocate_or_wait(
    path: Path, changes: dict[str, int]
) -> None:
    forge(path, **changes)

    with pytest.raises(DamagedFile, match="costs"):
        FileCustody.open(path, PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "passerelle kek 2"},
        {"kdf": "pbkdf2"},
        {"salt": "AAAA"},
        {"salt": "not base64"},
        {"iterations": "3"},
        {"extra": 1},
    ],
)
def test_a_file_of_another_version_is_refused(path: Path, changes: dict[str, object]) -> None:
    forge(path, **changes)

    with pytest.raises(DamagedFile):
        FileCustody.open(path, PASSPHRASE)


def test_cheaper_costs_forged_into_the_file_do_not_open(path: Path) -> None:
    """The canary is bound to the costs, so a file with others is not the one that was made."""
    forge(path, iterations=2)

    with pytest.raises(WrongPassphrase):
        FileCustody.open(path, PASSPHRASE)


def test_an_existing_file_is_never_overwritten(path: Path, cheap: Argon2Cost) -> None:
    """Every key wrapped under it would be lost."""
    before = path.read_bytes()

    with pytest.raises(CustodyFault, match="exists"):
        FileCustody.create(path, PASSPHRASE, cheap)
    assert path.read_bytes() == before


@pytest.mark.parametrize("short", ["", "fourteen chars", "é" * 14, "🗝" * 14])
def test_a_passphrase_of_fewer_than_fifteen_characters_makes_no_file(
    tmp_path: Path, cheap: Argon2Cost, short: str
) -> None:
    """NIST SP 800-63B-4, 3.1.1.2: characters are code points, however many bytes each takes."""
    with pytest.raises(CustodyFault, match="at least 15 characters") as refused:
        FileCustody.create(tmp_path / "kek.json", short.encode(), cheap)
    assert not short or short not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("enough", ["fifteen of them", "é" * 15, " " * 15])
def test_fifteen_characters_of_any_kind_are_enough(
    tmp_path: Path, cheap: Argon2Cost, enough: str
) -> None:
    FileCustody.create(tmp_path / "kek.json", enough.encode(), cheap)

    FileCustody.open(tmp_path / "kek.json", enough.encode())


def test_a_short_passphrase_of_an_earlier_release_still_opens(
    tmp_path: Path, cheap: Argon2Cost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keys.custody.SHORTEST_PASSPHRASE", 1)
    FileCustody.create(tmp_path / "kek.json", b"short", cheap)
    monkeypatch.undo()

    FileCustody.open(tmp_path / "kek.json", b"short")


def test_a_guess_costs_what_rfc_9106_recommends(
    tmp_path: Path, production_cost: Argon2Cost
) -> None:
    """Section 4, second recommended setting: 64 MiB, 3 passes, 4 lanes, 16-byte salt."""
    path = tmp_path / "kek.json"
    FileCustody.create(path, PASSPHRASE)

    body = json.loads(path.read_bytes())
    assert (body["memory_kib"], body["iterations"], body["lanes"]) == (65536, 3, 4)
    assert FileCustody.open(path, PASSPHRASE).cost == production_cost


def test_the_key_is_argon2id_of_the_passphrase(path: Path) -> None:
    """Recomputed here from the file alone, so that a backup can be opened without this code."""
    body = json.loads(path.read_bytes())
    fields = atomic_file.Fields(path, body, frozenset(body))
    kek = Argon2id(
        salt=fields.octets("salt"), length=32, iterations=1, lanes=1, memory_cost=64
    ).derive(PASSPHRASE)
    blob = FileCustody.open(path, PASSPHRASE).wrap(b"seed", b"aad")

    assert AESGCM(kek).decrypt(blob[:12], blob[12:], b"aad") == b"seed"


def test_a_uri_names_the_custody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)

    for uri in (f"file:{path}", "file:kek.json"):
        custody = open_custody(uri, lambda: PASSPHRASE)
        assert custody.describe().startswith(uri)
        assert "Argon2id, 64 KiB, 1 passes, 1 lanes" in custody.describe()


@pytest.mark.parametrize("uri", ["", "file:", "vault:kek", "FILE:kek.json", "kek.json"])
def test_an_unknown_scheme_is_refused_with_the_known_ones(uri: str) -> None:
    def asked() -> bytes:
        pytest.fail("the passphrase was asked for in vain")

    with pytest.raises(CustodyFault, match="file:PATH"):
        open_custody(uri, asked)


def test_making_a_custody_by_its_uri_gives_the_one_that_opens(tmp_path: Path) -> None:
    uri = f"file:{tmp_path / 'kek.json'}"

    made = create_custody(uri, lambda: PASSPHRASE)

    assert open_custody(uri, lambda: PASSPHRASE).unwrap(made.wrap(b"seed", b"a"), b"a") == b"seed"


@pytest.fixture(params=["file", "pkcs11"])
def any_custody(request: pytest.FixtureRequest, tmp_path: Path, cheap: Argon2Cost) -> Reopen:
    """Return what opens one custody again, as a restart would; both kinds keep the same contract."""
    if request.param == "file":
        FileCustody.create(tmp_path / "kek.json", PASSPHRASE, cheap)
        return lambda: FileCustody.open(tmp_path / "kek.json", PASSPHRASE)
    tokens = request.getfixturevalue("tokens")
    uri = tokens.uri("good", "contract")
    create_custody(uri, lambda: tokens.pin)
    return lambda: open_custody(uri, lambda: tokens.pin)


def test_either_custody_unwraps_what_it_wrapped_before(any_custody: Reopen) -> None:
    for secret in (b"s", bytes(32), bytes(range(256))):
        assert any_custody().unwrap(any_custody().wrap(secret, b"aad"), b"aad") == secret
    assert any_custody().unwrap(any_custody().wrap(b"seed", b""), b"") == b"seed"


def test_either_custody_wraps_twice_unlike(any_custody: Reopen) -> None:
    custody = any_custody()

    assert custody.wrap(b"seed", b"aad") != custody.wrap(b"seed", b"aad")


def test_either_custody_refuses_every_flipped_bit_truncation_and_other_aad(
    any_custody: Reopen,
) -> None:
    custody = any_custody()
    blob = custody.wrap(b"seed", b"aad")

    altered = [
        blob[:at] + bytes([blob[at] ^ 1 << at % 8]) + blob[at + 1 :] for at in range(len(blob))
    ]
    for wrapped in (*altered, *(blob[:size] for size in range(len(blob))), blob + b"x"):
        with pytest.raises(CustodyFault, match="not wrapped by this custody"):
            custody.unwrap(wrapped, b"aad")
    with pytest.raises(CustodyFault, match="not wrapped by this custody"):
        custody.unwrap(blob, b"abd")


def test_either_custody_hides_itself_and_tells_where_it_is(any_custody: Reopen) -> None:
    custody = any_custody()

    assert "correct horse" not in custody.describe()
    assert repr(custody) == f"<{type(custody).__name__}>"
    with pytest.raises(TypeError):
        pickle.dumps(custody)


def test_either_custody_keeps_a_keyset(any_custody: Reopen, tmp_path: Path, now: datetime) -> None:
    Keyset.create(now, "CAN", any_custody()).save(tmp_path / "keyset.json")

    loaded = Keyset.load(tmp_path / "keyset.json", any_custody())

    assert loaded.signing().key_id == loaded.primary(KeyKind.SIGNING).kid
