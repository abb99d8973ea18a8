"""Auditors read: the reason is stated and recorded first, then the entries are handed out, still sealed.

What is handed out is what the ledger holds: leaves, ciphertexts and sealed keys. The gateway cannot open
them; the auditor's key does, on the auditor's machine (`gateway.ledger.exchange_history`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.errors import UserError
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.sealed_entries import hand
from gateway.operations.audit import Queries, Read, Reconcile, State, Transaction
from gateway.store.ledger import related_entries
from gateway.store.ledger.related_entries import StoredEntry
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.sqlite import Database

PAGE = 200  # entries of one answer; each is at most 6 KB


class AuditAccess:
    """Where entries are read."""

    def __init__(self, database: Database, sequencer: Sequencer) -> None:
        self._database = database
        self._sequencer = sequencer

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
        return {"partner": partners[0], "entries": _handed(found)}

    def _queries(self, officer: Officer, request: Queries) -> Answer:
        # Each page is a reading: who begins with the second one must not read unseen.
        self._record(officer, request.reason, request.since.isoformat())
        with self._database.reader() as reader:
            found = related_entries.queries_since(reader, request.since, request.after, PAGE)
        return {"entries": _handed(found), "more": len(found) == PAGE}

    def _read(self, officer: Officer, request: Read) -> Answer:
        """Record that the ledger is read for a question; the rows are then read on this machine."""
        self._record(officer, request.reason, request.question)
        return {"question": request.question}

    def _state(self, officer: Officer, request: State) -> Answer:
        """Record what we state to a partner: the entry's receipt is what makes the statement ours."""
        frame = Frame(
            type=EntryType.RECONCILIATION,
            entry_class=EntryClass.OTHER,
            partner_id=request.partner,
            subject_reference=request.digest,
        )
        facts = {**_period(officer, request), "count": str(request.count)}
        return {"index": self._sequencer.commit((Leaf(frame, facts),), ()).indices[0]}

    def _reconcile(self, officer: Officer, request: Reconcile) -> Answer:
        """Record that a period was compared with what a partner states, and how it came out."""
        frame = Frame(
            type=EntryType.RECONCILIATION, entry_class=EntryClass.OTHER, partner_id=request.partner
        )
        facts = {
            **_period(officer, request),
            "compared": str(request.compared),
            "missing_here": str(request.missing_here),
            "missing_there": str(request.missing_there),
            "differing": str(request.differing),
        }
        self._sequencer.commit((Leaf(frame, facts),), ())
        return {"partner": request.partner}

    def _record(self, officer: Officer, reason: str, what: str) -> None:
        frame = Frame(type=EntryType.AUDIT_READ, entry_class=EntryClass.OTHER)
        facts = {"actor": officer.person, "reason": reason, "source": what}
        self._sequencer.commit((Leaf(frame, facts),), ())


def _period(officer: Officer, request: State | Reconcile) -> dict[str, str]:
    return {
        "actor": officer.person,
        "partner": request.partner,
        "since": request.since,
        "until": request.until,
    }


def _handed(found: Sequence[StoredEntry]) -> list[dict[str, object]]:
    return [hand(each.index, each.leaf, each.ciphertext, each.sealed_dek) for each in found]
