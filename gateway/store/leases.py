"""Which process does a periodic job, where several work over one store: whoever has its lease.

A lease has an owner and an end. It is taken in one commit, renewed when half of it is over, and taken over only when it
has ended; a process that stops gives its leases back, and of one that was killed they end by themselves. Nothing else
depends on a lease: two that did a job at once would record it twice, and every commit still holds by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, or_, select

from gateway.errors import PasserelleError
from gateway.store.effects import Effect, says
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.schema import leases
from gateway.store.times import milliseconds, moment

# Half of it is longer than the watchdog bears with any thread (600 seconds): whoever hangs in a job is ended before
# another process takes it over.
LENGTH: Final = timedelta(minutes=22)


class LeaseHeld(PasserelleError):
    """Another process does this job."""


def owner_of(connection: Connection, job: str, now: datetime) -> str | None:
    """Return who does a job; None where its lease has ended, or nobody took it."""
    row = connection.execute(select(leases).where(leases.c.job == job)).one_or_none()
    return None if row is None or moment(row.until_ms) <= now else row.owner


def take(job: str, owner: str, until: datetime, *, over: datetime | None) -> tuple[Effect, ...]:
    """Return what takes a lease or renews it; the commit raises LeaseHeld where another owner has it.

    over   the moment by which another's lease must have ended; None where nobody else lives
    """
    mine = leases.c.job == job
    if over is not None:
        mine &= or_(leases.c.owner == owner, leases.c.until_ms <= milliseconds(over))
    row = insert(leases).values(job=job, owner=owner, until_ms=milliseconds(until))
    return Effect(delete(leases).where(mine)), Effect(row, rows=1, refusal=says(LeaseHeld))


def give_back(owner: str) -> Effect:
    """Return what ends every lease of an owner."""
    return Effect(delete(leases).where(leases.c.owner == owner))


class Leases:
    """The leases of this process. Safe to call from any thread, of one job from one."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        owner: str,
    ) -> None:
        """Prepare; `owner` is a name that no other process has, drawn at random."""
        self._database, self._sequencer = database, sequencer
        self._clock, self._owner = clock, owner
        self._until: dict[str, datetime] = {}  # of what we hold, as last committed

    def holds(self, job: str) -> bool:
        """Return whether this process does a job now; takes its lease, or renews it when half of it is over.

        While the ledger takes nothing, what is held stays held until it ends, and nothing is taken.
        """
        now = self._clock()
        left = self._until.get(job, now) - now
        if LENGTH / 2 < left <= LENGTH:  # more than that, and the clock was set back
            return True
        if not self._sequencer.healthy:
            return left > timedelta()
        return self._take(job, now)

    def release(self) -> None:
        """Let other processes do our jobs at once; whoever stops calls it when its last job has ended."""
        held, self._until = self._until, {}
        if held:
            self._sequencer.commit((), (give_back(self._owner),))

    def _take(self, job: str, now: datetime) -> bool:
        # Whoever has the writer lock alone knows that every other owner is dead, and waits for no end.
        over = None if self._database.sole_writer else now
        with self._database.reader() as reader:  # so that who waits commits nothing meanwhile
            other = owner_of(reader, job, now)
        if over is not None and other not in {None, self._owner}:
            self._until.pop(job, None)
            return False
        until = now + LENGTH
        try:
            self._sequencer.commit((), take(job, self._owner, until, over=over))
        except LeaseHeld:  # somebody was first
            self._until.pop(job, None)
            return False
        self._until[job] = until
        return True
