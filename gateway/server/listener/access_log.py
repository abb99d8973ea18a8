"""The access log: one line a call, with the step that refused; who, which operation and how it ended, never content.

Steps are those of the protocol (section 4). A call that was refused before its message was read says so by the refusal's
type; after that by the last stage that was over, for stages follow each other as the steps do. What comes in no envelope
(the ledger's, the directory's and our own people's calls) has no stages: there the type says which step it is.

Answered calls are `info`, refused ones `warning`, faults of ours `error`; the setting `telemetry.access` says from which on
they are written. What anybody can provoke without end is bounded: beyond it lines are left out, and the next one says
how many.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from gateway import telemetry
from gateway.errors import (
    AlreadyExists,
    AuditUnavailable,
    CertificateNotPinned,
    DeadlineExceeded,
    DeadlineRequired,
    DeadlineTooShort,
    EvidenceOverdue,
    FailedPrecondition,
    HeaderInvalid,
    InProgress,
    InvalidArgument,
    ModalityNotPermitted,
    NotFound,
    OfficerRefused,
    OperationNotAuthorised,
    OutsideTimeWindow,
    PermissionDenied,
    PriorTransactionUnknown,
    RateLimited,
    Refusal,
    ReplayConflict,
    ResourceExhausted,
    RetentionOverdue,
    RoleRequired,
    StaffUnknown,
    TlsVersionRefused,
    TooManyCalls,
    TransactionReused,
    Unauthenticated,
    Unavailable,
)
from gateway.exchange.rate_limits import Bucket

RATE: Final = 20.0  # lines a second of refusals that are cheap to provoke
BURST: Final = 200.0  # such lines at once

# Refused before the message was read, by type; whatever else is refused there says that we are not ready.
_DOORS: Final[Mapping[type[Refusal], int]] = MappingProxyType(
    {
        DeadlineRequired: 1,
        DeadlineTooShort: 1,
        TooManyCalls: 1,
        CertificateNotPinned: 2,
        StaffUnknown: 2,
        TlsVersionRefused: 2,
        RateLimited: 3,
    }
)
# Refused once the message was read, of a call in no envelope, or whose envelope is none; by type, or the next above it.
_UNSEALED: Final[Mapping[type[Refusal], int]] = MappingProxyType(
    {
        **_DOORS,
        OfficerRefused: 3,
        RoleRequired: 3,
        OperationNotAuthorised: 3,
        HeaderInvalid: 4,
        Unauthenticated: 4,
        InvalidArgument: 11,
        AlreadyExists: 12,
        NotFound: 12,
        PermissionDenied: 13,
        FailedPrecondition: 13,
        EvidenceOverdue: 0,
        RetentionOverdue: 0,
        ResourceExhausted: 14,
        AuditUnavailable: 14,
        Unavailable: 0,
        DeadlineExceeded: 1,
    }
)
# The step after each stage, the last one first.
_AFTER: Final = (
    ("record_request", 15),
    ("admit", 14),
    ("open", 11),
    ("policy", 10),
    ("replay", 9),
    ("verify", 7),
    ("header", 6),
)
_BETWEEN: Final[tuple[tuple[int, tuple[type[Refusal], ...], int], ...]] = (
    (4, (OperationNotAuthorised,), 3),
    (4, (OutsideTimeWindow,), 5),
    (7, (ReplayConflict, InProgress), 8),
    (9, (RateLimited,), 8),  # the allowance of what no legal quota bounds, taken once it is no copy
    (11, (TransactionReused, PriorTransactionUnknown), 12),
    (11, (ModalityNotPermitted,), 11),
    (11, (PermissionDenied, FailedPrecondition), 13),
)
_CHEAP: Final = (RateLimited, TooManyCalls)


def step_of(refusal: Refusal, stages: Collection[str] | None) -> int:
    """Return the step of the protocol that refused a call.

    stages   that were over; None where the message was not read yet
    """
    if stages is None:
        return _DOORS.get(type(refusal), 0)
    after = next((step for stage, step in _AFTER if stage in stages), 4)
    # Between two stages there may be several steps: then the type says which.
    for at, kinds, step in _BETWEEN:
        if after == at and isinstance(refusal, kinds):
            return step
    return after


def unsealed_step_of(refusal: Refusal) -> int:
    """Return the step that refused a call which has no stages: it came in no envelope, or its envelope was none."""
    return next(_UNSEALED[kind] for kind in type(refusal).__mro__ if kind in _UNSEALED)


class AccessLog:
    """Writes the lines of one listener; for several threads."""

    def __init__(self, listener: str) -> None:
        self._listener = listener
        self._log = telemetry.logger(telemetry.ACCESS)
        self._bucket = Bucket(RATE, BURST, 0.0)
        self._left_out = 0
        self._lock = threading.Lock()

    def answered(self, operation: str, partner: str, seconds: float) -> None:
        """Say that a call was answered; with what is the ledger's alone."""
        self._log.info(
            "call",
            address=self._listener,
            operation=operation,
            partner=partner,
            code="OK",
            seconds=round(seconds, 4),
        )

    def refused(
        self,
        operation: str,
        partner: str,
        peer: str,
        refusal: Refusal,
        *,
        step: int,
        now: float,
        seconds: float,
    ) -> None:
        """Say that a call was refused, and at which step.

        partner   "" where nobody was identified
        peer      the address, or network, that it came from
        now       monotonic seconds
        """
        left_out = 0
        if not partner or isinstance(refusal, _CHEAP):
            with self._lock:
                if not self._bucket.take(now):
                    self._left_out += 1
                    return
                left_out, self._left_out = self._left_out, 0
        self._log.warning(
            "call",
            address=self._listener,
            operation=operation,
            partner=partner,
            peer=peer,
            code=refusal.code,
            reason=refusal.reason,
            step=step,
            seconds=round(seconds, 4),
            **({"count": left_out} if left_out else {}),
        )

    def failed(
        self, operation: str, partner: str, code: str, error_id: str, seconds: float
    ) -> None:
        """Say that a call ended by a fault of ours, under the number in the answer, or that its caller left."""
        told = self._log.error if error_id else self._log.info
        told(
            "call",
            address=self._listener,
            operation=operation,
            partner=partner,
            code=code,
            error_id=error_id,
            seconds=round(seconds, 4),
        )
