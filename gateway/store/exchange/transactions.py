"""What we remember of queries: numbers used, results, hit references; what begins, finishes and abandons one.

Reading takes a connection; writing returns effects, which become true with the leaf that records them. A transaction
number is claimed by inserting it, with the message id and the quota, so of two identical queries at the same instant
one searches, and the other learns that it is in progress, whoever else looked before.

A result is kept for the retention period, sealed by the data key. Messages seen, and so replays, and stored replies are
in `gateway.store.exchange.replay`, what a quota has left in `gateway.store.exchange.quotas`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Update,
    and_,
    bindparam,
    exists,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from gateway.domain.messages import Header, Operation, Outcome, Purpose, SignedEnvelope, State
from gateway.errors import InternalError, TransactionReused
from gateway.law.retention_policy import REPLY_LIFE
from gateway.ledger.entry import EntryType, decode
from gateway.store.effects import LEAF, Effect, says
from gateway.store.exchange.quotas import (
    Claims,
    periods,
    release_poor,
    release_quota,
    reserve,
)
from gateway.store.exchange.replay import (
    Orphan,
    answered,
    first_sight,
    forgotten,
)
from gateway.store.schema import hit_references, leaves, replay, transactions
from gateway.store.times import milliseconds, moment
from keys.data_encryption import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

RESULT_LABEL = b"passerelle/1/result"
FINDING_LABEL = b"passerelle/1/finding"
# Operations whose messages say one thing again under its number: reminders, and what a crash cut off.
_AGAIN = frozenset({Operation.SUBMIT_CORRECTION, Operation.ACK_CORRECTION})
_NUMBER = 8  # bytes of a subject's number; zeros = nobody, so that presence and length say nothing


class Act(Enum):
    """What happens to a query."""

    SEARCH = auto()
    REVIEW = auto()
    DECIDE = auto()
    ABANDON = auto()


# (state, act) → state. What is not drawn does not exist; DECIDED and ABANDONED are ends.
LIFE_CYCLE: dict[tuple[State, Act], State] = {
    (State.RECEIVED, Act.SEARCH): State.SEARCHING,
    (State.RECEIVED, Act.ABANDON): State.ABANDONED,
    (State.SEARCHING, Act.SEARCH): State.SEARCHING,  # a crash, then the identical retry
    (State.SEARCHING, Act.REVIEW): State.REVIEWING,
    (State.SEARCHING, Act.DECIDE): State.DECIDED,
    (State.SEARCHING, Act.ABANDON): State.ABANDONED,
    (State.REVIEWING, Act.DECIDE): State.DECIDED,
    (State.REVIEWING, Act.ABANDON): State.ABANDONED,  # the deadline of the review; never NO_MATCH
}


def _of(partner: str, number: str, message_id: bytes) -> ColumnElement[bool]:
    return and_(_named(partner, number), transactions.c.message_id == message_id)


def _reviewing(act: Act) -> ColumnElement[bool]:
    return and_(_may(act), transactions.c.state == int(State.REVIEWING))


def _named(partner: str, number: str) -> ColumnElement[bool]:
    return and_(transactions.c.partner == partner, transactions.c.number == number)


def _may(act: Act) -> ColumnElement[bool]:
    """Name the rows whose state allows `act`: the database keeps to the table too."""
    return transactions.c.state.in_([int(state) for state, each in LIFE_CYCLE if each is act])


# Made once: building a statement takes longer than SQLite takes to execute it.
_UNDER_NUMBER = select(transactions).where(
    transactions.c.partner == bindparam("who"), transactions.c.number == bindparam("by_number")
)
_NUMBER_USED = insert(transactions).values(request_index=LEAF)
_REUSED = says(TransactionReused)
_NOT_REVIEWED = says(InternalError, "the query of a case is not under review")
_NOT_DECIDABLE = says(InternalError, "the query is not in a state in which it can be decided")
_SETTLED = {
    act: update(transactions)
    .where(
        transactions.c.partner == bindparam("who"),
        transactions.c.number == bindparam("by_number"),
        transactions.c.message_id == bindparam("by_message"),
        _may(act),
    )
    .values(response_index=LEAF)
    for act in (Act.REVIEW, Act.DECIDE)
}
_REQUESTED = and_(
    leaves.c.partner == bindparam("who"),
    leaves.c.transaction_number == bindparam("claimed"),
    # Spelt out, so that the index of these entries alone serves.
    leaves.c.type == literal_column(str(int(EntryType.REQUEST))),
)
_FIRST_USE = (
    select(leaves.c.leaf)
    .where(_REQUESTED, leaves.c.message_id != bindparam("id"))
    .order_by(leaves.c.idx)
    .limit(1)
)
_seen = replay.alias()
_OTHERS = and_(
    _seen.c.sender == bindparam("who"),
    _seen.c.transaction_number == bindparam("claimed"),
    _seen.c.message_id != bindparam("id"),
)


def _claiming(taken: ColumnElement[bool]) -> Update:
    mine = and_(replay.c.sender == bindparam("who"), replay.c.message_id == bindparam("id"))
    number = bindparam("claimed", type_=String)
    return update(replay).where(mine, ~taken).values(transaction_number=number)


_CLAIMED = _claiming(or_(exists().where(_OTHERS), exists().where(_REQUESTED)))
_CLAIMED_AGAIN = _claiming(exists().where(_OTHERS, _seen.c.operation != bindparam("same")))


@dataclass(frozen=True, slots=True)
class Hit:
    """A reference by which the partner may ask for details of one subject until it expires."""

    reference: bytes
    subject: int
    expires: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """Whom a query found, whatever its asker was shown; and whether they declared a refugee claim there."""

    subject: int | None
    claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a query ended; REVIEW_PENDING is how it goes on.

    result          payload bytes of the result, sealed by `seal_result`
    finding         who was found, shown or not, sealed by `seal_finding`; None = as it was recorded before
    release_most    None = the query counts; else it counts for nothing, because nothing was searched, as long as
                    fewer than so many of the UTC day did
    """

    outcome: Outcome
    result: bytes = field(repr=False)
    finding: bytes | None = field(default=None, repr=False)
    hit: Hit | None = None
    release_most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRow:
    """A query under its transaction number; `open_result` and `open_finding` open what is sealed."""

    number: str
    message_id: bytes
    purpose: Purpose
    agreement_id: str
    agreement_version: int
    state: State
    outcome: Outcome | None
    result: bytes | None = field(repr=False)
    finding: bytes | None = field(repr=False)
    request_index: int
    response_index: int | None
    receive_time: datetime
    decide_time: datetime | None


