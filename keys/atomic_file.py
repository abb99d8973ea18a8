"""The one writer of files, and key files: canonical JSON with a checksum, replaced whole or not at all.

A reader accepts only what a writer here could have written, byte for byte: the text must be the
canonical form of its own content and the checksum must fit. So every truncation and every flipped bit
is distinguished from a wrong passphrase before any key is derived. The checksum is no defence against a
person; what is kept from forgers is sealed by the custody.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from keys import strict_json
from keys.errors import CustodyFault, DamagedFile
from keys.strict_json import JsonRefused

T = TypeVar("T")

FOLDER_MODE = 0o700  # of a folder that we make
MODE = 0o600  # of a file that we make
_CAREFUL = os.O_NOFOLLOW | os.O_CLOEXEC  # nothing is written where a link leads
LARGEST_FILE = (
    4 * 1024 * 1024
)  # bytes; about 300 keys with their certificates, far above a real keyset
CHECKSUM = "checksum"


def encode(body: Mapping[str, object]) -> bytes:
    """Return the file of `body`: canonical JSON with the SHA-256 of itself without that line."""
    checksum = hashlib.sha256(canonical(body)).hexdigest()
    return canonical({**body, CHECKSUM: checksum})


def decode(path: Path, content: bytes) -> dict[str, object]:
    """Return the body of a file's content. Raises DamagedFile unless it is exactly as written."""
    try:
        body = strict_json.read(content, LARGEST_FILE)
        whole = isinstance(body, dict) and canonical(body) == content
        checksum = body.pop(CHECKSUM) if whole else None
    except (JsonRefused, KeyError):
        whole, checksum = False, None
    if not whole or checksum != hashlib.sha256(canonical(body)).hexdigest():
        raise DamagedFile(path, "the file is truncated or altered")
    return dict(body)


def canonical(body: object) -> bytes:
    """Return the one JSON text of `body`: sorted names, one a line, ASCII, a newline at the end."""
    return (json.dumps(body, sort_keys=True, indent=1, allow_nan=False) + "\n").encode("ascii")


def read(path: Path) -> bytes:
    """Return a key file's bytes.

    Raises CustodyFault when the file is absent or others may read it, DamagedFile when it is larger
    than any of ours.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise CustodyFault(f"{path}: others may read this key file; run: chmod 600 {path}")
            content = file.read(LARGEST_FILE + 1)
    except OSError as fault:
        raise CustodyFault(
            f"{path}: {fault.strerror}; make it with `passerelle init`, or restore it from backup"
        ) from None
    if len(content) > LARGEST_FILE:
        raise DamagedFile(path, "the file is larger than any key file")
    return content


class Draft:
    """A file in the making: `finish` puts it at `path` whole, `drop` leaves nothing, and a crash leaves one or the other.

    Written under another name in the same folder, flushed to disk, renamed, and the folder flushed too, because a
    rename is durable only with it.
    """

    def __init__(self, path: Path, mode: int = MODE, *, name: Path | None = None) -> None:
        """Begin it. Raises OSError.

        mode   of the file, whatever the umask
        name   what it is called until then, where only one process writes it: what an earlier one left is written over;
               else a name that nobody else has
        """
        self._path = path
        if name is None:
            handle, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            name = Path(made)
        else:
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _CAREFUL, mode)
        self._name: Path | None = name
        os.fchmod(handle, mode)
        self.file: BinaryIO = os.fdopen(handle, "wb")

    def flush(self) -> None:
        """Bring what was written to the disk; nothing more is written."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def place(self) -> None:
        """Give it its name, which is durable once its folder is flushed."""
        if self._name is not None:
            self._name.replace(self._path)
            self._name = None

    def finish(self) -> None:
        """Put it in its place, whole and durable."""
        self.flush()
        self.place()
        flush_folder(self._path.parent)

    def drop(self) -> None:
        """Leave nothing of what is not in its place yet; never raises."""
        with contextlib.suppress(OSError):
            self.file.close()
        if self._name is not None:
            with contextlib.suppress(OSError):
                self._name.unlink()


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a crash leaves the old file or the new one, never a mixture.

    The file has mode 0600; a missing folder is made with mode 0700.
    """
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    with stream(path) as file:
        left = memoryview(content)
        while left:  # nothing is held back in a buffer: of key files each write is one step
            left = left[os.write(file.fileno(), left) :]


@contextmanager
def stream(path: Path, mode: int = MODE) -> Iterator[BinaryIO]:
    """Lend a file to write into, which takes the place of `path` when it is whole, as in `Draft`. Raises OSError."""
    draft = Draft(path, mode)
    try:
        yield draft.file
        draft.finish()
    finally:
        draft.drop()


def exclusive(path: Path) -> BinaryIO:
    """Open a new file of mode 0600 for writing. Raises FileExistsError, for a link too."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFUL, MODE)
    os.fchmod(handle, MODE)  # a umask can only take away, and what it takes the next writing lacks
    return os.fdopen(handle, "wb")


@contextmanager
def create_new(path: Path) -> Iterator[BinaryIO]:
    """Lend a new file to write into; it is there whole and flushed, or not at all.

    Its name is durable once its folder is flushed. Raises FileExistsError where something is there, a link too; OSError.
    """
    file = exclusive(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


@contextmanager
def append(path: Path) -> Iterator[BinaryIO]:
    """Lend a file of mode 0600 to add to, to one process at a time; what was added is on the disk at the end."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
    with os.fdopen(handle, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that processes share: an empty file of mode 0600, which stays; the system drops it with its process.

    Raises BlockingIOError where another holds it and it is not to be waited for; OSError.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | _CAREFUL, MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def rename(path: Path, target: Path) -> None:
    """Give a file that is on disk another name in its folder, durably."""
    path.replace(target)
    flush_folder(target.parent)


def remove(path: Path) -> None:
    """Take a file away, durably; one that is not there is away."""
    path.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename alone may be undone by a power cut."""
    _flush(folder, os.O_DIRECTORY)


def flush_file(path: Path) -> None:
    """Bring a file, or a folder, to the disk that a library of others wrote."""
    _flush(path, 0)


def _flush(place: Path, flags: int) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Fields:
    """The members of one JSON object of a key file: exactly the expected names, each of its type.

    Every reading raises DamagedFile; after the checksum that means a file of another version.
    """

    __slots__ = ("_members", "_path")

    def __init__(self, path: Path, members: object, names: frozenset[str]) -> None:
        if not isinstance(members, dict) or members.keys() != names:
            raise DamagedFile(path, "the file is not of this version")
        self._path = path
        self._members = members

    def text(self, name: str) -> str:
        """Return a string member."""
        return self._typed(name, str)

    def number(self, name: str) -> int:
        """Return an integer member; a truth value is none."""
        return self._typed(name, int)

    def members(self, name: str) -> list[object]:
        """Return a list member."""
        return self._typed(name, list)

    def octets(self, name: str) -> bytes:
        """Return a base64 member's bytes."""
        try:
            return base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            raise self.fault(name) from None

    def fault(self, name: str) -> DamagedFile:
        """Return, to be raised, the error that names the member at fault and not its value."""
        return DamagedFile(self._path, f"{name} is not what this version writes")

    def _typed(self, name: str, kind: type[T]) -> T:
        value = self._members[name]
        if type(value) is not kind:
            raise self.fault(name)
        return value


def text_of(octets: bytes) -> str:
    """Return bytes as the base64 that `Fields.octets` reads."""
    return base64.b64encode(octets).decode("ascii")
