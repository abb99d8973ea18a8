"""The locks decide alone: whatever an index has in store, on every Python and system that we serve."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from itertools import product
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SERVED = SpecifierSet(PROJECT["project"]["requires-python"])
# Each lock, with what it was made for (deploy/lock.sh): the dependencies and a group, or an extra, of pyproject.toml.
LOCKS = {
    "requirements.lock": PROJECT["dependency-groups"]["dev"],
    "deploy/requirements.lock": PROJECT["project"]["optional-dependencies"]["pkcs11"],
}
SYSTEMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
)
MACHINES = ("x86_64", "aarch64", "arm64", "AMD64")


def pins(text: str) -> list[Requirement]:
    """Return the pins of a lock, with their extras and markers."""
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    return [Requirement(line.removesuffix("\\").strip()) for line in lines]


def environments() -> Iterator[dict[str, str]]:
    """Yield what markers are judged by: each Python that we serve, early and late, on each system and machine."""
    versions = [f"3.{minor}.{patch}" for minor in range(100) for patch in (0, 30)]
    for full, system, machine in product(SERVED.filter(versions), SYSTEMS, MACHINES):
        numbers = {"python_version": full.rpartition(".")[0], "python_full_version": full}
        yield {**dict(default_environment()), **numbers, **system, "platform_machine": machine}


def applies(requirement: Requirement, environment: Mapping[str, str], extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate(
        {**environment, "extra": extra}
    )


def release(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")


def wishes(pin: Requirement) -> list[Requirement]:
    """Return what the locked release of a package asks of others; of one not installed here, nothing."""
    try:
        found = distribution(pin.name)
    except PackageNotFoundError:
        return []
    return [Requirement(line) for line in found.requires or ()]


def gaps(text: str, project: Iterable[str] = ()) -> set[str]:
    """Return each wish of a locked package, or of the project, that a lock leaves to an index in any environment."""
    lock, found = pins(text), set()
    asked = [(pin.name, pin, wishes(pin)) for pin in lock]
    asked += [("the project", Requirement("passerelle"), [Requirement(line) for line in project])]
    for environment in environments():
        chosen = {canonicalize_name(pin.name): pin for pin in lock if applies(pin, environment)}
        for asker, pin, each in asked:
            for wish in each if applies(pin, environment) else ():
                if not any(applies(wish, environment, extra) for extra in ("", *pin.extras)):
                    continue
                answer = chosen.get(canonicalize_name(wish.name))
                if answer is None or not wish.extras <= answer.extras:
                    found.add(f"{asker} asks {wish}")
                elif not wish.specifier.contains(release(answer), prereleases=True):
                    found.add(f"{asker} asks {wish}, locked is {answer}")
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_installed_is_what_is_locked(root: Path, name: str) -> None:
    """The other tests of this file read what the locked releases ask from what is installed."""
    here = dict(default_environment())
    wrong = {
        str(pin): version(pin.name)
        for pin in pins((root / name).read_text(encoding="utf-8"))
        if applies(pin, here) and not pin.specifier.contains(version(pin.name), prereleases=True)
    }

    assert wrong == {}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_whatever_we_and_its_packages_ask_with_every_extra(
    root: Path, name: str
) -> None:
    project = [*PROJECT["project"]["dependencies"], *LOCKS[name]]

    assert gaps((root / name).read_text(encoding="utf-8"), project) == set()


def test_an_extra_that_the_lock_does_not_name_is_found(root: Path) -> None:
    """pip 21.3 to 23.2 asked the index for `coverage[toml]` where the lock named `coverage`; pip 26 does not."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")

    (gap,) = gaps(text.replace("coverage[toml]==", "coverage=="))

    assert gap.startswith("pytest-cov asks coverage[toml]")


def test_a_lock_that_is_older_than_what_we_ask_is_found(root: Path) -> None:
    """Who edits pyproject.toml says `make lock` too."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")

    assert (
        len(gaps(text, ["numpy>=99", "rich[jupyter]", "numpy>=2.4"])) == 2 + 1
    )  # numpy is pinned twice


def test_a_package_that_one_system_alone_needs_is_missed_there(root: Path) -> None:
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    without = re.sub(r"^colorama==.*\n", "", text, flags=re.MULTILINE)

    assert any("asks colorama" in gap for gap in gaps(without))


def stub(folder: Path, pin: Requirement, number: str) -> str:
    """Write a wheel without content that asks what the real release asks; return its SHA-256."""
    real = distribution(pin.name).metadata
    fields = [
        f"{field}: {value}"
        for field in ("Requires-Python", "Requires-Dist", "Provides-Extra")
        for value in real.get_all(field) or ()
    ]
    metadata = "\n".join(
        ["Metadata-Version: 2.1", f"Name: {pin.name}", f"Version: {number}", *fields]
    )
    stem = f"{canonicalize_name(pin.name).replace('-', '_')}-{number}"
    path, info = folder / f"{stem}-py3-none-any.whl", f"{stem}.dist-info"
    kind = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata + "\n")
        archive.writestr(f"{info}/WHEEL", kind)
        archive.writestr(
            f"{info}/RECORD",
            "".join(f"{info}/{one},,\n" for one in ("METADATA", "WHEEL", "RECORD")),
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newer(number: str) -> str:
    """Return the next release after this one: within any bound that names a larger step."""
    numbers = Version(number).release
    return ".".join(map(str, (*numbers[:-1], numbers[-1] + 1)))


def index(folder: Path, text: str) -> tuple[str, set[str]]:
    """Fill a folder with two releases of every package; return the lock over it and the wheels it names."""
    here, lines, wanted = dict(default_environment()), [], set()
    for pin in pins(text):
        if not applies(pin, here):
            continue
        locked = release(pin)
        before = set(folder.iterdir())
        lines.append(f"{pin} --hash=sha256:{stub(folder, pin, locked)}")
        (made,) = set(folder.iterdir()) - before
        wanted.add(made.name)
        stub(folder, pin, newer(locked))
    return "\n".join(lines) + "\n", wanted


def resolve(tmp_path: Path, lock: str) -> subprocess.CompletedProcess[str]:
    """Let this environment's pip fetch what `lock` names from the folder, by a word that every pip knows."""
    (tmp_path / "lock").write_text(lock, encoding="utf-8")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "download"),
            *("--quiet", "--no-index", "--find-links", "index", "--dest", "fetched"),
            *("--require-hashes", "-r", "lock"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCKS)
def test_a_newer_release_of_every_package_changes_nothing(
    root: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "index").mkdir()
    lock, wanted = index(tmp_path / "index", (root / name).read_text(encoding="utf-8"))

    run = resolve(tmp_path, lock)

    assert run.returncode == 0, run.stderr
    assert {path.name for path in (tmp_path / "fetched").iterdir()} == wanted
    assert len(list((tmp_path / "index").iterdir())) == 2 * len(wanted)


def test_a_package_that_the_lock_leaves_to_the_index_stops_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    text = (root / "deploy/requirements.lock").read_text(encoding="utf-8")
    lock, _ = index(tmp_path / "index", text)

    run = resolve(tmp_path, re.sub(r"^mdurl==.*\n", "", lock, flags=re.MULTILINE))

    assert run.returncode != 0
    assert "mdurl" in run.stderr
