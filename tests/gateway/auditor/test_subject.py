"""Question 8: all about one person, and nothing about another."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.audit.entry import EntryType
from gateway.audit.volume import Volume
from gateway.auditor.index import Index
from gateway.auditor.questions import subject_words
from gateway.auditor.questions.subject import number_of, subject, write_pack
from gateway.auditor.source import VolumeSource
from gateway.auditor.table import Period
from gateway.cli.main import app
from gateway.errors import Remedy
from gateway.server.stored import Stored
from gateway.store.subjects import reference_of
from tests.gateway.auditor.year import indexed, query

HIT = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH"}
SAID = [
    *query(1, 1, subject="77", scores="31.5", **HIT),
    *query(2, 2, subject="78", case="C-2", **HIT),
    *query(3, 3, case="C-7", outbound=True, outcome_received="MATCH"),
    *query(4, 4, subject="77", true_outcome="MATCH", disclosed_outcome="NO_MATCH"),
    *query(5, 5, case="C-5"),
]


def test_a_pack_holds_that_persons_exchanges_alone() -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77", ("C-7",))

    numbers = [row["transaction"] for row in pack.table.documents()]
    assert numbers == ["20260101-00000001", "20260101-00000003", "20260101-00000004"]


def test_a_match_that_was_not_told_waits_for_an_officer() -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77")

    assert len(pack.table.findings) == 1
    assert "not told of" in pack.table.findings[0]


def test_a_pack_leaves_out_whom_it_is_not_about(tmp_path: Path) -> None:
    """Privacy Act s. 26: information about another individual; officers, units, cases of others, scores."""
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77")
    names = write_pack(pack, tmp_path / "pack", ("en", "fr"))

    assert names == ["en.txt", "exchanges.json", "fr.txt"]
    for name in names:
        content = (tmp_path / "pack" / name).read_text(encoding="utf-8")
        assert "20260101-00000001" in content
        for other in ("OFFICER-9", "U-3", "C-2", "20260101-00000002", "31.5", "78"):
            assert other not in content.replace("20260101-00000001", ""), (name, other)


def test_a_pack_may_be_one_file_and_is_never_written_over_another(tmp_path: Path) -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77")
    write_pack(pack, tmp_path / "pack.zip", ("fr",))

    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        assert sorted(archive.namelist()) == ["exchanges.json", "fr.txt"]
        assert len(json.loads(archive.read("exchanges.json"))["exchanges"]) == 2
    with pytest.raises(Remedy, match="never written over"):
        write_pack(pack, tmp_path / "pack.zip", ("fr",))


def test_nobody_has_an_empty_pack_that_says_so() -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "99")

    assert pack.table.rows == ()
    assert "aucun échange" in pack.texts(("fr",))["fr.txt"].decode()


def test_without_a_key_there_is_no_pack() -> None:
    with indexed(SAID, opened=False) as index, pytest.raises(Remedy, match="--key"):
        subject(index, Period(), "77")


def test_a_house_knows_whom_a_file_number_names(archive: Any, tmp_path: Path) -> None:
    with Volume.open(archive.bundle) as volume, Index.passing() as index:
        index.extend(VolumeSource(volume), archive.ring)
        wanted = "SELECT subject FROM exchanges WHERE number = ?"
        found = int(index.rows(wanted, (archive.matched,))[0][0])
    with Stored(archive.home) as stored, stored._database.reader() as reader:
        person = reference_of(reader, found)
    live = ["--as", archive.root / "a1", "--passphrase-file", archive.root / "house.pass"]
    words = ["--reason", "access request 9", *live, *archive.as_auditor, "--json"]
    packs = []
    for name in (person, "nobody"):
        line = ["audit", "subject", archive.home, name, "--out", tmp_path / f"{name}.zip", *words]
        done = CliRunner().invoke(app, [str(each) for each in line], prog_name="passerelle")
        packs.append((done.exit_code, json.loads(done.stdout)))

    (clean, told), (unknown, said) = packs
    assert (clean, [row["transaction"] for row in told["rows"]]) == (0, [archive.matched])
    assert (tmp_path / f"{person}.zip").exists()
    assert unknown == 2
    assert "file number" in said["error"]["message"]
    with Stored(archive.home) as stored, Index.passing() as index:
        index.extend(stored, archive.ring)
        read = list(index.told(f"type = {int(EntryType.AUDIT_READ)}"))[-2:]
    assert [(each.facts or {})["source"] for each in read] == [
        f"subject {person}",
        "subject nobody",
    ]
    assert all(not each.frame.subject_reference for each in read)  # for whoever has no key


def test_both_languages_have_every_word() -> None:
    english, french = (subject_words.WORDS[each] for each in ("en", "fr"))

    assert english.keys() == french.keys()
    assert all([*english.values(), *french.values()])


def test_a_number_of_the_registry_is_told_from_a_file_number() -> None:
    assert number_of("S-123") == "123"
    assert [number_of(each) for each in ("F-123", "S-0", "S-", "S-1x", "123")] == [None] * 5
