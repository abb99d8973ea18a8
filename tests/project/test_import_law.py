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
PORT = "the matcher is met only behind the port, and by exercises that measure it"
KEYS = "keys know nothing of queries and log nothing"
DECODERS = "decoders of pictures are met only by what the child process runs"
CHILD = "what the child process runs is imported nowhere else"
IMAGES = "images know no keys, no law and no wire"
LAW = "the law and the domain are pure: values in, a decision out"
VERIFICATION = "verification of a ledger needs cryptography and protobuf only"
CLIENT = "the partner's client needs no gateway"
LAYERS = "packages are layered, and no two of one layer import each other"
GENERATED = "generated code is met only by codecs and RPC servicers"
SEQUENCER = "only services append to the ledger"
WHOLE = "nobody but the life cycle takes the whole gateway"
NO_GRPC = "gRPC is met only by the server, the client and the exercises"
SQL = "SQL is met only in the store"
DATABASE = "one module meets the concrete database"
AUDITOR = "the auditor's tools need no gateway: an index of their own, and what was handed over"
EXERCISES = "what a ministry installs needs no exercises"
CIRCLES = "no circle, not even of types"
TUF = "TUF is met where the directory is published, and where a partner's is read"

# (contract, the module that trespasses, the line that it gains)
TRESPASSES = (
    (ARITHMETIC, "matcher.finger.template", "import gateway.domain.messages"),
    (ARITHMETIC, "matcher.finger.probe", "import keys.pae"),
    (ARITHMETIC, "matcher.calibration", "import pathlib"),
    (ARITHMETIC, "matcher.finger.gallery", "import time"),
    (ARITHMETIC, "matcher.finger.synthetic", "from datetime import datetime"),
    (PORT, "gateway.exchange.query", "import matcher.calibration"),
    (PORT, "gateway.subjects.enrolment", "import matcher.finger.probe"),
    (KEYS, "keys.envelope", "import gateway.errors"),
    (KEYS, "keys.keyset", "import logging"),
    (KEYS, "keys.custody", "import time"),
    (KEYS, "keys.signatures", "import numpy"),
    (DECODERS, "gateway.extraction.service", "import PIL.Image"),
    (CHILD, "gateway.extraction.service", "import gateway.extraction.pixels"),
    (PORT, "gateway.sample_files.containers.image", "import matcher.finger.record_fmr"),
    (IMAGES, "gateway.sample_files.containers.image", "import keys.pae"),
    (LAW, "gateway.law.query_policy", "from random import random"),
    (LAW, "gateway.law.agreement", "import keys.signatures"),
    (LAW, "gateway.domain.messages", "import numpy"),
    (LAW, "gateway.errors", "import grpc"),
    (VERIFICATION, "gateway.ledger.verify", "import sqlalchemy"),
    (VERIFICATION, "gateway.ledger.merkle", "import numpy"),
    (AUDITOR, "gateway.auditor", "import gateway.store.ledger.stored_ledger"),
    (AUDITOR, "gateway.auditor", "import grpc"),
    (CLIENT, "gateway.client", "import gateway.store.exchange.transactions"),
    (CLIENT, "gateway.client", "import gateway.law.agreement"),
    (CLIENT, "gateway.client", "import matcher.finger.record_fmr"),
    (LAYERS, "gateway.wire.signed_envelope", "import gateway.exchange.query"),
    (LAYERS, "gateway.exchange.capabilities", "import gateway.subjects.enrolment"),
    (LAYERS, "gateway.law.query_policy", "import gateway.ledger.entry"),
    (LAYERS, "gateway.domain.messages", "import gateway.errors"),
    (LAYERS, "gateway.server.application", "import gateway.exercises.demo.scenario"),
    (LAYERS, "gateway.store.people.subjects", "import gateway.wire.signed_envelope"),
    (GENERATED, "gateway.exchange.query", "import gateway.v1.exchange_pb2"),
    (GENERATED, "gateway.ledger.proof", "import gateway.v1.types_pb2"),
    (SEQUENCER, "gateway.server.rpc.exchange", "import gateway.store.ledger.sequencer"),
    (SEQUENCER, "gateway.exercises.demo.scenario", "import gateway.store.ledger.sequencer"),
    (WHOLE, "gateway.server.rpc.admin", "import gateway.server.application"),
    (WHOLE, "gateway.server.workers.tiles", "import gateway.server.services"),
    (NO_GRPC, "gateway.exchange.pipeline", "import grpc"),
    (NO_GRPC, "gateway.trust.partners", "import grpc"),
    (NO_GRPC, "gateway.keymanagement.rotation", "import grpc"),
    (LAYERS, "gateway.casework.reviews", "import gateway.agreements.active"),
    (LAYERS, "gateway.monitoring.expiry", "import gateway.admin.staff"),
    (EXERCISES, "gateway.cli.home.init", "import gateway.exercises.demo.scenario"),
    (CIRCLES, "gateway.trust.endpoints", "import gateway.trust.bundle"),
    (CIRCLES, "matcher.finger.template", "import matcher.finger.gallery"),
    (TUF, "gateway.client.partner", "import tuf.ngclient"),
    (TUF, "keys.keyset", "import securesystemslib"),
    (SQL, "gateway.exchange.query", "import sqlalchemy"),
    (SQL, "gateway.cli.main", "import alembic"),
    (DATABASE, "gateway.server.application", "import gateway.store.sqlite"),
    (DATABASE, "gateway.store.ledger.sequencer", "import gateway.store.sqlite"),
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
