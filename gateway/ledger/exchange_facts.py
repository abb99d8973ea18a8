"""What entries of an exchange say beside their frames, known in several steps.

The facts of a REQUEST depend on its operation; those of a RESPONSE are of the search, of the person, of the law and of
what was disclosed. None is a print, a template or a name, and none a plain hash of one: it could be searched for
(ledger 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

from gateway.domain.correction import CorrectionAck, CorrectionNotice
from gateway.domain.messages import (
    TEMPLATES,
    Header,
    Modality,
    Outcome,
    PriorTransaction,
    Problem,
    Query,
    Sample,
    ServiceLevel,
    State,
)
from gateway.domain.outbound_query import OutboundRequest
from gateway.domain.person import (
    DetailsOutcome,
    DetailsRequest,
    Field,
    FieldCode,
    Record,
    Verdict,
    Withholding,
)
from gateway.law.legal_status import persecution_fact
from gateway.law.query_policy import Decided, Permit, Plan, Settled
from gateway.ledger import disclosure_basis
from gateway.ledger.entry_builder import stated, written
from gateway.ledger.entry_types import Facts

# Of a number without an established match.
NOT_ESTABLISHED: Facts = {"reason": "NO_MATCH_ESTABLISHED"}


def query_facts(header: Header, query: Query, permit: Permit) -> Facts:
    """Return what Eurodac art. 41 asks of a log: purpose, data used for querying, unit and person responsible."""
    probe = query.probe
    return {
        **written(
            operation=header.operation,
            purpose=header.purpose,
            paragraph=permit.paragraph,
            case=query.case,
            unit=query.unit,
            person=query.person,
            refugee_claimant=query.refugee_claimant,
            service_level=header.service_level,
            agreement_digest=permit.digest,
            policy_trace=permit.rules,
        ),
        **(
            {"prior_transaction": probe.number}
            if isinstance(probe, PriorTransaction)
            else written(
                modality=sorted({each.modality.name for each in probe.samples}),
                positions=[each.position for each in probe.samples],
                formats=[each.format for each in probe.samples],
                extractors=[each.extractor for each in probe.samples],
                sizes=[len(each.data) for each in probe.samples],
            )
        ),
    }


def decision_facts(decided: Settled) -> Facts:
    """Return what is true, what the asker is shown, and by which rules (law 9, 4)."""
    return written(
        true_outcome=decided.true,
        disclosed_outcome=decided.shown,
        why=decided.why,
        policy_trace=decided.rules,
    )


def unsearched_facts(outcome: Outcome) -> Facts:
    """Return an outcome that is true and shown without a search."""
    return written(true_outcome=outcome, disclosed_outcome=outcome)


def candidate_facts(
    subject: int, record: Record, now: datetime, decided: Settled, decisions: Sequence[Decided]
) -> Facts:
    """Return whom a search led to, and what of the person decided it; names and values never."""
    return {
        "subject": str(subject),
        **_standing(record, now),
        **written(
            official_decisions=[_ruling(one) for one in decisions] or None,
            # An officer must look; nothing outside the detail says so.
            reason="STATUS_UNKNOWN" if decided.alarm else None,
        ),
        **withholding_facts(decided.withholding),
    }


def details_request_facts(header: Header, wanted: DetailsRequest) -> Facts:
    """Return who asks for which fields of an earlier match, and why."""
    return {
        **reference_facts(header),
        **written(
            purpose=header.purpose,
            case=wanted.case,
            unit=wanted.unit,
            person=wanted.person,
            hit_reference=wanted.hit_reference,
            fields=wanted.fields,
        ),
    }


def details_facts(header: Header, wanted: DetailsRequest, outcome: DetailsOutcome) -> Facts:
    """Return what a request for fields came to."""
    told = written(hit_reference=wanted.hit_reference, disclosed_outcome=outcome)
    return {**reference_facts(header), **told}


def disclosure_facts(
    wanted: DetailsRequest,
    person: tuple[int, Record],
    plan: Plan,
    now: datetime,
    fields: Sequence[Field] | None,
) -> Facts:
    """Return what is disclosed of whom, each field with its paragraph (law 9, 3); None where the law lets nothing out."""
    subject, record = person
    facts = {
        **written(subject=subject, hit_reference=wanted.hit_reference, policy_trace=plan.rules),
        **_standing(record, now),
    }
    if fields is None:
        return {**facts, "why": "the person may not be revealed today"}
    # What is kept from the asker whether it is recorded or not; what is not recorded is not withheld.
    kept = [code for code in wanted.fields if code not in plan.fields]
    return {
        **facts,
        **disclosed_facts(fields),
        **written(fields_withheld=kept),
        **withholding_facts(plan.withholding),
    }


def operation_facts(header: Header) -> Facts:
    """Return which operation it is, of one that is about nobody."""
    return written(operation=header.operation)


def state_facts(state: State) -> Facts:
    """Return the state of an earlier query that its asker was told."""
    return written(state_after=state)


def correction_facts(identifier: bytes, state: Enum) -> Facts:
    """Return the state of a correction that its sender was told."""
    return written(correction=identifier, state_after=state)


def reference_facts(header: Header) -> Facts:
    """Return which operation refers to which earlier query."""
    return written(operation=header.operation, transaction_reference=header.transaction_reference)


def notice_facts(header: Header, notice: CorrectionNotice, due: datetime) -> Facts:
    """Return what a partner says is wrong with what it disclosed (IRPR 315.26, 315.34)."""
    return {
        **reference_facts(header),
        **written(correction=notice.id, correction_kind=notice.kind, fields=notice.fields, due=due),
    }


def acknowledgement_facts(header: Header, ack: CorrectionAck) -> Facts:
    """Return what a partner did about a correction of ours (IRPR 315.27, 315.35, 315.42)."""
    return {
        **reference_facts(header),
        **written(correction=ack.id, correction_outcome=ack.outcome, note=ack.note or None),
    }


def withholding_facts(withholding: Withholding | None) -> Facts:
    """Return that all or part is refused, and on which ground."""
    if withholding is None:
        return {}
    return written(withheld=withholding.scope, ground=withholding.ground)


def examination_facts(examiner: str, verdict: Verdict, reason: str, *, second: bool) -> Facts:
    """Return what an examiner saw, the first or the second."""
    who = {"second_examiner" if second else "examiner": examiner}
    return {**who, **written(verdict=verdict, reason=reason)}


def verdict_facts(true: Outcome, decided: Settled, subject: int, receipt: str) -> Facts:
    """Return what verdicts came to: what is true, what is shown, of whom, and the receipt of the prints' end."""
    return written(
        true_outcome=true,
        disclosed_outcome=decided.shown,
        why=decided.why,
        subject=subject,
        destruction_receipt=receipt,
    )


