"""`ledger export` and `ledger verify BUNDLE`, as an auditor types them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


def export(archive: Any, out: Path, *more: str) -> tuple[int, Any]:
    words = ("--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass")
    return run("ledger", "export", archive.home, "-o", out, "--reason", "a test", *words, *more)


def test_a_ledger_is_exported_and_verified_elsewhere(archive: Any, tmp_path: Path) -> None:
    out = tmp_path / "whole.bundle"

    code, told = export(archive, out)
    assert code == 0, told
    code, report = run("ledger", "verify", out, "--party", archive.home / "party.json")

    assert (code, report["ok"], report["size"]) == (0, True, told["size"])
    assert told["first"] == 0


def test_the_export_itself_is_recorded_first(archive: Any, tmp_path: Path) -> None:
    _, first = export(archive, tmp_path / "one")
    _, second = export(archive, tmp_path / "two")

    assert second["size"] > first["size"]


def test_a_bundle_is_never_written_over_another(archive: Any, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    out.write_bytes(b"kept")

    code, told = export(archive, out)

    assert code == 2
    assert "never written over" in told["error"]["message"]
    assert out.read_bytes() == b"kept"


def test_a_bundle_of_another_owner_is_refused(archive: Any) -> None:
    code, report = run(
        "ledger", "verify", archive.bundle, "--party", archive.root / "aus" / "party.json"
    )

    assert code == 1
    assert not report["ok"]


def test_a_flipped_byte_is_found(archive: Any, tmp_path: Path) -> None:
    octets = bytearray(archive.bundle.read_bytes())
    octets[octets.index(b"entries/00000000") + 2000] ^= 1
    (tmp_path / "bundle").write_bytes(octets)

    code, report = run("ledger", "verify", tmp_path / "bundle")

    assert code == 1
    assert any("damaged" in finding["text"] for finding in report["findings"])


@pytest.mark.parametrize("scheme", ["", "file:"])
def test_the_history_of_a_transaction_out_of_a_bundle(archive: Any, scheme: str) -> None:
    _, folder, *passphrase = archive.as_auditor
    key = ("--key", f"{scheme}{folder}", *passphrase)
    code, told = run("audit", "explain", archive.matched, "--bundle", archive.bundle, *key)

    assert code == 0, told
    rules = {line["value"]: line["paragraph"] for line in told["answers"]["decision"]}
    assert "IRPR 315.41(1)(a)" in rules.values()
    assert (archive.bundle.parent / "whole.bundle.index").exists()


def test_a_bundle_and_a_gateway_show_the_same_history(archive: Any) -> None:
    live = ("--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass")
    words = ("--reason", "a test", *live, *archive.as_auditor)

    there = run("audit", "explain", archive.matched, "--bundle", archive.bundle, *words)
    here = run("audit", "explain", archive.home, archive.matched, *words)

    assert there == here


def test_what_was_refused_and_masked_is_listed(archive: Any, tmp_path: Path) -> None:
    code, told = run(
        *("audit", "refusals", "--bundle", archive.bundle, "--csv", tmp_path / "refused.csv"),
        *archive.as_auditor,
    )

    assert code == 0, told
    row = next(row for row in told["rows"] if row["transaction"] == archive.refused)
    assert (row["what"], row["reason"]) == ("refused", "PURPOSE_NOT_PERMITTED")
    lines = (tmp_path / "refused.csv").read_text().splitlines()
    assert lines[0].startswith("time,partner,direction,transaction")
    assert len(lines) == 1 + len(told["rows"])
    assert stat.S_IMODE((tmp_path / "refused.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "words",
    [
        ("refusals", "--csv"),
        ("report", "--from", "2026-01-01", "--to", "2026-12-31", "-o"),
    ],
)
def test_no_answer_is_written_over_a_file(
    archive: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Whose name is mistyped by one letter may be the evidence."""
    evidence = tmp_path / "year.bundle"
    evidence.write_bytes(b"evidence")

    code, told = run("audit", *words, evidence, "--bundle", archive.bundle, *archive.as_auditor)

    assert (code, "there already" in told["error"]["message"]) == (2, True), told
    assert evidence.read_bytes() == b"evidence"


def test_a_report_of_a_thousand_years_is_not_begun(archive: Any, tmp_path: Path) -> None:
    ever = ("--from", "1026-01-01", "--to", "2026-12-31", "-o", tmp_path / "report.html")
    code, told = run("audit", "report", "--bundle", archive.bundle, *ever, *archive.as_auditor)

    assert (code, "ten years" in told["error"]["message"]) == (2, True), told


def test_quota_use_is_counted(archive: Any) -> None:
    code, told = run("audit", "quota", "--bundle", archive.bundle, *archive.as_auditor)

    assert code == 0, told
    rows = [(row["partner"], row["purpose"], row["used"]) for row in told["rows"]]
    assert rows == [("AUS", "VISA_PERMIT_BENEFIT", 2), ("AUS", "ALL", 2)]
    assert (told["rows"][1]["agreed_per_day"], told["rows"][1]["agreed_per_year"]) == (4384, 400000)


def test_every_destruction_has_its_receipt(archive: Any) -> None:
    code, told = run("audit", "destruction", "--bundle", archive.bundle, *archive.as_auditor)

    assert (code, len(told["rows"])) == (0, 2)
    assert all(row["receipt"].startswith("D-") for row in told["rows"])
    assert all(row["before_answer_ms"] >= 0 for row in told["rows"])


def test_answers_of_a_calibration_are_recalled(archive: Any) -> None:
    _, told = run("audit", "recall", "nothing@9", "--bundle", archive.bundle, *archive.as_auditor)
    name = told["error"]["message"].rpartition("there are: ")[2]

    code, told = run("audit", "recall", name, "--bundle", archive.bundle, *archive.as_auditor)

    assert code == 0, told
    assert told["totals"] == {"answers": 2, "matches": 1}


def test_who_changed_something_just_before(archive: Any) -> None:
    code, told = run(
        *("audit", "changes", "--before", archive.matched, "--bundle", archive.bundle),
        *archive.as_auditor,
    )

    assert code == 0, told
    assert {"START", "STAFF"} <= {row["what"].split()[0] for row in told["rows"]}


def test_no_correction_is_late_where_there_is_none(archive: Any) -> None:
    code, told = run("audit", "corrections", "--late", "--bundle", archive.bundle)

    assert (code, told["rows"], told["sealed"]) == (0, [], True)


def test_a_live_gateway_records_who_asked(archive: Any) -> None:
    live = ("--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass")

    code, told = run("audit", "refusals", archive.home, *live, "--reason", "a test")
    assert code == 0, told
    _, unsaid = run("audit", "refusals", archive.home, *live)

    assert "--reason" in unsaid["error"]["message"]


def test_neither_gateway_nor_bundle_is_no_question() -> None:
    code, told = run("audit", "refusals")

    assert code == 2
    assert "--bundle FILE" in told["error"]["message"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--partner", "XXX"), "no entry names XXX; the ledger knows "),
        (("--since", "2026-11-30", "--until", "2026-11-29"), "--until is before --since"),
    ],
)
def test_what_cannot_be_asked_is_no_answer(archive: Any, words: tuple[str, ...], why: str) -> None:
    """Nothing found of a partner that nobody knows, or in a time that is none, would pass for one."""
    code, told = run("audit", "quota", "--bundle", archive.bundle, *archive.as_auditor, *words)

    assert code == 2
    assert why in told["error"]["message"]
