"""May we answer? Every permission names the rule that gives it; where no rule speaks, the answer is no.

Two looks at one query. First at the header, before anything is opened: is there an agreement between
these two parties, is it the version in force, does it permit the purpose in this direction? Then at the
whole query: may it carry what it carries, and does it agree with itself? The third, `settle`, is taken
after the search and says what the asker is shown. What may be said of the person then is told in
`gateway.law.disclosure_policy`, what we may ask in `gateway.law.outbound_policy`.

No clock, no store, no randomness: the same values give the same decision years later.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway.domain.messages import Biometrics, Header, Modality, Outcome, Purpose, Query
from gateway.domain.person import FieldCode, Scope, Status, Withholding
from gateway.errors import (
    AgreementNotInForce,
    ElementsInconsistent,
    ModalityNotPermitted,
    PurposeNotPermitted,
)
from gateway.law.agreement import Agreement, Agreements, Band
from gateway.law.disclosure_policy import (
    Decided,
    Plan,
    applying,
    fields_for,
    may_disclose,
    may_disclose_unasked,
    on_terms,
    standing_of,
)
from gateway.law.legal_status import Row, persecuted
from gateway.law.outbound_policy import Ask, AskPermit, may_ask
from gateway.law.quota_policy import Quota, Quotas
from gateway.law.regulation import BOUNDS
from gateway.law.review_policy import CLEARLY_NO

__all__ = [
    "Ask",
    "AskPermit",
    "Decided",
    "Evidence",
    "Found",
    "Permit",
    "Plan",
    "Settled",
    "decisive",
    "in_force",
    "may_answer",
    "may_answer_header",
    "may_ask",
    "may_disclose",
    "may_disclose_unasked",
    "settle",
]

# The purpose implies a claim, so it is not permitted without one (IRPR 315.41(1)(d)).
_claims = frozenset({Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """That a query may be searched and answered, and why.

    paragraph      the paragraph of the purpose, e.g. "IRPR 315.41(1)(a)"
    fpir           share of non-mated searches that may raise a candidate
    quota          how many the partner has, all purposes together; the store counts and reserves
    quota_purpose  how many it has for this purpose, where the agreement says so
    claim          whether the query declares a refugee claim in the asking country
    fields         what may be disclosed to such a query of anybody, each with its paragraph
    review         the review clause, where the agreement has one
    single_step    whether details are in the answer itself
    time           when this was decided, by which the status of a person is judged
    rules          ids of every rule that was relied on, in the order in which they were asked
    digest         SHA-256 of the agreement file in hexadecimal
    """

    agreement_id: str
    version: int
    purpose: Purpose
    paragraph: str
    fpir: float
    quota: Quota
    quota_purpose: Quota | None
    claim: bool
    fields: Mapping[FieldCode, str]
    review: Band | None
    single_step: bool
    time: datetime
    rules: tuple[str, ...]
    digest: str
    agreement: Agreement = field(repr=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one modality says of a person: its score, and the least that would be a match by it alone."""

    modality: Modality
    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to for one person: the score, and the least that are a match and a case for an examiner.

    Scores are log10 likelihood ratios; minus infinity where the gallery is empty. `review_floor` is None
    where the agreement has no review clause.

    evidence   of each modality of which something is held of the person
    conflict   modalities of which some say yes and others clearly no, of this person or of another candidate
    """

    score: float
    threshold: float
    review_floor: float | None = None
    evidence: tuple[Evidence, ...] = ()
    conflict: frozenset[Modality] = frozenset()

    @property
    def reached(self) -> bool:
        """Whether the person is a match or a case for an examiner, where an agreement has one."""
        floor = self.threshold if self.review_floor is None else self.review_floor
        return bool(self.conflict) or self.score >= min(self.threshold, floor)


@dataclass(frozen=True, slots=True)
class Settled:
    """What the asker is shown, what is true, the rule between them, and every rule that was relied on.

    alarm         whether a person was found whose status nobody knows: an officer must look
    withholding   what the asker learns of a refusal; REFUSED only
    """

    shown: Outcome
    true: Outcome
    why: str
    rules: tuple[str, ...] = ()
    alarm: bool = False
    withholding: Withholding | None = None


def in_force(agreement: Agreement, now: datetime) -> bool:
    """Return whether `agreement` is in force at `now`: begun, not ended, not superseded."""
    return agreement.covers(now)


def may_answer_header(header: Header, agreements: Agreements, now: datetime) -> Agreement:
    """Return the agreement under which the header's purpose may be asked of us at `now`.

    Raises `AgreementNotInForce` for an unknown agreement, another partner's, a version that is not the
    one in force, or dates that do not hold now: one answer for all, or anybody could list them.
    Raises `PurposeNotPermitted` where the agreement does not name the purpose in this direction.
    """
    for agreement in agreements.get(header.agreement_id, ()):
        if agreement.version == header.agreement_version:
            _permits_purpose(header, agreement, now)
            return agreement
    raise AgreementNotInForce(element="header.agreement_id")


def may_answer(header: Header, query: Query, agreement: Agreement, now: datetime) -> Permit:
    """Return the permit for the query under `agreement`.

    Asks the header's question again: a permit rests on nothing that was decided elsewhere.

    Raises as `may_answer_header`; `ModalityNotPermitted` for a sample, or a number instead of samples,
    that no rule names; `ElementsInconsistent` where the query contradicts itself.
    """
    quotas = _permits_purpose(header, agreement, now)
    purpose = header.purpose
    rules = [agreement.rule(f"answer.purposes.{purpose.name}")]
    rules += _carries(query, purpose, agreement)
    _consistent(header, query)
    claim = query.refugee_claimant and purpose in agreement.answering.claims
    if claim:
        rules.append(agreement.rule(f"answer.claims.{purpose.name}"))
    rules += [agreement.rule("search.fpir"), agreement.rule("answer.quota")]
    own = quotas.purposes.get(purpose)
    if own is not None:
        rules.append(agreement.rule(f"answer.quota.purposes.{purpose.name}"))
    return Permit(
        agreement_id=agreement.id,
        version=agreement.version,
        purpose=purpose,
        paragraph=agreement.answer_purposes[purpose],
        fpir=agreement.fpir,
        quota=quotas.overall,
        quota_purpose=own,
        claim=claim,
        fields=fields_for(agreement, purpose, claim=claim),
        review=agreement.review,
        single_step=agreement.single_step,
        time=now,
        rules=tuple(rules),
        digest=agreement.digest,
        agreement=agreement,
    )


def decisive(candidates: Sequence[Found], nobody: Found) -> tuple[int, Found]:
    """Return the place of the candidate of whom an answer is, and what is found of that person; of none, `nobody`.

    It is the best of those who are a match or a case for an examiner, else the best. Where modalities contradict each
    other about anybody to whom one of them says yes, the samples may be of two people: whoever is best then waits for
    an examiner too.

    candidates   the best first
    """
    judged = [replace(each, conflict=_in_conflict(each)) for each in candidates]
    if not judged:
        return 0, nobody
    place = next((at for at, each in enumerate(judged) if each.reached), 0)
    every = frozenset[Modality]().union(*(each.conflict for each in judged))
    return place, replace(judged[place], conflict=every)


def _in_conflict(found: Found) -> frozenset[Modality]:
    """Return the modalities that say yes and those that clearly say no, where there are both; else none.

    Scores that contradict each other are not averaged: the sum of a yes and a no is no evidence of a half.
    """
    if len(found.evidence) < 2:  # what is alone contradicts nothing
        return frozenset()
    against = {each.modality for each in found.evidence if each.score <= CLEARLY_NO}
    told = {each.modality for each in found.evidence if each.score >= each.threshold}
    if not against or not (told or found.score >= found.threshold):
        return frozenset()
    supporting = {each.modality for each in found.evidence if each.score > 0}
    return frozenset(against | told | supporting)


def settle(
    found: Found,
    status: Status,
    permit: Permit,
    decisions: Sequence[Decided] = (),
    *,
    held: Collection[FieldCode] = (),
) -> Settled:
    """Return what is shown once the search is complete, of the person found or of the decoy where nobody was.

    The same is done whoever it is: one row, one cell, one comparison. Who may not be revealed is NO_MATCH, and
    never waits for an examiner (table 3.3 of law.md); nor may whoever alleges persecution there, or of whom, where a
    claim is declared, nothing is held that may be told (IRPR 315.25(2)). Of whom an official refuses everything to this partner, a
    match is REFUSED with its ground, where the agreement speaks of refusals, else NO_MATCH; whom the table hides
    stays hidden, decision or not. Of whom modalities contradict each other it is never a MATCH: an examiner looks.
    Raises ValueError for a score that is no number: what was not compared is not NO_MATCH; and for a contradiction where
    the agreement has no examiner, which `gateway.law.agreement_bounds` refuses.

    decisions   of officials about this person and partner, not lifted
    held        codes of what the person's record holds
    """
    if math.isnan(found.score) or math.isnan(found.threshold):
        raise ValueError("a search without a score is no answer")
    agreement = permit.agreement
    row = standing_of(status, agreement, permit.time)
    cell = agreement.answering.reveal[row, permit.claim]
    true = _true_outcome(found, permit)
    if true is Outcome.NO_MATCH:
        return Settled(true, true, permit.rules[0], permit.rules)
    rules = (*permit.rules, agreement.rule("status"), cell.rule)
    if true is Outcome.REVIEW_PENDING:
        rules = (*rules, agreement.rule("review"))
    if not cell.reveal:
        return Settled(Outcome.NO_MATCH, true, cell.rule, rules, alarm=row is Row.UNKNOWN)
    hides = _hides(status, row, permit, held, decisions)
    if hides:
        return Settled(Outcome.NO_MATCH, true, hides, (*rules, hides))
    whole = _refused(decisions, agreement)
    if true is not Outcome.MATCH or whole is None:
        return Settled(true, true, cell.rule, rules)
    rule = agreement.rule("answer.refusal")
    if agreement.answering.refusing is None:
        return Settled(Outcome.NO_MATCH, true, rule, (*rules, rule))
    withholding = Withholding(Scope.ALL, whole.ground)
    return Settled(Outcome.REFUSED, true, rule, (*rules, rule), withholding=withholding)


def _hides(
    status: Status,
    row: Row,
    permit: Permit,
    held: Collection[FieldCode],
    decisions: Sequence[Decided],
) -> str:
    """Return the rule that hides a person whom the table would reveal; empty where none does.

    A bare match tells that we hold the person. Where a claim is declared there, it is told only of whom something may
    be told: an application is held, to which the match is related, and no official refuses it (a reading of
    IRPR 315.25(2)).
    """
    agreement = permit.agreement
    if persecuted(status, agreement.partner_countries):
        return agreement.persecution_rule
    left = BOUNDS[agreement.division].in_claim
    kept_back = {
        code
        for one in decisions
        if one.scope is Scope.PART and not on_terms(one, agreement)
        for code in one.fields
    }
    kept_back |= {code for rule in applying(agreement, row) for code in rule.codes}
    if permit.claim and left is not None and (left - kept_back).isdisjoint(held):
        return agreement.rule(f"answer.claims.{permit.purpose.name}")
    return ""


def _refused(decisions: Sequence[Decided], agreement: Agreement) -> Decided | None:
    """Return a decision that refuses everything, and that no terms replace."""
    whole = (one for one in decisions if one.scope is Scope.ALL)
    return next((one for one in whole if not on_terms(one, agreement)), None)


def _true_outcome(found: Found, permit: Permit) -> Outcome:
    if found.conflict:
        if permit.review is None:
            raise ValueError("modalities contradict each other, and the agreement has no examiner")
        return Outcome.REVIEW_PENDING
    if found.score >= found.threshold:
        return Outcome.MATCH
    floor = found.review_floor
    if permit.review is not None and floor is not None and found.score >= floor:
        return Outcome.REVIEW_PENDING
    return Outcome.NO_MATCH


def _permits_purpose(header: Header, agreement: Agreement, now: datetime) -> Quotas:
    named = (header.agreement_id, header.agreement_version, header.recipient, header.sender)
    meant = (agreement.id, agreement.version, agreement.home, agreement.partner)
    if named != meant or not in_force(agreement, now):
        raise AgreementNotInForce(element="header.agreement_id")
    quotas = agreement.answering.quotas
    if header.purpose not in agreement.answer_purposes or quotas is None:
        raise PurposeNotPermitted(element="header.purpose")
    return quotas


def _carries(query: Query, purpose: Purpose, agreement: Agreement) -> list[str]:
    """Return the rules that permit what the query carries (IRPR 315.25(1)(b), 315.38)."""
    if not isinstance(query.probe, Biometrics):
        if not agreement.prior_transaction:
            raise ModalityNotPermitted(element="prior_transaction_number")
        return [agreement.rule("references.PRIOR_TRANSACTION")]
    # Nothing sampled is nothing permitted: an empty set must never read as "all of them are allowed".
    if not query.probe.samples:
        raise ModalityNotPermitted(element="biometrics.samples")
    used: set[Modality] = set()
    for index, sample in enumerate(query.probe.samples):
        if not agreement.carries(sample.modality, purpose):
            raise ModalityNotPermitted(element=f"biometrics.samples[{index}].modality")
        used.add(sample.modality)
    return [agreement.rule(key) for key in agreement.modality_rules(used)]


def _consistent(header: Header, query: Query) -> None:
    """Refuse a query that contradicts its header; both were written by one hand at one moment."""
    if header.purpose in _claims and not query.refugee_claimant:
        raise ElementsInconsistent(element="subject_flags.refugee_claimant")
    if isinstance(query.probe, Biometrics):
        for index, sample in enumerate(query.probe.samples):
            if sample.capture_time is not None and sample.capture_time > header.create_time:
                raise ElementsInconsistent(element=f"biometrics.samples[{index}].capture_time")
