"""What others have said of our checkpoints: cosignatures of witnesses, and tokens of a time stamp authority."""

from __future__ import annotations

from sqlalchemy import Connection, select

from gateway.store.schema import cosignatures as said
from gateway.store.schema import timestamps


def cosignatures(connection: Connection, first: int, size: int) -> list[tuple[int, bytes]]:
    """Return size and note of each cosigned checkpoint over more than `first` and up to `size` leaves."""
    wanted = (
        select(said.c.size, said.c.note)
        .where(said.c.size > first, said.c.size <= size)
        .order_by(said.c.size, said.c.witness)
    )
    return [(row.size, row.note) for row in connection.execute(wanted)]


def tokens(connection: Connection, first: int, size: int) -> list[tuple[int, bytes]]:
    """Return size and token of each stamped checkpoint over more than `first` and up to `size` leaves."""
    wanted = (
        select(timestamps.c.size, timestamps.c.token)
        .where(timestamps.c.size > first, timestamps.c.size <= size)
        .order_by(timestamps.c.size)
    )
    return [(row.size, row.token) for row in connection.execute(wanted)]
