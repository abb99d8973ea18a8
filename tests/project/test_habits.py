"""The habits of `make check`, each a test, so that one command says everything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

BIN = Path(sys.executable).parent
SOURCES = ("gateway", "matcher", "keys", "tests", "deploy")


def run(root: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )


def test_ruff_finds_nothing(root: Path) -> None:
    found = run(root, BIN / "ruff", "check", "--quiet", *SOURCES)

    assert found.returncode == 0, found.stdout + found.stderr


def test_every_file_is_formatted(root: Path) -> None:
    found = run(root, BIN / "ruff", "format", "--check", *SOURCES)

    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_types_are_strict_and_hold(root: Path) -> None:
    """`mypy --strict` over gateway, matcher and keys, with the settings of pyproject.toml."""
    found = run(root, BIN / "mypy")

    assert found.returncode == 0, found.stdout + found.stderr


def test_generated_code_is_what_protoc_makes(root: Path) -> None:
    found = run(root, "sh", "deploy/proto-current.sh", str(BIN))

    assert found.returncode == 0, found.stdout + found.stderr


def test_the_wire_contract_is_clean_and_takes_nothing_back(root: Path) -> None:
    """`buf lint` with STANDARD and COMMENTS, `buf breaking` with FILE, against what was promised before."""
    if shutil.which("npx") is None:
        pytest.skip("npx is not installed: proto lint and break check were not run")

    found = run(root, "sh", "deploy/buf.sh")

    assert found.returncode == 0, found.stdout + found.stderr
    if "buf: SKIPPED: npx" in found.stdout:
        pytest.skip(found.stdout.strip())
