"""The rows of corrections: what each says until its duty is done, and what moves it on.

What a correction says, and the envelope in which it is sent, is sealed and bound to its row, and goes when the duty is
done. It may hold a photograph, so it lies in a table of its own: lists and rounds read rows of a few hundred bytes.
What a partner sent is bounded where it is added, by the rows themselves, so that a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from gateway.domain.correction import CorrectionKind, CorrectionOutcome
from gateway.domain.messages import Direction
from gateway.domain.outbound_query import OutboundState
from gateway.errors import InProgress, InternalError, PasserelleError, QuotaExceeded
from gateway.store.correction_lifecycle import Act, Correction, CorrectionPhase, step
from gateway.store.effects import LEAF, Effect, says
from gateway.store.schema import asked, correction_papers, corrections, filed_notices
from gateway.store.times import milliseconds, moment
from keys.data_encryption import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

_LABEL = b"passerelle/1/correction"
_FILED_LABEL = b"passerelle/1/filed-notice"
PAGE = 200  # rows of one look, of a few hundred bytes each
_HEAD = 12  # bytes: u64be end of the envelope's life in milliseconds, u32be length of the notice


@dataclass(frozen=True, slots=True)
class Papers:
    """What a correction says, and the envelope that carries it while it is valid.

    notice   the payload of the notice
    envelope what a transport made of it; empty where it must be written anew
    until    when that envelope's life ends, milliseconds
    """

    notice: bytes = field(repr=False)
    envelope: bytes = field(default=b"", repr=False)
    until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many corrections of a partner are taken.

    a_query   under one query of ours, whatever became of them
    a_day     since `day`, the begin of the UTC day
    renews    when the next day begins
    """

    a_query: int
    a_day: int
    day: datetime
    renews: datetime


Key = tuple[int, str, bytes, int]  # where a list of corrections goes on


def key_of(correction: Correction) -> Key:
    """Return where a list that ended with this correction goes on."""
    return (
        milliseconds(correction.open),
        correction.partner,
        correction.id,
        int(correction.direction),
    )


def opened(
    correction: Correction, sealed: bytes, leaf: int, bounds: Bounds | None = None
) -> tuple[Effect, ...]:
    """Return what adds a correction and its papers; its CORRECTION leaf is number `leaf` of the commit.

    The commit raises InProgress for an identifier that this partner used meanwhile, QuotaExceeded where `bounds`
    are reached.
    """
    values = {
        "id": correction.id,
        "partner": correction.partner,
        "direction": int(correction.direction),
        "number": correction.number,
        "kind": int(correction.kind),
        "state": int(CorrectionPhase.OPEN),
        "opened_by": correction.opened_by,
        "open_ms": milliseconds(correction.open),
        "due_ms": milliseconds(correction.due),
        "next_ms": milliseconds(correction.open),
        "attempts": 0,
    }
    row = select(*(literal(value) for value in values.values()), LEAF)
    if bounds is not None:
        row = row.where(
            _of_query(correction.partner, correction.number).scalar_subquery() < bounds.a_query,
            _of_day(correction.partner, bounds.day).scalar_subquery() < bounds.a_day,
        )
    papers = insert(correction_papers).values(
        id=correction.id,
        partner=correction.partner,
        direction=int(correction.direction),
        sealed=sealed,
    )
    return (
        Effect(
            insert(corrections).from_select([*values, "open_index"], row),
            rows=1,
            leaf=leaf,
            refusal=_not_taken(correction, bounds),
        ),
        Effect(papers, rows=1, refusal=says(InProgress)),
    )


def demand_room(connection: Connection, partner: str, number: str, bounds: Bounds) -> None:
    """Raise QuotaExceeded where a partner's corrections of a query, or of today, are used up."""
    if (connection.execute(_of_query(partner, number)).scalar() or 0) >= bounds.a_query:
        raise QuotaExceeded
    if (connection.execute(_of_day(partner, bounds.day)).scalar() or 0) >= bounds.a_day:
        raise QuotaExceeded(bounds.renews)


