"""Files that a command writes, and files that another file names.

What a command writes holds people, cases or keys, so it is for its owner's eyes only, whatever the umask, and
never lands where a link points. Only the tiles that a web server publishes are meant for others
(`gateway.ledger_ops.tile_publisher`).

A file named in a table came with the table, from whoever made it: it lies below the table's folder and is
reached without a link, or somebody else's file would be read in our name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from gateway.errors import PasserelleError, UserError
from keys import atomic_file

_OPEN: Final = (
    os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
)  # a FIFO without a writer is not waited for


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SQLITE_FULL: Final = 13  # SQLITE_FULL

# What a person can do about what the system says of a file; for other numbers it has its own words.
_REMEDIES: Final = {
    errno.ENOENT: "no such file or folder; check the name",
    errno.EACCES: "this user may not open it; change its owner or mode, or run as the gateway's user",
    errno.EPERM: "this user may not do that; change its owner or mode, or run as the gateway's user",
    errno.EISDIR: "a folder, where a file is wanted; name a file",
    errno.ENOTDIR: "a part of the name is a file, where a folder is wanted; check the name",
    errno.ENAMETOOLONG: "a name that is too long for the system; take a shorter one",
    errno.ELOOP: "a link that leads to itself, or where none may be; name the file itself",
    errno.EROFS: "on a disk that can only be read; take another place",
}


def is_full(fault: BaseException | None) -> bool:
    """Say whether a fault, or what caused it, is that no space was left: the system's words, or the database's."""
    while fault is not None:
        inner = getattr(fault, "orig", None)  # what SQLAlchemy wraps
        if isinstance(fault, OSError) and fault.errno in _FULL:
            return True
        if getattr(inner, "sqlite_errorcode", None) == _SQLITE_FULL:
            return True
        fault = fault.__cause__
    return False


def no_room(where: Path | None) -> str:
    """Return what to say where no space was left: how much there is, and what to do; None: it is not known where."""
    place, left = "" if where is None else f" where {where} is", "how much is left cannot be seen"
    with contextlib.suppress(OSError):
        found = None if where is None else os.statvfs(where)
        if found is not None:
            left = f"{found.f_bavail * found.f_frsize // 1_000_000:,} MB and {found.f_favail:,} files are left"
    return (
        f"no space was left{place} ({left}; a quota or a limit of this process may be lower): make room,"
        " then run it again; what was under way does not count"
    )


def why(fault: Exception) -> str:
    """Return what is the matter with a file, and what to do about it, as far as the system says."""
    known = _REMEDIES.get(getattr(fault, "errno", None) or 0)
    return known or getattr(fault, "strerror", None) or "cannot be opened"


def fault_text(fault: Exception) -> str:
    """Return the text about a fault for a person: of one of the system's the file and what to do, else its own words."""
    if is_full(fault):
        return no_room(_place(fault))
    if not isinstance(fault, OSError) or fault.errno is None:
        return str(fault)
    if not fault.filename:  # a port, say, of which no owner can be changed
        return fault.strerror or str(fault)
    return f"{fault.filename}: {why(fault)}"


def _place(fault: Exception) -> Path | None:
    """Return the folder whose disk is full, where the fault names a file: what is written to names none."""
    named = getattr(fault, "filename", None)
    return Path(named).absolute().parent if isinstance(named, str) else None


class FileRefused(PasserelleError):
    """A file is not read; the text says why and holds nothing of it."""


class FileMissing(FileRefused):
    """There is no such file."""


def _there_already(path: Path) -> str:
    return f"{path} is there already: name a new file, or move it away"


def _demand_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise UserError(
            f"{path} cannot be written: there is no folder {path.parent}; make it, or name another file"
        )


@contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """Lend a new file to write into; it is there whole and flushed, or not at all. Raises UserError, OSError."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(atomic_file.create_new(path))
        except FileExistsError:
            raise UserError(_there_already(path)) from None
        yield file


def demand_new(*paths: Path | None) -> None:
    """Raise UserError where a file that a command is to write is there already or has no folder, before the work is done."""
    for path in filter(None, paths):
        if os.path.lexists(path):
            raise UserError(_there_already(path))
        _demand_folder(path)


def create(path: Path, octets: bytes) -> None:
    """Write a new file. Raises UserError where something is there already, OSError where it cannot be."""
    with creating(path) as file:
        file.write(octets)


def write(path: Path, octets: bytes) -> None:
    """Write a file, or put another in the place of the one that is there. Raises UserError.

    A link is not followed and not replaced either: it may be /dev/stdout, or lead to somebody's file.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UserError(f"{path} is a link or no file; name a file")
    _demand_folder(path)
    try:
        atomic_file.replace(path, octets)
    except OSError as fault:
        raise UserError(f"{path} cannot be written: {why(fault)}") from None


def read(path: Path, most: int) -> bytes:
    """Return a file that a person named, of at most `most` bytes; links are followed. Raises FileRefused."""
    try:
        handle = os.open(path, _OPEN)
    except FileNotFoundError:
        raise FileMissing(_missing(path)) from None
    except (OSError, ValueError) as fault:
        raise FileRefused(why(fault)) from None
    return _content(handle, most)


def _missing(path: Path) -> str:
    return "a link to nothing" if path.is_symlink() else "no such file; check the name"


def named(path: Path, most: int) -> bytes:
    """Return a file that a person named, as `read` does; raises UserError, which says its name and why."""
    try:
        return read(path, most)
    except FileRefused as fault:
        raise UserError(f"{path}: {fault}") from None


def read_below(folder: Path, name: str, most: int) -> bytes:
    """Return a file that a table in `folder` names, of at most `most` bytes.

    Each part of the name is opened in the one before it and none may be a link, so that nobody can exchange a
    folder for a link in between. Raises FileRefused.
    """
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise FileRefused("not below the folder of the file that names it; move it there")
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as fault:
        raise FileRefused(why(fault)) from None
    try:
        for part in parts[:-1]:
            inner = os.open(
                part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at
            )
            os.close(at)
            at = inner
        handle = os.open(parts[-1], _OPEN | os.O_NOFOLLOW, dir_fd=at)
    except FileNotFoundError:
        raise FileRefused("no such file") from None
    except (OSError, ValueError) as fault:
        if _linked(folder, parts):
            raise FileRefused(
                "a link, which may lead elsewhere; put the file itself there"
            ) from None
        raise FileRefused(why(fault)) from None
    finally:
        os.close(at)
    return _content(handle, most)


def _content(handle: int, most: int) -> bytes:
    """Read an open file and close it; its kind and size are looked at before anything is read."""
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused("no regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            octets = b"" if found.st_size > most else file.read(most + 1)
    except OSError as fault:
        raise FileRefused(why(fault)) from None
    finally:
        os.close(handle)
    if found.st_size > most or len(octets) > most:
        raise FileRefused(f"larger than {most} bytes")
    return octets


def _linked(folder: Path, parts: tuple[str, ...]) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return any(folder.joinpath(*parts[: at + 1]).is_symlink() for at in range(len(parts)))
    return False
