"""Proofs out of a bundle: the tree over its leaves, with the frontier in the place of what lies before them."""

from __future__ import annotations

from collections.abc import Callable

from gateway.audit import tree
from gateway.audit.errors import ProofRefused
from gateway.audit.note import Checkpoint, parse_note
from gateway.audit.proof import make_proof
from gateway.audit.volume import Volume
from gateway.terms import Receipt


def prove(volume: Volume, index: int, progress: Callable[[int], None] | None = None) -> Receipt:
    """Return the proof that an entry stands in the ledger, under the last checkpoint of the bundle.

    Raises ProofRefused where the bundle does not hold the entry, or no checkpoint over it.
    """
    first = volume.manifest.first
    held = next(volume.held(index, index + 1), None) if index >= first else None
    last = _last(volume)
    if held is None or last is None:
        raise ProofRefused(f"the bundle has the entries {first} to {volume.size - 1}")
    size = Checkpoint.parse(parse_note(last).text).size
    hashes = tree.inclusion_proof(index, size, _reader(volume, progress))
    return Receipt(held.leaf, make_proof(index, hashes, last))


def _last(volume: Volume) -> bytes | None:
    found = None
    for note in volume.notes():
        found = note
    return found


def _reader(volume: Volume, progress: Callable[[int], None] | None) -> tree.Get:
    """Return the reader of complete subtrees; each leaf is hashed once."""
    first, frontier = volume.manifest.first, volume.frontier()
    known: dict[tuple[int, int], bytes] = {}
    at = 0
    for level, peak in zip(_levels(first), frontier.peaks, strict=True):
        known[level, at >> level] = peak
        at += 1 << level
    for done, held in enumerate(volume.held(), 1):
        known[0, held.index] = tree.leaf_hash(held.leaf)
        if progress is not None and not done % 1024:
            progress(done)

    def get(level: int, number: int) -> bytes:
        found = known.get((level, number))
        if found is None:
            if not level:
                raise ProofRefused("the proof needs an entry that is not in the bundle")
            left, right = get(level - 1, 2 * number), get(level - 1, 2 * number + 1)
            found = known[level, number] = tree.node_hash(left, right)
        return found

    return get


def _levels(size: int) -> list[int]:
    """Return the levels of the complete subtrees over a size, the largest first."""
    return [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
