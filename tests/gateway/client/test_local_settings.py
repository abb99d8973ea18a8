"""What the asker reads of its own folder, and how it says what is not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Partner
from gateway.client.local_settings import read_folder
from gateway.errors import UserError
from keys.custody import Argon2Cost, FileCustody
from keys.envelope import SealingKey
from keys.errors import CustodyFault, WrongPassphrase
from keys.keyset import Keyset

SETTINGS = "[gateway]\nparty = 'AUS'\n"


def secret() -> bytes:
    return b"a passphrase for tests"


@pytest.fixture
def home(tmp_path: Path, canada: Any) -> Path:
    custody = FileCustody.create(tmp_path / "keys" / "kek.json", secret(), Argon2Cost(64, 1, 1))
    born = canada.bundle.issue_time
    Keyset.create(born, "AUS", custody).save(tmp_path / "keys" / "keyset.json")
    (tmp_path / "parties").mkdir()
    (tmp_path / "parties" / "CAN.json").write_bytes(canada.bundle.to_bytes())
    (tmp_path / "passerelle.toml").write_text(SETTINGS)
    return tmp_path


def test_a_folder_is_enough_to_ask(home: Path) -> None:
    folder = read_folder(home, "CAN", secret)

    assert (folder.party, folder.peer.party) == ("AUS", "CAN")
    assert folder.witness == home / "witness" / "CAN.checkpoint"
    with Partner.open(home, "CAN", secret) as partner:
        assert (partner.party, partner.peer.party) == ("AUS", "CAN")


def test_a_key_that_the_gateway_here_refuses_is_neither_asked_nor_believed(
    home: Path, canada: Any
) -> None:
    """An operator who stopped a stolen key stopped it for every command, not for the listener alone."""
    stolen = SealingKey(canada.bundle.kem[0].public).key_id

    with pytest.raises(UserError, match="passerelle party show"):
        read_folder(home, "CAN", secret, frozenset({stolen}))

    with Partner.open(home, "CAN", secret, frozenset({bytes(32)})) as partner:
        assert partner.peer == canada.bundle


def test_folders_that_the_settings_name_are_used(home: Path) -> None:
    (home / "parties").rename(home / "elsewhere")
    (home / "passerelle.toml").write_text(SETTINGS + "[directory]\nfolder = 'elsewhere'\n")

    assert read_folder(home, "CAN", secret).peer.party == "CAN"


def test_the_environment_goes_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERELLE_KEYS__CUSTODY", "file:nowhere/kek.json")

    with pytest.raises(CustodyFault):
        read_folder(home, "CAN", secret)


def test_the_proxy_of_the_settings_is_used_and_one_of_another_form_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_folder(home, "CAN", secret).proxy is None
    (home / "passerelle.toml").write_text(f"{SETTINGS}[exchange]\nproxy = 'proxy.example:3128'\n")
    assert read_folder(home, "CAN", secret).proxy == "proxy.example:3128"
    monkeypatch.setenv("PASSERELLE_EXCHANGE__PROXY", "http://proxy.example:3128")
    with pytest.raises(UserError, match=r"proxy\.example:3128"):
        read_folder(home, "CAN", secret)


def test_a_settings_file_that_is_no_file_or_too_long_is_refused_and_not_waited_for(
    home: Path,
) -> None:
    (home / "passerelle.toml").write_bytes(b"#" * 65_537)
    with pytest.raises(UserError, match="larger than 65536 bytes"):
        read_folder(home, "CAN", secret)
    (home / "passerelle.toml").unlink()
    os.mkfifo(home / "passerelle.toml")  # to read one without a writer would last for ever
    with pytest.raises(UserError, match="no regular file"):
        read_folder(home, "CAN", secret)


def test_a_wrong_passphrase_is_said(home: Path) -> None:
    with pytest.raises(WrongPassphrase):
        read_folder(home, "CAN", lambda: b"guess")


@pytest.mark.parametrize(
    ("spoil", "peer", "complaint"),
    [
        (lambda home: (home / "passerelle.toml").unlink(), "CAN", "passerelle init"),
        (lambda home: (home / "passerelle.toml").write_text("[gateway"), "CAN", "not TOML"),
        (lambda home: (home / "passerelle.toml").write_bytes(b"\xff"), "CAN", "not TOML"),
        (lambda home: (home / "passerelle.toml").write_text(""), "CAN", "party is missing"),
        (lambda home: (home / "passerelle.toml").write_text("gateway = 1"), "CAN", "missing"),
        (
            lambda home: (home / "passerelle.toml").write_text("[gateway]\nparty = 7"),
            "CAN",
            "must be a text",
        ),
        (lambda _: None, "NZL", "known: CAN"),
        (lambda _: None, "../CAN", "known: CAN"),
        (lambda home: (home / "parties" / "CAN.json").unlink(), "CAN", "known: none"),
    ],
)
def test_what_is_not_there_is_said_with_its_remedy(
    home: Path, spoil: Callable[[Path], object], peer: str, complaint: str
) -> None:
    spoil(home)

    with pytest.raises(UserError, match=complaint):
        read_folder(home, peer, secret)


def test_settings_with_a_section_under_its_old_name_are_enough_too(home: Path) -> None:
    (home / "passerelle.toml").write_text("[house]\nparty = 'AUS'\n")

    assert read_folder(home, "CAN", secret).party == "AUS"
