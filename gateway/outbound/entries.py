"""The entries of what we ask: ASKED, ANSWER_RECEIVED, what our own law stopped, and what was never answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.messages import Biometrics, Direction, Outcome, Receipt, Result
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest
from gateway.domain.person import Withholding
from gateway.errors import Refusal
from gateway.law.legal_status import persecution_said
from gateway.ledger import disclosure_basis
from gateway.ledger.entry import EntryClass, EntryType, Frame, decode
from gateway.monitoring import alarms
from gateway.outbound.transport import Delivery, Written
from gateway.store.ledger.sequencer import Leaf


class Permission(Protocol):
    """Why we may ask."""

    @property
    def paragraph(self) -> str:
        """The paragraph of the purpose."""

    @property
    def rules(self) -> Sequence[str]:
        """The ids of the rules that were relied on."""

    @property
    def digest(self) -> str:
        """The digest of the agreement file."""


def asked(asking: OutboundRequest, written: Written, permission: Permission) -> Leaf:
    """Return the entry of a query of ours that may leave."""
    header = written.header
    frame = Frame(
        type=EntryType.ASKED,
        entry_class=EntryClass.OTHER,
        partner_id=asking.partner,
        direction=Direction.OUTBOUND,
        message_id=header.message_id,
        transcript=written.transcript,
        transaction_number=header.transaction_number,
        signing_key_id=header.signing_key_id,
        kem_key_id=header.kem_key_id,
        directory_version=header.directory_version,
        agreement_id=header.agreement_id,
        agreement_version=header.agreement_version,
    )
    facts = {
        **_facts(asking),
        "paragraph": permission.paragraph,
        "policy_trace": ",".join(permission.rules),
        "agreement_digest": permission.digest,
    }
    return Leaf(frame, facts)


def stopped(asking: OutboundRequest, number: str, refusal: Refusal) -> Leaf:
    """Return the entry of a query that our own law stopped before anything left."""
    frame = Frame(
        type=EntryType.ASKED,
        entry_class=EntryClass.DENIED,
        partner_id=asking.partner,
        direction=Direction.OUTBOUND,
        transaction_number=number,
        agreement_id=asking.agreement[0],
        agreement_version=asking.agreement[1],
    )
    element = refusal.metadata.get("element", "")
    facts = {**_facts(asking), "reason": refusal.reason}
    return Leaf(frame, facts | ({"element": element} if element else {}))


def _facts(asking: OutboundRequest) -> dict[str, str]:
    """What the case system stated, on which it was decided; nothing biographic."""
    facts = {
        "purpose": asking.purpose.name,
        "case": asking.case,
        "unit": asking.unit,
        "actor": asking.person,
        "refugee_claimant": str(asking.claimant).lower(),
        "status_kind": asking.status.kind.name,
        "nationalities": ",".join(sorted(asking.status.nationalities)),
        "persecutors": persecution_said(asking.status),
        "subject": "" if asking.subject is None else str(asking.subject),
    }
    if isinstance(asking.probe, Biometrics):
        facts["positions"] = ",".join(str(sample.position) for sample in asking.probe.samples)
        facts["sizes"] = ",".join(str(len(sample.data)) for sample in asking.probe.samples)
    else:
        facts["prior_transaction"] = asking.probe.number
    return {name: value for name, value in facts.items() if value}


def received(errand: OutboundQuery, receipt: Receipt, result: Result) -> Leaf:
    """Return the entry of an answer that proved itself; class ACCEPTED where the partner has not decided."""
    theirs = decode(receipt.leaf)
    pending = result.outcome is Outcome.REVIEW_PENDING
    frame = Frame(
        type=EntryType.ANSWER_RECEIVED,
        entry_class=EntryClass.ACCEPTED if pending else EntryClass.ANSWERED,
        partner_id=errand.partner,
        direction=Direction.OUTBOUND,
        message_id=theirs.message_id,
        transcript=theirs.transcript,
        transaction_number=errand.number,
        signing_key_id=theirs.signing_key_id,
        kem_key_id=theirs.kem_key_id,
        directory_version=theirs.directory_version,
        agreement_id=errand.agreement[0],
        agreement_version=errand.agreement[1],
    )
    facts = {
        "case": errand.case,
        "outcome_received": result.outcome.name,
        "destruction_receipt": result.destruction_receipt_id,
        **withheld(result.withholding),
    }
    if result.details is not None:  # an agreement with one step
        facts |= {
            "fields": ",".join(field.code.name for field in result.details.fields),
            "authorities": ",".join(sorted({f.authority for f in result.details.fields})),
            "field_authorities": disclosure_basis.written(result.details.fields),
            **withheld(result.details.withholding),
        }
    return Leaf(frame, {name: value for name, value in facts.items() if value})


def withheld(withholding: Withholding | None) -> dict[str, str]:
    """Return what a partner says that it refuses, and on which ground."""
    if withholding is None:
        return {}
    return {"withheld": withholding.scope.name, "ground": withholding.ground.name}


def denied(errand: OutboundQuery, delivery: Delivery) -> Leaf:
    """Return the entry of a partner's refusal to answer."""
    kind, reason = EntryType.ANSWER_RECEIVED, delivery.reason
    return _end(errand, kind, EntryClass.DENIED, reason, delivery.element)


def expired(errand: OutboundQuery, reason: str) -> Leaf:
    """Return the entry of a query that was never answered."""
    return _end(errand, EntryType.ABANDONED, EntryClass.OTHER, reason)


def doubted(errand: OutboundQuery, reason: str) -> Leaf:
    """Return the alarm of an answer that did not prove itself."""
    return alarms.entry(
        {"case": errand.case, "reason": reason},
        partner_id=errand.partner,
        direction=Direction.OUTBOUND,
        message_id=errand.message_id,
        transaction_number=errand.number,
        agreement_id=errand.agreement[0],
        agreement_version=errand.agreement[1],
    )


def _end(
    errand: OutboundQuery, kind: EntryType, entry_class: EntryClass, reason: str, element: str = ""
) -> Leaf:
    frame = Frame(
        type=kind,
        entry_class=entry_class,
        partner_id=errand.partner,
        direction=Direction.OUTBOUND,
        message_id=errand.message_id,
        transaction_number=errand.number,
        agreement_id=errand.agreement[0],
        agreement_version=errand.agreement[1],
    )
    facts = {"case": errand.case, "reason": reason}
    return Leaf(frame, facts | ({"element": element} if element else {}))
