"""Publishes one ledger over and over, killed at each step in turn, and says what each kill left behind.

    python tests/gateway/store/killed_publisher.py STORE BEGUN SCRATCH

STORE is a ledger that has grown since BEGUN was published of it. Each kill is a SIGKILL of a fork of its own: no buffer
is written out, nothing is tidied. One line of JSON each, on stdout: the step, the size that files alone prove, and whether
the next publisher brought them to the bytes that an undisturbed one writes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import conftest

from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.tiles import Tiles
from gateway.ledger_ops.tile_publisher import Publisher, files_in
from gateway.store.address import open_store
from keys.signatures import LogKey

LOG = LogIdentity.from_log_key(conftest.ORIGIN, LogKey.from_seed(bytes(range(64))))


def files(folder: Path) -> dict[str, bytes]:
    found = (each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): each.read_bytes() for each in found}


def proven(folder: Path) -> int:
    """Return the size of the published tree, once its root and entries were computed from files alone."""
    checkpoint = LOG.open((folder / "checkpoint").read_bytes())
    reader = Tiles(files_in(folder), checkpoint.size)
    reader.check_root(checkpoint)
    for number in range(-(-checkpoint.size // 256)):
        reader.entries(number)
    return checkpoint.size


def killed(store: Path, folder: Path, step: int) -> int:
    """Publish in a fork that kills itself at a step; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = step

    def observe(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        Publisher(folder, open_store(store), lambda: LOG, observe=observe).publish()
        os._exit(0)
    finally:
        os._exit(1)


def main(store: Path, begun: Path, scratch: Path) -> None:
    def again() -> Path:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(begun, scratch)
        return scratch

    database = open_store(store)
    Publisher(again(), database, lambda: LOG).publish()
    wanted = files(scratch)
    for step in range(1, 1000):
        code = killed(store, again(), step)
        left = proven(scratch)
        Publisher(scratch, database, lambda: LOG).publish()
        Publisher(scratch, database, lambda: LOG).publish(whole=True)
        told = {"code": code, "left": left, "mended": files(scratch) == wanted}
        sys.stdout.write(json.dumps(told) + "\n")
        if code == 0:
            return


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
