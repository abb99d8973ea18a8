"""Commits to a ledger on a disk that fails, once for each trial, and says what became of it.

    LD_PRELOAD=…/shim.so python tests/gateway/store/failing_flush.py FOLDER < trials.json

A trial is [what, nth, error, then]: the n-th "flush" or "write" of the store's files fails with EIO or ENOSPC;
"stay" lets the process try again, "leave" ends it as a gateway ends. Each trial is a fork of its own, so that
whatever the disk did to the process ends with it. One line of JSON each, on stdout.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import conftest
import test_failing_disk

from gateway.errors import AuditUnavailable
from gateway.server.application import leave_at_once
from keys.data_encryption import DataKey
from keys.envelope import OpeningKey
from keys.signatures import LogKey

BEFORE = 3  # commits on a disk that is well
CEDED = 9  # exit code: the ledger refused, said why once, and went on refusing


def store_in(folder: Path) -> conftest.StoreFixture:
    return conftest.StoreFixture(
        folder / "passerelle.db",
        LogKey.from_seed(bytes(range(64))),
        OpeningKey.from_seed(bytes(32)),
        DataKey.from_seed(bytes(32)),
    )


def suffer(folder: Path, what: str, nth: int, error: str, then: str) -> None:
    """Commit until the disk fails; what was acknowledged is in a file outside the shim's reach."""
    store = store_in(folder)
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sequencer = store.sequencer()
    if then == "leave":
        sequencer._observer.failed = leave_at_once  # type: ignore[method-assign]

    def ask(number: int) -> None:
        index = test_failing_disk.ask(store, sequencer, number)
        os.write(acknowledged, b"%d\n" % index)

    for number in range(BEFORE):
        ask(number)
    counts = (nth, 0) if what == "flush" else (0, nth)
    ctypes.CDLL(None).arm(*counts, getattr(errno, error))
    try:
        for number in range(BEFORE, 500):
            ask(number)
    except AuditUnavailable:
        # The callers are told first, then the observer; where that ends the process, it ends here.
        assert sequencer._thread is not None
        sequencer._thread.join(30)
    try:
        ask(900)  # the disk is well again; we are not
    except AuditUnavailable:
        (folder / "said").write_text("; ".join(map(str, store.fatal)))
        os._exit(CEDED if len(store.fatal) == 1 and not sequencer.healthy else 1)


def main(folder: Path) -> None:
    for number, trial in enumerate(json.load(sys.stdin)):
        place = folder / str(number)
        place.mkdir()
        child = os.fork()
        if child == 0:
            try:
                suffer(place, *trial)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        indices = [int(line) for line in (place / "acknowledged").read_text().split()]
        store = store_in(place)
        size = test_failing_disk.check_whole(store, indices)
        store.close()
        said = place / "said"
        told = {"acknowledged": indices, "code": code, "size": size}
        line = json.dumps({**told, "said": said.read_text() if said.exists() else ""})
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
