"""What can go wrong between asking and believing the answer.

PartnerError                 carries the transaction number, so that the state can be asked for
├── Refused                  the partner refused, with a stable reason; no answer was given
│   └── KeyStale             our copy of the partner's bundle is out of date; import the new one
├── AnswerRejected           an answer came and one of the numbered checks failed
│   └── ReceiptMissing       it came without proof that it is in the ledger: no receipt, no answer
├── DirectoryRefused         the partner's directory cannot be believed, or what we held of it has ended
├── SplitView                the partner's ledger shows two histories; both are kept as evidence
├── Unreachable              nobody answered
│   └── TlsTooOld            the partner's listener speaks no TLS 1.3
├── OwnCertificateEnded      our own TLS certificate has ended, or our clock is wrong; nothing was sent
├── DeadlineExceeded         the time is over; the query may have been recorded: ask for its state
└── NothingToRedeliver       this process does not hold the reply key of that transaction

No message holds a secret, a name or a value from a query.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gateway.errors import PasserelleError


class PartnerError(PasserelleError):
    """A question has no answer that may be believed."""

    def __init__(self, message: str, *, transaction_number: str = "") -> None:
        super().__init__(message)
        self.transaction_number = transaction_number


class Refused(PartnerError):
    """The partner refused.

    code         gRPC status code by name, e.g. PERMISSION_DENIED
    reason       the stable reason of protocol 5; empty where the refusal came from gRPC itself
    metadata     element paths and versions, never values
    error_id     what to quote to the partner's operators when the code is INTERNAL
    retry_after  seconds; None = not by yourself, negative = not at all
    """

    def __init__(
        self,
        code: str,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        transaction_number: str = "",
    ) -> None:
        super().__init__(message, transaction_number=transaction_number)
        self.code = code
        self.reason = reason
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata or {}))
        self.retry_after = retry_after

    @property
    def error_id(self) -> str:
        """The identifier under which the partner logged an internal error, or the empty string."""
        return self.metadata.get("error_id", "")


class KeyStale(Refused):
    """The question was sealed to a key that no longer opens."""


class AnswerRejected(PartnerError):
    """An answer failed a check; nothing of it may be used.

    step  the name of the numbered check in `gateway.client.verification`
    """

    def __init__(self, step: str, message: str, *, transaction_number: str = "") -> None:
        super().__init__(
            f"answer rejected at {step}: {message}", transaction_number=transaction_number
        )
        self.step = step


class ReceiptMissing(AnswerRejected):
    """An answer came without a receipt."""


class DirectoryRefused(PartnerError):
    """The partner's directory was rolled back, frozen, forged or is over; what we hold stays, and is not trusted anew."""


class SplitView(PartnerError):
    """The partner's ledger contradicts what it signed before.

    evidence  the file that holds both signed checkpoints; None where the witness has no folder
    """

    def __init__(
        self, message: str, evidence: Path | None, *, transaction_number: str = ""
    ) -> None:
        where = f"; evidence kept in {evidence}" if evidence else ""
        super().__init__(f"{message}{where}", transaction_number=transaction_number)
        self.evidence = evidence


class Unreachable(PartnerError):
    """Nobody answered at the partner's endpoint."""


class TlsTooOld(Unreachable):
    """The partner's listener does not speak TLS 1.3."""


class OwnCertificateEnded(PartnerError):
    """Our own TLS certificate is not in force by this machine's clock; nothing was sent."""


class DeadlineExceeded(PartnerError):
    """The time allowed is over; whether the query was recorded, its state tells."""


class NothingToRedeliver(PartnerError):
    """The reply key of that transaction is not in this process; ask for the state instead."""
