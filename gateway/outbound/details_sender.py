"""The second step, from our side: fields of the person of a match, recorded and sealed before anyone sees them.

One carrying, while the officer waits: what nobody answered is given up and may be asked for again; the partner
lets a reference be used again for the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.domain.messages import About, Direction, Operation, Outcome
from gateway.domain.outbound_query import OutboundQuery, OutboundState, Seeking
from gateway.domain.person import Details, DetailsRequest, FieldCode
from gateway.errors import Refusal, UserError, meaning_to_the_asker
from gateway.ledger import disclosure_basis
from gateway.ledger.entry import EntryClass, EntryType, Frame, decode
from gateway.outbound import entries
from gateway.outbound.correction_sender import SenderContext
from gateway.outbound.transport import Delivery, Fate, Written
from gateway.store.casework import outbound_queries
from gateway.store.effects import Effect
from gateway.store.ledger.sequencer import Leaf
from gateway.wire import disclosure_payload as wire
from gateway.wire import query_payload
from gateway.wire.received_fields import codes_in

_HELD = (OutboundState.ANSWERED, OutboundState.SHOWN, OutboundState.USED)


class DetailsSender:
    """Asks for details of matches."""

    def __init__(self, context: SenderContext, random: Callable[[int], bytes]) -> None:
        self._context, self._random = context, random

    def seek(self, errand: OutboundQuery, seeking: Seeking) -> Details:
        """Return what the partner disclosed; it is recorded, and kept sealed with the answer.

        Raises UserError where there is no match to ask about, or no answer came.
        """
        folder = outbound_queries.folder_of(self._context.data_key, errand)
        if errand.outcome is not Outcome.MATCH or errand.state not in _HELD or not folder.answer:
            raise UserError("there is no match under this number that details could be asked of")
        reference = query_payload.read_result(folder.answer).hit_reference
        written = self._written(errand, seeking, reference)
        before = codes_in(folder)
        asked = outbound_queries.may_receive(errand, seeking.fields, before)
        self._commit(_asked(errand, seeking, written), asked)
        delivery = self._context.transports(errand.partner).carry(written.octets)
        details = _told(delivery)
        absent = set(seeking.fields) - (before if errand.received is None else errand.received)
        if details is None or delivery.receipt is None:
            refused = delivery.fate in (Fate.REFUSED, Fate.STALE)
            absent -= self._came(errand)
            heard = (outbound_queries.not_received(errand, absent),) if refused else ()
            self._commit(_unanswered(errand, written, delivery), *heard)
            raise UserError(_none_came(delivery))
        kept = replace(folder, details=(*folder.details, delivery.payload))
        sealed = outbound_queries.seal(self._context.data_key, errand.partner, errand.number, kept)
        leaf = _received(errand, written, delivery, details)
        came = {each.code for each in details.fields}
        self._commit(leaf, outbound_queries.kept(errand, sealed, absent - came, came))
        return details

    def _came(self, errand: OutboundQuery) -> set[FieldCode]:
        """Return what has come by now: another request may have been answered while this one was under way."""
        with self._context.database.reader() as reader:
            now = outbound_queries.find(reader, errand.partner, errand.number)
        return (
            set()
            if now is None
            else set(codes_in(outbound_queries.folder_of(self._context.data_key, now)))
        )

    def _written(self, errand: OutboundQuery, seeking: Seeking, reference: bytes) -> Written:
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
            reference=errand.number,
            agreement=errand.agreement,
            purpose=errand.purpose,
        )
        transport = self._context.transports(errand.partner)
        written = transport.write(Operation.REQUEST_HIT_DETAILS, payload, about, 0)
        if written is None:
            raise UserError(
                "the partner's bundle holds no key that is valid now; import its new one"
            )
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


def _told(delivery: Delivery) -> Details | None:
    if delivery.fate is not Fate.DELIVERED:
        return None
    try:
        return wire.read_details(delivery.payload)
    except Refusal:
        return None


def _asked(errand: OutboundQuery, seeking: Seeking, written: Written) -> Leaf:
    header = written.header
    frame = replace(
        _frame(errand, written, EntryType.ASKED, EntryClass.OTHER),
        transcript=written.transcript,
        signing_key_id=header.signing_key_id,
        kem_key_id=header.kem_key_id,
        directory_version=header.directory_version,
    )
    facts = {
        "transaction_reference": errand.number,
        "purpose": errand.purpose.name,
        "case": seeking.case,
        "unit": seeking.unit,
        "actor": seeking.person,
        "fields": ",".join(code.name for code in seeking.fields),
    }
    return Leaf(frame, facts)


def _received(
    errand: OutboundQuery, written: Written, delivery: Delivery, details: Details
) -> Leaf:
    if delivery.receipt is None:
        raise AssertionError  # the transport says DELIVERED only with one
    theirs = decode(delivery.receipt.leaf)
    frame = replace(
        _frame(errand, written, EntryType.ANSWER_RECEIVED, EntryClass.ANSWERED),
        transcript=theirs.transcript,
        signing_key_id=theirs.signing_key_id,
        kem_key_id=theirs.kem_key_id,
        directory_version=theirs.directory_version,
    )
    facts = {
        "transaction_reference": errand.number,
        "outcome_received": details.outcome.name,
        "fields": ",".join(field.code.name for field in details.fields),
        "authorities": ",".join(sorted({field.authority for field in details.fields})),
        "field_authorities": disclosure_basis.written(details.fields),
        **entries.withheld(details.withholding),
    }
    return Leaf(frame, {name: value for name, value in facts.items() if value})


def _unanswered(errand: OutboundQuery, written: Written, delivery: Delivery) -> Leaf:
    refused = delivery.fate in (Fate.REFUSED, Fate.STALE)
    kind = EntryType.ANSWER_RECEIVED if refused else EntryType.ABANDONED
    entry_class = EntryClass.DENIED if refused else EntryClass.OTHER
    facts = {"transaction_reference": errand.number, "reason": delivery.reason or "UNREADABLE"}
    return Leaf(_frame(errand, written, kind, entry_class), facts)


def _frame(
    errand: OutboundQuery, written: Written, kind: EntryType, entry_class: EntryClass
) -> Frame:
    return Frame(
        type=kind,
        entry_class=entry_class,
        partner_id=errand.partner,
        direction=Direction.OUTBOUND,
        message_id=written.header.message_id,
        transaction_number=written.header.transaction_number,
        agreement_id=errand.agreement[0],
        agreement_version=errand.agreement[1],
    )
