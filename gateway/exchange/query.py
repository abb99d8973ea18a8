"""SubmitQuery, GetQueryState and RedeliverResult: the question, and what became of it.

A query reads its records strictly, searches every one of them that is good enough, and answers with an
outcome: never a score, a rank or an identity. What was not searched is never NO_MATCH. The prints and the
templates made of them die in step 18, before the answer is sealed (IRPR 315.43(2)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from gateway import terms
from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.engine.port import Engine
from gateway.errors import (
    DeadlineTooShort,
    ElementsInconsistent,
    EngineUnavailable,
    PriorTransactionUnknown,
    RecordUnparseable,
    TransactionReused,
    TransactionUnknown,
)
from gateway.exchange.walk import Admitted, Conclusion, Request, Unfinished
from gateway.law.policy import Found, Permit, may_answer, settle
from gateway.law.standing import presumed
from gateway.store import transactions
from gateway.store.database import Database
from gateway.store.sequencer import Leaf
from gateway.telemetry import Stages
from gateway.terms import (
    Biometrics,
    Direction,
    Header,
    Modality,
    Outcome,
    Problem,
    Query,
    Result,
    Sample,
    State,
)
from gateway.wire import payloads
from keys.keyset import DataKey
from matcher import calibration, fmr
from matcher.probe import Probe, prepare
from matcher.template import MalformedRecord, Minutiae

DETAILS_LIFE = timedelta(days=30)  # how long a hit reference can be used (law.md section 10)
SEARCH_SECONDS = (
    60.0  # seconds; a search outlives its caller, but not the longest deadline there is
)
SEARCH_LIMIT = 10  # candidates kept of a search; one decides, the rest are for the auditor
PPI_PER_PPCM = 2.54  # 197 pixels per centimetre are 500 pixels per inch
PPI_TOLERANCE = 1  # pixels per inch; the record's whole pixels per centimetre cannot say more


@dataclass(frozen=True, slots=True)
class Desk:
    """What the operations of this module use; `clock` and `random` are the edge."""

    engine: Engine
    database: Database
    data_key: DataKey
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]


@dataclass(slots=True)
class _Search:
    """What a query needs after its first commit; emptied when the search is over."""

    permit: Permit
    fingers: list[tuple[int, Minutiae]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search came to: the outcome shown, what the auditor may know, and whom it found."""

    shown: Outcome
    facts: Mapping[str, str]
    subject: int | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """A reply that was sent, and the leaf of its receipt."""

    reply: terms.Reply
    response_index: int


