"""May we answer? Every permission names the rule that gives it; where no rule speaks, the answer is no.

Two looks at one query. First at the header, before anything is opened: is there an agreement between
these two parties, is it the version in force, does it permit the purpose in this direction? Then at the
whole query: may it carry what it carries, and does it agree with itself? The third, `settle`, is taken
after the search and says what the asker is shown.

No clock, no store, no randomness: the same values give the same decision years later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.errors import (
    AgreementNotInForce,
    ElementsInconsistent,
    ModalityNotPermitted,
    PurposeNotPermitted,
)
from gateway.law.agreement import Agreement, Agreements, Quota
from gateway.terms import Biometrics, Header, Modality, Outcome, Purpose, Query

# The purpose stands for a claim, so it cannot stand without one (IRPR 315.41(1)(d)).
_claims = frozenset({Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """That a query may be searched and answered, and why.

    paragraph   the paragraph of the purpose, e.g. "IRPR 315.41(1)(a)"
    fpir        share of non-mated searches that may raise a candidate
    quota       how many the partner has; the store counts and reserves
    rules       ids of every rule that was relied on, in the order in which they were asked
    digest      SHA-256 of the agreement file in hexadecimal
    """

    agreement_id: str
    version: int
    purpose: Purpose
    paragraph: str
    fpir: float
    quota: Quota
    rules: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What the asker is shown, what is true, and the rule between them."""

    shown: Outcome
    true: Outcome
    why: str


def in_force(agreement: Agreement, now: datetime) -> bool:
    """Return whether `agreement` is in force at `now`: begun, not ended, not superseded."""
    return agreement.covers(now)


def may_answer_header(header: Header, agreements: Agreements, now: datetime) -> Agreement:
    """Return the agreement under which the header's purpose may be asked of us at `now`.

    Raises `AgreementNotInForce` for an unknown agreement, another partner's, a version that is not the
    one in force, or dates that do not hold now: one answer for all, or a stranger could list them.
    Raises `PurposeNotPermitted` where the agreement does not name the purpose in this direction.
    """
    for agreement in agreements.get(header.agreement_id, ()):
        if agreement.version == header.agreement_version:
            return _permits_purpose(header, agreement, now)
    raise AgreementNotInForce(element="header.agreement_id")


def may_answer(header: Header, query: Query, agreement: Agreement, now: datetime) -> Permit:
    """Return the permit for the whole query under `agreement`.

    Asks the header's question again: a permit rests on nothing that was decided elsewhere.

    Raises as `may_answer_header`; `ModalityNotPermitted` for a sample, or a number instead of samples,
    that no rule names; `ElementsInconsistent` where the query contradicts itself.
    """
    _permits_purpose(header, agreement, now)
    rules = [agreement.rule(f"answer.purposes.{header.purpose.name}")]
    rules += _carries(query, agreement)
    _consistent(header, query)
    return Permit(
        agreement_id=agreement.id,
        version=agreement.version,
        purpose=header.purpose,
        paragraph=agreement.answer_purposes[header.purpose],
        fpir=agreement.fpir,
        quota=agreement.quota,
        rules=(*rules, agreement.rule("search.fpir"), agreement.rule("quota")),
        digest=agreement.digest,
    )


def settle(found: bool, permit: Permit) -> Settled:  # noqa: FBT001 - the one thing a search says
    """Return what is shown once the search is complete; today the truth, under the permit's purpose."""
    outcome = Outcome.MATCH if found else Outcome.NO_MATCH
    return Settled(shown=outcome, true=outcome, why=permit.rules[0])


def _permits_purpose(header: Header, agreement: Agreement, now: datetime) -> Agreement:
    named = (header.agreement_id, header.agreement_version, header.recipient, header.sender)
    meant = (agreement.id, agreement.version, agreement.home, agreement.partner)
    if named != meant or not in_force(agreement, now):
        raise AgreementNotInForce(element="header.agreement_id")
    if header.purpose not in agreement.answer_purposes:
        raise PurposeNotPermitted(element="header.purpose")
    return agreement


def _carries(query: Query, agreement: Agreement) -> list[str]:
    """Return the rules that permit what the query carries (IRPR 315.38)."""
    if not isinstance(query.probe, Biometrics):
        if not agreement.prior_transaction:
            raise ModalityNotPermitted(element="prior_transaction_number")
        return [agreement.rule("references.PRIOR_TRANSACTION")]
    # Nothing sampled is nothing permitted: an empty set must never read as "all of them are allowed".
    if not query.probe.samples:
        raise ModalityNotPermitted(element="biometrics.samples")
    used: set[Modality] = set()
    for index, sample in enumerate(query.probe.samples):
        if sample.modality not in agreement.modalities:
            raise ModalityNotPermitted(element=f"biometrics.samples[{index}].modality")
        used.add(sample.modality)
    return [agreement.rule(f"modalities.{modality.name}") for modality in sorted(used)]


def _consistent(header: Header, query: Query) -> None:
    """Refuse a query that contradicts its header; both were written by one hand at one moment."""
    if header.purpose in _claims and not query.refugee_claimant:
        raise ElementsInconsistent(element="subject_flags.refugee_claimant")
    if isinstance(query.probe, Biometrics):
        for index, sample in enumerate(query.probe.samples):
            if sample.capture_time is not None and sample.capture_time > header.create_time:
                raise ElementsInconsistent(element=f"biometrics.samples[{index}].capture_time")
