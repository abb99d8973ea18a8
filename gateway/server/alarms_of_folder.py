"""Which alarms are open in a home directory, served or not."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from gateway.config import Settings
from gateway.monitoring.expiry import Keys
from gateway.monitoring.open_alarms import OpenAlarm, find_open
from gateway.store.address import open_store
from gateway.trust.configured import directory_of


def of_folder(settings: Settings, keys: Keys | None, now: datetime) -> tuple[OpenAlarm, ...]:
    """Return the open alarms, the oldest first; keys is None where the keyset could not be read."""
    bundles = directory_of(settings).stated()
    with closing(open_store(settings.store.path)) as database, database.reader() as reader:
        return find_open(reader, keys, bundles, now)
