"""Canada asks: the law first, then the ledger, then the partner; and an answer is recorded before anyone sees it.

(1) may we ask? What the law stops is recorded, kept under its number and never leaves (IRPR 315.4(2), 315.38)
(2) does the partner take it? Of images, faces, irises and the largest size its capabilities are asked first
(3) the envelope is written: a fresh reply key, at least the size of a query with prints, signed
(4) ASKED is durable, with the envelope kept sealed; only then it is sent, always the same bytes
(5) what comes back proves itself to the transport: signature, receipt, the partner's ledger
(6) ANSWER_RECEIVED is durable before the answer can be shown

Samples are kept nowhere but in the envelope, which the partner alone can open, and that goes when the query is answered or
its life is over.

A crash between (4) and (6) costs time alone: the same envelope goes out again while it lives, then the partner's
state is asked for, which repeats the recorded answer to a fresh key. A partner that never took the envelope knows no such
number: the outbound query has expired, and nobody calls that a no-match.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from gateway import telemetry
from gateway.domain.messages import (
    About,
    Biometrics,
    Operation,
    Outcome,
    PriorTransaction,
    Query,
    Result,
    State,
)
from gateway.domain.outbound_query import (
    OutboundAct,
    OutboundQuery,
    OutboundRequest,
    OutboundState,
    StoredAnswer,
)
from gateway.errors import (
    AuditUnavailable,
    BiographicInQuery,
    FormatUnsupported,
    InProgress,
    ModalityNotPermitted,
    Refusal,
    UserError,
)
from gateway.law.outbound_policy import AskPermit
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf, decode
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.partner_capabilities import PartnerCapabilities
from gateway.outbound.transport import NO_KEY, Delivery, Fate, Transport
from gateway.store.casework import outbound_queries
from gateway.store.effects import LEAF, Effect
from gateway.store.times import milliseconds
from gateway.trust.partners import UnknownParty
from gateway.wire import query_payload, sample_rules
from gateway.wire.received_fields import codes_in, with_details_apart
from gateway.wire.sample_rules import RuleBroken
from keys import envelope
from keys.envelope import SMALLEST_REQUEST_QUERY
from keys.errors import PayloadTooLarge

FIRST_PAUSE = timedelta(seconds=2)  # before a second try; somebody of ours may be waiting
LONGEST_PAUSE = timedelta(
    minutes=5
)  # of an envelope's life, and of a reviewer's patience with our polling
LONGEST_LIFE = timedelta(minutes=10)  # of an envelope (protocol 3)
GIVEN_UP = timedelta(days=30)  # after which what nobody answered is asked for no more, and erased
_WAITING = (OutboundState.ASKED, OutboundState.PENDING)
_UNKNOWN = "TRANSACTION_UNKNOWN"
_REUSED = "TRANSACTION_REUSED"  # the partner has it: its state says what became of it
# Refusals of what a partner's capabilities had named.
_BEYOND = frozenset({FormatUnsupported.reason, ModalityNotPermitted.reason})


class QuerySender:
    """Asks partners, and carries on with what is unanswered."""

    def __init__(self, context: SenderContext, random: Callable[[int], bytes]) -> None:
        self._context, self._random = context, random
        self._capabilities = PartnerCapabilities(context.clock)
        self._pauses: dict[tuple[str, str], tuple[int, datetime]] = {}
        self._carrying: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._log = telemetry.logger("outbound")

    def ask(self, asking: OutboundRequest) -> OutboundQuery:
        """Ask, and wait for the answer as long as one carrying takes; return its state then.

        What our law stops is STOPPED, and its stored answer says why. Raises UserError where the partner cannot be written to,
        or does not take what it would be asked with.
        """
        now = self._context.clock()
        number = f"{now:%Y%m%d}-{self._random(10).hex()}"
        try:
            permission, reserved = self._context.permissions.may_ask(asking, now)  # (1)
            _demand_sendable(asking.probe)
            query = self._recorded(asking, number, permission, reserved, now)  # (2) to (4)
        except AuditUnavailable:
            raise
        except Refusal as refusal:  # also the last of a quota that went meanwhile
            return self._stopped(asking, number, refusal, now)
        return self.carry_on(query)

    def _stopped(
        self, asking: OutboundRequest, number: str, refusal: Refusal, now: datetime
    ) -> OutboundQuery:
        stored = StoredAnswer(reason=refusal.reason, element=refusal.metadata.get("element", ""))
        query = self._outbound_query(asking, number, OutboundState.STOPPED, stored, now)
        self._context.sequencer.commit(
            (exchange_events.question_stopped(asking, number, refusal),),
            (outbound_queries.asking(query),),
        )
        return query

    def _recorded(
        self,
        asking: OutboundRequest,
        number: str,
        permission: AskPermit,
        reserved: tuple[Effect, ...],
        now: datetime,
    ) -> OutboundQuery:
        def payload(reply_key: bytes) -> bytes:
            query = Query(
                case=asking.case,
                unit=asking.unit,
                person=asking.person,
                reply_key=reply_key,
                probe=asking.probe,
                refugee_claimant=asking.claimant,
            )
            return query_payload.query_bytes(query)

        about = About(
            number=number,
            agreement=asking.agreement,
            purpose=asking.purpose,
            service_level=asking.service_level,
        )
        transport = self._transport(asking.partner)
        size = _size(payload)
        self._capabilities.demand(asking.partner, transport, asking.probe, size)  # (2)
        written = transport.write(Operation.SUBMIT_QUERY, payload, about, SMALLEST_REQUEST_QUERY)
        if written is None:
            raise UserError(NO_KEY)
        stored = StoredAnswer(
            envelope=written.octets, until=milliseconds(written.header.expire_time)
        )
        query = self._outbound_query(asking, number, OutboundState.ASKED, stored, now)
        query = replace(query, message_id=written.header.message_id)
        leaf = exchange_events.question(asking, written.header, written.transcript, permission)
        self._context.sequencer.commit((leaf,), (outbound_queries.asking(query), *reserved))  # (4)
        return query

    def _transport(self, partner: str) -> Transport:
        try:
            return self._context.transports(partner)
        except UnknownParty:
            raise UserError(
                "no bundle of this partner is known; import it with `party import`"
            ) from None

    def _outbound_query(
        self,
        asking: OutboundRequest,
        number: str,
        state: OutboundState,
        stored: StoredAnswer,
        now: datetime,
    ) -> OutboundQuery:
        return OutboundQuery(
            partner=asking.partner,
            number=number,
            message_id=b"",
            purpose=asking.purpose,
            agreement=asking.agreement,
            case=asking.case,
            state=state,
            outcome=None,
            subject=asking.subject,
            ask=now,
            answer=None,
            used=None,
            used_in="",
            asked_index=-1,
            answered_index=None,
            sealed=outbound_queries.seal(self._context.data_key, asking.partner, number, stored),
            received=frozenset(),
        )

    def walk(
        self, partner: str, go_on: Callable[[], bool] = lambda: True, *, away: bool = False
    ) -> bool:
        """Carry on with what one partner has not answered and whose pause is over; return whether it is away.

        go_on   whether the partner's time is not over yet; what is left waits for its next turn
        away    it did not answer just now: nothing is sent, and what waits too long is given up
        """
        now = self._context.clock()
        with self._context.database.reader() as reader:
            waiting = outbound_queries.unanswered(reader, partner)
        self._context.setbacks.only(partner, "query", {_name(query) for query in waiting})
        for query in waiting:
            _, at = self._pauses.get((query.partner, query.number), (0, now))
            if not go_on():
                break
            if at <= now and self._context.setbacks.ready(partner, _name(query)):
                away = self._resumed(query, away=away) or away
        return away

    def _resumed(self, listed: OutboundQuery, *, away: bool) -> bool:
        """Do what one query of the list needs; return whether its partner did not answer."""
        if away and self._context.clock() - listed.ask < LONGEST_LIFE:
            return False  # nothing is due of it
        with self._context.database.reader() as reader:
            query = outbound_queries.find(reader, listed.partner, listed.number)
        if query is None or query.state not in _WAITING:  # it moved on since the list was read
            return False
        return self._attended(query, away=away)

    def carry_on(self, query: OutboundQuery) -> OutboundQuery:
        """Send the envelope, or ask for the state; return the state of the outbound query afterwards.

        What fails as nobody foresaw is counted, and tried again in a round: the question is recorded by now.
        """
        self._attended(query, away=False)
        return self._now_at(query)

    def _attended(self, query: OutboundQuery, *, away: bool) -> bool:
        """Do what one outbound query needs; return whether its partner did not answer."""
        key = query.partner, query.number
        with self._lock:
            if key in self._carrying:
                return False
            self._carrying.add(key)
        try:
            silent = not away and self._carried(query)
            self._aged(self._now_at(query))
        except UnknownParty:
            self._pause(query)  # its bundle is gone
            self._aged(self._now_at(query))
        except InProgress:
            self._pause(query)  # moved on meanwhile
        except Exception as fault:  # noqa: BLE001 - one message's trouble stops no other
            self._context.setbacks.failed(query.partner, _name(query), fault)
            with suppress(
                Exception
            ):  # counted already; what fails each time must not keep its envelope
                self._aged(self._now_at(query))
        else:
            self._context.setbacks.settled(query.partner, _name(query))
            return silent
        finally:
            with self._lock:
                self._carrying.discard(key)
        return False

    def _now_at(self, query: OutboundQuery) -> OutboundQuery:
        with self._context.database.reader() as reader:
            return outbound_queries.find(reader, query.partner, query.number) or query

    def _aged(self, query: OutboundQuery) -> None:
        """Keep an envelope no longer than it can be sent, and end what nobody answered for too long."""
        age = self._context.clock() - query.ask
        if query.state not in _WAITING or age < LONGEST_LIFE:
            return
        if age >= GIVEN_UP:
            self._expired(query, "UNANSWERED")
            self._pauses.pop((query.partner, query.number), None)
        elif query.sealed is not None and len(query.sealed) > SMALLEST_REQUEST_QUERY:
            bare = outbound_queries.seal(
                self._context.data_key, query.partner, query.number, StoredAnswer()
            )
            self._context.sequencer.commit((), (outbound_queries.kept(query, bare),))

    def _carried(self, query: OutboundQuery) -> bool:
        """Send what is to be sent; return whether nobody answered."""
        stored = outbound_queries.stored_answer_of(self._context.data_key, query)
        alive = stored.envelope and milliseconds(self._context.clock()) < stored.until
        if query.state is OutboundState.PENDING or not alive:
            return self._state(query)
        delivery = self._context.transports(query.partner).carry(stored.envelope)
        if delivery.fate is Fate.DELIVERED:
            self._answered(query, delivery, _result(delivery))
        elif delivery.fate is Fate.REFUSED and delivery.reason == _REUSED:
            return self._state(query)
        elif delivery.fate in (Fate.REFUSED, Fate.STALE):
            self._refused(query, delivery)
        else:
            self._doubt(query, delivery)
        return delivery.fate is Fate.AWAY

    def _state(self, query: OutboundQuery) -> bool:
        """Ask what became of it; the partner repeats what it recorded. Return whether nobody answered."""
        transport = self._context.transports(query.partner)
        written = transport.write(
            Operation.GET_QUERY_STATE,
            lambda key: query_payload.reply_key_bytes(key, Operation.GET_QUERY_STATE),
            About(reference=query.number),
            0,
        )
        if written is None:
            self._pause(query)
            return False
        delivery = transport.carry(written.octets)
        if delivery.fate is Fate.REFUSED and delivery.reason == _UNKNOWN:
            self._expired(query, "NEVER_TAKEN")
        elif delivery.fate is not Fate.DELIVERED:
            self._doubt(query, delivery)
        else:
            told = _state_in(delivery)
            if told is not None and told[0] is State.ABANDONED:
                self._expired(query, "ABANDONED")
            elif told is not None and told[1] is not None:
                self._answered(query, delivery, told[1])
            else:
                self._pause(query)
        return delivery.fate is Fate.AWAY

    def _answered(self, query: OutboundQuery, delivery: Delivery, result: Result | None) -> None:
        """(6)."""
        if result is None or delivery.receipt is None:
            self._doubt(query, replace(delivery, fate=Fate.DOUBTED, reason="ANSWER_REJECTED"))
            return
        pending = result.outcome is Outcome.REVIEW_PENDING
        if pending and query.state is OutboundState.PENDING:
            self._pause(query)  # nothing new
            return
        receipt = (delivery.receipt.leaf, delivery.receipt.tlog_proof)
        stored = with_details_apart(
            StoredAnswer(answer=query_payload.result_bytes(result), receipt=receipt)
        )
        values: dict[str, object] = {
            "sealed": outbound_queries.seal(
                self._context.data_key, query.partner, query.number, stored
            )
        }
        if not pending:
            now = milliseconds(self._context.clock())
            values |= {"outcome": int(result.outcome), "answer_ms": now, "answered_index": LEAF}
            values |= {"received": outbound_queries.bits(codes_in(stored))}
        act = OutboundAct.PEND if pending else OutboundAct.ANSWER
        leaf = exchange_events.answer(query, decode(delivery.receipt.leaf), result)
        self._commit(
            leaf, outbound_queries.moved(query, act, leaf=None if pending else 0, **values)
        )
        self._pause(query) if pending else self._pauses.pop((query.partner, query.number), None)

    def _refused(self, query: OutboundQuery, delivery: Delivery) -> None:
        if delivery.reason in _BEYOND:
            self._capabilities.forget(query.partner)
        self._commit(
            exchange_events.question_end(query, delivery.reason, delivery.element, refused=True),
            outbound_queries.moved(
                query,
                OutboundAct.REFUSE,
                sealed=self._why(query, delivery.reason, delivery.element),
                answer_ms=milliseconds(self._context.clock()),
            ),
        )

    def _expired(self, query: OutboundQuery, reason: str) -> None:
        self._commit(
            exchange_events.question_end(query, reason, refused=False),
            outbound_queries.moved(query, OutboundAct.EXPIRE, sealed=self._why(query, reason)),
        )

    def _why(self, query: OutboundQuery, reason: str, element: str = "") -> bytes:
        """Return what is stored of a query without an answer: why, and nothing of the envelope any more."""
        stored = StoredAnswer(reason=reason, element=element)
        return outbound_queries.seal(self._context.data_key, query.partner, query.number, stored)

    def _doubt(self, query: OutboundQuery, delivery: Delivery) -> None:
        """Wait; an answer that is not to be believed is an alarm besides."""
        self._pause(query)
        if delivery.fate is Fate.DOUBTED:
            leaf = exchange_events.answer_alarm(query, delivery.reason)
            self._context.sequencer.commit((leaf,), ())
            self._log.error("answer_rejected", partner=query.partner, reason=delivery.reason)

    def _pause(self, query: OutboundQuery) -> None:
        key = query.partner, query.number
        attempts = self._pauses.get(key, (0, query.ask))[0] + 1
        wait = min(FIRST_PAUSE * (1 << min(attempts - 1, 10)), LONGEST_PAUSE)
        self._pauses[key] = attempts, self._context.clock() + wait

    def _commit(self, leaf: Leaf, effect: Effect) -> None:
        self._context.sequencer.commit((leaf,), (effect,))


def _demand_sendable(probe: Biometrics | PriorTransaction) -> None:
    """Raise BiographicInQuery for samples with text about a person, UserError for those that no partner takes."""
    if isinstance(probe, PriorTransaction):
        return
    try:
        sample_rules.demand_sendable(probe)
    except RuleBroken as broken:
        if broken.text:
            raise BiographicInQuery(element=broken.element) from None
        raise UserError(f"nothing was sent: {broken}") from None


def _size(payload: Callable[[bytes], bytes]) -> int:
    """Return the bytes that a query's payload has when it is padded; raises UserError where no size holds it."""
    length = len(payload(bytes(query_payload.REPLY_KEY)))
    try:
        return envelope.size_class(
            length, SMALLEST_REQUEST_QUERY, at_most=envelope.SIZE_CLASSES[-1]
        )
    except PayloadTooLarge as fault:
        raise UserError(
            f"nothing was sent: the samples are too large together: {fault}; compress images, or send fewer"
        ) from None


def _name(query: OutboundQuery) -> tuple[str, str]:
    return "query", query.number


def _result(delivery: Delivery) -> Result | None:
    try:
        return query_payload.read_result(delivery.payload)
    except Refusal:
        return None


def _state_in(delivery: Delivery) -> tuple[State, Result | None] | None:
    try:
        told = query_payload.read_state(delivery.payload)
    except Refusal:
        return None
    return told.state, told.result
