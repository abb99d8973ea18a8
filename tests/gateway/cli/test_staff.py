"""`passerelle staff`: everybody makes their own keys; the first come in by passphrase, later ones by an operator."""

from __future__ import annotations

import json
import secrets
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.admin.staff import grant_first
from gateway.client import officer_credential
from keys import atomic_file, signatures
from keys.certificates import SEED_BYTES
from keys.custody import Argon2Cost, FileCustody
from keys.errors import WrongPassphrase
from keys.officer_keys import OfficerKeys, load
from keys.signatures import VerifyingKey


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "own.pass"
    file.touch(mode=0o600)
    file.write_text("known to P-7 alone\n")
    return file


def test_a_person_makes_keys_that_are_sealed_at_full_cost_and_gives_away_a_request_alone(
    run: Any, secret_file: Path, tmp_path: Path, production_cost: Argon2Cost
) -> None:
    folder = tmp_path / "p7"
    said = run(
        *(
            "staff",
            "request",
            folder,
            "--official",
            "P-7",
            "--passphrase-file",
            secret_file,
            "--json",
        )
    )

    assert said.code == 0, said.err
    assert said.document["request"] == str(folder / "request.json")
    assert {path.name for path in folder.iterdir()} == {"kek.json", "officer.json", "request.json"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert FileCustody.open(folder / "kek.json", b"known to P-7 alone").cost == production_cost
    keys = load(folder, lambda: b"known to P-7 alone")
    held = json.loads((folder / "officer.json").read_text())
    assert (held["person"], keys.person) == ("P-7", "P-7")
    with pytest.raises(WrongPassphrase):
        load(folder, lambda: b"guessed")


def test_keys_are_never_made_in_a_partys_folder_nor_over_others(
    run: Any, homes: Any, own_keys: Any, secret_file: Path, tmp_path: Path
) -> None:
    own_keys(tmp_path / "p1", "P-1")
    before = (tmp_path / "p1" / "officer.json").read_bytes()
    (tmp_path / "link").symlink_to(homes["CAN"])
    words = ("staff", "request", "--official", "P-7", "--passphrase-file", secret_file)

    inside = run(*words, homes["CAN"] / "staff" / "me")
    linked = run(*words, tmp_path / "link" / "me")
    over = run(*words, tmp_path / "p1")

    assert (inside.code, linked.code, over.code) == (2, 2, 2)
    assert "the home directory of a party" in inside.err
    assert "the home directory of a party" in linked.err
    assert "another folder" in over.err
    assert (tmp_path / "p1" / "officer.json").read_bytes() == before
    assert not list(homes["CAN"].rglob("kek.json.*"))
    assert not (homes["CAN"] / "staff").exists()


def test_an_empty_passphrase_seals_nothing(run: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    words = ("staff", "request", tmp_path / "p7", "--official", "P-7", "--passphrase-file", empty)

    assert run(*words).code == 2
    assert not (tmp_path / "p7").exists()


def test_the_first_operator_comes_in_by_the_passphrase_and_the_next_person_by_them(  # noqa: PLR0917 - fixtures
    homes: Any, run: Any, passphrase: Any, officer: Any, own_keys: Any, tmp_path: Path
) -> None:
    home = homes["CAN"]
    officer("P-1", "operator")
    own_keys(tmp_path / "p7", "P-7")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "p7-request.json").write_bytes((tmp_path / "p7" / "request.json").read_bytes())

    added = run(
        *("staff", "add", home, "--request", inbox / "p7-request.json", "--role", "caseworker"),
        *(*passphrase, "--json"),
    )
    assert added.code == 0, added.err
    assert added.document["certificate"] == str(inbox / "p7-certificate.json")
    assert run("staff", "list", home, "--as", tmp_path / "p7", *passphrase).code == 2
    put = run("staff", "install", tmp_path / "p7", inbox / "p7-certificate.json", "--json")
    assert put.document["roles"] == ["caseworker"]

    listed = run("staff", "list", home, *passphrase, "--json")
    assert [row["person"] for row in listed.document["staff"]] == ["P-1", "P-7"]


def test_a_certificate_for_other_keys_is_not_installed(
    homes: Any, run: Any, officer: Any, own_keys: Any, tmp_path: Path
) -> None:
    first = officer("P-1", "operator")
    own_keys(tmp_path / "p7", "P-7")
    (tmp_path / "noise").write_bytes(b"{}")

    for file in (first / "certificate.json", tmp_path / "noise", first / "request.json"):
        assert run("staff", "install", tmp_path / "p7", file).code == 2
    assert not (tmp_path / "p7" / "certificate.json").exists()


def test_custody_is_said_and_never_slipped_into(
    homes: Any, run: Any, passphrase: Any, own_keys: Any, tmp_path: Path
) -> None:
    """Who forgets --as at a stopped gateway does not act as its custody, which would be an alarm."""
    own_keys(tmp_path / "p1", "P-1")
    add = ("staff", "add", homes["CAN"], "--request", tmp_path / "p1" / "request.json")
    end = ("staff", "end", homes["CAN"], "--official", "P-1", *passphrase)

    for words in ((*add, "--role", "operator", *passphrase), end):
        said = run(*words)
        assert said.code == 2
        assert "--as FOLDER" in said.err
        assert "--custody" in said.err
    assert run(*add, "--role", "operator", *passphrase, "--custody").code == 0
    assert run(*end, "--custody").code == 0


@pytest.mark.parametrize("name", ["person", "public", "approving", "proof"])
def test_an_altered_request_is_refused(  # noqa: PLR0917 - fixtures
    homes: Any, run: Any, passphrase: Any, officer: Any, own_keys: Any, tmp_path: Path, name: str
) -> None:
    officer("P-1", "operator")
    said = json.loads(own_keys(tmp_path / "p7", "P-7").to_bytes())
    said[name] = own_keys(tmp_path / "p8", "P-8").values()[name]
    file = tmp_path / "altered.json"
    file.write_bytes(atomic_file.canonical(said))

    done = run("staff", "add", homes["CAN"], "--request", file, "--role", "auditor", *passphrase)

    assert done.code == 2
    assert "was altered" in done.err
    assert not (tmp_path / "altered.certificate.json").exists()


def init(run: Any, secrets_folder: Path, home: Path, *requests: Path) -> Any:
    return run(
        *("init", home, "--party", "CAN", "--json"),
        *("--passphrase-file", secrets_folder / "gateway"),
        *("--auditor-passphrase-file", secrets_folder / "auditor"),
        *("--root-keys-passphrase-file", secrets_folder / "keepers"),
        *(word for each in requests for word in ("--operator", each)),
    )


def test_init_takes_the_requests_of_two_and_holds_no_private_half_of_either(
    run: Any, own_keys: Any, secrets_folder: Path, passphrase: Any, tmp_path: Path
) -> None:
    home, folders = tmp_path / "can", (tmp_path / "p1", tmp_path / "p2")
    for folder, person in zip(folders, ("P-1", "P-2"), strict=True):
        own_keys(folder, person)

    said = init(run, secrets_folder, home, *(folder / "request.json" for folder in folders))

    assert said.code == 0, said.err
    assert said.document["operators"] == {
        person: str(folder / "certificate.json")
        for person, folder in zip(("P-1", "P-2"), folders, strict=True)
    }
    assert not [p for p in home.rglob("*") if p.name == "officer.json" or p.parent.name == "staff"]
    for folder in folders:
        assert run("staff", "list", home, "--as", folder, *passphrase).code == 0
    types = run("ledger", "list", home, "--as", folders[0], *passphrase, "--json").out
    assert "CUSTODY_INSTEAD_OF_OPERATOR" not in types


def test_init_with_a_request_that_is_none_makes_nothing(
    run: Any, own_keys: Any, secrets_folder: Path, tmp_path: Path
) -> None:
    own_keys(tmp_path / "p1", "P-1")
    own_keys(tmp_path / "again", "P-1")
    good, home = tmp_path / "p1" / "request.json", tmp_path / "can"

    for wrong, told in (
        (Path("P-2"), "passerelle staff request"),
        (secrets_folder / "gateway", "was altered"),
        (tmp_path / "again" / "request.json", "two operators are two persons"),
    ):
        said = init(run, secrets_folder, home, good, wrong)
        assert said.code == 2
        assert told in said.err
        assert not home.exists()


def test_keys_in_clear_open_nothing_until_they_are_sealed(
    homes: Any, run: Any, passphrase: Any, secret_file: Path, tmp_path: Path
) -> None:
    """As a version before requests left them: both seeds and the certificate in one file."""
    home, old, new = homes["CAN"], tmp_path / "old", tmp_path / "new"
    seed, approving = secrets.token_bytes(SEED_BYTES), secrets.token_bytes(signatures.SEED_BYTES)
    keys = OfficerKeys("P-1", seed, approving)
    gateway = passphrase[1].read_bytes().strip
    out = tmp_path / "certificate"
    grant_first(home, keys.request(), out, passphrase=gateway)
    shown = json.loads(out.read_text())
    body = {
        "format": 2,
        "seed": atomic_file.text_of(seed),
        "approving": atomic_file.text_of(approving),
        "badge": shown["badge"],
        "authority": shown["authority"],
    }
    atomic_file.replace(old / "officer.json", atomic_file.encode(body))

    clear = run("staff", "list", home, *passphrase, "--as", old)
    assert clear.code == 2
    assert "passerelle staff seal" in clear.err
    sealed = run("staff", "seal", old, new, "--passphrase-file", secret_file)
    assert sealed.code == 0, sealed.err
    opened = officer_credential.read(new, lambda: b"known to P-7 alone")
    assert opened.chain == shown["badge"].encode()
    VerifyingKey(keys.approving.public).verify(
        opened.proposes(b"text"), b"text", signatures.PROPOSAL
    )
    written = b"".join(path.read_bytes() for path in new.iterdir())
    assert body["seed"].encode() not in written
    again = run("staff", "seal", new, tmp_path / "third", "--passphrase-file", secret_file)
    assert again.code == 2


def test_another_role_is_told_no(homes: Any, run: Any, passphrase: Any, officer: Any) -> None:
    own = officer("P-7", "examiner")

    said = run("staff", "list", homes["CAN"], "--as", own, *passphrase, "--json")

    assert said.code == 1
    assert "auditor or operator" in said.document["error"]["message"]


def test_a_certificate_is_not_written_over_another(
    homes: Any, run: Any, passphrase: Any, officer: Any
) -> None:
    own = officer("P-1", "operator")
    before = (own / "certificate.json").read_bytes()
    words = ("--request", own / "request.json", "--role", "examiner", "--custody", *passphrase)

    said = run("staff", "add", homes["CAN"], *words)

    assert said.code == 2
    assert "name a new file" in said.err
    assert (own / "certificate.json").read_bytes() == before


def test_no_credential_is_said_with_its_remedy(homes: Any, run: Any, tmp_path: Path) -> None:
    said = run("staff", "list", homes["CAN"], "--as", tmp_path / "nobody")

    assert said.code == 2
    assert "passerelle staff request" in said.err


def test_nobody_is_let_in_whose_certificate_cannot_be_written(
    homes: Any, run: Any, passphrase: Any, own_keys: Any, tmp_path: Path
) -> None:
    own_keys(tmp_path / "p1", "P-1")
    request, out = tmp_path / "p1" / "request.json", tmp_path / "nowhere" / "certificate.json"
    add = ("staff", "add", homes["CAN"], "--request", request, "--role", "operator", "--custody")

    said = run(*add, *passphrase, "-o", out)
    assert said.code == 2
    assert "name another file" in said.err

    assert run(*add, *passphrase).code == 0  # the key was not granted before
    said = run(*add, *passphrase, "-o", tmp_path / "again.json")
    assert said.code == 2
    assert "passerelle staff collect" in said.err


def test_keys_in_a_partys_folder_open_nothing_and_are_found_wherever_they_lie(
    homes: Any, run: Any, passphrase: Any, officer: Any
) -> None:
    own, home = officer("P-1", "operator"), homes["CAN"]
    inside = home / "agreements" / "mine"
    shutil.copytree(own, inside)

    said = run("staff", "list", home, "--as", inside, *passphrase)
    assert said.code == 2
    assert "the home directory of a party" in said.err
    checked = run("check", home, *passphrase, "--json")
    assert checked.code != 0
    assert f"an officer's keys lie in {inside}" in checked.out


def test_a_wrong_file_is_told_from_a_damaged_one_and_where_to_get_the_right_one(
    homes: Any, run: Any, passphrase: Any, own_keys: Any, tmp_path: Path
) -> None:
    own_keys(tmp_path / "p7", "P-7")
    for file in (tmp_path / "p7" / "request.json", tmp_path / "none", tmp_path):
        said = run("staff", "install", tmp_path / "p7", file)
        assert said.code == 2
        assert "is no certificate" in said.err
        assert "passerelle staff collect" in said.err

    add = ("staff", "add", homes["CAN"], "--role", "operator", "--custody", *passphrase)
    said = run(*add, "--request", tmp_path / "none")
    assert said.code == 2
    assert "is no request file" in said.err
    assert "passerelle staff request" in said.err
