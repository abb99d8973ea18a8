"""What is recorded of exchanges: partners' questions and ours, and what follows: reviews, corrections, uses.

One constructor for each kind of entry, as in `gateway.ledger.events`; what an operation, a search and the law say in
their facts is built by `gateway.ledger.exchange_facts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from gateway.domain.correction import CorrectionNotice
from gateway.domain.messages import Direction, Header, Modality, Operation, Outcome, Result
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest, Seeking
from gateway.domain.person import Details
from gateway.errors import Refusal, ReplayConflict
from gateway.law.outbound_policy import AskPermit
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from gateway.ledger.entry_builder import About, Fact, build, stated, to_seconds, written
from gateway.ledger.entry_types import Facts
from gateway.ledger.exchange_facts import disclosed_facts, question_facts, withholding_facts

_IN, _OUT = Direction.INBOUND, Direction.OUTBOUND


class Message(NamedTuple):
    """A message by whom it is from, its identifier and its transaction's number."""

    partner: str
    message_id: bytes
    number: str


class Corrected(NamedTuple):
    """A correction by the partner, its identifier, and the number of the query that it is about."""

    partner: str
    identifier: bytes
    number: str


# A notice, or the acknowledgement of one
_Correcting: TypeAlias = Literal[EntryType.CORRECTION, EntryType.ACKNOWLEDGEMENT]


# A partner asks (ledger 2; protocol 4)


def request(header: Header, transcript: bytes, facts: Facts) -> Leaf:
    """Return the entry of a message that was accepted: durable before anything is compared (protocol 4, 14)."""
    return _received(EntryType.REQUEST, header, transcript, EntryClass.ACCEPTED, **facts)


def response(asked: Header, answer: Header, transcript: bytes, facts: Facts) -> Leaf:
    """Return the entry of an answer: durable before it leaves (protocol 4, 20); its proof is the receipt (ledger 6)."""
    keys = _keys(answer)
    return _received(EntryType.RESPONSE, asked, transcript, EntryClass.ANSWERED, keys, **facts)


def refusal(header: Header, transcript: bytes, refused: Refusal) -> Leaf:
    """Return the entry of a refusal, or of other bytes under a known identifier (ledger 2, 10)."""
    replayed = isinstance(refused, ReplayConflict)
    return _received(
        EntryType.REPLAY_CONFLICT if replayed else EntryType.REFUSAL,
        header,
        transcript,
        EntryClass.DENIED,
        operation=header.operation,
        reason=refused.reason,
        element=refused.metadata.get("element"),
        why=next(iter(getattr(refused, "__notes__", ())), None),
    )


def failure(header: Header, transcript: bytes, cause: Exception) -> Leaf:
    """Return the entry of an attempt that we could not complete; it denies nothing, and a retry may be answered."""
    reason = cause.reason if isinstance(cause, Refusal) else "INTERNAL"
    facts = written(operation=header.operation, reason=reason)
    return _received(EntryType.REFUSAL, header, transcript, EntryClass.OTHER, **facts)


def refusal_count(partner: str, reason: str, minute: str, count: int) -> Leaf:
    """Return the entry of cheap refusals, counted by partner, reason and minute so that no flood fills the ledger (2)."""
    about: About = {"partner_id": partner, "direction": _IN}
    facts = written(reason=reason, count=count)
    return build(EntryType.REFUSAL_SUMMARY, minute, about, EntryClass.DENIED, **facts)


def request_abandonment(of: Message, transcript: bytes, operation: Operation) -> Leaf:
    """Return the entry of a request that a crash left open and nobody repeated in time (ledger 10)."""
    about: About = {**_exchange(*of), "transcript": transcript}
    return build(EntryType.ABANDONED, operation.name, about)


def destruction(
    of: Message, receipt: str, what: str, modalities: Sequence[Modality] = (Modality.FINGER,)
) -> Leaf:
    """Return the entry that samples and templates are gone, after any outcome (IRPR 315.43(2); ledger 2).

    A query that brought a number has one too: whether there were samples is not to be read from frames.
    """
    facts = written(destroyed=what, modality=modalities or None)
    return build(EntryType.DESTRUCTION, receipt, _exchange(*of), **facts)


def review(of: Message, case: str, due: datetime, persons: int) -> Leaf:
    """Return the entry of prints that wait for an examiner, sealed, in place of their DESTRUCTION (protocol 4)."""
    return build(EntryType.REVIEW, case, _exchange(*of), due=to_seconds(due), count=persons)


def verdict(of: Message, case: str, facts: Facts) -> Leaf:
    """Return the entry of what an examiner saw, and, of the last one, what it came to."""
    return build(EntryType.VERDICT, case, _exchange(*of), **facts)


