"""What a process and all that it started took of the processors, whoever still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.exercises import process_tree

TICKS = os.sysconf("SC_CLK_TCK")


def entry(proc: Path, pid: int, parent: int, ticks: tuple[int, int, int, int], name: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    before = f"{parent} 1 1 0 -1 4194304 900 0 0 0"
    (folder / "stat").write_text(
        f"{pid} ({name}) S {before} {' '.join(map(str, ticks))} 20 0 1 0\n"
    )


def test_descendants_count_and_strangers_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    entry(tmp_path, 10, 1, (1, 2, 4, 8), "server")
    entry(tmp_path, 11, 10, (16, 0, 0, 0), "a worker) S 99 (")
    entry(tmp_path, 12, 11, (0, 32, 0, 0), "its child")
    entry(tmp_path, 13, 1, (10**6, 0, 0, 0), "a stranger")

    assert process_tree.processor_seconds(10) == 63 / TICKS
    assert process_tree.processor_seconds(12, 11) == 48 / TICKS  # each once


def test_of_a_process_that_is_gone_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    entry(tmp_path, 10, 1, (1, 2, 4, 8), "server")

    assert process_tree.processor_seconds(10, 99) is None


def test_the_time_of_a_child_stays_when_the_child_is_gone() -> None:
    work = "sum(number * number for number in range(3_000_000))"
    before = process_tree.processor_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", work], check=True)
    after = process_tree.processor_seconds(os.getpid())

    assert before is not None
    assert after is not None
    assert after > before


def test_memory_that_processes_share_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "PROC", tmp_path)
    for pid, parent, share in ((10, 1, 300), (11, 10, 200), (13, 1, 9000)):
        entry(tmp_path, pid, parent, (1, 1, 0, 0), "server")
        rollup = f"00400000-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 4000 kB\nPss: {share} kB\n"
        (tmp_path / str(pid) / "smaps_rollup").write_text(rollup)

    assert process_tree.memory_bytes(10) == 500 * 1024
    assert process_tree.memory_bytes(99) is None
