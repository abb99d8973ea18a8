"""What can be wrong with evidence.

AuditFault
├── MalformedEntry     a leaf or a sealed detail is not what its format allows
├── NoteRefused        a signed note, checkpoint or verifier key is malformed or not signed as demanded
├── ProofRefused       a Merkle proof does not prove what it is said to prove
├── ReceiptRefused     a receipt does not show that this answer is in this log
└── TileRefused        a published tile is malformed, missing, or not of the tree it is said to be of

Messages name the rule that was broken and the place, never the value that broke it.
"""

from __future__ import annotations

from gateway.errors import PasserelleError


class AuditFault(PasserelleError):
    """Evidence was refused."""


class MalformedEntry(AuditFault):
    """A leaf or a sealed detail is not what its format allows."""


class NoteRefused(AuditFault):
    """A signed note, checkpoint or verifier key is malformed or not signed as demanded."""


class ProofRefused(AuditFault):
    """A Merkle proof does not prove what it is said to prove."""


class ReceiptRefused(AuditFault):
    """A receipt does not show that this answer is in this log."""


class TileRefused(AuditFault):
    """A published tile is malformed, missing, or not of the tree it is said to be of."""
