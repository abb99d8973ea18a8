"""SubmitCorrection and AckCorrection: a partner says that it disclosed something inaccurate to us, or what it did about ours.

Neither depends on an agreement that is in force: who once disclosed or received owes this for as long as the
information is kept. A correction is taken once, whatever the number of messages that carry it; what is done
about it is the office's (IRPR 315.27(2), 315.42(2)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.domain.correction import (
    CorrectionAck,
    CorrectionKind,
    CorrectionNotice,
    CorrectionStanding,
    CorrectionState,
)
from gateway.domain.messages import Direction, Header, Outcome
from gateway.domain.outbound_query import UNANSWERED, OutboundState
from gateway.errors import (
    CorrectionUnknown,
    ElementInvalid,
    ElementsInconsistent,
    InProgress,
    TransactionReused,
)
from gateway.exchange.operation import Admitted, Conclusion, Request
from gateway.exchange.rate_limits import Turn
from gateway.law import correction_policy
from gateway.ledger import exchange_events, exchange_facts
from gateway.ledger.entry import EntryType
from gateway.store.casework import corrections, outbound_queries
from gateway.store.casework.corrections import Bounds
from gateway.store.correction_lifecycle import Act, Correction, CorrectionPhase
from gateway.store.engine import StorageEngine
from gateway.store.exchange import transactions
from gateway.store.times import milliseconds
from gateway.telemetry import Stages
from gateway.wire import correction_payload as wire
from gateway.wire.received_fields import codes_in
from keys.data_encryption import DataRing

# Of one query: a mistake has a field or two, and is put right once or twice; a dozen is beyond any honest history.
A_QUERY = 12
# Of a partner and UTC day: a tenth of the busiest partner's queries of a day (protocol 13), 26 MB at their largest.
# What comes beyond is sent again by its sender the next day.
A_DAY = 100
SKEW = timedelta(seconds=120)  # how far two honest clocks may differ (protocol 4, step 5)
# What we asked and hold, held or used; of anything else there is nothing to correct.
_HELD = (
    OutboundState.ANSWERED,
    OutboundState.SHOWN,
    OutboundState.USED,
    OutboundState.DESTROYED,
)


@dataclass(frozen=True, slots=True)
class CorrectionContext:
    """What the operations of this module use; `clock` is the edge."""

    database: StorageEngine
    data_key: DataRing
    clock: Callable[[], datetime]


class SubmitCorrection:
    """What a partner disclosed to us under a query of ours, or by one of its own, is inaccurate."""

    def __init__(self, context: CorrectionContext) -> None:
        self._context = context

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Find what it is about: a query of ours that this very partner answered with a match, or one of its own."""
        notice = wire.read_notice(payload)
        header = request.header
        with self._context.database.reader() as reader:
            used = transactions.number_used(reader, header)
            known = corrections.find(reader, header.sender, notice.id, Direction.INBOUND)
        _demand_number(header, notice.id, used=used)
        if known is None:
            self._demand_disclosed(header, notice)
            with self._context.database.reader() as reader:
                corrections.demand_room(
                    reader, header.sender, header.transaction_reference, _bounds(now)
                )
        elif (known.number, known.kind) != (header.transaction_reference, notice.kind):
            raise ElementsInconsistent(element="correction_id")
        correction = known or Correction(
            id=notice.id,
            partner=header.sender,
            direction=Direction.INBOUND,
            number=header.transaction_reference,
            kind=notice.kind,
            state=CorrectionPhase.OPEN,
            opened_by=header.sender,
            open=now,
            due=correction_policy.due(notice.due, now),
        )
        work = _Notice(correction, notice, known is not None)
        facts = exchange_facts.notice_facts(header, notice, correction.due)
        return Admitted(request, notice.reply_key, facts, work)

    def _demand_disclosed(self, header: Header, notice: CorrectionNotice) -> None:
        """Refuse what this partner did not disclose to us under this query; none, another's, nothing: one answer."""
        with self._context.database.reader() as reader:
            number = header.transaction_reference
            query = outbound_queries.outline(reader, header.sender, number)
            asked = transactions.transaction(reader, header.sender, number)
            if query is None and asked is not None and _of_the_query(notice):
                return  # its own query to us: the prints were another person's, or it takes the question back
            if query is None or query.state in UNANSWERED:
                raise CorrectionUnknown
            if query.state not in _HELD:
                raise InProgress  # its answer is still under way to us; the correction waits for it
            if query.outcome not in (Outcome.MATCH, None):
                # There is nobody that it could be about. What we have erased since, we no longer know to have
                # been a match; the partner does.
                raise CorrectionUnknown
            received = query.received
            if received is None and notice.fields:
                whole = outbound_queries.find(reader, header.sender, header.transaction_reference)
                if whole is None or whole.sealed is None:
                    return  # it was erased before we kept this record: nothing is left to be put right, or added to
                received = codes_in(
                    outbound_queries.stored_answer_of(self._context.data_key, whole)
                )
        if received is not None and not received.issuperset(notice.fields):
            raise CorrectionUnknown

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Take it, once."""
        work = admitted.work
        if not isinstance(work, _Notice):
            raise TypeError
        asked, correction = admitted.request, work.correction
        stages.mark("correction")
        done = correction.state is CorrectionPhase.ACKNOWLEDGED
        state = CorrectionState.ACKNOWLEDGED if done else CorrectionState.OPEN
        answer = wire.standing_bytes(CorrectionStanding(correction.id, state))
        facts = exchange_facts.correction_facts(correction.id, correction.state)
        if work.known:
            return Conclusion(answer, facts)
        payload = wire.kept_bytes(work.notice)
        sealed = corrections.seal(self._context.data_key, correction, corrections.Papers(payload))
        leaf = exchange_events.correction_received(
            EntryType.CORRECTION, asked.header, asked.transcript, admitted.facts
        )
        bounds = _bounds(self._context.clock())
        effects = corrections.opened(correction, sealed, leaf=0, bounds=bounds)
        return Conclusion(answer, facts, leaves=(leaf,), undone=(), effects=effects)


class AckCorrection:
    """What a partner did about a correction of ours."""

    def __init__(self, context: CorrectionContext) -> None:
        self._context = context

    def admit(self, request: Request, payload: bytes, now: datetime) -> Admitted:
        """Find our own correction to this very partner; a second acknowledgement may only repeat the first."""
        ack = wire.read_ack(payload)
        header = request.header
        with self._context.database.reader() as reader:
            used = transactions.number_used(reader, header)
            found = corrections.find(reader, header.sender, ack.id, Direction.OUTBOUND)
        _demand_number(header, ack.id, used=used)
        if found is None or found.number != header.transaction_reference:
            raise CorrectionUnknown
        if not found.open - SKEW <= ack.completed <= now + SKEW:
            raise ElementInvalid(element="complete_time")
        told = (ack.outcome, ack.note)
        if found.state is CorrectionPhase.ACKNOWLEDGED and told != (found.outcome, found.note):
            raise ElementsInconsistent(element="outcome")
        facts = exchange_facts.acknowledgement_facts(header, ack)
        return Admitted(request, ack.reply_key, facts, _Ack(found, ack))

    def perform(
        self,
        admitted: Admitted,
        request_leaf: bytes,  # noqa: ARG002 - the port's shape
        stages: Stages,
        turn: Turn,  # noqa: ARG002
    ) -> Conclusion:
        """Close it; what it said is erased in the same commit."""
        work = admitted.work
        if not isinstance(work, _Ack):
            raise TypeError
        asked, correction, ack = admitted.request, work.correction, work.ack
        stages.mark("correction")
        standing = CorrectionStanding(correction.id, CorrectionState.ACKNOWLEDGED)
        answer = wire.standing_bytes(standing)
        facts = exchange_facts.correction_facts(correction.id, CorrectionPhase.ACKNOWLEDGED)
        if correction.state is CorrectionPhase.ACKNOWLEDGED:
            return Conclusion(answer, facts)
        closed = corrections.moved(
            correction,
            Act.ACKNOWLEDGE,
            ack_ms=milliseconds(self._context.clock()),
            outcome=int(ack.outcome),
            note=ack.note or None,
        )
        leaf = exchange_events.correction_received(
            EntryType.ACKNOWLEDGEMENT, asked.header, asked.transcript, admitted.facts
        )
        return Conclusion(answer, facts, leaves=(leaf,), undone=(), effects=closed)


def _of_the_query(notice: CorrectionNotice) -> bool:
    """Return whether a notice can be about a query itself, which names no field and has no corrected value."""
    return notice.kind is not CorrectionKind.WRONG_VALUE and not notice.fields


@dataclass(frozen=True, slots=True)
class _Notice:
    correction: Correction
    notice: CorrectionNotice
    known: bool


@dataclass(frozen=True, slots=True)
class _Ack:
    correction: Correction
    ack: CorrectionAck


def _bounds(now: datetime) -> Bounds:
    utc = now.astimezone(UTC)
    day = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    return Bounds(a_query=A_QUERY, a_day=A_DAY, day=day, renews=day + timedelta(days=1))


def _demand_number(header: Header, identifier: bytes, *, used: bool) -> None:
    """Refuse a number that is not the correction's own, or that was used for anything else.

    Letters about one correction, reminders among them, bear its identifier as their number.
    """
    if header.transaction_number != identifier.hex():
        raise ElementsInconsistent(element="header.transaction_number")
    if used:
        raise TransactionReused