def review_abandonment(of: Message, case: str, due: datetime) -> Leaf:
    """Return the entry of a review whose time was over before anybody decided."""
    return build(EntryType.ABANDONED, case, _exchange(*of), due=to_seconds(due))


# We ask (ledger 2; law 9)


def question(asking: OutboundRequest, header: Header, transcript: bytes, permit: AskPermit) -> Leaf:
    """Return the entry of a query of ours that may leave, and why it may: durable before it does."""
    return build(
        EntryType.ASKED,
        "",
        _sent(asking.partner, header, transcript),
        **question_facts(asking),
        paragraph=permit.paragraph,
        policy_trace=permit.rules,
        agreement_digest=permit.digest,
    )


def question_stopped(asking: OutboundRequest, number: str, refused: Refusal) -> Leaf:
    """Return the entry of a query that our own law stopped before anything left."""
    about = _outbound(asking.partner, b"", number, asking.agreement)
    facts = {**question_facts(asking), "reason": refused.reason}
    element = refused.metadata.get("element") or None
    return build(EntryType.ASKED, "", about, EntryClass.DENIED, **facts, element=element)


def details_question(
    query: OutboundQuery, seeking: Seeking, header: Header, transcript: bytes
) -> Leaf:
    """Return the entry of our request for fields of a match."""
    return build(
        EntryType.ASKED,
        "",
        _sent(query.partner, header, transcript),
        transaction_reference=query.number,
        purpose=query.purpose,
        case=seeking.case,
        unit=seeking.unit,
        actor=seeking.person,
        fields=seeking.fields,
    )


def answer(query: OutboundQuery, theirs: Frame, result: Result) -> Leaf:
    """Return the entry of an answer that proved itself; class ACCEPTED where the partner has not decided.

    theirs   the leaf of the partner's receipt
    """
    about: About = {**_under(query), "message_id": theirs.message_id, **_proof(theirs)}
    pending = result.outcome is Outcome.REVIEW_PENDING
    entry_class = EntryClass.ACCEPTED if pending else EntryClass.ANSWERED
    receipt = result.destruction_receipt_id
    facts = {
        **written(case=query.case, outcome_received=result.outcome, destruction_receipt=receipt),
        **withholding_facts(result.withholding),
        # Details come with it under an agreement with one step.
        **(_details(result.details) if result.details is not None else {}),
    }
    return build(EntryType.ANSWER_RECEIVED, "", about, entry_class, **stated(facts))


def details_answer(query: OutboundQuery, asked: Header, theirs: Frame, details: Details) -> Leaf:
    """Return the entry of details that a partner disclosed; `asked` is the header of our request."""
    about: About = {**_under(query, asked), **_proof(theirs)}
    facts = written(transaction_reference=query.number, outcome_received=details.outcome)
    facts = stated({**facts, **_details(details)})
    return build(EntryType.ANSWER_RECEIVED, "", about, EntryClass.ANSWERED, **facts)


def question_end(query: OutboundQuery, reason: str, element: str = "", *, refused: bool) -> Leaf:
    """Return the entry of a query that the partner refused, or never answered."""
    facts = {"case": query.case, "reason": reason}
    return _end(_under(query), refused=refused, **facts, element=element or None)


def details_end(query: OutboundQuery, asked: Header, reason: str, *, refused: bool) -> Leaf:
    """Return the entry of a request for details that the partner refused, or never answered."""
    facts = {"transaction_reference": query.number, "reason": reason}
    return _end(_under(query, asked), refused=refused, **facts)


def answer_alarm(query: OutboundQuery, reason: str) -> Leaf:
    """Return the alarm of an answer to us that did not prove itself."""
    return build(EntryType.ALARM, "", _under(query), case=query.case, reason=reason)


def use(query: OutboundQuery, actor: str, used_in: str, reason: str | None = None) -> Leaf:
    """Return the entry of a use of an answer for an administrative purpose (IRPR 315.27(3))."""
    facts = {"actor": actor, "used_in": used_in, "case": query.case}
    return build(EntryType.USE, "", _under(query), **facts, reason=reason)


# What was disclosed was wrong (ledger 2; protocol 10)


def correction(
    of: Corrected, notice: CorrectionNotice, actor: str, reason: str, *, recipients: int
) -> Leaf:
    """Return the entry of a correction that we owe a partner (IRPR 315.34), one of so many `recipients`."""
    facts = written(
        actor=actor,
        reason=reason,
        correction_kind=notice.kind,
        fields=notice.fields,
        due=notice.due,
        recipients=recipients,
    )
    return build(EntryType.CORRECTION, "", _corrected(of), **stated({**_named(of), **facts}))


