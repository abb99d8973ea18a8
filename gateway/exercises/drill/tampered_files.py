"""What can be done to a ledger's published files, as a reader of tiles and as the gateway itself would find it out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from gateway import user_files as files
from gateway.exercises.crashtest import fixture_ledger, tamper
from gateway.exercises.crashtest.fixture_ledger import Specimen
from gateway.ledger import merkle, tiles
from gateway.ledger.errors import AuditFault
from gateway.ledger_ops import published_check
from gateway.ledger_ops.tile_publisher import LOCK, Publisher

# Returns whether it was found out, and whether the index was named; None where nothing was changed.
Trial: TypeAlias = Callable[[random.Random], tuple[bool, bool] | None]


class Files:
    """The tiles of a specimen in memory, and its published files in a scratch folder."""

    def __init__(self, folder: Path, ledger: Specimen) -> None:
        """Make both."""
        self._ledger, self._folder = ledger, folder
        self._nodes = nodes_of([each.leaf for each in ledger.held])
        self._tiles = self._tiled()
        self._rows = folder / "published.db"
        self._published = self._publish()

    def kinds(self) -> dict[str, Trial]:
        """Return every kind by its name."""
        return {
            "flip a bit of a tile": self._tile_bit,
            "remove a tile": self._tile_gone,
            "flip a bit of a published file": self._file_bit,
            "remove, cut or exchange a published file": self._file_gone,
        }

    def whole(self) -> bool:
        """Say whether nothing is found while nothing was done."""
        return not self._told_by_tiles(self._tiles) and not self._findings()

    def _tiled(self) -> dict[str, bytes]:
        size, found = self._ledger.size, {}
        for path in _paths(size):
            if path.level is None:
                held = self._ledger.held[path.first : path.first + path.width]
                found[path.format()] = tiles.entry_tile([each.leaf for each in held])
                continue
            first = path.number * tiles.WIDTH
            level = path.level * tiles.HEIGHT
            hashes = [self._nodes(level, first + n) for n in range(path.width)]
            found[path.format()] = tiles.hash_tile(hashes)
        return found

    def _tile_bit(self, chance: random.Random) -> tuple[bool, bool]:
        name = chance.choice(sorted(self._tiles))
        return self._told_by_tiles({**self._tiles, name: flipped(self._tiles[name], chance)}), True

    def _tile_gone(self, chance: random.Random) -> tuple[bool, bool]:
        gone = chance.choice(sorted(self._tiles))
        return self._told_by_tiles({k: v for k, v in self._tiles.items() if k != gone}), True

    def _told_by_tiles(self, files: dict[str, bytes]) -> bool:
        """Say whether a reader of tiles and the last checkpoint finds anything wrong."""
        head = self._ledger.log.open(self._ledger.notes[-1])
        reader = tiles.Tiles(files.get, head.size)
        try:
            reader.check_root(head)
            for number in range(-(-head.size // tiles.WIDTH)):
                for at, leaf in enumerate(reader.entries(number), number * tiles.WIDTH):
                    reader.check_entry(leaf, at, head)
        except AuditFault:
            return True
        return False

    def _file_bit(self, chance: random.Random) -> tuple[bool, bool]:
        file = self._file(chance)
        return self._told_by_files(file, flipped(file.read_bytes(), chance)), True

    def _file_gone(self, chance: random.Random) -> tuple[bool, bool] | None:
        file, other = self._file(chance), self._file(chance)
        content = file.read_bytes()
        changed = chance.choice((None, content[: -chance.randrange(1, 33)], other.read_bytes()))
        if changed == content:
            return None
        return self._told_by_files(file, changed), True

    def _file(self, chance: random.Random) -> Path:
        files = (each for each in self._published.rglob("*") if each.is_file())
        return chance.choice(sorted(each for each in files if each.name != LOCK))

    def _told_by_files(self, file: Path, changed: bytes | None) -> bool:
        """Put something in the place of a published file, look, and put it back."""
        content = file.read_bytes()
        if changed is None:
            file.unlink()
        else:
            files.write(file, changed)
        try:
            return bool(self._findings())
        finally:
            files.write(file, content)

    def _findings(self) -> list[str]:
        """Return what is wrong with the published files; one that is missing may be a notice."""
        with fixture_ledger.opened(self._rows) as database:
            found = list(published_check.check(self._published, database, self._ledger.log))
        return [each.text for each in found]

    def _publish(self) -> Path:
        folder = self._folder / "published"
        tamper.do(self._rows, lambda *_: (True, None), random.Random(0), self._ledger)  # noqa: S311
        with fixture_ledger.opened(self._rows) as database:
            Publisher(folder, database, lambda: self._ledger.log).publish()
        return folder


def _paths(size: int) -> Iterator[tiles.TilePath]:
    yield from tiles.of_tree(size, None)
    level = 0
    while size >> tiles.HEIGHT * level:
        yield from tiles.of_tree(size, level)
        level += 1


def nodes_of(history: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Return what gives the complete subtrees of a history."""
    found: dict[tuple[int, int], bytes] = {}

    def get(level: int, number: int) -> bytes:
        return found[level, number]

    for index, leaf in enumerate(history):
        for level, number, value in merkle.new_nodes(index, merkle.leaf_hash(leaf), get):
            found[level, number] = value
    return get


def flipped(octets: bytes, chance: random.Random) -> bytes:
    """Return octets with one bit flipped."""
    at = chance.randrange(len(octets))
    return octets[:at] + bytes([octets[at] ^ 1 << chance.randrange(8)]) + octets[at + 1 :]
