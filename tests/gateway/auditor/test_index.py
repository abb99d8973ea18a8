"""The index says what the ledger says, goes on where it stopped, is sealed, and forgets."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.auditor.index import Index, IndexRefused
from gateway.auditor.source import ArchiveSource
from gateway.ledger.archive import Archive
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.sealed_entries import take


@pytest.fixture(scope="module")
def source(archive: Any) -> Iterator[ArchiveSource]:
    with Archive.open(archive.bundle) as ledger_archive:
        yield ArchiveSource(ledger_archive)


@pytest.fixture
def index(source: ArchiveSource, archive: Any) -> Iterator[Index]:
    with Index.passing() as made:
        made.extend(source, archive.ring)
        yield made


def test_a_bundle_of_a_true_ledger_is_whole(source: ArchiveSource) -> None:
    report = verify_archive(source.archive, source.log)

    assert report.ok, report.findings
    assert report.size == source.size > 10


def test_the_index_has_every_entry(index: Index, source: ArchiveSource) -> None:
    told = list(index.entries_where("1"))

    assert [each.index for each in told] == list(range(source.size))
    assert [each.frame for each in told] == [decode(held.leaf) for held in source.held()]


def test_an_exchange_is_put_together(index: Index, archive: Any) -> None:
    wanted = (
        "SELECT closing, true_outcome, purpose, destroyed_ms IS NOT NULL FROM exchanges"
        " WHERE number = ?"
    )

    assert index.rows(wanted, (archive.matched,)) == [
        ("ANSWERED", "MATCH", "VISA_PERMIT_BENEFIT", 1)
    ]
    assert index.rows(wanted, (archive.unmatched,))[0][1] == "NO_MATCH"
    assert index.rows("SELECT count(*) FROM exchanges WHERE closing = 'OPEN'") == [(0,)]


def test_a_refusal_is_an_exchange_too(index: Index, archive: Any) -> None:
    found = index.rows("SELECT closing, reason FROM exchanges WHERE number = ?", (archive.refused,))

    assert found == [("REFUSED", "PURPOSE_NOT_PERMITTED")]


def test_without_a_key_what_is_sealed_stays_sealed(source: ArchiveSource, archive: Any) -> None:
    with Index.passing() as index:
        index.extend(source, None)

        assert not index.opened
        assert index.rows(
            "SELECT closing, purpose FROM exchanges WHERE number = ?", (archive.matched,)
        ) == [("ANSWERED", None)]


def test_an_index_goes_on_where_it_stopped(
    source: ArchiveSource, archive: Any, tmp_path: Path
) -> None:
    secret = secrets.token_bytes(32)

    class Younger:
        """The same ledger, some entries ago."""

        log, first, size = source.log, 0, source.size - 5
        held, agreements = source.held, source.agreements

    with Index(tmp_path / "index", secret) as index:
        assert index.extend(Younger(), archive.ring) == source.size - 5
    with Index(tmp_path / "index", secret) as index:
        assert index.extend(source, archive.ring) == 5
        assert index.extend(source, archive.ring) == 0
        assert index.rows("SELECT count(*) FROM entries") == [(source.size,)]


def test_an_index_is_nothing_to_whoever_lacks_its_key(
    source: ArchiveSource, archive: Any, tmp_path: Path
) -> None:
    with Index(tmp_path / "index", secrets.token_bytes(32)) as index:
        index.extend(source, archive.ring)

    assert b"VISA_PERMIT" not in (tmp_path / "index").read_bytes()
    with pytest.raises(IndexRefused, match="remove it"):
        Index(tmp_path / "index", secrets.token_bytes(32))


def test_a_ledger_that_says_otherwise_is_noticed(
    source: ArchiveSource, archive: Any, tmp_path: Path
) -> None:
    secret = secrets.token_bytes(32)
    with Index(tmp_path / "index", secret) as index:
        index.extend(source, archive.ring)
        with index._writing():
            index._set("last", bytes(512))

        with pytest.raises(IndexRefused, match="says otherwise"):
            index.extend(source, archive.ring)


def test_a_question_cannot_write(index: Index) -> None:
    with pytest.raises(IndexRefused, match="read, not written"):
        index.rows("DELETE FROM entries")

    assert index.rows("SELECT count(*) FROM entries") != [(0,)]


def test_the_entries_of_a_transaction_are_those_of_the_gateway(index: Index, archive: Any) -> None:
    kinds = {each.frame.type for each in index.of_transaction(archive.matched)}

    assert {EntryType.REQUEST, EntryType.DESTRUCTION, EntryType.RESPONSE, EntryType.KEY} <= kinds
    assert index.partners_of(archive.matched) == ["AUS"]
    assert take([], None) == []
