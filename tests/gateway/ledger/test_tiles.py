"""Tiles: one spelling of each path, strict lengths, and every proof from them alone (C2SP tlog-tiles)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import merkle, tiles
from gateway.ledger.errors import AuditFault, TileRefused
from gateway.ledger.merkle import ProofRefused
from gateway.ledger.signed_note import Checkpoint
from gateway.ledger.tiles import TilePath, Tiles

ORIGIN = "gateway.can.example/exchange-log"
Files = dict[str, bytes]
Published = Callable[[int], tuple[Files, Checkpoint]]


def leaf(index: int, history: int = 0) -> bytes:
    return f"leaf {index} of history {history}".encode()


def publish(size: int, history: int = 0, forked_at: int = 0) -> tuple[Files, Checkpoint]:
    """Return the files of a tree, made from its leaves and nothing of the gateway."""
    leaves = [leaf(n, history if n >= forked_at else 0) for n in range(size)]
    rows = [merkle.leaf_hash(each) for each in leaves]
    root = merkle.root(rows)
    files, level = {}, 0
    while rows:
        for number in range(-(-len(rows) // 256)):
            part = rows[number * 256 : number * 256 + 256]
            path = TilePath(level, number, len(part))
            files[path.format()] = tiles.hash_tile(part)
            if level == 0:
                bundle = TilePath(None, number, len(part))
                files[bundle.format()] = tiles.entry_tile(leaves[number * 256 : number * 256 + 256])
        full = len(rows) // 256 * 256
        rows = [merkle.root(rows[at : at + 256]) for at in range(0, full, 256)]
        level += 1
    return files, Checkpoint(ORIGIN, size, root)


@pytest.fixture(scope="module")
def published() -> Published:
    made: dict[int, tuple[Files, Checkpoint]] = {}

    def of(size: int) -> tuple[Files, Checkpoint]:
        if size not in made:
            made[size] = publish(size)
        return made[size]

    return of


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (TilePath(0, 1_234_067), "tile/0/x001/x234/067"),
        (TilePath(0, 0, 1), "tile/0/000.p/1"),
        (TilePath(None, 273, 112), "tile/entries/273.p/112"),
        (TilePath(2, 0, 1), "tile/2/000.p/1"),
        (TilePath(1, 1000), "tile/1/x001/000"),
    ],
)
def test_paths_are_those_of_the_specification(tile: TilePath, path: str) -> None:
    assert tile.format() == path
    assert TilePath.parse(path) == tile


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    made = [path.format() for path in tiles.new_since(0, 70_000)]

    hashes = [path for path in made if not path.startswith("tile/entries/")]
    assert len([p for p in hashes if p.startswith("tile/0/") and ".p/" not in p]) == 273
    assert "tile/0/273.p/112" in hashes
    assert [p for p in hashes if p.startswith("tile/1/")] == ["tile/1/000", "tile/1/001.p/17"]
    assert [p for p in hashes if p.startswith("tile/2/")] == ["tile/2/000.p/1"]
    assert len(hashes) == 273 + 1 + 2 + 1
    assert len(made) == len(hashes) + 274


@pytest.mark.parametrize(
    "path",
    [
        *("", "checkpoint", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/0/000.p/0"),
        *("tile/0/000.p/256", "tile/0/000.p/01", "tile/64/000", "tile/0/x000/001", "tile/0/../000"),
        *("/tile/0/000", "tile/0/000/", "tile/0/000\n", "tile/0/000.p/1/../../../../party.json"),
        *("tile/0/001/002", "tile/-1/000", "tile/8/000", "tile/0/٠٠٠"),
    ],
)
def test_no_other_path_is_read(path: str) -> None:
    with pytest.raises(TileRefused):
        TilePath.parse(path)


@given(st.text(alphabet="tile/0123456789x.pentrs", max_size=40))
def test_a_path_that_parses_is_its_own_spelling(path: str) -> None:
    try:
        found = TilePath.parse(path)
    except AuditFault:
        return
    assert found.format() == path


@given(st.binary(max_size=600), st.integers(1, 256))
def test_a_bundle_that_parses_is_its_own_spelling(octets: bytes, width: int) -> None:
    try:
        found = tiles.read_entries(octets, width)
    except AuditFault:
        return
    assert tiles.entry_tile(found) == octets


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 513, 70_000])
def test_tiles_alone_prove_inclusion_and_the_root(published: Published, size: int) -> None:
    files, checkpoint = published(size)
    reader = Tiles(files.get, size)

    reader.check_root(checkpoint)
    for index in {0, size // 2, size - 1}:
        assert reader.check_entry(leaf(index), index, checkpoint) is not None
        assert reader.entries(index // 256)[index % 256] == leaf(index)


@pytest.mark.parametrize("old", [0, 1, 255, 256, 257, 512, 600])
def test_tiles_alone_prove_that_nothing_was_rewritten(published: Published, old: int) -> None:
    files, checkpoint = published(600)
    before = published(old)[1] if old else Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)

    Tiles(files.get, 600).check_extends(before, checkpoint)


@pytest.mark.parametrize("old", [1, 255, 256, 300, 599, 600])
def test_attack_a_second_history_is_a_contradiction(published: Published, old: int) -> None:
    files, checkpoint = publish(600, history=1)

    with pytest.raises(ProofRefused):
        Tiles(files.get, 600).check_extends(published(old)[1], checkpoint)


def test_attack_a_rollback_is_a_contradiction(published: Published) -> None:
    files, checkpoint = published(300)

    with pytest.raises(ProofRefused):
        Tiles(files.get, 300).check_extends(published(600)[1], checkpoint)


@pytest.mark.parametrize("at", range(0, 88 * 32, 37))
def test_a_damaged_tile_is_refused_and_convicts_nobody(published: Published, at: int) -> None:
    files, checkpoint = published(600)
    path = "tile/0/002.p/88"
    octets = bytearray(files[path])
    octets[at] ^= 1

    reader = Tiles({**files, path: bytes(octets)}.get, 600)

    with pytest.raises(TileRefused):
        reader.check_extends(published(513)[1], checkpoint)


def test_a_damaged_entry_is_named_by_its_index(published: Published) -> None:
    files, _ = published(600)
    octets = bytearray(files["tile/entries/001"])
    octets[-1] ^= 1

    with pytest.raises(TileRefused, match="entry 511"):
        Tiles({**files, "tile/entries/001": bytes(octets)}.get, 600).entries(1)


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(published: Published) -> None:
    files, checkpoint = published(300)
    later, _ = published(513)
    served = {path: octets for path, octets in later.items() if ".p/" not in path}
    served["tile/1/000.p/1"] = files["tile/1/000.p/1"]

    reader = Tiles(served.get, 300)

    reader.check_root(checkpoint)
    assert reader.entries(1)[-1] == leaf(299)


def test_a_missing_tile_is_refused(published: Published) -> None:
    _, checkpoint = published(300)

    with pytest.raises(TileRefused, match="missing"):
        Tiles(Files().get, 300).check_root(checkpoint)


@pytest.mark.parametrize("number", [2, 1000, -1])
def test_nothing_beyond_the_tree_is_read(published: Published, number: int) -> None:
    files, _ = published(300)

    with pytest.raises(TileRefused):
        Tiles(files.get, 300).entries(number)
