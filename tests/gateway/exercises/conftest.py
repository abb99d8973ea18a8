"""What the kit's tests share: records in the layout that the demonstration reads, and a command to run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.client import Answer
from gateway.domain.messages import Outcome, Receipt, Result
from gateway.exercises.demo.people import Person
from gateway.exercises.demo.queries import AskedQuery
from matcher.finger import synthetic
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
Passerelle = Callable[..., subprocess.CompletedProcess[str]]
Shelve = Callable[..., Path]


@pytest.fixture(scope="session")
def passerelle() -> Passerelle:
    """Return what runs `passerelle` in a process of its own, in a folder; with cheap passphrases unless `real`."""

    def run(*words: str | Path, at: Path, real: bool = False) -> subprocess.CompletedProcess[str]:
        start = "gateway.cli.main import app" if real else "tests.cheap import command as app"
        environment = {k: v for k, v in os.environ.items() if k != "PASSERELLE_SHARED"}
        return subprocess.run(
            [sys.executable, "-c", f"from {start}; app()", *map(str, words)],
            cwd=at,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
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


@pytest.fixture(scope="session")
def asked() -> Callable[..., AskedQuery]:
    """Return what makes a question about somebody and its answer, as if it had been asked."""
    return answered


def answered(person: Person, outcome: Outcome, number: str = "N-1", size: int = 8873) -> AskedQuery:
    result = Result(
        outcome=outcome,
        decide_time=datetime.now(UTC),
        request_leaf_hash=bytes(32),
        hit_reference=bytes(16) if outcome is Outcome.MATCH else b"",
    )
    answer = Answer(
        outcome=outcome,
        result=result,
        transaction_number=number,
        receipt=Receipt(b"leaf", b"proof"),
        receipt_index=7,
        checkpoint_size=8,
        envelope_size=size,
        attempts=1,
        seconds=0.05,
        crypto_seconds=0.003,
    )
    return AskedQuery(person, 2, answer, "", 0.05)
