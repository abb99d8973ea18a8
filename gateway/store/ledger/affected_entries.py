"""Which entries speak of a message that a key signed, or that was sealed to it; read page after page.

A leaf holds the ids as bytes, so the database finds them without an index of its own: it reads the leaves since
the moment that is asked about, half a kilobyte each. An index over every key id of every message would be the
ledger's size again, for a question that is asked at a key compromise alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import Connection, func, select

from gateway.domain.messages import Direction
from gateway.ledger.entry import EntryType, Frame, decode
from gateway.store.engine import Position, StorageEngine
from gateway.store.schema import leaves
from gateway.store.times import milliseconds

STRIDE = 20_000  # leaves looked through in one snapshot: ten megabytes, some tens of milliseconds

# Entries about a key; all others that bear its id are of messages.
_ABOUT_KEYS = frozenset({EntryType.KEY, EntryType.ALARM, EntryType.DIRECTORY})


class Use(Enum):
    """What a message has to do with a key."""

    SIGNED = "signed by it"
    SEALED = "sealed to it"


@dataclass(frozen=True, slots=True)
class Affected:
    """An entry of a message that a key signed, or that was sealed to it."""

    index: int
    type: EntryType
    time: datetime
    partner: str
    direction: Direction | None
    number: str
    message_id: bytes
    use: Use


def iter_affected(
    database: StorageEngine, kid: bytes, since: datetime, *, after: int = -1
) -> Iterator[Affected]:
    """Yield every entry since a moment of a message that `kid` signed or that was sealed to it, in order.

    after   index of the last entry that is known already
    """
    with database.reader() as reader:
        start, stop = max(_first(reader, since), after + 1), _size(reader)
    for first in range(start, stop, STRIDE):
        wanted = (
            select(leaves.c.idx, leaves.c.leaf)
            .where(
                leaves.c.idx >= first,
                leaves.c.idx < min(first + STRIDE, stop),
                Position(leaves.c.leaf, kid) > 0,
            )
            .order_by(leaves.c.idx)
        )
        with database.reader() as reader:
            rows = reader.execute(wanted).all()
        for row in rows:
            frame = decode(row.leaf)
            use = _use(frame, kid)
            if use is not None:
                yield Affected(
                    index=row.idx,
                    type=frame.type,
                    time=frame.time,
                    partner=frame.partner_id,
                    direction=frame.direction,
                    number=frame.transaction_number,
                    message_id=frame.message_id,
                    use=use,
                )


def _use(frame: Frame, kid: bytes) -> Use | None:
    """Return the use; the bytes of an id may be elsewhere in a leaf by somebody's intent."""
    if frame.type in _ABOUT_KEYS:
        return None
    if frame.signing_key_id == kid:
        return Use.SIGNED
    return Use.SEALED if frame.kem_key_id == kid else None


def _first(connection: Connection, since: datetime) -> int:
    """Return the index of the first leaf at or after a moment: times never fall, so halving finds it."""
    low, high = 0, _size(connection)
    wanted = milliseconds(since)
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(select(leaves.c.time_ms).where(leaves.c.idx == middle)).scalar()
        if found is None or found >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def _size(connection: Connection) -> int:
    highest = connection.execute(select(func.max(leaves.c.idx))).scalar()
    return 0 if highest is None else highest + 1