def searched_facts(
    *,
    best: float,
    threshold: float,
    fpir: float,
    expected: float,
    gallery: tuple[int, int],
    calibration: Iterable[str],
    reckoned_by: str,
    positions: Iterable[int],
    shared: Iterable[int] = (),
    hypothesis: tuple[str, int] = ("", 0),
    floor: float | None = None,
    floor_fpir: float | None = None,
) -> Facts:
    """Return what a search came to (law 9, 4): the best score and the threshold as log10 likelihood ratios, exactly.

    fpir, expected      the share of non-mated searches that may raise a candidate, as agreed; as expected at this size
    gallery             its size in people, and its version; of several modalities, of their galleries added
    calibration         of each modality
    positions           of each finger that was searched; 0 = unknown
    shared              how many samples of each modality the best candidate shares with the probe, in the order of the
                        modalities: on which the threshold rests beside promise and size; none where nobody was compared
    hypothesis          which positions fit the best candidate best, and out of how many ways to assign them
    floor, floor_fpir   from which score an examiner looks, and the share that it stands for
    """
    return written(
        scores=best,
        threshold=threshold,
        fpir=fpir,
        fpir_expected=f"{expected:.3g}",
        gallery_size=gallery[0],
        gallery_version=gallery[1],
        calibration=calibration,
        reckoned_by=reckoned_by,
        usable_positions=positions,
        shared_samples=list(shared) or None,
        position_hypothesis=hypothesis[0] or None,
        position_ways=hypothesis[1] or None,
        review_floor=floor,
        review_fpir=floor_fpir,
    )


