"""Two checkpoints of one ledger that cannot both be true: what a witness carries to a third party.

    {"format": "passerelle/1/contradiction", "accusation": …, "origin": …,
     "kept": note, "seen": note,
     "proof": […]}

Both notes are signed by the ledger itself, so nobody else can have made them up. Two trees of one size convict
at once. Of two sizes the larger must begin with the smaller: only the ledger's hashes can show that it does, and a
ledger that will not show them stays accused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.ledger import merkle
from gateway.ledger.errors import AuditFault, ProofRefused
from gateway.ledger.signed_note import MAX_NOTE, Checkpoint, LogIdentity
from keys import strict_json
from keys.strict_json import JsonRefused

FORMAT: Final = "passerelle/1/contradiction"
MOST: Final = 4 * MAX_NOTE  # bytes of a file: two notes, quoted, and a proof that did not prove
_NEEDED: Final = frozenset({"accusation", "origin", "kept", "seen"})
_KNOWN: Final = _NEEDED | {"format", "proof"}


class EvidenceRefused(AuditFault):
    """A file is no evidence: not ours, or not signed by the ledger that it accuses."""


class Verdict(Enum):
    """What two checkpoints of one ledger say of it."""

    CONVICTED = "convicted"  # they cannot both be true
    ACCUSED = "accused"  # the ledger must show that the larger begins with the smaller
    CONSISTENT = "consistent"  # they are the same, or the ledger has shown it


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, its reason in plain words, and both checkpoints, the smaller first."""

    verdict: Verdict
    why: str
    older: Checkpoint
    newer: Checkpoint


def write(
    accusation: str, origin: str, kept: bytes, seen: bytes, proof: Sequence[bytes] = ()
) -> bytes:
    """Return the file of an accusation; `proof` is what the ledger offered, where it offered something.

    Of a proof longer than any the beginning is kept: that it proves nothing is plain, and nobody's file grows by it.
    """
    document = {
        "format": FORMAT,
        "accusation": accusation,
        "origin": origin,
        "kept": kept.decode(),
        "seen": seen.decode(),
        "proof": [each[: merkle.HASH_SIZE].hex() for each in proof[: merkle.MAX_PROOF]],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def read(octets: bytes) -> tuple[str, bytes, bytes]:
    """Return accusation and both notes of a file; raises `EvidenceRefused`. Nothing is verified yet."""
    if len(octets) > MOST:
        raise EvidenceRefused("the file is larger than any evidence")
    try:
        document = strict_json.read(octets, MOST)
    except JsonRefused:
        document = None
    if not isinstance(document, dict) or not _NEEDED <= document.keys() <= _KNOWN:
        raise EvidenceRefused("the file is no evidence of a witness")
    if not all(isinstance(document[name], str) for name in _NEEDED):
        raise EvidenceRefused("the file is no evidence of a witness")
    try:
        return document["accusation"], document["kept"].encode(), document["seen"].encode()
    except UnicodeEncodeError:  # half of a character pair, as JSON can spell it
        raise EvidenceRefused("the file is no evidence of a witness") from None


def judge(
    one: bytes, other: bytes, log: LogIdentity, node: Callable[[int, int], bytes] | None = None
) -> Judged:
    """Return what two signed notes say of their ledger.

    node   where given, the hashes of complete subtrees that the ledger itself shows, up to the larger size; what they
           say is held against the larger signed root before it is believed

    Steps:
    (1) Both are checkpoints of this ledger, under both its signatures; else `EvidenceRefused`.
    (2) Two roots of one size convict.
    (3) The given hashes lead to the larger root; else they are not the ledger's, and prove nothing.
    (4) The root at the smaller size, out of the same hashes, is the one that was signed, or convicts.
    """
    try:
        older, newer = sorted((log.open(one), log.open(other)), key=lambda each: each.size)  # (1)
    except AuditFault as fault:
        raise EvidenceRefused(f"not two checkpoints of {log.origin}: {fault}") from None
    if older.size == newer.size:
        if older.root != newer.root:  # (2)
            return Judged(Verdict.CONVICTED, "two trees of one size were signed", older, newer)
        return Judged(Verdict.CONSISTENT, "they say the same", older, newer)
    if older.size == 0:
        return Judged(Verdict.CONSISTENT, "the empty tree begins every tree", older, newer)
    if node is None:
        why = f"it must show that its {newer.size} entries begin with the {older.size}"
        return Judged(Verdict.ACCUSED, why, older, newer)
    if merkle.root_at(newer.size, node) != newer.root:  # (3)
        raise EvidenceRefused("the hashes at hand do not lead to the larger signed root")
    proof = merkle.consistency_proof(older.size, newer.size, node)
    try:
        merkle.verify_consistency(  # (4)
            proof, old=older.size, new=newer.size, old_root=older.root, new_root=newer.root
        )
    except ProofRefused:
        why = f"its {newer.size} entries do not begin with the {older.size} that it signed before"
        return Judged(Verdict.CONVICTED, why, older, newer)
    return Judged(Verdict.CONSISTENT, "the larger begins with the smaller", older, newer)