def moved(correction: Correction, act: Act, **values: Any) -> tuple[Effect, ...]:  # noqa: ANN401 - columns of many types
    """Return what moves a correction on by `act` and sets columns; in the end what it says is erased.

    sealed   among the columns: the papers as they are from now on

    The commit raises InProgress where it was moved meanwhile.
    """
    after = step(correction.direction, correction.state, act)
    sealed = values.pop("sealed", None)
    if after is CorrectionPhase.ACKNOWLEDGED:
        values |= {"next_ms": None}
    row = update(corrections).where(_same(correction)).values(state=int(after), **values)
    effects = [Effect(row, rows=1, refusal=says(InProgress))]
    named = _named(correction_papers, correction.partner, correction.id, correction.direction)
    if after is CorrectionPhase.ACKNOWLEDGED:
        effects.append(Effect(delete(correction_papers).where(named)))
    elif sealed is not None:
        effects.append(Effect(update(correction_papers).where(named).values(sealed=sealed), rows=1))
    return tuple(effects)


def kept(correction: Correction, *, sealed: bytes, **values: Any) -> tuple[Effect, ...]:  # noqa: ANN401 - columns of many types
    """Return what sets papers and columns and moves nothing; nothing at all where it was moved meanwhile."""
    papers = (
        update(correction_papers)
        .where(
            _named(correction_papers, correction.partner, correction.id, correction.direction),
            exists().where(_same(correction)),
        )
        .values(sealed=sealed)
    )
    row = update(corrections).where(_same(correction))
    return Effect(papers), *((Effect(row.values(**values)),) if values else ())


def reminded(correction: Correction, *, sealed: bytes, **values: Any) -> tuple[Effect, ...]:  # noqa: ANN401 - columns of many types
    """Return what sets papers and columns together with the entry of a reminder, and moves nothing.

    The commit raises InProgress where it was moved meanwhile: the entry would come after the end.
    """
    row = update(corrections).where(_same(correction)).values(**values)
    named = _named(correction_papers, correction.partner, correction.id, correction.direction)
    return (
        Effect(row, rows=1, refusal=says(InProgress)),
        Effect(update(correction_papers).where(named).values(sealed=sealed), rows=1),
    )


def find(
    connection: Connection, partner: str, identifier: bytes, direction: Direction
) -> Correction | None:
    """Return the correction of this pair under an identifier; another partner's is as unknown as none."""
    row = connection.execute(
        select(corrections).where(_named(corrections, partner, identifier, direction))
    )
    found = row.one_or_none()
    return None if found is None else _read(found)


def decidable(
    connection: Connection, partner: str = "", after: Key | None = None, limit: int = PAGE
) -> tuple[Correction, ...]:
    """Return corrections of partners, or of one, that the record of use decides, the oldest first, beyond `after`.

    Whatever a caseworker must be asked about is not among them, however many there are.
    """
    answer = and_(asked.c.partner == corrections.c.partner, asked.c.number == corrections.c.number)
    wanted = (
        select(corrections)
        .outerjoin(asked, answer)
        .where(
            corrections.c.direction == int(Direction.INBOUND),
            corrections.c.state.in_([int(CorrectionPhase.OPEN), int(CorrectionPhase.LATE)]),
            or_(
                asked.c.partner.is_(None),
                asked.c.used_ms.is_not(None),
                asked.c.state != int(OutboundState.SHOWN),
            ),
        )
    )
    return _page(connection, _with(wanted, partner), after, limit)


def due(
    connection: Connection,
    now: datetime,
    partner: str = "",
    after: Key | None = None,
    limit: int = PAGE,
) -> tuple[Correction, ...]:
    """Return corrections about which something is to be sent or said now, the oldest first, beyond `after`.

    Those with all partners, or with one.

    Our own that were not sent are always among them: how soon they must be is the agreement's to say.
    """
    moment_ms, outbound = milliseconds(now), int(Direction.OUTBOUND)
    columns = corrections.c
    to_carry = or_(
        and_(
            columns.direction == outbound,
            columns.state.not_in([int(CorrectionPhase.REFUSED), int(CorrectionPhase.ACKNOWLEDGED)]),
        ),
        and_(
            columns.direction != outbound,
            columns.state.in_([int(CorrectionPhase.SETTLED), int(CorrectionPhase.UNSENT)]),
        ),
    )
    can_be_late = [
        int(each) for each in (CorrectionPhase.OPEN, CorrectionPhase.SENT, CorrectionPhase.SETTLED)
    ]
    wanted = select(corrections).where(
        or_(
            and_(columns.next_ms <= moment_ms, to_carry),
            and_(columns.state.in_(can_be_late), columns.due_ms < moment_ms),
            and_(columns.direction == outbound, columns.state == int(CorrectionPhase.OPEN)),
        )
    )
    return _page(connection, _with(wanted, partner), after, limit)


