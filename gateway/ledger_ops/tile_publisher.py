"""The publisher: writes the ledger's tiles and its checkpoint as files, from rows, and can be killed anywhere.

(1) What is published: the checkpoint file, if it is ours and its tree is the beginning of the rows' tree.
    One that is ours and is not is never written over: it is evidence that the rows were set back or changed.
(2) The newest checkpoint of the rows; where it is published already there is nothing to do.
(3) Entry bundles, then hash tiles from the leaves upwards: each under another name, flushed, renamed. What is
    there already, byte for byte, stays as it is.
(4) The folders are flushed: names are as durable as bytes.
(5) The signed root is computed from the files as they are now; tiles that do not give it are not announced.
(6) The checkpoint, in the same way. Only now does anybody look for the new tiles.
(7) Partial tiles of which there is a full one are removed, as tlog-tiles allows.

A lock beside the files keeps two publishers apart. Nothing here holds the writer lock: a disk that is slow or full
delays the files and no answer, until they are overdue (`gateway.ledger_ops.evidence_deadline`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway import telemetry
from gateway.errors import InternalError, UserError
from gateway.ledger import merkle, tiles
from gateway.ledger.errors import AuditFault
from gateway.ledger.signed_note import Checkpoint, LogIdentity
from gateway.ledger.tiles import CHECKPOINT, TilePath, Tiles
from gateway.store.engine import StorageEngine
from gateway.store.ledger import stored_ledger
from keys import atomic_file

LOCK: Final = ".lock"
TEMPORARY: Final = ".tmp"  # ending of a name that is not published
PUBLIC: Final = (0o755, 0o644)  # folders and files for partners and witnesses
AUDITORS: Final = (0o700, 0o600)  # entry bundles: they hold everyone's frames

_log = telemetry.logger("tiles")


class AnotherPublishes(UserError):
    """Another process publishes the same files; it will be done in a moment."""


def contents(database: StorageEngine, path: TilePath) -> bytes:
    """Return the bytes of a tile as the rows give them; raises InternalError at a gap."""
    start, stop = path.first, path.first + path.width
    if path.level is not None:
        with database.reader() as reader:
            return tiles.hash_tile(stored_ledger.hashes(reader, path.height, start, stop))
    leaves = list(stored_ledger.iter_leaves(database, start, stop))
    if len(leaves) != path.width:
        raise InternalError(f"the ledger has no leaf {start + len(leaves)}")
    return tiles.entry_tile(leaves)


def files_in(folder: Path) -> Callable[[str], bytes | None]:
    """Return what reads published files, for `gateway.ledger.tiles.Tiles`."""

    def fetch(path: str) -> bytes | None:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError:
            return None

    return fetch


class Publisher:
    """Brings the files up to the rows, a step at a time. For one thread."""

    def __init__(
        self,
        folder: Path,
        database: StorageEngine,
        log: Callable[[], LogIdentity],
        *,
        observe: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare; nothing is written yet.

        observe   is called after each step; tests stop there
        """
        self._folder, self._database, self._log = folder, database, log
        self._observe = observe
        self._touched: set[Path] = set()

    def publish(
        self,
        *,
        whole: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Publish the newest checkpoint; return how many entries are published now.

        whole     look at every file, not only at what is new: what was damaged or lost is written again
        stopped   asked between two files; what was written so far is found again by the next call
        progress  called with how many tiles are done

        Raises OSError where the disk does not take it, InternalError where the rows are not the beginning of what was
        published or do not give what was signed, AnotherPublishes where somebody else is at it.
        """
        with self._alone():
            with self._database.reader() as reader:
                newest = stored_ledger.checkpoint(reader)
            if newest is None:
                self._published(None)
                return 0
            target = self._log().open(newest)
            old = self._published(target)  # (1)
            if old == target.size and not whole:  # (2)
                return old
            begun = 0 if whole else old
            if whole:
                self._sweep()
            for done, path in enumerate(tiles.new_since(begun, target.size)):  # (3)
                if stopped():
                    return old
                self._tile(path)
                progress(done + 1)
            self._flush_folders()  # (4)
            Tiles(files_in(self._folder), target.size).check_root(target)  # (5)
            self._write(self._folder / CHECKPOINT, newest, PUBLIC)  # (6)
            self._flush_folders()
            self._observe("checkpoint")
            self._prune(begun, target.size)  # (7)
            return target.size

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._folder.mkdir(mode=PUBLIC[0], parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(atomic_file.lock(self._folder / LOCK, wait=False))
            except BlockingIOError:
                raise AnotherPublishes(
                    f"{self._folder} is being published by another process; let it finish"
                ) from None
            stack.callback(self._touched.clear)
            yield

    def _published(self, target: Checkpoint | None) -> int:
        """Return the size of the published checkpoint that the rows continue; 0 where nothing usable is there."""
        raw = files_in(self._folder)(CHECKPOINT)
        if raw is None:
            return 0
        try:
            found = self._log().open(raw)
        except AuditFault:
            # Not ours, so no evidence of ours: rubbish that somebody put there.
            _log.error("published_checkpoint_refused", file=CHECKPOINT)
            return 0
        size = 0 if target is None else target.size
        if found.size > size:
            raise InternalError(
                f"the published checkpoint covers {found.size} entries, the rows {size}: the ledger was set back;"
                " keep a copy of the folder, it is evidence; docs/operators.md says what then"
            )
        with self._database.reader() as reader:
            root = merkle.root_at(found.size, stored_ledger.node(reader))
        if root != found.root:
            raise InternalError(
                f"the rows do not give the published root of {found.size} entries: the ledger was changed;"
                " keep a copy of the folder, it is evidence; docs/operators.md says what then"
            )
        return found.size

    def _tile(self, path: TilePath) -> None:
        octets = contents(self._database, path)
        if path.level is None:
            self._demand_hashed(path, octets)
        name = self._folder / path.format()
        self._write(name, octets, AUDITORS if path.level is None else PUBLIC)
        self._observe(path.format())

    def _demand_hashed(self, path: TilePath, octets: bytes) -> None:
        """Refuse to publish entries that are not the ones that were hashed."""
        with self._database.reader() as reader:
            hashes = stored_ledger.hashes(reader, 0, path.first, path.first + path.width)
        for at, leaf in enumerate(tiles.read_entries(octets, path.width)):
            if merkle.leaf_hash(leaf) != hashes[at]:
                raise InternalError(f"leaf {path.first + at} is not the leaf that was hashed")

    def _write(self, path: Path, octets: bytes, modes: tuple[int, int]) -> None:
        """Put a file in its place, complete and flushed, or not at all."""
        self._folders(path.parent, modes[0])
        self._touched.add(path.parent)
        with suppress(FileNotFoundError):
            if path.read_bytes() == octets:
                return
            if path.name != CHECKPOINT:
                _log.error("published_file_replaced", file=str(path.relative_to(self._folder)))
        hidden = path.with_name(f".{path.name}{TEMPORARY}")
        draft = atomic_file.Draft(path, modes[1], name=hidden)
        try:
            draft.file.write(octets)
            draft.file.flush()
            self._observe("written")
            draft.flush()
            self._observe("flushed")
            draft.place()
        except OSError:
            draft.drop()
            raise
        self._observe("renamed")

    def _folders(self, folder: Path, mode: int) -> None:
        """Make a folder and those above it that are missing; where tiles of one kind begin is theirs alone."""
        if not folder.is_dir():
            self._folders(folder.parent, PUBLIC[0] if folder.parent.name == "tile" else mode)
            folder.mkdir(mode=mode)
            folder.chmod(mode)
            self._touched.add(folder.parent)

    def _flush_folders(self) -> None:
        for folder in sorted(self._touched):
            atomic_file.flush_folder(folder)
        self._touched.clear()
        self._observe("folders flushed")

    def _sweep(self) -> None:
        """Remove what earlier publishers did not finish; nobody else writes while we are alone."""
        for left in self._folder.rglob(f".*{TEMPORARY}"):
            left.unlink()

    def _prune(self, old: int, new: int) -> None:
        """Remove partial tiles that a full one has replaced, those of the step before included."""
        for path in tiles.new_since(max(0, old - tiles.WIDTH), new):
            if path.full:
                place = self._folder / path.format()
                shutil.rmtree(place.with_name(f"{place.name}.p"), ignore_errors=True)
        self._observe("pruned")
