"""Which entries belong to a transaction: its own, those of what followed it, and those of the keys it used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, or_, select

from gateway.ledger.entry import EntryType, decode
from gateway.store.schema import corrections, detail_keys, details, disclosures, leaves
from gateway.store.times import milliseconds


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A leaf with its sealed detail; ciphertext is None where there is none, sealed_dek once it was shredded."""

    index: int
    leaf: bytes = field(repr=False)
    ciphertext: bytes | None = field(repr=False)
    sealed_dek: bytes | None = field(repr=False)


def partners_of(connection: Connection, number: str) -> list[str]:
    """Return the partners that have an entry of this transaction number; it is unique only within a pair."""
    wanted = select(leaves.c.partner).where(leaves.c.transaction_number == number).distinct()
    return sorted(connection.execute(wanted).scalars())


def of_transaction(connection: Connection, partner: str, number: str) -> list[StoredEntry]:
    """Return the entries of a partner's transaction and of what followed it, in order."""
    later = select(disclosures.c.details_number).where(
        disclosures.c.partner == partner, disclosures.c.number == number
    )
    # The entries of a correction bear its own number; which query it is about, its row says (protocol 10).
    about = select(corrections.c.id).where(
        corrections.c.partner == partner, corrections.c.number == number
    )
    corrected = [each.hex() for each in connection.execute(about).scalars()]
    numbered = or_(
        leaves.c.transaction_number == number,
        leaves.c.transaction_number.in_(later),
        leaves.c.transaction_number.in_(corrected),
    )
    here = (leaves.c.partner == partner) & numbered
    found = _entries(connection, here)
    kids = {
        kid.hex()
        for each in found
        for frame in [decode(each.leaf)]
        for kid in (frame.signing_key_id, frame.kem_key_id)
        if kid
    }
    of_keys = [
        each
        for each in _entries(connection, leaves.c.type == int(EntryType.KEY))
        if decode(each.leaf).subject_reference in kids
    ]
    return sorted({each.index: each for each in (*found, *of_keys)}.values(), key=_index)


def queries_since(
    connection: Connection, since: datetime, after: int, limit: int
) -> list[StoredEntry]:
    """Return a page of REQUEST, RESPONSE and VERDICT entries from a moment on, beyond leaf `after`."""
    kinds = [int(EntryType.REQUEST), int(EntryType.RESPONSE), int(EntryType.VERDICT)]
    here = (
        leaves.c.type.in_(kinds)
        & (leaves.c.time_ms >= milliseconds(since))
        & (leaves.c.idx > after)
    )
    return _entries(connection, here, limit)


def _entries(connection: Connection, here: object, limit: int | None = None) -> list[StoredEntry]:
    joined = leaves.outerjoin(details, details.c.idx == leaves.c.idx).outerjoin(
        detail_keys, detail_keys.c.idx == leaves.c.idx
    )
    columns = (leaves.c.idx, leaves.c.leaf, details.c.ciphertext, detail_keys.c.sealed_dek)
    wanted = select(*columns).select_from(joined).where(here).order_by(leaves.c.idx)  # type: ignore[arg-type]
    rows: Iterator[object] = iter(connection.execute(wanted.limit(limit)))
    return [StoredEntry(*row) for row in rows]  # type: ignore[misc]


def _index(each: StoredEntry) -> int:
    return each.index
