"""Where an auditor's entries come from: a bundle, or the store of a gateway on the same machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gateway.ledger.archive import Archive, Held
from gateway.ledger.signed_note import LogIdentity
from gateway.trust.bundle import PartyBundle


class Source(Protocol):
    """A stretch of one ledger that can be read again and again, the same each time, from any entry on."""

    @property
    def log(self) -> LogIdentity:
        """Which ledger, and whose keys sign it."""

    @property
    def first(self) -> int:
        """The index of the first entry that is here."""

    @property
    def size(self) -> int:
        """One more than the index of the last."""

    def held(self, start: int | None = None, stop: int | None = None) -> Iterator[Held]:
        """Yield the entries from `start` up to `stop`, exclusive, in order; MUST leave none out."""

    def agreements(self) -> dict[str, bytes]:
        """Return the files of the agreements, by name."""

    def newest(self) -> bytes:
        """Return the last signed checkpoint."""


class ArchiveSource:
    """A bundle as a source."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.log = log_of(archive)

    @property
    def first(self) -> int:
        """The index of the first entry that is here."""
        return self.archive.manifest.first

    @property
    def size(self) -> int:
        """One more than the index of the last."""
        return self.archive.size

    def held(self, start: int | None = None, stop: int | None = None) -> Iterator[Held]:
        """Yield the entries from `start` up to `stop`."""
        return self.archive.held(start, stop)

    def agreements(self) -> dict[str, bytes]:
        """Return the files of the agreements, by name."""
        return self.archive.agreements()

    def newest(self) -> bytes:
        """Return the last signed checkpoint."""
        found = b""
        for note in self.archive.notes():
            found = note
        return found


def log_of(archive: Archive) -> LogIdentity:
    """Return the keys that must have signed a bundle's checkpoints, as it says itself.

    Whoever needs certainty compares the fingerprint of its party.json with what they know. Raises BundleRefused.
    """
    return PartyBundle.parse(archive.party).log
