"""What changed in the store that every process over it follows: numbered, in order, never taken away.

A process that keeps something of the store in memory compares the newest number with the one it read at, and reads
again where they differ. A change takes its number in the commit that makes it, so that no reader sees one without the other.
"""

from __future__ import annotations

from enum import Enum

from sqlalchemy import Connection, func, insert, literal, select

from gateway.store.effects import Effect
from gateway.store.schema import changes


class Change(Enum):
    """The kinds of what is followed."""

    BLOCKED_KEY = "blocked_key"  # a key of a partner that is refused from now on, or no longer


# Made once: one is asked at every check of a partner's key.
_NEWEST = select(func.max(changes.c.number))


def newest(connection: Connection) -> int:
    """Return the number of the newest change in this snapshot, 0 before the first."""
    found: int | None = connection.execute(_NEWEST).scalar()
    return found or 0


def announce(kind: Change) -> Effect:
    """Return what gives a change the next number; commits are made one after the other, so no two take the same."""
    number = func.coalesce(func.max(changes.c.number), 0) + 1
    row = select(number, literal(kind.value)).select_from(changes)
    return Effect(insert(changes).from_select(["number", "kind"], row), rows=1)
