"""The examiners' operations: cases that wait, who has the lease of one, the verdicts, and the outcome of the query.

A verdict, step by step:
(1) the examiner has the lease of the case, and is not the one who gave the first
(2) the verdicts come to an outcome, or another person must look
(3) a match is shown only where the law reveals the person today; the status may have changed since the search
(4) ONE COMMIT: the prints' DESTRUCTION, the VERDICT, the query DECIDED, evidence and key erased
(5) what was erased leaves the WAL as well

A case whose time is over ends the same way without a verdict: DESTRUCTION, ABANDONED, and an ALARM. Never NO_MATCH.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway import telemetry
from gateway.admin.operation import Answer, Handler, NotAllowed, Officer
from gateway.admin.pages import Page
from gateway.admin.personal_data_access import About, seen
from gateway.casework import review_evidence
from gateway.casework.review_disclosure import ReviewDisclosure
from gateway.domain.messages import Biometrics, Direction, Modality, Outcome, Query, Result
from gateway.domain.person import Verdict
from gateway.errors import PasserelleError, UserError
from gateway.isolated_loop import each
from gateway.law import query_policy
from gateway.law.retention_policy import HIT_LIFE
from gateway.law.review_policy import conclude
from gateway.ledger import events, exchange_events
from gateway.ledger.entry import Leaf
from gateway.ledger.entry_types import Facts
from gateway.ledger.exchange_events import Message
from gateway.ledger.exchange_facts import examination_facts, verdict_facts
from gateway.operations import review
from gateway.store.casework import reviews
from gateway.store.casework.reviews import Case, CaseState, Evidence
from gateway.store.engine import StorageEngine
from gateway.store.exchange import transactions
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people import subjects
from gateway.wire import query_payload
from keys.data_encryption import DataRing
from keys.errors import KeysError

LEASE = timedelta(minutes=15)  # one look at ten fingers and a coffee; leasing again makes it longer

_GONE = "sealed query, and the key to it"


@dataclass(slots=True)
class Reviews:
    """The cases, and the acts on them. `disclosure` asks the law of today whether a candidate may be shown."""

    database: StorageEngine
    sequencer: Sequencer
    data_key: DataRing
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]
    disclosure: ReviewDisclosure
    _untidy: bool = False  # something was erased, and the WAL still has it

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what examiners do."""
        return (
            Handler(request=review.List, do=self._list),
            Handler(request=review.Lease, do=self._lease),
            Handler(request=review.Decide, do=self._decide),
            Handler(request=review.Release, do=self._release),
        )

    def expire(self) -> int:
        """End the cases whose time is over; return how many. For the periodic jobs, also after a restart."""
        ended = 0

        def end(case: Case) -> None:
            nonlocal ended
            now = self.clock()
            self.sequencer.commit(
                (
                    self._gone(case, self._receipt()),
                    exchange_events.review_abandonment(_message(case), case.case, case.due),
                    events.review_alarm(case.case, case.due),
                ),
                (
                    reviews.expire(case, now),
                    *transactions.abandon_reviewed(case.partner, case.number, case.message_id, now),
                ),
            )
            ended += 1
            self._untidy = True

        now = self.clock()
        try:
            each((case for case in self._waiting() if case.due <= now), end, "reviews")
        finally:
            self._tidy()
            if ended:
                telemetry.logger("review").error("review_overdue", count=ended)
        return ended

    def _list(self, officer: Officer, request: review.List) -> Answer:
        del officer
        shown, more = Page(request).slice(self._waiting())
        return {"cases": [_plain(each, self.clock()) for each in shown], "next_page_token": more}

    def _lease(self, officer: Officer, request: review.Lease) -> Answer:
        now, case = self.clock(), self._case(request.case)
        _demand_second(officer, case)
        until = min(now + LEASE, case.due)
        found = reviews.unseal(self.data_key, case)
        query = query_payload.read_query(found.payload)
        entries = seen(
            officer,
            "prints",
            (About(found.subject, query.case),),
            partner=case.partner,
            number=case.number,
            direction=Direction.INBOUND,
        )
        self.sequencer.commit(entries, (reviews.lease(case, officer.person, now, until),))
        return {**_plain(self._case(case.case), now), **self._seen(found, query)}

    def _release(self, officer: Officer, request: review.Release) -> Answer:
        now, case = self.clock(), self._case(request.case)
        _demand_hand(officer, case, now)
        self.sequencer.commit((), (reviews.release(case, officer.person, now),))
        return _plain(self._case(case.case), now)

    def _decide(self, officer: Officer, request: review.Decide) -> Answer:
        now, case = self.clock(), self._case(request.case)
        _demand_second(officer, case)  # (1)
        _demand_hand(officer, case, now)
        verdict = request.verdict
        verdicts = [each for each in (case.first_verdict, verdict) if each is not None]
        outcome = conclude(verdicts, case.persons)  # (2)
        second = case.first_examiner is not None
        said = examination_facts(officer.person, verdict, request.reason, second=second)
        if outcome is None:
            leaf = exchange_events.verdict(_message(case), case.case, said)
            kept = reviews.note(case, officer.person, verdict, now)
            self.sequencer.commit((leaf,), (kept,))
            return {"case": case.case, "closed": False}
        return self._close(officer, case, verdicts, outcome, said)

    def _close(
        self,
        officer: Officer,
        case: Case,
        verdicts: list[Verdict],
        outcome: Outcome,
        said: Facts,
    ) -> Answer:
        found = reviews.unseal(self.data_key, case)
        law = query_policy.Settled(outcome, outcome, "verdict")
        if outcome is Outcome.MATCH:
            law = self.disclosure.settled(found, case.opened)  # (3)
        now, receipt, message = self.clock(), self._receipt(), _message(case)
        settled = self._settled(case, found, law, receipt, now)
        facts = {**said, **verdict_facts(outcome, law, found.subject, receipt)}
        self.sequencer.commit(  # (4)
            (
                self._gone(case, receipt),
                exchange_events.verdict(message, case.case, facts),
            ),
            (
                reviews.close(case, officer.person, verdicts, now),
                *transactions.decide_reviewed(
                    case.partner, case.number, case.message_id, settled, now
                ),
            ),
        )
        self._untidy = True
        self._tidy()  # (5)
        return {
            "case": case.case,
            "closed": True,
            "destruction_receipt": receipt,
        }

    def _tidy(self) -> None:
        """Empty the WAL of what was erased; where a reader is in the way, the next round does it."""
        if self._untidy:
            self._untidy = not self.sequencer.forget_traces()

    def _settled(
        self,
        case: Case,
        found: Evidence,
        law: query_policy.Settled,
        receipt: str,
        now: datetime,
    ) -> transactions.Settled:
        """Return what is kept of a decided query, as if the search had come to it: whom it found, what is shown."""
        hit = None
        if law.shown is Outcome.MATCH:
            hit = transactions.Hit(self.random(16), found.subject, now + HIT_LIFE)
        result = Result(
            outcome=law.shown,
            decide_time=now.replace(microsecond=0),
            request_leaf_hash=self.sequencer.leaf_hash(case.request_index),
            hit_reference=hit.reference if hit else b"",
            destruction_receipt_id=receipt,
            details_expire_time=hit.expires if hit else None,
            withholding=law.withholding,
        )
        payload = query_payload.result_bytes(result)
        claimed = query_payload.read_query(found.payload).refugee_claimant
        whom = found.subject if law.true is Outcome.MATCH else None
        finding = transactions.Finding(whom, claimed)
        row = self.data_key, case.partner, case.number
        return transactions.Settled(
            outcome=law.shown,
            result=transactions.seal_result(*row, payload),
            finding=transactions.seal_finding(*row, finding),
            hit=hit,
        )

    def _seen(self, found: Evidence, query: Query) -> dict[str, object]:
        with self.database.reader() as reader:
            reference = subjects.reference_of(reader, found.subject)
            held = subjects.samples_of(reader, self.data_key, reference or "")
        if not held:
            raise UserError(
                "the record is there no more: decide INCONCLUSIVE, or let the time run out"
            )
        return review_evidence.side_by_side(found, query, held)

    def _gone(self, case: Case, receipt: str) -> Leaf:
        """Return the entry of a destruction; a case that does not open ends too, and says no modality."""
        with self.database.reader() as reader:
            whole = reviews.case(reader, case.case) or case  # a list of cases holds no evidence
        modalities: list[Modality] = []
        with suppress(PasserelleError, KeysError, ValueError):
            query = query_payload.read_query(reviews.unseal(self.data_key, whole).payload)
            samples = query.probe.samples if isinstance(query.probe, Biometrics) else ()
            modalities = sorted({each.modality for each in samples}, key=lambda each: each.name)
        return exchange_events.destruction(_message(case), receipt, _GONE, modalities)

    def _case(self, name: str) -> Case:
        with self.database.reader() as reader:
            found = reviews.case(reader, name)
        if found is None or found.state not in reviews.WAITING or found.due <= self.clock():
            raise UserError("no such case waits; see `passerelle review list`")
        return found

    def _waiting(self) -> list[Case]:
        with self.database.reader() as reader:
            return reviews.waiting(reader)

    def _receipt(self) -> str:
        return f"D-{self.random(16).hex()}"


def _demand_second(officer: Officer, case: Case) -> None:
    """Two persons means two: compared by person, never by key."""
    if case.first_examiner == officer.person:
        raise NotAllowed(
            "you gave the first verdict of this case; another person gives the second",
            "SAME_PERSON",
        )


def _demand_hand(officer: Officer, case: Case, now: datetime) -> None:
    if case.held_by(now) != officer.person:
        raise UserError("you have not this case in hand, or no longer: look at it again first")


def _message(case: Case) -> Message:
    return Message(case.partner, case.message_id, case.number)


def _plain(case: Case, now: datetime) -> dict[str, object]:
    """Return what may be seen of a case from outside: nothing of who asks, for what, or about whom."""
    held = case.held_by(now)
    return {
        "case": case.case,
        "state": (CaseState.OPEN if held is None else case.state).name
        if case.first_examiner is None
        else CaseState.FIRST_VERDICT.name,
        "persons": case.persons,
        "verdicts": 0 if case.first_examiner is None else 1,
        "held_by": held,
        "held_until": None
        if held is None or case.leased_until is None
        else _time(case.leased_until),
        "opened": _time(case.opened),
        "due": _time(case.due),
        "seconds_left": max(0, int((case.due - now).total_seconds())),
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
