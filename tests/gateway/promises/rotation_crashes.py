"""Kill a rotation with SIGKILL at every step that reaches the disk, then open the gateway and go on.

    python tests/gateway/promises/rotation_crashes.py FOLDER KIND[,KIND…] [EVERY]

FOLDER holds a party's home `base` and its passphrase `pass`; EVERY kills at every so many-th point. Run by
test_killed_rotation with a few kinds and many points left out; by hand it takes them all. A child is forked for each
point before anything of it has a thread. Points are the start, the middle and the end of each file's write, both sides
of each fsync, rename and unlink, and both sides of each COMMIT of the ledger. KIND may be END_OF_DATA: the whole turn of a
data key in its rounds, from the successor to the destroyed seed, with a detail shredded before.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.engine.base import RootTransaction

from gateway.admin.operation import Officer
from gateway.client.directory_client import Absent, Trust
from gateway.errors import InternalError
from gateway.ledger import events
from gateway.ledger.crypto_shredding import CLASS_OF, Erased
from gateway.ledger.entry import decode
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.effects import Effect
from gateway.store.keys import adopted_versions
from gateway.store.keys.reencryption import SEALED_COLUMNS
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.detail_periods import open_periods, open_stored_key, touch
from gateway.store.schema import detail_keys
from gateway.store.times import utc_now
from gateway.trust.bundle import PartyBundle
from gateway.trust.directory_files import FOLDER, DirectoryFiles
from gateway.trust.partners import own_bundle
from keys.custody import open_custody
from keys.errors import OpenRefused
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState

CUTS = 2  # places inside each write, beside its start
END_OF_DATA = "END_OF_DATA"
OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
RESULTS = (
    *(
        "killed",
        "old",
        "new",
        "neither",
        "not_opened",
        "not_verified",
        "not_believed",
        "not_resumed",
    ),
    "waits",  # a new key that the gateway made known to nobody before it died: the same command goes on with it
)


class Strikes:
    """Kills this process at the n-th point."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._count = 0

    def _strikes(self) -> bool:
        self._count += 1
        return self._count == self._at

    def _writing(self, write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
        def struck(descriptor: int, content: bytes) -> int:
            for cut in range(CUTS + 1):
                if self._strikes():
                    write(descriptor, bytes(content)[: len(content) * cut // CUTS])
                    os.kill(os.getpid(), signal.SIGKILL)
            return write(descriptor, content)

        return struck

    def _around(self, call: Callable[..., object]) -> Callable[..., object]:
        def struck(*words: object, **named: object) -> object:
            if self._strikes():
                os.kill(os.getpid(), signal.SIGKILL)
            answer = call(*words, **named)
            if self._strikes():
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return struck

    def arm(self) -> None:
        os.write = self._writing(os.write)  # type: ignore[assignment]
        os.fsync = self._around(os.fsync)  # type: ignore[assignment]
        Path.replace = self._around(Path.replace)  # type: ignore[assignment, method-assign]
        Path.unlink = self._around(Path.unlink)  # type: ignore[assignment, method-assign]
        RootTransaction.commit = self._around(RootTransaction.commit)  # type: ignore[method-assign]


class Files:
    """The directory as a partner's client fetches it, without a wire between."""

    def __init__(self, home: Path) -> None:
        self._files = DirectoryFiles(home / FOLDER)

    def metadata(self, name: str) -> bytes:
        return _there(self._files.metadata(name))

    def target(self, path: str, sha256: bytes) -> bytes:
        return _there(self._files.target(path, sha256))


def _there(content: bytes | None) -> bytes:
    if content is None:
        raise Absent
    return content


def rotate(gateway: Gateway, kind: KeyKind) -> bool:
    """Rotate as the act does; where no partner is known it takes over at once."""
    answer = gateway.admin.perform(
        OPERATOR, "keys.rotate", {"kind": kind.value, "reason": "a crash"}
    )
    return bool(answer["promoted"])


def forked(work: Callable[[], int]) -> int:
    """Return a child's wait status; what it prints is its own."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        finally:
            os._exit(99)
    return os.waitpid(child, 0)[1]


class KilledRotation:
    """One kind's rotation, killed at its points one after the other."""

    def __init__(self, folder: Path, kind: KeyKind) -> None:
        self._base, self._home = folder / "base", folder / "home"
        self._passphrase = (folder / "pass").read_bytes().strip()
        self._kind = kind
        self._before = own_bundle(self._base)
        custody = open_custody(f"file:{self._base / 'keys/kek.json'}", lambda: self._passphrase)
        self._kid = Keyset.load(self._base / "keys/keyset.json", custody).primary(kind).kid
        self.found: Counter[str] = Counter()
        self._ahead = timedelta(0)

    def run(self, every: int) -> None:
        at = every
        while self._killed_at(at):
            self.found["killed"] += 1
            self._look()
            at += every

    def _open(self) -> Gateway:
        return Gateway.open(
            self._home, lambda: self._passphrase, clock=lambda: utc_now() + self._ahead
        )

    def _killed_at(self, at: int) -> bool:
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.copytree(self._base, self._home)

        def work() -> int:
            with self._open() as gateway:
                Strikes(at).arm()
                self._act(gateway)
                os._exit(0)

        status = forked(work)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    def _act(self, gateway: Gateway) -> None:
        rotate(gateway, self._kind)

    def _look(self) -> None:
        """Open it in another child, ask what stands, go on; its exit code is a mask of what is wrong."""
        status = forked(self._inspected)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99
        if code == 99:
            self.found["not_opened"] += 1
            return
        self.found["new" if code & 1 else "old"] += 1
        for bit, name in (
            (2, "neither"),
            (4, "not_verified"),
            (8, "not_believed"),
            (16, "not_resumed"),
            (32, "waits"),
        ):
            self.found[name] += bool(code & bit)

    def _inspected(self) -> int:
        code = 0
        with self._open() as gateway:
            keyset = gateway.keyset
            with gateway.database.reader() as reader:
                standing = adopted_versions.key_states(reader)
            same = {r.kid: r.state for r in keyset.records} == {
                kid: held.state for kid, held in standing.items()
            }
            active = [
                r for r in keyset.records if (r.kind, r.state) == (self._kind, KeyState.ACTIVE)
            ]
            # Old and new may both be ACTIVE for the one step between; the newer of them produces.
            code |= 0 if same and 1 <= len(active) <= 2 else 2
            code |= 0 if keyset.primary(self._kind).kid == self._kid else 1
            code |= 0 if self._believed() else 8
            gateway.keys.rotation.round()  # what was begun goes on by itself
            begun = [r for r in gateway.keyset.records if r.state is KeyState.PREACTIVE]
            resumed = rotate(gateway, self._kind) or rotate(gateway, self._kind)
            after = [r for r in gateway.keyset.records if r.kind is self._kind]
            left = [r for r in after if r.state is KeyState.PREACTIVE]
            code |= 0 if resumed and not left and self._believed() else 16
            code |= 32 if begun else 0
        code |= 0 if self_check.verify_ledger(self._home).ok else 4
        return code

    def _believed(self) -> bool:
        """Say whether a partner who holds our first entry gets one that is ours, by the directory alone."""
        trust = self._home / "trust"
        shutil.rmtree(trust, ignore_errors=True)
        octets = Trust(trust).update(self._before, Files(self._home))
        newest = self._before if octets is None else PartyBundle.parse(octets)
        return self._before.version <= newest.version <= own_bundle(self._home).version


class EndOfDataKey(KilledRotation):
    """The turn of a data key by its schedule, killed at its points; what lives opens before and after, and it ends."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, KeyKind.DATA)
        if forked(self._shred):
            raise SystemExit("the home directory cannot be prepared")

    def _shred(self) -> int:
        with Gateway.open(self._base, lambda: self._passphrase) as gateway:
            with gateway.database.reader() as reader:
                index = reader.execute(select(func.min(detail_keys.c.idx))).scalar_one()
                kept = CLASS_OF[decode(stored_ledger.leaf(reader, index)).type]
            gone, now = detail_keys.c.idx == index, gateway.clock()
            leaf = events.erasure(Erased(kept, 1, index, index), "t", now, now, {"actor": "t"})
            shredded = touch(gone), Effect(delete(detail_keys).where(gone), rows=1)
            gateway.sequencer.commit((leaf,), shredded)
        return 0

    def _act(self, gateway: Gateway) -> None:
        for ahead in (timedelta(days=8), timedelta(days=8, hours=2)):
            self._ahead = ahead
            for job in (gateway.keys.rotation, gateway.keys.reencryption, gateway.keys.rotation):
                job.round()

    def _inspected(self) -> int:
        code = 0
        self._ahead = timedelta(days=8, hours=3)
        with self._open() as gateway:
            with gateway.database.reader() as reader:
                standing = adopted_versions.key_states(reader)
            states = {r.kid: r.state for r in gateway.keyset.records}
            same = states == {kid: held.state for kid, held in standing.items()}
            code |= 0 if same and _all_open(gateway) else 2
            code |= 1 if states[self._kid] is KeyState.DESTROYED else 0
            for _ in range(3):
                gateway.keys.rotation.round()
                gateway.keys.reencryption.round()
                self._ahead += timedelta(hours=2)
            gateway.keys.rotation.round()
            ended = gateway.keyset.record(self._kid).state is KeyState.DESTROYED
            code |= 0 if ended and _all_open(gateway) else 16
        code |= 0 if self_check.verify_ledger(self._home).ok else 4
        return code


def _all_open(gateway: Gateway) -> bool:
    """Say whether all that is sealed here opens."""
    ring = gateway.keys.data_key
    try:
        with gateway.database.reader() as reader:
            for sealed in SEALED_COLUMNS:
                for row in reader.execute(select(sealed.table).where(sealed.column.is_not(None))):
                    ring.open(getattr(row, sealed.name), sealed.bound(row))
            known = open_periods(reader, ring)
            return all(
                open_stored_key(row.idx, row.sealed_dek, known)
                for row in reader.execute(select(detail_keys))
            )
    except (OpenRefused, InternalError):
        return False


def main(folder: Path, kinds: str, every: int) -> None:
    total: Counter[str] = Counter()
    for name in kinds.split(","):
        kind = (
            EndOfDataKey(folder) if name == END_OF_DATA else KilledRotation(folder, KeyKind(name))
        )
        kind.run(every)
        total += kind.found
    sys.stdout.write(json.dumps({name: total[name] for name in RESULTS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1)
