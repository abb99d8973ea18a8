"""What the agreements in force say of what we send: whether we may ask, what that uses up, how soon we correct.

And what a correction may say: the right value goes only where the law would let it out today.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.messages import Biometrics, Direction, PriorTransaction
from gateway.domain.outbound_query import OutboundRequest
from gateway.domain.person import FieldCode, Record
from gateway.errors import AgreementNotInForce
from gateway.law import correction_policy, disclosure_policy
from gateway.law import outbound_policy as law
from gateway.law.agreement import Agreement, AgreementsInForce
from gateway.law.query_policy import Decided
from gateway.store.casework import issued_numbers, withholdings
from gateway.store.casework.recipients import Recipient
from gateway.store.effects import Effect
from gateway.store.engine import StorageEngine
from gateway.store.exchange import quotas, transactions
from gateway.store.exchange.quotas import Claims
from keys.data_encryption import DataRing


@dataclass(frozen=True, slots=True)
class OutboundPermissions:
    """Our own law for what leaves, asked at the moment that it leaves."""

    party: str
    database: StorageEngine
    data_key: DataRing
    agreements: AgreementsInForce
    clock: Callable[[], datetime]

    def may_ask(
        self, asking: OutboundRequest, now: datetime
    ) -> tuple[law.AskPermit, tuple[Effect, ...]]:
        """Return why we may ask, and what reserves the quota together with the ASKED entry.

        Raises the Refusal of our own law.
        """
        agreement = self._agreement(asking)
        probe = asking.probe
        issued = False
        if isinstance(probe, PriorTransaction):
            with self.database.reader() as reader:
                key, partner = self.data_key, asking.partner
                issued = issued_numbers.shown_match(reader, key, partner, probe.number) is None
        ask = law.Ask(
            purpose=asking.purpose,
            subject=asking.status,
            modalities=frozenset(
                {sample.modality for sample in probe.samples}
                if isinstance(probe, Biometrics)
                else ()
            ),
            claimant=asking.claimant,
            issued=issued,
        )
        with self.database.reader() as reader:
            used = quotas.used(reader, asking.partner, Direction.OUTBOUND, now)
        permit = law.may_ask(ask, agreement, used, now)
        overall = permit.quotas.overall
        claims = Claims(
            purpose=asking.purpose,
            day_limit=overall.day,
            year_limit=overall.year,
            own=permit.quotas.purposes.get(asking.purpose),
        )
        return permit, quotas.reserve(asking.partner, claims, now, Direction.OUTBOUND)

    def may_correct(self, to: Recipient, record: Record) -> frozenset[FieldCode]:
        """Return of which fields that a partner received the corrected value may be disclosed today.

        The agreement is that of its query, or every one with this partner where the query's row is gone; of each the
        version in force, else the last that was.
        """
        now = self.clock()
        with self.database.reader() as reader:
            query = transactions.transaction(reader, to.partner, to.number)
        declared = False
        if query is not None and query.finding is not None:
            found = transactions.open_finding(self.data_key, to.partner, to.number, query.finding)
            declared = found.claimed
        decided = () if to.subject is None else self._decided(to.subject, to.partner)
        told: frozenset[FieldCode] | None = None
        for name, versions in self.agreements.current.items():
            begun = [each for each in versions if each.in_force <= now]
            if not begun or (query is not None and query.agreement_id != name):
                continue
            agreement = next((each for each in begun if each.covers(now)), begun[-1])
            if (agreement.home, agreement.partner) != (self.party, to.partner):
                continue
            claim = declared and query is not None and query.purpose in agreement.answering.claims
            left = disclosure_policy.may_amend(
                to.fields, record.status, agreement, decided, now, claim=claim
            )
            told = left if told is None else told & left
        return told or frozenset()

    def timers(self, partner: str) -> correction_policy.Timers:
        """Return how soon a partner is informed of a mistake: the shortest that an agreement with it ever promised.

        The duty outlives the agreement under which something was disclosed, so all of them count.
        """
        promised = [
            agreement.timers
            for versions in self.agreements.current.values()
            for agreement in versions
            if (agreement.home, agreement.partner) == (self.party, partner)
        ]
        if not promised:
            return correction_policy.STANDARD
        return correction_policy.Timers(
            send=min(each.send for each in promised),
            acknowledge=min(each.acknowledge for each in promised),
        )

    def _agreement(self, asking: OutboundRequest) -> Agreement:
        """Return the agreement that was named, where it is one between us and this partner."""
        name, version = asking.agreement
        for agreement in self.agreements.current.get(name, ()):
            named = (agreement.version, agreement.home, agreement.partner)
            if named == (version, self.party, asking.partner):
                return agreement
        raise AgreementNotInForce(element="agreement")

    def _decided(self, subject: int, partner: str) -> Sequence[Decided]:
        """Return what officials decided to refuse a partner of a person, and did not lift."""
        with self.database.reader() as reader:
            return withholdings.active(reader, subject, partner)
