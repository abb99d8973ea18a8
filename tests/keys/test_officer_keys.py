"""An officer's two keys: sealed where they are made, and a request that nobody signs who does not hold both."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys import atomic_file, officer_keys, signatures
from keys.certificates import SEED_BYTES, TlsKey
from keys.custody import Argon2Cost, FileCustody
from keys.errors import CustodyFault, DamagedFile, SignatureRefused, WrongPassphrase
from keys.officer_keys import OfficerKeys, Request
from keys.signatures import SigningKey

CHEAP = Argon2Cost(8, 1, 1)
OWN = b"known to one person"


def new(person: str = "P-7") -> OfficerKeys:
    return OfficerKeys(person, secrets.token_bytes(SEED_BYTES), secrets.token_bytes(64))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    custody = FileCustody.create(tmp_path / "p7" / officer_keys.KEK, OWN, CHEAP)
    officer_keys.make(tmp_path / "p7", "P-7", custody)
    return tmp_path / "p7"


def test_what_was_made_opens_with_its_passphrase_and_with_no_other(folder: Path) -> None:
    keys = officer_keys.load(folder, lambda: OWN)
    request = Request.parse((folder / officer_keys.REQUEST).read_bytes())

    assert (request.person, request.public) == ("P-7", keys.tls.public)
    assert request.approving == keys.approving.public
    assert officer_keys.named(folder) == ("P-7", keys.tls.public)
    with pytest.raises(WrongPassphrase):
        officer_keys.load(folder, lambda: b"guessed")
    with pytest.raises(TypeError):
        keys.__reduce_ex__(4)


def test_a_token_seals_and_opens_the_keys(tmp_path: Path, tokens: Any) -> None:
    from keys.custody import create_custody

    uri = tokens.uri("good", "officer")
    officer_keys.make(tmp_path, "P-7", create_custody(uri, lambda: tokens.pin), token=uri)

    assert officer_keys.load(tmp_path, lambda: tokens.pin).person == "P-7"
    assert not (tmp_path / officer_keys.KEK).exists()
    with pytest.raises(CustodyFault, match="wrong PIN"):
        officer_keys.load(tmp_path, lambda: b"no such pin")


@pytest.mark.parametrize("name", ["person", "public", "approving", "sealed"])
def test_a_file_put_together_from_two_opens_nothing(
    folder: Path, tmp_path: Path, name: str
) -> None:
    custody = FileCustody.create(tmp_path / "p8" / officer_keys.KEK, OWN, CHEAP)
    officer_keys.make(tmp_path / "p8", "P-8", custody)
    one, two = (
        atomic_file.decode(each, (each / officer_keys.FILE).read_bytes())
        for each in (folder, tmp_path / "p8")
    )
    atomic_file.replace(folder / officer_keys.FILE, atomic_file.encode({**one, name: two[name]}))

    with pytest.raises(DamagedFile):
        officer_keys.load(folder, lambda: OWN)


def test_a_file_names_no_custody_but_its_own_or_a_token(folder: Path) -> None:
    held = atomic_file.decode(folder, (folder / officer_keys.FILE).read_bytes())
    atomic_file.replace(
        folder / officer_keys.FILE, atomic_file.encode({**held, "token": "file:/elsewhere"})
    )

    with pytest.raises(DamagedFile):
        officer_keys.load(folder, lambda: OWN)


def test_only_who_holds_both_keys_makes_a_request_that_counts() -> None:
    """Another's key beside one's own, either way round; and a proof of the same keys for another name."""
    mine, other = new(), new("P-8")
    good = mine.request()
    good.demand_proof()

    public, approving = other.tls.public, other.approving.public
    for wrong in (
        replace(good, public=public),
        replace(good, approving=approving),
        replace(good, person="P-8"),
        replace(good, proof=other.request().proof),
        replace(good, proof=good.proof[:-1]),
        replace(good, proof=good.proof[:-64] + bytes(64)),
        replace(good, proof=bytes(signatures.SIGNATURE_BYTES) + good.proof[-64:]),
        replace(good, public=bytes(91)),
        replace(good, approving=b""),
    ):
        with pytest.raises(SignatureRefused):
            wrong.demand_proof()


def test_a_proof_by_one_of_the_two_keys_is_none() -> None:
    mine, unknown = new(), new()
    claimed = replace(mine.request(), approving=unknown.approving.public, proof=b"")
    content = claimed.content()

    ecdsa = officer_keys.signed(mine.tls, content)
    composite = mine.approving.sign(content, signatures.OFFICER_REQUEST)
    with pytest.raises(SignatureRefused):
        replace(claimed, proof=composite + ecdsa).demand_proof()


def test_a_signature_for_something_else_proves_nothing() -> None:
    seed, approving = secrets.token_bytes(SEED_BYTES), secrets.token_bytes(64)
    keys = OfficerKeys("P-7", seed, approving)
    bare = replace(keys.request(), proof=b"")
    ecdsa = officer_keys.signed(TlsKey.from_seed(seed), bare.content())
    for context in (signatures.PROPOSAL, signatures.APPROVAL, signatures.REQUEST):
        composite = SigningKey.from_seed(approving).sign(bare.content(), context)
        with pytest.raises(SignatureRefused):
            replace(bare, proof=composite + ecdsa).demand_proof()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"[" * 30_000,
        b"\xff",
        b'{"format":"passerelle/1/officer-request"}',
    ],
    ids=lambda value: str(value)[:12],
)
def test_what_is_no_request_is_refused_as_one(octets: bytes) -> None:
    with pytest.raises(SignatureRefused):
        Request.parse(octets)


def test_a_request_has_one_spelling_and_a_bound(folder: Path) -> None:
    octets = (folder / officer_keys.REQUEST).read_bytes()

    for wrong in (octets + b"\n", octets.replace(b"P-7", b"P 7"), octets + bytes(1 << 15)):
        with pytest.raises(SignatureRefused):
            Request.parse(wrong)


def test_a_private_file_is_known_under_any_name_and_a_public_one_is_not(
    folder: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "notes.txt"
    renamed.write_bytes((folder / officer_keys.FILE).read_bytes())
    clear = tmp_path / "old"
    clear.write_bytes(atomic_file.encode({"format": 2, "seed": "x", "approving": "y"}))

    assert officer_keys.is_private(folder / officer_keys.FILE)
    assert officer_keys.is_private(renamed)
    assert officer_keys.is_private(clear)
    assert not officer_keys.is_private(folder / officer_keys.REQUEST)
    assert not officer_keys.is_private(folder / officer_keys.KEK)


@pytest.mark.parametrize("before", [b"", b" \n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf "])
@pytest.mark.parametrize(
    "written",
    [
        b'{"format":1,"seed":"x","badge":"y","authority":"z"}',
        b'{"format":2,"seed":"x","approving":"y"}',
        b'{"format":3,"sealed":"x","approving":"y"}',
    ],
)
def test_a_private_file_is_known_in_every_format_and_as_an_editor_saves_it(
    tmp_path: Path, before: bytes, written: bytes
) -> None:
    (tmp_path / "notes").write_bytes(before + written)

    assert officer_keys.is_private(tmp_path / "notes")


def test_a_certificate_is_no_private_file(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(
        b'{"format":"passerelle/1/officer-certificate","badge":"y","authority":"z"}'
    )

    assert not officer_keys.is_private(tmp_path / "c")
