"""Our own commands, run as a person would run them: each in a process of its own, answering in JSON.

The demonstration and the measurement go through the same listeners as everybody else. A server is one of
these commands too, told to stop by the signal that an orchestrator would send.
"""

from __future__ import annotations

import json
import os
import select
import tempfile
from collections.abc import Collection, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from gateway.errors import UserError
from gateway.exercises import forked_process
from gateway.settings_names import OFFICERS_PASSPHRASE, PREFIX

READY_SECONDS = 600.0  # for a start; two cores with ten times their work took over 60
STOP_SECONDS = 300.0  # until a stop is forced; the gateway drains for 30 and then ends by itself
RUN_SECONDS = 900.0  # until it gives up on any other command
SAID = 2000  # characters of a failed command's last words
COMMAND = "gateway.cli.main:app"
START = "from gateway.cli.main import app; app(prog_name='passerelle')"  # of a process that nobody forks

Document = Mapping[str, Any]


def run(
    *words: str | Path, accept: Collection[int] = (0,), officer: Path | None = None
) -> Document:
    """Run one command to its end and return its JSON document.

    accept   exit codes that leave a document worth reading
    officer  folder of whoever acts; the file with their passphrase is `secret_of(officer)`

    Raises `UserError` with the command's own last words.
    """
    if officer is not None:
        words = (*words, "--as", officer)
    own = {} if officer is None else {OFFICERS_PASSPHRASE: str(secret_of(officer))}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = _start((*words, "--json"), out.fileno(), err.fileno(), environment() | own)
        code = forked_process.end(process, RUN_SECONDS)
        out.seek(0)
        err.seek(0)
        said, last = out.read(), err.read()
    if code not in accept:
        raise UserError(f"passerelle {words[0]} failed: {last.strip()[-SAID:]}")
    return _document(said, str(words[0]))


def secret_of(officer: Path) -> Path:
    """Return the file with the passphrase of an officer's folder: beside it, on what stands for their own machine."""
    return officer.with_name("passphrase")


def environment() -> dict[str, str]:
    """Return our environment without settings of a gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


class Server:
    """`passerelle serve`, running; a context manager that leaves no process behind.

    Attributes, once entered: `exchange`, `health`, `metrics` and `admin`, the ports that it listens on.
    """

    def __init__(
        self,
        home: Path,
        passphrase_file: Path,
        log: Path,
        *,
        descriptors: int | None = None,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        """Prepare it.

        descriptors    file descriptors that it may have, and no more; None leaves it what we have
        ready_seconds  until it is given up, where its listeners are not open
        """
        self._words = "serve", home, "--passphrase-file", passphrase_file, "--json"
        self._descriptors = descriptors
        self._ready_seconds = ready_seconds
        self._log = log
        self._process: BaseProcess | None = None
        self._said: IO[str] | None = None
        self.exchange = 0
        self.health = 0
        self.metrics = 0
        self.admin = 0

    def __enter__(self) -> Self:
        """Start it and wait until its listeners are open; raises `UserError` with its last words."""
        ours, its = os.pipe()
        self._said = os.fdopen(ours, encoding="utf-8")
        with os.fdopen(its, "wb") as out, self._log.open("w", encoding="utf-8") as log:
            streams = out.fileno(), log.fileno()
            self._process = _start(self._words, *streams, environment(), self._descriptors)
        try:
            document = self._first_line(self._said)
        except BaseException:
            self._end(self._process)
            raise
        self.exchange = int(document["exchange"])
        self.health = int(document["health"])
        self.metrics = int(document["metrics"])
        self.admin = int(document["admin"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, whatever happened."""
        if self._process is not None:
            self._end(self._process)

    def stop(self) -> int:
        """Ask it to stop, wait until calls under way are finished, and return its exit code."""
        if self._process is None:
            raise UserError("the server was not started")
        return self._end(self._process)

    @property
    def pid(self) -> int:
        """The process that serves."""
        return (self._process.pid or 0) if self._process is not None else 0

    @property
    def ended(self) -> int | None:
        """The exit code of a process that ended by itself; None while it runs."""
        return self._process.exitcode if self._process is not None else None

    def _first_line(self, said: IO[str]) -> Document:
        ready, _, _ = select.select([said], [], [], self._ready_seconds)
        line = said.readline() if ready else ""
        document = _document(line, "serve") if line else {}
        if not document.get("ok"):
            last = self._log.read_text(encoding="utf-8").strip()[-SAID:]
            raise UserError(f"the server did not open its listeners: {last or 'it said nothing'}")
        return document

    def _end(self, process: BaseProcess) -> int:
        if process.exitcode is None:
            process.terminate()
        code = forked_process.end(process, STOP_SECONDS)
        if self._said is not None:
            self._said.close()
        return code


def _start(
    words: Sequence[str | Path],
    out: int,
    err: int,
    environment: Mapping[str, str],
    descriptors: int | None = None,
) -> BaseProcess:
    with Path(os.devnull).open("rb") as nothing:
        return forked_process.start(
            COMMAND,
            tuple(map(str, words)),
            streams=(nothing.fileno(), out, err),
            environment=environment,
            descriptors=descriptors,
        )


def _document(text: str, command: str) -> Document:
    lines = text.strip().splitlines()
    try:
        document = json.loads(lines[-1]) if lines else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UserError(f"passerelle {command} answered no JSON; run it by hand to see why")
    return document
