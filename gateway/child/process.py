"""A child process as the gateway sees it: started, told what it is, and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.child import pipes

MAIN = Path(__file__).with_name("main.py")
# Nothing of our own environment goes along: it can name secrets. One thread for a matrix product: several processes work
# side by side, and some fork.
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class PythonProcess:
    """One process. The kernel ends it with the *thread* that started it, so that one MUST live as long."""

    def __init__(self) -> None:
        """Start it; raises OSError."""
        self._ending = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-I", "-S", "-B", str(MAIN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            close_fds=True,
            start_new_session=True,  # its forks are killed with it
        )

    @property
    def number(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def source(self) -> int:
        """The pipe that it answers by."""
        return _file(self._process.stdout)

    @property
    def target(self) -> int:
        """The pipe that it is asked by."""
        return _file(self._process.stdin)

    def begin(
        self,
        module: str,
        said: Mapping[str, object],
        until: float,
        paths: tuple[str, ...] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Have it run a module of ours with what is said, and return what it says first.

        paths   where Python looks for code; None = as this process does

        Raises Garbled, TimeoutError or ValueError; then it has to be killed.
        """
        places = paths or tuple(str(Path(each).absolute()) for each in sys.path if each)
        text = {"paths": places, "module": module, "parent": os.getpid(), **said}
        pipes.send(self.target, pipes.setup_bytes(json.dumps(text).encode()), until)
        return json.loads(pipes.read_setup(self.source, until))

    def end(self) -> None:
        """Send the process and what it forked their end; any thread may, and whoever waits for an answer learns of it."""
        with self._ending:
            if (
                self._process.returncode is None
            ):  # not taken from the table yet: its number is nobody else's
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and what it forked, whatever they do, and take it from the table of processes."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not written yet has nowhere to go
                    pipe.close()
        with self._ending:
            self._process.wait()


def _file(pipe: Any) -> int:  # noqa: ANN401 - what subprocess calls IO[bytes] | None
    if pipe is None:
        raise AssertionError  # both were asked for
    number: int = pipe.fileno()
    return number
