"""Proofs that travel: the tlog-proof text, and the receipt that a partner checks without us.

A receipt says that an answer is in a log whose owner has signed for it, so that the owner can
neither deny the answer nor have given another one. It is checked with two public keys and the bytes at
hand; no network, no clock, nothing of the gateway.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gateway.domain.messages import Direction, Receipt
from gateway.ledger.entry import EntryClass, EntryType, Frame, decode
from gateway.ledger.errors import AuditFault, ProofRefused, ReceiptRefused
from gateway.ledger.merkle import (
    HASH_SIZE,
    MAX_PROOF,
    leaf_hash,
    verify_inclusion,
)
from gateway.ledger.signed_note import MAX_NOTE, MAX_SIZE, Checkpoint, LogIdentity

__all__ = [
    "Expected",
    "ProofRefused",
    "ReceiptRefused",
    "TlogProof",
    "VerifiedReceipt",
    "make_proof",
    "parse_proof",
    "verify_leaf",
    "verify_receipt",
]

HEADER: Final = "c2sp.org/tlog-proof@v1"
MESSAGE_ID_SIZE: Final = 16  # bytes; protocol 3, Header field 9
MAX_TEXT: Final = (
    MAX_NOTE + 4096
)  # bytes; 64 hash lines of 45 bytes, header and index before the note

_SAID: Final = (
    *("partner_id", "transaction_number", "agreement_id", "agreement_version"),
    *("signing_key_id", "kem_key_id", "directory_version"),
)
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A parsed proof text; nothing about it is verified yet.

    hashes       from the leaf's sibling upwards, 32 bytes each
    checkpoint   the signed note, verbatim
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the leaf of an answer must say: all that the asker knows of question and answer.

    partner_id          who asked
    message_id          the 16 bytes under which the question was asked
    transcript          SHA-256 of the answer's transcript as the asker computed it from the bytes received
    operation           name of the question's operation
    transaction_number, agreement_id, agreement_version   of the question's header
    signing_key_id, kem_key_id, directory_version   of the answer's header
    earliest, latest    aware; between them the leaf was written and its checkpoint signed
    """

    partner_id: str
    message_id: bytes
    transcript: bytes
    operation: str
    transaction_number: str
    agreement_id: str
    agreement_version: int
    signing_key_id: bytes
    kem_key_id: bytes
    directory_version: int
    earliest: datetime
    latest: datetime

    def differences(self, frame: Frame) -> Iterator[str]:
        """Yield each field in which a leaf says something else."""
        said = {name: getattr(self, name) for name in _SAID}
        said |= {"direction": Direction.INBOUND, "subject_reference": self.operation}
        yield from (name for name, value in said.items() if getattr(frame, name) != value)
        if not self.earliest <= frame.time <= self.latest:
            yield "time"


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """Where the answer is in the log, under which checkpoint, and what its leaf says."""

    index: int
    checkpoint: Checkpoint
    frame: Frame


def make_proof(index: int, hashes: Sequence[bytes], checkpoint_note: bytes) -> bytes:
    """Return the tlog-proof@v1 text; without an `extra` line, which nobody would have signed."""
    lines = [
        HEADER,
        f"index {index}",
        *(base64.b64encode(each).decode() for each in hashes),
        "",
        "",
    ]
    return "\n".join(lines).encode() + checkpoint_note


def parse_proof(text: bytes) -> TlogProof:
    """Read a tlog-proof@v1 text strictly; raises `ProofRefused`.

    The checkpoint is cut off unread. An `extra` line is refused: it is unauthenticated and we send none.
    """
    if len(text) > MAX_TEXT:
        raise ProofRefused("the proof is too large")
    head, gap, checkpoint = text.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ProofRefused("the proof's lines are not ASCII") from None
    if not gap or not checkpoint or lines[0] != HEADER or len(lines) < 2:
        raise ProofRefused(f"a proof is {HEADER}, index, hashes, an empty line and a checkpoint")
    index = _INDEX.fullmatch(lines[1])
    if index is None or int(index[1]) > MAX_SIZE:
        raise ProofRefused("the proof's second line is not its index")
    if len(lines) - 2 > MAX_PROOF:
        raise ProofRefused("the proof has more hashes than any tree has levels")
    return TlogProof(int(index[1]), tuple(map(_hash, lines[2:])), checkpoint)


