"""May we ask? Decided before a packet leaves, from what our own case system says of the person.

In this order: a country that the person says persecutes them is never asked (IRPR 315.4(2)); then the purpose,
the person, what the query carries, and how much is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.casework import Status
from gateway.errors import (
    AgreementNotInForce,
    ModalityNotPermitted,
    PersecutionExclusion,
    PurposeNotPermitted,
    SubjectOutOfScope,
)
from gateway.law.agreement import Agreement
from gateway.law.quota import Quotas, Usage, demand_left
from gateway.law.standing import row_of
from gateway.terms import Modality, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What we would ask, and of whom.

    subject      our own client, as the case system states: kind, nationalities, alleged persecutors
    modalities   of the samples; empty where a prior transaction number stands for them
    """

    purpose: Purpose
    subject: Status
    modalities: frozenset[Modality] = frozenset({Modality.FINGER})


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

    Raises `AgreementNotInForce`, `PersecutionExclusion`, `PurposeNotPermitted`, `SubjectOutOfScope`,
    `ModalityNotPermitted`, or `QuotaExceeded`, which says when it renews.
    """
    asking = agreement.asking
    if not agreement.covers(now):
        raise AgreementNotInForce(element="agreement")
    if ask.subject.persecutors & agreement.partner_countries:
        raise PersecutionExclusion
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
    if not agreement.modalities.keys() >= ask.modalities:
        raise ModalityNotPermitted(element="modalities")
    if not ask.modalities and not agreement.prior_transaction:
        raise ModalityNotPermitted(element="prior_transaction_number")
    demand_left(asking.quotas, usage, ask.purpose, now)
    carried = [f"modalities.{modality.name}" for modality in sorted(ask.modalities)]
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
