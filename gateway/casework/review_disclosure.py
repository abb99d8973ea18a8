"""Whether the law shows a candidate today: asked again at the verdict, hours after the search.

The permit is that of the query as it was received, under the version that was in force then; the person's status is
today's. Who has become a citizen since the search is hidden, whatever an examiner saw (law.md 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain.messages import Outcome
from gateway.law.agreement import AgreementsInForce
from gateway.law.query_policy import Found, Settled, may_answer, settle
from gateway.store.casework import withholdings
from gateway.store.casework.reviews import Evidence
from gateway.store.engine import StorageEngine
from gateway.store.people.person_records import StoredPeople
from gateway.wire import query_payload, signed_envelope


@dataclass(frozen=True, slots=True)
class ReviewDisclosure:
    """What the law is asked with: agreements, today's records, officials' decisions, the time."""

    agreements: AgreementsInForce
    people: StoredPeople
    database: StorageEngine
    clock: Callable[[], datetime]

    def settled(self, evidence: Evidence, opened: datetime) -> Settled:
        """Return what is shown of the candidate of a case, whom an examiner found to be the same.

        opened   when the case was opened: the query is judged by what was in force then
        """
        header = signed_envelope.parse_header(evidence.header)
        query = query_payload.read_query(evidence.payload)
        for agreement in self.agreements.current.get(header.agreement_id, ()):
            if agreement.version == header.agreement_version:
                permit = replace(may_answer(header, query, agreement, opened), time=self.clock())
                record = self.people.record(evidence.subject)
                with self.database.reader() as reader:
                    decided = withholdings.active(reader, evidence.subject, header.sender)
                return settle(_SURE, record.status, permit, decided, held=record.data.keys())
        # The agreement has left the gateway since; nobody is shown without one.
        return Settled(Outcome.NO_MATCH, Outcome.MATCH, "no agreement")


_SURE = Found(score=0.0, threshold=0.0)  # an examiner's SAME replaces the score
