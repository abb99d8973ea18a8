"""A disk in memory that forgets what was not flushed: power cuts for SQLite, by a VFS of our own (ledger.md 12).

Of each file it keeps what a program sees, what is durable, and the writes and truncations between the two. A sync
makes that file's own durable, and no other's. When the power fails, nothing more is taken; what the disk is then
found to hold is one of many images: the durable bytes, and of the writes since any number in any order, some torn
at a sector.

Not modelled: that a new file's name needs a flush of its folder (SQLite does it, and our store exists before it
serves), and a disk that damages what it was not writing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import Enum

import apsw

SECTOR = 512  # bytes; within it a write is whole or not there
SECTOR_SIZE = 4096  # bytes; what SQLite's unix VFS says
POWERSAFE_OVERWRITE = (
    0x1000  # a write damages no neighbours; what SQLite's unix VFS says (sqlite3.h)
)


class Cut(Enum):
    """What is found on the disk after the power came back."""

    DURABLE = "durable"  # what was flushed, and nothing else
    SOME = "some"  # and any of the writes since, each whole
    TORN = "torn"  # and any of them, some cut off at a sector


@dataclass(slots=True)
class Stored:
    """One file. A pending change is an offset and bytes, or a new length and None."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def change(self, at: int, octets: bytes | None) -> None:
        """Take a write, or a truncation."""
        _apply(self.seen, at, octets)
        self.pending.append((at, octets))

    def flush(self) -> None:
        """Make it durable."""
        for at, octets in self.pending:
            _apply(self.durable, at, octets)
        self.pending.clear()

    def image(self, cut: Cut, chance: random.Random) -> bytes:
        """Return what is found of it."""
        found = bytearray(self.durable)
        changes = (
            [] if cut is Cut.DURABLE else [each for each in self.pending if chance.random() < 0.5]
        )
        if chance.random() < 0.5:  # a disk may write in any order
            chance.shuffle(changes)
        for at, octets in changes:
            if cut is Cut.TORN and octets and chance.random() < 0.5:
                for begin, piece in _torn(at, octets, chance):
                    _apply(found, begin, piece)
            else:
                _apply(found, at, octets)
        return bytes(found)


class Disk:
    """Files by name, and when the power or a single change fails.

    cut_at    the change or flush, by its number, that is not done any more; None = never
    fail_at   the one that fails with `fault`, once: what came before is there, and the next one succeeds
    fail_flush   whether every flush fails, while writes succeed
    honest    whether a flush flushes; a disk that lies loses what it acknowledged
    """

    def __init__(self, name: str) -> None:
        self.vfs = name
        self.files: dict[str, Stored] = {}
        self.cut_at: int | None = None
        self.fail_at: int | None = None
        self.fault: type[apsw.Error] = apsw.IOError
        self.fail_flush = False
        self.flushes = 0
        self.honest = True
        self.done = 0
        self.off = False
        self.struck = False  # whether it failed while something was written
        self._vfs = _Files(name, self)

    def step(self) -> None:
        """Count a change or flush; raises what SQLite sees of a disk without power."""
        self.done += 1
        if self.done == self.fail_at:
            raise self.fault("the disk does not take it")
        if self.cut_at is not None and self.done >= self.cut_at:
            self.off = self.struck = True
        if self.off:
            raise apsw.IOError("the power is gone")

    def freeze(self) -> None:
        """Switch it off, if it is not off already."""
        self.off = True

    def images(self, cut: Cut, chance: random.Random) -> dict[str, bytes]:
        """Return every file as it is found when the power is back."""
        return {name: stored.image(cut, chance) for name, stored in self.files.items()}

    def unmount(self) -> None:
        """Let SQLite forget this disk."""
        self._vfs.unregister()


class _Files(apsw.VFS):
    """What SQLite calls: only its clock, its randomness and its sleep are the real ones."""

    def __init__(self, name: str, disk: Disk) -> None:
        self._disk = disk
        super().__init__(name, "unix")

    def xOpen(  # type: ignore[override]  # noqa: N802 - SQLite's names
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> _File:
        """Open or make a file; one without a name is nobody's."""
        known = name.filename() if isinstance(name, apsw.URIFilename) else name
        stored = self._disk.files.setdefault(known, Stored()) if known else Stored()
        flags[1] = flags[0]
        return _File(self._disk, stored)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001
        """Remove a file: durable at once, as after a flush of its folder."""
        del syncdir
        self._disk.step()
        self._disk.files.pop(filename, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        """Say whether a file is there."""
        del flags
        return pathname in self._disk.files

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        """Return the name: there are no folders."""
        return name


class _File:
    """An open file, for the one connection that there is."""

    def __init__(self, disk: Disk, stored: Stored) -> None:
        self._disk, self._stored = disk, stored

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Return what a program sees."""
        return bytes(self._stored.seen[offset : offset + amount])

    def xWrite(self, octets: bytes, offset: int) -> None:  # noqa: N802
        """Take a write; it is not durable yet."""
        self._disk.step()
        self._stored.change(offset, bytes(octets))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        """Take a new length; it is not durable yet."""
        self._disk.step()
        self._stored.change(size, None)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Make this file durable."""
        del flags
        self._disk.step()
        self._disk.flushes += 1
        if self._disk.fail_flush:
            raise apsw.IOError("the disk does not flush")
        if self._disk.honest:
            self._stored.flush()

    def xFileSize(self) -> int:  # noqa: N802
        """Return how long it is."""
        return len(self._stored.seen)

    def xClose(self) -> None:  # noqa: N802
        """Close it; nothing is flushed by that."""

    def xLock(self, level: int) -> None:  # noqa: N802
        """Lock it: there is nobody else."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Unlock it."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """Say that nobody else has it."""
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:  # noqa: N802
        """Understand no request."""
        del operation, pointer
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        """Return the sector that SQLite reckons with."""
        return SECTOR_SIZE

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """Say what this disk promises."""
        return POWERSAFE_OVERWRITE


def _apply(image: bytearray, at: int, octets: bytes | None) -> None:
    if octets is None:
        del image[at:]
        image.extend(bytes(at - len(image)))
        return
    image.extend(bytes(max(0, at - len(image))))
    image[at : at + len(octets)] = octets


def _torn(at: int, octets: bytes, chance: random.Random) -> list[tuple[int, bytes]]:
    """Return the sectors of one write that reached the disk."""
    ends = [*range(SECTOR - at % SECTOR, len(octets), SECTOR), len(octets)]
    begins = [0, *ends[:-1]]
    pairs = [(at + a, octets[a:b]) for a, b in zip(begins, ends, strict=True)]
    return [each for each in pairs if chance.random() < 0.5]
