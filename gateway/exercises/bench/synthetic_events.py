"""What happens to a gateway in a plausible year, invented: questions, answers, refusals, reviews, corrections, keys.

Entries come in the order in which a gateway would write them, in groups of one commit each. Nobody in them is
real: cases, officers and people are numbers. Shares and hours are guesses of ours, made so that every question of an
auditor has something to find; they are no forecast of traffic.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, TypeAlias

from gateway.domain.messages import Direction
from gateway.ledger.entry import EntryClass, EntryType, Frame

BEGINS: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAYS: Final = 365
PER_EXCHANGE: Final = 2.9  # entries of an exchange and what follows it, on average
PARTNERS: Final = (("AUS", "au", 4), ("GBR", "uk", 3), ("NZL", "nz", 2), ("USA", "us-visa", 6))
PURPOSES: Final = (("VISA_PERMIT_BENEFIT", "a", 7), ("TRAVEL_ENTER_REMAIN", "b", 3))
REFUSED: Final = (
    ("PURPOSE_NOT_PERMITTED", "header.purpose"),
    ("QUOTA_EXCEEDED", ""),
    ("ELEMENT_INVALID", "biometrics.samples[0]"),
)
CALIBRATIONS: Final = ("minutiae@1/2025-11", "minutiae@2/2026-07")
PEOPLE: Final = 50_000  # in the gallery at the beginning
NATIONS: Final = ("IND", "NGA", "CHN", "BRA", "SYR", "PHL", "FRA", "MEX")
_HOURS: Final = (*[1] * 6, *[12, 30, 60, 80, 80, 70, 60, 70, 80, 80, 60, 30], *[8] * 4, *[2] * 2)

Facts: TypeAlias = Mapping[str, str]
IN, OUT = Direction.INBOUND, Direction.OUTBOUND
ANSWERED, DENIED, OTHER = EntryClass.ANSWERED, EntryClass.DENIED, EntryClass.OTHER


@dataclass(frozen=True, slots=True)
class Said:
    """One entry before it is sealed: a frame without its commitment, and the facts beside it, if any."""

    frame: Frame
    facts: Facts | None = field(default=None, repr=False)


Group: TypeAlias = tuple[Said, ...]  # the entries of one commit


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

    def _put(self, time: datetime, *said: Said) -> None:
        whole = time.replace(microsecond=time.microsecond // 1000 * 1000)
        group = tuple(Said(replace(each.frame, time=whole), each.facts) for each in said)
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
        said = [_office(EntryType.START, {"software": "1.0", "settings_digest": "ab" * 32})]
        for partner, agreement, _ in PARTNERS:
            self._keys[partner] = self.random.randbytes(32)
            digest = {"agreement_digest": self.random.randbytes(32).hex()}
            frame = Frame(
                type=EntryType.AGREEMENT,
                entry_class=OTHER,
                partner_id=partner,
                agreement_id=agreement,
                agreement_version=1,
            )
            said.append(Said(frame, digest))
        self._keys["CAN"] = self.random.randbytes(32)
        granted = {"person": "E-7", "roles": "examiner", "actor": "O-1", "state_after": "GRANTED"}
        said.append(_office(EntryType.STAFF, granted))
        return tuple(Said(replace(each.frame, time=BEGINS), each.facts) for each in said)

    def _rotate(self, now: datetime) -> None:
        """The key to seal to is a new one each week."""
        before, kid = self._keys.get("CAN/kem"), self.random.randbytes(32)
        self._keys["CAN/kem"] = kid
        moves = [(kid, "PREACTIVE", "ACTIVE")]
        moves += [] if before is None else [(before, "ACTIVE", "DEACTIVATED")]
        said = []
        for each, old, new in moves:
            facts = {"key_kind": "KEM", "state_before": old, "state_after": new}
            facts |= {"reason": "weekly rotation", "actor": "caretaker"}
            said.append(_office(EntryType.KEY, facts, each.hex()))
        self._put(now, *said)

    def _exchange(self, now: datetime) -> None:
        partner, agreement, _ = self.random.choices(PARTNERS, [each[2] for each in PARTNERS])[0]
        number = f"{now:%Y%m%d}-{self.random.randbytes(10).hex()}"
        frame = Frame(
            type=EntryType.REQUEST,
            entry_class=EntryClass.ACCEPTED,
            partner_id=partner,
            direction=IN,
            message_id=self.random.randbytes(16),
            transcript=self.random.randbytes(32),
            transaction_number=number,
            signing_key_id=self._keys[partner],
            kem_key_id=self._keys.get("CAN/kem", b""),
            directory_version=1,
            agreement_id=agreement,
            agreement_version=1,
            subject_reference="SUBMIT_QUERY",
        )
        kind = self.random.random()
        if kind < 0.12:
            self._asked(now, frame)
        elif kind < 0.17:
            self._refused(now, frame)
        else:
            self._query(now, frame)
        if self.random.random() < 0.0005:
            facts = {"reason": "SIGNATURE_INVALID", "count": str(self.random.randint(2, 90))}
            minute = replace(_bare(frame), subject_reference=f"{now:%Y-%m-%dT%H:%MZ}")
            self._put(now, Said(_as(minute, EntryType.REFUSAL_SUMMARY, DENIED), facts))

    def _asking(self, frame: Frame) -> dict[str, str]:
        purpose, letter, _ = self.random.choices(PURPOSES, [each[2] for each in PURPOSES])[0]
        return {
            "operation": "SUBMIT_QUERY",
            "purpose": purpose,
            "paragraph": f"IRPR {'315.23' if frame.partner_id == 'USA' else '315.41'}(1)({letter})",
            "case": f"C-{self.random.randint(1, max(10, self.entries * 2))}",
            "unit": f"U-{self.random.randint(1, 12)}",
            "person": f"{frame.partner_id}-{self.random.randint(1, 200)}",
            "refugee_claimant": "false",
            "modality": "FINGER",
            "positions": "2,7",
            "sizes": "412,398",
            "policy_trace": f"{frame.agreement_id}@1:answer.purposes.{purpose}",
        }

    def _refused(self, now: datetime, frame: Frame) -> None:
        reason, element = self.random.choice(REFUSED)
        facts = {"operation": "SUBMIT_QUERY", "reason": reason}
        facts |= {"element": element} if element else {}
        self._put(now, Said(_as(frame, EntryType.REFUSAL, DENIED), facts))

    def _asked(self, now: datetime, frame: Frame) -> None:
        """A question of ours, its answer, and what became of it."""
        facts = self._asking(frame)
        facts["actor"] = f"P-{self.random.randint(1, 60)}"
        facts["paragraph"] = facts["paragraph"].replace("315.41", "315.4")
        facts["policy_trace"] = facts["policy_trace"].replace(":answer.", ":ask.")
        del facts["operation"], facts["person"], facts["modality"]
        mine = replace(frame, direction=OUT, subject_reference="")
        self._put(now, Said(_as(mine, EntryType.ASKED, OTHER), facts))
        after = now + timedelta(seconds=self.random.uniform(2, 9))
        back = replace(mine, message_id=self.random.randbytes(16))
        chance = self.random.random()
        if chance < 0.02:
            told = {"case": facts["case"], "reason": "NO_ANSWER"}
            gone = _as(_bare(back), EntryType.ABANDONED, OTHER)
            self._put(after, Said(replace(gone, direction=OUT), told))
            return
        outcome = "MATCH" if chance < 0.2 else "NO_MATCH"
        told = {"case": facts["case"], "outcome_received": outcome}
        self._put(after, Said(_as(back, EntryType.ANSWER_RECEIVED, ANSWERED), told))
        if outcome == "MATCH":
            used = {"case": facts["case"], "actor": facts["actor"], "used_in": "F-1"}
            later = after + timedelta(hours=self.random.uniform(1, 60))
            self._put(later, Said(_as(_bare(back), EntryType.USE, OTHER), used))

    def _query(self, now: datetime, frame: Frame) -> None:
        facts = self._asking(frame)
        self._put(now, Said(frame, facts))
        took = self.random.uniform(0.6, 3.0)
        done = now + timedelta(seconds=took)
        if self.random.random() < 0.004:
            failed = {"operation": "SUBMIT_QUERY", "reason": "ENGINE_UNAVAILABLE"}
            self._put(done, self._gone(frame), Said(_as(frame, EntryType.REFUSAL, OTHER), failed))
            late = done + timedelta(minutes=17)
            self._put(late, Said(_as(frame, EntryType.ABANDONED, OTHER), {"reason": "WINDOW"}))
            return
        searched = self._searched(now) | {"duration_ms": str(int(took * 1000))}
        chance = self.random.random()
        if chance < 0.003:
            self._reviewed(done, frame, searched)
        elif chance < 0.10:
            self._matched(done, frame, searched)
        else:
            rule = f"{frame.agreement_id}@1:search"
            nobody = {"true_outcome": "NO_MATCH", "disclosed_outcome": "NO_MATCH", "why": rule}
            self._put(done, self._gone(frame), self._answer(frame, searched | nobody))

    def _searched(self, now: datetime) -> dict[str, str]:
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

    def _matched(self, done: datetime, frame: Frame, searched: dict[str, str]) -> None:
        self._masked += 1
        masked = self._masked % 12 == 0
        whom = self._whom() | {"scores": f"{self.random.uniform(9, 40):.3f}"}
        whom |= {"status_kind": "CITIZEN", "nationalities": "CAN"} if masked else {}
        row = whom["status_kind"]
        said = {
            **searched,
            **whom,
            "true_outcome": "MATCH",
            "disclosed_outcome": "NO_MATCH" if masked else "MATCH",
            "why": f"{frame.agreement_id}@1:answer.reveal.{row}",
        }
        self._put(done, self._gone(frame), self._answer(frame, said))
        if not masked and self.random.random() < 0.6:
            self._details(done + timedelta(seconds=self.random.uniform(30, 3000)), frame, whom)
        if not masked and self.random.random() < 0.01:
            self._correction(done + timedelta(days=self.random.uniform(1, 20)), frame)

    def _details(self, now: datetime, frame: Frame, whom: Facts) -> None:
        number = f"{now:%Y%m%d}-{self.random.randbytes(10).hex()}"
        follow = replace(
            frame,
            message_id=self.random.randbytes(16),
            transcript=self.random.randbytes(32),
            transaction_number=number,
            subject_reference="REQUEST_HIT_DETAILS",
        )
        about = {
            "transaction_reference": frame.transaction_number,
            "fields": "LAST_NAME,FIRST_NAME",
        }
        said = {"operation": "REQUEST_HIT_DETAILS", **about}
        self._put(now, Said(follow, said))
        paragraph = "315.25(1)(a)" if frame.partner_id == "USA" else "315.41(2)(a)"
        told = {**about, "subject": whom["subject"], "disclosed_outcome": "DISCLOSED"}
        told |= {"field_authorities": f"IRPR {paragraph}={about['fields']}"}
        self._put(now + timedelta(seconds=1), self._answer(follow, told))

    def _correction(self, now: datetime, frame: Frame) -> None:
        """Corrections that we sent to a partner: opened, delivered, acknowledged; one in ten too late."""
        name = self.random.randbytes(16).hex()
        bare = replace(_bare(frame), direction=OUT, transaction_number=name)
        about = {"correction": name, "transaction_reference": frame.transaction_number}
        due = (now + timedelta(hours=72)).isoformat()
        opened = {**about, "actor": "P-4", "correction_kind": "WRONG_VALUE", "due": due}
        self._put(now, Said(_as(bare, EntryType.CORRECTION, OTHER), opened))
        sent = now + timedelta(minutes=self.random.uniform(1, 400))
        self._put(sent, Said(_as(bare, EntryType.CORRECTION, ANSWERED), about))
        hours = self.random.uniform(80, 200) if self.random.random() < 0.1 else 20
        back = sent + timedelta(hours=hours)
        letter = replace(
            frame,
            message_id=self.random.randbytes(16),
            transcript=self.random.randbytes(32),
            transaction_number=name,
            subject_reference="ACK_CORRECTION",
        )
        outcome = {**about, "correction_outcome": "CORRECTED", "operation": "ACK_CORRECTION"}
        acknowledged = replace(_as(letter, EntryType.ACKNOWLEDGEMENT, EntryClass.ACCEPTED))
        self._put(back, Said(letter, outcome))
        end = self._answer(letter, about)
        self._put(back + timedelta(seconds=1), Said(acknowledged, outcome), end)

    def _reviewed(self, done: datetime, frame: Frame, searched: dict[str, str]) -> None:
        """An examiner decides, within the hour; one candidate in four is somebody else."""
        name = f"R-{self.random.randbytes(8).hex()}"
        review = replace(_as(_bare(frame), EntryType.REVIEW, OTHER), subject_reference=name)
        waits = {"true_outcome": "REVIEW_PENDING", "disclosed_outcome": "REVIEW_PENDING"}
        whom = self._whom()
        pending = {**searched, **whom, **waits, "scores": f"{self.random.uniform(7, 9):.3f}"}
        due = {"due": (done + timedelta(hours=24)).isoformat(timespec="seconds"), "count": "1"}
        self._put(done, Said(review, due), self._answer(frame, pending))
        same = self.random.random() < 0.75
        outcome = "MATCH" if same else "NO_MATCH"
        verdict = {
            "examiner": f"E-{self.random.randint(1, 9)}",
            "verdict": "SAME" if same else "DIFFERENT",
            "true_outcome": outcome,
            "disclosed_outcome": outcome,
            "subject": whom["subject"],
        }
        after = done + timedelta(minutes=self.random.uniform(2, 55))
        ended = replace(_as(_bare(frame), EntryType.VERDICT, OTHER), subject_reference=name)
        self._put(after, self._gone(frame), Said(ended, verdict))

    def _gone(self, frame: Frame) -> Said:
        receipt = f"D-{self.random.randbytes(16).hex()}"
        gone = replace(_as(_bare(frame), EntryType.DESTRUCTION, OTHER), subject_reference=receipt)
        return Said(gone, {"destroyed": "records=2,minutiae=2,templates=2", "modality": "FINGER"})

    def _answer(self, frame: Frame, facts: Facts) -> Said:
        mine = replace(
            _as(frame, EntryType.RESPONSE, ANSWERED),
            transcript=self.random.randbytes(32),
            signing_key_id=self._keys["CAN"],
            kem_key_id=self._keys[frame.partner_id],
        )
        return Said(mine, facts)


def _as(frame: Frame, kind: EntryType, entry_class: EntryClass) -> Frame:
    return replace(frame, type=kind, entry_class=entry_class)


def _bare(frame: Frame) -> Frame:
    """Return a frame that names partner, message and number alone."""
    return Frame(
        type=frame.type,
        entry_class=frame.entry_class,
        partner_id=frame.partner_id,
        direction=frame.direction,
        message_id=frame.message_id,
        transaction_number=frame.transaction_number,
    )


def _office(kind: EntryType, facts: Facts, of: str = "") -> Said:
    return Said(Frame(type=kind, entry_class=OTHER, subject_reference=of), facts)


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
