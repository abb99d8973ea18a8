"""What one of our people rules on a day and somebody ends on another: legal holds, and refusals to partners.

A ruling is a row that is never changed and never removed by its end; another reason is another ruling. It ends once,
and says by whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, insert, select, update

from gateway.errors import InternalError, UserError
from gateway.store.effects import Effect, says
from gateway.store.times import milliseconds


class RulingState(Enum):
    """Where a ruling stands."""

    STANDING = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Rulings:
    """The rulings of one table.

    made, ended   when, milliseconds since 1970; `ended` is NULL while it stands
    ended_by      who ended it
    what          one of them, in words
    gone          what is told of one that does not stand
    """

    table: Table
    made: Column[int]
    ended: Column[int]
    ended_by: Column[str]
    what: str
    gone: str

    def standing(self, connection: Connection, *which: ColumnElement[bool]) -> list[Row[Any]]:
        """Return those that stand and meet the conditions, by their identifiers."""
        return [*connection.execute(self.standing_where(*which))]

    def standing_where(self, *which: ColumnElement[bool]) -> Select[Any]:
        """Return the statement of `standing`, for whoever asks it often."""
        wanted = select(self.table).where(self.ended.is_(None), *which)
        return wanted.order_by(self.table.c.id)

    def every(self, connection: Connection, *which: ColumnElement[bool]) -> list[Row[Any]]:
        """Return all there ever were that meet the conditions, the newest first."""
        wanted = select(self.table).where(*which).order_by(self.made.desc(), self.table.c.id)
        return [*connection.execute(wanted)]

    def make(self, **values: object) -> tuple[Effect, ...]:
        """Return what makes one, together with its leaf."""
        there = says(InternalError, f"{self.what} of this identifier is there")
        return (Effect(insert(self.table).values(**values), rows=1, refusal=there),)

    def end(self, identifier: str, person: str, now: datetime) -> tuple[Effect, ...]:
        """Return what ends one, together with its leaf; the commit raises UserError where it does not stand."""
        row = (
            update(self.table)
            .where(self.table.c.id == identifier, self.ended.is_(None))
            .values({self.ended_by: person, self.ended: milliseconds(now)})
        )
        return (Effect(row, rows=1, refusal=says(UserError, self.gone)),)
