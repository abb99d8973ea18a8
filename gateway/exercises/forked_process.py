"""A program of ours in a process of its own, forked from one that has imported Passerelle already.

To import a gateway takes longer than most commands do. The demonstration runs some sixty of them, each in a process that
shares nothing with the others but the code: its environment, its streams, its limits and its end are its own. The process
that they come from, multiprocessing's fork server, has no thread, opens nothing and ends with the last of us.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import reduction
from multiprocessing.process import BaseProcess
from typing import Any

IMPORTED = (
    "gateway.server",  # first: it settles which TLS gRPC speaks
    "gateway.server.lifecycle",
    "gateway.server.application",
    "gateway.cli.main",  # and what most commands import once they are typed
    "gateway.cli.admin.staff",
    "gateway.cli.home.init",
    "gateway.cli.home.serve",
    "gateway.cli.ledger.verify",
    "typer._adapters",
)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(IMPORTED))


class _Descriptor:
    """A file descriptor that goes with a new process, which unpickles it as its number there."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _number, (reduction.DupFd(self._number),)


def _number(passed: Any) -> int:  # noqa: ANN401 - of a class that multiprocessing names nowhere
    return int(passed.detach())


def start(
    program: str,
    words: Sequence[str] = (),
    *,
    streams: tuple[int, int, int],
    environment: Mapping[str, str],
    descriptors: int | None = None,
) -> BaseProcess:
    """Start a program, and return its process.

    multiprocessing imports the script that we are in the new process too: it must guard its work by `__name__`.

    program       `module:function`, which is called without arguments
    words         what it finds in `sys.argv` after its name
    streams       file descriptors that become its stdin, stdout and stderr; ours stay open
    environment   all that it has
    descriptors   file descriptors that it may have, and no more; None leaves it what we have
    """
    passed = tuple(map(_Descriptor, streams))
    process = _CONTEXT.Process(
        target=_run, args=(program, tuple(words), passed, dict(environment), descriptors)
    )
    with _undisturbed():
        process.start()
    return process


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Have SIGINT and SIGTERM wait until the block ends.

    The fork server of Python 3.11 ends, and with it what it knows of every process, where somebody connects to it and is
    gone before the rest came: a process that it forked could then not be ended any more.
    """
    if threading.current_thread() is not threading.main_thread():  # none but it hears signals
        yield
        return
    came: list[int] = []
    before = {
        each: signal.signal(each, lambda number, _: came.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


def end(process: BaseProcess, seconds: float) -> int:
    """Wait for the end of a process, and kill it after so long; return its exit code, -9 where it was killed."""
    try:
        process.join(seconds)
    finally:
        if process.exitcode is None:
            process.kill()
    process.join()
    return process.exitcode or 0


def _run(
    program: str,
    words: Sequence[str],
    streams: Sequence[int],
    environment: Mapping[str, str],
    descriptors: int | None,
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.argv = ["passerelle", *words]
    os.environ.clear()
    os.environ.update(environment)
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    module, _, function = program.partition(":")
    try:
        getattr(importlib.import_module(module), function)()
    except KeyboardInterrupt:  # whoever pressed Ctrl-C meant all of us
        raise SystemExit(130) from None
