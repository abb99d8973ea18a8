"""The Merkle tree of RFC 6962 section 2.1: arithmetic over hashes, no storage, no clock.

A tree of n leaves splits at the largest power of two below n. Only complete subtrees are ever stored:
node (level, number) covers the leaves number·2^level up to (number+1)·2^level, and level 0 is the leaf
hashes themselves. A complete subtree never changes once it is full, so every root and every proof of
every past size can be computed from them, in O(log² n) reads.

`get(level, number)` MUST return the stored hash of that complete subtree; it is asked only for
subtrees that lie wholly inside the given size. What it raises passes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from gateway.ledger.errors import ProofRefused

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_PROOF",
    "Frontier",
    "ProofRefused",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "new_nodes",
    "node_hash",
    "root",
    "root_at",
    "verify_consistency",
    "verify_inclusion",
]

HASH_SIZE: Final = 32  # bytes; SHA-256
MAX_PROOF: Final = 64  # hashes; one a level of a tree whose size is a uint64, and one to start from
EMPTY_ROOT: Final = sha256(b"").digest()  # RFC 6962 2.1: the hash of nothing

Node: TypeAlias = tuple[int, int, bytes]  # level, number, hash
Get: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's stored bytes; the prefix keeps a leaf from posing as a node."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes given in order."""
    frontier = Frontier()
    for each in hashes:
        frontier = frontier.append(each)
    return frontier.root()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The least that must be remembered to go on appending: one hash for each set bit of the size.

    peaks   roots of the complete subtrees, the largest (leftmost) first
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier with one more leaf hash."""
        node, peaks, size = leaf, self.peaks, self.size
        while size & 1:
            node, peaks, size = node_hash(peaks[-1], node), peaks[:-1], size >> 1
        return Frontier(self.size + 1, (*peaks, node))

    def root(self) -> bytes:
        """Return the root at this size."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node


def new_nodes(index: int, leaf: bytes, get: Get) -> list[Node]:
    """Return the complete subtrees that the leaf hash at `index` brings into being, the leaf first.

    index   the size of the tree before the append
    get     is asked for the left neighbours, all of them older than this leaf
    """
    nodes = [(0, index, leaf)]
    level, number, node = 0, index, leaf
    while number & 1:
        node = node_hash(get(level, number - 1), node)
        level, number = level + 1, number >> 1
        nodes.append((level, number, node))
    return nodes


def root_at(size: int, get: Get) -> bytes:
    """Return the root that the tree had at `size`."""
    return _span(0, size, get) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, get: Get) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 6962 2.1.1: the leaf's sibling first, upwards to the root.

    Raises `ProofRefused` where there is no such leaf at that size.
    """
    if not 0 <= index < size:
        raise ProofRefused("no such leaf in a tree of that size")
    proof, start, width = [], 0, size
    while width > 1:
        half = _split(width)
        if index - start < half:
            proof.append(_span(start + half, width - half, get))
            width = half
        else:
            proof.append(_span(start, half, get))
            start, width = start + half, width - half
    return proof[::-1]


def consistency_proof(old: int, new: int, get: Get) -> list[bytes]:
    """Return PROOF(old, D[new]) of RFC 6962 2.1.2; empty where the sizes are equal.

    Raises `ProofRefused` unless 0 < old ≤ new: everything is consistent with nothing.
    """
    if not 0 < old <= new:
        raise ProofRefused("no consistency between trees of these sizes")
    proof, start, width, kept = [], 0, new, old
    while kept != width:
        half = _split(width)
        if kept <= half:
            proof.append(_span(start + half, width - half, get))
            width = half
        else:
            proof.append(_span(start, half, get))
            start, width, kept = start + half, width - half, kept - half
    if start:
        # The verifier knows the old root only when it is itself a complete subtree at the left edge.
        proof.append(_span(start, width, get))
    return proof[::-1]


def verify_inclusion(
    leaf: bytes, proof: Sequence[bytes], *, index: int, size: int, expected: bytes
) -> None:
    """Refuse unless the leaf hash is at `index` in the tree of `size` leaves with root `expected`.

    The algorithm is RFC 9162 2.1.3.2. Raises `ProofRefused` also for a hash that is not 32 bytes and for a
    proof one hash too long or too short.
    """
    _demand_short(proof)
    _demand_hashes(leaf, expected, *proof)
    if not 0 <= index < size:
        raise ProofRefused("the index lies outside the tree")
    node, position, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            raise ProofRefused("the inclusion proof is too long")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofRefused("the inclusion proof is too short")
    if node != expected:
        raise ProofRefused("the inclusion proof leads to another root")


def verify_consistency(
    proof: Sequence[bytes], *, old: int, new: int, old_root: bytes, new_root: bytes
) -> None:
    """Refuse unless the tree of `old` leaves is the beginning of the tree of `new` leaves.

    The algorithm is RFC 9162 2.1.4.2. Raises `ProofRefused` also for old = 0, old > new, a hash that is not
    32 bytes, a proof too long or too short, and equal sizes with a proof or with different roots.
    """
    _demand_short(proof)
    _demand_hashes(old_root, new_root, *proof)
    if not 0 < old <= new:
        raise ProofRefused("no consistency between trees of these sizes")
    if old == new:
        if proof:
            raise ProofRefused("trees of one size need no consistency proof")
        if old_root != new_root:
            raise ProofRefused("two trees of one size have different roots")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofRefused("the consistency proof is too short")
    before, after = _climb(path, old - 1, new - 1)
    if before != old_root:
        raise ProofRefused("the consistency proof does not lead to the old root")
    if after != new_root:
        raise ProofRefused("the consistency proof does not lead to the new root")


def _climb(path: Sequence[bytes], position: int, last: int) -> tuple[bytes, bytes]:
    """Return the old and the new root that a consistency path leads to (RFC 9162 2.1.4.2, 4–6)."""
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofRefused("the consistency proof is too long")
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofRefused("the consistency proof is too short")
    return before, after


def _demand_short(proof: Sequence[bytes]) -> None:
    if len(proof) > MAX_PROOF:
        raise ProofRefused("the proof has more hashes than any tree has levels")


def _demand_hashes(*hashes: bytes) -> None:
    """Refuse anything that is not a SHA-256 hash: a shorter one would be cheaper to find."""
    if any(len(each) != HASH_SIZE for each in hashes):
        raise ProofRefused("a hash is not 32 bytes")


def _split(width: int) -> int:
    """Return the largest power of two below `width`, which is 2 or more."""
    return 1 << (width - 1).bit_length() - 1


def _span(start: int, width: int, get: Get) -> bytes:
    """Return the hash over `width` leaves from `start`, which a split of a larger tree has made."""
    peaks = []
    while width:
        level = width.bit_length() - 1
        peaks.append(get(level, start >> level))
        start, width = start + (1 << level), width - (1 << level)
    node = peaks.pop()
    while peaks:
        node = node_hash(peaks.pop(), node)
    return node