def step(state: State, act: Act) -> State:
    """Return the state after `act`; raises InternalError for an edge that is not drawn."""
    try:
        return LIFE_CYCLE[state, act]
    except KeyError:
        raise InternalError(f"a query that is {state.name} cannot {act.name}") from None


def transaction(connection: Connection, partner: str, number: str) -> TransactionRow | None:
    """Return the partner's own query under a number; another partner's is as unknown as none."""
    row = connection.execute(_UNDER_NUMBER, {"who": partner, "by_number": number}).one_or_none()
    if row is None:
        return None
    return TransactionRow(
        number=row.number,
        message_id=row.message_id,
        purpose=Purpose(row.purpose),
        agreement_id=row.agreement,
        agreement_version=row.version,
        state=State(row.state),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        result=row.result,
        finding=row.subject,
        request_index=row.request_index,
        response_index=row.response_index,
        receive_time=moment(row.receive_ms),
        decide_time=None if row.decide_ms is None else moment(row.decide_ms),
    )


def number_used(connection: Connection, header: Header) -> bool:
    """Return whether the sender used the number of a message in another one, whatever that asked.

    Messages about one correction share its number: for them only another operation is another use. The ledger remembers for ever: a number is in the REQUEST entry of the message that used it, whatever
    became of it. The commit of the request asks once more, for messages at the same moment.
    """
    values = {
        "who": header.sender,
        "claimed": header.transaction_number,
        "id": header.message_id,
    }
    first = connection.execute(_FIRST_USE, values).scalar()
    if first is None:
        return False
    # Nothing else came in under the number of the first, so the first says what it is used for.
    return (
        header.operation not in _AGAIN or decode(first).subject_reference != header.operation.name
    )


