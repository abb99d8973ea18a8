"""Programs of tests, each in a process of its own that is forked from one which has imported a gateway already.

Importing it takes a second of the processor, as long as the program's own work. What is forked is a process like any
other: it may be killed, and its limits are its own. The one it comes from has no thread and has opened nothing.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

_SERVER = """
import json, os, sys
import gateway.server.house, pytest, sqlalchemy
for line in sys.stdin:
    told = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, told["out"], os.O_WRONLY), (2, told["err"], os.O_WRONLY)):
    os.dup2(os.open(name, mode), number)
os.chdir(told["folder"])
os.environ.clear()
os.environ.update(told["environment"])
sys.argv = ["-c", *told["words"]]
exec(compile(told["program"], "<program>", "exec"), {"__name__": "__main__"})
"""


class Programs:
    """Runs programs one after the other."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def run(self, program: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a program with `words` in `sys.argv`, as `python -c` would; return how it ended and what it wrote."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            out.touch()
            err.touch()
            told = {
                "program": program,
                "words": [str(word) for word in words],
                "folder": str(Path.cwd()),
                "environment": dict(os.environ),
                "out": str(out),
                "err": str(err),
            }
            code = int(self._answer(json.dumps(told)))
            return subprocess.CompletedProcess(
                ["-c", *told["words"]], code, out.read_text(), err.read_text()
            )

    def close(self) -> None:
        """End the process that programs come from."""
        server, self._server = self._server, None
        if server is not None:
            server.communicate(timeout=PATIENCE)

    def _answer(self, line: str) -> str:
        server: Any = self._server
        if server is None:
            server = self._server = subprocess.Popen(
                [sys.executable, "-c", _SERVER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        server.stdin.write(f"{line}\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], PATIENCE)[0]:
            os.killpg(server.pid, 9)
            server.wait()
            self._server = None
            raise TimeoutError("a program does not end")
        answer: str = server.stdout.readline()
        assert answer, "the process that programs come from has ended"
        return answer
