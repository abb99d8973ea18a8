"""What every room's tests share: Hypothesis profiles and the reference data beside the repository."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import gateway.server  # noqa: F401 - first of all: it settles which TLS gRPC speaks
from gateway.exercises import subprocess_cli
from gateway.store.sqlite import SqliteEngine
from keys import custody
from tests import cheap
from tests.programs import Programs

ROOT = Path(__file__).resolve().parents[1]

# No deadline: two busy cores make one example slow without making it wrong. A failure prints the blob
# that repeats it. On CI the examples are the same in every run, so a red run is red for its change.
settings.register_profile(
    "local", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


# Gateways of tests search in their own process, but where a test is about search processes: two more for each gateway take
# half a second of a processor.
WORKERS = "PASSERELLE_MATCHING__WORKERS"
os.environ.setdefault(WORKERS, "0")

WAITS = 2  # of three moments a test computes in two, and waits in one: for an answer's beat, for a process, for a flush


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Let half as many tests again as there are processors run side by side, where nobody says how many."""
    named = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    cores = len(os.sched_getaffinity(0))
    return int(named) if named else cores + cores // WAITS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each worker its share of the slow tests, first of all: one that began last would have the others wait for its end.

    `--dist worksteal` hands every worker one stretch of the list, of equal length.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    items.clear()
    left = len(slow) + len(quick)
    for number in range(workers):
        most = left // (workers - number)
        left -= most
        items += slow[number::workers]
        rest = max(0, most - len(slow[number::workers]))
        items += quick[:rest]
        del quick[:rest]
    items += quick


def pytest_collection_finish() -> None:
    """Look through what all tests import no more, whenever garbage is collected: it stays to the end."""
    gc.collect()
    gc.freeze()


MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30  # bytes; all tests keep one of them at most, but for those that fail


def in_memory() -> bool:
    """Say whether tests' folders may lie in memory: there is room, programs may run there, and nobody named a place."""
    if any(os.environ.get(name) for name in ("PYTEST_DEBUG_TEMPROOT", "TMPDIR")):
        return False
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    if found.f_flag & os.ST_NOEXEC or not os.access(MEMORY, os.W_OK):
        return False
    return found.f_bavail * found.f_frsize >= ROOM


# Every commit to a ledger waits for the disk, some twenty times a test, and so do the processes that tests start. Whether
# our code asks for that is tested; that a disk then obeys is not, and no test's folder has to outlive its machine.
if in_memory():
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# The tests and some hundreds of processes that they start would otherwise be compiled anew each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What a developer speaks changes no test.
for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
    os.environ.pop(name, None)
os.environ["LANG"] = "C.UTF-8"


@pytest.fixture(scope="session", autouse=True)
def _cheap_passphrases() -> Iterator[None]:
    """Folders made in this process derive their keys cheaply, and so do those of the exercises' commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(custody, "STANDARD", cheap.CHEAP)
        patch.setattr(subprocess_cli, "COMMAND", cheap.COMMAND)
        patch.setattr(SqliteEngine, "_engine", cheap.engine)
        yield


@pytest.fixture
def production_cost(monkeypatch: pytest.MonkeyPatch) -> custody.Argon2Cost:
    """Derive keys at the cost that a real folder has, and return it."""
    monkeypatch.setattr(custody, "STANDARD", cheap.PRODUCTION)
    return cheap.PRODUCTION


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference data: PASSERELLE_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("PASSERELLE_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; name its folder in PASSERELLE_SHARED")
    return folder


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    """Run programs in processes of their own, at a fraction of what it costs to start them."""
    made = Programs()
    yield made
    made.close()


@dataclass(frozen=True)
class Tokens:
    """A SoftHSM with tokens of its own, whose only reader is this process."""

    module: Path
    folder: Path
    pin: bytes = b"1234-canary-pin"

    def uri(self, token: str, label: str) -> str:
        return f"pkcs11:token={token};object={label}?module-path={self.module}"


NAMES = ("good", "other", "removed", "fresh")


def softhsm() -> tuple[Path, str] | None:
    """Return the module and the tool: of the system, else beside the environment (deploy/softhsm.sh)."""
    roots = (Path("/"), Path(sys.prefix) / "softhsm")
    for root in roots:
        tool = root / "usr/bin/softhsm2-util"
        found = sorted((root / "usr/lib").glob("**/libsofthsm2.so")) if tool.exists() else []
        if found:
            return found[0], str(tool)
    return None


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    """Tokens for the tests; made before the module is loaded, which reads its folder once."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    found = softhsm()
    if found is None:
        pytest.skip("no SoftHSM 2: neither of the system nor by `sh deploy/softhsm.sh .venv`")
    module, tool = found
    home = tmp_path_factory.mktemp("softhsm")
    folder = home / "tokens"
    folder.mkdir(mode=0o700)
    settings = home / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder}\nlog.level = ERROR\n", encoding="utf-8")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    made = Tokens(module, folder)
    for name in NAMES:
        pin, words = made.pin.decode(), ["--init-token", "--free", "--label", name]
        subprocess.run(
            [tool, "--module", str(module), *words, "--pin", pin, "--so-pin", "so-pin-9"],
            check=True,
            capture_output=True,
        )
    yield made
    shutil.rmtree(folder, ignore_errors=True)
