"""The ledger as files that others check with their own tools: C2SP tlog-tiles, read strictly; pure, no I/O.

    checkpoint                       the newest signed note
    tile/<L>/<N>[.p/<W>]             up to 256 hashes of complete subtrees over 256^L leaves each
    tile/entries/<N>[.p/<W>]         up to 256 leaves, each after its length in two bytes

A tile that is full never changes; one that is not is named by its width, and a wider one is another file.
Whoever has a checkpoint computes every proof up to its size from hash tiles alone, and trusts none of them:
what they give is held against the signed root.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.ledger import merkle
from gateway.ledger.errors import TileRefused
from gateway.ledger.signed_note import MAX_SIZE, Checkpoint

__all__ = ["CHECKPOINT", "WIDTH", "TilePath", "TileRefused", "Tiles"]

CHECKPOINT: Final = "checkpoint"  # the one file that changes
WIDTH: Final = 256  # hashes or leaves of a full tile
HEIGHT: Final = 8  # levels of the tree between two levels of tiles
MAX_LEVEL: Final = 63  # tlog-tiles; a size of 63 bits needs no more than eight
LENGTH: Final = 2  # bytes, big-endian, before each leaf
_KEPT: Final = 64  # tiles that a reader remembers; two proofs share most of theirs

_PATH: Final = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TilePath:
    """Which tile: its level (None = entries), its number within the level, and how many it holds.

    Raises `TileRefused` for a place that no tree has.
    """

    level: int | None
    number: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not 0 <= (self.level or 0) <= MAX_LEVEL:
            raise TileRefused("a tile's level is 0 to 63")
        if not 1 <= self.width <= WIDTH:
            raise TileRefused("a tile holds 1 to 256")
        if self.number < 0 or self.leaves > MAX_SIZE:
            raise TileRefused("the tile lies beyond any tree")

    @property
    def first(self) -> int:
        """Number of the first hash among those of its level, or of the first leaf."""
        return self.number * WIDTH

    @property
    def height(self) -> int:
        """Level of its hashes in the tree; 0 = leaf hashes."""
        return HEIGHT * (self.level or 0)

    @property
    def leaves(self) -> int:
        """How many leaves a tree must have for this tile to be in it."""
        return (self.first + self.width) << self.height

    @property
    def full(self) -> bool:
        """Whether it will never be replaced by a wider one."""
        return self.width == WIDTH

    def whole(self) -> TilePath:
        """Return the full tile of its place."""
        return TilePath(self.level, self.number)

    def format(self) -> str:
        """Return the path as tlog-tiles spells it."""
        parts, rest = [f"{self.number % 1000:03}"], self.number // 1000
        while rest:
            parts.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level is None else self.level
        partial = "" if self.full else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(parts))}{partial}"

    @classmethod
    def parse(cls, path: str) -> TilePath:
        """Read a path; raises `TileRefused` for any second form, so that no path leads anywhere else."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise TileRefused("not the path of a tile")
        level = None if found[1] == "entries" else int(found[1])
        number = int(found[2].replace("x", "").replace("/", ""))
        tile = cls(level, number, int(found[3]) if found[3] else WIDTH)
        if tile.format() != path:
            raise TileRefused("not the one spelling of a tile's path")
        return tile


