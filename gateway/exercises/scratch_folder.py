"""A folder of our own making, emptied at the start of every run and never anybody else's.

A mark inside says who made it. A folder without the mark is refused unless it is empty, so that a
mistyped name costs nothing; two runs in one folder are refused by a lock on the mark.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.errors import UserError

MARK = ".passerelle-demo"
MODE = 0o700  # it holds passphrases


class Scratch:
    """The folder, as a context manager. `keep` may be set until the end; a failure always keeps."""

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder.absolute()
        self.keep = keep
        self._lock = -1

    def __enter__(self) -> Self:
        """Make or empty the folder; raises `UserError` where it is not ours, or in use."""
        folder = self.folder
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UserError(f"{folder} exists and is no folder; name another one with --workdir")
        if folder.is_dir() and not _ours(folder):
            raise UserError(
                f"{folder} was not made by the demo, and is left as it is; name another one with --workdir"
            )
        folder.mkdir(mode=MODE, parents=True, exist_ok=True)
        self._lock = os.open(folder / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise UserError(
                f"another demo is running in {folder}; name another one with --workdir"
            ) from None
        _empty(folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder, unless it is to be kept or something went wrong."""
        if kind is None and not self.keep:
            shutil.rmtree(self.folder)
        os.close(self._lock)


def _ours(folder: Path) -> bool:
    mark = folder / MARK
    return (mark.is_file() and not mark.is_symlink()) or not any(folder.iterdir())


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
