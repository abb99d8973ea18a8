"""What happens to a gateway in a plausible year, invented: questions, answers, refusals, reviews, corrections, keys.

Entries come in the order in which a gateway would write them, in groups of one commit each. Nobody in them is
real: cases, officers and people are numbers. Shares and hours are guesses of ours, made so that every question of an
auditor has something to find; they are no forecast of traffic.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, NamedTuple, TypeAlias

from gateway.domain.correction import (
    CorrectionAck,
    CorrectionKind,
    CorrectionNotice,
    CorrectionOutcome,
    CorrectionState,
)
from gateway.domain.messages import (
    Biometrics,
    Header,
    MessageType,
    Modality,
    Operation,
    Outcome,
    Purpose,
    RecordFormat,
    Result,
    Sample,
)
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest, OutboundState
from gateway.domain.person import NOBODY, Verdict
from gateway.errors import EngineUnavailable, remade
from gateway.law.agreement_library import load_agreements, packaged
from gateway.law.outbound_policy import AskPermit
from gateway.law.query_policy import Settled
from gateway.law.quota_policy import Quota, Quotas
from gateway.ledger import events, exchange_events
from gateway.ledger.entry import EntryType, Leaf
from gateway.ledger.entry_types import Facts
from gateway.ledger.exchange_events import Corrected, Message
from gateway.ledger.exchange_facts import (
    acknowledgement_facts,
    correction_facts,
    decision_facts,
    examination_facts,
    reference_facts,
    unsearched_facts,
    verdict_facts,
)
from keys.key_record import KeyEvent
from keys.lifecycle import KeyKind, KeyState

BEGINS: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 365
PER_EXCHANGE: Final = 2.9  # entries of an exchange and what follows it, on average
PARTNERS: Final = (("AUS", "au", 4), ("GBR", "uk", 3), ("NZL", "nz", 2), ("USA", "us-visa", 6))
PURPOSES: Final = ((Purpose.VISA_PERMIT_BENEFIT, "a", 7), (Purpose.TRAVEL_ENTER_REMAIN, "b", 3))
REFUSED: Final = (
    ("PURPOSE_NOT_PERMITTED", "header.purpose"),
    ("QUOTA_EXCEEDED", ""),
    ("ELEMENT_INVALID", "biometrics.samples[0]"),
)
CALIBRATIONS: Final = ("minutiae@1/2025-11", "minutiae@2/2026-07")
PEOPLE: Final = 50_000  # in the gallery at the beginning
NATIONS: Final = ("IND", "NGA", "CHN", "BRA", "SYR", "PHL", "FRA", "MEX")
_HOURS: Final = (*[1] * 6, *[12, 30, 60, 80, 80, 70, 60, 70, 80, 80, 60, 30], *[8] * 4, *[2] * 2)

Group: TypeAlias = tuple[Leaf, ...]  # the entries of one commit


class SyntheticMessage(NamedTuple):
    """A message: its header, and its 32-byte hash."""

    header: Header
    transcript: bytes

    @property
    def message(self) -> Message:
        """What names it."""
        return Message(self.header.sender, self.header.message_id, self.header.transaction_number)


@dataclass(slots=True)
class Life:
    """The year of one gateway; `groups` yields what is written, in order of time."""

    random: Random
    entries: int
    written: int = 0
    _later: list[tuple[datetime, int, Group]] = field(default_factory=list)
    _waiting: int = 0
    _count: int = 0
    _keys: dict[str, bytes] = field(default_factory=dict)
    _masked: int = 0

    def groups(self) -> Iterator[Group]:
        """Yield the commits of the year, `entries` entries or a few more in all."""
        yield from self._ready(self._begin())
        for now in self._moments():
            yield from self._due(now)
            if self.written + self._waiting >= self.entries:
                break
            self._exchange(now)
        yield from self._due(BEGINS + timedelta(days=DAYS + 30))

    def _due(self, until: datetime) -> Iterator[Group]:
        while self._later and self._later[0][0] <= until:
            group = heapq.heappop(self._later)[2]
            self._waiting -= len(group)
            yield from self._ready(group)

    def _ready(self, group: Group) -> Iterator[Group]:
        self.written += len(group)
        yield group

    def _put(self, time: datetime, *said: Leaf) -> None:
        whole = time.replace(microsecond=time.microsecond // 1000 * 1000)
        group = tuple(_at(whole, each) for each in said)
        self._count += 1
        self._waiting += len(group)
        heapq.heappush(self._later, (whole, self._count, group))

    def _moments(self) -> Iterator[datetime]:
        """Yield when exchanges begin: by day more than by night, at weekends less."""
        daily = self.entries / PER_EXCHANGE / DAYS
        owed = 0.0
        for day in range(DAYS):
            begins = BEGINS + timedelta(days=day)
            owed += daily * (0.4 if begins.weekday() > 4 else 1.24)
            hours = self.random.choices(range(24), _HOURS, k=int(owed))
            owed -= int(owed)
            seconds = sorted(hour * 3600 + self.random.random() * 3600 for hour in hours)
            if day % 7 == 0:
                self._rotate(begins + timedelta(minutes=5))
            yield from (begins + timedelta(seconds=each) for each in seconds)
        yield from (BEGINS + timedelta(days=DAYS, seconds=n) for n in range(self.entries))

    def _begin(self) -> Group:
        said = [events.service(EntryType.START, "1.0", "ab" * 32)]
        agreed = load_agreements(packaged())
        for partner, agreement, _ in PARTNERS:
            self._keys[partner] = self.random.randbytes(32)
            said.append(events.agreement_adoption(agreed[agreement][0]))
        self._keys["CAN"] = self.random.randbytes(32)
        by = {"actor": "O-1", "person": "E-7"}
        said.append(events.staff(bytes(32), "GRANTED", by, roles=("examiner",)))
        return tuple(_at(BEGINS, each) for each in said)

    def _rotate(self, now: datetime) -> None:
        """The key to seal to is a new one each week."""
        before, kid = self._keys.get("CAN/kem"), self.random.randbytes(32)
        self._keys["CAN/kem"] = kid
        moves = [(kid, KeyState.PREACTIVE, KeyState.ACTIVE)]
        moves += [] if before is None else [(before, KeyState.ACTIVE, KeyState.DEACTIVATED)]
        said = []
        for each, old, new in moves:
            event = KeyEvent(now, each, KeyKind.KEM, old, new, "weekly rotation", "caretaker")
            said.append(events.key_transition(event, {"actor": event.actor}))
        self._put(now, *said)

    def _exchange(self, now: datetime) -> None:
        partner, agreement, _ = self.random.choices(PARTNERS, [each[2] for each in PARTNERS])[0]
        number = f"{now:%Y%m%d}-{self.random.randbytes(10).hex()}"
        header = Header(
            message_type=MessageType.REQUEST,
            operation=Operation.SUBMIT_QUERY,
            sender=partner,
            signing_key_id=self._keys[partner],
            recipient="CAN",
            kem_key_id=self._keys.get("CAN/kem", b""),
            message_id=self.random.randbytes(16),
            create_time=now,
            expire_time=now,
            directory_version=1,
            payload_commitment=b"",
            transaction_number=number,
            agreement_id=agreement,
            agreement_version=1,
        )
        asked = SyntheticMessage(header, self.random.randbytes(32))
        kind = self.random.random()
        if kind < 0.12:
            self._asked(now, asked)
        elif kind < 0.17:
            self._refused(now, asked)
        else:
            self._query(now, asked)
        if self.random.random() < 0.0005:
            minute, count = f"{now:%Y-%m-%dT%H:%MZ}", self.random.randint(2, 90)
            self._put(
                now, exchange_events.refusal_count(partner, "SIGNATURE_INVALID", minute, count)
            )

    def _asking(self, header: Header) -> dict[str, str]:
        purpose, letter, _ = self.random.choices(PURPOSES, [each[2] for each in PURPOSES])[0]
        return {
            "operation": header.operation.name,
            "purpose": purpose.name,
            "paragraph": f"IRPR {'315.23' if header.sender == 'USA' else '315.41'}(1)({letter})",
            "case": f"C-{self.random.randint(1, max(10, self.entries * 2))}",
            "unit": f"U-{self.random.randint(1, 12)}",
            "person": f"{header.sender}-{self.random.randint(1, 200)}",
            "refugee_claimant": "false",
            "modality": "FINGER",
            "positions": "2,7",
            "sizes": "412,398",
            "policy_trace": f"{header.agreement_id}@1:answer.purposes.{purpose.name}",
        }

    def _refused(self, now: datetime, asked: SyntheticMessage) -> None:
        reason, element = self.random.choice(REFUSED)
        refused = remade(reason, "", {"element": element} if element else {})
        self._put(now, exchange_events.refusal(*asked, refused))

    def _asked(self, now: datetime, asked: SyntheticMessage) -> None:
        """A question of ours, its answer, and what became of it."""
        header, facts = asked.header, self._asking(asked.header)
        officer, case = f"P-{self.random.randint(1, 60)}", facts["case"]
        asking = OutboundRequest(
            partner=header.sender,
            agreement=(header.agreement_id, 1),
            purpose=Purpose[facts["purpose"]],
            case=case,
            unit=facts["unit"],
            person=officer,
            status=NOBODY,
            probe=Biometrics(tuple(_sample(*each) for each in ((2, 412), (7, 398)))),
        )
        permit = AskPermit(
            agreement_id=header.agreement_id,
            version=1,
            purpose=asking.purpose,
            paragraph=facts["paragraph"].replace("315.41", "315.4"),
            quotas=Quotas(Quota(1, 1)),
            rules=(facts["policy_trace"].replace(":answer.", ":ask."),),
            digest="ab" * 32,
        )
        self._put(now, exchange_events.question(asking, *asked, permit))
        after = now + timedelta(seconds=self.random.uniform(2, 9))
        query = _outbound(asking, header, now)
        theirs = replace(header, message_id=self.random.randbytes(16))
        chance = self.random.random()
        if chance < 0.02:
            self._put(after, exchange_events.question_end(query, "NO_ANSWER", refused=False))
            return
        outcome = Outcome.MATCH if chance < 0.2 else Outcome.NO_MATCH
        receipt = self._answer(SyntheticMessage(theirs, asked.transcript), {}).frame
        result = Result(outcome=outcome, decide_time=now, request_leaf_hash=b"")
        self._put(after, exchange_events.answer(query, receipt, result))
        if outcome is Outcome.MATCH:
            later = after + timedelta(hours=self.random.uniform(1, 60))
            self._put(later, exchange_events.use(query, officer, "F-1"))

    def _query(self, now: datetime, asked: SyntheticMessage) -> None:
        facts = self._asking(asked.header)
        self._put(now, exchange_events.request(*asked, facts))
        done = now + timedelta(seconds=self.random.uniform(0.6, 3.0))
        if self.random.random() < 0.004:
            failed = exchange_events.failure(*asked, EngineUnavailable())
            self._put(done, self._gone(asked), failed)
            operation = asked.header.operation
            left = exchange_events.request_abandonment(asked.message, asked.transcript, operation)
            self._put(done + timedelta(minutes=17), left)
            return
        searched = self._searched(now)
        chance = self.random.random()
        if chance < 0.003:
            self._reviewed(done, asked, searched)
        elif chance < 0.10:
            self._matched(done, asked, searched)
        else:
            rule = f"{asked.header.agreement_id}@1:search"
            nobody = decision_facts(Settled(Outcome.NO_MATCH, Outcome.NO_MATCH, rule))
            self._put(done, self._gone(asked), self._answer(asked, {**searched, **nobody}))

    def _searched(self, now: datetime) -> Facts:
        day = (now - BEGINS).days
        return {
            "calibration": CALIBRATIONS[day > 190],
            "gallery_size": str(PEOPLE + 40 * day),
            "gallery_version": str(day + 1),
            "threshold": "8.700",
            "scores": f"{self.random.gauss(2, 1):.3f}",
            "fpir": "0.0001",
        }

    def _whom(self) -> dict[str, str]:
        return {
            "subject": str(self.random.randint(1, PEOPLE)),
            "status_kind": self.random.choice(("FOREIGN_NATIONAL", "FOREIGN_NATIONAL", "CLAIMANT")),
            "status_age": f"{self.random.randint(0, 300)} days",
            "nationalities": self.random.choice(NATIONS),
        }

    def _matched(self, done: datetime, asked: SyntheticMessage, searched: Facts) -> None:
        self._masked += 1
        masked = self._masked % 12 == 0
        whom = self._whom() | {"scores": f"{self.random.uniform(9, 40):.3f}"}
        whom |= {"status_kind": "CITIZEN", "nationalities": "CAN"} if masked else {}
        rule = f"{asked.header.agreement_id}@1:answer.reveal.{whom['status_kind']}"
        shown = Outcome.NO_MATCH if masked else Outcome.MATCH
        decided = decision_facts(Settled(shown, Outcome.MATCH, rule))
        answer = self._answer(asked, {**searched, **whom, **decided})
        self._put(done, self._gone(asked), answer)
        if not masked and self.random.random() < 0.6:
            self._details(done + timedelta(seconds=self.random.uniform(30, 3000)), asked, whom)
        if not masked and self.random.random() < 0.01:
            self._correction(done + timedelta(days=self.random.uniform(1, 20)), asked)

    def _follow(
        self, asked: SyntheticMessage, operation: Operation, number: str
    ) -> SyntheticMessage:
        """Return a later message of the same partner, about the same query."""
        header = replace(
            asked.header,
            operation=operation,
            message_id=self.random.randbytes(16),
            transaction_number=number,
            transaction_reference=asked.header.transaction_number,
        )
        return SyntheticMessage(header, self.random.randbytes(32))

    def _details(self, now: datetime, asked: SyntheticMessage, whom: Facts) -> None:
        number = f"{now:%Y%m%d}-{self.random.randbytes(10).hex()}"
        follow = self._follow(asked, Operation.REQUEST_HIT_DETAILS, number)
        about = {**reference_facts(follow.header), "fields": "LAST_NAME,FIRST_NAME"}
        self._put(now, exchange_events.request(*follow, about))
        paragraph = "315.25(1)(a)" if asked.header.sender == "USA" else "315.41(2)(a)"
        told = {**about, "subject": whom["subject"], "disclosed_outcome": "DISCLOSED"}
        told |= {"field_authorities": f"IRPR {paragraph}={about['fields']}"}
        self._put(now + timedelta(seconds=1), self._answer(follow, told))

    def _correction(self, now: datetime, asked: SyntheticMessage) -> None:
        """Corrections that we sent to a partner: opened, delivered, acknowledged; one in ten too late."""
        name = self.random.randbytes(16)
        of = Corrected(asked.header.sender, name, asked.header.transaction_number)
        notice = CorrectionNotice(
            id=name, kind=CorrectionKind.WRONG_VALUE, fields=(), due=now + timedelta(hours=72)
        )
        self._put(now, exchange_events.correction(of, notice, "P-4", "it was wrong", recipients=1))
        sent = now + timedelta(minutes=self.random.uniform(1, 400))
        theirs = self._answer(asked, {}).frame
        arrived = exchange_events.correction_delivery(
            EntryType.CORRECTION, of, theirs, CorrectionState.OPEN
        )
        self._put(sent, arrived)
        hours = self.random.uniform(80, 200) if self.random.random() < 0.1 else 20
        back = sent + timedelta(hours=hours)
        envelope = self._follow(asked, Operation.ACK_CORRECTION, name.hex())
        ack = CorrectionAck(id=name, outcome=CorrectionOutcome.CORRECTED, completed=back)
        facts = acknowledgement_facts(envelope.header, ack)
        self._put(back, exchange_events.request(*envelope, facts))
        acknowledged = exchange_events.correction_received(
            EntryType.ACKNOWLEDGEMENT, *envelope, facts
        )
        end = self._answer(envelope, correction_facts(name, CorrectionState.ACKNOWLEDGED))
        self._put(back + timedelta(seconds=1), acknowledged, end)

    def _reviewed(self, done: datetime, asked: SyntheticMessage, searched: Facts) -> None:
        """An examiner decides, within the hour; one candidate in four is somebody else."""
        name, whom = f"R-{self.random.randbytes(8).hex()}", self._whom()
        pending = {
            **searched,
            **whom,
            **unsearched_facts(Outcome.REVIEW_PENDING),
            "scores": f"{self.random.uniform(7, 9):.3f}",
        }
        waits = exchange_events.review(asked.message, name, done + timedelta(hours=24), 1)
        self._put(done, waits, self._answer(asked, pending))
        same = self.random.random() < 0.75
        outcome = Outcome.MATCH if same else Outcome.NO_MATCH
        examiner = f"E-{self.random.randint(1, 9)}"
        after = done + timedelta(minutes=self.random.uniform(2, 55))
        gone = self._gone(asked)
        saw = Verdict.SAME if same else Verdict.DIFFERENT
        facts = {
            **examination_facts(examiner, saw, "as seen", second=False),
            **verdict_facts(
                outcome,
                Settled(outcome, outcome, "verdict"),
                int(whom["subject"]),
                gone.frame.subject_reference,
            ),
        }
        self._put(after, gone, exchange_events.verdict(asked.message, name, facts))

    def _gone(self, asked: SyntheticMessage) -> Leaf:
        receipt = f"D-{self.random.randbytes(16).hex()}"
        what = "records=2,minutiae=2,templates=2"
        return exchange_events.destruction(asked.message, receipt, what)

    def _answer(self, asked: SyntheticMessage, facts: Facts) -> Leaf:
        mine = replace(
            asked.header,
            signing_key_id=self._keys["CAN"],
            kem_key_id=self._keys[asked.header.sender],
        )
        return exchange_events.response(asked.header, mine, self.random.randbytes(32), facts)


def _at(time: datetime, leaf: Leaf) -> Leaf:
    return Leaf(replace(leaf.frame, time=time), leaf.detail)


def _sample(position: int, size: int) -> Sample:
    return Sample(
        modality=Modality.FINGER,
        position=position,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="",
        data=bytes(size),
    )


def _outbound(asking: OutboundRequest, header: Header, now: datetime) -> OutboundQuery:
    return OutboundQuery(
        partner=asking.partner,
        number=header.transaction_number,
        message_id=header.message_id,
        purpose=asking.purpose,
        agreement=asking.agreement,
        case=asking.case,
        state=OutboundState.ASKED,
        outcome=None,
        subject=None,
        ask=now,
        answer=None,
        used=None,
        used_in="",
        asked_index=0,
        answered_index=None,
        sealed=None,
    )


def subjects(random: Random) -> Sequence[tuple[str, str, str, str]]:
    """Return a line for each invented person of the gallery: number, sex, age band, region."""
    sexes, bands = ("F", "M", "X"), ("14-17", "18-29", "30-44", "45-59", "60-79")
    regions = ("Africa", "Americas", "Asia", "Europe")
    return [
        (
            str(number),
            random.choices(sexes, (480, 500, 1))[0],
            random.choices(bands, (5, 40, 30, 20, 5))[0],
            random.choice(regions),
        )
        for number in range(1, PEOPLE + 1)
    ]
