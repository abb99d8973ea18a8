"""What the kit's tests share: records in the layout that the demonstration reads, and a command to run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from matcher import synthetic

Passerelle = Callable[..., subprocess.CompletedProcess[str]]
Shelve = Callable[..., Path]


@pytest.fixture(scope="session")
def passerelle() -> Passerelle:
    """Return what runs `passerelle` in a process of its own, in a folder."""

    def run(*words: str | Path, at: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from gateway.cli.main import app; app()", *map(str, words)],
            cwd=at,
            env={name: value for name, value in os.environ.items() if name != "PASSERELLE_SHARED"},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=240,
        )

    return run


@pytest.fixture
def shelve(tmp_path: Path) -> Shelve:
    """Return what writes records `<finger>_<impression>.fmr` of people who do not exist."""

    def write(
        below: str, fingers: int = 4, impressions: int = 2, position: int = 0, first: int = 0
    ) -> Path:
        folder = tmp_path / "records" / below
        folder.mkdir(parents=True)
        for number in range(fingers):
            who = synthetic.person(first + number)
            for impression in range(1, impressions + 1):
                minutiae = synthetic.impression(who, 2, impression)
                path = folder / f"{101 + number}_{impression}.fmr"
                path.write_bytes(synthetic.record(minutiae, position))
        return tmp_path / "records"

    return write
