"""The tree of refusals: each its gRPC code, as text, and its stable reason.

PasserelleError
├── InternalError                          something of ours is wrong; the caller learns INTERNAL and an id
├── Refusal                        we understood, and the answer is no
│   ├── Unauthenticated            UNAUTHENTICATED
│   │   ├── CertificateNotPinned       CERTIFICATE_NOT_PINNED
│   │   ├── TlsVersionRefused          TLS_VERSION_REFUSED
│   │   ├── SenderMismatch             SENDER_MISMATCH
│   │   ├── EnvelopeRejected           ENVELOPE_REJECTED
│   │   └── StaffUnknown               STAFF_UNKNOWN
│   ├── PermissionDenied           PERMISSION_DENIED
│   │   ├── OperationNotAuthorised     OPERATION_NOT_AUTHORISED
│   │   ├── AgreementNotInForce        AGREEMENT_NOT_IN_FORCE
│   │   ├── PurposeNotPermitted        PURPOSE_NOT_PERMITTED
│   │   ├── ModalityNotPermitted       MODALITY_NOT_PERMITTED
│   │   ├── FieldNotPermitted          FIELD_NOT_PERMITTED
│   │   ├── RoleRequired               ROLE_REQUIRED
│   │   └── OfficerRefused             OFFICER_REFUSED
│   ├── InvalidArgument            INVALID_ARGUMENT
│   │   ├── DeadlineRequired           DEADLINE_REQUIRED
│   │   ├── HeaderInvalid              HEADER_INVALID
│   │   ├── OutsideTimeWindow          OUTSIDE_TIME_WINDOW
│   │   ├── ElementMissing             ELEMENT_MISSING
│   │   ├── ElementInvalid             ELEMENT_INVALID
│   │   ├── FormatUnsupported          FORMAT_UNSUPPORTED
│   │   ├── RecordUnparseable          RECORD_UNPARSEABLE
│   │   ├── ElementsInconsistent       ELEMENTS_INCONSISTENT
│   │   └── BiographicInQuery          BIOGRAPHIC_IN_QUERY
│   ├── FailedPrecondition         FAILED_PRECONDITION
│   │   ├── KeyStale                   KEY_STALE
│   │   ├── HitReferenceSpent          HIT_REFERENCE_SPENT
│   │   ├── RetentionOverdue           RETENTION_OVERDUE
│   │   ├── EvidenceOverdue            EVIDENCE_OVERDUE
│   │   ├── PersecutionExclusion       PERSECUTION_EXCLUSION
│   │   ├── PersecutionNotStated       PERSECUTION_NOT_STATED
│   │   ├── SubjectOutOfScope          SUBJECT_OUT_OF_SCOPE
│   │   └── ActRefused                 ACT_REFUSED
│   ├── AlreadyExists              ALREADY_EXISTS
│   │   ├── ReplayConflict             REPLAY_CONFLICT
│   │   └── TransactionReused          TRANSACTION_REUSED
│   ├── NotFound                   NOT_FOUND
│   │   ├── PriorTransactionUnknown    PRIOR_TRANSACTION_UNKNOWN
│   │   ├── TransactionUnknown         TRANSACTION_UNKNOWN
│   │   ├── CorrectionUnknown          CORRECTION_UNKNOWN
│   │   └── DirectoryFileUnknown       DIRECTORY_FILE_UNKNOWN
│   ├── ResourceExhausted          RESOURCE_EXHAUSTED
│   │   ├── TooManyCalls               TOO_MANY_CALLS
│   │   ├── RateLimited                RATE_LIMITED
│   │   └── QuotaExceeded              QUOTA_EXCEEDED
│   ├── Unavailable                UNAVAILABLE
│   │   ├── Draining                   DRAINING
│   │   ├── KeysUnavailable            KEYS_UNAVAILABLE
│   │   ├── AuditUnavailable           AUDIT_UNAVAILABLE
│   │   ├── DirectoryStale             DIRECTORY_STALE
│   │   ├── EngineUnavailable          ENGINE_UNAVAILABLE
│   │   └── InProgress                 IN_PROGRESS
│   └── DeadlineExceeded           DEADLINE_EXCEEDED
│       └── DeadlineTooShort           DEADLINE_TOO_SHORT
└── UserError                         a command cannot go on; the message says what its user can do

Messages are for people and hold no secret, no name and no value from a request; `metadata` holds element
paths and versions for machines. No reason depends on a person: what depends on the person is an outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Final


class PasserelleError(Exception):
    """Anything that this gateway raises on purpose."""


class InternalError(PasserelleError):
    """Something of ours is wrong; whoever called learns INTERNAL and an id, nothing else."""


class UserError(PasserelleError):
    """A command cannot go on; the message names what to do about it."""


class Refusal(PasserelleError):
    """We understood, and the answer is no."""

    code: ClassVar[str]
    reason: ClassVar[str]
    retry_after: float | None = None  # seconds; None = do not retry by yourself

    def __init__(self, message: str = "", **metadata: str) -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])
        self.metadata = metadata


class Unauthenticated(Refusal):
    """We do not know who speaks."""

    code = "UNAUTHENTICATED"


class CertificateNotPinned(Unauthenticated):
    """The TLS certificate is not one that the partner directory pins."""

    reason = "CERTIFICATE_NOT_PINNED"


class TlsVersionRefused(Unauthenticated):
    """The connection is not TLS 1.3, and nothing older is answered."""

    reason = "TLS_VERSION_REFUSED"


class SenderMismatch(Unauthenticated):
    """The header names another sender than the TLS certificate."""

    reason = "SENDER_MISMATCH"


class EnvelopeRejected(Unauthenticated):
    """The envelope was not accepted: its signing key, its signature or its seal."""

    reason = "ENVELOPE_REJECTED"


class StaffUnknown(Unauthenticated):
    """The certificate is no officer certificate in force of a person of ours."""

    reason = "STAFF_UNKNOWN"


class PermissionDenied(Refusal):
    """The agreement does not allow it."""

    code = "PERMISSION_DENIED"


class OperationNotAuthorised(PermissionDenied):
    """This partner may not call this operation."""

    reason = "OPERATION_NOT_AUTHORISED"


class AgreementNotInForce(PermissionDenied):
    """No agreement of that name and version is in force between the two parties."""

    reason = "AGREEMENT_NOT_IN_FORCE"


class PurposeNotPermitted(PermissionDenied):
    """The agreement does not permit this purpose in this direction."""

    reason = "PURPOSE_NOT_PERMITTED"


class ModalityNotPermitted(PermissionDenied):
    """The agreement does not permit this modality."""

    reason = "MODALITY_NOT_PERMITTED"


class FieldNotPermitted(PermissionDenied):
    """The agreement lets no such field be disclosed for this purpose."""

    reason = "FIELD_NOT_PERMITTED"


class RoleRequired(PermissionDenied):
    """The act is for another role than those of the officer."""

    reason = "ROLE_REQUIRED"


class OfficerRefused(PermissionDenied):
    """Whatever their roles: the act is for another person than this officer, or their approval of it does not count."""

    reason = "OFFICER_REFUSED"


class SecondPersonRequired(PermissionDenied):
    """One person alone may not do the act; it is proposed, and another approves it."""

    reason = "TWO_PERSONS"


class InvalidArgument(Refusal):
    """The request is not well formed."""

    code = "INVALID_ARGUMENT"


class DeadlineRequired(InvalidArgument):
    """Every call states a deadline of at most sixty seconds."""

    reason = "DEADLINE_REQUIRED"


class HeaderInvalid(InvalidArgument):
    """The header breaks a rule of its format."""

    reason = "HEADER_INVALID"


class OutsideTimeWindow(InvalidArgument):
    """The message is too old, too long-lived or from the future; compare clocks."""

    reason = "OUTSIDE_TIME_WINDOW"


class ElementMissing(InvalidArgument):
    """A required element is absent."""

    reason = "ELEMENT_MISSING"


class ElementInvalid(InvalidArgument):
    """An element is out of range or unknown."""

    reason = "ELEMENT_INVALID"


class FormatUnsupported(InvalidArgument):
    """No record of this format is read here; the capabilities list those that are."""

    reason = "FORMAT_UNSUPPORTED"


class RecordUnparseable(InvalidArgument):
    """A biometric record breaks its standard."""

    reason = "RECORD_UNPARSEABLE"


class ElementsInconsistent(InvalidArgument):
    """Two elements contradict each other."""

    reason = "ELEMENTS_INCONSISTENT"


class BiographicInQuery(InvalidArgument):
    """A query carries no biographic datum (IRPR 315.38)."""

    reason = "BIOGRAPHIC_IN_QUERY"


class FailedPrecondition(Refusal):
    """The state of things does not allow it now."""

    code = "FAILED_PRECONDITION"


class KeyStale(FailedPrecondition):
    """The message is sealed to a key that no longer opens; fetch the current entry and seal again."""

    reason = "KEY_STALE"


class HitReferenceSpent(FailedPrecondition):
    """The hit reference was used for other fields; the same ones may be asked for again."""

    reason = "HIT_REFERENCE_SPENT"


class RetentionOverdue(FailedPrecondition):
    """Something should have been erased and is not; no query is answered until it is."""

    reason = "RETENTION_OVERDUE"


class EvidenceOverdue(FailedPrecondition):
    """The ledger's evidence (files, cosignatures, time stamps) has been late for too long; nothing is answered."""

    reason = "EVIDENCE_OVERDUE"


