"""The memory of one partner's ledger: the newest checkpoint seen, never moved backwards.

Whoever asks is a witness (ledger.md section 7). A ledger that shows us a smaller tree, or another one of
the same size, has two histories; we keep both signed checkpoints and say so. Answers arrive out of order,
so an older tree is fine where the ledger proves that it is the beginning of the one we keep.

(1) a tree already judged needs no second proof
(2) a tree smaller than the one kept when the question was sent is a step back, whatever it proves
(3) one of equal size has the same root
(4) else the smaller is proved to be the beginning of the larger
(5) the larger is kept: written, flushed, renamed, its folder flushed, under a lock that other processes share
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.client.errors import DeadlineExceeded, SplitView
from gateway.errors import UserError
from gateway.ledger import merkle, split_view_evidence
from gateway.ledger.errors import NoteRefused, ProofRefused
from gateway.ledger.signed_note import Checkpoint, LogIdentity
from keys import atomic_file

JUDGED = 4096  # trees remembered as consistent; one needs about 100 bytes

Prove = Callable[[int, int], Sequence[bytes]]


class CannotProve(Exception):
    """The log answered that it has no consistency proof between two sizes."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A checkpoint as it was signed, and what it says."""

    signed: bytes
    checkpoint: Checkpoint


class Witness:
    """Keeps the newest checkpoint of one log, in a file if it has one, for threads and processes alike."""

    def __init__(self, log: LogIdentity, path: Path | None = None) -> None:
        self._log = log
        self._path = path
        self._lock = threading.Lock()
        self._judged: OrderedDict[int, bytes] = OrderedDict()
        self._kept: Sighting | None = None
        with self._alone():
            self._kept = self._read()

    @property
    def kept(self) -> Sighting | None:
        """The newest checkpoint that this witness has seen."""
        return self._kept

    @property
    def size(self) -> int:
        """The size of the kept tree in leaves; 0 before the first."""
        return _size(self._kept)

    def know(self, log: LogIdentity) -> None:
        """Verify from now on what is kept under the keys of the peer's newer bundle. Raises UserError."""
        if log.origin != self._log.origin:
            raise UserError(
                "the peer's ledger has another name now; ask its auditor, and import its bundle by hand"
            )
        self._log = log

    def accept(
        self,
        signed: bytes,
        checkpoint: Checkpoint,
        floor: int,
        prove: Prove,
        *,
        until: float = math.inf,
    ) -> None:
        """Accept a checkpoint whose signatures were verified, or raise `SplitView`.

        floor  the size kept when the question was sent; an answer given later is in a larger tree
        prove  asks the log for the consistency proof between two sizes; may raise `CannotProve`
        until  monotonic seconds; threads take turns, and past this one raises `DeadlineExceeded`
        """
        if self._knows(checkpoint, floor):
            return  # (1)
        seen = Sighting(signed, checkpoint)
        with self._turn(until):
            if self._knows(checkpoint, floor):
                return  # (1) whoever had the turn before us had the same tree
            if checkpoint.size < floor and self._kept:  # (2)
                self._accuse(self._kept, seen, (), "its ledger went backwards")
            while not self._settled(seen, prove):
                pass  # another process moved the kept checkpoint while we fetched a proof
            self._remember(checkpoint)

    def _knows(self, checkpoint: Checkpoint, floor: int) -> bool:
        return checkpoint.size >= floor and self._judged.get(checkpoint.size) == checkpoint.root

    @contextmanager
    def _turn(self, until: float) -> Iterator[None]:
        wait = min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=wait):
            raise DeadlineExceeded("the deadline passed while the ledger was being checked")
        try:
            yield
        finally:
            self._lock.release()

    def _settled(self, seen: Sighting, prove: Prove) -> bool:
        kept = self._kept
        if kept is not None:
            self._compare(kept, seen, prove)  # (3), (4)
        with self._alone():  # (5)
            newest = self._read()
            if newest is not None and kept != newest and newest.checkpoint.size >= _size(kept):
                self._kept = newest
                return False
            if kept is None or seen.checkpoint.size > kept.checkpoint.size:
                kept = seen
            if newest is None or newest.checkpoint != kept.checkpoint:
                self._write(kept)  # also where somebody put an older file back
            self._kept = kept
        return True

    def _compare(self, kept: Sighting, seen: Sighting, prove: Prove) -> None:
        old, new = sorted((kept.checkpoint, seen.checkpoint), key=lambda c: c.size)
        if old.size == new.size:
            if old.root != new.root:
                self._accuse(kept, seen, (), "its ledger has two trees of one size")
            return
        if old.size == 0:
            return  # the empty tree begins every tree
        hashes: Sequence[bytes] = ()
        try:
            hashes = prove(old.size, new.size)
            merkle.verify_consistency(
                hashes, old=old.size, new=new.size, old_root=old.root, new_root=new.root
            )
        except CannotProve:
            self._accuse(kept, seen, hashes, "its ledger cannot prove that it only grew")
        except ProofRefused:
            self._accuse(kept, seen, hashes, "its ledger was rewritten")

    def _remember(self, checkpoint: Checkpoint) -> None:
        self._judged[checkpoint.size] = checkpoint.root
        while len(self._judged) > JUDGED:
            self._judged.popitem(last=False)

    def _accuse(
        self, kept: Sighting, seen: Sighting, hashes: Sequence[bytes], accusation: str
    ) -> None:
        """Keep both signed checkpoints: either proves nothing alone, together they convict."""
        path = None
        if self._path is not None:
            notes = kept.signed, seen.signed
            path = split_view_evidence.keep(
                self._path, accusation, kept.checkpoint.origin, notes, hashes
            )
        raise SplitView(
            f"do not use this answer and inform the partner's auditor: {accusation}"
            f" (kept size {kept.checkpoint.size}, seen size {seen.checkpoint.size})",
            path,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock that other processes share, for a read or a compare-and-write."""
        if self._path is None:
            yield
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_file.lock(self._path.with_suffix(".lock")):
            yield

    def _read(self) -> Sighting | None:
        if self._path is None:
            return self._kept
        try:
            signed = self._path.read_bytes()
        except FileNotFoundError:
            return self._kept
        try:
            checkpoint = self._log.open(signed)
        except NoteRefused:
            raise UserError(
                f"the kept checkpoint {self._path} is damaged or of another ledger; compare it with the"
                " partner's auditor, then move it away to begin anew"
            ) from None
        return Sighting(signed, checkpoint)

    def _write(self, sighting: Sighting) -> None:
        if self._path is not None:
            atomic_file.replace(self._path, sighting.signed)


def _size(sighting: Sighting | None) -> int:
    return sighting.checkpoint.size if sighting else 0