class SubmitQuery:
    """Whether we know the person, by fingerprints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Read the question (11), ask the law (13), read each record (11), then the number (12)."""
        query = payloads.read_query(payload)
        if request.agreement is None:  # the corridor found one at step 9
            raise AssertionError
        # The law is asked before the records are read: it needs none of them, and a face is refused as a
        # face, not as a fingerprint that breaks its standard.
        permit = may_answer(request.header, query, request.agreement, now)
        if not isinstance(query.probe, Biometrics):
            raise PriorTransactionUnknown  # we have asked nobody yet, so every number is unknown
        fingers = [
            (sample.position, read_sample(sample, f"biometrics.samples[{number}]"))
            for number, sample in enumerate(query.probe.samples)
        ]
        header = request.header
        with self._desk.database.reader() as reader:
            used = transactions.transaction(reader, header.sender, header.transaction_number)
        if used is not None and used.message_id != header.message_id:
            raise TransactionReused
        return Admitted(
            request,
            query.reply_key,
            _request_facts(request, query, permit),
            _Search(permit, fingers),
            transactions.Claims(
                purpose=header.purpose, day_limit=permit.quota.day, year_limit=permit.quota.year
            ),
        )

    def perform(self, admitted: Admitted, request_leaf: bytes, stages: Stages) -> Conclusion:
        """Gate (15), search (16), settle (17), destroy (18)."""
        search = admitted.work
        if not isinstance(search, _Search):
            raise TypeError
        destruction = self._destruction(admitted.request.header)
        probe: Probe | None = None
        try:
            probe = prepare(search.fingers)  # (15)
            stages.mark("prepare")
            problems = tuple(Problem(f.position, terms.ProblemCode[f.code]) for f in probe.faults)
            found = self._decide(search.permit, probe, stages)  # (16), (17)
            gone = _gone(destruction, search, probe)
        except DeadlineTooShort:
            gone = _gone(destruction, search, probe)
            raise Unfinished(EngineUnavailable(), (gone,)) from None
        except Exception as error:  # noqa: BLE001 - whatever it was, the prints are gone and it is raised again
            raise Unfinished(error, (_gone(destruction, search, probe),)) from None
        finally:
            # (18) "immediately after completion of the information search … regardless of whether a
            # match is identified" (IRPR 315.43(2)). It runs too where the search failed.
            if probe is not None:
                probe.destroy()
            for _, minutiae in search.fingers:
                minutiae.destroy()
            search.fingers.clear()
            stages.mark("destroy")
        return self._conclude(admitted, request_leaf, found, problems, gone)

    def _decide(self, permit: Permit, probe: Probe, stages: Stages) -> _Found:
        if not probe.usable:
            shown = Outcome.QUALITY_INSUFFICIENT
            return _Found(shown, {"true_outcome": shown.name, "disclosed_outcome": shown.name})
        engine = self._desk.engine
        found = engine.search(probe, SEARCH_LIMIT, _patience(SEARCH_SECONDS))
        limit = calibration.threshold(permit.fpir, found.size, len(probe.usable))
        stages.mark("search")
        best = float(found.score[0]) if len(found.score) else float("-inf")
        settled = settle(Found(best, limit.score), presumed(permit.time), permit)
        facts = {
            "true_outcome": settled.true.name,
            "disclosed_outcome": settled.shown.name,
            "scores": f"{best:.3f}",
            "threshold": f"{limit.score:.3f}",
            "why": settled.why,
            "fpir": f"{permit.fpir:g}",
            "fpir_expected": f"{limit.fpir_expected:.3g}",
            "gallery_size": str(found.size),
            "gallery_version": str(found.version),
            "calibration": limit.calibration_id,
            "usable_positions": ",".join(str(p) for p in probe.usable),
        }
        if settled.true is not Outcome.MATCH:
            return _Found(settled.shown, facts)
        subject = int(found.subject[0])
        return _Found(settled.shown, {**facts, "subject": str(subject)}, subject)

    def _conclude(
        self,
        admitted: Admitted,
        request_leaf: bytes,
        found: _Found,
        problems: tuple[Problem, ...],
        gone: Leaf,
    ) -> Conclusion:
        header, now = admitted.request.header, self._desk.clock()
        receipt = gone.frame.subject_reference
        hit = None
        if found.shown is Outcome.MATCH and found.subject is not None:
            hit = transactions.Hit(self._desk.random(16), found.subject, now + DETAILS_LIFE)
        result = Result(
            outcome=found.shown,
            decide_time=now,
            request_leaf_hash=request_leaf,
            hit_reference=hit.reference if hit else b"",
            problems=problems,
            destruction_receipt_id=receipt,
            details_expire_time=hit.expires if hit else None,
        )
        payload = payloads.result_bytes(result)
        settled = transactions.Settled(
            outcome=found.shown,
            result=transactions.seal_result(
                self._desk.data_key, header.sender, header.transaction_number, payload
            ),
            hit=hit,
            release_quota=found.shown is Outcome.QUALITY_INSUFFICIENT,
        )
        return Conclusion(
            payload,
            {**found.facts, "destruction_receipt": receipt},
            leaves=(gone,),
            settled=settled,
        )

    def _destruction(self, header: Header) -> Frame:
        """Return the entry that says the prints and templates of a query are gone."""
        return Frame(
            type=EntryType.DESTRUCTION,
            entry_class=EntryClass.OTHER,
            partner_id=header.sender,
            direction=Direction.INBOUND,
            message_id=header.message_id,
            transaction_number=header.transaction_number,
            subject_reference=f"D-{self._desk.random(16).hex()}",
        )


