"""`ledger export` and `ledger verify BUNDLE`, as an auditor types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli.main import app


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


def export(archive: Any, out: Path, *more: str) -> tuple[int, Any]:
    words = ("--as", archive.root / "a1", "--passphrase-file", archive.root / "house.pass")
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
