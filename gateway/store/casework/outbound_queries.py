"""The rows of what we asked partners, and what is stored of each answer, sealed."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from gateway.domain.messages import Outcome, Purpose
from gateway.domain.outbound_query import (
    LIFE_CYCLE,
    UNREAD,
    OutboundAct,
    OutboundQuery,
    OutboundState,
    StoredAnswer,
)
from gateway.domain.person import FieldCode
from gateway.errors import InProgress, InternalError, TransactionReused
from gateway.store.effects import LEAF, Effect, says
from gateway.store.retention import holds
from gateway.store.schema import asked
from gateway.store.times import milliseconds, moment
from keys.data_encryption import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

_LABEL = b"passerelle/1/errand"
_OPEN = (int(OutboundState.ASKED), int(OutboundState.PENDING))


def step(state: OutboundState, act: OutboundAct) -> OutboundState:
    """Return the state after `act`; raises InternalError for an edge that is not drawn."""
    try:
        return LIFE_CYCLE[state, act]
    except KeyError:
        raise InternalError(f"a query of ours that is {state.name} cannot {act.name}") from None


def asking(query: OutboundQuery) -> Effect:
    """Return what adds a query of ours, together with the ASKED leaf, the first of its commit."""
    row = insert(asked).values(
        partner=query.partner,
        number=query.number,
        message_id=query.message_id,
        purpose=int(query.purpose),
        agreement=query.agreement[0],
        version=query.agreement[1],
        case_reference=query.case,
        state=int(query.state),
        sealed=query.sealed,
        subject_id=query.subject,
        ask_ms=milliseconds(query.ask),
        asked_index=LEAF,
        received=None if query.received is None else bits(query.received),
    )
    return Effect(row, rows=1, leaf=0, refusal=says(TransactionReused))


def moved(
    query: OutboundQuery,
    act: OutboundAct,
    *,
    leaf: int | None = None,
    **values: Any,  # noqa: ANN401 - columns of many types
) -> Effect:
    """Return what moves a query on by `act` and sets columns; `leaf` is the leaf that LEAF means.

    The commit raises InProgress where it was moved meanwhile.
    """
    after = step(query.state, act)
    row = update(asked).where(_same(query)).values(state=int(after), **values)
    return Effect(row, rows=1, leaf=leaf, refusal=says(InProgress))


def irrelevant(query: OutboundQuery, seen: int) -> Effect:
    """Return what destroys an answer that was not used, if no hold was placed or released since the serial `seen`.

    The commit raises InProgress where either was touched meanwhile.
    """
    after = step(query.state, OutboundAct.DESTROY)
    row = update(asked).where(_same(query), holds.unmoved(seen))
    row = row.values(state=int(after), sealed=None, outcome=None)
    return Effect(row, rows=1, refusal=says(InProgress))


def kept(
    query: OutboundQuery,
    sealed: bytes,
    absent: Collection[FieldCode] = (),
    came: Collection[FieldCode] = (),
) -> Effect:
    """Return what replaces the stored answer and moves nothing; fields in `absent` were asked for and did not come.

    came   what did come, whatever another request at the same time got as answer meanwhile
    """
    row = update(asked).where(_same(query)).values(sealed=sealed)
    if absent or came:
        known = asked.c.received.op("&")(~bits(absent))
        row = row.values(received=known.op("|")(bits(came)))
    return Effect(row, rows=1, refusal=says(InProgress))


def unmoved(query: OutboundQuery) -> Effect:
    """Return what changes nothing, and lets the commit raise InProgress where the answer was touched meanwhile."""
    row = update(asked).where(_same(query)).values(state=int(query.state))
    return Effect(row, rows=1, refusal=says(InProgress))


def may_receive(
    query: OutboundQuery, fields: Collection[FieldCode], before: Collection[FieldCode]
) -> Effect:
    """Return what says that fields are asked for: until its answer comes the partner may have disclosed them.

    before   those that are known to have come, for a row that says nothing of them
    """
    known = func.coalesce(asked.c.received, bits(before))
    row = update(asked).where(_named(query)).values(received=known.op("|")(bits(fields)))
    return Effect(row, rows=1)


def not_received(query: OutboundQuery, fields: Collection[FieldCode]) -> Effect:
    """Return what says that fields which were asked for were not disclosed."""
    row = update(asked).where(_named(query))
    return Effect(row.values(received=asked.c.received.op("&")(~bits(fields))), rows=1)


def bits(fields: Collection[FieldCode]) -> int:
    """Return fields as the column has them: the bit of each code."""
    return sum(1 << int(code) for code in set(fields))


def find(connection: Connection, partner: str, number: str) -> OutboundQuery | None:
    """Return what we asked a partner under a number; what we asked another is as unknown as nothing."""
    wanted = select(asked).where(asked.c.partner == partner, asked.c.number == number)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _read(row)


def outline(connection: Connection, partner: str, number: str) -> OutboundQuery | None:
    """Return what we asked a partner under a number, without its stored answer."""
    wanted = _OUTLINE.where(asked.c.partner == partner, asked.c.number == number)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _read(row)


def by_number(connection: Connection, number: str) -> tuple[OutboundQuery, ...]:
    """Return what we asked under a number, of whichever partners, without stored answers."""
    wanted = _OUTLINE.where(asked.c.number == number).order_by(asked.c.partner)
    return tuple(_read(row) for row in connection.execute(wanted))


def waited_for(connection: Connection) -> tuple[str, ...]:
    """Return the partners that owe us an answer."""
    return tuple(
        connection.scalars(select(asked.c.partner).where(asked.c.state.in_(_OPEN)).distinct())
    )


def unanswered(connection: Connection, partner: str) -> tuple[OutboundQuery, ...]:
    """Return what waits for a partner's answer, the oldest first, without the envelopes: one with images has megabytes."""
    wanted = _OUTLINE.where(asked.c.state.in_(_OPEN), asked.c.partner == partner)
    wanted = wanted.order_by(asked.c.ask_ms)
    return tuple(_read(row) for row in connection.execute(wanted))


