"""A fresh machine: whatever is missing, the message names the remedy; half an environment is made whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def install(root: Path, python: str, venv: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "deploy/install.sh", python, venv],
        cwd=root,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def fake(path: Path, script: str) -> str:
    """Write an executable that stands for a Python."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def stub(root: Path, tmp_path: Path) -> Path:
    """Return a folder with the installer, a lock that nothing satisfies, and no packages."""
    shutil.copytree(root / "deploy", tmp_path / "deploy")
    nowhere = f"no-such-distribution-of-ours==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    (tmp_path / "requirements.lock").write_text(nowhere, encoding="utf-8")
    return tmp_path


def test_no_python_is_told(stub: Path) -> None:
    run = install(stub, "no-such-python", stub / "venv")

    assert run.returncode != 0
    assert "make PYTHON=" in run.stderr


def test_an_old_python_is_told(stub: Path) -> None:
    old = "import sys; sys.version_info = (3, 9, 1); exec(open('deploy/require_python.py').read())"
    python = fake(stub / "python", f'exec "{sys.executable}" -c "{old}"')

    run = install(stub, python, stub / "venv")

    assert run.returncode != 0
    assert "this is Python 3.9 and 3.11 or later is needed" in run.stderr


def test_a_python_without_venv_is_told(stub: Path) -> None:
    """Debian and Ubuntu ship Python without it."""
    python = fake(stub / "python", f'[ "$1" = -c ] && exit 1; exec "{sys.executable}" "$@"')

    run = install(stub, python, stub / "venv")

    assert run.returncode != 0
    assert "apt install python3-venv" in run.stderr


@pytest.mark.slow
def test_half_an_environment_is_made_whole_and_no_network_is_told(stub: Path) -> None:
    """An interrupted run leaves a folder without pip; it is made anew. Then the lock cannot be had."""
    (stub / "venv" / "bin").mkdir(parents=True)
    leftover = stub / "venv" / "leftover"
    leftover.touch()

    run = install(stub, sys.executable, stub / "venv", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)

    assert run.returncode != 0
    assert not leftover.exists()
    assert (stub / "venv" / "bin" / "python").exists()
    assert "Without a network" in run.stderr


def test_continuous_integration_runs_what_we_run(root: Path) -> None:
    """`.ci/run` is `make test` and nothing after it, so that the last lines are pytest's summary."""
    script = root / ".ci" / "run"
    last = script.read_text(encoding="utf-8").rstrip().splitlines()[-1]

    assert os.access(script, os.X_OK)
    assert last == "exec make --no-print-directory test </dev/null"
