"""The destruction receipt: that the prints of a query are gone, signed by the ledger, checked without a gateway.

    {"format": "passerelle/1/destruction", "receipt": "D-…", "leaf": base64, "proof": tlog-proof@v1}

A partner finds the identifier in the answer; the file proves that the entry of that name is in the ledger, when
it was written and for which query. What was destroyed, by kind and number, is in the entry's sealed detail, which
the leaf commits to and the auditor's key opens.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.messages import Receipt
from gateway.ledger import receipt_file
from gateway.ledger.entry import EntryType, Frame, decode
from gateway.ledger.errors import AuditFault, ReceiptRefused
from gateway.ledger.proof import ProofRefused, verify_leaf
from gateway.ledger.signed_note import Checkpoint, LogIdentity

FORMAT: Final = "passerelle/1/destruction"
RECEIPT_ID: Final = re.compile(r"D-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class VerifiedDestruction:
    """A destruction that is in the ledger: its entry, where, and under which checkpoint."""

    receipt: str
    frame: Frame
    index: int
    checkpoint: Checkpoint


def write(identifier: str, receipt: Receipt) -> bytes:
    """Return the file of a destruction receipt."""
    document = {
        "format": FORMAT,
        "receipt": identifier,
        "leaf": base64.b64encode(receipt.leaf).decode(),
        "proof": receipt.tlog_proof.decode(),
    }
    return json.dumps(document, indent=1, ensure_ascii=True).encode() + b"\n"


def read(octets: bytes) -> tuple[str, Receipt]:
    """Read the file strictly; raises `ReceiptRefused`. Nothing about it is verified yet."""
    try:
        receipt, document = receipt_file.read(octets, FORMAT, "receipt")
        if not RECEIPT_ID.fullmatch(document["receipt"]):
            raise ValueError  # noqa: TRY301 - the same refusal
    except (ValueError, TypeError):
        raise ReceiptRefused("this is no file of a destruction receipt") from None
    return document["receipt"], receipt


def verify(
    octets: bytes, log: LogIdentity, now: datetime, expected: str = ""
) -> VerifiedDestruction:
    """Return where a destruction is in the ledger of `log`, or refuse the file.

    expected   the identifier that the answer to the query named; where given, the file must be its receipt

    (1) The file is of our form, and of the receipt that was expected.
    (2) Its leaf is a well-formed DESTRUCTION that bears this identifier and names its partner and query.
    (3) The proof parses, and both of the log's keys have signed its checkpoint.
    (4) The checkpoint was signed when the leaf was written or later, and not later than now.
    (5) The leaf is at the stated index of the tree that was signed.

    Raises `ReceiptRefused`.
    """
    identifier, receipt = read(octets)
    if expected and identifier != expected:
        raise ReceiptRefused("this is the receipt of another destruction")  # (1)
    try:
        frame = decode(receipt.leaf)
        if frame.type is not EntryType.DESTRUCTION or frame.subject_reference != identifier:
            raise ProofRefused("its leaf is not of this destruction")  # (2)
        if not frame.partner_id or not frame.transaction_number:
            raise ProofRefused("its leaf does not say whose query it was")  # (2)
        index, checkpoint = verify_leaf(receipt, frame.time, log=log, latest=now)  # (3) to (5)
    except AuditFault as fault:
        raise ReceiptRefused(f"the destruction receipt does not hold: {fault}") from fault
    return VerifiedDestruction(identifier, frame, index, checkpoint)