class PersecutionExclusion(FailedPrecondition):
    """The person alleges persecution in the country that would be asked (IRPR 315.4(2))."""

    reason = "PERSECUTION_EXCLUSION"


class PersecutionNotStated(FailedPrecondition):
    """A claimant's countries of alleged persecution must be said, or that there are none (IRPR 315.4(2))."""

    reason = "PERSECUTION_NOT_STATED"


class SubjectOutOfScope(FailedPrecondition):
    """The person is not a national of a third country to both parties (IRPR 315.21, 315.36)."""

    reason = "SUBJECT_OUT_OF_SCOPE"


class ActRefused(FailedPrecondition):
    """An act of our own people cannot go on; the message says what to do about it."""

    reason = "ACT_REFUSED"


class AlreadyExists(Refusal):
    """It was used before."""

    code = "ALREADY_EXISTS"


class ReplayConflict(AlreadyExists):
    """The message identifier was used before with other bytes."""

    reason = "REPLAY_CONFLICT"


class TransactionReused(AlreadyExists):
    """The transaction number was used before."""

    reason = "TRANSACTION_REUSED"


class NotFound(Refusal):
    """Unknown, expired or someone else's: one answer for all three."""

    code = "NOT_FOUND"


class PriorTransactionUnknown(NotFound):
    """No such earlier query of ours to this partner."""

    reason = "PRIOR_TRANSACTION_UNKNOWN"


