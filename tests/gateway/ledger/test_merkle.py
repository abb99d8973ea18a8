"""The tree against published vectors, against another implementation, and against itself."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from gateway.ledger.merkle import (
    EMPTY_ROOT,
    MAX_PROOF,
    Frontier,
    ProofRefused,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    new_nodes,
    node_hash,
    root,
    root_at,
    verify_consistency,
    verify_inclusion,
)

EXHAUSTIVE = 40  # leaves; every index and every pair of sizes up to here
TWELVE_BYTE_ROOTS = "sizes-are-equal-one-and-proof-is-empty.json"  # SOURCE.md: we demand 32


class Stored:
    """Complete subtrees in a dictionary, and nothing else."""

    def __init__(self, size: int) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.hashes = [leaf_hash(str(number).encode()) for number in range(size)]
        for index, leaf in enumerate(self.hashes):
            for level, number, node in new_nodes(index, leaf, self.get):
                assert (level, number) not in self.nodes
                self.nodes[level, number] = node

    def get(self, level: int, number: int) -> bytes:
        return self.nodes[level, number]


@pytest.fixture(scope="module")
def stored() -> Stored:
    return Stored(300)


def _cases(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    # By os.walk order, not by glob: the names hold brackets, which are patterns to a glob.
    files = sorted(path for path in folder.rglob("*") if path.suffix == ".json")
    return [(path.name, json.loads(path.read_text())) for path in files]


def _unpack(case: dict[str, Any], *names: str) -> list[bytes]:
    return [base64.b64decode(case[name] or "") for name in names]


def test_every_published_inclusion_proof_is_judged_as_published(vectors: Path) -> None:
    """transparency-dev/merkle@417fb0c testdata/inclusion, 98 of 98."""
    cases = _cases(vectors / "tlog-merkle" / "inclusion")
    assert len(cases) == 98

    for _, case in cases:
        leaf, expected = _unpack(case, "leafHash", "root")
        proof = [base64.b64decode(each) for each in case["proof"] or []]
        index, size = case["leafIdx"], case["treeSize"]
        if case["wantErr"]:
            with pytest.raises(ProofRefused):
                verify_inclusion(leaf, proof, index=index, size=size, expected=expected)
        else:
            verify_inclusion(leaf, proof, index=index, size=size, expected=expected)


def test_every_published_consistency_proof_is_judged_as_published(vectors: Path) -> None:
    """transparency-dev/merkle@417fb0c testdata/consistency, 97 of 98; the other has 12-byte roots."""
    cases = _cases(vectors / "tlog-merkle" / "consistency")
    assert len(cases) == 98

    for name, case in cases:
        old_root, new_root = _unpack(case, "root1", "root2")
        proof = [base64.b64decode(each) for each in case["proof"] or []]
        sizes = {"old": case["size1"], "new": case["size2"]}
        if case["wantErr"] or name == TWELVE_BYTE_ROOTS:
            with pytest.raises(ProofRefused):
                verify_consistency(proof, **sizes, old_root=old_root, new_root=new_root)
        else:
            verify_consistency(proof, **sizes, old_root=old_root, new_root=new_root)


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT == root([]) == Frontier().root() == sha256(b"").digest()


def test_a_leaf_cannot_pose_as_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")

    assert leaf_hash(left + right) != node_hash(left, right)


def test_the_frontier_and_the_stored_nodes_give_one_root(stored: Stored) -> None:
    frontier = Frontier()

    for size in range(301):
        assert frontier.root() == root_at(size, stored.get)
        assert len(frontier.peaks) == size.bit_count()
        if size < 300:
            frontier = frontier.append(stored.hashes[size])


def test_every_leaf_of_every_small_tree_is_provable(stored: Stored) -> None:
    for size in range(1, EXHAUSTIVE + 1):
        expected = root_at(size, stored.get)
        for index in range(size):
            proof = inclusion_proof(index, size, stored.get)
            verify_inclusion(stored.hashes[index], proof, index=index, size=size, expected=expected)


def test_every_small_tree_continues_every_smaller_one(stored: Stored) -> None:
    roots = [root_at(size, stored.get) for size in range(EXHAUSTIVE + 1)]

    for new in range(1, EXHAUSTIVE + 1):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, stored.get)
            verify_consistency(proof, old=old, new=new, old_root=roots[old], new_root=roots[new])


def test_pymerkle_finds_the_same_roots_and_paths(stored: Stored) -> None:
    """An oracle only: its inclusion path begins with the leaf itself."""
    other = InmemoryTree(algorithm="sha256")
    for number in range(130):
        other.append_entry(str(number).encode())

    for size in (1, 2, 3, 7, 8, 9, 63, 64, 65, 100, 127, 128, 129, 130):
        assert other.get_root(size) == root_at(size, stored.get)
        for index in range(0, size, 7):
            path = other.prove_inclusion(index + 1, size).path
            assert path == [stored.hashes[index], *inclusion_proof(index, size, stored.get)]


def test_a_proof_holds_for_no_other_place_and_no_other_size(stored: Stored) -> None:
    for size in (1, 2, 5, 8, 13):
        for index in range(size):
            proof = inclusion_proof(index, size, stored.get)
            for other in range(size):
                if other != index:
                    with pytest.raises(ProofRefused):
                        verify_inclusion(
                            stored.hashes[index],
                            proof,
                            index=other,
                            size=size,
                            expected=root_at(size, stored.get),
                        )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_inclusion_proof_is_refused(stored: Stored, data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 300))
    index = data.draw(st.integers(0, size - 1))
    proof, expected = inclusion_proof(index, size, stored.get), root_at(size, stored.get)
    verify_inclusion(stored.hashes[index], proof, index=index, size=size, expected=expected)

    damaged = _damage(proof, data)

    with pytest.raises(ProofRefused):
        verify_inclusion(stored.hashes[index], damaged, index=index, size=size, expected=expected)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_consistency_proof_is_refused(stored: Stored, data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 300))
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof(old, new, stored.get)
    roots = {"old_root": root_at(old, stored.get), "new_root": root_at(new, stored.get)}
    verify_consistency(proof, old=old, new=new, **roots)

    damaged = _damage(proof, data)

    with pytest.raises(ProofRefused):
        verify_consistency(damaged, old=old, new=new, **roots)


def _damage(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    at = data.draw(st.integers(0, len(proof) - 1))
    way = data.draw(st.sampled_from(["drop", "double", "flip", "shorten", "longer"]))
    hashed = proof[at]
    flipped = bytes([hashed[0] ^ data.draw(st.integers(1, 255))]) + hashed[1:]
    middle = {
        "drop": [],
        "double": [hashed, hashed],
        "flip": [flipped],
        "shorten": [hashed[:-1]],
        "longer": [hashed],
    }[way]
    tail = [bytes(32)] if way == "longer" else []
    return [*proof[:at], *middle, *proof[at + 1 :], *tail]


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_no_proof_is_made_or_taken_for_a_leaf_that_is_not_there(
    stored: Stored, index: int, size: int
) -> None:
    with pytest.raises(ProofRefused):
        inclusion_proof(index, size, stored.get)
    with pytest.raises(ProofRefused):
        verify_inclusion(bytes(32), [], index=index, size=size, expected=bytes(32))


@pytest.mark.parametrize(("old", "new"), [(0, 5), (-1, 5), (6, 5), (0, 0)])
def test_everything_is_consistent_with_nothing_so_nothing_proves_it(
    stored: Stored, old: int, new: int
) -> None:
    with pytest.raises(ProofRefused):
        consistency_proof(old, new, stored.get)
    with pytest.raises(ProofRefused):
        verify_consistency([], old=old, new=new, old_root=EMPTY_ROOT, new_root=EMPTY_ROOT)


def test_two_roots_at_one_size_are_a_fork(stored: Stored) -> None:
    good, other = root_at(6, stored.get), root_at(5, stored.get)

    verify_consistency([], old=6, new=6, old_root=good, new_root=good)
    with pytest.raises(ProofRefused, match="different roots"):
        verify_consistency([], old=6, new=6, old_root=good, new_root=other)
    with pytest.raises(ProofRefused, match="need no"):
        verify_consistency([good], old=6, new=6, old_root=good, new_root=good)


def test_a_rewritten_past_is_refused_whichever_root_is_false(stored: Stored) -> None:
    proof = consistency_proof(6, 11, stored.get)
    old, new = root_at(6, stored.get), root_at(11, stored.get)

    with pytest.raises(ProofRefused, match="old root"):
        verify_consistency(proof, old=6, new=11, old_root=new, new_root=new)
    with pytest.raises(ProofRefused, match="new root"):
        verify_consistency(proof, old=6, new=11, old_root=old, new_root=old)


def test_a_proof_of_more_hashes_than_any_tree_has_levels_is_not_looked_at() -> None:
    """Nothing of it is hashed, nor even held against the length of a hash."""
    root = bytes(32)
    for count, why in ((MAX_PROOF, "too long"), (MAX_PROOF + 1, "more hashes than any tree")):
        hashes = [bytes(32)] * count
        with pytest.raises(ProofRefused, match=why):
            verify_inclusion(root, hashes, index=0, size=2, expected=root)
        with pytest.raises(ProofRefused, match=why):
            verify_consistency(hashes, old=1, new=2, old_root=root, new_root=root)
    with pytest.raises(ProofRefused, match="more hashes than any tree"):
        verify_consistency([b""] * (MAX_PROOF + 1), old=1, new=2, old_root=root, new_root=root)
