"""What is sealed with a data key: where it lies, how much of it, and its way to the key that followed.

Each sealed thing begins with the tag of its key (`keys.data_encryption`); one without a tag was sealed before there were
several. A thing keeps its place and what it is bound to; only the key changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, and_, func, select, update
from sqlalchemy.engine import Row

from gateway.errors import InternalError
from gateway.store.casework import corrections, outbound_queries, reviews
from gateway.store.effects import Effect
from gateway.store.exchange import transactions
from gateway.store.people import person_records, subjects
from gateway.store.schema import asked, correction_papers, filed_notices, samples
from gateway.store.schema import reviews as review_rows
from gateway.store.schema import subjects as subject_rows
from gateway.store.schema import transactions as transaction_rows
from keys.data_encryption import TAG_BYTES, DataRing
from keys.errors import OpenRefused

LARGE = 20  # things of up to half a megabyte


@dataclass(frozen=True, slots=True)
class Drawer:
    """A column of sealed things, and what each of them is bound to.

    most   how many are held at a time: few, where one may be a photograph or several
    """

    table: Table
    name: str
    bound: Callable[[Row[Any]], bytes]
    most: int = 500

    @property
    def column(self) -> Column[bytes]:
        """The sealed things."""
        return self.table.c[self.name]

    def otherwise(self, tag: bytes) -> ColumnElement[bool]:
        """Return what is true of things that are sealed with any key but that of a tag."""
        return and_(self.column.is_not(None), func.substr(self.column, 1, TAG_BYTES) != tag)


DRAWERS = (
    Drawer(
        samples,
        "sealed",
        lambda r: subjects.aad(r.label, r.subject_id, r.modality, r.position, r.format),
    ),
    Drawer(subject_rows, "record", lambda r: person_records.aad(r.id, r.record_version)),
    Drawer(
        transaction_rows,
        "result",
        lambda r: transactions.aad(transactions.RESULT_LABEL, r.partner, r.number),
    ),
    Drawer(
        transaction_rows,
        "subject",
        lambda r: transactions.aad(transactions.FINDING_LABEL, r.partner, r.number),
    ),
    Drawer(review_rows, "sealed_key", lambda r: reviews.aad(r.case_id, b"key")),
    Drawer(
        correction_papers, "sealed", lambda r: corrections.aad(r.partner, r.id, r.direction), LARGE
    ),
    Drawer(
        filed_notices, "sealed", lambda r: corrections.filed_aad(r.partner, r.number, r.id), LARGE
    ),
    Drawer(asked, "sealed", lambda r: outbound_queries.aad(r.partner, r.number), LARGE),
)


def otherwise(connection: Connection, tag: bytes) -> int:
    """Return how many things are sealed with any key but that of a tag."""
    return sum(
        connection.execute(
            select(func.count()).select_from(drawer.table).where(drawer.otherwise(tag))
        ).scalar_one()
        for drawer in DRAWERS
    )


def moves(connection: Connection, ring: DataRing, tag: bytes, most: int) -> Iterator[Effect]:
    """Yield what brings at most so many things to the key of `tag`, which must be the one that seals.

    A thing that was changed or erased meanwhile stays as it then is. One that no key opens keeps no other back:
    where nothing else is left, raises InternalError that names its table.
    """
    broken: InternalError | None = None
    moved = False
    for drawer in DRAWERS:
        wanted = select(drawer.table).where(drawer.otherwise(tag)).limit(min(most, drawer.most))
        rows = connection.execute(wanted).all()
        most -= len(rows)
        for row in rows:
            try:
                effect = _move(drawer, ring, row)
            except InternalError as fault:
                broken = broken or fault
            else:
                moved = True
                yield effect
    if broken is not None and not moved:
        raise broken


def _move(drawer: Drawer, ring: DataRing, row: Row[Any]) -> Effect:
    before = getattr(row, drawer.name)
    try:
        bound = drawer.bound(row)
        plain = ring.open(before, bound)
    except OpenRefused:
        raise InternalError(
            f"something sealed in the table {drawer.table.name} opens with no key that is kept;"
            " restore it from a backup"
        ) from None
    here = [column == getattr(row, column.name) for column in drawer.table.primary_key.columns]
    return Effect(
        update(drawer.table)
        .where(*here, drawer.column == before)
        .values({drawer.name: ring.seal(plain, bound)})
    )
