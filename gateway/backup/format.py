"""What is inside the seal of a backup: the manifest, and the stream of exact lengths that it is read as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from keys import atomic_file, strict_json
from keys.errors import OpenRefused

FORMAT = "passerelle backup 1"
PIECE = 1 << 18  # bytes read from a file at a time
MOST_FILES = 100_000  # of a manifest; a gateway with a thousand partners has some thousands
MOST_MANIFEST = 1 << 25  # bytes
LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a backup: its name below the home directory, its length and SHA-256."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself, inside the seal."""

    party: str
    made: str
    directory_version: int
    items: tuple[Item, ...]

    def to_bytes(self) -> bytes:
        """Return its one text."""
        return atomic_file.canonical(
            {
                "format": FORMAT,
                "party": self.party,
                "made": self.made,
                "directory_version": self.directory_version,
                "files": [[item.name, item.size, item.digest] for item in self.items],
            }
        )

    @classmethod
    def parse(cls, text: bytes) -> Manifest:
        """Read it strictly. Raises OpenRefused: whoever sealed something else is not us."""
        try:
            said = strict_json.read(text, MOST_MANIFEST)
            found = cls(
                str(said["party"]),
                str(said["made"]),
                int(said["directory_version"]),
                tuple(Item(str(n), int(s), str(d)) for n, s, d in said["files"]),
            )
            whole = found.to_bytes() == text and len(found.items) <= MOST_FILES
            names = [item.name for item in found.items]
            whole = whole and len(set(names)) == len(names) and all(map(_below, names))
        except (ValueError, TypeError, LookupError):
            whole = False
        if not whole:
            raise OpenRefused
        return found


class Pieces:
    """The content of a backup as a stream of exact lengths."""

    def __init__(self, opening: Iterator[bytes]) -> None:
        self._opening = opening
        self._held = b""

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces; raises OpenRefused where they end."""
        while size:
            if not self._held:
                self._held = next(self._opening, b"")
                if not self._held:
                    raise OpenRefused
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        return b"".join(self.pieces(size))

    def more(self) -> bool:
        """Say whether anything follows."""
        while not self._held:
            piece = next(self._opening, None)
            if piece is None:
                return False
            self._held = piece
        return True

    def end(self) -> None:
        """Raise OpenRefused where anything follows; read the last chunk, which proves the end."""
        if self._held or any(self._opening):
            raise OpenRefused


def _below(name: str) -> bool:
    """Say whether a name stays below the folder, and is written as we write it."""
    path = PurePosixPath(name)
    return (
        bool(name)
        and not path.is_absolute()
        and path.as_posix() == name
        and not {"..", "."} & set(path.parts)
        and name.isprintable()
    )
