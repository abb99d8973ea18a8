"""Key files: canonical JSON with a checksum, replaced completely or not at all.

A reader accepts only what a writer here could have written, byte for byte: the text must be the
canonical form of its own content and the checksum must fit. So every truncation and every flipped bit
is distinguished from a wrong passphrase before any key is derived. The checksum is no defence against a
person; what is kept from forgers is sealed by the custody.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from keys import strict_json
from keys.errors import CustodyFault, DamagedFile
from keys.strict_json import JsonRefused

T = TypeVar("T")

FOLDER_MODE = 0o700  # of a folder that we make
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


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that a crash leaves the old file or the new one, never a mixture.

    Written to a new file of mode 0600 in the same folder, flushed to disk, renamed, and the folder
    flushed too, because a rename is durable only with it. A missing folder is made with mode 0700.
    """
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        try:
            os.fchmod(descriptor, 0o600)  # a umask can take more away than we want
            _write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    flush_folder(path.parent)


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
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


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
