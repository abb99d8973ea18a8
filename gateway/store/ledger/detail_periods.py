"""The second seal of the keys to details: so that what is shredded ends in every copy of the database, not in this one alone.

    detail_keys.sealed_dek   period (8) ‖ nonce (12) ‖ the sealed key, under the period's key ‖ tag (16); bound to its index
    detail_periods.seed      what the period's key is made of, sealed by the data key

A week's details share a period. To shred one is to delete its row; a copy from before keeps the row, and the period's key
opens it. So a period of which something was shredded is TOUCHED: when the data key is followed, what is left of it goes under
the key of another period, and its own key goes with the data key (`Survivors`). One of which nothing was shredded only has its seed
sealed anew. So a turn of the data key costs a row a week, and what shares a week with shredded details; not every detail.

What is left goes to a period of its SPAN of entries, so that a later shredding moves those anew, and no others.

A row of SEALED_KEY bytes is from before there were periods. A marker, a touched period without a seed, has them sealed too.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from gateway.errors import InternalError
from gateway.ledger.archive import SEALED_KEY
from gateway.store.effects import Effect, says
from gateway.store.schema import detail_keys, detail_periods
from keys.data_encryption import NONCE_BYTES, SEED_BYTES, TAG_BYTES, DataKey, DataRing, tag_of
from keys.errors import OpenRefused
from keys.pae import pae

SEED_LABEL = b"passerelle/1/detail period"
KEY_LABEL = b"passerelle/1/detail key"
LASTS: Final = timedelta(days=7) // timedelta(
    milliseconds=1
)  # so long new details go into one period
WINDOW: Final = 2000  # entries that are looked through at a time
SPAN: Final = 20 * WINDOW  # entries of which what is left shares a period
BEFORE: Final = bytes(TAG_BYTES)  # the marker's id, and what stands for its seed
SECOND_SEAL: Final = (
    TAG_BYTES + NONCE_BYTES + 16
)  # bytes that a stored key has more than the sealed key

Periods = Mapping[bytes, DataKey | None]  # None for one that no data key opens

_INSERT = insert(detail_periods)
_OPEN = (
    select(detail_periods.c.id, detail_periods.c.seed, detail_periods.c.begin_ms)
    .where(detail_periods.c.touched == 0)
    .order_by(detail_periods.c.begin_ms.desc(), detail_periods.c.first.desc())
    .limit(1)
)
_NEWEST = _OPEN.where(detail_periods.c.moved == 0)
_NEWEST_MOVED = _OPEN.where(
    detail_periods.c.moved == 1, detail_periods.c.first == bindparam("first")
)


def seed_aad(period: bytes) -> bytes:
    """Return what the seed of a period is bound to."""
    return pae(SEED_LABEL, period)


def _key_aad(index: int) -> bytes:
    return pae(KEY_LABEL, index.to_bytes(8, "big"))


def open_seeds(connection: Connection, data_key: DataRing) -> dict[bytes, bytes]:
    """Return what the key of each period is made of, by its id; empty for one that no data key opens."""
    rows = connection.execute(select(detail_periods).where(detail_periods.c.id != BEFORE))
    found = {}
    for row in rows:
        found[row.id] = b""
        with suppress(OpenRefused):
            found[row.id] = data_key.open(row.seed, seed_aad(row.id))
    return found


def open_periods(connection: Connection, data_key: DataRing) -> Periods:
    """Return the key of each period, by its id."""
    return periods_of(open_seeds(connection, data_key))


def periods_of(seeds: Mapping[bytes, bytes]) -> Periods:
    """Return the keys of the periods of which `open_seeds` said the seeds. Raises ValueError for what is no seed."""
    return {period: DataKey.from_seed(seed) if seed else None for period, seed in seeds.items()}


def unknown(connection: Connection, periods: Periods) -> bool:
    """Say whether there is a period that is not among these."""
    ids = connection.execute(select(detail_periods.c.id)).scalars()
    return not {BEFORE, *periods} >= set(ids)


def open_stored_key(index: int, stored: bytes, periods: Periods) -> bytes | None:
    """Return the sealed key of a detail as its auditor needs it; None where none of `periods` opens it."""
    if len(stored) == SEALED_KEY:
        return stored
    key = periods.get(stored[:TAG_BYTES])
    with suppress(OpenRefused):
        return None if key is None else key.open(stored[TAG_BYTES:], _key_aad(index))
    return None


class DetailPeriods:
    """Seals the keys of new details; for the sequencer's thread."""

    def __init__(self, data_key: DataRing) -> None:
        self._data_key = data_key
        self._known: tuple[bytes, DataKey] | None = None

    def seal(self, writer: Connection, rows: Iterable[dict[str, Any]], now_ms: int) -> None:
        """Seal the keys in `rows` in place, in the transaction that writes them."""
        at: tuple[bytes, DataKey] | None = None
        for row in rows:
            period, key = at = at or self._current(writer, row["idx"], now_ms)
            row["sealed_dek"] = period + key.seal(row["sealed_dek"], _key_aad(row["idx"]))

    def _current(self, writer: Connection, index: int, now_ms: int) -> tuple[bytes, DataKey]:
        """Return the period that is open, and begin one where none is: of this transaction, whoever wrote the last."""
        row, known = writer.execute(_NEWEST).first(), self._known
        if row is None or known is None or known[0] != row.id or now_ms >= row.begin_ms + LASTS:
            self._known = known = _usable(self._data_key, row, now_ms)
        if known is not None:
            return known
        values, key = _new(self._data_key, moved=0, first=index, now_ms=now_ms)
        writer.execute(_INSERT, values)
        return values["id"], key  # not remembered: the transaction may be undone


