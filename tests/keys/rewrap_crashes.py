"""Kill a re-wrap with SIGKILL at every step, by counting the calls that reach the disk.

One thread, so that forking is safe; run by test_rewrap as a process of its own. Prints what was found.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from keys import custody_rewrap
from keys.custody import Argon2Cost, FileCustody, open_custody
from keys.errors import KeysError
from keys.keyset import Keyset

OLD, NEW = b"the old passphrase", b"the new passphrase"
CHEAP = Argon2Cost(8, 1, 1)
CUTS = 48  # places inside each write, beside its start and its end


class Strikes:
    """Kills this process at the n-th point; without one, counts them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.count = 0
        self._write, self._fsync = os.write, os.fsync
        self._replace, self._unlink = Path.replace, Path.unlink

    def _point(self) -> bool:
        self.count += 1
        return self.count == self.at

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write(self, descriptor: int, content: bytes) -> int:
        for cut in range(CUTS + 1):
            if self._point():
                self._write(descriptor, bytes(content)[: len(content) * cut // CUTS])
                self._die()
        return self._write(descriptor, content)

    def around(self, call: Callable[..., object]) -> Callable[..., object]:
        def struck(*words: object, **named: object) -> object:
            if self._point():
                self._die()
            answer = call(*words, **named)
            if self._point():
                self._die()
            return answer

        return struck

    def arm(self) -> None:
        os.write = self.write  # type: ignore[assignment]
        os.fsync = self.around(self._fsync)  # type: ignore[assignment]
        Path.replace = self.around(self._replace)  # type: ignore[assignment, method-assign]
        Path.unlink = self.around(self._unlink)  # type: ignore[assignment, method-assign]


def uri(home: Path) -> str:
    return custody_rewrap.in_force(
        home / "keyset.json", "file:kek.json", lambda place: home / place
    )


def opens(home: Path, passphrase: bytes) -> Keyset | None:
    try:
        return Keyset.load(home / "keyset.json", open_custody(uri(home), lambda: passphrase))
    except KeysError:
        return None


def run(home: Path) -> None:
    """Re-wrap as the gateway does; called again after a crash, it goes on."""
    file, place = home / "keyset.json", home / "kek.json"
    found = custody_rewrap.pending(file)
    if found is None and opens(home, NEW):
        return  # it died after its last step
    if found is None or not found.done:
        custody_rewrap.clear(file)
        custody_rewrap.next_of(place).unlink(missing_ok=True)
        keyset = Keyset.load(file, open_custody(uri(home), lambda: OLD))
        new = FileCustody.create(custody_rewrap.next_of(place), NEW, CHEAP)
        plan = custody_rewrap.Plan("file:kek.json", beside=True)
        custody_rewrap.prepare(file, keyset, new, plan)
        custody_rewrap.commit(file)
    custody_rewrap.settle(file, place)
    custody_rewrap.clear(file)


def fresh(base: Path, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(base, home)


def killed(home: Path, at: int) -> bool:
    """Run in a child that dies at one point; return whether it did."""
    child = os.fork()
    if child == 0:
        Strikes(at).arm()
        run(home)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main(folder: Path) -> None:
    base, home = folder / "base", folder / "home"
    base.mkdir()
    custody = FileCustody.create(base / "kek.json", OLD, CHEAP)
    keyset = Keyset.create(datetime(2026, 3, 1, tzinfo=UTC), "CAN", custody)
    keyset.save(base / "keyset.json")
    standing = [record.standing() for record in keyset.records]
    found = dict.fromkeys(("killed", "old", "new", "neither", "both", "not_resumed"), 0)
    at = 1
    while True:
        fresh(base, home)
        if not killed(home, at):
            break
        found["killed"] += 1
        old, new = opens(home, OLD), opens(home, NEW)
        found["neither"] += old is None and new is None
        found["both"] += old is not None and new is not None
        found["old"] += old is not None
        found["new"] += new is not None
        run(home)
        resumed = opens(home, NEW)
        whole = resumed is not None and [r.standing() for r in resumed.records] == standing
        tidy = not custody_rewrap.next_of(
            home / "kek.json"
        ).exists() and not custody_rewrap.pending(home / "keyset.json")
        found["not_resumed"] += not (whole and tidy and opens(home, OLD) is None)
        at += 1
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
