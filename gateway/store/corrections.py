"""The rows of corrections: what each says until its duty is done, and what moves it on.

What a correction says, and the letter in which it travels, is sealed in its row, bound to that row, and goes
when the duty is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, select, update

from gateway.aftercare import CorrectionKind, CorrectionOutcome
from gateway.errors import Fault, InProgress
from gateway.store.casebook import corrections
from gateway.store.effects import LEAF, Effect, says
from gateway.store.redress import Act, Correction, Standing, step
from gateway.store.times import milliseconds, moment
from gateway.terms import Direction
from keys.datakey import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

_LABEL = b"passerelle/1/correction"
_HEAD = 12  # bytes: u64be end of the letter's life in milliseconds, u32be length of the notice


@dataclass(frozen=True, slots=True)
class Papers:
    """What a correction says, and the letter that carries it while it lives.

    notice   the payload of the notice
    letter   what a courier made of it; empty where it must be written anew
    until    when that letter's life ends, milliseconds
    """

    notice: bytes = field(repr=False)
    letter: bytes = field(default=b"", repr=False)
    until: int = 0


def opened(correction: Correction, sealed: bytes, leaf: int) -> Effect:
    """Return what adds a correction; its CORRECTION leaf is number `leaf` of the commit.

    The commit raises InProgress for an identifier that this partner used meanwhile.
    """
    row = insert(corrections).values(
        id=correction.id,
        partner=correction.partner,
        direction=int(correction.direction),
        number=correction.number,
        kind=int(correction.kind),
        state=int(Standing.OPEN),
        sealed=sealed,
        opened_by=correction.opened_by,
        open_ms=milliseconds(correction.open),
        due_ms=milliseconds(correction.due),
        next_ms=milliseconds(correction.open),
        attempts=0,
        open_index=LEAF,
    )
    return Effect(row, rows=1, leaf=leaf, refusal=says(InProgress))


def moved(correction: Correction, act: Act, **values: Any) -> Effect:  # noqa: ANN401 - columns of many types
    """Return what moves a correction on by `act` and sets columns; in the end what it says is erased.

    The commit raises InProgress where it was moved meanwhile.
    """
    after = step(correction.direction, correction.state, act)
    if after is Standing.ACKNOWLEDGED:
        values |= {"sealed": None, "next_ms": None}
    row = update(corrections).where(_same(correction)).values(state=int(after), **values)
    return Effect(row, rows=1, refusal=says(InProgress))


def kept(correction: Correction, **values: Any) -> Effect:  # noqa: ANN401 - columns of many types
    """Return what sets columns and moves nothing; nothing at all where it was moved meanwhile."""
    return Effect(update(corrections).where(_same(correction)).values(**values))


def reminded(correction: Correction, **values: Any) -> Effect:  # noqa: ANN401 - columns of many types
    """Return what sets columns together with the entry of a reminder, and moves nothing.

    The commit raises InProgress where it was moved meanwhile: the entry would stand after the end.
    """
    return replace(kept(correction, **values), rows=1, refusal=says(InProgress))


def find(
    connection: Connection, partner: str, identifier: bytes, direction: Direction
) -> Correction | None:
    """Return the correction of this pair under an identifier; another partner's is as unknown as none."""
    row = connection.execute(select(corrections).where(_named(partner, identifier, direction)))
    found = row.one_or_none()
    return None if found is None else _read(found)


_GOING = [int(each) for each in Standing if each is not Standing.ACKNOWLEDGED]


def partners(connection: Connection) -> tuple[str, ...]:
    """Return the partners with whom a correction is unfinished."""
    wanted = select(corrections.c.partner).where(corrections.c.state.in_(_GOING)).distinct()
    return tuple(connection.scalars(wanted))


def unfinished(connection: Connection, partner: str = "") -> tuple[Correction, ...]:
    """Return every correction, or a partner's, whose duty is not done and acknowledged, the oldest first."""
    wanted = select(corrections).where(corrections.c.state.in_(_GOING))
    if partner:
        wanted = wanted.where(corrections.c.partner == partner)
    return tuple(_read(row) for row in connection.execute(wanted.order_by(corrections.c.open_ms)))


def under(connection: Connection, identifier: bytes) -> tuple[Correction, ...]:
    """Return the corrections under an identifier, of whichever pair and direction."""
    wanted = select(corrections).where(corrections.c.id == identifier)
    return tuple(_read(row) for row in connection.execute(wanted))


def every(
    connection: Connection, partner: str = "", number: str = "", limit: int = 1000
) -> tuple[Correction, ...]:
    """Return corrections, the newest first, of all partners and queries or of those named."""
    wanted = (
        select(corrections).order_by(corrections.c.open_ms.desc(), corrections.c.id).limit(limit)
    )
    if partner:
        wanted = wanted.where(corrections.c.partner == partner)
    if number:
        wanted = wanted.where(corrections.c.number == number)
    return tuple(_read(row) for row in connection.execute(wanted))


def seal(data_key: DataRing, correction: Correction, papers: Papers) -> bytes:
    """Return papers sealed for their row, so that no other row can bear them."""
    head = papers.until.to_bytes(8, "big") + len(papers.notice).to_bytes(4, "big")
    return data_key.seal(
        head + papers.notice + papers.letter,
        aad(correction.partner, correction.id, int(correction.direction)),
    )


def papers_of(data_key: DataRing, correction: Correction) -> Papers:
    """Return what a correction says; raises Fault where it was altered, moved or is gone."""
    try:
        octets = data_key.open(
            correction.sealed or b"",
            aad(correction.partner, correction.id, int(correction.direction)),
        )
    except OpenRefused:
        raise Fault("what a correction says does not open: altered, moved, or erased") from None
    end = _HEAD + int.from_bytes(octets[8:_HEAD], "big")
    return Papers(octets[_HEAD:end], octets[end:], int.from_bytes(octets[:8], "big"))


def _named(partner: str, identifier: bytes, direction: Direction) -> ColumnElement[bool]:
    return and_(
        corrections.c.partner == partner,
        corrections.c.id == identifier,
        corrections.c.direction == int(direction),
    )


def _same(correction: Correction) -> ColumnElement[bool]:
    """Name the row as long as it is where it was read."""
    named = _named(correction.partner, correction.id, correction.direction)
    return and_(named, corrections.c.state == int(correction.state))


def _read(row: Row[Any]) -> Correction:
    return Correction(
        id=row.id,
        partner=row.partner,
        direction=Direction(row.direction),
        number=row.number,
        kind=CorrectionKind(row.kind),
        state=Standing(row.state),
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
        sealed=row.sealed,
    )


def aad(partner: str, identifier: bytes, direction: int) -> bytes:
    """Return what the papers of a correction are bound to."""
    return pae(_LABEL, partner.encode(), identifier, bytes([direction]))
