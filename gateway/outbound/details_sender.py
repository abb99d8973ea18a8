"""The second step, from our side: fields of the person of a match, recorded and sealed before anyone sees them.

One carrying, while the officer waits: what nobody answered is given up and may be asked for again; the partner
lets a reference be used again for the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.domain.messages import About, Operation, Outcome
from gateway.domain.outbound_query import OutboundQuery, OutboundState, Seeking
from gateway.domain.person import Details, DetailsRequest, FieldCode
from gateway.errors import Refusal, UserError, meaning_to_the_asker
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf, decode
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.transport import NO_KEY, Delivery, Fate, Written
from gateway.store.casework import outbound_queries
from gateway.store.effects import Effect
from gateway.wire import disclosure_payload as wire
from gateway.wire import query_payload
from gateway.wire.received_fields import codes_in

_HELD = (OutboundState.ANSWERED, OutboundState.SHOWN, OutboundState.USED)


class DetailsSender:
    """Asks for details of matches."""

    def __init__(self, context: SenderContext, random: Callable[[int], bytes]) -> None:
        self._context, self._random = context, random

    def seek(self, query: OutboundQuery, seeking: Seeking) -> Details:
        """Return what the partner disclosed; it is recorded, and kept sealed with the answer.

        Raises UserError where there is no match to ask about, or no answer came.
        """
        stored = outbound_queries.stored_answer_of(self._context.data_key, query)
        if query.outcome is not Outcome.MATCH or query.state not in _HELD or not stored.answer:
            raise UserError("there is no match under this number that details could be asked of")
        reference = query_payload.read_result(stored.answer).hit_reference
        written = self._written(query, seeking, reference)
        before = codes_in(stored)
        asked = outbound_queries.may_receive(query, seeking.fields, before)
        header = written.header
        leaf = exchange_events.details_question(query, seeking, header, written.transcript)
        self._commit(leaf, asked)
        delivery = self._context.transports(query.partner).carry(written.octets)
        details = _details_in(delivery)
        absent = set(seeking.fields) - (before if query.received is None else query.received)
        if details is None or delivery.receipt is None:
            refused = delivery.fate in (Fate.REFUSED, Fate.STALE)
            absent -= self._came(query)
            heard = (outbound_queries.not_received(query, absent),) if refused else ()
            reason = delivery.reason or "UNREADABLE"
            leaf = exchange_events.details_end(query, header, reason, refused=refused)
            self._commit(leaf, *heard)
            raise UserError(_none_came(delivery))
        kept = replace(stored, details=(*stored.details, delivery.payload))
        sealed = outbound_queries.seal(self._context.data_key, query.partner, query.number, kept)
        theirs = decode(delivery.receipt.leaf)
        leaf = exchange_events.details_answer(query, header, theirs, details)
        came = {each.code for each in details.fields}
        self._commit(leaf, outbound_queries.kept(query, sealed, absent - came, came))
        return details

    def _came(self, query: OutboundQuery) -> set[FieldCode]:
        """Return what has come by now: another request may have been answered while this one was under way."""
        with self._context.database.reader() as reader:
            now = outbound_queries.find(reader, query.partner, query.number)
        return (
            set()
            if now is None
            else set(codes_in(outbound_queries.stored_answer_of(self._context.data_key, now)))
        )

    def _written(self, query: OutboundQuery, seeking: Seeking, reference: bytes) -> Written:
        def payload(reply_key: bytes) -> bytes:
            return wire.details_request_bytes(
                DetailsRequest(
                    reply_key=reply_key,
                    hit_reference=reference,
                    fields=tuple(sorted(seeking.fields)),
                    case=seeking.case,
                    unit=seeking.unit,
                    person=seeking.person,
                )
            )

        about = About(
            number=f"{self._context.clock():%Y%m%d}-{self._random(10).hex()}",
            reference=query.number,
            agreement=query.agreement,
            purpose=query.purpose,
        )
        transport = self._context.transports(query.partner)
        written = transport.write(Operation.REQUEST_HIT_DETAILS, payload, about, 0)
        if written is None:
            raise UserError(NO_KEY)
        return written

    def _commit(self, leaf: Leaf, *effects: Effect) -> None:
        self._context.sequencer.commit((leaf,), effects)


def _none_came(delivery: Delivery) -> str:
    """Say why nothing came; a refusal is never called a delay."""
    if delivery.fate not in (Fate.REFUSED, Fate.STALE):
        return f"no details came ({delivery.reason or 'UNREADABLE'}): ask again later"
    where = f" [{delivery.element}]" if delivery.element else ""
    again = " Ask again." if delivery.fate is Fate.STALE else ""
    told = f"the partner refused: {delivery.reason}{where}. {meaning_to_the_asker(delivery.reason)}".rstrip()
    return told + again


def _details_in(delivery: Delivery) -> Details | None:
    if delivery.fate is not Fate.DELIVERED:
        return None
    try:
        return wire.read_details(delivery.payload)
    except Refusal:
        return None
