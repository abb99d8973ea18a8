"""SubmitQuery: the question, searched in full, and what the law lets its asker see.

A query reads its records strictly, searches every one of them that is good enough, by all of their modalities
together, and answers with an outcome: never a score, a rank or an identity. What was not searched is never NO_MATCH. The samples and the
templates made of them die in step 18, before the answer is sealed (IRPR 315.43(2)).

Whom the law hides is answered as if nobody had been found (IRPR 315.36): the same search, the same look at
one record, the same entries and the same size. What is true is only in the sealed detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from gateway.domain.messages import (
    TEMPLATES,
    Biometrics,
    Header,
    Modality,
    Outcome,
    PriorTransaction,
    Problem,
    ProblemCode,
    Query,
    Result,
    Sample,
)
from gateway.domain.person import DetailsRequest, Saying
from gateway.errors import (
    DeadlineTooShort,
    EngineUnavailable,
    PriorTransactionUnknown,
    TransactionReused,
)
from gateway.exchange import hit_details, review_opening
from gateway.exchange.context import ExchangeContext
from gateway.exchange.match_decision import Candidate, Decision, join_facts, settled
from gateway.exchange.operation import Admitted, Conclusion, Perishable, Request, Unfinished
from gateway.exchange.rate_limits import Turn
from gateway.law.agreement import Agreement
from gateway.law.query_policy import Evidence as LawEvidence
from gateway.law.query_policy import Found, Permit, decisive, may_answer
from gateway.law.quota_policy import poor_allowance
from gateway.law.retention_policy import HIT_LIFE
from gateway.law.review_policy import saying
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf
from gateway.ledger.exchange_events import Message
from gateway.ledger.exchange_facts import (
    NOT_ESTABLISHED,
    conflict_facts,
    extraction_facts,
    misread_facts,
    modality_facts,
    query_facts,
    searched_facts,
    unsearched_facts,
)
from gateway.matching.engine import Candidate as Person
from gateway.matching.engine import Deadline, Identified, OperatingPoint, Prepared
from gateway.matching.engines import Engines
from gateway.matching.identification import Probes
from gateway.monitoring.misread_alerts import MisreadNotes
from gateway.store.casework import issued_numbers
from gateway.store.casework.issued_numbers import Issued
from gateway.store.casework.reviews import Evidence
from gateway.store.exchange import transactions
from gateway.store.exchange.quotas import Claims
from gateway.telemetry import Stages
from gateway.wire import query_payload, signed_envelope

SEARCH_SECONDS = (
    60.0  # seconds; a search outlives its caller, but not the longest deadline there is
)
SEARCH_LIMIT = 10  # candidates kept of a search; one decides, the rest are for the auditor


@dataclass(slots=True)
class _Work(Perishable):
    """What a query needs after its first commit; its samples are gone when the search is over.

    message, receipt   whose they are, and what the entry that says so is called
    engines  that searches them; they alone know what is in the probes
    probes   of each modality that was sent
    claimed  whether the person declared a refugee claim in the asking country
    issued   the number of ours that is given instead of samples, and whom it was about
    wanted   the fields that an agreement with one step discloses at once
    kept     the payload, where the agreement provides for an examiner; else nothing
    """

    message: Message
    receipt: str
    permit: Permit
    claimed: bool
    engines: Engines
    probes: Probes
    issued: Issued | None
    wanted: DetailsRequest | None
    kept: bytes = field(repr=False)

    def wait(self) -> None:
        """Wait until the query's images are records or have failed to be, at most `SEARCH_SECONDS`; `perform` waits no more."""
        self.engines.await_images(self.probes, _deadline(SEARCH_SECONDS))

    def destroy(self) -> None:
        """Overwrite the samples that were read."""
        self.engines.destroy(self.probes)
        self.kept = b""


@dataclass(frozen=True, slots=True)
class _Concluding:
    """What an answer states beside the decision, and the entry of the destruction before it."""

    request_leaf: bytes
    problems: tuple[Problem, ...]
    gone: Leaf


