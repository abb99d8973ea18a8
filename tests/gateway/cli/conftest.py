"""Home directories made by the command itself, and the command run as in a shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from matcher.finger import synthetic

HOUSE = b"correct horse battery"
# Where the tests run in the background of a shell, Ctrl-C is ignored, and a child inherits that.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    " from gateway.cli.main import app; app(prog_name='passerelle')"
)


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        assert self.out.count("\n") == 1
        found: dict[str, Any] = json.loads(self.out)
        return found


Run = Callable[..., Said]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run the command inside this process, without a terminal."""

    def start(*words: str | Path) -> Said:
        result = CliRunner(env={"COLUMNS": None}).invoke(
            app, [str(word) for word in words], prog_name="passerelle"
        )
        assert "Traceback" not in result.output
        return Said(result.exit_code, result.stdout, result.stderr)

    return start


@pytest.fixture(scope="session")
def spawn() -> Callable[..., subprocess.Popen[str]]:
    """Start the command in a process of its own."""

    def start(*words: str | Path, **how: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", START, *map(str, words)],
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("PASSERELLE_")},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **how,
            },
        )

    return start


@pytest.fixture(scope="session")
def loaded() -> Callable[..., tuple[set[str], str]]:
    """Run the command in a process of its own; return what was imported there, and what it wrote on stdout."""
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: sys.stderr.write('\\n' + json.dumps(sorted(sys.modules))))\n"
        "from gateway.cli.main import app; app(prog_name='passerelle')"
    )

    def start(*words: str | Path, **environment: str) -> tuple[set[str], str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("PASSERELLE_")}
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            env={**ours, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return set(json.loads(done.stderr.splitlines()[-1])), done.stdout

    return start


@pytest.fixture(scope="session")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("passphrases")
    (folder / "gateway").write_bytes(HOUSE + b"\n")
    (folder / "auditor").write_text("another one for tests\n")
    (folder / "keepers").write_text("a third of them\n")
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder


@pytest.fixture(scope="session")
def passphrase(secrets_folder: Path) -> tuple[str, Path]:
    return ("--passphrase-file", secrets_folder / "gateway")


@pytest.fixture
def officer(
    let_in: Any, homes: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Path]:
    """Let a person of CAN in at the stopped gateway; return their folder. Commands take the first one's unless told."""
    made: list[Path] = []

    def start(person: str, *roles: str) -> Path:
        folder = tmp_path / person.lower().replace("-", "")
        let_in(homes["CAN"], person, list(roles), folder, passphrase=lambda: HOUSE)
        if not made:
            monkeypatch.setenv("PASSERELLE_OFFICER", str(folder))
        made.append(folder)
        return folder

    return start


@pytest.fixture(scope="session")
def founded(
    tmp_path_factory: pytest.TempPathFactory, run: Run, secrets_folder: Path
) -> dict[str, Path]:
    """CAN and AUS, founded once, not yet known to each other; never written to by a test."""
    folder = tmp_path_factory.mktemp("founded")
    for party in ("CAN", "AUS"):
        said = run(
            *("init", folder / party, "--party", party),
            *("--passphrase-file", secrets_folder / "gateway"),
            *("--auditor-passphrase-file", secrets_folder / "auditor"),
            *("--root-keys-passphrase-file", secrets_folder / "keepers"),
        )
        assert said.code == 0, said.err
    return {party: folder / party for party in ("CAN", "AUS")}


@pytest.fixture
def homes(founded: dict[str, Path], tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Copies of both home directories for one test."""
    copies = {party: tmp_path / party for party in founded}
    for party, home in founded.items():
        shutil.copytree(home, copies[party])
    yield copies
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def prints(tmp_path: Path) -> Path:
    """A folder of three people's records, as a sensor exports them: position 0."""
    folder = tmp_path / "prints"
    folder.mkdir()
    for seed in (1, 2, 3):
        write(folder / f"person-{seed}.fmr", seed, impression=1)
    return folder


def write(path: Path, seed: int, *, impression: int, position: int = 2, said: int = 0) -> Path:
    minutiae = synthetic.impression(synthetic.person(seed), position, impression)
    path.write_bytes(synthetic.record(minutiae, said))
    return path


@pytest.fixture(scope="session")
def record() -> Callable[..., Path]:
    """Write one record of a synthetic person."""
    return write
