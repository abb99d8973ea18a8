"""Messages seen: the same bytes again get the stored reply, other bytes under the same id are a conflict.

A message id is kept for the life of its message and five minutes more, and for a quarter of an hour at least (protocol 8);
a stored reply for a day. A number that is used again is refused in `gateway.store.exchange.transactions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from gateway.domain.messages import Header, Operation, Reply, SignedEnvelope
from gateway.errors import InProgress, PasserelleError, Refusal, ReplayConflict, remade
from gateway.ledger.sequence_rules import REPLAY_WINDOW
from gateway.store.effects import LEAF, Effect, says
from gateway.store.ledger import stored_ledger
from gateway.store.schema import replay
from gateway.store.times import milliseconds

REPLAY_MARGIN = timedelta(minutes=5)  # beyond a message's own end; over twice the clock skew
LEAF_DELAY = timedelta(minutes=1)  # from the look at the clock to the time of the REQUEST's leaf


class ReplayState(IntEnum):
    """Whether a message is being answered, was answered, or was refused after its REQUEST was recorded."""

    RUNNING = 1
    DONE = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """A message that was seen, and what it was answered or refused with; neither while it is being answered."""

    transcript: bytes
    state: ReplayState
    request_index: int
    reply: Reply | None = field(repr=False)
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A message whose REQUEST leaf has no closing leaf, and which can no longer come again."""

    sender: str
    message_id: bytes
    transcript: bytes
    operation: Operation
    transaction_number: str
    request_index: int


# Made once: building a statement takes longer than SQLite takes to execute it.
_OF = and_(replay.c.sender == bindparam("who"), replay.c.message_id == bindparam("id"))
_ROW = select(replay).where(_OF)
_TRANSCRIPT = select(replay.c.transcript).where(_OF)
_SEEN = insert(replay).values(request_index=LEAF)
_IN_PROGRESS = says(InProgress)
_ANSWERED = (
    update(replay)
    .where(_OF, replay.c.state == int(ReplayState.RUNNING))
    .values(state=int(ReplayState.DONE), response_index=LEAF)
)


def find_replay(connection: Connection, sender: str, message_id: bytes) -> ReplayRow | None:
    """Return what is known of a message; None for one never seen, or seen too long ago to come again."""
    row = connection.execute(_ROW, {"who": sender, "id": message_id}).one_or_none()
    if row is None:
        return None
    state = ReplayState(row.state)
    reply = _reply(connection, row) if state is ReplayState.DONE else None
    refusal = _refusal(row.refusal) if state is ReplayState.REFUSED else None
    return ReplayRow(row.transcript, state, row.request_index, reply, refusal)


def seen(connection: Connection, sender: str, message_id: bytes) -> bytes | None:
    """Return the transcript of a message that was seen; None for one never seen, or too long ago to come again."""
    values = {"who": sender, "id": message_id}
    transcript: bytes | None = connection.execute(_TRANSCRIPT, values).scalar()
    return transcript


def stored_reply(connection: Connection, partner: str, number: str, now: datetime) -> Reply | None:
    """Return the reply to the query under `number`, byte for byte, for a day after it was given."""
    wanted = select(replay).where(
        replay.c.sender == partner,
        replay.c.transaction_number == number,
        replay.c.operation == int(Operation.SUBMIT_QUERY),
        replay.c.state == int(ReplayState.DONE),
        replay.c.stored_until_ms > milliseconds(now),
    )
    row = connection.execute(wanted).one_or_none()
    return None if row is None else _reply(connection, row)


def orphans(connection: Connection, now: datetime) -> tuple[Orphan, ...]:
    """Return the messages that a crash left unanswered and whose time is over, in ledger order.

    Within its time an identical retry searches again, under the same REQUEST leaf. What is over cannot come
    again: the same bytes are long outside their time window, and other bytes are another message.
    """
    wanted = select(replay).where(
        replay.c.state == int(ReplayState.RUNNING), replay.c.expires_ms <= milliseconds(now)
    )
    return tuple(
        Orphan(
            sender=row.sender,
            message_id=row.message_id,
            transcript=row.transcript,
            operation=Operation(row.operation),
            transaction_number=row.transaction_number,
            request_index=row.request_index,
        )
        for row in connection.execute(wanted.order_by(replay.c.request_index))
    )


def first_sight(header: Header, transcript: bytes, now: datetime) -> Effect:
    """Claim the message id; the REQUEST leaf comes first in the commit.

    However short a life the sender states, the id stays taken for as long as the sequence rules allow
    it no second REQUEST, counted from the leaf, which is stamped later than `now`.
    """
    over = max(header.expire_time + REPLAY_MARGIN, now + REPLAY_WINDOW + LEAF_DELAY)
    expires = milliseconds(over)
    values = {
        "sender": header.sender,
        "message_id": header.message_id,
        "transcript": transcript,
        "state": int(ReplayState.RUNNING),
        "operation": int(header.operation),
        "transaction_number": header.transaction_number,
        "expires_ms": expires,
        "stored_until_ms": expires,
    }
    return Effect(_SEEN, rows=1, leaf=0, refusal=_who_was_first(header, transcript), values=values)


def answered(
    header: Header,
    envelope: SignedEnvelope,
    stored_until: datetime | None,
    response_index: int | None,
) -> Effect:
    """Store the reply; the RESPONSE leaf comes last in the commit, unless an earlier one is named.

    stored_until   None = as long as the message could come again
    """
    values: dict[str, object] = {
        "who": header.sender,
        "id": header.message_id,
        "header": envelope.header,
        "sealed": envelope.sealed,
        "signature": envelope.signature,
    }
    if response_index is not None:
        values["leaf_index"] = response_index
    if stored_until is not None:
        values["stored_until_ms"] = milliseconds(stored_until)
    leaf = -1 if response_index is None else None
    return Effect(_ANSWERED, rows=1, leaf=leaf, refusal=_IN_PROGRESS, values=values)


def refused(header: Header, refusal: Refusal) -> Effect:
    """Keep what a message was refused with after its REQUEST, as long as the message could come again."""
    said = {"reason": refusal.reason, "message": str(refusal), "metadata": refusal.metadata}
    row = (
        update(replay)
        .where(_running(header.sender, header.message_id))
        .values(state=int(ReplayState.REFUSED), refusal=json.dumps(said))
    )
    return Effect(row, rows=1, refusal=_IN_PROGRESS)


def forgotten(orphan: Orphan) -> Effect:
    """Drop a message that was never answered; its time is over, so its id may be used again."""
    row = delete(replay).where(_running(orphan.sender, orphan.message_id))
    return Effect(row, rows=1, refusal=_IN_PROGRESS)


def _who_was_first(header: Header, transcript: bytes) -> Callable[[Connection], PasserelleError]:
    def explain(connection: Connection) -> PasserelleError:
        first = seen(connection, header.sender, header.message_id)
        return InProgress() if first == transcript else ReplayConflict()

    return explain


def _reply(connection: Connection, row: Row[Any]) -> Reply:
    envelope = SignedEnvelope(row.header, row.sealed, row.signature)
    return Reply(envelope, stored_ledger.receipt(connection, row.response_index))


def _refusal(said: str) -> Refusal:
    kept = json.loads(said)
    return remade(kept["reason"], kept["message"], kept["metadata"])


def _running(sender: str, message_id: bytes) -> ColumnElement[bool]:
    """Name a message that is still being answered."""
    return and_(
        replay.c.sender == sender,
        replay.c.message_id == message_id,
        replay.c.state == int(ReplayState.RUNNING),
    )
