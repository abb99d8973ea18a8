"""The wheels: what is installed is all that the gateway, its exercises or a partner needs, and nothing more."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PACKAGES = ("gateway", "matcher", "keys")


EXERCISES = ("gateway/exercises/", "gateway/cli/exercises/")


def build(project: Path, folder: Path) -> Path:
    """Build a wheel without a network and return its path."""
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, project),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (path,) = folder.glob("*.whl")
    return path


def unzipped(*wheels: Path, to: Path) -> Path:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(to)
    return to


def names(wheel: Path) -> frozenset[str]:
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the gateway."""
    return build(root, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def exercises(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of demonstration, drills, benches, evaluation and crash trials."""
    return build(root / "deploy" / "exercises", tmp_path_factory.mktemp("exercises"))


@pytest.fixture(scope="module")
def client(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the partner's library."""
    return build(root / "deploy" / "client", tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds what the wheel of the gateway installs."""
    return unzipped(built, to=tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def wheel(built: Path) -> frozenset[str]:
    """Return the names that the wheel of the gateway holds."""
    return names(built)


def files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_every_file_of_the_packages_travels(
    root: Path, wheel: frozenset[str], exercises: Path
) -> None:
    """Agreements, migrations, vectors and calibration are data; a wheel without them starts nothing."""
    assert files(root) - wheel - names(exercises) == set()


def test_what_a_ministry_installs_cuts_no_power(
    wheel: frozenset[str], exercises: Path, unpacked: Path
) -> None:
    """Crash trials, drills and benches are a distribution of their own; what is missing is said by its name."""
    assert not [name for name in wheel if name.startswith(EXERCISES)]
    assert all(name.startswith(EXERCISES) for name in names(exercises) if ".dist-info/" not in name)

    run = started(unpacked, "demo")

    assert run.returncode == 2
    assert "install the wheel passerelle_exercises that came with this release" in run.stderr
    assert "Traceback" not in run.stderr


def test_help_lists_the_commands_that_are_installed(
    built: Path, exercises: Path, unpacked: Path, tmp_path: Path
) -> None:
    alone = started(unpacked, "--help").stdout
    beside = started(unzipped(built, exercises, to=tmp_path), "--help").stdout

    assert "serve" in alone
    assert "Rehearse" not in alone
    assert "Rehearse" in beside


def test_the_exercises_start_beside_the_gateway(
    built: Path, exercises: Path, tmp_path: Path
) -> None:
    run = started(unzipped(built, exercises, to=tmp_path), "drill", "--help")

    assert run.returncode == 0, run.stderr
    assert "powercut" in run.stdout


@pytest.mark.parametrize(
    ("folder", "ending"),
    [
        ("gateway/law/agreements/", ".toml"),
        ("gateway/store/migrations/", ".py"),
        ("keys/vectors/", ".json"),
        ("matcher/", "certificate.json"),
        ("matcher/", "likelihood.json"),
        ("matcher/", "descriptor.npz"),
        ("matcher/", "person_code.npz"),
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


def started(unpacked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with what is in `unpacked` alone before site-packages."""
    code = "import sys; from gateway.cli.main import app; app(sys.argv[1:], prog_name='passerelle')"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=unpacked,
        env={"PATH": "", "PYTHONPATH": str(unpacked), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


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


def test_a_partner_loads_the_client_and_not_the_gateway(
    client: Path, unpacked: Path, tmp_path: Path
) -> None:
    """The library works from its own wheel, and loads as little from the gateway's."""
    for folder in (unpacked, unzipped(client, to=tmp_path)):
        loaded = imports("from gateway.client import Answer, Disclosed, Partner", folder)

        assert not loaded & {"sqlalchemy", "numpy", "pydantic_settings", "matcher"}
    assert not [name for name in names(client) if name.startswith(("matcher/", "gateway/store/"))]


def test_every_module_of_the_client_is_imported_from_its_own_wheel(
    client: Path, tmp_path: Path
) -> None:
    """What needs the law, the settings or the matcher is not in it."""
    modules = sorted(
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in names(client)
        if name.endswith(".py")
    )

    loaded = imports(f"import {', '.join(modules)}", unzipped(client, to=tmp_path))

    assert not loaded & {"sqlalchemy", "numpy", "pydantic_settings", "matcher"}


def test_all_distributions_have_one_version(root: Path) -> None:
    """The exercises fit their gateway alone; what both need of others has the same bounds."""
    projects = [
        tomllib.loads((root / folder / "pyproject.toml").read_text("utf-8"))["project"]
        for folder in (".", "deploy/exercises", "deploy/client")
    ]
    gateway, exercises, client = projects

    assert {project["version"] for project in projects} == {gateway["version"]}
    assert exercises["dependencies"] == [f"passerelle=={gateway['version']}"]
    assert set(client["dependencies"]) < set(gateway["dependencies"])
