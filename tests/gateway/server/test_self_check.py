"""What can be said of a home directory without serving it."""

from __future__ import annotations

import resource
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.config import load
from gateway.errors import UserError
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving
from keys.errors import CertificateFault
from tests.patience import CALL


def checks(home: Any, secret: Any) -> dict[str, self_check.Check]:
    found = self_check.check(home, secret, datetime.now(UTC))
    return {one.name: one for one in found}


def test_a_folder_as_made_passes_every_check(homes: Any, secret: Any) -> None:
    found = checks(homes[0], secret)

    assert all(one.ok for one in found.values())
    assert found["images"].detail.startswith("no extractor is set")


def test_a_wrong_passphrase_is_a_check_that_fails(homes: Any) -> None:
    found = checks(homes[0], lambda: b"not this one")

    assert not found["keys"].ok
    assert found["agreements"].ok


def test_a_malformed_agreement_is_named_with_its_line(homes: Any, secret: Any) -> None:
    file = homes[0] / "agreements" / "au.toml"
    file.write_text(file.read_text().replace("fpir = 1e-4", "fpir = 4"))

    found = checks(homes[0], secret)["agreements"]

    assert not found.ok
    assert "au.toml line" in found.detail


def test_a_full_disk_is_a_check_that_fails_with_what_to_do(homes: Any, secret: Any) -> None:
    """Full is what a write finds: a limit of this process stands for the disk's end."""
    before = sorted(load(homes[0]).store.path.parent.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        found = self_check._disk(load(homes[0]))
    except UserError as told:
        found = str(told)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "no space was left" in found
    assert "make room" in found
    assert sorted(load(homes[0]).store.path.parent.iterdir()) == before
    assert checks(homes[0], secret)["disk"].ok


def test_a_damaged_bundle_is_named(homes: Any, secret: Any) -> None:
    (homes[0] / "parties" / "AUS.json").write_text("{}")

    found = checks(homes[0], secret)["partners"]

    assert not found.ok
    assert "AUS.json" in found.detail


def test_the_ledger_as_made_is_whole(homes: Any) -> None:
    report = self_check.verify_ledger(homes[0])

    assert report.ok
    assert report.size > 0


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE leaves SET leaf = zeroblob(512) WHERE idx = 3", "leaf"),
        ("DELETE FROM leaves WHERE idx = 3", "no leaf 3"),
        ("UPDATE details SET ciphertext = zeroblob(1052) WHERE idx = 2", "detail"),
        ("DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)", ""),
    ],
)
def test_row_edited_after_signing(homes: Any, statement: str, words: str) -> None:
    """Ledger 10: an operator edits or deletes rows; verify names the place."""
    path = load(homes[0]).store.path
    with sqlite3.connect(path) as database:
        assert database.execute(statement).rowcount == 1
    database.close()

    report = self_check.verify_ledger(homes[0])

    assert not report.ok
    assert any(words in str(finding) for finding in report.findings)


def test_a_ledger_that_is_written_to_meanwhile_verifies(shared_pair: Any, people: Any) -> None:
    shared_pair.partner().query(people.samples(1), **people.matter())

    assert self_check.verify_ledger(shared_pair.home).ok


def test_a_gateway_whose_keys_have_ended_does_not_serve(
    homes: Any, people: Any, serve: Any, secret: Any
) -> None:
    """It would answer what every partner must reject; the remedy names the command that rotates."""
    with Gateway.open(homes[0], secret) as gateway:
        later = replace(gateway, clock=lambda: datetime.now(UTC) + timedelta(days=100))
        with pytest.raises(UserError, match="keys rotate"):
            Serving(later).start()


@pytest.mark.usefixtures("asked_once")
def test_keys_that_end_while_serving_stop_the_answers(pair: Any, people: Any) -> None:
    partner = pair.partner()
    partner.query(people.samples(1), **people.matter())
    now = pair.gateway.clock
    pair.serving._readiness._clock = lambda: now() + timedelta(days=100)

    pair.serving.run_jobs()

    with pytest.raises(people.refused) as refused:
        partner.query(people.samples(1), deadline=CALL, **people.matter())
    assert refused.value.reason == "KEYS_UNAVAILABLE"


def test_an_officers_keys_in_the_folder_are_said_with_the_way_out(
    homes: Any, secret: Any, own_keys: Any
) -> None:
    own_keys(homes[0] / "staff" / "me", "P-1")

    found = checks(homes[0], secret)["officers"]

    assert not found.ok
    assert "passerelle staff seal" in found.detail


def test_alarms_that_cannot_be_read_are_a_check_that_fails(
    homes: Any, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise CertificateFault("no certificate")

    monkeypatch.setattr(self_check.alarms_of_folder, "of_folder", unreadable)

    found = checks(homes[0], secret)

    assert not found["alarms"].ok
    assert found["store"].ok
