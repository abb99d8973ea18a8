"""Whether the law shows a candidate today: asked again at the verdict, hours after the search.

The permit is that of the query as it was received, under the version that was in force then; the person's status is
today's. Who has become a citizen since the search is hidden, whatever an examiner saw (law.md 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from gateway.casework.reviews import Reveals
from gateway.domain.messages import Outcome
from gateway.domain.person import Record
from gateway.law.agreement import Agreements
from gateway.law.query_policy import Decided, Found, Settled, may_answer, settle
from gateway.store.casework.reviews import Evidence
from gateway.wire import query_payload, signed_envelope


class ReviewServices(Protocol):
    """What the law asks of the gateway: agreements, today's records, officials' decisions, the time."""

    @property
    def agreements(self) -> Agreements:
        """Every version that the gateway holds."""

    @property
    def people(self) -> Records:
        """Whoever keeps the records of people."""

    def decisions(self, subject: int, partner: str) -> Sequence[Decided]:
        """Return what officials decided to refuse a partner of a person."""
        ...

    def clock(self) -> datetime:
        """Return the time."""
        ...


class Records(Protocol):
    """Whoever keeps the records of people."""

    def record(self, subject: int) -> Record:
        """Return what is held of a person today; an empty record where nothing is."""
        ...


def reveals(gateway: ReviewServices) -> Reveals:
    """Return what says what is shown of the candidate of a case, whom an examiner found to be the same."""

    def ask(evidence: Evidence, opened: datetime) -> Settled:
        header = signed_envelope.parse_header(evidence.header)
        query = query_payload.read_query(evidence.payload)
        for agreement in gateway.agreements.get(header.agreement_id, ()):
            if agreement.version == header.agreement_version:
                permit = replace(may_answer(header, query, agreement, opened), time=gateway.clock())
                record = gateway.people.record(evidence.subject)
                decided = gateway.decisions(evidence.subject, header.sender)
                return settle(_SURE, record.status, permit, decided, held=record.data.keys())
        # The agreement has left the gateway since; nobody is shown without one.
        return Settled(Outcome.NO_MATCH, Outcome.MATCH, "no agreement")

    return ask


_SURE = Found(score=0.0, threshold=0.0)  # an examiner's SAME replaces the score
