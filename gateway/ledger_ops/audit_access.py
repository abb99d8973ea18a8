"""Auditors read: the reason is stated and recorded first, then the entries are handed out, still sealed.

What is handed out is what the ledger holds: leaves, ciphertexts and sealed keys. The gateway cannot open
them; the auditor's key does, on the auditor's machine (`gateway.ledger.exchange_history`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, Officer
from gateway.errors import UserError
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.sealed_entries import hand
from gateway.operations.declaration import Role
from gateway.store.ledger import related_entries
from gateway.store.ledger.related_entries import StoredEntry
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.sqlite import Database

PAGE = 200  # entries of one answer; each is at most 6 KB
PARTY = re.compile(r"[A-Z0-9-]{2,32}")
NUMBER = re.compile(r"[A-Za-z0-9-]{8,64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
QUESTION = re.compile(r"[!-~][ -~]{0,199}")  # the command and what it names, as it was typed
_AUDITORS = frozenset({Role.AUDITOR})


class AuditAccess:
    """Where entries are read."""

    def __init__(self, database: Database, sequencer: Sequencer) -> None:
        self._database = database
        self._sequencer = sequencer

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act("audit.transaction", _AUDITORS, self._transaction),
            Act("audit.queries", _AUDITORS, self._queries),
            Act("audit.read", _AUDITORS, self._read),
            Act("audit.stated", _AUDITORS, self._stated),
            Act("audit.reconciled", _AUDITORS, self._reconciled),
        )

    def _transaction(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        number = arguments.text("transaction", NUMBER)
        partner = arguments.optional("partner", PARTY)
        reason = arguments.reason()

        def do() -> Answer:
            self._record(officer, reason, number)
            with self._database.reader() as reader:
                partners = related_entries.partners_of(reader, number)
            if partner:
                partners = [each for each in partners if each == partner]
            if len(partners) > 1:
                names = ", ".join(partners)
                raise UserError(f"several partners have used this number: name one of {names}")
            if not partners:
                return {"partner": partner, "entries": []}
            with self._database.reader() as reader:
                found = related_entries.of_transaction(reader, partners[0], number)
            return {"partner": partners[0], "entries": _handed(found)}

        return do

    def _queries(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        since = arguments.time("since")
        after = arguments.number("after", -1, 2**62, default=-1)
        reason = arguments.reason()
        if since is None:
            raise UserError("since: say from when on")

        def do() -> Answer:
            # Each page is a reading: who begins with the second one must not read unseen.
            self._record(officer, reason, since.isoformat())
            with self._database.reader() as reader:
                found = related_entries.queries_since(reader, since, after, PAGE)
            return {"entries": _handed(found), "more": len(found) == PAGE}

        return do

    def _read(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        """Record that the ledger is read for a question; the rows are then read on this machine."""
        question = arguments.text("question", QUESTION)
        reason = arguments.reason()

        def do() -> Answer:
            self._record(officer, reason, question)
            return {"question": question}

        return do

    def _stated(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        """Record what we state to a partner: the entry's receipt is what makes the statement ours."""
        partner = arguments.text("partner", PARTY)
        digest = arguments.text("digest", DIGEST)
        said = {name: arguments.text(name, QUESTION) for name in ("since", "until")}
        count = arguments.number("count", 0, 2**53)

        def do() -> Answer:
            frame = Frame(
                type=EntryType.RECONCILIATION,
                entry_class=EntryClass.OTHER,
                partner_id=partner,
                subject_reference=digest,
            )
            facts = {"actor": officer.person, "partner": partner, **said, "count": str(count)}
            return {"index": self._sequencer.commit((Leaf(frame, facts),), ()).indices[0]}

        return do

    def _reconciled(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        """Record that a period was compared with what a partner states, and how it came out."""
        partner = arguments.text("partner", PARTY)
        said = {name: arguments.text(name, QUESTION) for name in ("since", "until")}
        counts = {
            name: str(arguments.number(name, 0, 2**53))
            for name in ("compared", "missing_here", "missing_there", "differing")
        }

        def do() -> Answer:
            frame = Frame(
                type=EntryType.RECONCILIATION, entry_class=EntryClass.OTHER, partner_id=partner
            )
            facts = {"actor": officer.person, "partner": partner, **said, **counts}
            self._sequencer.commit((Leaf(frame, facts),), ())
            return {"partner": partner}

        return do

    def _record(self, officer: Officer, reason: str, what: str) -> None:
        frame = Frame(type=EntryType.AUDIT_READ, entry_class=EntryClass.OTHER)
        facts = {"actor": officer.person, "reason": reason, "source": what}
        self._sequencer.commit((Leaf(frame, facts),), ())


def _handed(found: Sequence[StoredEntry]) -> list[dict[str, object]]:
    return [hand(each.index, each.leaf, each.ciphertext, each.sealed_dek) for each in found]
