"""The off-line bundle: a stretch of the ledger in one file, for a machine that has no gateway and no database.

A tar (POSIX.1-1988 ustar) of members in one canonical form, so that any tool lists it and none is needed to check it:

    party.json               the ledger's owner, as its partners import it: which keys must have signed
    partners/<ID>.json       the other parties, for their keys
    agreements/<name>.toml   what was agreed, byte for byte
    frontier                 roots of the complete subtrees over the leaves before the first, 32 bytes each
    entries/<NNNNNNNN>       256 entries: leaf, sealed detail and sealed key to it, each after its length
    checkpoints/<NNNNNNNN>   up to 256 signed notes in order of size, each after its length
    cosignatures             notes with the line of a witness, each after its length
    tokens                   RFC 3161 tokens: size of the tree, then the token after its length
    manifest.json            which ledger, from which leaf to which, made when, why and by what
    SHA256                   of every byte before its own header, in hexadecimal

The digest finds accidents; whoever alters an entry and mends the digest fails against the signed checkpoints.
Checkpoints may be thinned out by who writes: every one that somebody else cosigned or stamped is there, and the
last; a root of any size can be computed from the leaves and held against what a partner keeps.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from gateway import user_files
from gateway.ledger.entry import DEK_SIZE, DETAIL_SIZES, LEAF_SIZE
from gateway.ledger.errors import AuditFault
from gateway.ledger.merkle import HASH_SIZE, Frontier
from gateway.ledger.signed_note import MAX_NOTE
from keys import strict_json
from keys.envelope import OVERHEAD
from keys.strict_json import JsonRefused

FORMAT: Final = "passerelle/1/volume"
PAGE: Final = 256  # entries of one member, as of one tile
BLOCK: Final = tarfile.BLOCKSIZE
SEALED_KEY: Final = DEK_SIZE + OVERHEAD  # bytes of the sealed key beside an entry
MOST_KEY: Final = 4096  # bytes of a sealed key to a detail; X-Wing's is 1,168
MOST_TOKEN: Final = 65_536  # bytes; a token with its certificates is about 6,000
MOST_DOCUMENT: Final = 4 << 20  # bytes of an agreement or of a party's bundle
MOST_PAGE: Final = PAGE * (6 + LEAF_SIZE + DETAIL_SIZES[-1] + 28 + MOST_KEY)
MOST_MEMBERS: Final = 1 << 20
CHUNK: Final = 1 << 20

MEMBER = re.compile(
    r"party\.json|manifest\.json|frontier|SHA256|partners/[A-Z0-9-]{2,32}\.json"
    r"|agreements/[A-Za-z0-9][A-Za-z0-9@._-]{0,63}\.toml"
    r"|(?:entries|checkpoints|cosignatures|tokens)/[0-9]{8}"
)
FACTS: Final = (
    "format",
    "party",
    "origin",
    "first",
    "size",
    "made",
    "since",
    "reason",
    "software",
)


class ArchiveRefused(AuditFault):
    """A file is not a bundle as we write it: cut, altered, or another thing."""


@dataclass(frozen=True, slots=True)
class Held:
    """One entry as it is held: the leaf, the sealed detail beside it, and the sealed key to that, while it exists."""

    index: int
    leaf: bytes = field(repr=False)
    ciphertext: bytes | None = field(default=None, repr=False)
    sealed_dek: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle says of itself; nothing in it is signed.

    first, size   the entries `first` to `size - 1` are here
    made          ISO 8601, UTC; `since` as whoever exported it asked for it, or empty for all of it
    """

    party: str
    origin: str
    first: int
    size: int
    made: str
    since: str = ""
    reason: str = ""
    software: str = ""


