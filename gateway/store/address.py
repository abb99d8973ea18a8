"""Where a store is, and which engine opens it: the only module that knows which engines there are."""

from __future__ import annotations

from pathlib import Path

from gateway.store import sqlite
from gateway.store.engine import StorageEngine


def open_store(address: Path, *, create: bool = False) -> StorageEngine:
    """Open the store at an address of the settings (`store.path`), at the newest migration.

    create   make it where it is missing. Without it a missing or emptied store is refused, because a fresh ledger in
             place of an old one is a loss to report, not to mend

    Raises UserError for what an operator can put right, InternalError where the database is not as it must be.
    """
    return sqlite.open_file(address, create=create)


def is_served(address: Path) -> bool:
    """Say whether a process has the right to write to a store, as far as this system reports it; takes no lock."""
    return sqlite.is_locked(address)
