"""A home directory is whole or not there."""

from __future__ import annotations

import os
import pty
import secrets
import select
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.home import init
from gateway.errors import UserError
from gateway.trust.bundle import PartyBundle, fingerprint
from keys import signatures
from keys.custody import FileCustody
from keys.errors import WrongPassphrase
from keys.keyset import KeyKind, Keyset
from keys.officer_keys import OfficerKeys
from tests.patience import PATIENCE


@pytest.fixture
def files(secrets_folder: Path) -> tuple[Any, ...]:
    return (
        *("--passphrase-file", secrets_folder / "gateway"),
        *("--auditor-passphrase-file", secrets_folder / "auditor"),
        *("--root-keys-passphrase-file", secrets_folder / "keepers"),
    )


def test_a_party_is_founded(run: Any, tmp_path: Path, files: Any) -> None:
    said = run("init", tmp_path / "can", "--party", "CAN", *files, "--json")

    home = tmp_path / "can"
    assert said.code == 0
    assert {path.name for path in home.iterdir()} == {
        *("passerelle.toml", "party.json", "keys", "auditor", "keepers", "directory"),
        *("parties", "agreements", "store", "witness"),
    }
    bundle = (home / "party.json").read_bytes()
    assert PartyBundle.parse(bundle).endpoints == ("127.0.0.1:7443",)
    assert said.document["fingerprint"] == fingerprint(bundle)
    names = ["au.toml", "nz.toml", "uk.toml", "us-asylum.toml", "us-visa.toml"]
    assert said.document["agreements"] == names
    assert home.stat().st_mode & 0o777 == 0o700
    assert not [path for path in tmp_path.iterdir() if path != home]


def test_secrets_are_for_one_user_alone(founded: Any) -> None:
    for name in ("keys", "auditor"):
        folder = founded["CAN"] / name
        assert folder.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def test_agreements_of_others_are_not_ours(founded: Any) -> None:
    """No packaged agreement has Australia as its home: the folder is there and empty."""
    assert not list((founded["AUS"] / "agreements").iterdir())


def test_the_auditor_alone_opens_what_the_gateway_seals(founded: Any) -> None:
    home = founded["CAN"]
    ours = FileCustody.open(home / "keys" / "kek.json", b"correct horse battery")
    theirs = FileCustody.open(home / "auditor" / "kek.json", b"another one for tests")
    gateway = Keyset.load(home / "keys" / "keyset.json", ours)
    auditor = Keyset.load(home / "auditor" / "keyset.json", theirs)

    assert gateway.audit_public.key_id == auditor.audit_opening().key_id
    assert not gateway.primary(KeyKind.AUDIT).wrapped
    with pytest.raises(WrongPassphrase):
        FileCustody.open(home / "auditor" / "kek.json", b"correct horse battery")


def test_hosts_reach_the_certificate_and_the_first_one_the_bundle(
    run: Any, tmp_path: Path, files: Any
) -> None:
    hosts = ("--host", "gateway.example.ca", "--host", "192.0.2.7")
    said = run(
        *("init", tmp_path / "can", "--party", "CAN", "--listen", "0.0.0.0:8443"),
        *hosts,
        *files,
        "--json",
    )

    assert said.document["endpoint"] == "gateway.example.ca:8443"
    settings = (tmp_path / "can" / "passerelle.toml").read_text()
    assert '"192.0.2.7"' in settings
    custody = FileCustody.open(tmp_path / "can" / "keys" / "kek.json", b"correct horse battery")
    keyset = Keyset.load(tmp_path / "can" / "keys" / "keyset.json", custody)
    assert keyset.hosts[:2] == ("gateway.example.ca", "192.0.2.7")


def test_a_folder_in_use_is_left_alone(run: Any, tmp_path: Path, files: Any) -> None:
    (tmp_path / "can").mkdir()
    (tmp_path / "can" / "thesis.txt").write_text("mine")

    said = run("init", tmp_path / "can", "--party", "CAN", *files)

    assert said.code == 2
    assert "not empty" in said.err
    assert [path.name for path in (tmp_path / "can").iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_taken(run: Any, tmp_path: Path, files: Any) -> None:
    (tmp_path / "can").mkdir()

    assert run("init", tmp_path / "can", "--party", "CAN", *files).code == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--party", "canada"), "--party"),
        (("--party", "CAN", "--listen", "7443"), "--listen"),
        (("--party", "CAN", "--listen", "127.0.0.1:70000"), "--listen"),
        (("--party", "CAN", "--listen", "0.0.0.0:7443"), "--host"),
        (("--party", "CAN", "--listen", "[::]:7443"), "--host"),
        (("--party", "CAN", "--listen", "::1:7443"), "--listen"),
        (("--party", "CAN", "--listen", "127.0.0.1:65535"), "--listen"),
        (("--party", "CAN", "--listen", "127.0.0.1:٣"), "--listen"),
        (("--party", "CAN", "--listen", "two words:7443"), "--listen"),
        (("--party", "CAN", "--host", "two words"), "--host"),
        (("--party", "CAN", "--host", "gateway.example.ca:7443"), "--host"),
        (("--party", "CAN", "--host", "gäteway.example"), "--host"),
        (("--party", "CAN", "--host", "192.0.2.256"), "--host"),
        (("--party", "CAN", "--host", ""), "--host"),
        (("--party", "CAN", "--legal-name", "x" * 201), "--legal-name"),
        (("--party", "CAN", "--legal-name", "two\nlines"), "--legal-name"),
        ((), "--party"),
    ],
)
def test_wrong_usage_makes_nothing(
    run: Any, tmp_path: Path, files: Any, words: Any, complaint: str
) -> None:
    said = run("init", tmp_path / "can", *words, *files)

    assert said.code == 2
    assert complaint in said.err
    assert not list(tmp_path.iterdir())