class SubmitQuery:
    """Whether we know the person, by fingerprints or by the number of a query of ours."""

    def __init__(self, context: ExchangeContext) -> None:
        self._context = context

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Read the question (11), ask the law (13), read each record (11), then the numbers (12)."""
        query, header = query_payload.read_query(payload), request.header
        if request.agreement is None:  # the pipeline found one at step 9
            raise AssertionError
        # The law is asked before the records are read: it needs none of them, and a face is refused as a
        # face, not as a fingerprint that breaks its standard.
        permit = may_answer(request.header, query, request.agreement, now)
        samples = _samples(query.probe)
        engines = self._context.engines
        probes = engines.read(samples)
        try:
            issued = self._numbers(request.header, query.probe, request.agreement)
        except BaseException:  # a refusal at (12) leaves no sample behind either
            engines.destroy(probes)
            raise
        work = _Work(
            message=Message(header.sender, header.message_id, header.transaction_number),
            receipt=f"D-{self._context.random(16).hex()}",
            permit=permit,
            claimed=query.refugee_claimant,
            engines=engines,
            probes=probes,
            issued=issued,
            wanted=_wanted(query, permit),
            kept=payload if permit.review is not None and samples else b"",
        )
        claims = Claims(
            purpose=request.header.purpose,
            day_limit=permit.quota.day,
            year_limit=permit.quota.year,
            own=permit.quota_purpose,
        )
        facts = query_facts(header, query, permit)
        return Admitted(request, query.reply_key, facts, work, claims)

    def perform(
        self, admitted: Admitted, request_leaf: bytes, stages: Stages, turn: Turn
    ) -> Conclusion:
        """Gate (15), search (16), settle (17), destroy (18)."""
        work = admitted.work
        if not isinstance(work, _Work):
            raise TypeError
        prepared: Mapping[Modality, Prepared] = {}
        try:
            candidate = None
            with turn.searching():
                if work.issued is None:
                    # (15); what no extractor made in the time that `wait` gave gets none here: others wait for the turn.
                    prepared = work.engines.prepare(work.probes, lambda: 0.0)
                stages.mark("prepare")
                if any(each.usable for each in prepared.values()):
                    candidate = _search(work, prepared, self._context.misread)  # (16)
                stages.mark("search")
            decision = self._decide(work, candidate)  # (17)
            decision = replace(decision, facts=join_facts(decision.facts, _extracted(prepared)))
            work.kept = _with_records(work.kept, prepared)
        except BaseException as error:  # the samples are gone first, whatever it was
            gone = _destroy(work, stages)
            if not isinstance(error, Exception):
                raise
            late = isinstance(error, DeadlineTooShort)
            raise Unfinished(EngineUnavailable() if late else error, (gone,)) from None
        gone = _destroy(work, stages)
        problems = tuple(problem for each in prepared.values() for problem in each.problems)
        concluding = _Concluding(request_leaf, problems, gone)
        end = self._pend if decision.shown is Outcome.REVIEW_PENDING else self._conclude
        try:
            return end(admitted.request, work, decision, concluding)
        finally:
            work.kept = b""

    def _numbers(
        self, header: Header, probe: Biometrics | PriorTransaction, agreement: Agreement
    ) -> Issued | None:
        """(12): a prior number is one that we issued to this partner; the query's own is new.

        The partner's own earlier query is one too only where the agreement says so: a looser reading of 315.38.
        """
        issued = None
        with self._context.database.reader() as reader:
            if isinstance(probe, PriorTransaction):
                issued = issued_numbers.find_issued(reader, header.sender, probe.number)
                if issued is None and agreement.same_direction:
                    key = self._context.data_key
                    issued = issued_numbers.find_received(reader, key, header.sender, probe.number)
            used = transactions.transaction(reader, header.sender, header.transaction_number)
        if issued is None and isinstance(probe, PriorTransaction):
            raise PriorTransactionUnknown
        if used is not None and used.message_id != header.message_id:
            raise TransactionReused
        return issued

    def _decide(self, work: _Work, candidate: Candidate | None) -> Decision:
        """(17), of what a search came to, or of the number that stands instead of samples."""
        if work.issued is not None:
            candidate = _named(work.issued)
        if candidate is None:
            shown = Outcome.QUALITY_INSUFFICIENT
            return Decision(shown, unsearched_facts(shown))
        return settled(self._context, work.message.partner, work.permit, candidate)

    def _conclude(
        self,
        request: Request,
        work: _Work,
        decision: Decision,
        concluding: _Concluding,
    ) -> Conclusion:
        now = self._context.clock().replace(microsecond=0)  # a fraction takes more or fewer bytes
        hit = None
        disclosure = hit_details.NOTHING
        if decision.shown is Outcome.MATCH and decision.subject is not None:
            hit = transactions.Hit(self._context.random(16), decision.subject, now + HIT_LIFE)
            if work.wanted is not None:
                wanted = replace(work.wanted, hit_reference=hit.reference)
                asked_too = hit_details.Work(wanted, work.permit.claim, matched=True)
                disclosure = hit_details.at_once(self._context, request, asked_too, decision, now)
        recorded = Result(
            outcome=decision.shown,
            decide_time=now,
            request_leaf_hash=concluding.request_leaf,
            hit_reference=hit.reference if hit else b"",
            problems=concluding.problems,
            destruction_receipt_id=work.receipt,
            details_expire_time=hit.expires if hit else None,
            withholding=decision.withholding,
        )
        facts = join_facts(decision.facts, disclosure.facts)
        return Conclusion(
            query_payload.result_bytes(replace(recorded, details=disclosure.details)),
            {**facts, "destruction_receipt": work.receipt},
            leaves=(concluding.gone,),
            effects=disclosure.effects,
            settled=self._settled(request.header, work, recorded, decision, hit),
            at_least=hit_details.SIZE if work.wanted is not None else 0,
        )

    def _pend(
        self,
        request: Request,
        work: _Work,
        decision: Decision,
        concluding: _Concluding,
    ) -> Conclusion:
        """(17) with a review clause: the search completes with the verdict, and until then the query is sealed."""
        if work.permit.review is None or decision.subject is None:
            raise AssertionError  # the law answers so only where there is a clause, and somebody to look at
        context, header, now = self._context, request.header, self._context.clock()
        evidence = Evidence(
            signed_envelope.header_bytes(header), work.kept, decision.subject, _said(work, decision)
        )
        review, begun = review_opening.opened(
            header,
            evidence,
            work.permit.review.persons,
            now,
            data_key=context.data_key,
            random=context.random,
        )
        recorded = Result(
            outcome=decision.shown,
            decide_time=now.replace(microsecond=0),
            request_leaf_hash=concluding.request_leaf,
            problems=concluding.problems,
        )
        nobody = replace(decision, subject=None)  # nobody was found until an examiner says so
        return Conclusion(
            query_payload.result_bytes(recorded),
            decision.facts,
            leaves=(review,),
            undone=(concluding.gone,),
            effects=(begun,),
            settled=self._settled(header, work, recorded, nobody, None),
            at_least=hit_details.SIZE if work.wanted is not None else 0,
        )

    def _settled(
        self,
        header: Header,
        work: _Work,
        recorded: Result,
        decision: Decision,
        hit: transactions.Hit | None,
    ) -> transactions.Settled:
        """Return what is kept: the outcome without details, which a reference gets again, and whom we found."""
        key, partner, number = self._context.data_key, header.sender, header.transaction_number
        finding = transactions.Finding(decision.subject, work.claimed)
        return transactions.Settled(
            outcome=decision.shown,
            result=transactions.seal_result(
                key, partner, number, query_payload.result_bytes(recorded)
            ),
            finding=transactions.seal_finding(key, partner, number, finding),
            hit=hit,
            release_most=poor_allowance(work.permit.quota.day)
            if decision.shown is Outcome.QUALITY_INSUFFICIENT
            else None,
        )


def _extracted(prepared: Mapping[Modality, Prepared]) -> Mapping[str, str]:
    """Return what made records of the query's images, and of which there is none."""
    problems = (problem for each in prepared.values() for problem in each.problems)
    return extraction_facts(
        (
            (sample, each.extractor)
            for each in prepared.values()
            for sample in each.extracted.values()
        ),
        (each for each in problems if each.code is ProblemCode.EXTRACTION_FAILED),
    )


