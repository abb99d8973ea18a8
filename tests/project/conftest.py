"""The repository as the tests of the gateway see it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "matcher", "keys")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> tuple[Path, ...]:
    """Return the files that git holds, or every file of ours where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    files = tuple(ROOT / name for name in names if name and (ROOT / name).is_file())
    if not files:
        pytest.skip("not a git checkout: nobody can say which files are ours")
    return files


@pytest.fixture(scope="session")
def sources() -> tuple[Path, ...]:
    """Return the hand-written modules of the three packages."""
    return tuple(
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if (ROOT / "gateway" / "v1") not in path.parents
    )
