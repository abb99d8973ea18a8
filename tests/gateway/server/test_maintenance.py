"""A gateway under maintenance: our own people act, nobody else is answered, and what opens it opens nothing afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.staff import CUSTODY
from gateway.cli import maintenance
from gateway.cli.admin_session import open_session, perform
from gateway.client.admin import AdminClient
from gateway.client.errors import PartnerError
from gateway.errors import UserError
from gateway.ledger.entry import EntryType, decode
from gateway.operations.founding import CUSTODIAL
from gateway.server import status
from gateway.server.application import Gateway
from gateway.server.maintenance import Maintenance
from gateway.store.ledger import stored_ledger
from keys import certificates
from keys.certificates import TlsKey, private_key_pem
from keys.errors import KeysError
from keys.officer_certificate import badge, issue_badge

MODULE = "gateway.server.maintenance_process"


@pytest.fixture
def home(homes: tuple[Path, Path], let_in: Any, tmp_path: Path) -> Path:
    let_in(homes[0], "P-1", ["operator"], tmp_path / "p1")
    let_in(homes[0], "P-7", ["caseworker"], tmp_path / "p7")
    return homes[0]


@pytest.fixture
def maintained(home: Path, secret: Any) -> Iterator[tuple[Maintenance, str]]:
    """A gateway under maintenance that everybody may find, and its address."""
    with Gateway.open(home, secret) as gateway:
        service = Maintenance(gateway)
        yield service, f"127.0.0.1:{service.start().admin}"
        service.stop()


@pytest.mark.usefixtures("maintenance_process")
def test_a_command_opens_a_stopped_gateway_in_a_process_that_ends_with_it(
    home: Path, secret: Any, tmp_path: Path
) -> None:
    found = perform(home, "keys.list", {}, officer=tmp_path / "p1", passphrase=secret)

    assert found["keys"]
    assert not (home / "door.json").exists()
    with Gateway.open(home, secret):  # the writer lock is free again
        pass


def test_what_a_killed_maintenance_wrote_is_not_taken_for_a_gateway_that_starts(
    homes: tuple[Path, Path], serve: Any
) -> None:
    (homes[0] / "door.json").write_text(json.dumps({"admin": "127.0.0.1:1", "authority": "x"}))

    with serve(*homes) as pair:
        assert status.look(pair.home, datetime.now(UTC)).serving


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system lists no locks")
def test_what_a_killed_maintenance_wrote_is_not_said_of_the_command_that_holds_the_lock_now(
    home: Path, secret: Any
) -> None:
    (home / "door.json").write_text(json.dumps({"admin": "127.0.0.1:1", "authority": "x"}))

    with Gateway.open(home, secret):
        assert status.look(home, datetime.now(UTC)).why == "OPEN"
    assert status.look(home, datetime.now(UTC)).why == "NEVER_STARTED"


def test_a_cut_off_process_ended_when_it_last_served_whatever_maintenance_recorded_since(
    home: Path, secret: Any
) -> None:
    with Gateway.open(home, secret) as gateway:
        gateway.record(EntryType.START)
    cut = status.look(home, datetime.now(UTC))
    with Gateway.open(home, secret) as gateway:
        place = {"kind": "everything", "reference": "", "reason": "inquiry"}
        service = Maintenance(gateway, private=True)
        service.start()
        gateway.admin.perform(CUSTODY, "hold.place", place)
        service.stop()

    found = status.look(home, datetime.now(UTC))
    assert (found.why, found.since, cut.why) == ("ENDED", cut.since, "ENDED")
    assert found.newest is not None
    assert cut.newest is not None
    assert found.newest.index > cut.newest.index


@pytest.mark.usefixtures("maintenance_process")
def test_what_keeps_a_gateway_closed_is_told_in_its_own_words(home: Path, tmp_path: Path) -> None:
    with pytest.raises(maintenance.OpeningFailed, match="passphrase") as refused:
        perform(home, "keys.list", {}, officer=tmp_path / "p1", passphrase=lambda: b"another one")

    assert refused.value.kind == "WrongPassphrase"


@pytest.mark.usefixtures("maintenance_process")
def test_what_an_opened_gateway_complains_of_is_a_sentence_at_the_terminal(
    home: Path, secret: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "agreements" / "au.toml").write_text("x = ")

    perform(home, "keys.list", {}, officer=tmp_path / "p1", passphrase=secret)

    told = capfd.readouterr().err.splitlines()
    assert "passerelle: error: agreements refused: au.toml line 1: not TOML" in told
    assert all(each.startswith("passerelle: error: ") for each in told)


def test_the_process_ends_when_its_command_is_killed(home: Path, secret: Any) -> None:
    """A killed command leaves an end of stdin; what is under way is finished, and the lock given back."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(len(secret()).to_bytes(4, "big") + secret())
    child.stdin.flush()
    assert "address" in json.loads(child.stdout.readline())

    _, err = child.communicate(timeout=60)  # closes stdin, as the end of its parent does

    assert (child.returncode, err) == (0, b"")
    with Gateway.open(home, secret):
        pass