def begin_request(
    header: Header, transcript: bytes, claims: Claims | None, now: datetime
) -> tuple[Effect, ...]:
    """Return what step 14 makes true together with the REQUEST leaf, which comes first in its commit.

    The commit raises ReplayConflict or InProgress for a message id that is taken, by other or by the same
    bytes; TransactionReused for a number that is; QuotaExceeded where a limit is reached.
    """
    effects = [first_sight(header, transcript, now)]
    if header.transaction_number:
        effects.append(_claimed(header))
    if claims is not None:
        effects.append(_number(header, claims, now))
        effects.extend(reserve(header.sender, claims, now))
    return tuple(effects)


def finish_request(
    header: Header,
    envelope: SignedEnvelope,
    settled: Settled | None,
    now: datetime,
    *,
    response_index: int | None = None,
) -> tuple[Effect, ...]:
    """Return what step 20 makes true together with the RESPONSE leaf, which comes last in its commit.

    envelope         the reply, stored as it is sent
    settled          how the query ended; None for what is no query
    response_index   leaf of the receipt, where the reply is that of an earlier message

    The commit raises InProgress where the message was answered meanwhile: the retry gets that answer.
    """
    stored_until = None if settled is None else now + REPLY_LIFE
    effects = [answered(header, envelope, stored_until, response_index)]
    if settled is not None:
        effects.extend(_settle(header, settled, now))
    return tuple(effects)


def abandon(orphan: Orphan, now: datetime) -> tuple[Effect, ...]:
    """Return what becomes true with an ABANDONED leaf: no answer, no outcome, the quota released."""
    given_up = (
        update(transactions)
        .where(
            _named(orphan.sender, orphan.transaction_number),
            transactions.c.message_id == orphan.message_id,
            _may(Act.ABANDON),
        )
        .values(state=int(State.ABANDONED), decide_ms=milliseconds(now))
    )
    return (
        forgotten(orphan),
        Effect(given_up),
        *release_quota(orphan.sender, orphan.transaction_number, orphan.message_id),
    )


def decide_reviewed(
    partner: str, number: str, message_id: bytes, settled: Settled, now: datetime
) -> tuple[Effect, ...]:
    """Return what a last verdict makes true of its query: the outcome, and the reference of a hit.

    The stored reply and its leaf stay those of REVIEW_PENDING; the partner asks for the state.
    """
    decided = (
        update(transactions)
        .where(_of(partner, number, message_id), _reviewing(Act.DECIDE))
        .values(
            state=int(step(State.REVIEWING, Act.DECIDE)),
            outcome=int(settled.outcome),
            result=settled.result,
            subject=settled.finding,
            decide_ms=milliseconds(now),
        )
    )
    hit = [] if settled.hit is None else [_reference(partner, number, settled.hit)]
    return Effect(decided, rows=1, refusal=_NOT_REVIEWED), *hit


def abandon_reviewed(
    partner: str, number: str, message_id: bytes, now: datetime
) -> tuple[Effect, ...]:
    """Return what becomes true of a query that no examiner decided in time: no outcome, the quota released."""
    given_up = (
        update(transactions)
        .where(_of(partner, number, message_id), _reviewing(Act.ABANDON))
        .values(
            state=int(step(State.REVIEWING, Act.ABANDON)), outcome=None, decide_ms=milliseconds(now)
        )
    )
    return Effect(given_up, rows=1), *release_quota(partner, number, message_id)