class TransactionUnknown(NotFound):
    """No such transaction of this partner."""

    reason = "TRANSACTION_UNKNOWN"


class CorrectionUnknown(NotFound):
    """No disclosure or correction of this pair of parties bears that number."""

    reason = "CORRECTION_UNKNOWN"


class DirectoryFileUnknown(NotFound):
    """No such file in our directory; of a root: there is no later one."""

    reason = "DIRECTORY_FILE_UNKNOWN"


class ResourceExhausted(Refusal):
    """There is a limit, and it is reached."""

    code = "RESOURCE_EXHAUSTED"


class TooManyCalls(ResourceExhausted):
    """The partner has too many calls under way."""

    reason = "TOO_MANY_CALLS"
    retry_after = 0.5


class RateLimited(ResourceExhausted):
    """The partner calls faster than its allowance."""

    reason = "RATE_LIMITED"
    retry_after = 1.0


class QuotaExceeded(ResourceExhausted):
    """The partner has used up what it is allowed: by the agreement for a purpose, or of corrections."""

    reason = "QUOTA_EXCEEDED"
    retry_after = -1.0

    def __init__(self, renews: datetime | None = None) -> None:
        """Say when it renews; None where no day renews it."""
        if renews is None:
            super().__init__("there is a limit, which no day renews, and it is reached")
        else:
            super().__init__(
                f"budget spent; it renews {renews:%Y-%m-%d %H:%M} UTC",
                reset_time=renews.isoformat(),
            )
        self.renews = renews


class Unavailable(Refusal):
    """Not now; the same bytes may be sent again."""

    code = "UNAVAILABLE"
    retry_after = 1.0


class Draining(Unavailable):
    """The gateway is shutting down."""

    reason = "DRAINING"


class KeysUnavailable(Unavailable):
    """No key is in force to answer with: one was stopped, or has ended; our operators know, and have to act."""

    reason = "KEYS_UNAVAILABLE"
    retry_after = 30.0