def correction_received(kind: _Correcting, header: Header, transcript: bytes, facts: Facts) -> Leaf:
    """Return the entry of a notice or an acknowledgement that came in; it lies in its REQUEST's exchange.

    Its message bears the correction's own number; which query it is about is sealed (protocol 10).
    """
    about = _exchange(header.sender, header.message_id, header.transaction_number)
    return build(kind, "", {**about, "transcript": transcript}, EntryClass.ACCEPTED, **facts)


def correction_delivery(kind: _Correcting, of: Corrected, theirs: Frame, before: Enum) -> Leaf:
    """Return the entry of a notice, a reminder or an acknowledgement of ours that arrived; `theirs`: of its receipt."""
    about: About = {**_corrected(of), "message_id": theirs.message_id, **_proof(theirs)}
    return build(kind, "", about, EntryClass.ANSWERED, **_named(of), state_before=before)


def correction_retry(kind: _Correcting, of: Corrected, actor: str, before: Enum) -> Leaf:
    """Return the entry of an order to send again what a partner refused."""
    return build(kind, "", _corrected(of), actor=actor, state_before=before)


def correction_settlement(of: Corrected, outcome: Enum, facts: Facts) -> Leaf:
    """Return the entry of what we did about a correction that came in (IRPR 315.27, 315.35, 315.42).

    facts   what of our copy was destroyed, or used_in and the note to file; actor and reason where somebody said so
    """
    about = _corrected(of)
    return build(
        EntryType.ACKNOWLEDGEMENT, "", about, **_named(of), correction_outcome=outcome, **facts
    )


def correction_alarm(
    of: Corrected, direction: Direction, reason: str, due: datetime, before: Enum
) -> Leaf:
    """Return the alarm of a correction that is late, refused, or whose answer did not prove itself."""
    about: About = {**_corrected(of), "direction": direction}
    return build(
        EntryType.ALARM, "", about, **_named(of), state_before=before, reason=reason, due=due
    )


# What frames and facts have in common


def _exchange(partner: str, message_id: bytes, number: str) -> About:
    return {
        "partner_id": partner,
        "direction": _IN,
        "message_id": message_id,
        "transaction_number": number,
    }


def _outbound(partner: str, message_id: bytes, number: str, agreement: tuple[str, int]) -> About:
    return {
        **_exchange(partner, message_id, number),
        "direction": _OUT,
        "agreement_id": agreement[0],
        "agreement_version": agreement[1],
    }


def _keys(of: Header | Frame) -> About:
    return {
        "signing_key_id": of.signing_key_id,
        "kem_key_id": of.kem_key_id,
        "directory_version": of.directory_version,
    }


def _proof(theirs: Frame) -> About:
    """Return what an answer to us was signed and sealed with, and its transcript, by its receipt."""
    return {**_keys(theirs), "transcript": theirs.transcript}


def _sent(partner: str, header: Header, transcript: bytes) -> About:
    agreement = header.agreement_id, header.agreement_version
    return {
        **_outbound(partner, header.message_id, header.transaction_number, agreement),
        **_keys(header),
        "transcript": transcript,
    }


def _received(
    kind: EntryType,
    header: Header,
    transcript: bytes,
    entry_class: EntryClass,
    keys: About = {},  # noqa: B006 - never written to
    /,
    **facts: Fact,
) -> Leaf:
    """Return an entry about a message of a partner; `keys`: of our answer, instead of the message's own."""
    about: About = {**_sent(header.sender, header, transcript), "direction": _IN, **keys}
    return build(kind, header.operation.name, about, entry_class, **facts)


def _under(query: OutboundQuery, details: Header | None = None) -> About:
    """Return what concerns a query of ours, or our request for details of its answer."""
    if details is None:
        return _outbound(query.partner, query.message_id, query.number, query.agreement)
    number = details.transaction_number
    return _outbound(query.partner, details.message_id, number, query.agreement)


def _end(about: About, *, refused: bool, **facts: Fact) -> Leaf:
    if refused:
        return build(EntryType.ANSWER_RECEIVED, "", about, EntryClass.DENIED, **facts)
    return build(EntryType.ABANDONED, "", about, **facts)


def _details(details: Details) -> Facts:
    return {**disclosed_facts(details.fields), **withholding_facts(details.withholding)}


def _corrected(of: Corrected) -> About:
    """Return what names a correction: its number is its own; which query it is about is sealed (protocol 10)."""
    number = of.identifier.hex()
    return {"partner_id": of.partner, "direction": _OUT, "transaction_number": number}


def _named(of: Corrected) -> Facts:
    return written(correction=of.identifier, transaction_reference=of.number)
