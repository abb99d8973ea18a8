"""Step 17: what the asker is shown of what the search found, by the law and by today's record.

There is exactly one look at one record and one question to the law, whoever was found, if anybody. Where
nobody was, it is the record of somebody drawn by chance alone; and one is drawn each time, so that a hit, a
masked hit and a true no-hit do the same work with the same key (protocol 9).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.messages import Outcome
from gateway.domain.person import Record, Withholding
from gateway.exchange.context import ExchangeContext
from gateway.law.query_policy import Decided, Evidence, Found, Permit, settle
from gateway.ledger.exchange_facts import candidate_facts, decision_facts
from gateway.store.casework import withholdings


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a search came to, before the law speaks.

    found     of whom it decides: score, threshold, and what the modalities say
    subject   who it is, if anybody reached the threshold or what an examiner looks at
    facts     what the auditor may know of the search
    """

    found: Found
    subject: int | None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the asker is shown, what the auditor may know, and whom it is about.

    subject   who was found, shown or not; while a review is pending, who it may be
    evidence  what each modality says of that person
    """

    shown: Outcome
    facts: Mapping[str, str]
    subject: int | None = None
    record: Record = field(default_factory=Record, repr=False)
    withholding: Withholding | None = None
    evidence: tuple[Evidence, ...] = field(default=(), repr=False)


def settled(
    context: ExchangeContext, partner: str, permit: Permit, candidate: Candidate
) -> Decision:
    """Return what is shown of a candidate; the truth stays in the facts."""
    record, decided = look(context, partner, candidate.subject)
    found = settle(candidate.found, record.status, permit, decided, held=record.data.keys())
    facts = {**candidate.facts, **decision_facts(found)}
    if candidate.subject is None:
        return Decision(found.shown, facts)
    facts |= candidate_facts(candidate.subject, record, permit.time, found, decided)
    known = found.true is Outcome.MATCH or found.shown is Outcome.REVIEW_PENDING
    subject = candidate.subject if known else None
    evidence = candidate.found.evidence
    return Decision(found.shown, facts, subject, record, found.withholding, evidence)


def look(
    context: ExchangeContext, partner: str, subject: int | None
) -> tuple[Record, Sequence[Decided]]:
    """Return record and officials' decisions of a person, or of somebody drawn by chance in their place."""
    decoy = context.people.somebody()
    whose = decoy if subject is None else subject
    return context.people.record(whose), decisions(context, whose, partner)


def decisions(context: ExchangeContext, subject: int, partner: str) -> Sequence[Decided]:
    """Return what officials decided to refuse a partner of a person, and did not lift."""
    with context.database.reader() as reader:
        return withholdings.active(reader, subject, partner)


def join_facts(facts: Mapping[str, str], more: Mapping[str, str]) -> Mapping[str, str]:
    """Return the facts of both, the rules of one after those of the other."""
    rules = [each["policy_trace"] for each in (facts, more) if each.get("policy_trace")]
    return {**facts, **more, **({"policy_trace": ",".join(rules)} if rules else {})}
