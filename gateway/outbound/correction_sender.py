"""What we owe partners about inaccurate information, carried: notices, reminders, acknowledgements, and alarms.

(1) an envelope is written and kept, sealed in its row, before it leaves
(2) the same bytes go out until they are answered or their life ends; then a new envelope says the same
(3) what the partner's receipt proves is recorded, together with the move that it makes
(4) what is late raises an alarm in the ledger, once a step, and is still sent

A crash between any two of them changes nothing but the time: the other side takes a correction once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway import telemetry
from gateway.domain.correction import CorrectionAck
from gateway.domain.messages import About, Direction, Operation, Receipt
from gateway.errors import InProgress, Refusal
from gateway.law import correction_policy
from gateway.ledger import exchange_events
from gateway.ledger.entry import EntryType, Leaf, decode
from gateway.ledger.exchange_events import Corrected
from gateway.outbound.failures import SendFailures
from gateway.outbound.permissions import OutboundPermissions
from gateway.outbound.transport import Delivery, Fate, Transports
from gateway.store.casework import corrections
from gateway.store.casework.corrections import Papers
from gateway.store.correction_lifecycle import Act, Correction, CorrectionPhase, step
from gateway.store.effects import Effect
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.times import milliseconds
from gateway.trust.partners import UnknownParty
from gateway.wire import correction_payload as wire
from keys.data_encryption import DataRing

MARGIN = timedelta(seconds=30)  # of an envelope's life; one that nearly expires is written anew
_FULL = "QUOTA_EXCEEDED"  # the partner takes no more today, or of this query; the duty to correct remains
_TO_SEND = (CorrectionPhase.OPEN, CorrectionPhase.UNSENT)
_CAN_BE_LATE = (CorrectionPhase.OPEN, CorrectionPhase.SENT, CorrectionPhase.SETTLED)


@dataclass(frozen=True, slots=True)
class SenderContext:
    """What carrying needs; `clock` is the edge."""

    transports: Transports
    database: StorageEngine
    sequencer: Sequencer
    data_key: DataRing
    clock: Callable[[], datetime]
    permissions: OutboundPermissions
    setbacks: SendFailures


class CorrectionSender:
    """Carries what the table of corrections says is to be carried."""

    def __init__(self, context: SenderContext) -> None:
        self._context = context
        self._log = telemetry.logger("corrections")

    def walk(self, partner: str, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Do what is due of one partner's now; return whether it did not answer: it is not asked twice in one round.

        go_on   whether the partner's time is not over yet; what is left waits for its next turn
        """
        away = full = False
        setbacks, seen = self._context.setbacks, set[tuple[str, str]]()
        for correction in self._due(partner):
            if not go_on():
                break
            seen.add(_name(correction))
            if not setbacks.ready(partner, _name(correction)):
                continue
            try:
                silent = away or (full and correction.direction is Direction.OUTBOUND)
                delivery = self._attend(correction, silent=silent)
                away = away or (delivery is not None and delivery.fate is Fate.AWAY)
                full = full or (delivery is not None and delivery.reason == _FULL)
            except InProgress:
                continue  # it was moved on while we looked; the next round sees where it is
            except UnknownParty:
                self._log.warning("partner_unknown", partner=partner)
            except Exception as fault:  # noqa: BLE001 - one message's trouble stops no other
                setbacks.failed(partner, _name(correction), fault)
            else:
                setbacks.settled(partner, _name(correction))
        else:
            setbacks.only(partner, "correction", seen)
        return away

    def _due(self, partner: str) -> Iterator[Correction]:
        """Yield what is due now, page by page: however much waits, little of it is held at once."""
        now, after = self._context.clock(), None
        while True:
            with self._context.database.reader() as reader:
                page = corrections.due(reader, now, partner, after)
            yield from page
            if len(page) < corrections.PAGE:
                return
            after = corrections.key_of(page[-1])

    def _attend(self, correction: Correction, *, silent: bool) -> Delivery | None:
        """Do what one correction needs; return what became of its envelope, None where none was sent."""
        now = self._context.clock()
        if self._late(correction, now):
            self.alarm(correction, Act.ALARM, "LATE")
            correction = replace(
                correction, state=step(correction.direction, correction.state, Act.ALARM)
            )
        if silent or not self._wanted(correction, now):
            return None
        return self._carry(correction, now)

    def _late(self, correction: Correction, now: datetime) -> bool:
        """Whether this state is over its time: the notice is to be sent sooner than the duty is to be done."""
        timers = self._context.permissions.timers(correction.partner)
        if correction.direction is Direction.OUTBOUND and correction.state is CorrectionPhase.OPEN:
            return now > correction.open + timers.send
        if correction.state is CorrectionPhase.SETTLED and not correction.attempts:
            return False  # done this moment; it is tried before it is called unsent
        return now > correction.due and correction.state in _CAN_BE_LATE

    def _wanted(self, correction: Correction, now: datetime) -> bool:
        """Whether an envelope is to leave now: the notice, a reminder of it, or our acknowledgement."""
        if correction.next is None or now < correction.next:
            return False
        if correction.direction is Direction.INBOUND:
            return correction.state in (CorrectionPhase.SETTLED, CorrectionPhase.UNSENT)
        return correction.state is not CorrectionPhase.REFUSED

    def _carry(self, correction: Correction, now: datetime) -> Delivery:
        with self._context.database.reader() as reader:
            papers = corrections.papers_of(reader, self._context.data_key, correction)
        if not papers.envelope or papers.until <= milliseconds(now + MARGIN):
            written = self._written(correction, papers)
            if written is None:  # no key to seal to; its new bundle must come first
                self._wait(correction, now, papers)
                return Delivery(Fate.STALE, "KEY_STALE")
            papers = written
            sealed = corrections.seal(self._context.data_key, correction, papers)
            self._commit((), *corrections.kept(correction, sealed=sealed))  # (1)
        delivery = self._context.transports(correction.partner).carry(papers.envelope)  # (2)
        if delivery.fate is Fate.DELIVERED and not _answers(delivery, correction):
            delivery = replace(delivery, fate=Fate.DOUBTED, reason="ANSWER_REJECTED:payload")
        if delivery.fate is Fate.DELIVERED and delivery.receipt is not None:
            self._delivered(correction, papers, delivery.receipt, now)  # (3)
        elif delivery.fate is Fate.REFUSED and delivery.reason != _FULL:
            self.alarm(correction, Act.REFUSE, delivery.reason)  # (4)
        else:
            letterless = replace(papers, envelope=b"", until=0)
            stale = delivery.fate in (Fate.STALE, Fate.DOUBTED)
            self._wait(correction, now, letterless if stale else papers)
            if delivery.fate is Fate.DOUBTED:
                self.alarm(correction, None, delivery.reason)
        return delivery

    def _written(self, correction: Correction, papers: Papers) -> Papers | None:
        outbound = correction.direction is Direction.OUTBOUND
        operation = Operation.SUBMIT_CORRECTION if outbound else Operation.ACK_CORRECTION
        transport = self._context.transports(correction.partner)

        def payload(reply_key: bytes) -> bytes:
            if outbound:
                notice = wire.read_notice(papers.notice)
                return wire.notice_bytes(replace(notice, reply_key=reply_key))
            return wire.ack_bytes(replace(_ack(correction), reply_key=reply_key))

        about = About(number=correction.id.hex(), reference=correction.number)
        written = transport.write(operation, payload, about, 0)
        if written is None:
            return None
        until = milliseconds(written.header.expire_time)
        return Papers(papers.notice, written.octets, until)

    def _delivered(
        self, correction: Correction, papers: Papers, receipt: Receipt, now: datetime
    ) -> None:
        """Record an envelope that arrived: the first notice, a reminder, or our acknowledgement."""
        outbound = correction.direction is Direction.OUTBOUND
        leaf = exchange_events.correction_delivery(
            EntryType.CORRECTION if outbound else EntryType.ACKNOWLEDGEMENT,
            _corrected(correction),
            decode(receipt.leaf),
            correction.state,
        )
        self._commit((leaf,), *self._moves(correction, papers, now))

    def _moves(self, correction: Correction, papers: Papers, now: datetime) -> tuple[Effect, ...]:
        moment = milliseconds(now)
        if correction.direction is Direction.INBOUND:
            return corrections.moved(correction, Act.SEND, ack_ms=moment, attempts=0)
        told = replace(papers, envelope=b"", until=0)  # a reminder is a new envelope
        values: dict[str, Any] = {
            "sealed": corrections.seal(self._context.data_key, correction, told),
            "next_ms": milliseconds(correction_policy.reminder(now, correction.due)),
            "attempts": 0,
        }
        if correction.state in _TO_SEND:
            return corrections.moved(correction, Act.SEND, send_ms=moment, **values)
        return corrections.reminded(correction, **values)

    def _wait(self, correction: Correction, now: datetime, papers: Papers) -> None:
        attempts = correction.attempts + 1
        sealed = corrections.seal(self._context.data_key, correction, papers)
        later = milliseconds(now + correction_policy.pause(attempts))
        self._commit(
            (), *corrections.kept(correction, sealed=sealed, attempts=attempts, next_ms=later)
        )

    def alarm(self, correction: Correction, act: Act | None, reason: str) -> None:
        """Raise an alarm in the ledger and the log; `act` moves the correction on in the same commit."""
        of, direction = _corrected(correction), correction.direction
        leaf = exchange_events.correction_alarm(
            of, direction, reason, correction.due, correction.state
        )
        effects = () if act is None else corrections.moved(correction, act)
        self._context.sequencer.commit((leaf,), effects)
        self._log.error(
            "correction_alarm",
            partner=correction.partner,
            state=correction.state.name,
            reason=reason,
        )

    def _commit(self, leaves: tuple[Leaf, ...], *effects: Effect) -> None:
        self._context.sequencer.commit(leaves, effects)


def _corrected(correction: Correction) -> Corrected:
    return Corrected(correction.partner, correction.id, correction.number)


def _name(correction: Correction) -> tuple[str, str]:
    return "correction", f"{correction.direction.name}/{correction.id.hex()}"


def _answers(delivery: Delivery, correction: Correction) -> bool:
    """Whether the answer speaks of this correction."""
    try:
        return wire.read_standing(delivery.payload).id == correction.id
    except Refusal:
        return False


def _ack(correction: Correction) -> CorrectionAck:
    """Return the acknowledgement of a duty that is done, the same whenever it is written."""
    if correction.outcome is None or correction.send is None:
        raise AssertionError  # nothing settles without both
    return CorrectionAck(
        id=correction.id,
        outcome=correction.outcome,
        completed=correction.send,
        note=correction.note,
    )