class Survivors:
    """What is left of touched periods, on its way to another; of those whose seed is sealed with another key than of `tag`.

    It looks at the entries of each period once, in their order. A key that nothing opens keeps no other back.
    """

    def __init__(self, data_key: DataRing, tag: bytes) -> None:
        self._data_key, self._tag = data_key, tag
        self._at: tuple[bytes, int, int] | None = None  # a period, the next entry of it, its end
        self._broken: dict[bytes, InternalError] = {}

    def batch(self, connection: Connection, most: int, now_ms: int) -> tuple[Effect, ...] | None:
        """Return what moves at most so many keys; empty where a window held none, None when all is done."""
        if self._at is None:
            self._at = self._next(connection)
        if self._at is None:
            return None
        period, start, end = self._at
        stop = min(start + WINDOW, (start // SPAN + 1) * SPAN, end)
        mine = _of_period(period) & (detail_keys.c.idx >= start) & (detail_keys.c.idx < stop)
        wanted = select(detail_keys).where(mine).order_by(detail_keys.c.idx).limit(most)
        rows = connection.execute(wanted).all()
        if len(rows) == most:
            stop = rows[-1].idx + 1
        effects = self._build_moves(connection, period, rows, now_ms) if rows else ()
        self._at = period, stop, end
        if stop >= end:
            self._at = None
            if period not in self._broken:
                # Nothing joins a touched period, and all of it was looked at.
                gone = delete(detail_periods).where(detail_periods.c.id == period)
                return (*effects, Effect(gone))
        return effects

    def demand_whole(self) -> None:
        """Raise InternalError where some key opened with nothing."""
        for fault in self._broken.values():
            raise fault

    def _next(self, connection: Connection) -> tuple[bytes, int, int] | None:
        """Return the next touched period, and between which entries it lies."""
        table = detail_periods.c
        old = func.substr(table.seed, 1, TAG_BYTES) != self._tag
        wanted = select(detail_periods).where(
            table.touched == 1, old, table.id.not_in(list(self._broken))
        )
        row = connection.execute(wanted.order_by(table.begin_ms, table.id).limit(1)).first()
        if row is None:
            return None
        following = select(func.min(table.first)).where(table.moved == 0, table.first > row.first)
        end = None if row.moved else connection.execute(following).scalar()
        if end is None:
            end = (connection.execute(select(func.max(detail_keys.c.idx))).scalar() or 0) + 1
        return row.id, row.first, end

    def _build_moves(
        self, connection: Connection, period: bytes, rows: Sequence[Row[Any]], now_ms: int
    ) -> tuple[Effect, ...]:
        periods = _keys_of(connection, self._data_key, period)
        first = rows[0].idx // SPAN * SPAN  # of all of them: no batch lies in two
        found = connection.execute(_NEWEST_MOVED, {"first": first}).first()
        usable = _usable(self._data_key, found, now_ms)
        if usable is None:
            values, key = _new(self._data_key, moved=1, first=first, now_ms=now_ms)
            opening = Effect(_INSERT.values(values))
            target = values["id"]
        else:
            target, key = usable
            opening = _demand_open(target)
        moves: list[Effect] = []
        for row in rows:
            plain = open_stored_key(row.idx, row.sealed_dek, periods)
            if plain is None:
                text = (
                    f"the key to the detail of entry {row.idx} in the table detail_keys opens with no period;"
                    " restore a backup, or have two persons run `passerelle keys schedule DIR DATA off`"
                )
                self._broken.setdefault(period, InternalError(text))
                continue
            here = (detail_keys.c.idx == row.idx) & (detail_keys.c.sealed_dek == row.sealed_dek)
            sealed = target + key.seal(plain, _key_aad(row.idx))
            moves.append(Effect(update(detail_keys).where(here).values(sealed_dek=sealed)))
        return (opening, *moves) if moves else ()


def touch(erased: ColumnElement[bool]) -> Effect:
    """Return what marks the periods of the keys that are erased in the same commit, by an effect after this one."""
    theirs = select(func.substr(detail_keys.c.sealed_dek, 1, TAG_BYTES)).where(erased)
    return Effect(update(detail_periods).where(detail_periods.c.id.in_(theirs)).values(touched=1))


def _demand_open(period: bytes) -> Effect:
    """Return what refuses the commit where a period was touched or left meanwhile: whoever leaves it has gone past these keys."""
    here = (detail_periods.c.id == period) & (detail_periods.c.touched == 0)
    text = f"the period {period.hex()} was left while keys to details were on their way to it; the next round goes on"
    statement = update(detail_periods).where(here).values(touched=0)
    return Effect(statement, rows=1, refusal=says(InternalError, text))


def _of_period(period: bytes) -> ColumnElement[bool]:
    if period == BEFORE:
        return func.length(detail_keys.c.sealed_dek) == SEALED_KEY
    return func.substr(detail_keys.c.sealed_dek, 1, TAG_BYTES) == period


def _usable(
    data_key: DataRing, row: Row[Any, Any, Any] | None, now_ms: int
) -> tuple[bytes, DataKey] | None:
    """Return a period that is open; None for one that is over, or that no data key opens: the ledger goes on with another."""
    if row is None or row.begin_ms + LASTS <= now_ms:
        return None
    try:
        return row.id, _open_period(data_key, row.id, row.seed)
    except InternalError:
        return None


def _keys_of(connection: Connection, data_key: DataRing, period: bytes) -> Periods:
    """Return the key of one period; none for the marker's, and for one that no data key opens."""
    row = connection.execute(select(detail_periods).where(detail_periods.c.id == period)).first()
    with suppress(InternalError):
        if row is not None and period != BEFORE:
            return {period: _open_period(data_key, period, row.seed)}
    return {}


def _new(
    data_key: DataRing, *, moved: int, first: int, now_ms: int
) -> tuple[dict[str, Any], DataKey]:
    """Return the row of a new period, and its key."""
    seed = secrets.token_bytes(SEED_BYTES)
    key = DataKey.from_seed(seed)
    period = tag_of(key.key_id)
    sealed = data_key.seal(seed, seed_aad(period))
    named = {"id": period, "seed": sealed, "moved": moved, "touched": 0}
    return {**named, "first": first, "begin_ms": now_ms}, key


def _open_period(data_key: DataRing, period: bytes, seed: bytes) -> DataKey:
    try:
        return DataKey.from_seed(data_key.open(seed, seed_aad(period)))
    except OpenRefused:
        raise InternalError(
            f"the period {period.hex()} in the table detail_periods opens with no data key that is kept;"
            " restore it from a backup"
        ) from None
