"""Canada asks: the law first, then the ledger, then the partner; and an answer is recorded before anyone sees it.

(1) may we ask? What the law stops is recorded, kept under its number and never leaves (IRPR 315.4(2))
(2) the envelope is written: a fresh reply key, at least the size of a query with prints, signed
(3) ASKED is durable, with the envelope kept sealed; only then it is sent, always the same bytes
(4) what comes back proves itself to the transport: signature, receipt, the partner's ledger
(5) ANSWER_RECEIVED is durable before the answer can be shown

A crash between (3) and (5) costs time alone: the same envelope goes out again while it lives, then the partner's
state is asked for, which repeats the recorded answer to a fresh key. A partner that never took the envelope knows no such
number: the outbound query has expired, and nobody calls that a no-match.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from gateway import telemetry
from gateway.domain.messages import About, Operation, Outcome, Query, Result, State
from gateway.domain.outbound_query import (
    OutboundAct,
    OutboundQuery,
    OutboundRequest,
    OutboundState,
    StoredAnswer,
)
from gateway.errors import AuditUnavailable, InProgress, Refusal, UserError
from gateway.law.outbound_policy import AskPermit
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf, decode
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.transport import Delivery, Fate
from gateway.store.casework import outbound_queries
from gateway.store.effects import LEAF, Effect
from gateway.store.times import milliseconds
from gateway.trust.partners import UnknownParty
from gateway.wire import query_payload
from gateway.wire.received_fields import codes_in, unfolded
from keys.envelope import SMALLEST_REQUEST_QUERY

FIRST_PAUSE = timedelta(seconds=2)  # before a second try; somebody of ours may be waiting
LONGEST_PAUSE = timedelta(
    minutes=5
)  # of an envelope's life, and of a reviewer's patience with our polling
GIVEN_UP = timedelta(days=30)  # after which what nobody answered is asked for no more, and erased
_UNKNOWN = "TRANSACTION_UNKNOWN"
_REUSED = "TRANSACTION_REUSED"  # the partner has it: its state says what became of it


class QuerySender:
    """Asks partners, and carries on with what is unanswered."""

    def __init__(self, context: SenderContext, random: Callable[[int], bytes]) -> None:
        self._context, self._random = context, random
        self._pauses: dict[tuple[str, str], tuple[int, datetime]] = {}
        self._carrying: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._log = telemetry.logger("outbound")

    def ask(self, asking: OutboundRequest) -> OutboundQuery:
        """Ask, and wait for the answer as long as one carrying takes; return its state then.

        What our law stops is STOPPED, and its folder says why. Raises UserError where the partner cannot be written to.
        """
        now = self._context.clock()
        number = f"{now:%Y%m%d}-{self._random(10).hex()}"
        try:
            permission, reserved = self._context.permissions.may_ask(asking, now)  # (1)
            errand = self._recorded(asking, number, permission, reserved, now)  # (2), (3)
        except AuditUnavailable:
            raise
        except Refusal as refusal:  # also the last of a quota that went meanwhile
            return self._stopped(asking, number, refusal, now)
        return self.carry_on(errand)

    def _stopped(
        self, asking: OutboundRequest, number: str, refusal: Refusal, now: datetime
    ) -> OutboundQuery:
        folder = StoredAnswer(reason=refusal.reason, element=refusal.metadata.get("element", ""))
        errand = self._errand(asking, number, OutboundState.STOPPED, folder, now)
        self._context.sequencer.commit(
            (exchange_events.question_stopped(asking, number, refusal),),
            (outbound_queries.asking(errand),),
        )
        return errand

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

        about = About(number=number, agreement=asking.agreement, purpose=asking.purpose)
        try:
            transport = self._context.transports(asking.partner)
        except UnknownParty:
            raise UserError(
                "no bundle of this partner is known; import it with `party import`"
            ) from None
        written = transport.write(Operation.SUBMIT_QUERY, payload, about, SMALLEST_REQUEST_QUERY)
        if written is None:
            raise UserError(
                "the partner's bundle holds no key that is valid now; import its new one"
            )
        folder = StoredAnswer(letter=written.octets, until=milliseconds(written.header.expire_time))
        errand = self._errand(asking, number, OutboundState.ASKED, folder, now)
        errand = replace(errand, message_id=written.header.message_id)
        leaf = exchange_events.question(asking, written.header, written.transcript, permission)
        self._context.sequencer.commit((leaf,), (outbound_queries.asking(errand), *reserved))  # (3)
        return errand

    def _errand(
        self,
        asking: OutboundRequest,
        number: str,
        state: OutboundState,
        folder: StoredAnswer,
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
            sealed=outbound_queries.seal(self._context.data_key, asking.partner, number, folder),
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
        self._context.setbacks.only(partner, "errand", {_name(errand) for errand in waiting})
        for errand in waiting:
            _, at = self._pauses.get((errand.partner, errand.number), (0, now))
            if not go_on():
                break
            if at <= now and self._context.setbacks.ready(partner, _name(errand)):
                away = self._attended(errand, away=away) or away
        return away

    def carry_on(self, errand: OutboundQuery) -> OutboundQuery:
        """Send the envelope, or ask for the state; return the state of the outbound query afterwards.

        What fails as nobody foresaw is counted, and tried again in a round: the question is recorded by now.
        """
        self._attended(errand, away=False)
        return self._now_at(errand)

    def _attended(self, errand: OutboundQuery, *, away: bool) -> bool:
        """Do what one outbound query needs; return whether its partner did not answer."""
        key = errand.partner, errand.number
        with self._lock:
            if key in self._carrying:
                return False
            self._carrying.add(key)
        try:
            silent = not away and self._carried(errand)
            self._given_up(self._now_at(errand))
        except UnknownParty:
            self._pause(errand)  # its bundle is gone
            self._given_up(self._now_at(errand))
        except InProgress:
            self._pause(errand)  # moved on meanwhile
        except Exception as fault:  # noqa: BLE001 - one message's trouble stops no other
            self._context.setbacks.failed(errand.partner, _name(errand), fault)
        else:
            self._context.setbacks.settled(errand.partner, _name(errand))
            return silent
        finally:
            with self._lock:
                self._carrying.discard(key)
        return False

    def _now_at(self, errand: OutboundQuery) -> OutboundQuery:
        with self._context.database.reader() as reader:
            return outbound_queries.find(reader, errand.partner, errand.number) or errand

    def _given_up(self, errand: OutboundQuery) -> None:
        """End what nobody answered for too long: its envelope and its case are not kept for ever."""
        waits = errand.state in (OutboundState.ASKED, OutboundState.PENDING)
        if waits and self._context.clock() - errand.ask >= GIVEN_UP:
            self._expired(errand, "UNANSWERED")
            self._pauses.pop((errand.partner, errand.number), None)

    def _carried(self, errand: OutboundQuery) -> bool:
        """Send what is to be sent; return whether nobody answered."""
        folder = outbound_queries.folder_of(self._context.data_key, errand)
        alive = folder.letter and milliseconds(self._context.clock()) < folder.until
        if errand.state is OutboundState.PENDING or not alive:
            return self._state(errand)
        delivery = self._context.transports(errand.partner).carry(folder.letter)
        if delivery.fate is Fate.DELIVERED:
            self._answered(errand, delivery, _result(delivery))
        elif delivery.fate is Fate.REFUSED and delivery.reason == _REUSED:
            return self._state(errand)
        elif delivery.fate in (Fate.REFUSED, Fate.STALE):
            self._refused(errand, delivery)
        else:
            self._doubt(errand, delivery)
        return delivery.fate is Fate.AWAY

    def _state(self, errand: OutboundQuery) -> bool:
        """Ask what became of it; the partner repeats what it recorded. Return whether nobody answered."""
        transport = self._context.transports(errand.partner)
        written = transport.write(
            Operation.GET_QUERY_STATE,
            lambda key: query_payload.reply_key_bytes(key, Operation.GET_QUERY_STATE),
            About(reference=errand.number),
            0,
        )
        if written is None:
            self._pause(errand)
            return False
        delivery = transport.carry(written.octets)
        if delivery.fate is Fate.REFUSED and delivery.reason == _UNKNOWN:
            self._expired(errand, "NEVER_TAKEN")
        elif delivery.fate is not Fate.DELIVERED:
            self._doubt(errand, delivery)
        else:
            told = _state_told(delivery)
            if told is not None and told[0] is State.ABANDONED:
                self._expired(errand, "ABANDONED")
            elif told is not None and told[1] is not None:
                self._answered(errand, delivery, told[1])
            else:
                self._pause(errand)
        return delivery.fate is Fate.AWAY

    def _answered(self, errand: OutboundQuery, delivery: Delivery, result: Result | None) -> None:
        """(5)."""
        if result is None or delivery.receipt is None:
            self._doubt(errand, replace(delivery, fate=Fate.DOUBTED, reason="ANSWER_REJECTED"))
            return
        pending = result.outcome is Outcome.REVIEW_PENDING
        if pending and errand.state is OutboundState.PENDING:
            self._pause(errand)  # nothing new
            return
        receipt = (delivery.receipt.leaf, delivery.receipt.tlog_proof)
        folder = unfolded(StoredAnswer(answer=query_payload.result_bytes(result), receipt=receipt))
        values: dict[str, object] = {
            "sealed": outbound_queries.seal(
                self._context.data_key, errand.partner, errand.number, folder
            )
        }
        if not pending:
            now = milliseconds(self._context.clock())
            values |= {"outcome": int(result.outcome), "answer_ms": now, "answered_index": LEAF}
            values |= {"received": outbound_queries.bits(codes_in(folder))}
        act = OutboundAct.PEND if pending else OutboundAct.ANSWER
        leaf = exchange_events.answer(errand, decode(delivery.receipt.leaf), result)
        self._commit(
            leaf, outbound_queries.moved(errand, act, leaf=None if pending else 0, **values)
        )
        self._pause(errand) if pending else self._pauses.pop((errand.partner, errand.number), None)

    def _refused(self, errand: OutboundQuery, delivery: Delivery) -> None:
        self._commit(
            exchange_events.question_end(errand, delivery.reason, delivery.element, refused=True),
            outbound_queries.moved(
                errand,
                OutboundAct.REFUSE,
                sealed=self._why(errand, delivery.reason, delivery.element),
                answer_ms=milliseconds(self._context.clock()),
            ),
        )

    def _expired(self, errand: OutboundQuery, reason: str) -> None:
        self._commit(
            exchange_events.question_end(errand, reason, refused=False),
            outbound_queries.moved(errand, OutboundAct.EXPIRE, sealed=self._why(errand, reason)),
        )

    def _why(self, errand: OutboundQuery, reason: str, element: str = "") -> bytes:
        """Return the folder of a query without an answer: why, and nothing of the envelope any more."""
        folder = StoredAnswer(reason=reason, element=element)
        return outbound_queries.seal(self._context.data_key, errand.partner, errand.number, folder)

    def _doubt(self, errand: OutboundQuery, delivery: Delivery) -> None:
        """Wait; an answer that is not to be believed is an alarm besides."""
        self._pause(errand)
        if delivery.fate is Fate.DOUBTED:
            leaf = exchange_events.answer_alarm(errand, delivery.reason)
            self._context.sequencer.commit((leaf,), ())
            self._log.error("answer_rejected", partner=errand.partner, reason=delivery.reason)

    def _pause(self, errand: OutboundQuery) -> None:
        key = errand.partner, errand.number
        attempts = self._pauses.get(key, (0, errand.ask))[0] + 1
        wait = min(FIRST_PAUSE * (1 << min(attempts - 1, 10)), LONGEST_PAUSE)
        self._pauses[key] = attempts, self._context.clock() + wait

    def _commit(self, leaf: Leaf, effect: Effect) -> None:
        self._context.sequencer.commit((leaf,), (effect,))


def _name(errand: OutboundQuery) -> tuple[str, str]:
    return "errand", errand.number


def _result(delivery: Delivery) -> Result | None:
    try:
        return query_payload.read_result(delivery.payload)
    except Refusal:
        return None


def _state_told(delivery: Delivery) -> tuple[State, Result | None] | None:
    try:
        told = query_payload.read_state(delivery.payload)
    except Refusal:
        return None
    return told.state, told.result
