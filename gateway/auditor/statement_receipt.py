"""The receipt of a statement: that the ledger of who states it holds its digest, so that nobody else can state it.

    {"format": "passerelle/1/statement-receipt", "leaf": base64, "proof": tlog-proof@v1}

A checkpoint is public, and a statement that only carries one could be anybody's. The receipt lies beside the statement as
FILE.receipt; a gateway writes it, and a bundle cannot.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from typing import Final

from gateway.auditor.reconcile import StatementRefused
from gateway.domain.messages import Receipt
from gateway.ledger import receipt_file
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.errors import AuditFault
from gateway.ledger.proof import ProofRefused, verify_leaf
from gateway.ledger.signed_note import LogIdentity

FORMAT: Final = "passerelle/1/statement-receipt"


def digest(statement: bytes) -> str:
    """Return what the ledger's entry says of a statement: SHA-256 of its file, hexadecimal."""
    return hashlib.sha256(statement).hexdigest()


def write(receipt: Receipt) -> bytes:
    """Return the file of a receipt."""
    document = {
        "format": FORMAT,
        "leaf": base64.b64encode(receipt.leaf).decode(),
        "proof": receipt.tlog_proof.decode(),
    }
    return json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"


def read(octets: bytes) -> Receipt:
    """Read the file strictly; raises `StatementRefused`. Nothing about it is verified yet."""
    try:
        return receipt_file.read(octets, FORMAT)[0]
    except ValueError:
        raise StatementRefused("this is no file of a statement's receipt") from None


def verify(octets: bytes, statement: bytes, *, us: str, log: LogIdentity, now: datetime) -> int:
    """Return which entry of the ledger of `log` speaks of this statement to us, or refuse it.

    (1) The receipt's leaf is a well-formed RECONCILIATION that names us and these very bytes.
    (2) The proof parses, and both of the log's keys have signed its checkpoint.
    (3) The checkpoint was signed when the leaf was written or later, and not later than now.
    (4) The leaf is at the stated index of the tree that was signed.

    Raises `StatementRefused`.
    """
    receipt = read(octets)
    try:
        frame = decode(receipt.leaf)
        if frame.type is not EntryType.RECONCILIATION or frame.partner_id != us:
            raise ProofRefused("its leaf is of no statement to us")  # (1)
        if frame.subject_reference != digest(statement):
            raise ProofRefused("its leaf is of another statement")  # (1)
        return verify_leaf(receipt, frame.time, log=log, latest=now)[0]  # (2) to (4)
    except AuditFault as fault:
        raise StatementRefused(f"the statement's receipt does not hold: {fault}") from None
