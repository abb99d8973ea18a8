"""A module of ours in a process of its own, `python -m …`, that is told what to do and answers in lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from gateway.errors import UserError
from gateway.exercises import subprocess_cli

END_SECONDS = 300.0  # for the questions that are under way when it is told to end


class Child:
    """The process, running; a context manager that leaves none behind. It ends when its stdin is closed."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=subprocess_cli.environment(),
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its stdin, and wait."""
        process = self._running()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def tell(self, document: object) -> None:
        """Write a line to it; raises UserError where it ended."""
        stdin = self._running().stdin
        if stdin is None:
            raise AssertionError
        try:
            stdin.write(json.dumps(document) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def hear(self) -> dict[str, Any]:
        """Wait for its next line; raises UserError where it ended."""
        stdout = self._running().stdout
        line = stdout.readline() if stdout is not None else ""
        if not line:
            raise self._ended()
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError
        return self._process

    def _ended(self) -> UserError:
        return UserError(f"{self._module} ended early; what it wrote above says why")
