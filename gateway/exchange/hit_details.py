"""RequestHitDetails: what is disclosed of a person whom a query matched, each datum by its paragraph.

(1) the request is strict, its number new, its purpose and agreement are those of the query
(2) the agreement names every field for that purpose; else it is refused, and that depends on the request alone
(3) FIRST COMMIT; only then is anybody looked at
(4) one look at one record: the person's, or of somebody drawn by chance where the reference leads nowhere
(5) today's record, status, agreement and decisions are asked once, field by field
(6) a reference that was used is not used for more or other fields: said only where the person may be revealed today,
    since of everybody else a used reference is as unavailable as one that never was
(7) the answer is of one size. Unknown, expired, someone else's, or about a person who may no longer be
    revealed: one answer, UNAVAILABLE, status OK
(8) SECOND COMMIT: a row for each datum that leaves, the use of the reference, and the RESPONSE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.messages import Header, Outcome
from gateway.domain.person import NOBODY, Details, DetailsOutcome, DetailsRequest, Record, Status
from gateway.errors import (
    AgreementNotInForce,
    HitReferenceSpent,
    PurposeNotPermitted,
    TransactionReused,
)
from gateway.exchange.context import ExchangeContext
from gateway.exchange.match_decision import Decision, decisions, look
from gateway.exchange.operation import Admitted, Conclusion, Request
from gateway.exchange.rate_limits import Turn
from gateway.law.disclosure_policy import disclose
from gateway.law.query_policy import Decided, Plan, may_disclose
from gateway.ledger.exchange_facts import (
    details_facts,
    details_request_facts,
    disclosure_facts,
)
from gateway.store.casework import disclosures
from gateway.store.casework.disclosures import LiveHit
from gateway.store.effects import Effect
from gateway.store.exchange import transactions
from gateway.telemetry import Stages
from gateway.wire import disclosure_payload as wire
from keys.envelope import LARGEST_BUT_QUERY

SIZE = LARGEST_BUT_QUERY  # bytes; every answer that may hold details has this size class
UNAVAILABLE = Details(DetailsOutcome.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What is disclosed, what the auditor may know of it, and the rows that say where it went."""

    details: Details | None
    facts: Mapping[str, str]
    effects: tuple[Effect, ...] = ()


NOTHING = Disclosure(None, {})


@dataclass(frozen=True, slots=True)
class Work:
    """What a request needs after its first commit.

    claimed   its query declared a refugee claim there
    matched   its query established a match
    """

    wanted: DetailsRequest
    claimed: bool
    matched: bool


class RequestHitDetails:
    """The second step: fields of the person of an earlier match."""

    def __init__(self, context: ExchangeContext) -> None:
        self._context = context

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Do (1) and (2)."""
        wanted = wire.read_details_request(payload)
        header = request.header
        with self._context.database.reader() as reader:
            query = transactions.transaction(reader, header.sender, header.transaction_reference)
            used = transactions.number_used(reader, header)
        if used:
            raise TransactionReused  # (1)
        if query is not None and query.agreement_id != header.agreement_id:
            raise AgreementNotInForce(element="header.agreement_id")
        if query is not None and query.purpose is not header.purpose:
            raise PurposeNotPermitted(element="header.purpose")
        matched = query is not None and query.outcome is Outcome.MATCH
        work = Work(wanted, self._claimed(header, query), matched)
        # (2) Of nobody nothing is disclosed; what is refused here is refused whoever it is.
        _plan(request, work, NOBODY, (), now)
        return Admitted(request, wanted.reply_key, details_request_facts(header, wanted), work)

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Do (4) to (7)."""
        work, request = admitted.work, admitted.request
        if not isinstance(work, Work):
            raise TypeError
        wanted, now = work.wanted, self._context.clock()
        hit = self._hit(request.header, wanted, now)
        partner = request.header.sender
        record, decided = look(self._context, partner, hit.subject if hit else None)  # (4)
        plan = _plan(request, work, record.status, decided, now)  # (5)
        stages.mark("details")
        if hit is not None and plan.available and not hit.allows(wanted.fields):
            raise HitReferenceSpent  # (6)
        if hit is None:
            disclosure = Disclosure(UNAVAILABLE, {"why": "the reference leads to nobody"})
        else:
            disclosure = _disclosed(request.header, wanted, (hit.subject, record), plan, now)
        told = disclosure.details or UNAVAILABLE
        # What led to nothing leaves no trace on the reference: a second try would reveal that it leads somewhere.
        spent = hit is not None and told is not UNAVAILABLE
        used = disclosures.use(hit, wanted.fields, now) if hit and spent else ()
        facts = details_facts(request.header, wanted, told.outcome)
        return Conclusion(
            wire.details_bytes(told),
            {**facts, **disclosure.facts},
            effects=(*used, *disclosure.effects),
            at_least=SIZE,  # (7)
        )

    def _claimed(self, header: Header, query: transactions.TransactionRow | None) -> bool:
        """Return whether the query declared a refugee claim in the asking country."""
        if query is None or query.finding is None:
            return False
        key = self._context.data_key
        return transactions.open_finding(key, header.sender, query.number, query.finding).claimed

    def _hit(self, header: Header, wanted: DetailsRequest, now: datetime) -> LiveHit | None:
        with self._context.database.reader() as reader:
            return disclosures.find_hit(
                reader, header.sender, header.transaction_reference, wanted.hit_reference, now
            )


def at_once(
    context: ExchangeContext, request: Request, work: Work, decision: Decision, now: datetime
) -> Disclosure:
    """Return what an agreement with one step discloses together with the match (315.39-315.41)."""
    if decision.subject is None:
        return NOTHING
    decided = decisions(context, decision.subject, request.header.sender)
    plan = _plan(request, work, decision.record.status, decided, now)
    return _disclosed(request.header, work.wanted, (decision.subject, decision.record), plan, now)


def _plan(
    request: Request,
    work: Work,
    status: Status,
    decided: Sequence[Decided],
    now: datetime,
) -> Plan:
    if request.agreement is None:  # the pipeline found one at step 9
        raise AssertionError
    return may_disclose(
        work.wanted,
        request.header,
        status,
        request.agreement,
        decided,
        now,
        claim=work.claimed,
        matched=work.matched,
    )


def _disclosed(
    header: Header,
    wanted: DetailsRequest,
    person: tuple[int, Record],
    plan: Plan,
    now: datetime,
) -> Disclosure:
    """Return what the plan lets out of a record; nothing that it does not name can be built."""
    subject, record = person
    if not plan.available:
        return Disclosure(UNAVAILABLE, disclosure_facts(wanted, person, plan, now, None))
    fields = disclose(record, plan)
    facts = disclosure_facts(wanted, person, plan, now, fields)
    rows = disclosures.disclosed(
        partner=header.sender,
        number=header.transaction_reference or header.transaction_number,
        details_number=header.transaction_number,
        reference=wanted.hit_reference,
        subject=subject,
        fields=fields,
        record_version=record.version,
        now=now,
    )
    return Disclosure(Details(DetailsOutcome.DISCLOSED, fields, plan.withholding), facts, rows)
