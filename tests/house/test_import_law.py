"""The import law holds, and each of its contracts is awake: a deliberate trespass breaks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

LINT = Path(sys.executable).parent / "lint-imports"
PACKAGES = ("gateway", "matcher", "keys")

ARITHMETIC = "matcher is arithmetic: no wire, no keys, no disk, no clock"
SECRETS = "keys know nothing of queries, and tell nobody"
LAW = "law is pure: values in, a decision out"
AUDITOR = "an auditor needs no house: cryptography and protobuf suffice"
CLIENT = "a partner carries away the client, not the house"
FLOORS = "the rooms, from street to cellar"
GENERATED = "generated code is met only at the wire and the doors"
PEN = "one pen: only those who act may hold the sequencer"
NO_GRPC = "the exchange has never heard of gRPC"
SQL = "SQL is met in one room"
DESK = "an auditor's desk needs no house either: an index of its own, and what was handed to it"
TUF = "TUF is met where the directory is published, and where a partner's is read"

# (contract, the module that trespasses, the line that it gains)
TRESPASSES = (
    (ARITHMETIC, "matcher.template", "import gateway.terms"),
    (ARITHMETIC, "matcher.probe", "import keys.pae"),
    (ARITHMETIC, "matcher.calibration", "import pathlib"),
    (ARITHMETIC, "matcher.gallery", "import time"),
    (ARITHMETIC, "matcher.synthetic", "from datetime import datetime"),
    (SECRETS, "keys.envelope", "import gateway.errors"),
    (SECRETS, "keys.keyset", "import logging"),
    (SECRETS, "keys.custody", "import time"),
    (SECRETS, "keys.sign", "import numpy"),
    (LAW, "gateway.law.policy", "from random import random"),
    (LAW, "gateway.law.agreement", "import keys.sign"),
    (LAW, "gateway.terms", "import numpy"),
    (LAW, "gateway.errors", "import grpc"),
    (AUDITOR, "gateway.audit.verify", "import sqlalchemy"),
    (AUDITOR, "gateway.audit.tree", "import numpy"),
    (DESK, "gateway.auditor", "import gateway.store.ledger"),
    (DESK, "gateway.auditor", "import grpc"),
    (CLIENT, "gateway.client", "import gateway.store.transactions"),
    (CLIENT, "gateway.client", "import gateway.law.agreement"),
    (CLIENT, "gateway.client", "import matcher.fmr"),
    (FLOORS, "gateway.wire.letters", "import gateway.exchange.query"),
    (FLOORS, "gateway.exchange.standing", "import gateway.office.registry"),
    (FLOORS, "gateway.law.policy", "import gateway.audit.entry"),
    (FLOORS, "gateway.terms", "import gateway.errors"),
    (FLOORS, "gateway.server.house", "import gateway.kit.demo"),
    (FLOORS, "gateway.store.subjects", "import gateway.wire.letters"),
    (GENERATED, "gateway.exchange.query", "import gateway.v1.exchange_pb2"),
    (GENERATED, "gateway.audit.proof", "import gateway.v1.types_pb2"),
    (PEN, "gateway.server.services", "import gateway.store.sequencer"),
    (PEN, "gateway.kit.demo", "import gateway.store.sequencer"),
    (NO_GRPC, "gateway.exchange.transaction", "import grpc"),
    (NO_GRPC, "gateway.directory", "import grpc"),
    (TUF, "gateway.client.partner", "import tuf.ngclient"),
    (TUF, "keys.keyset", "import securesystemslib"),
    (SQL, "gateway.exchange.query", "import sqlalchemy"),
    (SQL, "gateway.cli.main", "import alembic"),
)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """Return a copy of the three packages and of the contracts."""
    for package in PACKAGES:
        shutil.copytree(
            root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the import law over `folder`; its packages come first on the path."""
    return subprocess.run(
        [LINT, "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def source_of(module: str, folder: Path) -> Path:
    """Return the file of `module` under `folder`."""
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_the_import_law_holds(root: Path) -> None:
    """Every room keeps to what it may know (docs/architecture.md)."""
    run = lint(root)

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("contract", "module", "line"), TRESPASSES, ids=[f"{m}: {t}" for _, m, t in TRESPASSES]
)
def test_a_trespass_is_seen(contract: str, module: str, line: str, copy: Path) -> None:
    """One import too many, in a copy of the tree, breaks the contract that forbids it."""
    trespasser = source_of(module, copy)
    trespasser.write_text(f"{trespasser.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")

    run = lint(copy)

    assert run.returncode != 0
    assert f"{contract} BROKEN" in run.stdout, run.stdout + run.stderr


def test_every_contract_has_a_trespass(root: Path) -> None:
    """A contract that nothing can break guards nothing."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {each["name"] for each in settings["tool"]["importlinter"]["contracts"]}

    assert contracts == {contract for contract, _, _ in TRESPASSES}