def partners(connection: Connection) -> tuple[str, ...]:
    """Return the partners with whom a correction is unfinished."""
    going = [int(each) for each in CorrectionPhase if each is not CorrectionPhase.ACKNOWLEDGED]
    wanted = select(corrections.c.partner).where(corrections.c.state.in_(going)).distinct()
    return tuple(connection.scalars(wanted))


def due_since(connection: Connection, phases: Collection[CorrectionPhase]) -> dict[str, datetime]:
    """Return by partner the earliest time that a correction, now in one of these phases, was due."""
    wanted = (
        select(corrections.c.partner, func.min(corrections.c.due_ms))
        .where(corrections.c.state.in_([int(each) for each in phases]))
        .group_by(corrections.c.partner)
    )
    return {partner: moment(due_ms) for partner, due_ms in connection.execute(wanted)}


def under(connection: Connection, identifier: bytes) -> tuple[Correction, ...]:
    """Return the corrections under an identifier, of whichever pair and direction."""
    wanted = select(corrections).where(corrections.c.id == identifier)
    return tuple(_read(row) for row in connection.execute(wanted))


def every(
    connection: Connection,
    partner: str = "",
    number: str = "",
    *,
    unfinished: bool = False,
    after: Key | None = None,
    limit: int = 1000,
) -> tuple[Correction, ...]:
    """Return corrections, the newest first, of all partners and queries or of those named, beyond `after`.

    unfinished   only those whose duty is not done and acknowledged
    """
    wanted = select(corrections).order_by(*(column.desc() for column in _ORDER)).limit(limit)
    if after is not None:
        wanted = wanted.where(tuple_(*_ORDER) < tuple_(*(literal(each) for each in after)))
    if partner:
        wanted = wanted.where(corrections.c.partner == partner)
    if number:
        wanted = wanted.where(corrections.c.number == number)
    if unfinished:
        wanted = wanted.where(corrections.c.state != int(CorrectionPhase.ACKNOWLEDGED))
    return tuple(_read(row) for row in connection.execute(wanted))


def seal(data_key: DataRing, correction: Correction, papers: Papers) -> bytes:
    """Return papers sealed for their row, so that no other row can bear them."""
    head = papers.until.to_bytes(8, "big") + len(papers.notice).to_bytes(4, "big")
    return data_key.seal(
        head + papers.notice + papers.envelope,
        aad(correction.partner, correction.id, int(correction.direction)),
    )


def papers_of(connection: Connection, data_key: DataRing, correction: Correction) -> Papers:
    """Return what a correction says; raises InternalError where it was altered, moved or is gone."""
    named = _named(correction_papers, correction.partner, correction.id, correction.direction)
    sealed = connection.execute(select(correction_papers.c.sealed).where(named)).scalar()
    try:
        octets = data_key.open(
            sealed or b"",
            aad(correction.partner, correction.id, int(correction.direction)),
        )
    except OpenRefused:
        raise InternalError(
            "what a correction says does not open: altered, moved, or erased"
        ) from None
    end = _HEAD + int.from_bytes(octets[8:_HEAD], "big")
    return Papers(octets[_HEAD:end], octets[end:], int.from_bytes(octets[:8], "big"))


def filed(data_key: DataRing, correction: Correction, notice: bytes, now: datetime) -> Effect:
    """Return what puts a notice beside the answer that it is about, which was used."""
    row = insert(filed_notices).values(
        partner=correction.partner,
        number=correction.number,
        id=correction.id,
        file_ms=milliseconds(now),
        sealed=data_key.seal(
            notice, filed_aad(correction.partner, correction.number, correction.id)
        ),
    )
    return Effect(row, rows=1, refusal=says(InProgress))


