"""What was proposed and what became of it: one row a proposal, which only moves along its table's edges.

Reading takes a connection, writing returns effects. A row keeps the signed bytes as they came, so that years later
anybody can check who asked for what, and who said yes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Row

from gateway.errors import UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import proposals
from gateway.store.times import milliseconds, moment
from keys.approval import State, step

__all__ = ["Kept", "decide", "every", "expired", "file", "find"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A proposal as it is kept.

    text, signature   the signed bytes as they came
    decider           who approved, rejected or withdrew it; approval is the signature, where there is one
    note              why it was rejected, or the class of what it failed with
    """

    id: str
    action: str
    text: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    proposer: str
    state: State
    created: datetime
    expires: datetime
    decider: str = ""
    approval: bytes = field(default=b"", repr=False)
    note: str = ""
    decided: datetime | None = None


def find(connection: Connection, identifier: str) -> Kept | None:
    """Return a proposal by its id."""
    row = connection.execute(select(proposals).where(proposals.c.id == identifier)).one_or_none()
    return None if row is None else _kept(row)


def every(connection: Connection, *, open_only: bool) -> list[Kept]:
    """Return the proposals, the newest first."""
    wanted = select(proposals).order_by(proposals.c.create_ms.desc(), proposals.c.id)
    if open_only:
        wanted = wanted.where(proposals.c.state == State.OPEN.value)
    return [_kept(row) for row in connection.execute(wanted)]


def expired(connection: Connection, now: datetime) -> list[Kept]:
    """Return what is open and past its time."""
    wanted = select(proposals).where(
        proposals.c.state == State.OPEN.value, proposals.c.expire_ms <= milliseconds(now)
    )
    return [_kept(row) for row in connection.execute(wanted)]


def file(new: Kept) -> Effect:
    """Return what keeps a new proposal; its commit raises UserError where the same one was filed before."""
    row = insert(proposals).values(
        id=new.id,
        action=new.action,
        text=new.text,
        signature=new.signature,
        proposer=new.proposer,
        state=State.OPEN.value,
        create_ms=milliseconds(new.created),
        expire_ms=milliseconds(new.expires),
    )
    return Effect(row, rows=1, refusal=says(UserError, "this was proposed before; draft it anew"))


def decide(  # noqa: PLR0917 - the columns of one row
    held: Kept, target: State, now: datetime, decider: str, approval: bytes = b"", note: str = ""
) -> Effect:
    """Return what moves a proposal; its commit raises UserError where somebody else moved it first.

    Raises IllegalTransition where no edge is drawn.
    """
    step(held.state, target)
    changed = (
        update(proposals)
        .where(proposals.c.id == held.id, proposals.c.state == held.state.value)
        .values(
            state=target.value,
            decider=decider,
            approval=approval or held.approval or None,
            note=note or None,
            decide_ms=milliseconds(now),
        )
    )
    meanwhile = says(
        UserError, "this proposal was decided meanwhile; see `passerelle proposals list`"
    )
    return Effect(changed, rows=1, refusal=meanwhile)


def _kept(row: Row[tuple[object, ...]]) -> Kept:
    return Kept(
        id=row.id,
        action=row.action,
        text=row.text,
        signature=row.signature,
        proposer=row.proposer,
        state=State(row.state),
        created=moment(row.create_ms),
        expires=moment(row.expire_ms),
        decider=row.decider or "",
        approval=row.approval or b"",
        note=row.note or "",
        decided=None if row.decide_ms is None else moment(row.decide_ms),
    )