def verify_receipt(receipt: Receipt, *, log: LogIdentity, expected: Expected) -> VerifiedReceipt:
    """Return where an answer is in the log, or refuse the receipt.

    (1) The caller names question and answer; an empty value would match what is empty in a leaf.
    (2) The leaf is a well-formed RESPONSE.
    (3) It names this question and this answer, and says of both what the caller knows, no more no less.
    (4) The proof parses.
    (5) Both of the log's keys have signed its checkpoint: an inclusion in a root that nobody signed
        proves nothing (sigstore-python issue 248). A new epoch is another log.
    (6) The checkpoint says that it was signed when the leaf was written or later, and not later than now.
    (7) The leaf is at the stated index of the tree that was signed.

    Raises `ReceiptRefused`. Whether the log only grew, who keeps its checkpoints asks: `gateway.client.checkpoint_memory`.
    """
    # (1)
    if len(expected.message_id) != MESSAGE_ID_SIZE or len(expected.transcript) != HASH_SIZE:
        raise ReceiptRefused("the caller did not say which answer the receipt is for")
    # (2)
    with _refusing():
        frame = decode(receipt.leaf)
    if (frame.type, frame.entry_class) != (EntryType.RESPONSE, EntryClass.ANSWERED):
        raise ReceiptRefused("the receipt's leaf is not that of an answer")
    # (3)
    if frame.message_id != expected.message_id:
        raise ReceiptRefused("the receipt is for another question")
    if frame.transcript != expected.transcript:
        raise ReceiptRefused("the receipt is for another answer to this question")
    wrong = ", ".join(expected.differences(frame))
    if wrong:
        raise ReceiptRefused(f"the receipt's leaf says otherwise: {wrong}")
    with _refusing():
        # (4) to (7)
        index, checkpoint = verify_leaf(receipt, frame.time, log=log, latest=expected.latest)
    return VerifiedReceipt(index, checkpoint, frame)


def verify_leaf(
    receipt: Receipt, written: datetime, *, log: LogIdentity, latest: datetime
) -> tuple[int, Checkpoint]:
    """Return where a leaf is in the ledger of `log`, and under which checkpoint.

    written   when the leaf says that it was written
    latest    no checkpoint was signed after this moment, usually now

    (1) The proof parses.
    (2) Both of the log's keys have signed its checkpoint.
    (3) The checkpoint was signed when the leaf was written or later, and not later than `latest`.
    (4) The leaf is at the stated index of the tree that was signed.

    Raises `AuditFault`.
    """
    proof = parse_proof(receipt.tlog_proof)  # (1)
    checkpoint, second = log.read(proof.checkpoint)  # (2)
    if not int(written.timestamp()) <= second <= latest.timestamp():
        raise ProofRefused("its checkpoint was not signed between the leaf and now")  # (3)
    verify_inclusion(  # (4)
        leaf_hash(receipt.leaf),
        proof.hashes,
        index=proof.index,
        size=checkpoint.size,
        expected=checkpoint.root,
    )
    return proof.index, checkpoint


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever is wrong with a part into a refusal of the receipt."""
    try:
        yield
    except AuditFault as fault:
        raise ReceiptRefused(f"the receipt does not hold: {fault}") from fault


def _hash(line: str) -> bytes:
    """Decode one hash line in its canonical form."""
    try:
        raw = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise ProofRefused("a proof line is not base64") from None
    if len(raw) != HASH_SIZE or base64.b64encode(raw).decode() != line:
        raise ProofRefused("a proof line is not a hash of 32 bytes in its one spelling")
    return raw
