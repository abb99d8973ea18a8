"""What others have said of our checkpoints: cosignatures of witnesses, and tokens of a time stamp authority."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from gateway.ledger.entry import EntryType, MalformedEntry, decode
from gateway.ledger.timestamp import Entry, entry_of
from gateway.store.effects import LEAF, Effect
from gateway.store.schema import checkpoints, leaves, timestamps
from gateway.store.schema import cosignatures as said
from gateway.store.times import moment

DAY: Final = 86_400_000  # milliseconds


def cosignatures(connection: Connection, first: int, size: int) -> list[tuple[int, bytes]]:
    """Return size and note of each cosigned checkpoint over more than `first` and up to `size` leaves."""
    wanted = (
        select(said.c.size, said.c.note)
        .where(said.c.size > first, said.c.size <= size)
        .order_by(said.c.size, said.c.witness)
    )
    return [(row.size, row.note) for row in connection.execute(wanted)]


def tokens(connection: Connection, first: int, size: int) -> list[tuple[int, bytes]]:
    """Return size and token of each stamped checkpoint over more than `first` leaves, with its entry before `size`."""
    wanted = (
        select(timestamps.c.size, timestamps.c.token)
        .where(timestamps.c.size > first, timestamps.c.idx < size)
        .order_by(timestamps.c.size)
    )
    return [(row.size, row.token) for row in connection.execute(wanted)]


def latest(connection: Connection) -> list[tuple[int, str, bytes]]:
    """Return size, witness and note of each witness's newest cosignature, the largest tree first."""
    newest = (
        select(said.c.witness, func.max(said.c.size).label("size"))
        .group_by(said.c.witness)
        .subquery()
    )
    wanted = (
        select(said.c.size, said.c.witness, said.c.note)
        .join(newest, (said.c.witness == newest.c.witness) & (said.c.size == newest.c.size))
        .order_by(said.c.size.desc(), said.c.witness)
    )
    return [(row.size, row.witness, row.note) for row in connection.execute(wanted)]


def under(connection: Connection, size: int) -> list[bytes]:
    """Return the cosigned notes over one size."""
    wanted = select(said.c.note).where(said.c.size == size).order_by(said.c.witness)
    return list(connection.execute(wanted).scalars())


def sizes(connection: Connection, limit: int) -> list[int]:
    """Return the largest sizes that anybody cosigned."""
    wanted = select(said.c.size).distinct().order_by(said.c.size.desc()).limit(limit)
    return list(connection.execute(wanted).scalars())


def root_of(connection: Connection, size: int) -> tuple[bytes, bytes] | None:
    """Return root and note of our checkpoint over a size; None where we signed none."""
    wanted = select(checkpoints.c.root, checkpoints.c.note).where(checkpoints.c.size == size)
    found = connection.execute(wanted).one_or_none()
    return None if found is None else (found.root, found.note)


def first_beyond(connection: Connection, size: int) -> int | None:
    """Return when, in milliseconds, the first checkpoint over more than `size` leaves was signed."""
    wanted = (
        select(checkpoints.c.time_ms)
        .where(checkpoints.c.size > size)
        .order_by(checkpoints.c.size)
        .limit(1)
    )
    found: int | None = connection.execute(wanted).scalar()
    return found


def kept(size: int, witness: str, note: bytes) -> tuple[Effect, ...]:
    """Return the effect that keeps a cosignature; of one witness one a day of our checkpoints is kept, and the newest."""
    time = select(checkpoints.c.time_ms).where(checkpoints.c.size == size).scalar_subquery()
    same_day = select(checkpoints.c.size).where(checkpoints.c.time_ms >= time - time % DAY)
    today = (said.c.size < size) & said.c.size.in_(same_day)
    again = said.c.size == size  # it looked twice at a ledger that did not grow
    old = delete(said).where((said.c.witness == witness) & (today | again))
    row = insert(said).values(size=size, witness=witness, note=note)
    return Effect(old), Effect(row)


def stamped(size: int, token: bytes) -> tuple[Effect, ...]:
    """Return the effect that keeps a time stamp beside its entry, the first leaf of the commit."""
    row = insert(timestamps).values(size=size, token=token, idx=LEAF)
    return (Effect(row, leaf=0),)


def last_stamp(connection: Connection) -> datetime | None:
    """Return when the last time stamp was kept, as its entry says."""
    wanted = select(func.max(leaves.c.time_ms)).join(timestamps, timestamps.c.idx == leaves.c.idx)
    found = connection.execute(wanted).scalar()
    return None if found is None else moment(found)


def stamp_entries(connection: Connection) -> list[Entry]:
    """Return what every TIMESTAMP entry says, in order."""
    wanted = (
        select(leaves.c.idx, leaves.c.leaf)
        .where(leaves.c.type == int(EntryType.TIMESTAMP))
        .order_by(leaves.c.idx)
    )
    found = []
    for row in connection.execute(wanted):
        with suppress(MalformedEntry):  # whoever verifies the leaf says so
            found.append(entry_of(row.idx, decode(row.leaf)))
    return [each for each in found if each is not None]


def every_token(connection: Connection) -> list[tuple[int, bytes, int]]:
    """Return size and token of every time stamp, and the index that its row gives to its entry."""
    wanted = select(timestamps).order_by(timestamps.c.size)
    return [(row.size, row.token, row.idx) for row in connection.execute(wanted)]
