"""Which version of our entry each partner was last seen to use: the evidence that promotes a key.

A version is seen in the header of an authentic message. It is kept only where it grows, in the commit that
admits the message, so that a quiet day costs nothing and a crash forgets nothing that the ledger remembers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, exists, insert, literal, select, update

from gateway.store.effects import Effect
from gateway.store.engine import StorageEngine
from gateway.store.schema import sightings
from gateway.store.times import milliseconds, moment


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest version that a partner was seen to use, and since when."""

    version: int
    time: datetime


def seen(connection: Connection) -> dict[str, Sighting]:
    """Return what each partner was seen to use."""
    return {
        row.partner: Sighting(row.version, moment(row.see_ms))
        for row in connection.execute(select(sightings).order_by(sightings.c.partner))
    }


def see(partner: str, version: int, now: datetime) -> tuple[Effect, ...]:
    """Return what keeps that a partner uses a version; it never goes back."""
    here = sightings.c.partner == partner
    row = select(literal(partner), literal(version), literal(milliseconds(now)))
    first = insert(sightings).from_select(
        ["partner", "version", "see_ms"], row.where(~exists().where(here))
    )
    grown = (
        update(sightings)
        .where(and_(here, sightings.c.version < version))
        .values(version=version, see_ms=milliseconds(now))
    )
    return Effect(first), Effect(grown)


class Sightings:
    """What is seen while the gateway serves; for several threads. The database is asked once."""

    def __init__(self, database: StorageEngine) -> None:
        self._database = database
        self._known: dict[str, int] | None = None
        self._lock = threading.Lock()

    def effects(self, partner: str, version: int, now: datetime) -> tuple[Effect, ...]:
        """Return what to keep of a sighting with the message's first commit: mostly nothing."""
        with self._lock:
            grown = self._versions().get(partner, 0) < version
        return see(partner, version, now) if grown else ()

    def kept(self, partner: str, version: int) -> None:
        """Note that the commit is durable."""
        with self._lock:
            known = self._versions()
            known[partner] = max(known.get(partner, 0), version)

    def _versions(self) -> dict[str, int]:
        if self._known is None:
            with self._database.reader() as reader:
                self._known = {name: one.version for name, one in seen(reader).items()}
        return self._known
