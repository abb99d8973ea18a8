"""The measurement of the ledger measures a ledger: filled, whole, and with receipts that verify."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.exercises.crashtest import throughput


def test_the_bench_says_what_it_measured(tmp_path: Path) -> None:
    words = ("bench", "ledger", "--entries", "300", "--seconds", "0.2", "--json")
    done = CliRunner().invoke(
        app, (*words, "--workdir", str(tmp_path / "b")), prog_name="passerelle"
    )

    said: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == 0, said
    assert said["verified"]
    assert said["entries"] >= 300
    assert all(value for value in said.values())
    assert not (tmp_path / "b").exists()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "ledger.db"
    throughput.fill(path, 200, lambda _: None)
    return path


def test_what_is_filled_is_a_ledger_of_every_kind_of_row(filled: Path) -> None:
    found = throughput.verify(filled)

    assert found.ok
    assert found.entries == 252  # whole batches of whole exchanges
    assert found.peak_mib > 1
    with closing(sqlite3.connect(filled)) as shell:
        for table in ("leaves", "details", "detail_keys"):
            assert shell.execute(f"SELECT count(*) FROM {table}").fetchone() == (252,)  # noqa: S608 - names are ours
        assert shell.execute("SELECT count(*) FROM checkpoints").fetchone() == (4,)


def test_a_ledger_that_is_not_whole_is_no_measurement(filled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(filled.read_bytes())
    copy.chmod(0o600)
    with closing(sqlite3.connect(copy)) as shell:
        shell.execute("UPDATE leaves SET leaf_hash = zeroblob(32) WHERE idx = 7")
        shell.commit()

    assert not throughput.verify(copy).ok


def test_one_flush_for_each_entry_is_what_group_one_means(tmp_path: Path) -> None:
    found = throughput.write(tmp_path, 0.1, group=1, callers=4)

    with closing(sqlite3.connect(tmp_path / "written-1.db")) as shell:
        (entries,) = shell.execute("SELECT count(*) FROM leaves").fetchone()
        (commits,) = shell.execute("SELECT count(*) FROM checkpoints").fetchone()
    assert entries == commits > 0
    assert found.per_s > 0
