"""Proofs out of a bundle: the tree over its leaves, with the frontier in the place of what lies before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.domain.messages import Receipt
from gateway.ledger import merkle
from gateway.ledger.archive import Archive
from gateway.ledger.errors import ProofRefused
from gateway.ledger.proof import make_proof
from gateway.ledger.signed_note import Checkpoint, parse_note

KEPT: Final = 8  # level from which on hashes of subtrees are kept: 64 bytes for 256 leaves


class Prover:
    """Proves entries of one bundle; the first proof hashes every leaf, the following ones some hundreds."""

    def __init__(self, archive: Archive, progress: Callable[[int], None] | None = None) -> None:
        """Prepare; `progress` is called with how many leaves were hashed so far."""
        self._archive, self._progress = archive, progress
        self._first, self._hashed = archive.manifest.first, 0
        self._last = _last(archive)
        self._block, self._leaves = -1, dict[int, bytes]()
        self._known: dict[tuple[int, int], bytes] = {}
        at = 0
        levels = [each for each in range(self._first.bit_length()) if self._first >> each & 1]
        for level, peak in zip(reversed(levels), archive.frontier().peaks, strict=True):
            self._known[level, at >> level] = peak
            at += 1 << level

    def prove(self, index: int) -> Receipt:
        """Return the proof that an entry is in the ledger, under the last checkpoint of the bundle.

        Raises ProofRefused where the bundle does not hold the entry, or no checkpoint over it.
        """
        archive, last = self._archive, self._last
        held = next(archive.held(index, index + 1), None) if index >= self._first else None
        if held is None or last is None:
            raise ProofRefused(f"the bundle has the entries {self._first} to {archive.size - 1}")
        size = Checkpoint.parse(parse_note(last).text).size
        return Receipt(
            held.leaf, make_proof(index, merkle.inclusion_proof(index, size, self._get), last)
        )

    def _get(self, level: int, number: int) -> bytes:
        """Return the hash of a complete subtree; raises ProofRefused where its leaves are not here."""
        found = self._known.get((level, number))
        if found is not None:
            return found
        if not level:
            return self._leaf(number)
        made = merkle.node_hash(
            self._get(level - 1, 2 * number), self._get(level - 1, 2 * number + 1)
        )
        if level >= KEPT:
            self._known[level, number] = made
        return made

    def _leaf(self, index: int) -> bytes:
        block = index >> KEPT
        if block != self._block:
            start, stop = block << KEPT, (block + 1) << KEPT
            held = self._archive.held(max(start, self._first), stop)
            self._leaves = {each.index: merkle.leaf_hash(each.leaf) for each in held}
            self._block, self._hashed = block, self._hashed + len(self._leaves)
            if self._progress is not None:
                self._progress(self._hashed)
        found = self._leaves.get(index)
        if found is None:
            raise ProofRefused("the proof needs an entry that is not in the bundle")
        return found


def prove(archive: Archive, index: int, progress: Callable[[int], None] | None = None) -> Receipt:
    """Return the proof of one entry of a bundle, as `Prover.prove` does."""
    return Prover(archive, progress).prove(index)


def _last(archive: Archive) -> bytes | None:
    found = None
    for note in archive.notes():
        found = note
    return found
