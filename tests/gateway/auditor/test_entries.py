"""Single entries, and proofs of them, out of a gateway and out of bundles."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.auditor.source import log_of
from gateway.cli.main import app
from gateway.ledger import archive_proofs, merkle
from gateway.ledger.archive import Archive
from gateway.ledger.archive_proofs import Prover, prove
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.errors import ProofRefused
from gateway.ledger.proof import parse_proof
from tests.gateway import ledger_reading


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


def live(archive: Any) -> list[object]:
    return [
        *("--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass"),
        *("--reason", "a test"),
    ]


def demand_proof(text: bytes, leaf: bytes, index: int, log: Any) -> None:
    proof = parse_proof(text)
    checkpoint = log.open(proof.checkpoint)
    assert proof.index == index
    merkle.verify_inclusion(
        merkle.leaf_hash(leaf),
        proof.hashes,
        index=index,
        size=checkpoint.size,
        expected=checkpoint.root,
    )


def test_an_entry_is_shown_sealed_and_opened(archive: Any) -> None:
    with Archive.open(archive.bundle) as ledger_archive:
        index = next(
            held.index
            for held in ledger_archive.held()
            if decode(held.leaf).type is EntryType.REQUEST
        )

    code, told = run("ledger", "show", index, "--bundle", archive.bundle)
    assert (code, told["type"], told["detail"]) == (0, "REQUEST", "sealed")
    code, told = run("ledger", "show", index, "--bundle", archive.bundle, *archive.as_auditor)
    assert (code, told["detail"]["purpose"]) == (0, "VISA_PERMIT_BENEFIT")
    assert (
        told == run("ledger", "show", archive.home, index, *live(archive), *archive.as_auditor)[1]
    )


def test_every_entry_of_a_bundle_is_provable(archive: Any) -> None:
    with Archive.open(archive.bundle) as ledger_archive:
        log = log_of(ledger_archive)
        for held in ledger_archive.held():
            receipt = prove(ledger_archive, held.index)
            demand_proof(receipt.tlog_proof, held.leaf, held.index, log)


@pytest.mark.parametrize("kept", [1, 2, 3, 8])
@pytest.mark.parametrize("part", [0, 3, 5])
def test_what_one_prover_keeps_between_proofs_changes_none(
    archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, part: int
) -> None:
    """Blocks so small that a bundle of a few entries has many, also where it begins within one."""
    monkeypatch.setattr(archive_proofs, "KEPT", kept)
    with ledger_reading.read(archive.home) as stored:
        since = decode(list(stored.held())[part].leaf).time
        stored.export(tmp_path / "b", since=since, reason="a test", now=datetime.now(UTC))

    with Archive.open(tmp_path / "b") as ledger_archive:
        prover, log = Prover(ledger_archive), log_of(ledger_archive)
        indices = [held.index for held in ledger_archive.held()]
        for index in (*indices, *reversed(indices)):
            receipt = prover.prove(index)
            demand_proof(receipt.tlog_proof, receipt.leaf, index, log)


def test_an_entry_of_which_nothing_can_be_read_is_no_part_of_an_export(
    archive: Any, tmp_path: Path, pipe: Any
) -> None:
    odd = pipe(archive.home / "parties" / "ZZZ.json")
    try:
        with ledger_reading.read(archive.home) as stored:
            stored.export(tmp_path / "b", since=None, reason="a test", now=datetime.now(UTC))
    finally:
        odd.unlink()

    with Archive.open(tmp_path / "b") as ledger_archive:
        assert "ZZZ" not in ledger_archive.partners()


def test_a_proof_is_written_for_other_tools(archive: Any, tmp_path: Path) -> None:
    out, leaf = tmp_path / "3.tlog-proof", tmp_path / "3.leaf"

    code, _ = run("ledger", "prove", archive.home, "3", "-o", out, "--leaf", leaf, *live(archive))

    assert code == 0
    with Archive.open(archive.bundle) as ledger_archive:
        demand_proof(out.read_bytes(), leaf.read_bytes(), 3, log_of(ledger_archive))
    assert out.read_text().startswith("c2sp.org/tlog-proof@v1\n")


def test_a_bundle_of_the_end_alone_is_whole_and_provable(archive: Any, tmp_path: Path) -> None:
    with ledger_reading.read(archive.home) as stored:
        times = [decode(held.leaf).time for held in stored.held()]
        since = times[len(times) // 2] + timedelta(milliseconds=1)
        made = stored.export(tmp_path / "end", since=since, reason="a test", now=datetime.now(UTC))

    with Archive.open(tmp_path / "end") as ledger_archive:
        log = log_of(ledger_archive)
        report = verify_archive(ledger_archive, log)
        assert 0 < made.first < made.size
        assert report.ok, report.findings
        for held in ledger_archive.held():
            receipt = prove(ledger_archive, held.index)
            demand_proof(receipt.tlog_proof, held.leaf, held.index, log)
        with pytest.raises(ProofRefused, match="has the entries"):
            prove(ledger_archive, made.first - 1)


def test_the_last_entries_are_shown(archive: Any) -> None:
    code, told = run("ledger", "tail", archive.home, "-n", "3", *live(archive))

    assert (code, len(told["entries"])) == (0, 3)
    assert told["entries"][-1]["index"] == told["size"] - 1
    assert "AUDIT_READ" in {entry["type"] for entry in told["entries"]}


@pytest.mark.parametrize("index", ["1.5", "x", "9" * 30, "99999"])
def test_what_is_no_entry_is_said(archive: Any, index: str) -> None:
    code, told = run("ledger", "show", "--bundle", archive.bundle, index)

    assert code == 2
    assert "entry" in told["error"]["message"]
