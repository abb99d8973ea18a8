"""The import law holds, and each of its contracts is awake: a deliberate trespass breaks it."""

from __future__ import annotations

import os
import re
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
    (ARITHMETIC, "matcher.finger.template", "import gateway.terms"),
    (ARITHMETIC, "matcher.finger.probe", "import keys.pae"),
    (ARITHMETIC, "matcher.calibration", "import pathlib"),
    (ARITHMETIC, "matcher.finger.gallery", "import time"),
    (ARITHMETIC, "matcher.finger.synthetic", "from datetime import datetime"),
    (SECRETS, "keys.envelope", "import gateway.errors"),
    (SECRETS, "keys.keyset", "import logging"),
    (SECRETS, "keys.custody", "import time"),
    (SECRETS, "keys.signatures", "import numpy"),
    (LAW, "gateway.law.policy", "from random import random"),
    (LAW, "gateway.law.agreement", "import keys.signatures"),
    (LAW, "gateway.terms", "import numpy"),
    (LAW, "gateway.errors", "import grpc"),
    (AUDITOR, "gateway.audit.verify", "import sqlalchemy"),
    (AUDITOR, "gateway.audit.tree", "import numpy"),
    (DESK, "gateway.auditor", "import gateway.store.ledger"),
    (DESK, "gateway.auditor", "import grpc"),
    (CLIENT, "gateway.client", "import gateway.store.transactions"),
    (CLIENT, "gateway.client", "import gateway.law.agreement"),
    (CLIENT, "gateway.client", "import matcher.finger.record_fmr"),
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


def copied(root: Path, folder: Path) -> Path:
    """Copy the three packages and the contracts into `folder`."""
    for package in PACKAGES:
        shutil.copytree(
            root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(root / "pyproject.toml", folder)
    return folder


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


def trespass(module: str, line: str, folder: Path) -> str:
    """Give a module one import too many; return a pattern of how the linter names it: by module and line."""
    trespasser = source_of(module, folder)
    text = f"{trespasser.read_text(encoding='utf-8')}\n{line}\n"
    trespasser.write_text(text, encoding="utf-8")
    return rf"^- +{re.escape(module)} -> \S+ \(l\.{len(text.splitlines())}\)$"


@pytest.fixture(scope="module")
def together(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """Commit every trespass in one copy; return what each is named, by module and line, and what was said."""
    folder = copied(root, tmp_path_factory.mktemp("trespasses"))
    named = {f"{module}: {line}": trespass(module, line, folder) for _, module, line in TRESPASSES}
    run = lint(folder)
    assert run.returncode != 0
    return named, run.stdout


@pytest.mark.parametrize(
    "breach", TRESPASSES, ids=[f"{module}: {line}" for _, module, line in TRESPASSES]
)
def test_a_trespass_is_seen(
    breach: tuple[str, str, str],
    together: tuple[dict[str, str], str],
    root: Path,
    tmp_path: Path,
) -> None:
    """One import too many, in a copy of the tree, breaks the contract that forbids it.

    All of them are tried in one run; where a longer way hides one there, it is tried alone.
    """
    contract, module, line = breach
    named, said = together
    section = said.partition(f"\n{contract}\n---")[2].partition("\n---")[0]
    if re.search(named[f"{module}: {line}"], section, re.MULTILINE):
        return

    alone = copied(root, tmp_path)
    trespass(module, line, alone)
    run = lint(alone)

    assert run.returncode != 0
    assert f"{contract} BROKEN" in run.stdout, run.stdout + run.stderr


def test_every_contract_has_a_trespass(root: Path) -> None:
    """A contract that nothing can break guards nothing."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {each["name"] for each in settings["tool"]["importlinter"]["contracts"]}

    assert contracts == {contract for contract, _, _ in TRESPASSES}