def test_one_passphrase_for_both_is_refused(run: Any, tmp_path: Path, secrets_folder: Path) -> None:
    """What the gateway cannot open is the point of the auditor's key."""
    same = secrets_folder / "gateway"

    said = run(
        *("init", tmp_path / "can", "--party", "CAN"),
        *("--passphrase-file", same, "--auditor-passphrase-file", same),
        *("--root-keys-passphrase-file", secrets_folder / "keepers"),
    )

    assert said.code == 2
    assert "differ" in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["no host!", "-dash"])
def test_a_fault_half_way_leaves_nothing(run: Any, tmp_path: Path, files: Any, host: str) -> None:
    said = run("init", tmp_path / "can", "--party", "CAN", "--host", host, *files)

    assert said.code == 2
    assert not list(tmp_path.iterdir())


def test_a_crash_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails, after the keys are made: the sibling folder goes and the wanted one never comes."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(init, "_agreements", full)
    charter = init.NewHome("CAN", "Canada", "127.0.0.1:7443", ("127.0.0.1",))

    with pytest.raises(OSError, match="No space"):
        init.found(
            tmp_path / "can",
            charter,
            passphrase=lambda: b"the first of two",
            auditor=lambda: b"the second of two",
            now=init.datetime.now(init.UTC),
        )

    assert not list(tmp_path.iterdir())


def test_an_operator_who_cannot_be_let_in_leaves_neither_home_nor_certificate(
    run: Any, tmp_path: Path, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or not at all, people and their certificates too; the second one fails."""
    requests = []
    for person in ("P-1", "P-2"):
        keys = OfficerKeys(
            person, secrets.token_bytes(40), secrets.token_bytes(signatures.SEED_BYTES)
        )
        requests.append(tmp_path / f"request-{person}.json")
        requests[-1].write_bytes(keys.request().to_bytes())
    before = sorted(tmp_path.iterdir())
    grant, seen = init.grant_first, list[Any]()

    def fails(*words: Any, **more: Any) -> Any:
        seen.append(words)
        if len(seen) > 1:
            raise UserError("this one is refused")
        return grant(*words, **more)

    monkeypatch.setattr(init, "grant_first", fails)
    words = ("init", tmp_path / "can", "--party", "CAN", *files)
    said = run(*words, *(word for one in requests for word in ("--operator", one)))

    assert (said.code, "this one is refused" in said.err) == (2, True), said.err
    assert len(seen) == 2
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("twice", ["the same request", "another request of the same person"])
def test_one_person_is_not_two_operators(run: Any, tmp_path: Path, files: Any, twice: str) -> None:
    requests = []
    for name in ("one", "two"):
        keys = OfficerKeys(
            "P-1", secrets.token_bytes(40), secrets.token_bytes(signatures.SEED_BYTES)
        )
        requests.append(tmp_path / f"request-{name}.json")
        requests[-1].write_bytes(keys.request().to_bytes())
    if twice == "the same request":
        requests[1].write_bytes(requests[0].read_bytes())

    words = ("init", tmp_path / "can", "--party", "CAN", *files)
    said = run(*words, *(word for one in requests for word in ("--operator", one)))

    assert (said.code, "two operators are two persons" in said.err) == (2, True), said.err
    assert not (tmp_path / "can").exists()


@pytest.mark.parametrize("missing", ["", "auditor-", "root-keys-"])
def test_the_option_that_is_missing_is_the_one_that_is_named(
    run: Any, tmp_path: Path, files: Any, missing: str
) -> None:
    option = f"--{missing}passphrase-file"
    at = files.index(option)

    said = run("init", tmp_path / "can", "--party", "CAN", *files[:at], *files[at + 2 :])

    assert (said.code, f"give {option} FILE" in said.err) == (2, True), said.err


def test_without_a_terminal_a_passphrase_needs_a_file(run: Any, tmp_path: Path) -> None:
    said = run("init", tmp_path / "can", "--party", "CAN")

    assert said.code == 2
    assert "--passphrase-file" in said.err
    assert not list(tmp_path.iterdir())


def test_a_person_is_asked_twice_and_unseen(spawn: Any, tmp_path: Path) -> None:
    """On a terminal the passphrase is typed, twice, and never echoed."""
    ours, theirs = pty.openpty()
    child = spawn(
        *("init", tmp_path / "can", "--party", "CAN"),
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for answer in (b"first", b"first", b"second", b"second", b"third", b"third"):
        before = shown.count(b": ")  # the space comes once the terminal echoes no more
        while shown.count(b": ") == before:
            assert select.select([ours], [], [], PATIENCE)[0], shown
            shown += os.read(ours, 1024)
        os.write(ours, answer + b" secret of tests\n")
    try:
        while chunk := os.read(ours, 1024):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    os.close(ours)

    assert child.wait(PATIENCE) == 0
    assert b"secret" not in shown
    FileCustody.open(tmp_path / "can" / "keys" / "kek.json", b"first secret of tests")


def test_a_folder_that_cannot_be_made_is_named_as_it_was_typed(
    run: Any, tmp_path: Path, files: Any
) -> None:
    (tmp_path / "file").write_text("no folder")

    said = run("init", tmp_path / "file" / "can", "--party", "CAN", *files, "--json")

    assert said.code == 2
    assert said.document["error"]["message"].startswith(f"{tmp_path / 'file' / 'can'} cannot be")
