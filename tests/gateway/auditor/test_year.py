"""The invented year is a true ledger, and each of the sixteen questions is answered from it by its one command."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.auditor.index import Index
from gateway.auditor.source import ArchiveSource
from gateway.cli.main import app
from gateway.exercises.bench import synthetic_year
from gateway.exercises.bench.synthetic_events import BEGINS, Life, subjects
from gateway.ledger.archive import Archive
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.entry import decode
from keys.custody import Argon2Cost, FileCustody
from keys.envelope import OpeningRing
from keys.keyset import KeyKind, Keyset
from tests.gateway.auditor.year import Bare

ENTRIES = 3000


@dataclass(frozen=True)
class Told:
    """A bundle of an invented year, and the auditor's folder."""

    bundle: Path
    options: list[str]
    ring: OpeningRing
    number: str
    subject: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    root = tmp_path_factory.mktemp("year")
    (root / "auditor").mkdir(mode=0o700)
    (root / "pass").write_bytes(b"the auditor's own")
    (root / "pass").chmod(0o600)
    custody = FileCustody.create(
        root / "auditor" / "kek.json", b"the auditor's own", Argon2Cost(64, 1, 1)
    )
    auditor = Keyset.create_auditor(BEGINS, "CAN", custody)
    auditor.save(root / "auditor" / "keyset.json")
    public = auditor.primary(KeyKind.AUDIT).public
    gateway = Keyset.create(BEGINS, "CAN", Bare(), audit_public=public)
    synthetic_year.write(root / "year.bundle", ENTRIES, gateway)
    lines = [("subject", "sex", "age_band", "region"), *subjects(Random(6))]
    (root / "groups.csv").write_text("".join(",".join(each) + "\n" for each in lines))
    key = ["--key", str(root / "auditor"), "--key-passphrase-file", str(root / "pass")]
    options = ["--bundle", str(root / "year.bundle"), *key]
    ring = auditor.audit_ring()
    with Archive.open(root / "year.bundle") as ledger_archive, Index.passing() as index:
        index.extend(ArchiveSource(ledger_archive), ring)
        wanted = (
            "SELECT number, subject FROM exchanges WHERE true_outcome = 'MATCH' AND operation <> ''"
        )
        number, subject = index.rows(f"{wanted} ORDER BY idx DESC LIMIT 1")[0]
    return Told(root / "year.bundle", options, ring, number, subject)


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


def test_an_invented_year_is_a_whole_ledger(told: Told) -> None:
    with Archive.open(told.bundle) as ledger_archive:
        report = verify_archive(ledger_archive, ArchiveSource(ledger_archive).log)

    assert report.ok, report.findings
    assert report.findings == ()
    assert ENTRIES <= report.size <= ENTRIES + 10


def test_the_same_seed_tells_of_the_same_year() -> None:
    one, two, other = (list(Life(Random(seed), 300).groups()) for seed in (1, 1, 2))

    assert one == two
    assert one != other


def test_what_was_shredded_in_the_year_is_in_no_index(told: Told) -> None:
    with Archive.open(told.bundle) as ledger_archive, Index.passing() as index:
        index.extend(ArchiveSource(ledger_archive), told.ring)
        gone = [
            held.index for held in ledger_archive.held() if held.ciphertext and not held.sealed_dek
        ]
        kept = {row[0] for row in index.rows("SELECT idx FROM details")}

    assert gone
    assert kept.isdisjoint(gone)


@pytest.mark.parametrize(
    ("question", "least"),
    [
        *((f"explain TXN --only {only}", 0) for only in ("who", "purpose", "content")),
        *((f"explain TXN --only {only}", 0) for only in ("calibration", "keys", "review")),
        ("destruction", 500),
        ("destruction TXN", 1),
        ("subject S-PERSON --lang en,fr --out PACK", 1),
        ("refusals --since 2026-01-01", 30),
        ("quota --since 2026-01-01 --partner AUS", 30),
        ("corrections --since 2026-01-01 --late", 0),
        ("recall minutiae@1", 100),
        ("anomalies --since 2026-01-01 --hours 8-18", 10),
        ("rates --by sex,age_band,region --since 2026-01-01 --groups GROUPS", 50),
        ("changes --before TXN --window 14d", 1),
    ],
)
def test_each_question_is_answered_by_its_one_command(
    told: Told, tmp_path: Path, question: str, least: int
) -> None:
    """law.md section 9; question 14 is `ledger verify`, and is asked above."""
    meant = {
        "TXN": told.number,
        "S-PERSON": f"S-{told.subject}",
        "PACK": tmp_path / "pack",
        "GROUPS": told.bundle.with_name("groups.csv"),
    }

    code, answer = run(
        "audit", *(meant.get(word, word) for word in question.split()), *told.options
    )

    assert code in {0, 1}, answer
    if question.startswith("explain"):
        only = question.rsplit(maxsplit=1)[-1]
        assert answer["answers"][only] or only == "review"
    else:
        assert len(answer["rows"]) >= least
        assert answer["sealed"] is False


def test_a_person_is_named_to_a_bundle_by_number_alone(told: Told, tmp_path: Path) -> None:
    code, answer = run("audit", "subject", "F-17", "--out", tmp_path / "pack", *told.options)

    assert code == 2
    assert "S-…" in answer["error"]["message"]
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    "words",
    [
        *(
            ("rates", "--by", "shoe"),
            ("rates", "--by", "sex,sex"),
            ("anomalies", "--hours", "25-3"),
        ),
        *(("anomalies", "--cases", "nowhere"), ("subject", "S-1", "--out", "x", "--lang", "de")),
        ("subject", "--out", "x"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_its_remedy(told: Told, words: tuple[str]) -> None:
    code, answer = run("audit", *words, *told.options)

    assert code == 2
    assert "error" in answer


def test_leaves_of_the_year_name_nobody(told: Told) -> None:
    with Archive.open(told.bundle) as ledger_archive:
        frames = [decode(held.leaf) for held in ledger_archive.held()]

    assert not any(frame.subject_reference.startswith("S-") for frame in frames)


@pytest.mark.parametrize("question", ["destruction", "recall minutiae@1"])
def test_what_is_shown_counted_and_written_as_csv_are_the_same_rows(
    told: Told, tmp_path: Path, question: str
) -> None:
    """As many rows as exchanges stay in the index until they are written; none may be lost on either way out."""
    file = tmp_path / "rows.csv"

    _, answer = run("audit", *question.split(), "--csv", file, *told.options)

    with file.open(newline="", encoding="utf-8") as stream:
        names, *lines = csv.reader(stream)
    shown = [list(row.values()) for row in answer["rows"]]
    assert [["" if cell is None else str(cell) for cell in row] for row in shown] == lines
    assert names == list(answer["rows"][0])
    assert len(lines) in answer["totals"].values()
    assert [row["leaf"] for row in answer["rows"]] == sorted(row["leaf"] for row in answer["rows"])
