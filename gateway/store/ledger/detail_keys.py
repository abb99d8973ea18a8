"""The keys to sealed details, as a backup leaves them out and a restoration puts them back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from sqlalchemy import Connection, exists, func, insert, select
from sqlalchemy.exc import DBAPIError

from gateway.errors import InternalError
from gateway.store.engine import StorageEngine
from gateway.store.schema import detail_keys, details

SLICE: Final = (
    10_000  # keys in memory at a time, of about 1,200 bytes each; a year's ledger has millions
)


def all_missing(connection: Connection) -> bool:
    """Say whether there are details and a key to none of them."""
    wanted = select(exists(select(details.c.idx)), exists(select(detail_keys.c.idx)))
    sealed, opened = connection.execute(wanted).one()
    return bool(sealed and not opened)


def put_back(database: StorageEngine, keys: Iterable[tuple[int, bytes]]) -> int:
    """Put keys, each by the index of its entry, into a store that was restored and serves nobody; return how many.

    All of them or none. Raises InternalError where one is already there, or belongs to no detail; and what `keys` raises.
    """
    writer, left, count = database.take_writer(), iter(keys), 0
    try:
        with writer.begin():
            while rows := [
                {"idx": index, "sealed_dek": sealed} for index, sealed in islice(left, SLICE)
            ]:
                writer.execute(insert(detail_keys), rows)
                count += len(rows)
            unknown = detail_keys.c.idx.not_in(select(details.c.idx))
            strays = select(func.count()).select_from(detail_keys).where(unknown)
            if writer.execute(strays).scalar():
                raise InternalError("keys to details that are not in this copy")
    except DBAPIError as fault:
        raise InternalError(f"the keys to details do not fit this copy: {fault.orig}") from None
    finally:
        database.release_writer(forget_traces=True)
    return count