def notices_filed(connection: Connection, partner: str, number: str) -> tuple[bytes, ...]:
    """Return the identifiers of the notices beside an answer, the oldest first."""
    wanted = select(filed_notices.c.id).where(
        filed_notices.c.partner == partner, filed_notices.c.number == number
    )
    return tuple(
        connection.execute(wanted.order_by(filed_notices.c.file_ms, filed_notices.c.id)).scalars()
    )


def notice_filed(
    connection: Connection, data_key: DataRing, partner: str, number: str, identifier: bytes
) -> bytes:
    """Return one notice beside an answer; raises InternalError where it was altered, moved or is gone."""
    wanted = select(filed_notices.c.sealed).where(
        filed_notices.c.partner == partner,
        filed_notices.c.number == number,
        filed_notices.c.id == identifier,
    )
    try:
        return data_key.open(
            connection.execute(wanted).scalar() or b"", filed_aad(partner, number, identifier)
        )
    except OpenRefused:
        raise InternalError("a notice in a file does not open: altered, moved, or erased") from None


_ORDER = (
    corrections.c.open_ms,
    corrections.c.partner,
    corrections.c.id,
    corrections.c.direction,
)


def _page(
    connection: Connection, wanted: Select[Any], after: Key | None, limit: int
) -> tuple[Correction, ...]:
    if after is not None:
        wanted = wanted.where(tuple_(*_ORDER) > tuple_(*(literal(each) for each in after)))
    return tuple(_read(row) for row in connection.execute(wanted.order_by(*_ORDER).limit(limit)))


def _with(wanted: Select[Any], partner: str) -> Select[Any]:
    return wanted.where(corrections.c.partner == partner) if partner else wanted


def _of_query(partner: str, number: str) -> Select[Any]:
    return select(func.count()).where(
        corrections.c.partner == partner,
        corrections.c.number == number,
        corrections.c.direction == int(Direction.INBOUND),
    )


def _of_day(partner: str, day: datetime) -> Select[Any]:
    return select(func.count()).where(
        corrections.c.partner == partner,
        corrections.c.direction == int(Direction.INBOUND),
        corrections.c.open_ms >= milliseconds(day),
    )


def _not_taken(
    correction: Correction, bounds: Bounds | None
) -> Callable[[Connection], PasserelleError]:
    def explain(connection: Connection) -> PasserelleError:
        if bounds is not None:
            try:
                demand_room(connection, correction.partner, correction.number, bounds)
            except QuotaExceeded as full:
                return full
        return InProgress()

    return explain


def _named(
    table: Table, partner: str, identifier: bytes, direction: Direction
) -> ColumnElement[bool]:
    return and_(
        table.c.partner == partner,
        table.c.id == identifier,
        table.c.direction == int(direction),
    )


def _same(correction: Correction) -> ColumnElement[bool]:
    """Name the row as long as it is where it was read."""
    named = _named(corrections, correction.partner, correction.id, correction.direction)
    return and_(named, corrections.c.state == int(correction.state))


def _read(row: Row[Any]) -> Correction:
    return Correction(
        id=row.id,
        partner=row.partner,
        direction=Direction(row.direction),
        number=row.number,
        kind=CorrectionKind(row.kind),
        state=CorrectionPhase(row.state),
        opened_by=row.opened_by,
        open=moment(row.open_ms),
        due=moment(row.due_ms),
        send=None if row.send_ms is None else moment(row.send_ms),
        next=None if row.next_ms is None else moment(row.next_ms),
        attempts=row.attempts,
        ack=None if row.ack_ms is None else moment(row.ack_ms),
        outcome=None if row.outcome is None else CorrectionOutcome(row.outcome),
        note=row.note or "",
        open_index=row.open_index,
    )


def aad(partner: str, identifier: bytes, direction: int) -> bytes:
    """Return what the papers of a correction are bound to."""
    return pae(_LABEL, partner.encode(), identifier, bytes([direction]))


def filed_aad(partner: str, number: str, identifier: bytes) -> bytes:
    """Return what a notice beside an answer is bound to."""
    return pae(_FILED_LABEL, partner.encode(), number.encode(), identifier)
