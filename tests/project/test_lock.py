"""The locks: every file by its hash, from whatever index the reader trusts, on every Python we name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LOCKS = ("requirements.lock", "deploy/requirements.lock", "deploy/images-requirements.lock")
PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*(\[[a-z0-9,-]+\])?==[0-9][^ ]*( ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def pins(lock: Path) -> dict[str, list[str]]:
    """Return each pin line of a lock with its hash lines."""
    found: dict[str, list[str]] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if not line.startswith(" "):
            found[line] = []
        else:
            found[list(found)[-1]].append(line)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_version_with_its_hashes(root: Path, name: str) -> None:
    lines = pins(root / name)

    assert lines
    for pin, hashes in lines.items():
        assert PIN.match(pin), pin
        assert hashes, f"{pin} has no hash"
        assert all(HASH.match(each) for each in hashes), pin


@pytest.mark.parametrize("name", LOCKS)
def test_no_address_and_no_host_is_in_a_lock(root: Path, name: str) -> None:
    """A lock that names an index sends its reader there, or leaks where it was made."""
    text = (root / name).read_text(encoding="utf-8")

    assert "//" not in text
    assert " @ " not in text
    assert not re.search(r"--(index-url|extra-index-url|find-links|trusted-host)", text)
    assert not re.search(r"\b[a-z0-9-]+\.(com|org|net|io|internal|local)\b", text)


@pytest.mark.parametrize("name", LOCKS)
def test_both_numpy_lines_are_there(root: Path, name: str) -> None:
    """The last numpy for Python 3.11 is not the newest; the lock carries one for each side of 3.12."""
    versions = [pin for pin in pins(root / name) if pin.startswith("numpy==")]

    assert len(versions) == 2
    assert any("python_full_version < '3.12'" in pin for pin in versions)
    assert any("python_full_version >= '3.12'" in pin for pin in versions)


def test_the_lock_can_install_us_without_a_build_environment(root: Path) -> None:
    """`pip install --no-build-isolation -e .` needs hatchling, by its hash like everything else."""
    assert any(pin.startswith("hatchling==") for pin in pins(root / "requirements.lock"))


def test_the_image_runs_what_was_tested(root: Path) -> None:
    """The runtime lock is a part of the full one: same versions, same hashes, nothing of its own."""
    tested, shipped = (pins(root / name) for name in LOCKS[:2])

    assert shipped.items() <= tested.items()
    assert not any(pin.startswith(("pytest==", "mypy==", "ruff==")) for pin in shipped)