Key = tuple[int, str, str]  # where a list of what we asked goes on


def key_of(query: OutboundQuery) -> Key:
    """Return where a list that ended with this query goes on."""
    return milliseconds(query.ask), query.number, query.partner


def every(
    connection: Connection, case: str = "", *, after: Key | None = None, limit: int = 1000
) -> tuple[OutboundQuery, ...]:
    """Return what we asked, the newest first, without stored answers; of all cases or of one, beyond `after`."""
    order = asked.c.ask_ms, asked.c.number, asked.c.partner
    wanted = _OUTLINE.order_by(*(column.desc() for column in order)).limit(limit)
    if after is not None:
        wanted = wanted.where(tuple_(*order) < tuple_(*(literal(each) for each in after)))
    if case:
        wanted = wanted.where(asked.c.case_reference == case)
    return tuple(_read(row) for row in connection.execute(wanted))


def seal(data_key: DataRing, partner: str, number: str, stored: StoredAnswer) -> bytes:
    """Return an answer sealed for its row, so that no other row can bear it."""
    members = {
        "letter": _base64(stored.envelope),
        "until": stored.until,
        "answer": _base64(stored.answer),
        "receipt": [_base64(each) for each in stored.receipt],
        "details": [_base64(each) for each in stored.details],
        "corrected": [_base64(each) for each in stored.corrected],
        "reason": stored.reason,
        "element": stored.element,
    }
    octets = json.dumps(members, separators=(",", ":")).encode()
    return data_key.seal(octets, aad(partner, number))


def stored_answer_of(data_key: DataRing, query: OutboundQuery) -> StoredAnswer:
    """Return the stored answer of a query; an empty one where it was erased. Raises InternalError where it was altered."""
    if query.sealed is None:
        return StoredAnswer()
    _demand_whole(query)
    try:
        told = json.loads(data_key.open(query.sealed, aad(query.partner, query.number)))
    except OpenRefused:
        raise InternalError(
            "the stored answer of a query of ours does not open: altered or moved"
        ) from None
    return StoredAnswer(
        envelope=base64.b64decode(told["letter"]),
        until=told["until"],
        answer=base64.b64decode(told["answer"]),
        receipt=(base64.b64decode(told["receipt"][0]), base64.b64decode(told["receipt"][1])),
        details=tuple(base64.b64decode(each) for each in told["details"]),
        corrected=tuple(base64.b64decode(each) for each in told["corrected"]),
        reason=told.get("reason", ""),  # not in a row from before it was kept
        element=told.get("element", ""),
    )


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


_OUTLINE = select(*(column for column in asked.c if column.name != "sealed"))


def _named(query: OutboundQuery) -> ColumnElement[bool]:
    return and_(asked.c.partner == query.partner, asked.c.number == query.number)


def _demand_whole(query: OutboundQuery) -> None:
    if query.sealed == UNREAD:
        raise InternalError("a query of ours was read without its stored answer")


def _same(query: OutboundQuery) -> ColumnElement[bool]:
    """Name the row as long as it is as it was read, with its stored answer."""
    _demand_whole(query)
    return and_(
        _named(query),
        asked.c.state == int(query.state),
        asked.c.sealed == query.sealed if query.sealed else asked.c.sealed.is_(None),
    )


def _read(row: Row[Any]) -> OutboundQuery:
    return OutboundQuery(
        partner=row.partner,
        number=row.number,
        message_id=row.message_id,
        purpose=Purpose(row.purpose),
        agreement=(row.agreement, row.version),
        case=row.case_reference,
        state=OutboundState(row.state),
        outcome=None if row.outcome is None else Outcome(row.outcome),
        subject=row.subject_id,
        ask=moment(row.ask_ms),
        answer=None if row.answer_ms is None else moment(row.answer_ms),
        used=None if row.used_ms is None else moment(row.used_ms),
        used_in=row.used_in or "",
        asked_index=row.asked_index,
        answered_index=row.answered_index,
        sealed=getattr(row, "sealed", UNREAD),
        received=None if row.received is None else _codes(row.received),
    )


def _codes(received: int) -> frozenset[FieldCode]:
    return frozenset(code for code in FieldCode if received >> int(code) & 1)


def aad(partner: str, number: str) -> bytes:
    """Return what the stored answer of an outbound query is bound to."""
    return pae(_LABEL, partner.encode(), number.encode())
