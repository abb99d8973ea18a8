"""A gateway that is stopped, opened for one command by a process of its own, which ends with the command.

The process gets the keys' passphrase and says where its admin listener is: the command asks there as it asks a gateway
that serves. Whoever comes without an officer certificate shows what that process made for the holder of the passphrase.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import typer

from gateway.errors import PasserelleError, UserError
from gateway.server import maintenance_pipe

ENDS_IN = 60.0  # seconds; what is under way is finished first, and the process ends itself before


@dataclass(frozen=True, slots=True)
class Opened:
    """Where a gateway under maintenance is, and what the holder of the passphrase trusts and shows; PEM."""

    address: str
    authority: bytes
    chain: bytes
    key_pem: bytes = field(repr=False)


class OpeningFailed(PasserelleError):
    """The gateway does not open; `kind` is the name of the error that says why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@contextmanager
def opened(home: Path, passphrase: Callable[[], bytes]) -> Iterator[Opened]:
    """Open a gateway for maintenance while the block runs; raises OpeningFailed where it does not open."""
    secret = passphrase()
    module = "gateway.server.maintenance_process"
    with subprocess.Popen(  # noqa: S603 - our own program, and a path that is no option
        # -P: no module of the folder in which the command was typed stands in for one of ours
        [sys.executable, "-P", "-m", module, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            with suppress(BrokenPipeError):  # it ended already, and its answer says why
                maintenance_pipe.hand_over(child.stdin, secret)
            yield read(child.stdout.readline(), child)
        except PasserelleError as fault:
            if not isinstance(fault, UserError):  # else the gateway answered, and is there
                demand_ledger(child)
            raise
        finally:
            with suppress(BrokenPipeError):
                child.stdin.close()
            try:
                child.wait(ENDS_IN)
            except subprocess.TimeoutExpired:
                child.kill()


def read(line: bytes, child: subprocess.Popen[bytes]) -> Opened:
    """Return what the process said; raises OpeningFailed where it says what is wrong, or ended without a word."""
    if not line:
        demand_ledger(child)
        raise OpeningFailed("InternalError", f"the gateway ended by itself ({child.wait()})")
    told = json.loads(line)
    if "error" in told:
        raise OpeningFailed(told["error"]["kind"], told["error"]["message"])
    texts = (told["authority"], told["chain"], told["key"])
    return Opened(told["address"], *(text.encode("ascii") for text in texts))


def demand_ledger(child: subprocess.Popen[bytes]) -> None:
    """End as the process did where it could not write the ledger, which says itself what to do."""
    with suppress(subprocess.TimeoutExpired):
        if child.wait(1.0) == maintenance_pipe.EXIT_LEDGER:
            raise typer.Exit(maintenance_pipe.EXIT_LEDGER)
