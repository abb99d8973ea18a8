"""What ends of ours, as `ExpiryAlerts` asks for it: each source is read, and may fail, alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gateway.law.agreement import AgreementsInForce
from gateway.monitoring import expiry
from gateway.monitoring.expiry import Expiring
from gateway.store.engine import StorageEngine
from gateway.store.keys import kek_custody
from gateway.store.people import staff
from keys.keyset import KeysetInForce


@dataclass(frozen=True, slots=True, eq=False)
class KeysetEnds:
    """Our keys in use, one of each kind."""

    keyset: KeysetInForce

    def expiring(self, now: datetime) -> Iterator[Expiring]:
        """Yield them; what has ended is told as well."""
        del now
        yield from expiry.of_keyset(self.keyset.current)


@dataclass(frozen=True, slots=True, eq=False)
class KekEnd:
    """The key above our keys."""

    keyset: KeysetInForce
    database: StorageEngine

    def expiring(self, now: datetime) -> Iterator[Expiring]:
        """Yield it, by when it came into use."""
        del now
        with self.database.reader() as reader:
            since = kek_custody.since(reader)
        yield from expiry.of_kek(self.keyset.current, since)


@dataclass(frozen=True, slots=True, eq=False)
class StaffEnds:
    """The officer certificates of our people."""

    database: StorageEngine

    def expiring(self, now: datetime) -> Iterator[Expiring]:
        """Yield those in force at `now`."""
        with self.database.reader() as reader:
            members = staff.members(reader)
        yield from expiry.of_staff(members, now)


@dataclass(frozen=True, slots=True, eq=False)
class AgreementEnds:
    """The agreements in force."""

    agreements: AgreementsInForce

    def expiring(self, now: datetime) -> Iterator[Expiring]:
        """Yield those that have an end and no later version to take over by then."""
        yield from expiry.of_agreements(self.agreements.current, now)
