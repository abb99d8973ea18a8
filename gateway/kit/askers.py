"""A process of askers, seen from the one that measures."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from gateway.errors import Remedy
from gateway.kit import commands
from gateway.kit.load import Plan, Round, Spell

END_SECONDS = 300.0  # for the questions that are under way when it is told to end


class Askers:
    """`python -m gateway.kit.load`, running; a context manager that leaves no process behind."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it; it connects by itself."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.kit.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=commands.environment(),
        )
        self._send(asdict(self._plan))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its stdin, at which it ends."""
        process = self._running()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_ready(self) -> None:
        """Wait until it is connected; raises `Remedy` where it cannot."""
        self._hear()

    def begin(self, spell: Spell) -> None:
        """Let it ask for a spell."""
        self._send(asdict(spell))

    def end(self) -> Round:
        """Wait for the end of the spell, and return what was asked."""
        return Round(**self._hear())

    def _send(self, document: object) -> None:
        stdin = self._running().stdin
        if stdin is None:
            raise AssertionError
        try:
            stdin.write(json.dumps(document) + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise _ended() from None

    def _hear(self) -> dict[str, Any]:
        stdout = self._running().stdout
        line = stdout.readline() if stdout is not None else ""
        if not line:
            raise _ended()
        heard: dict[str, Any] = json.loads(line)
        return heard

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError
        return self._process


def _ended() -> Remedy:
    return Remedy("a process of askers ended early; what it wrote above says why")