class Archive:
    """A bundle that is open for reading; members are read when they are asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._members = _members(file)
        self.manifest = _manifest(self._document("manifest.json"))
        first, size = self.manifest.first, self.manifest.size
        pages = sum(name.startswith("entries/") for name in self._members)
        if not 0 <= first <= size or pages != -(-(size - first) // PAGE):
            raise ArchiveRefused("the manifest does not say what is here")
        for folder in ("checkpoints", "cosignatures", "tokens"):
            pages = sum(name.startswith(f"{folder}/") for name in self._members)
            if not all(f"{folder}/{number:08}" in self._members for number in range(pages)):
                raise ArchiveRefused(f"a page of {folder} is missing")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a bundle and check the form of its frame; raises ArchiveRefused. `check` reads all of it."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise ArchiveRefused(f"{path} cannot be read: {user_files.why(error)}") from None
        try:
            return cls(file)
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def size(self) -> int:
        """How many leaves the ledger had, counting those before the first that is here."""
        return self.manifest.size

    @property
    def party(self) -> bytes:
        """The bundle of the ledger's owner, as its partners import it."""
        return self._document("party.json")

    def partners(self) -> dict[str, bytes]:
        """Return the other parties' bundles, by identifier."""
        return self._named("partners/", ".json")

    def agreements(self) -> dict[str, bytes]:
        """Return the files of the agreements, by name."""
        return self._named("agreements/", ".toml")

    def frontier(self) -> Frontier:
        """Return the tree before the first entry that is here; raises ArchiveRefused."""
        content, first = self._document("frontier"), self.manifest.first
        if len(content) != first.bit_count() * HASH_SIZE:
            raise ArchiveRefused("the frontier is not that of the leaves before the first")
        peaks = (content[at : at + HASH_SIZE] for at in range(0, len(content), HASH_SIZE))
        return Frontier(first, tuple(peaks))

    def held(self, start: int | None = None, stop: int | None = None) -> Iterator[Held]:
        """Yield the entries from `start` up to `stop`, exclusive; by default all. Raises ArchiveRefused."""
        first, size = self.manifest.first, self.manifest.size
        begin, end = max(first, start or 0), size if stop is None else min(size, stop)
        for number in range((begin - first) // PAGE, -(-(end - first) // PAGE)):
            at = first + number * PAGE
            page = self._document(f"entries/{number:08}")
            expected = min(PAGE, size - at)
            for each in _page(page, at, expected):
                if begin <= each.index < end:
                    yield each

    def notes(self) -> Iterator[bytes]:
        """Yield the signed checkpoints in order of size."""
        for page in self._pages("checkpoints"):
            yield from _split(page, MAX_NOTE)

    def cosignatures(self) -> Iterator[bytes]:
        """Yield the notes that witnesses signed."""
        for page in self._pages("cosignatures"):
            yield from _split(page, MAX_NOTE)

    def tokens(self) -> Iterator[tuple[int, bytes]]:
        """Yield RFC 3161 tokens, each with the size of the tree that it stamps."""
        for page in self._pages("tokens"):
            content = io.BytesIO(page)
            while size := content.read(8):
                yield int.from_bytes(size, "big"), _part(content, 4, MOST_TOKEN)

    def check(self, progress: Callable[[int], None] | None = None) -> None:
        """Read every byte and hold it against the digest at the end; raises ArchiveRefused."""
        at, length = self._members["SHA256"]
        left = at - BLOCK
        digest, done = hashlib.sha256(), 0
        self._file.seek(0)
        while left:
            chunk = self._file.read(min(left, CHUNK))
            if not chunk:
                raise ArchiveRefused("the bundle was cut while it was read")
            digest.update(chunk)
            left, done = left - len(chunk), done + len(chunk)
            if progress is not None:
                progress(done)
        if self._read(at, length) != digest.hexdigest().encode() + b"\n":
            raise ArchiveRefused(
                "the bundle is damaged: its bytes do not give the digest at its end"
            )

    def _named(self, folder: str, ending: str) -> dict[str, bytes]:
        return {
            name.removeprefix(folder).removesuffix(ending): self._document(name)
            for name in self._members
            if name.startswith(folder)
        }

    def _pages(self, folder: str) -> Iterator[bytes]:
        number = 0
        while (name := f"{folder}/{number:08}") in self._members:
            yield self._document(name)
            number += 1

    def _document(self, name: str) -> bytes:
        try:
            at, length = self._members[name]
        except KeyError:
            raise ArchiveRefused(f"the bundle has no {name}") from None
        return self._read(at, length)

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        content = self._file.read(length)
        if len(content) != length:
            raise ArchiveRefused("the bundle was cut while it was read")
        return content


def _members(file: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Return where each member's bytes begin and how many they are; raises ArchiveRefused.

    Only headers in our own form are accepted, padding is zero, and nothing is after the end.
    """
    end = file.seek(0, os.SEEK_END)
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at + 3 * BLOCK <= end and "SHA256" not in found:
        file.seek(at)
        block = file.read(BLOCK)
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError):
            raise ArchiveRefused("this is no bundle, or it is damaged") from None
        name, length = info.name, info.size
        if not MEMBER.fullmatch(name) or name in found or len(found) >= MOST_MEMBERS:
            raise ArchiveRefused("a member that no bundle has, or twice")
        if not 0 <= length <= max(MOST_PAGE, MOST_DOCUMENT) or block != header(name, length):
            raise ArchiveRefused("a member's header is not as we write it")
        found[name] = at + BLOCK, length
        zeros = padding(length)
        file.seek(at + BLOCK + length)
        if len(behind := file.read(len(zeros))) < len(zeros):
            raise ArchiveRefused("it ends within a member: it was cut off")
        if behind != zeros:
            raise ArchiveRefused("there is something between two members")
        at += BLOCK + length + len(zeros)
    file.seek(at)
    if file.read(2 * BLOCK + 1) != bytes(2 * BLOCK) or found.keys().isdisjoint({"SHA256"}):
        raise ArchiveRefused(
            "it does not end as a bundle does: it was cut off, something stands behind its end, or it is no bundle"
        )
    return found


def _manifest(content: bytes) -> Manifest:
    try:
        values = strict_json.read(content, MOST_DOCUMENT)
        whole = isinstance(values, dict) and canonical(values) == content
    except JsonRefused:
        whole = False
    if not whole or values.keys() != set(FACTS) or values.pop("format") != FORMAT:
        raise ArchiveRefused("the manifest is not one of ours, or of another format")
    numbers = {"first", "size"}
    for name, value in values.items():
        if type(value) is not (int if name in numbers else str):
            raise ArchiveRefused(f"the manifest's {name} is not of its kind")
    return Manifest(**values)


def _page(content: bytes, at: int, expected: int) -> Iterator[Held]:
    file = io.BytesIO(content)
    for index in range(at, at + expected):
        leaf = _part(file, 2, LEAF_SIZE)
        ciphertext = _part(file, 2, DETAIL_SIZES[-1] + 28)
        sealed_dek = _part(file, 2, MOST_KEY)
        if len(leaf) != LEAF_SIZE:
            raise ArchiveRefused(f"entry {index} is not of the size of a leaf")
        yield Held(index, leaf, ciphertext or None, sealed_dek or None)
    if file.read(1):
        raise ArchiveRefused("a page has more entries than the manifest says")


def _split(content: bytes, most: int) -> Iterator[bytes]:
    file = io.BytesIO(content)
    while file.tell() < len(content):
        yield _part(file, 4, most)


def _part(file: io.BytesIO, prefix: int, most: int) -> bytes:
    stated = file.read(prefix)
    length = int.from_bytes(stated, "big")
    part = file.read(length) if length <= most else b""
    if len(stated) != prefix or len(part) != length:
        raise ArchiveRefused("a length in the bundle is wrong")
    return part


def prefixed(octets: bytes) -> bytes:
    """Return octets after their length, 32 bits, big-endian."""
    return len(octets).to_bytes(4, "big") + octets


def header(name: str, length: int) -> bytes:
    """Return the one header that a member of this name and length has."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = length, 0o400
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


def padding(length: int) -> bytes:
    """Return the zeros that fill up the last block of a member."""
    return bytes(-length % BLOCK)


def canonical(values: object) -> bytes:
    """Return the one JSON text of a manifest."""
    return (json.dumps(values, sort_keys=True, indent=1) + "\n").encode("ascii")
