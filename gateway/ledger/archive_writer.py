"""Writing a bundle: its members in our canonical form, then its digest, then its name; or no file at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, Self

from gateway.ledger.archive import (
    BLOCK,
    FACTS,
    FORMAT,
    MEMBER,
    MOST_DOCUMENT,
    MOST_PAGE,
    PAGE,
    ArchiveRefused,
    Held,
    Manifest,
    canonical,
    header,
    padding,
    prefixed,
)
from gateway.ledger.merkle import Frontier
from keys import atomic_file

ROLL: Final = 1 << 20  # bytes after which a member of notes or tokens is full


class Writer:
    """Writes a bundle; what is not finished leaves no file behind."""

    def __init__(self, path: Path) -> None:
        self._digest = hashlib.sha256()
        self._counts: dict[str, int] = {}
        self._draft = atomic_file.Draft(path)
        self._file = self._draft.file

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Drop what was not finished."""
        self._draft.drop()

    def document(self, name: str, content: bytes) -> None:
        """Write one complete member; raises ArchiveRefused for a name that no bundle has."""
        if not MEMBER.fullmatch(name) or len(content) > max(MOST_PAGE, MOST_DOCUMENT):
            raise ArchiveRefused("no member of a bundle has this name, or is this large")
        for part in (header(name, len(content)), content, padding(len(content))):
            self._digest.update(part)
            self._file.write(part)

    def frontier(self, before: Frontier) -> None:
        """Write what the roots after the first entry need of those before."""
        self.document("frontier", b"".join(before.peaks))

    def entries(self, held: Iterable[Held], progress: Callable[[int], None] | None = None) -> int:
        """Write entries in pages and return how many; `progress` is called with how many are written."""

        def lines() -> Iterator[bytes]:
            for each in held:
                parts = (each.leaf, each.ciphertext or b"", each.sealed_dek or b"")
                yield b"".join(len(part).to_bytes(2, "big") + part for part in parts)

        return self._pages("entries", lines(), progress)

    def checkpoints(self, notes: Iterable[bytes]) -> None:
        """Write signed notes in order of size."""
        self._rolls("checkpoints", map(prefixed, notes))

    def cosignatures(self, notes: Iterable[bytes]) -> None:
        """Write notes that witnesses signed."""
        self._rolls("cosignatures", map(prefixed, notes))

    def tokens(self, tokens: Iterable[tuple[int, bytes]]) -> None:
        """Write RFC 3161 tokens with the size of the tree that each stamps."""
        said = (size.to_bytes(8, "big") + prefixed(token) for size, token in tokens)
        self._rolls("tokens", said)

    def finish(self, manifest: Manifest) -> None:
        """Write what the bundle says of itself and its digest; then it is there, complete and flushed."""
        values = {"format": FORMAT, **{name: getattr(manifest, name) for name in FACTS[1:]}}
        self.document("manifest.json", canonical(values))
        self.document("SHA256", self._digest.hexdigest().encode() + b"\n")
        self._file.write(bytes(2 * BLOCK))
        self._draft.finish()

    def _pages(
        self, folder: str, lines: Iterable[bytes], progress: Callable[[int], None] | None = None
    ) -> int:
        page: list[bytes] = []
        done = 0
        for line in lines:
            page.append(line)
            if len(page) == PAGE:
                done = self._page(folder, page, done, progress)
                page = []
        return self._page(folder, page, done, progress) if page else done

    def _rolls(self, folder: str, lines: Iterable[bytes]) -> None:
        """Write lines of any size into as many members as it takes."""
        roll, number = bytearray(), 0
        for line in lines:
            if roll and len(roll) + len(line) > ROLL:
                self.document(f"{folder}/{number:08}", bytes(roll))
                roll, number = bytearray(), number + 1
            roll += line
        if roll:
            self.document(f"{folder}/{number:08}", bytes(roll))

    def _page(
        self, folder: str, page: list[bytes], done: int, progress: Callable[[int], None] | None
    ) -> int:
        self.document(f"{folder}/{done // PAGE:08}", b"".join(page))
        if progress is not None:
            progress(done + len(page))
        return done + len(page)
