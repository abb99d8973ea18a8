"""An answer after every check, and how its payload is read: as strictly as the peer reads ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.client.errors import AnswerRejected
from gateway.client.verification import Believed
from gateway.domain.messages import Outcome, Receipt, Result
from gateway.errors import Refusal

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to a query, after every check.

    receipt_index    index of the answer's leaf in the peer's ledger
    checkpoint_size  leaves of the signed tree that holds it
    envelope_size    bytes; the same for every outcome
    attempts         sendings it took; more than one where the peer was not ready
    seconds          from composing to believing
    crypto_seconds   of these, what this side spent on sealing, signing, verifying and opening
    """

    outcome: Outcome
    result: Result
    transaction_number: str
    receipt: Receipt = field(repr=False)
    receipt_index: int
    checkpoint_size: int
    envelope_size: int
    attempts: int
    seconds: float
    crypto_seconds: float


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """An answer that may be believed, and what it took."""

    believed: Believed
    attempts: int
    crypto_seconds: float


def read(reader: Callable[[bytes], T], believed: Believed, number: str) -> T:
    """Read an opened payload as strictly as the peer reads ours."""
    try:
        return reader(believed.payload)
    except Refusal as fault:
        element = fault.metadata.get("element", "payload")
        raise AnswerRejected(
            "payload", f"{element} breaks its rule", transaction_number=number
        ) from None
