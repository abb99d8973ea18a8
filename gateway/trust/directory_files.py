"""The files of our directory, as they lie on disk and as they are served: names, reading, durable writing.

    directory/metadata/1.root.json, 2.root.json …       every root stays: a partner checks them one by one
    directory/metadata/N.targets.json, N.CAN.json, N.snapshot.json
    directory/metadata/timestamp.json                    written last: what it does not name does not count
    directory/targets/<SHA-256>.CAN.json, targets/partners/<SHA-256>.AUS.json, targets/rights/…

Nothing here understands a signature; what does is `gateway.directory.repository`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from gateway import user_files
from gateway.errors import InternalError
from gateway.trust.bundle import Anchor
from keys import atomic_file

FOLDER = "directory"  # in the home directory
TIMESTAMP = "timestamp.json"
LARGEST = 262_144  # bytes of any file; the largest of ours, a root, has about 60,000
NAME_LENGTH = 80

_metadata = re.compile(r"(?:([1-9][0-9]{0,9})\.)?([A-Za-z0-9-]{2,40})\.json")
_target = re.compile(r"(partners/|rights/)?([A-Z0-9-]{2,32}\.json)")


class DirectoryFiles:
    """One folder of directory files; a name that is none of ours is never looked for."""

    def __init__(self, folder: Path) -> None:
        self._metadata = folder / "metadata"
        self._targets = folder / "targets"

    @property
    def founded(self) -> bool:
        """Whether there is a directory at all."""
        return (self._metadata / "1.root.json").is_file()

    def metadata(self, name: str) -> bytes | None:
        """Return a metadata file, or None for one that is not there or bears no name of ours."""
        if len(name) > NAME_LENGTH or not _metadata.fullmatch(name):
            return None
        return _read(self._metadata / name)

    def target(self, path: str, sha256: bytes) -> bytes | None:
        """Return the target of that path and digest, or None."""
        place = self._place(path, sha256)
        return None if place is None else _read(place)

    def newest(self, role: str) -> int:
        """Return the greatest version of a role's file that was ever written here; 0 before the first."""
        versions = [int(found[1]) for found in self._names() if found[1] and found[2] == role]
        return max(versions, default=0)

    def latest(self, role: str) -> bytes:
        """Return the newest file of a role. Raises InternalError where there is none."""
        content = self.metadata(f"{self.newest(role)}.{role}.json")
        if content is None:
            raise InternalError(f"the directory has no {role}.json; restore the folder from backup")
        return content

    def anchor(self) -> Anchor | None:
        """Return what trust in this directory starts from: its newest root. None where there is no directory."""
        if not self.founded:
            return None
        return Anchor(self.newest("root"), hashlib.sha256(self.latest("root")).digest())

    def put_metadata(self, name: str, content: bytes) -> None:
        """Write a metadata file, durably and at once."""
        atomic_file.replace(self._metadata / name, content)

    def put_target(self, path: str, content: bytes) -> None:
        """Write a target where it is not there yet, durably and at once."""
        place = self._place(path, hashlib.sha256(content).digest())
        if place is None:
            raise InternalError(f"{path} is no target of ours")
        if _read(place) != content:
            atomic_file.replace(place, content)

    def prune(self, metadata: Collection[str], targets: Collection[tuple[str, bytes]]) -> None:
        """Remove what no partner asks for any more; roots always stay.

        metadata   names of files to keep
        targets    path and SHA-256 of the targets to keep
        """
        for found in self._names():
            if found[2] != "root" and found[0] not in metadata:
                with suppress(OSError):
                    (self._metadata / found[0]).unlink()
        kept = {self._place(path, digest) for path, digest in targets}
        for place in self._targets.rglob("*.json"):
            if place not in kept:
                with suppress(OSError):
                    place.unlink()

    def _place(self, path: str, sha256: bytes) -> Path | None:
        found = _target.fullmatch(path)
        if found is None or len(sha256) != hashlib.sha256().digest_size:
            return None
        return self._targets / (found[1] or "") / f"{sha256.hex()}.{found[2]}"

    def _names(self) -> Iterator[re.Match[str]]:
        if self._metadata.is_dir():
            for file in sorted(self._metadata.iterdir()):
                found = _metadata.fullmatch(file.name)
                if found:
                    yield found


def _read(path: Path) -> bytes | None:
    try:
        return user_files.read(path, LARGEST)
    except user_files.FileRefused:
        return None
