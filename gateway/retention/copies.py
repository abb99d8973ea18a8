"""Until when what was erased can still be read in a copy: a snapshot, a replica, an archive of the write-ahead log.

Erasing takes a row from the running database. A copy that was made before keeps it, sealed with a data key that was in use
then. So what was erased is final in every copy when each data key from before has been destroyed (cryptographic erase:
NIST SP 800-88 rev. 1, section 2.6; ledger.md 3). A backup is no such copy: it holds the keys of its day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.law.retention_policy import RULES, RetentionClass
from gateway.store.engine import StorageEngine
from gateway.store.keys import rotations
from keys.key_record import KeyRecord
from keys.keyset import KeysetInForce
from keys.lifecycle import DATA_WINDOW, KeyKind, KeyState
from keys.rotation_schedule import CryptoPeriod, turn

_OPENS_NOTHING = frozenset({KeyState.PREACTIVE, KeyState.DESTROYED})
# What persons stopped ends when two persons say so: it is late by nobody's schedule, and stops no gateway.
_STOPPED = frozenset({KeyState.SUSPENDED, KeyState.COMPROMISED})


@dataclass(frozen=True, slots=True)
class CopyErasure:
    """What can still be read in copies.

    final_before  what was erased before opens in no copy: the oldest data key that still exists was made then
    key           its id
    scheduled     whether data keys rotate, and end, by themselves
    final_by      when what is erased now will open in no copy; None where nobody knows
    kept          keys of which nobody knows when they end, by id: persons stopped them, or they are past their end and
                  still here; none where data keys do not end by themselves
    period        of a data key
    late          how many keys the schedule should have destroyed, or replaced, longer than the grace ago
    """

    final_before: datetime
    key: bytes
    scheduled: bool
    final_by: datetime | None
    kept: tuple[bytes, ...]
    period: timedelta
    late: int


def copy_erasure(
    records: Iterable[KeyRecord], crypto_period: CryptoPeriod, now: datetime, since: datetime
) -> CopyErasure:
    """Return what can still be read in copies; pure. Raises ValueError for a keyset without a data key.

    since   when this process first saw `crypto_period`: no key is late by a schedule that was off, or longer, or by a gateway that
            stood still
    """
    keys = [r for r in records if r.kind is KeyKind.DATA and r.state not in _OPENS_NOTHING]
    if not keys:
        raise ValueError("no data key: nothing is sealed")
    oldest = min(keys, key=lambda record: (record.created, record.kid))
    ends = {
        record.kid: _end(record, crypto_period) for record in keys if record.state not in _STOPPED
    }
    kept = (
        [record.kid for record in keys if ends.get(record.kid, now) <= now]
        if crypto_period.on
        else []
    )
    grace = RULES[RetentionClass.DATA_KEY].grace
    late = sum(max(end, since) + grace < now for end in ends.values())
    return CopyErasure(
        final_before=oldest.created,
        key=oldest.kid,
        scheduled=crypto_period.on,
        final_by=max(ends.values()) if crypto_period.on and not kept else None,
        kept=tuple(sorted(kept)),
        period=crypto_period.every,
        late=late if crypto_period.on else 0,
    )


def _end(record: KeyRecord, crypto_period: CryptoPeriod) -> datetime:
    """Return when a data key is to be destroyed, by its schedule."""
    over = turn(record, crypto_period.every) if record.state is KeyState.ACTIVE else record.changed
    return over + DATA_WINDOW


class Copies:
    """What can still be read in copies, now."""

    def __init__(
        self, database: StorageEngine, keyset: KeysetInForce, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._keyset, self._clock = database, keyset, clock
        self._crypto_period: CryptoPeriod | None = None  # as of the last look
        self._since = clock()  # when this process first saw it

    def look(self) -> CopyErasure:
        """Return it."""
        with self._database.reader() as reader:
            crypto_period = rotations.crypto_periods(reader)[KeyKind.DATA]
        now = self._clock()
        if self._crypto_period is not None and self._crypto_period != crypto_period:
            self._since = now
        self._crypto_period = crypto_period
        return copy_erasure(self._keyset.current.records, crypto_period, now, self._since)

    def late(self) -> dict[RetentionClass, int]:
        """Return how many data keys are overdue beyond the grace; nothing where they do not end by themselves."""
        count = self.look().late
        return {RetentionClass.DATA_KEY: count} if count else {}
