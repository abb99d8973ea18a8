"""The wheel: what is installed is all that the gateway needs, and nothing more."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("gateway", "matcher", "keys")


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without a network and return its path."""
    folder = tmp_path_factory.mktemp("wheel")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, root),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> frozenset[str]:
    """Return the names that the wheel holds."""
    with zipfile.ZipFile(built) as archive:
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
        ("matcher/", "certificate.json"),
        ("matcher/", "likelihood.json"),
        ("matcher/", "descriptor.npz"),
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


def imports(statement: str, unpacked: Path) -> set[str]:
    """Return the top names of what is loaded after `statement`, with the wheel alone before site-packages."""
    code = f"{statement}; import sys, gateway; print(gateway.__file__); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked,
        env={"PATH": "", "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    where, names = run.stdout.splitlines()
    assert Path(where).is_relative_to(unpacked)
    return {name.split(".")[0] for name in names.split()}


def test_the_wheel_alone_starts_the_command(unpacked: Path) -> None:
    """Nothing of the checkout is needed at run time."""
    assert "gateway" in imports("import gateway.cli.main, gateway.server.application", unpacked)


def test_an_auditor_loads_no_gateway(unpacked: Path) -> None:
    """Cryptography and protobuf suffice to verify a ledger."""
    loaded = imports("import gateway.ledger.verify, gateway.ledger.proof", unpacked)

    assert not loaded & {"grpc", "sqlalchemy", "numpy", "pydantic_settings", "matcher"}


def test_a_partner_loads_the_client_and_not_the_gateway(unpacked: Path) -> None:
    loaded = imports("import gateway.client", unpacked)

    assert not loaded & {"sqlalchemy", "numpy", "pydantic_settings", "matcher"}