def test_officers_act_under_maintenance_and_it_is_no_start(
    maintained: tuple[Maintenance, str], home: Path, tmp_path: Path
) -> None:
    values = {"kind": "KEM", "reason": "before we serve"}

    done = perform(home, "keys.rotate", values, officer=tmp_path / "p1")

    assert done["key"]
    database = maintained[0]._gateway.database
    size = maintained[0]._gateway.sequencer.size
    kinds = {decode(each).type for each in stored_ledger.iter_leaves(database, 0, size)}
    assert EntryType.KEY in kinds
    assert EntryType.START not in kinds


def test_a_gateway_under_maintenance_says_so(
    maintained: tuple[Maintenance, str], home: Path
) -> None:
    del maintained

    found = status.look(home, datetime.now(UTC))

    assert found.why == "MAINTENANCE"
    assert "passerelle serve" in found.told(home)[1]


def test_nobody_acts_under_maintenance_without_a_certificate(
    maintained: tuple[Maintenance, str], home: Path
) -> None:
    del maintained
    with pytest.raises(UserError, match="--as FOLDER"):
        perform(home, "staff.list", {})


def test_a_certificate_of_another_issuer_opens_nothing(
    maintained: tuple[Maintenance, str],
) -> None:
    """Whoever names an officer in a certificate of their own, by an authority of the same name, is nobody."""
    service, address = maintained
    issuer, own, now = TlsKey.generate(), TlsKey.generate(), datetime.now(UTC)
    named = certificates.parsed(service.authority).subject.rfc4514_string().split("=")[-1]
    authority = certificates.issue_ca("CAN-MAINTENANCE", issuer, now)
    assert certificates.parsed(authority).subject.rfc4514_string().split("=")[-1] == named
    chain = issue_badge(badge("P-1", ["operator"]), authority, issuer, own.public, now)

    with (
        AdminClient(
            address, service.authority, chain=chain, key_pem=private_key_pem(own)
        ) as client,
        pytest.raises(PartnerError),
    ):
        client.perform("staff.list", {})


def test_nothing_is_sent_under_maintenance(
    maintained: tuple[Maintenance, str], home: Path, tmp_path: Path
) -> None:
    del maintained
    with pytest.raises(UserError, match="sends nothing"):
        perform(home, "ask", {"partner": "AUS"}, officer=tmp_path / "p7")
    with pytest.raises(UserError, match="sends nothing"):
        perform(home, "ledger.stamp", {}, officer=tmp_path / "p1")


def test_a_maintenance_lasts_over_a_long_week_end(maintained: tuple[Maintenance, str]) -> None:
    begins, ends = certificates.validity(maintained[0].authority)

    assert ends - begins > timedelta(days=14)


@pytest.mark.usefixtures("maintenance_process")
def test_a_process_that_finds_no_store_says_so_in_the_systems_words(
    home: Path, secret: Any, tmp_path: Path
) -> None:
    (home / "keys" / "keyset.json").unlink()
    with pytest.raises((maintenance.OpeningFailed, KeysError), match=r"keyset\.json"):
        perform(home, "keys.list", {}, officer=tmp_path / "p1", passphrase=secret)


def test_the_holder_of_the_passphrase_founds_and_looks_and_does_nothing_else(
    maintained: tuple[Maintenance, str],
) -> None:
    service, address = maintained
    shown = service.custodian
    with AdminClient(
        address, service.authority, chain=shown.chain, key_pem=shown.key_pem
    ) as client:
        assert client.perform("staff.list", {})["staff"]
        for name in service._gateway.admin.operations.handlers:
            if name not in CUSTODIAL:
                with pytest.raises(PartnerError, match=r"--as FOLDER"):
                    client.perform(name, {})


def test_what_one_maintenance_made_opens_no_other_and_no_gateway_that_serves(
    homes: tuple[Path, Path], secret: Any, serve: Any
) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        first = Maintenance(gateway)
        first.start()
        first.stop()
        second = Maintenance(gateway)
        address = f"127.0.0.1:{second.start().admin}"
        shown = first.custodian
        both = first.authority + second.authority
        with (
            AdminClient(address, both, chain=shown.chain, key_pem=shown.key_pem) as client,
            pytest.raises(PartnerError),
        ):
            client.perform("staff.list", {})
        second.stop()
    with serve(*homes) as pair:
        roots = pair.gateway.keyset.tls_ca_pem
        address = f"127.0.0.1:{pair.addresses.admin}"
        with (
            AdminClient(address, roots, chain=shown.chain, key_pem=shown.key_pem) as client,
            pytest.raises(PartnerError),
        ):
            client.perform("staff.list", {})


def test_a_private_maintenance_is_told_to_nobody_else(
    homes: tuple[Path, Path], secret: Any
) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        service = Maintenance(gateway, private=True)
        service.start()
        assert not (homes[0] / "door.json").exists()
        service.stop()
    assert "key" not in repr(service.custodian).lower()


def test_nobody_asks_without_a_session(home: Path, secret: Any) -> None:
    with open_session(home, passphrase=secret) as do:
        with pytest.raises(UserError, match="say who acts"):
            do("keys.rotate", {"kind": "KEM", "reason": "weekly"})
        with pytest.raises(UserError, match="--custody"):
            do("staff.end", {"person": "P-7"})
        assert do("staff.list", {})["staff"]
