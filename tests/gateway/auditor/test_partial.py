"""What a bundle leaves out is said, and a bundle that says nothing is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.auditor.source import log_of
from gateway.errors import UserError
from gateway.ledger.archive import Archive, ArchiveRefused, Held, Manifest
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.archive_writer import Writer
from gateway.ledger.entry import decode
from gateway.ledger.merkle import Frontier
from gateway.ledger.verify import Severity
from gateway.store.ledger import stored_ledger
from tests.gateway import ledger_reading
from tests.gateway.auditor.test_commands import run

HOURS = 365 * 24
TOKEN = 6000  # bytes; what an answer with its certificates takes
NOTE = 7000  # bytes of a cosigned note


def rewritten(archive: Any, file: Path, manifest: Manifest, held: list[Held]) -> None:
    with Archive.open(archive.bundle) as old, Writer(file) as writer:
        writer.document("party.json", old.party)
        writer.frontier(old.frontier())
        writer.entries(held)
        writer.checkpoints(old.notes())
        writer.cosignatures(())
        writer.tokens(())
        writer.finish(manifest)


def test_a_year_of_hourly_stamps_and_of_five_witnesses_goes_into_a_bundle(tmp_path: Path) -> None:
    notes = [bytes([number % 251]) * NOTE for number in range(5 * 365)]
    tokens = [(hour + 1, bytes([hour % 251]) * TOKEN) for hour in range(HOURS)]
    with Writer(tmp_path / "bundle") as writer:
        writer.entries([Held(0, bytes(512))])
        writer.checkpoints(notes)
        writer.cosignatures(notes)
        writer.tokens(tokens)
        writer.finish(Manifest("CAN", "passerelle/CAN", 0, 1, "2026-01-01T00:00:00+00:00"))

    with Archive.open(tmp_path / "bundle") as ledger_archive:
        assert list(ledger_archive.tokens()) == tokens
        assert list(ledger_archive.cosignatures()) == list(ledger_archive.notes()) == notes


@pytest.mark.parametrize("folder", ["checkpoints", "cosignatures", "tokens"])
def test_a_missing_page_of_what_others_said_is_refused(tmp_path: Path, folder: str) -> None:
    with Writer(tmp_path / "bundle") as writer:
        writer.entries([Held(0, bytes(512))])
        writer.document(f"{folder}/00000001", b"")
        writer.finish(Manifest("CAN", "passerelle/CAN", 0, 1, "2026-01-01T00:00:00+00:00"))

    with pytest.raises(ArchiveRefused, match="page"):
        Archive.open(tmp_path / "bundle")


def test_a_bundle_of_no_entry_is_neither_made_nor_whole(archive: Any, tmp_path: Path) -> None:
    late = datetime.now(UTC) + timedelta(days=1)
    with (
        ledger_reading.read(archive.home) as stored,
        pytest.raises(UserError, match="no entry since then"),
    ):
        stored.export(tmp_path / "none", since=late, reason="a test", now=late)
    assert list(tmp_path.iterdir()) == []

    with ledger_reading.read(archive.home) as stored:
        stored.export(tmp_path / "all", since=None, reason="a test", now=late)
        with stored._database.reader() as reader:
            before = Frontier(stored.size, stored_ledger.peaks(reader, stored.size))
    with Archive.open(tmp_path / "all") as old, Writer(tmp_path / "empty") as writer:
        writer.document("party.json", old.party)
        writer.frontier(before)
        writer.checkpoints(list(old.notes())[-1:])
        writer.finish(replace(old.manifest, first=before.size))

    code, told = run("ledger", "verify", tmp_path / "empty")
    assert (code, told["ok"]) == (1, False)
    assert "no entry at all" in str(told["findings"])


def test_a_bundle_of_the_end_says_where_it_begins(archive: Any, tmp_path: Path) -> None:
    with ledger_reading.read(archive.home) as stored:
        since = stored_time(stored)
        made = stored.export(tmp_path / "end", since=since, reason="a test", now=since)

    code, told = run("ledger", "verify", tmp_path / "end")

    assert (code, told["ok"], told["first"], told["size"]) == (0, True, made.first, made.size)
    assert made.first > 0
    assert "are not here" in str(told["findings"])


def stored_time(stored: Any) -> datetime:
    times = [decode(held.leaf).time for held in stored.held()]
    return times[len(times) // 2] + timedelta(milliseconds=1)


def test_rubbish_in_the_place_of_the_keys_is_found(archive: Any, tmp_path: Path) -> None:
    """Details that nobody can open any more would pass as if nothing had been destroyed."""
    with Archive.open(archive.bundle) as ledger_archive:
        manifest, log = ledger_archive.manifest, log_of(ledger_archive)
        held = [
            replace(each, sealed_dek=each.sealed_dek and b"x") for each in ledger_archive.held()
        ]
    rewritten(archive, tmp_path / "spoilt", manifest, held)

    with Archive.open(tmp_path / "spoilt") as ledger_archive:
        report = verify_archive(ledger_archive, log)

    faults = {each.index for each in report.findings if each.severity is Severity.FAULT}
    assert faults == {each.index for each in held if each.sealed_dek}
