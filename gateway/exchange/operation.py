"""What passes through the pipeline: a call, what is learned of it step by step, and the operation's own part.

An operation is a `ExchangeOperation`. It reads and decides; what it wants done it returns as a `Conclusion`, and the
pipeline's commit makes it true together with the entries that record it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.domain.messages import Header, Operation, Reply, SignedEnvelope
from gateway.exchange.rate_limits import Turn
from gateway.law.agreement import Agreement
from gateway.ledger.entry import Leaf
from gateway.store.exchange import transactions
from gateway.store.exchange.quotas import Claims
from gateway.store.ledger.sequencer import Effect
from gateway.telemetry import Stages


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the listeners pass it on.

    remaining   seconds left of the caller's deadline, now
    alive       whether the caller still listens
    """

    caller: str
    operation: Operation
    envelope: SignedEnvelope
    remaining: Callable[[], float]
    alive: Callable[[], bool]
    stages: Stages


@dataclass(frozen=True, slots=True)
class Request:
    """An authenticated signed envelope; what it holds is given to `admit` alone, and kept by nobody.

    transcript       its 32-byte hash
    partner_version  version of the sender's directory entry, as we knew it before the first commit
    """

    header: Header
    transcript: bytes
    agreement: Agreement | None
    partner_version: int


class Perishable(ABC):
    """What `perform` needs of a request and must not outlive it; destroyed too where it is never performed."""

    __slots__ = ()

    def wait(self) -> None:  # noqa: B027 - most work waits for nobody
        """Wait for what other processes make of it, once the request is recorded; called outside of a turn, raises nothing."""

    @abstractmethod
    def destroy(self) -> None:
        """Overwrite it."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What an operation learned from a request that it accepts.

    reply_key   public key that the answer is sealed to, 1,216 bytes
    facts       what the auditor may know of the request
    work        what `perform` needs; opaque to the pipeline
    claims      a transaction number and its quota, where the operation uses them up
    """

    request: Request
    reply_key: bytes = field(repr=False)
    facts: Mapping[str, str]
    work: object = field(repr=False)
    claims: Claims | None = None

    def discard(self) -> None:
        """Destroy what it holds: it will not be performed."""
        if isinstance(self.work, Perishable):
            self.work.destroy()


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What an operation decided; it has done nothing yet.

    answer      the payload to seal, or a stored reply that is sent as it is
    facts       what the auditor may know of the answer
    leaves      entries that must precede the RESPONSE
    undone      entries that replace them where the answer could not be recorded; None: the same
    settled     the outcome to record with the transaction, where there is one
    response_index   the leaf of a stored reply
    at_least    bytes; the smallest size class allowed, the same whatever was decided
    """

    answer: bytes | Reply = field(repr=False)
    facts: Mapping[str, str]
    leaves: tuple[Leaf, ...] = ()
    undone: tuple[Leaf, ...] | None = None
    effects: tuple[Effect, ...] = ()
    settled: transactions.Settled | None = None
    response_index: int | None = None
    at_least: int = 0


class Unfinished(Exception):
    """An operation could not conclude; what it used is destroyed, and `leaves` say so.

    The REQUEST stays open: the identical retry tries again, or the periodic jobs abandons it.
    """

    def __init__(self, cause: Exception, leaves: tuple[Leaf, ...]) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause
        self.leaves = leaves


class ExchangeOperation(Protocol):
    """One operation.

    `admit` may refuse and MUST change nothing and keep nothing of the payload but what `perform` needs. `perform` concludes, or raises Unfinished where the gateway
    is at fault; it MUST NOT refuse for a reason that depends on the person.
    """

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Do steps 11 to 13."""

    def perform(
        self, admitted: Admitted, request_leaf: bytes, stages: Stages, turn: Turn
    ) -> Conclusion:
        """Do steps 15 to 18; `request_leaf` is the hash of the REQUEST leaf.

        turn   at the processors; what search processes do is waited for without it
        """
