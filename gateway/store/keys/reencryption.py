"""What is sealed with a data key: where it lies, how much of it, and its way to the key that followed.

Each sealed thing begins with the tag of its key (`keys.data_encryption`); one without a tag was sealed before there were
several. A thing keeps its place and what it is bound to; only the key changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    PrimaryKeyConstraint,
    Table,
    and_,
    func,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.engine import Row

from gateway.errors import InternalError
from gateway.store.casework import corrections, outbound_queries, reviews
from gateway.store.effects import Effect
from gateway.store.exchange import transactions
from gateway.store.ledger import detail_periods
from gateway.store.ledger.detail_periods import Survivors
from gateway.store.people import person_records, subjects
from gateway.store.schema import asked, correction_papers, filed_notices, samples
from gateway.store.schema import detail_periods as periods
from gateway.store.schema import reviews as review_rows
from gateway.store.schema import subjects as subject_rows
from gateway.store.schema import transactions as transaction_rows
from keys.data_encryption import TAG_BYTES, DataRing
from keys.errors import OpenRefused

LARGE = 20  # things of up to half a megabyte


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed things, and what each of them is bound to.

    most   how many are held at a time: few, where one may be a photograph or several
    kept   which of its things go to the key that followed; the others leave before the old key does
    """

    table: Table
    name: str
    bound: Callable[[Row[Any]], bytes]
    most: int = 500
    kept: ColumnElement[bool] = field(default_factory=true)

    @property
    def key(self) -> PrimaryKeyConstraint:
        """The primary key of the table."""
        return self.table.primary_key

    @property
    def column(self) -> Column[bytes]:
        """The sealed things."""
        return self.table.c[self.name]

    def otherwise(self, tag: bytes) -> ColumnElement[bool]:
        """Return what is true of things that are sealed with any key but that of a tag."""
        return and_(self.column.is_not(None), func.substr(self.column, 1, TAG_BYTES) != tag)


SEALED_COLUMNS = (
    SealedColumn(
        samples,
        "sealed",
        lambda r: subjects.aad(
            r.label, r.subject_id, (r.modality, r.position, r.impression_number), r.format
        ),
    ),
    SealedColumn(subject_rows, "record", lambda r: person_records.aad(r.id, r.record_version)),
    SealedColumn(
        transaction_rows,
        "result",
        lambda r: transactions.aad(transactions.RESULT_LABEL, r.partner, r.number),
    ),
    SealedColumn(
        transaction_rows,
        "subject",
        lambda r: transactions.aad(transactions.FINDING_LABEL, r.partner, r.number),
    ),
    SealedColumn(review_rows, "sealed_key", lambda r: reviews.aad(r.case_id, b"key")),
    SealedColumn(
        correction_papers, "sealed", lambda r: corrections.aad(r.partner, r.id, r.direction), LARGE
    ),
    SealedColumn(
        filed_notices, "sealed", lambda r: corrections.filed_aad(r.partner, r.number, r.id), LARGE
    ),
    SealedColumn(asked, "sealed", lambda r: outbound_queries.aad(r.partner, r.number), LARGE),
    SealedColumn(
        periods, "seed", lambda r: detail_periods.seed_aad(r.id), kept=periods.c.touched == 0
    ),
)


def otherwise(connection: Connection, tag: bytes) -> int:
    """Return how many things are sealed with any key but that of a tag."""
    return sum(
        connection.execute(
            select(func.count()).select_from(sealed.table).where(sealed.otherwise(tag))
        ).scalar_one()
        for sealed in SEALED_COLUMNS
    )


def list_unopened(connection: Connection, ring: DataRing, tags: Collection[bytes]) -> list[str]:
    """Return the tables in which something is sealed with a key that `ring` does not hold.

    tags   those of the keys it holds. What begins with none of them is opened: it may be from before there were tags
    """
    found = []
    for sealed in SEALED_COLUMNS:
        strange = func.substr(sealed.column, 1, TAG_BYTES).not_in(tags)
        # A touched period's marker has no seed.
        wanted = select(sealed.table).where(strange, sealed.column != detail_periods.BEFORE)
        rows = connection.execute(wanted.execution_options(yield_per=sealed.most))
        if any(not _opens(sealed, ring, row) for row in rows):
            found.append(sealed.table.name)
    return found


