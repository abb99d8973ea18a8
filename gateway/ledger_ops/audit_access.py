"""Auditors read: the reason is stated and recorded first, then the entries are handed out, still sealed.

What is handed out is what the ledger holds: leaves, ciphertexts and sealed keys. The gateway cannot open
them; the auditor's key does, on the auditor's machine (`gateway.ledger.exchange_history`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.errors import UserError
from gateway.ledger import events
from gateway.ledger.sealed_entries import hand
from gateway.operations.audit import Queries, Read, Reconcile, State, Transaction
from gateway.store.engine import StorageEngine
from gateway.store.ledger import related_entries
from gateway.store.ledger.detail_periods import Periods, open_periods, open_seeds, open_stored_key
from gateway.store.ledger.related_entries import StoredEntry
from gateway.store.ledger.sequencer import Sequencer
from keys.data_encryption import DataRing

PAGE = 200  # entries of one answer; each is at most 6 KB


class AuditAccess:
    """Where entries are read."""

    def __init__(self, database: StorageEngine, sequencer: Sequencer, ring: DataRing) -> None:
        self._database, self._sequencer, self._ring = database, sequencer, ring

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=Transaction, do=self._transaction),
            Handler(request=Queries, do=self._queries),
            Handler(request=Read, do=self._read),
            Handler(request=State, do=self._state),
            Handler(request=Reconcile, do=self._reconcile),
        )

    def _transaction(self, officer: Officer, request: Transaction) -> Answer:
        number = request.transaction
        self._record(officer, request.reason, number)
        with self._database.reader() as reader:
            partners = related_entries.partners_of(reader, number)
        if request.partner:
            partners = [each for each in partners if each == request.partner]
        if len(partners) > 1:
            names = ", ".join(partners)
            raise UserError(f"several partners have used this number: name one of {names}")
        if not partners:
            return {"partner": request.partner, "entries": []}
        with self._database.reader() as reader:
            found = related_entries.of_transaction(reader, partners[0], number)
            periods = open_periods(reader, self._ring)
        return {"partner": partners[0], "entries": _handover(found, periods)}

    def _queries(self, officer: Officer, request: Queries) -> Answer:
        # Each page is a reading: who begins with the second one must not read unseen.
        self._record(officer, request.reason, request.since.isoformat())
        with self._database.reader() as reader:
            found = related_entries.queries_since(reader, request.since, request.after, PAGE)
            periods = open_periods(reader, self._ring)
        return {"entries": _handover(found, periods), "more": len(found) == PAGE}

    def _read(self, officer: Officer, request: Read) -> Answer:
        """Record that the ledger is read for a question; the rows are then read on this machine.

        With the answer go the seeds of the periods: a stopped or serving gateway's rows are read by a process that has none
        of our keys. What they open is sealed to the auditor all the same.
        """
        self._record(officer, request.reason, request.question)
        with self._database.reader() as reader:
            seeds = open_seeds(reader, self._ring)
        return {
            "question": request.question,
            "periods": {period.hex(): seed.hex() for period, seed in seeds.items()},
        }

    def _state(self, officer: Officer, request: State) -> Answer:
        """Record what we state to a partner: the entry's receipt is what makes the statement ours."""
        period = request.since, request.until
        leaf = events.statement(
            officer.person, request.partner, period, request.digest, request.count
        )
        return {"index": self._sequencer.commit((leaf,), ()).indices[0]}

    def _reconcile(self, officer: Officer, request: Reconcile) -> Answer:
        """Record that a period was compared with what a partner states, and how it came out."""
        leaf = events.reconciliation(
            officer.person,
            request.partner,
            (request.since, request.until),
            compared=request.compared,
            missing_here=request.missing_here,
            missing_there=request.missing_there,
            differing=request.differing,
        )
        self._sequencer.commit((leaf,), ())
        return {"partner": request.partner}

    def _record(self, officer: Officer, reason: str, what: str) -> None:
        leaf = events.reading(officer.person, reason=reason, source=what)
        self._sequencer.commit((leaf,), ())


def _handover(found: Sequence[StoredEntry], periods: Periods) -> list[dict[str, object]]:
    """Return entries as the auditor needs them; a damaged key as it is stored, which then opens for nobody."""
    return [
        hand(
            *(each.index, each.leaf, each.ciphertext),
            each.sealed_dek
            and (open_stored_key(each.index, each.sealed_dek, periods) or each.sealed_dek),
        )
        for each in found
    ]
