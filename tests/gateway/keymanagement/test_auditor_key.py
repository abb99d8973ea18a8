"""An auditor's next key: made by the auditor, taken over by two operators, and the old entries still open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.admin.operation import Officer
from gateway.cli.audit import session
from gateway.cli.main import app
from gateway.errors import UserError
from gateway.exercises.drill.rotation import ONE, TWO
from gateway.keymanagement.auditor_key import public_file, read_public
from gateway.ledger.sealed_entries import take
from gateway.operations.declaration import Role
from gateway.operations.keys import SEALING_KEY_BYTES
from keys.envelope import OpeningKey
from keys.keyset import KeyKind

AUDITOR = Officer("A-1", frozenset({Role.AUDITOR}))


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "auditor.pass"
    file.write_text("the auditor's own\n")
    file.chmod(0o600)
    return file


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="passerelle")


def entries(pair: Any, number: str) -> Any:
    asked = {"transaction": number, "reason": "case 7"}
    return pair.gateway.admin.perform(AUDITOR, "audit.transaction", asked)["entries"]


def test_what_was_recorded_before_and_after_opens_to_the_auditor_alone(
    pair: Any, people: Any, passphrase: Path, tmp_path: Path
) -> None:
    folder, file = pair.home / "auditor", tmp_path / "auditor.json"
    partner = pair.partner()
    before = partner.query(people.samples(1), **people.matter())

    made = run(
        *("audit", "renew", folder, "-o", file, "--key-passphrase-file", passphrase, "--json")
    )
    public = read_public(file.read_bytes())
    pair.gateway.admin.perform(TWO, "keys.adopt", {"public": public.hex(), "reason": "yearly"})
    after = partner.query(people.samples(1), **people.matter())

    assert made.exit_code == 0
    assert pair.gateway.keyset.primary(KeyKind.AUDIT).kid.hex() == json.loads(made.stdout)["kid"]
    key = session.opened(folder, passphrase).audit_ring()
    for answer in (before, after):
        told = take(entries(pair, answer.transaction_number), key)
        assert any(each.facts for each in told)


def test_one_operator_alone_does_not_change_who_reads(pair: Any) -> None:
    values = {"public": OpeningKey.generate().public.hex(), "reason": "t"}

    with pytest.raises(UserError, match="two persons"):
        pair.gateway.admin.perform(ONE, "keys.adopt", values)
    told = pair.gateway.admin.perform(ONE, "keys.adopt", {**values, "dry_run": True})

    assert told["two_persons"]
    assert len(told["plan"]) == 2
    ours = {"public": pair.gateway.keyset.kem().public.hex(), "reason": "t", "dry_run": True}
    with pytest.raises(UserError, match="taken over before"):
        pair.gateway.admin.perform(ONE, "keys.adopt", ours)


def test_a_key_with_another_fingerprint_is_not_taken_over(
    homes: Any, passphrase: Path, tmp_path: Path
) -> None:
    file = tmp_path / "auditor.json"
    run(*("audit", "renew", homes[0] / "auditor", "-o", file), "--key-passphrase-file", passphrase)

    said = run(
        "keys", "set-auditor-key", homes[0], file, "--fingerprint", "AAAA " * 8, "--reason", "t"
    )

    assert said.exit_code != 0
    assert "fingerprint" in said.stderr


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{}",
        b"[]",
        json.dumps({"format": "passerelle/1/auditor", "public": "00"}).encode(),
        public_file(bytes(SEALING_KEY_BYTES)) + b" ",
        public_file(bytes(SEALING_KEY_BYTES - 1)),
        b'{"public": 7}',
    ],
)
def test_a_file_of_another_form_is_refused(octets: bytes) -> None:
    with pytest.raises(UserError, match="audit renew"):
        read_public(octets)