def _opens(sealed: SealedColumn, ring: DataRing, row: Row[Any]) -> bool:
    try:
        ring.open(getattr(row, sealed.name), sealed.bound(row))
    except OpenRefused:
        return False
    return True


class Pass:
    """One pass through everything that is sealed, to the key of `tag`, which must be the one that seals.

    It reads every table once, in the order of its primary key, however many batches it takes. A thing that was changed or
    erased meanwhile stays as it then is. One that no key opens keeps no other back.
    """

    def __init__(self, ring: DataRing, tag: bytes) -> None:
        self._ring, self._tag = ring, tag
        self._left = list(SEALED_COLUMNS)
        self._after: tuple[Any, ...] | None = None
        self._broken: InternalError | None = None

    def batch(self, connection: Connection, most: int) -> tuple[Effect, ...]:
        """Return what brings at most so many things to the new key; nothing when the pass is over.

        Raises InternalError at its end where something opened with no key, which names the table.
        """
        found: list[Effect] = []
        while self._left and len(found) < most:
            sealed = self._left[0]
            page = min(most - len(found), sealed.most)
            rows = self._rows(connection, sealed, page)
            found += self._build_moves(sealed, rows)
            if len(rows) < page:
                self._left.pop(0)
                self._after = None
            elif found:
                break  # more of it another time
        if self._broken is not None and not found:
            raise self._broken
        return tuple(found)

    def _rows(self, connection: Connection, sealed: SealedColumn, most: int) -> Sequence[Row[Any]]:
        key = sealed.key.columns
        wanted = select(sealed.table).where(sealed.otherwise(self._tag), sealed.kept)
        wanted = wanted.order_by(*key)
        if self._after is not None:
            wanted = wanted.where(tuple_(*key) > tuple_(*self._after))
        return connection.execute(wanted.limit(most)).all()

    def _build_moves(self, sealed: SealedColumn, rows: Iterable[Row[Any]]) -> Iterator[Effect]:
        for row in rows:
            self._after = tuple(getattr(row, column.name) for column in sealed.key.columns)
            try:
                yield _move(sealed, self._ring, row)
            except InternalError as fault:
                self._broken = self._broken or fault


class Turn:
    """All that an earlier data key sealed, on its way to the one of `tag`: what is left of touched periods first, then the rest.

    A key that nothing opens keeps none of the rest back.
    """

    def __init__(self, ring: DataRing, tag: bytes) -> None:
        self._survivors = Survivors(ring, tag)
        self._pass = Pass(ring, tag)
        self._emptied = False

    def batch(self, connection: Connection, most: int, now_ms: int) -> tuple[Effect, ...] | None:
        """Return what moves at most so many things; none where nothing was found yet, None when all is done.

        Raises InternalError at the end where something opened with no key, which names the table.
        """
        if not self._emptied:
            found = self._survivors.batch(connection, most, now_ms)
            if found is not None:
                return found
            self._emptied = True
        effects = self._pass.batch(connection, most)
        if not effects:
            self._survivors.demand_whole()
        return effects or None


def _move(sealed: SealedColumn, ring: DataRing, row: Row[Any]) -> Effect:
    before = getattr(row, sealed.name)
    try:
        bound = sealed.bound(row)
        plain = ring.open(before, bound)
    except OpenRefused:
        raise InternalError(
            f"something sealed in the table {sealed.table.name} opens with no key that is kept;"
            " restore it from a backup"
        ) from None
    here = [column == getattr(row, column.name) for column in sealed.key.columns]
    return Effect(
        update(sealed.table)
        .where(*here, sealed.column == before)
        .values({sealed.name: ring.seal(plain, bound)})
    )