class AuditUnavailable(Unavailable):
    """The ledger cannot record, so nothing is answered."""

    reason = "AUDIT_UNAVAILABLE"


class DirectoryStale(Unavailable):
    """The partner directory is too old to be trusted."""

    reason = "DIRECTORY_STALE"


class EngineUnavailable(Unavailable):
    """The search could not be completed; an incomplete search is no answer."""

    reason = "ENGINE_UNAVAILABLE"


class InProgress(Unavailable):
    """The first copy of this message is still being answered."""

    reason = "IN_PROGRESS"
    retry_after = 0.5


class DeadlineExceeded(Refusal):
    """The time that the caller allowed is over; ask for the state of the query."""

    code = "DEADLINE_EXCEEDED"


class DeadlineTooShort(DeadlineExceeded):
    """Less time is left than any answer takes."""

    reason = "DEADLINE_TOO_SHORT"


def remade(reason: str, message: str, metadata: Mapping[str, str]) -> Refusal:
    """Return a refusal as it was recorded; raises InternalError for a reason that is none of ours."""
    kind = next((each for each in _kinds(Refusal) if each.__dict__.get("reason") == reason), None)
    if kind is None:
        raise InternalError("a recorded refusal has a reason that is not in the tree")
    refusal = kind.__new__(kind)  # some have words of their own, made from what is not recorded
    Refusal.__init__(refusal, message, **metadata)
    return refusal


# What a partner's text says of itself as "us" and of the asker as "this partner" is said to the asker, with what to do.
TO_THE_ASKER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "CERTIFICATE_NOT_PINNED": "the partner does not know our TLS certificate: have it import our current entry"
        " (passerelle party export)",
        "SENDER_MISMATCH": "our message names another party than our TLS certificate does: look at gateway.party and at the"
        " home directory that was asked from",
        "OPERATION_NOT_AUTHORISED": "the partner has no agreement with us under which we may do that: compare what was agreed"
        " (passerelle agreements list)",
        "AGREEMENT_NOT_IN_FORCE": "the partner has no agreement of that name and version in force with us: compare what was"
        " agreed (passerelle agreements list)",
        "PRIOR_TRANSACTION_UNKNOWN": "the partner knows of no query of its own to us by that number: name a query that this"
        " partner sent to us, or ask with records",
        "TRANSACTION_UNKNOWN": "the partner knows no query of ours by that number: check the number and whom we asked; a query"
        " that never arrived is unknown too, and so is one long past",
        "TRANSACTION_REUSED": "the partner had a message of ours by that transaction number before: take a new one",
        "CORRECTION_UNKNOWN": "the partner knows of nothing between us by that number that could be corrected: check the"
        " number, and which fields were told",
        "DIRECTORY_FILE_UNKNOWN": "the partner's directory has no such file; of a root: there is no later one",
        "KEY_STALE": "a key or an entry of the partner's that we hold is out of date; import the partner's new bundle"
        " (party import) and ask again",
        "TOO_MANY_CALLS": "we have as many calls under way as the partner allows us: wait for one to end",
        "RATE_LIMITED": "we call the partner faster than it allows us: wait, and ask again",
        "QUOTA_EXCEEDED": "we have used up what the partner allows us, by the agreement for a purpose, or of corrections",
        "KEYS_UNAVAILABLE": "the partner has no key in force to answer with; its operators know, and have to act: ask again"
        " later",
        "DIRECTORY_STALE": "what the partner holds of the directory is too old to be trusted; its operators have to act",
        "DRAINING": "the partner's gateway is shutting down: ask again later",
    }
)


def meaning(reason: str) -> str:
    """Return what a reason says, in one sentence; "" of one that is not in the tree: a partner's may be newer."""
    found = (each for each in _kinds(Refusal) if each.__dict__.get("reason") == reason)
    return next(((each.__doc__ or "").splitlines()[0] for each in found), "")


def meaning_to_the_asker(reason: str) -> str:
    """Return what a partner's refusal means to us who asked, in one sentence; "" of a reason that we do not know."""
    said = TO_THE_ASKER.get(reason, "")
    return f"{said[0].upper()}{said[1:]}." if said else meaning(reason)


def _kinds(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
