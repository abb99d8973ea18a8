"""May we ask? Decided before a packet leaves, from what our own case system says of the person.

In this order: a country that the person says persecutes them is never asked, nor any of a claimant who was not asked
who does (IRPR 315.4(2)); then the purpose, the person, what the query carries, and how much is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.messages import Modality, Purpose
from gateway.domain.person import Status
from gateway.errors import (
    AgreementNotInForce,
    ModalityNotPermitted,
    PersecutionExclusion,
    PersecutionNotStated,
    PurposeNotPermitted,
    SubjectOutOfScope,
)
from gateway.law.agreement import Agreement
from gateway.law.legal_status import persecuted, row_of, unanswered
from gateway.law.quota_policy import Quotas, Usage, demand_left


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What we would ask, and of whom.

    subject      our own client, as the case system states: kind, nationalities, alleged persecutors
    modalities   of the samples; empty where a prior transaction number replaces them
    claimant     whether a claim for refugee protection or an application for protection was made, whatever the kind
    issued       whether the number that replaces samples is one of ours, and not of a query received
    """

    purpose: Purpose
    subject: Status
    modalities: frozenset[Modality] = frozenset({Modality.FINGER})
    claimant: bool = False
    issued: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPermit:
    """That we may ask, and why; `quotas` are counted and reserved by the store."""

    agreement_id: str
    version: int
    purpose: Purpose
    paragraph: str
    quotas: Quotas
    rules: tuple[str, ...]
    digest: str


def may_ask(ask: Ask, agreement: Agreement, usage: Usage, now: datetime) -> AskPermit:
    """Return the permit to ask the partner of `agreement`.

    Raises `AgreementNotInForce`, `PersecutionExclusion`, `PersecutionNotStated`, `PurposeNotPermitted`,
    `SubjectOutOfScope`, `ModalityNotPermitted`, or `QuotaExceeded`, which says when it renews.
    """
    asking = agreement.asking
    if not agreement.covers(now):
        raise AgreementNotInForce(element="agreement")
    if persecuted(ask.subject, agreement.partner_countries):
        raise PersecutionExclusion
    if unanswered(ask.subject, claimant=ask.claimant):
        raise PersecutionNotStated(element="alleged_persecution_region_codes")
    paragraph = asking.purposes.get(ask.purpose)
    if paragraph is None or asking.quotas is None:
        raise PurposeNotPermitted(element="purpose")
    row = row_of(
        ask.subject,
        agreement.home_countries,
        agreement.partner_countries,
        oldest=agreement.max_age,
        now=now,
    )
    if row not in asking.scope:
        raise SubjectOutOfScope
    if not all(agreement.carries(each, ask.purpose) for each in ask.modalities):
        raise ModalityNotPermitted(element="modalities")
    if not ask.modalities and not agreement.prior_transaction:
        raise ModalityNotPermitted(element="prior_transaction_number")
    # A number stands for samples only where it is that of a query received in respect of the person (IRPR 315.38).
    if ask.issued and not agreement.same_direction:
        raise ModalityNotPermitted(element="prior_transaction_number")
    demand_left(asking.quotas, usage, ask.purpose, now)
    carried = agreement.modality_rules(ask.modalities)
    keys = [
        f"ask.purposes.{ask.purpose.name}",
        "ask.persecution",
        "status",
        f"ask.scope.{row.name}",
        *(carried or ["references.PRIOR_TRANSACTION"]),
        "ask.quota",
    ]
    return AskPermit(
        agreement_id=agreement.id,
        version=agreement.version,
        purpose=ask.purpose,
        paragraph=paragraph,
        quotas=asking.quotas,
        rules=tuple(agreement.rule(key) for key in keys),
        digest=agreement.digest,
    )