def of_tree(size: int, level: int | None, start: int = 0) -> Iterator[TilePath]:
    """Yield the tiles of a level in a tree of `size` leaves, from the one that holds hash `start`."""
    count = size >> HEIGHT * (level or 0)
    for number in range(start // WIDTH, -(-count // WIDTH)):
        yield TilePath(level, number, min(WIDTH, count - number * WIDTH))


def new_since(old: int, new: int) -> Iterator[TilePath]:
    """Yield the tiles that a tree of `new` leaves has and one of `old` had not: entries first, then upwards."""
    levels: list[int | None] = [None, *range(_levels(new))]
    for level in levels:
        height = HEIGHT * (level or 0)
        if new >> height != old >> height:
            yield from of_tree(new, level, old >> height)


def hash_tile(hashes: Sequence[bytes]) -> bytes:
    """Return the bytes of a tile of hashes."""
    if not 1 <= len(hashes) <= WIDTH or any(len(each) != merkle.HASH_SIZE for each in hashes):
        raise TileRefused("a tile holds 1 to 256 hashes of 32 bytes")
    return b"".join(hashes)


def read_hashes(octets: bytes, width: int) -> tuple[bytes, ...]:
    """Return the hashes of a tile; raises `TileRefused` where there are not exactly so many."""
    size = merkle.HASH_SIZE
    if len(octets) != width * size:
        raise TileRefused("the tile has not the length of its width")
    return tuple(octets[at : at + size] for at in range(0, len(octets), size))


def entry_tile(leaves: Sequence[bytes]) -> bytes:
    """Return the bytes of a bundle of entries."""
    if not 1 <= len(leaves) <= WIDTH or any(len(each) >= 1 << 8 * LENGTH for each in leaves):
        raise TileRefused("a bundle holds 1 to 256 entries of less than 65,536 bytes")
    return b"".join(len(each).to_bytes(LENGTH, "big") + each for each in leaves)


def read_entries(octets: bytes, width: int) -> tuple[bytes, ...]:
    """Return the entries of a bundle; raises `TileRefused` where there are not exactly so many."""
    found: list[bytes] = []
    at = 0
    while at < len(octets) and len(found) < width:
        end = at + LENGTH + int.from_bytes(octets[at : at + LENGTH], "big")
        if end > len(octets):
            raise TileRefused(f"the bundle ends within its entry {len(found)}")
        found.append(octets[at + LENGTH : end])
        at = end
    if at != len(octets) or len(found) != width:
        raise TileRefused("the bundle has not as many entries as its width")
    return tuple(found)


class Tiles:
    """Proofs from tiles that somebody published: a folder, a web server, a partner's gateway."""

    def __init__(self, fetch: Callable[[str], bytes | None], size: int) -> None:
        """Prepare to read the tree of `size` leaves.

        fetch   returns the bytes of a path, or None where there is no such file
        size    of the given checkpoint: decides which tiles are full
        """
        if not 0 <= size <= MAX_SIZE:
            raise TileRefused("the tree's size is out of range")
        self._fetch, self.size = fetch, size
        self._known: dict[TilePath, tuple[bytes, ...]] = {}

    def node(self, level: int, number: int) -> bytes:
        """Return a complete subtree's hash, as `gateway.ledger.merkle` asks for it; raises `TileRefused`."""
        height, rise = divmod(level, HEIGHT)
        first, width = number << rise, 1 << rise
        hashes = self._tile(height, first // WIDTH)
        span = hashes[first % WIDTH : first % WIDTH + width]
        if len(span) != width:
            raise TileRefused("the subtree lies beyond the tree")
        return merkle.root(span)

    def check_root(self, checkpoint: Checkpoint) -> None:
        """Refuse tiles that do not give the root of a checkpoint; raises `TileRefused`."""
        if merkle.root_at(checkpoint.size, self.node) != checkpoint.root:
            raise TileRefused(f"the tiles do not give the root of {checkpoint.size} entries")

    def check_extends(self, old: Checkpoint, new: Checkpoint) -> None:
        """Refuse unless the new tree begins with the old one: both roots, from the tiles alone.

        Raises `TileRefused` for tiles that are missing, damaged or of another tree than the new checkpoint's;
        `ProofRefused` where tiles give the new root and the old tree is not its beginning: then two
        checkpoints contradict each other, and no tile can mend that.
        """
        if old.size > new.size:
            raise merkle.ProofRefused("the newer checkpoint has fewer entries than the older")
        self.check_root(new)
        if old.size == new.size and old.root != new.root:
            raise merkle.ProofRefused("two checkpoints of one size have different roots")
        if not 0 < old.size < new.size:
            return
        # What the tiles say of the beginning is first shown to lead to the signed root: a damaged tile must
        # not look like a second history.
        before = merkle.root_at(old.size, self.node)
        proof = merkle.consistency_proof(old.size, new.size, self.node)
        try:
            merkle.verify_consistency(
                proof, old=old.size, new=new.size, old_root=before, new_root=new.root
            )
        except merkle.ProofRefused as refused:
            raise TileRefused(f"the tiles do not fit together: {refused}") from None
        if before != old.root:
            raise merkle.ProofRefused(
                "the tree of the newer checkpoint does not begin with the older"
            )

    def check_entry(self, leaf: bytes, index: int, checkpoint: Checkpoint) -> list[bytes]:
        """Return the proof that an entry is at `index` under a checkpoint, checked; raises `ProofRefused`."""
        proof = merkle.inclusion_proof(index, checkpoint.size, self.node)
        hashed = merkle.leaf_hash(leaf)
        merkle.verify_inclusion(
            hashed, proof, index=index, size=checkpoint.size, expected=checkpoint.root
        )
        return proof

    def entries(self, number: int) -> tuple[bytes, ...]:
        """Return the entries of a bundle, each held against its leaf hash; raises `TileRefused`."""
        path = self._path(None, number)
        leaves = read_entries(self._read(path, path.width), path.width)
        for at, (leaf, hashed) in enumerate(zip(leaves, self._tile(0, number), strict=True)):
            if merkle.leaf_hash(leaf) != hashed:
                raise TileRefused(f"entry {path.first + at} is not the one that was hashed")
        return leaves

    def _path(self, level: int | None, number: int) -> TilePath:
        count = self.size >> HEIGHT * (level or 0)
        width = min(WIDTH, count - number * WIDTH)
        if width < 1:
            raise TileRefused("the tile lies beyond the tree")
        return TilePath(level, number, width)

    def _tile(self, level: int, number: int) -> tuple[bytes, ...]:
        path = self._path(level, number)
        if path not in self._known:
            hashes = read_hashes(self._read(path, path.width * merkle.HASH_SIZE), path.width)
            while len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[path] = hashes
        return self._known[path]

    def _read(self, path: TilePath, wanted: int) -> bytes:
        found = self._fetch(path.format())
        if found is not None:
            return found
        # The log may have grown and deleted the partial tile meanwhile; the full one begins with it.
        full = None if path.full else self._fetch(path.whole().format())
        if full is None:
            raise TileRefused(f"{path.format()} is missing")
        if path.level is None:
            return entry_tile(read_entries(full, WIDTH)[:wanted])
        return full[:wanted]


def _levels(size: int) -> int:
    """Return how many levels of hash tiles a tree has."""
    return -(-size.bit_length() // HEIGHT)