class GetQueryState:
    """What became of an earlier query: the recorded outcome, never recomputed."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:  # noqa: ARG002 - the port's shape
        """Find the caller's own transaction; another partner's is as unknown as none."""
        row = _own_transaction(self._desk, request)
        reply_key = payloads.read_reply_key(payload, request.header.operation)
        return Admitted(request, reply_key, _reference_facts(request), row)

    def perform(self, admitted: Admitted, request_leaf: bytes, stages: Stages) -> Conclusion:  # noqa: ARG002
        """Repeat what is recorded."""
        row = admitted.work
        if not isinstance(row, transactions.TransactionRow):
            raise TypeError
        header = admitted.request.header
        result = None
        if row.state is State.DECIDED and row.result is not None:
            opened = transactions.open_result(
                self._desk.data_key, header.sender, row.number, row.result
            )
            result = payloads.read_result(opened)
        payload = payloads.state_bytes(terms.QueryState(row.state, result))
        stages.mark("state")
        return Conclusion(payload, {"state_after": row.state.name})


class RedeliverResult:
    """The stored response of an earlier query, byte for byte, for a day."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Find the caller's own stored response."""
        row = _own_transaction(self._desk, request)
        reply_key = payloads.read_reply_key(payload, request.header.operation)
        with self._desk.database.reader() as reader:
            reply = transactions.stored_reply(reader, request.header.sender, row.number, now)
        if reply is None or row.response_index is None:
            raise TransactionUnknown
        work = _Stored(reply, row.response_index)
        return Admitted(request, reply_key, _reference_facts(request), work)

    def perform(self, admitted: Admitted, request_leaf: bytes, stages: Stages) -> Conclusion:  # noqa: ARG002
        """Send what was sent."""
        if not isinstance(admitted.work, _Stored):
            raise TypeError
        stages.mark("redeliver")
        return Conclusion(
            admitted.work.reply,
            _reference_facts(admitted.request),
            response_index=admitted.work.response_index,
        )


def read_sample(sample: Sample, element: str) -> Minutiae:
    """Return the minutiae of a sample whose record says what its sender declared of it.

    Raises RecordUnparseable, or ElementsInconsistent naming the element that disagrees. A record that says
    position 0, unknown, takes the declared one.
    """
    try:
        record = fmr.read(sample.data)
    except MalformedRecord as fault:
        raise RecordUnparseable(element=f"{element}.data") from fault
    if int(record.format) != int(sample.format):
        raise ElementsInconsistent(element=f"{element}.format")
    if len(record.views) != 1:
        raise ElementsInconsistent(element=f"{element}.data")
    view = record.views[0]
    if view.position not in (0, sample.position):
        raise ElementsInconsistent(element=f"{element}.position")
    for name, declared, own in (
        ("width", sample.width, record.width),
        ("height", sample.height, record.height),
    ):
        if declared and declared != own:
            raise ElementsInconsistent(element=f"{element}.{name}")
    if sample.impression != view.impression:
        raise ElementsInconsistent(element=f"{element}.impression")
    for ppcm in (record.x_ppcm, record.y_ppcm):
        if sample.ppi and abs(sample.ppi - ppcm * PPI_PER_PPCM) > PPI_TOLERANCE:
            raise ElementsInconsistent(element=f"{element}.ppi")
    return view.minutiae


def _gone(destruction: Frame, search: _Search, probe: Probe | None) -> Leaf:
    """Return the entry of a destruction; its sealed detail counts what there was to destroy, by kind."""
    records, templates = len(search.fingers), len(probe.usable) if probe else 0
    gone = {"destroyed": f"records={records},minutiae={records},templates={templates}"}
    return Leaf(destruction, {**gone, "modality": Modality.FINGER.name})


def _patience(seconds: float) -> Callable[[], float]:
    """Return what says how many seconds of `seconds` are left; the search is the caller's no more."""
    end = monotonic() + seconds
    return lambda: end - monotonic()


def _own_transaction(desk: Desk, request: Request) -> transactions.TransactionRow:
    with desk.database.reader() as reader:
        row = transactions.transaction(
            reader, request.header.sender, request.header.transaction_reference
        )
    if row is None:
        raise TransactionUnknown
    return row


def _request_facts(request: Request, query: Query, permit: Permit) -> Mapping[str, str]:
    """What Eurodac art. 41 asks of a log: purpose, data used for querying, unit and person responsible."""
    samples: Sequence[Sample] = ()
    if isinstance(query.probe, Biometrics):
        samples = query.probe.samples
    return {
        "operation": request.header.operation.name,
        "purpose": request.header.purpose.name,
        "paragraph": permit.paragraph,
        "case": query.case,
        "unit": query.unit,
        "person": query.person,
        "refugee_claimant": str(query.refugee_claimant).lower(),
        "service_level": request.header.service_level.name,
        "modality": ",".join(sorted({s.modality.name for s in samples})),
        "positions": ",".join(str(s.position) for s in samples),
        "formats": ",".join(s.format.name for s in samples),
        "extractors": ",".join(s.extractor for s in samples),
        "sizes": ",".join(str(len(s.data)) for s in samples),
        "agreement_digest": permit.digest,
        "policy_trace": ",".join(permit.rules),
    }


def _reference_facts(request: Request) -> Mapping[str, str]:
    return {
        "operation": request.header.operation.name,
        "transaction_reference": request.header.transaction_reference,
    }
