"""Whether the law shows a candidate today: asked again at the verdict, hours after the search.

The permit is that of the query as it was received, under the version that was in force then; the person's status is
today's. Who has become a citizen since the search is hidden, whatever an examiner saw (law.md 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.casework import Record
from gateway.law.agreement import Agreements
from gateway.law.policy import Decided, Found, may_answer, settle
from gateway.office.review import Reveals
from gateway.store.reviews import Evidence
from gateway.terms import Outcome
from gateway.wire import letters, payloads


class Records(Protocol):
    """Whoever keeps the records of people."""

    def record(self, subject: int) -> Record:
        """Return what is held of a person today; an empty record where nothing is."""
        ...


def reveals(
    agreements: Callable[[], Agreements],
    people: Records,
    decisions: Callable[[int, str], Sequence[Decided]],
) -> Reveals:
    """Return what says whether the candidate of a case may be shown as a match.

    decisions   what officials refuse of a person to a partner today; of whom all is refused nobody is shown
    """

    def ask(evidence: Evidence, opened: datetime) -> bool:
        header = letters.parse_header(evidence.header)
        query = payloads.read_query(evidence.payload)
        for agreement in agreements().get(header.agreement_id, ()):
            if agreement.version == header.agreement_version:
                permit = may_answer(header, query, agreement, opened)
                status = people.record(evidence.subject).status
                decided = decisions(evidence.subject, header.sender)
                found = settle(Found(0.0, 0.0), status, permit, decided)
                return found.shown is Outcome.MATCH
        return False  # the agreement has left the house since; nobody is shown without one

    return ask