def _with_records(kept: bytes, prepared: Mapping[Modality, Prepared]) -> bytes:
    """Return a payload that is kept for an examiner with the records that images became, and without the images."""
    made = {at: sample for each in prepared.values() for at, sample in each.extracted.items()}
    if not kept:
        return kept
    query = query_payload.read_query(kept)
    if isinstance(query.probe, PriorTransaction):
        return kept
    samples = tuple(
        made.get(element, sample)
        for element, sample in _samples(query.probe).items()
        if sample.format in TEMPLATES or element in made
    )
    if samples == query.probe.samples:
        return kept
    return query_payload.query_bytes(replace(query, probe=replace(query.probe, samples=samples)))


def _samples(probe: Biometrics | PriorTransaction) -> Mapping[str, Sample]:
    """Return the samples of a query by the element of the request that holds each; none where a number replaces them."""
    if isinstance(probe, PriorTransaction):
        return {}
    return {f"biometrics.samples[{index}]": each for index, each in enumerate(probe.samples)}


def _search(work: _Work, prepared: Mapping[Modality, Prepared], misread: MisreadNotes) -> Candidate:
    """(16): the whole gallery of each modality of which something is usable, and the threshold that holds for them."""
    permit, review = work.permit, work.permit.review
    point = OperatingPoint(permit.fpir, None if review is None else review.floor_fpir)
    probes = {each: probe for each, probe in work.probes.items() if prepared[each].usable}
    found = work.engines.search(probes, point, SEARCH_LIMIT, _deadline(SEARCH_SECONDS))
    mistaken = _misread(work, found, misread)
    if not any(each.comparable for each in found.by_modality.values()):
        # Nobody was compared, as of a model, coder, finger or eye that nobody here has: what was not searched is never NO_MATCH.
        raise EngineUnavailable(
            "nobody is enrolled here who can be compared with the samples, so no search says anything"
        )
    judged = [_judged(each) for each in found.candidates]
    place, best = decisive(judged, Found(float("-inf"), found.threshold, found.floor))
    person = found.candidates[place] if found.candidates else None
    facts = {
        **searched_facts(
            best=best.score,
            threshold=best.threshold,
            fpir=permit.fpir,
            expected=found.fpir_expected,
            gallery=(found.size, sum(each.version for each in found.by_modality.values())),
            calibration=[each.calibration for each in found.by_modality.values()],
            reckoned_by="; ".join(each.reckoned_by for each in found.by_modality.values()),
            positions=[at for each in probes for at in prepared[each].usable],
            shared=_shared(found, person),
            hypothesis=_hypothesis(person),
            floor=best.review_floor,
            floor_fpir=None if review is None else review.floor_fpir,
        ),
        **_by_modality(found, prepared, person, len(work.probes)),
        **conflict_facts(best.conflict),
        **mistaken,
    }
    return Candidate(best, person.subject if person is not None and best.reached else None, facts)


