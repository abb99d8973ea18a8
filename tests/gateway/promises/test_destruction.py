"""Every searched query has its destruction receipt, which a partner checks with our bundle alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.client import Refused
from gateway.domain.messages import Modality
from gateway.errors import QuotaExceeded
from gateway.ledger import destruction_receipt
from gateway.ledger.entry import decode, open_detail
from gateway.server import self_check
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.detail_periods import open_stored_key
from gateway.trust.partners import own_bundle
from keys.custody import FileCustody
from keys.keyset import Keyset
from tests.gateway import ledger_reading


def run(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="passerelle")


def test_a_receipt_is_written_by_the_gateway_and_holds_for_its_partner(
    pair: Any, people: Any, tmp_path: Path
) -> None:
    """IRPR 315.43(2), law.md 8 feature 1: match or not, verifiable off-line."""
    bundle = tmp_path / "CAN.json"
    bundle.write_bytes((pair.home / "party.json").read_bytes())
    for seed in (1, people.unknown):
        answer = pair.partner().query(people.samples(seed), **people.matter())
        identifier, file = answer.result.destruction_receipt_id, tmp_path / f"{seed}.json"

        written = run("ledger", "destruction", pair.home, identifier, "-o", file)
        said = run(
            *("ledger", "verify-receipt", file, "--party", bundle),
            *("--receipt", identifier, "--json"),
        )

        assert (written.exit_code, said.exit_code) == (0, 0), written.output + said.output
        told = json.loads(said.stdout)
        assert (told["partner"], told["transaction"]) == ("AUS", answer.transaction_number)
        found = destruction_receipt.verify(
            file.read_bytes(), own_bundle(pair.home).log, datetime.now(UTC)
        )
        assert found.index == answer.receipt_index - 1  # in the same commit, before the answer


@pytest.mark.parametrize("seed", [1, 99])
def test_prints_and_templates_are_empty_when_the_answer_leaves(
    pair: Any, people: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """IRPR 315.43(2): a receipt says so; here it is looked at. Match or not."""
    made: list[Any] = []

    engine = pair.serving.engines.by_modality[Modality.FINGER]
    prepare = engine.prepare

    def keeping(probe: Any) -> Any:
        prepared = prepare(probe)
        made.extend(minutiae.xy for _, minutiae in probe.minutiae)
        made.extend(finger.vectors for _, finger in probe.ready.fingers)
        assert all(array.any() for array in made)
        return prepared

    monkeypatch.setattr(engine, "prepare", keeping)

    pair.partner().query(people.samples(seed), **people.matter())

    assert len(made) == 4
    assert not any(array.any() for array in made)


def test_prints_are_empty_too_where_a_query_is_refused_once_they_were_read(
    pair: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number used twice is refused at step 12, a spent quota at step 14: after the records were opened."""
    made: list[Any] = []
    engine = pair.serving.engines.by_modality[Modality.FINGER]
    read = engine.read

    def keeping(samples: Any) -> Any:
        probe = read(samples)
        made.extend(minutiae.xy for _, minutiae in probe.minutiae)
        return probe

    monkeypatch.setattr(engine, "read", keeping)
    partner, matter = pair.partner(), people.matter()
    matter["transaction_number"] = "20260301-0123456789abcdef0123"
    partner.query(people.samples(1), **matter)
    with pytest.raises(Refused) as refused:
        partner.query(people.samples(1), **matter)
    assert refused.value.reason == "TRANSACTION_REUSED"

    monkeypatch.setattr(pair.serving.pipeline._record, "request", Mock(side_effect=QuotaExceeded()))
    with pytest.raises(Refused) as refused:
        partner.query(people.samples(1), **people.matter())

    assert refused.value.reason == "QUOTA_EXCEEDED"
    assert len(made) == 3 * 2
    assert not any(array.any() for array in made)


def test_a_receipt_of_another_query_or_gateway_is_a_no(
    pair: Any, people: Any, tmp_path: Path
) -> None:
    answers = [pair.partner().query(people.samples(1), **people.matter()) for _ in range(2)]
    first, second = (each.result.destruction_receipt_id for each in answers)
    file = tmp_path / "receipt.json"
    file.write_bytes(self_check.destruction(pair.home, first))

    for party, receipt in ((pair.home, second), (pair.asker, first)):
        said = run(
            *("ledger", "verify-receipt", file, "--party", party / "party.json"),
            *("--receipt", receipt),
        )
        assert said.exit_code == 1


def test_an_unknown_receipt_is_told(pair: Any, tmp_path: Path) -> None:
    for name in ("D-" + "0" * 32, "nonsense"):
        said = run("ledger", "destruction", pair.home, name, "-o", tmp_path / "none.json")
        assert said.exit_code == 2
        assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize("seed", [1, 99])
def test_the_auditor_reads_what_was_destroyed(pair: Any, people: Any, seed: int) -> None:
    """By kind and number; the same for a hit and for no hit."""
    answer = pair.partner().query(people.samples(seed), **people.matter())
    with pair.gateway.database.reader() as reader:
        proof = stored_ledger.destruction(reader, answer.result.destruction_receipt_id)
    assert proof is not None
    folder = pair.home / "auditor"
    custody = FileCustody.open(folder / "kek.json", b"the auditor's own")
    key = Keyset.load(folder / "keyset.json", custody).audit_opening()

    index = answer.receipt_index - 1
    (stored,) = [
        one for one in stored_ledger.iter_details(pair.gateway.database) if one.index == index
    ]
    assert stored.sealed_dek is not None
    sealed = open_stored_key(index, stored.sealed_dek, ledger_reading.periods_of(pair.home))
    assert sealed is not None
    facts = open_detail(decode(proof.leaf), stored.ciphertext, sealed, key)

    assert facts == {"destroyed": "records=2,minutiae=2,templates=2", "modality": "FINGER"}