def modality_facts(
    each: Iterable[tuple[Modality, float | None, float, int, Iterable[int]]],
) -> Facts:
    """Return what each of several modalities came to by itself, of the person whom all of them together decide.

    each   modality, score (None: nothing of it is held of the person), threshold by it alone, people in its gallery,
           positions searched
    """
    rows = list(each)
    return written(
        searched_modalities=[modality for modality, *_ in rows],
        modality_scores=["none" if row[1] is None else row[1] for row in rows],
        modality_thresholds=[row[2] for row in rows],
        modality_sizes=[row[3] for row in rows],
        modality_positions=["+".join(map(str, row[4])) for row in rows],
    )


def extraction_facts(made: Iterable[tuple[Sample, str]], failed: Iterable[Problem]) -> Facts:
    """Return what made records of images, by name and version, and which images gave none.

    Beside it stand the model or coder that a record names itself, and the quality that was measured.
    """
    told = [
        f"{each.modality.name} {each.position} {extractor}"
        + (f" record {each.extractor}" if each.extractor != extractor else "")
        + (f" quality {each.quality}" if each.quality_algorithm else "")
        for each, extractor in made
    ]
    told += [f"{each.modality.name} {each.position} failed" for each in failed]
    return written(extracted=told or None)


def conflict_facts(conflict: Iterable[Modality]) -> Facts:
    """Return the modalities that contradict each other; nothing where none do."""
    return written(conflict=sorted(conflict) or None)


def misread_facts(each: Iterable[tuple[Modality, str]]) -> Facts:
    """Return which modalities reach somebody only if read otherwise than stated, and how; nothing where none do."""
    return written(misread=[f"{modality.name}:{how}" for modality, how in each] or None)


def question_facts(asking: OutboundRequest) -> Facts:
    """Return what the case system stated, on which it was decided whether we may ask; nothing biographic."""
    probe = asking.probe
    facts = written(
        purpose=asking.purpose,
        case=asking.case,
        unit=asking.unit,
        actor=asking.person,
        refugee_claimant=asking.claimant,
        status_kind=asking.status.kind,
        nationalities=sorted(asking.status.nationalities),
        persecutors=persecution_fact(asking.status),
        subject=asking.subject,
        # The usual one is not recorded, as it never was.
        service_level=None
        if asking.service_level is ServiceLevel.REAL_TIME
        else asking.service_level,
    )
    if isinstance(probe, PriorTransaction):
        facts["prior_transaction"] = probe.number
    else:
        sizes = [len(each.data) for each in probe.samples]
        facts |= written(positions=[each.position for each in probe.samples], sizes=sizes)
        modalities = [each.modality for each in probe.samples]
        # Of records it is recorded as it always was, of fingers alone without the modality.
        if set(modalities) != {Modality.FINGER}:
            facts |= written(modality=modalities)
        formats = [each.format for each in probe.samples]
        if not TEMPLATES.issuperset(formats):
            facts |= written(formats=formats)
    return stated(facts)


def disclosed_facts(fields: Sequence[Field]) -> Facts:
    """Return the names of fields that are disclosed, and the paragraph under which each is."""
    return written(
        fields=[field.code for field in fields],
        authorities=sorted({field.authority for field in fields}),
        field_authorities=disclosure_basis.written(fields),
    )


def _standing(record: Record, now: datetime) -> Facts:
    """Return what the auditor may know of a person's status: never a name, never a value.

    now   the moment by which the law judged it; its age is recorded exactly, for a replay decides by it
    """
    status = record.status
    return written(
        status_kind=status.kind,
        status_age="never confirmed" if status.confirmed is None else _age(now - status.confirmed),
        nationalities=sorted(status.nationalities),
        persecutors=persecution_fact(status),
        applications="held" if FieldCode.APPLICATION_HISTORY in record.data else "none",
        record_version=record.version,
    )


def _age(age: timedelta) -> str:
    return f"{age.days} days {age - timedelta(days=age.days)}"


def _ruling(one: Decided) -> str:
    """Return an official's decision as a replay needs it: scope and fields, ground, and whether there are terms."""
    what = "+".join([one.scope.name, *sorted(code.name for code in one.fields)])
    return "/".join([what, one.ground.name, *(["terms"] if one.terms else [])])