def _judged(person: Person) -> Found:
    """Return what the law is told of one candidate: what each modality says, and from where it says yes by itself."""
    evidence = tuple(
        LawEvidence(each, said.score, person.alone[each]) for each, said in person.scores.items()
    )
    return Found(person.score, person.threshold, person.floor, evidence)


def _shared(found: Identified, person: Person | None) -> tuple[int, ...]:
    """Return how many samples of each modality the person of the answer shares: by which thresholds the scores are judged."""
    if person is None:
        return ()
    said = (person.scores.get(each) for each in found.by_modality)
    return tuple(0 if each is None else each.shared for each in said)


def _hypothesis(person: Person | None) -> tuple[str, int]:
    """Return how positions were read to fit the person of whom the answer is, by the modality that tries several readings."""
    said = () if person is None else person.scores.values()
    return next(((each.reading, each.ways) for each in said if each.reading), ("", 0))


def _by_modality(
    found: Identified, prepared: Mapping[Modality, Prepared], person: Person | None, sent: int
) -> Mapping[str, str]:
    """Return what each modality came to that was searched of several sent; of one, the facts of the search say it."""
    if sent == 1:
        return {}
    scores, alone = ({}, {}) if person is None else (person.scores, person.alone)
    return modality_facts(
        (
            modality,
            scores[modality].score if modality in scores else None,
            alone.get(modality, found.alone[modality]),
            each.size,
            prepared[modality].usable,
        )
        for modality, each in found.by_modality.items()
    )


