"""What a legal hold can name."""

from __future__ import annotations

from enum import Enum


class HoldKind(Enum):
    """What a hold names: a file number, `PARTNER/number`, a partner, or nothing in particular."""

    PERSON = "person"
    TRANSACTION = "transaction"
    PARTNER = "partner"
    EVERYTHING = "everything"
