"""A gateway's ledger, read from its rows as the commands of an auditor read it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway import config
from gateway.server.local_source import Stored
from gateway.store.address import open_store
from gateway.store.ledger.detail_periods import Periods, open_periods
from keys.custody import open_custody
from keys.data_encryption import DataRing
from keys.keyset import Keyset, KeysetInForce


def periods_of(home: Path) -> Periods:
    """Return what `audit.read` answers with, of a home directory of these tests."""
    settings = config.load(home)
    custody = open_custody(settings.keys.custody, lambda: b"a passphrase for tests")
    ring = DataRing(KeysetInForce(Keyset.load(settings.keys.keyset, custody)))
    with closing(open_store(settings.store.path)) as database, database.reader() as reader:
        return open_periods(reader, ring)


def read(home: Path) -> Stored:
    """Open the rows of a home directory, with what opens the second seal of keys to details."""
    return Stored(home, periods_of(home))