def _misread(work: _Work, found: Identified, notes: MisreadNotes) -> Mapping[str, str]:
    """Return, and note for an alarm, that a probe reaches somebody only if it is not what is said of it.

    The answer is that of a probe of nobody, whoever it is: a refusal would say that the person is known here.
    """
    seen = {each: one.misread for each, one in found.by_modality.items() if one.misread is not None}
    for modality, misread in seen.items():
        notes.note(work.message.partner, modality, misread.how)
    return misread_facts((modality, misread.how) for modality, misread in seen.items())


def _said(work: _Work, decision: Decision) -> Mapping[Modality, Saying]:
    """Return what each of several modalities says, for the examiner; one alone says nothing that is not to be seen."""
    if len(work.probes) == 1:
        return {}
    told = {each.modality: each for each in decision.evidence}
    return {
        each: saying(told[each].score, told[each].threshold)
        if each in told
        else Saying.NOT_COMPARED
        for each in work.probes
    }


def _named(issued: Issued) -> Candidate:
    """Return the person of a number: nothing is compared, so only an established match counts.

    Where the answer to that number was another, nobody is spoken of (IRPR 315.23(2)(c), 315.38 with 315.39); the
    asker gave that answer, and learns nothing by ours.
    """
    if issued.subject is None:
        return Candidate(_NOBODY, None)
    if not issued.matched:
        return Candidate(_NOBODY, None, NOT_ESTABLISHED)
    return Candidate(_SOMEBODY, issued.subject)


# Of a number: nothing is compared, so there is nothing between the two.
_NOBODY, _SOMEBODY = Found(float("-inf"), 0.0), Found(float("inf"), 0.0)


def _wanted(query: Query, permit: Permit) -> DetailsRequest | None:
    """Return the request that a query stands for where the agreement has one step."""
    if not permit.single_step:
        return None
    return DetailsRequest(
        reply_key=b"",
        hit_reference=b"",
        fields=tuple(sorted(permit.fields)),
        case=query.case,
        unit=query.unit,
        person=query.person,
    )


def _destroy(work: _Work, stages: Stages) -> Leaf:
    """(18): return the entry of a destruction; its sealed detail counts what there was to destroy, by kind.

    "Immediately after completion of the information search … regardless of whether a match is identified"
    (IRPR 315.43(2)). It is done too where the search failed.
    """
    counts = work.engines.destroy(work.probes)
    stages.mark("destroy")
    several = len(counts) > 1
    destroyed = ",".join(
        f"{modality.name} {kind}={count}" if several else f"{kind}={count}"
        for modality, kinds in counts.items()
        for kind, count in kinds.items()
    )
    return exchange_events.destruction(work.message, work.receipt, destroyed, tuple(counts))


def _deadline(seconds: float) -> Deadline:
    """Return what says how many seconds of `seconds` are left; the search is the caller's no more."""
    end = monotonic() + seconds
    return lambda: end - monotonic()
