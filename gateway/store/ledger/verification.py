"""The ledger of a store, verified from its rows as they are, also while it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from sqlalchemy import func, select

from gateway.errors import InternalError
from gateway.ledger import signed_note
from gateway.ledger.errors import AuditFault
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.verify import Finding, Place, Report, Severity, verify_log
from gateway.store.engine import StorageEngine
from gateway.store.ledger import row_check, stored_ledger
from gateway.store.schema import leaves
from keys.envelope import OpeningRing

_GAP = re.compile(r"no leaf (\d+)")


def verify(
    database: StorageEngine,
    log: LogIdentity,
    *,
    keys: bool = True,
    ring: OpeningRing | None = None,
    witnesses: row_check.Witnesses = MappingProxyType({}),
) -> Report:
    """Verify every entry, checkpoint and row as of now.

    keys       whether every key to a detail that is gone must be accounted for; a backup has none
    ring       opens every key that is there
    witnesses  the keys of witnesses that are known, by name
    """
    with database.reader() as reader:
        highest, newest = stored_ledger.extent(reader)
        count = reader.execute(select(func.count()).select_from(leaves)).scalar() or 0
        size = min(
            highest, count
        )  # an index beyond all others is a gap, and no reason to read so far
        has_key = stored_ledger.keyed(reader, size)  # of the same moment as the size
    beside = row_check.Rows(database, size, ring)
    reading = _Reading(database, beside, max(size, newest))
    report = verify_log(
        reading.leaves(), reading.checkpoints(), log, reading.detail, has_key if keys else None
    )
    beside.finish(log, witnesses)
    found = (*reading.gaps, *report.findings, *beside.findings)
    return replace(report, findings=found)


class _Reading:
    """The rows of one ledger up to one moment, each read once, in order."""

    def __init__(self, database: StorageEngine, beside: row_check.Rows, largest: int) -> None:
        self._database, self._beside = database, beside
        self._largest = largest
        self._details = stored_ledger.iter_details(database)
        self._ahead: stored_ledger.StoredDetail | None = None
        self.gaps: list[Finding] = []

    def leaves(self) -> Iterator[bytes]:
        """Yield leaves; a gap ends them and is a finding of its own."""
        try:
            yield from self._beside.leaves()
        except InternalError as fault:
            found = _GAP.search(str(fault))
            index = int(found[1]) if found else 0
            self.gaps.append(Finding(Severity.FAULT, index, str(fault), Place.LEAF))

    def checkpoints(self) -> Iterator[bytes]:
        """Yield the notes that were there when the reading began, and those that no longer parse."""
        for raw in stored_ledger.iter_checkpoints(self._database):
            try:
                checkpoint = signed_note.Checkpoint.parse(signed_note.parse_note(raw).text)
            except AuditFault:
                yield raw
                continue
            if checkpoint.size <= self._largest:
                yield raw

    def detail(self, index: int) -> bytes | None:
        """Return the ciphertext beside a leaf; asked for in ascending order."""
        while self._ahead is None or self._ahead.index < index:
            self._ahead = next(self._details, None)
            if self._ahead is None:
                return None
        return self._ahead.ciphertext if self._ahead.index == index else None
