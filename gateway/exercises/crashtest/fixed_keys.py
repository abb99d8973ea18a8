"""Keys that sign and seal for a ledger and never change, in the place of a gateway's keyset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keys.envelope import SealingKey
from keys.signatures import LogKey


@dataclass(slots=True)
class FixedKeys:
    """`sequencer.LedgerKeys` of pairs that are given, the primary first, and of one auditor."""

    pairs: Sequence[LogKey]
    auditor: SealingKey

    def log_keys(self) -> Sequence[LogKey]:
        """Return the pairs."""
        return self.pairs

    def audit_public(self) -> SealingKey:
        """Return the auditor's key."""
        return self.auditor