def seal_result(data_key: DataRing, partner: str, number: str, payload: bytes) -> bytes:
    """Return a result's payload bytes sealed for its row, so that no other row can bear it."""
    return data_key.seal(payload, aad(RESULT_LABEL, partner, number))


def open_result(data_key: DataRing, partner: str, number: str, sealed: bytes) -> bytes:
    """Return the payload bytes of a recorded result; raises InternalError when they were altered or moved."""
    try:
        return data_key.open(sealed, aad(RESULT_LABEL, partner, number))
    except OpenRefused:
        raise InternalError(
            "a recorded result does not open: altered, moved, or of another key"
        ) from None


def seal_finding(data_key: DataRing, partner: str, number: str, finding: Finding) -> bytes:
    """Return a finding sealed for its row: of one length, whoever it is, if anybody."""
    octets = (finding.subject or 0).to_bytes(_NUMBER, "big") + bytes([finding.claimed])
    return data_key.seal(octets, aad(FINDING_LABEL, partner, number))


def open_finding(data_key: DataRing, partner: str, number: str, sealed: bytes) -> Finding:
    """Return what a query found; raises InternalError when it was altered or moved."""
    try:
        octets = data_key.open(sealed, aad(FINDING_LABEL, partner, number))
    except OpenRefused:
        raise InternalError("a finding does not open: altered, moved, or of another key") from None
    return Finding(int.from_bytes(octets[:_NUMBER], "big") or None, bool(octets[_NUMBER]))


def _claimed(header: Header) -> Effect:
    """Use up the number of a message for this message alone; comes after `first_sight` in its commit.

    Messages of the last quarter of an hour are found by their rows of replay, those of the same commit too; whatever
    was before, by the ledger. An operation whose messages repeat a number asked the ledger when it was admitted.
    """
    values = {
        "who": header.sender,
        "id": header.message_id,
        "claimed": header.transaction_number,
        "same": int(header.operation),
    }
    statement = _CLAIMED_AGAIN if header.operation in _AGAIN else _CLAIMED
    return Effect(statement, rows=1, refusal=_REUSED, values=values)


def _number(header: Header, claims: Claims, now: datetime) -> Effect:
    """Use up the transaction number; what is durable here is searched next, without a commit between."""
    values = {
        "partner": header.sender,
        "number": header.transaction_number,
        "message_id": header.message_id,
        "purpose": int(claims.purpose),
        "agreement": header.agreement_id,
        "version": header.agreement_version,
        "state": int(step(State.RECEIVED, Act.SEARCH)),
        "receive_ms": milliseconds(now),
        "quota_day": periods(now)[0],
    }
    return Effect(_NUMBER_USED, rows=1, leaf=0, refusal=_REUSED, values=values)


def _settle(header: Header, settled: Settled, now: datetime) -> list[Effect]:
    number = header.transaction_number
    act = Act.REVIEW if settled.outcome is Outcome.REVIEW_PENDING else Act.DECIDE
    values = {
        "who": header.sender,
        "by_number": number,
        "by_message": header.message_id,
        "state": int(step(State.SEARCHING, act)),
        "outcome": int(settled.outcome),
        "result": settled.result,
        "subject": settled.finding,
        "decide_ms": milliseconds(now),
    }
    effects = [Effect(_SETTLED[act], rows=1, leaf=-1, refusal=_NOT_DECIDABLE, values=values)]
    if settled.hit is not None:
        effects.append(_reference(header.sender, number, settled.hit))
    if settled.release_most is not None:
        most = settled.release_most
        effects.extend(release_poor(header.sender, number, header.message_id, most, now))
    return effects


def _reference(partner: str, number: str, hit: Hit) -> Effect:
    row = insert(hit_references).values(
        reference=hit.reference,
        partner=partner,
        transaction_number=number,
        subject_id=hit.subject,
        expires_ms=milliseconds(hit.expires),
    )
    return Effect(row, rows=1)


def aad(label: bytes, partner: str, number: str) -> bytes:
    """Return what a part of a transaction is bound to."""
    return pae(label, partner.encode(), number.encode())
