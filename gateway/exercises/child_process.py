"""A module of ours in a process of its own that is told what to do and answers in lines of JSON."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import IO, Any, Self

from gateway.errors import UserError
from gateway.exercises import forked_process, subprocess_cli

STDERR = 2
END_SECONDS = 300.0  # for the questions that are under way when it is told to end


class Child:
    """The process, running; a context manager that leaves none behind. It ends when its stdin is closed."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: BaseProcess | None = None
        self._stdin: IO[str]
        self._stdout: IO[str]

    def __enter__(self) -> Self:
        """Start it."""
        told, writes = os.pipe()
        reads, said = os.pipe()
        self._stdin, self._stdout = os.fdopen(writes, "w"), os.fdopen(reads)
        self._process = forked_process.start(
            f"{self._module}:main",
            streams=(told, said, STDERR),
            environment=subprocess_cli.environment(),
        )
        os.close(told)
        os.close(said)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its stdin, and wait."""
        process = self._running()
        with suppress(BrokenPipeError):  # it ended, and what it was told last was not written
            self._stdin.close()
        self._stdout.close()
        forked_process.end(process, END_SECONDS)

    @property
    def pid(self) -> int:
        """The process; raises AssertionError where it was not started."""
        return self._running().pid or 0

    def tell(self, document: object) -> None:
        """Write a line to it; raises UserError where it ended."""
        self._running()
        try:
            self._stdin.write(json.dumps(document) + "\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def hear(self) -> dict[str, Any]:
        """Wait for its next line; raises UserError where it ended."""
        self._running()
        line = self._stdout.readline()
        if not line:
            raise self._ended()
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _running(self) -> BaseProcess:
        if self._process is None:
            raise AssertionError
        return self._process

    def _ended(self) -> UserError:
        return UserError(f"{self._module} ended early; what it wrote above says why")
