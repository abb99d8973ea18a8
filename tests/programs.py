"""Programs of tests, each in a process of its own that is forked from one which has imported a gateway already.

Importing it takes a second of the processor, as long as the program's own work. What is forked is a process like any
other: it may be killed, and its limits are its own. The one it comes from has no thread and has opened nothing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from tests.patience import PATIENCE

_SERVER = """
import json, os, sys
import gateway.server.lifecycle, gateway.server.application, pytest
for line in sys.stdin:
    told = json.loads(line)
    if "wait" in told:
        print(os.waitstatus_to_exitcode(os.waitpid(told["wait"], 0)[1]), flush=True)
        continue
    child = os.fork()
    if not child:
        break
    print(child, flush=True)
else:
    sys.exit()
for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, told["out"], os.O_WRONLY), (2, told["err"], os.O_WRONLY | os.O_APPEND)):
    os.dup2(os.open(name, mode), number)
os.chdir(told["folder"])
os.environ.clear()
os.environ.update(told["environment"])
sys.argv = ["-c", *told["words"]]
exec(compile(told["program"], "<program>", "exec"), {"__name__": "__main__"})
"""


def _told(program: str, words: tuple[object, ...], out: Path, err: Path) -> dict[str, Any]:
    return {
        "program": program,
        "words": [str(word) for word in words],
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "out": str(out),
        "err": str(err),
    }


class Program:
    """One that runs: what a test needs of `subprocess.Popen`."""

    def __init__(self, programs: Programs, pid: int, stdout: IO[str]) -> None:
        self._programs = programs
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless its end was waited for."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless its end was waited for."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return how it ended, as `subprocess` says it: -9 where it was killed."""
        if self.returncode is None:
            self.returncode = self._programs.answer({"wait": self.pid}, timeout)
        return self.returncode


class Programs:
    """Starts programs, and waits for one after the other."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def start(
        self,
        program: str,
        *words: object,
        stderr: Path,
        folder: Path | None = None,
        **environment: str,
    ) -> Program:
        """Start a program with `words` in `sys.argv`, as `python -c` would; its stdout is a pipe.

        stderr        what it says is added to this file
        folder        where it runs; None = here
        environment   what is set beside our own
        """
        with tempfile.TemporaryDirectory() as room:
            pipe = Path(room, "out")
            os.mkfifo(pipe)
            stderr.touch()
            told = _told(program, words, pipe, stderr)
            told["environment"] |= environment
            told["folder"] = str(folder or told["folder"])
            pid = self.answer(told, PATIENCE)
            return Program(self, pid, pipe.open())  # once the other end is open

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; return how it ended and what it wrote."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            out.touch()
            err.touch()
            pid = self.answer(_told(program, words, out, err), PATIENCE)
            code = self.answer({"wait": pid}, PATIENCE)
            return subprocess.CompletedProcess(
                [program, *words], code, out.read_text(), err.read_text()
            )

    def close(self) -> None:
        """End the process that programs come from."""
        server, self._server = self._server, None
        if server is not None:
            server.communicate(timeout=PATIENCE)

    def answer(self, told: dict[str, Any], timeout: float) -> int:
        """Return what the process that programs come from says to one line."""
        server: Any = self._server
        if server is None:
            server = self._server = subprocess.Popen(
                [sys.executable, "-c", _SERVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        server.stdin.write(f"{json.dumps(told)}\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], timeout)[0]:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            self._server = None
            raise TimeoutError("a program does not end")
        said: str = server.stdout.readline()
        assert said, "the process that programs come from has ended"
        return int(said)
