"""The wheel: what is installed is all that the house needs, and nothing more."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("gateway", "matcher", "keys")
CODE = {".py", ".pyi", ".pyc"}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Build the wheel without a network and return the names that it holds."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, root),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return frozenset(archive.namelist())


def files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_file_of_the_packages_travels(root: Path, wheel: frozenset[str]) -> None:
    """Agreements, migrations, vectors and calibration are data; a wheel without them starts nothing."""
    assert files(root) - wheel == set()


@pytest.mark.parametrize(
    ("folder", "ending"),
    [
        ("gateway/law/agreements/", ".toml"),
        ("gateway/store/migrations/", ".py"),
        ("keys/vectors/", ".json"),
        ("matcher/", "calibration.json"),
    ],
)
def test_the_data_is_there_by_name(folder: str, ending: str, wheel: frozenset[str]) -> None:
    assert [name for name in wheel if name.startswith(folder) and name.endswith(ending)]


def test_the_wheel_holds_three_packages_and_nothing_else(wheel: frozenset[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_command_is_declared(root: Path, wheel: frozenset[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)
    assert 'passerelle = "gateway.cli.main:app"' in (root / "pyproject.toml").read_text("utf-8")
