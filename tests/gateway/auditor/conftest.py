"""A small true ledger, as an auditor holds it: a gateway that was asked a few questions, and its bundle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Refused
from gateway.domain.messages import Purpose
from keys.custody import FileCustody
from keys.envelope import OpeningRing
from keys.keyset import Keyset
from tests.gateway import ledger_reading


@dataclass(frozen=True)
class Archive:
    """One gateway's folder, its bundle, the auditor's keys, and the numbers of what was asked."""

    root: Path
    home: Path
    bundle: Path
    ring: OpeningRing
    matched: str
    unmatched: str
    refused: str

    @property
    def as_auditor(self) -> list[str]:
        """Return the options of an auditor who has the key."""
        key = ["--key", str(self.home / "auditor")]
        return [*key, "--key-passphrase-file", str(self.root / "auditor.pass")]


@pytest.fixture(scope="session")
def archive(  # noqa: PLR0917 - fixtures
    folders: Path,
    tmp_path_factory: pytest.TempPathFactory,
    secret: Any,
    serve: Any,
    people: Any,
    let_in: Any,
) -> Archive:
    root = tmp_path_factory.mktemp("archive")
    for name in ("can", "aus"):
        shutil.copytree(folders / name, root / name)
    home = root / "can"
    let_in(home, "P-1", ["operator"], root / "p1")
    let_in(home, "A-1", ["auditor"], root / "a1", by=root / "p1")
    for name, words in (("auditor", b"the auditor's own"), ("gateway", secret())):
        (root / f"{name}.pass").write_bytes(words)
        (root / f"{name}.pass").chmod(0o600)
    with serve(home, root / "aus") as pair:
        partner = pair.partner()
        matched = partner.query(people.samples(1), **people.matter()).transaction_number
        unmatched = partner.query(
            people.samples(people.unknown), **people.matter()
        ).transaction_number
        with pytest.raises(Refused) as caught:
            partner.query(people.samples(2), **people.matter(purpose=Purpose.DATA_ACCURACY))
    custody = FileCustody.open(home / "auditor" / "kek.json", b"the auditor's own")
    ring = Keyset.load(home / "auditor" / "keyset.json", custody).audit_ring()
    bundle = root / "whole.bundle"
    with ledger_reading.read(home) as stored:
        stored.export(bundle, since=None, reason="a test", now=datetime.now(UTC))
    return Archive(root, home, bundle, ring, matched, unmatched, caught.value.transaction_number)
