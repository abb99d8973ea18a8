"""How far a reader walks: the files that a query and a rotation of keys enter, and the calls from one file to another.

python tests/bench/walks.py

Counts calls of this project's own functions (generated code and what an import runs left out) in the thread that
answers, as a profiler sees them: a query with a match at a serving gateway; `keys rotate` at a serving gateway, in the gateway and in the command.
Prints one JSON document: for each walk files, functions, calls between files, and packages.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OWN = tuple(f"{ROOT / package}{os.sep}" for package in ("gateway", "matcher", "keys"))
GENERATED = f"{ROOT / 'gateway' / 'v1'}{os.sep}"
COMMAND = "walks"  # the variable that makes a child of this file profile itself


class Walk:
    """What the threads of this process entered while it was on, call by call that the library handed in."""

    def __init__(self) -> None:
        self.on = False
        self.calls: list[Call] = []
        self._under_way: dict[int, Call] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event != "call" or not self.on or not _own(name) or frame.f_code.co_name == "<module>":
            return
        if _importing(frame):
            return
        before = frame.f_back
        while before is not None and not _own(before.f_code.co_filename):
            before = before.f_back
        thread = threading.get_ident()
        if before is None or thread not in self._under_way:
            self._under_way[thread] = Call()
            self.calls.append(self._under_way[thread])
        call = self._under_way[thread]
        call.entered.add((name, frame.f_code.co_qualname))
        call.crossed += before is not None and before.f_code.co_filename != name

    def through(self, file: str) -> dict[str, int]:
        """Return the figures of the call that entered a file; of the fullest, where several did."""
        wanted = str(ROOT / file)
        found = [one for one in self.calls if any(name == wanted for name, _ in one.entered)]
        if not found:
            raise SystemExit(f"no call entered {file}")
        return max(found, key=lambda one: len(one.entered)).figures()


@dataclass
class Call:
    """One call: the functions that it entered, by file, and how often it went from one file to another."""

    entered: set[tuple[str, str]] = field(default_factory=set)
    crossed: int = 0

    def figures(self) -> dict[str, int]:
        files = {name for name, _ in self.entered}
        return {
            "files": len(files),
            "functions": len(self.entered),
            "crossing_calls": self.crossed,
            "packages": len({Path(name).parent for name in files}),
        }


def _own(name: str) -> bool:
    return name.startswith(OWN) and not name.startswith(GENERATED)


def _importing(frame: FrameType) -> bool:
    """Whether a call is of the body of a class or module, or of what that runs: nobody walks there to follow a call."""
    at: FrameType | None = frame
    while at is not None:
        code = at.f_code
        if _own(code.co_filename) and not code.co_flags & inspect.CO_OPTIMIZED:
            return True
        at = at.f_back
    return False


def command(words: list[str]) -> None:
    """Run one command in this process and write its walk to stderr's last line."""
    walk = Walk()
    sys.setprofile(walk)
    from gateway.cli.main import app

    walk.on = True
    try:
        app(words, prog_name="passerelle")
    except SystemExit as end:
        code = end.code
    finally:
        walk.on = False
        sys.setprofile(None)
    figures = max(walk.calls, key=lambda one: len(one.entered)).figures()
    sys.stderr.write("\n" + json.dumps(figures) + "\n")
    raise SystemExit(code)


def run(words: list[object], environment: dict[str, str]) -> dict[str, int]:
    """Run a command in a child of this file; return its walk."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)],
        env={**environment, COMMAND: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    figures: dict[str, int] = json.loads(done.stderr.splitlines()[-1])
    return figures


def measure() -> dict[str, Any]:
    walk = Walk()
    threading.setprofile(walk)
    from gateway.exercises import subprocess_cli
    from gateway.exercises.demo import parties
    from gateway.exercises.live_gateway import HOME, Stage, agreement

    class Staffed(Stage):
        """With an operator, who is let in before the gateway opens."""

        def _prepare(self) -> None:
            super()._prepare()
            self.person = parties.grant_access(self.home, "P-1", "operator")

    with tempfile.TemporaryDirectory() as folder, Staffed(Path(folder), 1) as stage:
        person = stage.person
        environment = subprocess_cli.environment()
        records = sorted((Path(folder) / "records").rglob("*.fmr"))
        found: dict[str, Any] = {}

        walk.on = True
        partner = stage.partners[0]
        run(
            [
                *("query", partner.home, "--to", HOME, "--agreement", f"{agreement('au')}@1"),
                *("--purpose", "VISA_PERMIT_BENEFIT", "--case", "C-1", "--unit", "U-1"),
                *("--person", "P-1", "--finger", f"2={records[0]}"),
                *("--passphrase-file", partner.passphrase_file),
            ],
            environment,
        )
        walk.on = False
        found["query"] = walk.through("gateway/exchange/pipeline.py")

        walk.calls.clear()
        walk.on = True
        found["keys_rotate_command"] = run(
            ["keys", "rotate", stage.home.home, "KEM", "--reason", "a walk", "--as", person],
            {
                **environment,
                subprocess_cli.OFFICERS_PASSPHRASE: str(subprocess_cli.secret_of(person)),
            },
        )
        walk.on = False
        found["keys_rotate_gateway"] = walk.through("gateway/server/rpc/admin.py")
    return found


if __name__ == "__main__":
    if os.environ.pop(COMMAND, None):
        command(sys.argv[1:])
    sys.stdout.write(json.dumps(measure(), indent=1) + "\n")
