"""Published files held against the rows, for `passerelle ledger verify`: each byte, and what should not be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.errors import InternalError
from gateway.ledger import merkle, tiles
from gateway.ledger.errors import AuditFault, TileRefused
from gateway.ledger.signed_note import Checkpoint, LogIdentity
from gateway.ledger.tiles import CHECKPOINT, TilePath
from gateway.ledger.verify import Finding, Place, Severity
from gateway.ledger_ops.tile_publisher import LOCK, TEMPORARY, contents
from gateway.store.engine import StorageEngine
from gateway.store.ledger import stored_ledger

REMEDY: Final = "→ passerelle ledger publish"


def check(folder: Path, database: StorageEngine, log: LogIdentity) -> Iterator[Finding]:
    """Yield what is wrong with the files of a ledger; nothing where none was ever published.

    (1) The checkpoint is ours, and its tree is the beginning of the rows' tree.
    (2) Every tile of that tree is there, byte for byte what the rows give.
    (3) There is nothing else: other tiles are of the rows too, and other files are none of ours.

    The gateway may publish meanwhile: files are read before the rows that they are held against.

    A tile that is missing or differs is named with the index of the first entry that it concerns.
    """
    if not folder.is_dir():
        return
    expected: set[str] = set()
    raw = _read(folder / CHECKPOINT)
    size = _size(database)
    if raw is None:
        yield _ledger(Severity.NOTICE, size, f"no checkpoint is published  {REMEDY}")
    else:
        refused, published = _checkpoint(database, log, raw, size)
        if refused is not None:
            yield refused
        for path in tiles.new_since(0, published):
            expected.add(path.format())
            yield from _tile(folder, database, path)
    yield from _others(folder, database, expected)


def _checkpoint(
    database: StorageEngine, log: LogIdentity, raw: bytes, size: int
) -> tuple[Finding | None, int]:
    """Return what is wrong with the published checkpoint, and how many entries its tiles can be held against."""
    try:
        found: Checkpoint = log.open(raw)
    except AuditFault as fault:
        text = f"the published checkpoint does not hold: {fault}  {REMEDY}"
        return _ledger(Severity.FAULT, size, text), 0
    if found.size > size:
        text = f"the published checkpoint covers {found.size} entries, the rows {size}: the ledger was set back"
        return _ledger(Severity.FAULT, size, text), 0
    try:
        with database.reader() as reader:
            root = merkle.root_at(found.size, stored_ledger.node(reader))
    except InternalError as fault:
        text = f"the published checkpoint cannot be held against the rows: {fault}"
        return _ledger(Severity.FAULT, size, text), 0
    if root != found.root:
        text = f"the rows do not give the published root of {found.size} entries: the ledger was changed"
        return _ledger(Severity.FAULT, size, text), found.size
    return None, found.size


def _tile(folder: Path, database: StorageEngine, path: TilePath) -> Iterator[Finding]:
    name = path.format()
    first = path.first << path.height
    octets = _read(folder / name)
    if octets is None:
        full = None if path.full else _read(folder / path.whole().format())
        if (
            full is None
        ):  # else the ledger grew, and the partial tile was removed; the full one is read as another
            yield _leaf(first, f"the published file {name} is missing  {REMEDY}")
        return
    try:
        wanted = contents(database, path)
    except InternalError as fault:
        yield _leaf(first, f"the published file {name} cannot be held against the rows: {fault}")
        return
    if octets != wanted:
        yield _leaf(
            _index(path, octets, wanted),
            f"the published file {name} is not what the rows say  {REMEDY}",
        )


def _index(path: TilePath, octets: bytes, wanted: bytes) -> int:
    """Return the first entry that a difference concerns."""
    pairs = enumerate(zip(octets, wanted, strict=False))
    at = next((at for at, (one, other) in pairs if one != other), min(len(octets), len(wanted)))
    if path.level is not None:
        hashes = min(at // merkle.HASH_SIZE, path.width - 1)
        return (path.first + hashes) << path.height
    end = 0
    for number, leaf in enumerate(tiles.read_entries(wanted, path.width)):
        end += tiles.LENGTH + len(leaf)
        if at < end:
            return path.first + number
    return path.first + path.width - 1


def _size(database: StorageEngine) -> int:
    with database.reader() as reader:
        return stored_ledger.extent(reader)[0]


def _others(folder: Path, database: StorageEngine, expected: set[str]) -> Iterator[Finding]:
    """Yield what is wrong with files that the published checkpoint does not call for."""
    known = expected | {CHECKPOINT, LOCK}
    found = sorted(folder.rglob("*"))
    size = _size(database)
    for each in found:
        name = str(each.relative_to(folder))
        if name in known or (each.is_dir() and not each.is_symlink()):
            continue
        if each.name.startswith(".") and each.name.endswith(TEMPORARY):
            yield _ledger(Severity.NOTICE, size, f"{_shown(name)} was never finished  {REMEDY}")
            continue
        try:
            path = TilePath.parse(name)
        except TileRefused:
            path = None
        if path is None or path.leaves > size or each.is_symlink():
            text = f"{_shown(name)} among the published files is none of ours"
            yield _ledger(Severity.FAULT, size, text)
        else:
            yield from _tile(folder, database, path)


def _shown(name: str) -> str:
    """Return a name that others may have chosen, as it can be printed."""
    return ascii(name[:80])


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None  # a FIFO is not waited for
    except OSError:
        return None


def _leaf(index: int, text: str) -> Finding:
    return Finding(Severity.FAULT, index, text, Place.LEAF)


def _ledger(severity: Severity, size: int, text: str) -> Finding:
    return Finding(severity, size, text, Place.LEDGER)
