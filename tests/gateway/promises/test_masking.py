"""Whom the law hides is answered as if nobody had been found: same search, same look, entries, size and keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from gateway.client import Answer, Refused
from gateway.domain.correction import CorrectionKind
from gateway.domain.messages import Direction, Outcome, PriorTransaction, Purpose
from gateway.domain.outbound_query import OutboundState
from gateway.domain.person import NOBODY, Ground, Record, Scope, Status, SubjectKind, Withholding
from gateway.ledger.entry import EntryType, decode
from gateway.store.casework import withholdings
from gateway.store.effects import Effect
from gateway.store.exchange.transactions import Finding, open_finding
from gateway.store.ledger import stored_ledger
from gateway.store.people import person_records as store
from gateway.store.people import subjects
from gateway.store.schema import asked, corrections, transactions

if TYPE_CHECKING:
    from tests.gateway.conftest import Pair, People


class Watched:
    """A case system that counts how often it is asked for a record, and for somebody."""

    def __init__(self, people: Any) -> None:
        self.people = people
        self.asked: Counter[str] = Counter()

    def record(self, subject: int) -> Record:
        self.asked["record"] += 1
        return self.people.record(subject)

    def somebody(self) -> int:
        self.asked["somebody"] += 1
        return self.people.somebody()


class CountingKey:
    """The data key, counting its uses."""

    def __init__(self, key: Any) -> None:
        self._key = key
        self.used: Counter[str] = Counter()

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        self.used[f"seal {len(plaintext)}"] += 1
        return self._key.seal(plaintext, aad)

    def open(self, blob: bytes, aad: bytes) -> bytes:
        self.used["open"] += 1
        return self._key.open(blob, aad)


def subject_of(pair: Pair, seed: int) -> int:
    with pair.gateway.database.reader() as reader:
        found = subjects.find(reader, f"P-{seed}")
    assert found is not None
    return found


def change(pair: Pair, seed: int, status: Status) -> None:
    gateway, subject = pair.gateway, subject_of(pair, seed)
    version = gateway.subjects.people.record(subject).version + 1
    record = Record(status=status, version=version)
    effect = store.write_record(subject, record, gateway.keys.data_key, gateway.clock())
    gateway.sequencer.commit((), (effect,))


@pytest.fixture
def watched(pair: Pair) -> tuple[Watched, CountingKey]:
    from gateway.domain.messages import Operation

    walk = pair.serving.pipeline._operations[Operation.SUBMIT_QUERY]
    people, key = Watched(pair.gateway.subjects.people), CountingKey(pair.gateway.keys.data_key)
    pair.gateway.subjects.people._data_key = key
    walk._context = replace(walk._context, people=people, data_key=key)  # type: ignore[attr-defined]
    return people, key


def ask(pair: Pair, people: People, seed: int, **other: Any) -> Answer:
    return pair.partner().query(people.samples(seed), **people.matter(**other))


def finding(pair: Pair, answer: Answer) -> tuple[int, Finding]:
    """Return the length of the column that says who was found, and what it says."""
    number = answer.transaction_number
    with pair.gateway.database.reader() as reader:
        wanted = select(transactions.c.subject).where(transactions.c.number == number)
        sealed = reader.execute(wanted).scalar()
    return len(sealed), open_finding(pair.gateway.keys.data_key, "AUS", number, sealed)


def test_a_masked_citizen_looks_like_a_stranger(
    pair: Pair, people: People, watched: tuple[Watched, CountingKey]
) -> None:
    """Citizens are outside Division 3 (IRPR 315.36); nothing of the answer may whisper otherwise."""
    change(pair, 1, people.status(SubjectKind.CITIZEN, "CAN", "IND"))
    case_system, key = watched
    seen = []
    for seed in (1, people.unknown, 2):
        size = pair.gateway.sequencer.size
        case_system.asked.clear()
        key.used.clear()
        answer = ask(pair, people, seed)
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database, size)]
        shape = [(frame.type, frame.entry_class, frame.policy_id) for frame in frames]
        seen.append((answer, shape, dict(case_system.asked), dict(key.used)))
    (hidden, *masked), (absent, *unknown), (shown, *match) = seen

    assert hidden.outcome is absent.outcome is Outcome.NO_MATCH
    assert shown.outcome is Outcome.MATCH
    assert hidden.envelope_size == absent.envelope_size == shown.envelope_size
    assert hidden.result.hit_reference == absent.result.hit_reference == b""
    assert masked == unknown
    assert masked[0] == match[0]
    assert masked[1] == match[1] == {"somebody": 1, "record": 1}
    assert [kind for kind, _, _ in masked[0]] == [
        EntryType.REQUEST,
        EntryType.DESTRUCTION,
        EntryType.RESPONSE,
    ]
    assert finding(pair, hidden) == (finding(pair, absent)[0], Finding(subject_of(pair, 1)))
    assert finding(pair, absent)[1] == Finding(None)


@pytest.mark.parametrize(
    "status",
    [
        Status(kind=SubjectKind.UNKNOWN),
        NOBODY,
        Status(kind=SubjectKind.FOREIGN_NATIONAL),  # never confirmed, of no country
    ],
)
def test_of_whom_too_little_is_known_is_masked(pair: Pair, people: People, status: Status) -> None:
    """Law.md 3.3, the row "unknown"; in the ledger the truth stands."""
    change(pair, 3, status)

    answer = ask(pair, people, 3)

    assert answer.outcome is Outcome.NO_MATCH
    assert finding(pair, answer)[1] == Finding(subject_of(pair, 3))


def test_a_national_of_the_asking_country_is_masked(pair: Pair, people: People) -> None:
    """A national of a third country is one of neither party (IRPR 315.36)."""
    change(pair, 3, people.status(SubjectKind.FOREIGN_NATIONAL, "AUS", "IND"))

    assert ask(pair, people, 3).outcome is Outcome.NO_MATCH


def test_a_resident_is_shown_where_a_claim_is_declared_and_only_there(
    pair: Pair, people: People
) -> None:
    """IRPR 315.41(1)(d); status is read from our record, never from the asker's word."""
    change(pair, 3, people.status(SubjectKind.PERMANENT_RESIDENT, "IND"))

    declared = ask(
        pair,
        people,
        3,
        purpose=Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR,
        refugee_claimant=True,
    )

    assert ask(pair, people, 3).outcome is Outcome.NO_MATCH
    assert declared.outcome is Outcome.MATCH
    assert finding(pair, declared)[1] == Finding(subject_of(pair, 3), claimed=True)


def test_whom_an_official_refuses_is_refused_with_the_ground(pair: Pair, people: People) -> None:
    """IRPR 315.41(3): must refuse; it is an answer, of the size of any other, and the prints are gone."""
    decision = withholdings.Decision(
        id="R-0000000000000001",
        subject=subject_of(pair, 2),
        partner="AUS",
        scope=Scope.ALL,
        fields=frozenset(),
        ground=Ground.NATIONAL_SECURITY,
        terms="",
        reason="a test",
        decided_by="P-1",
        decided=pair.gateway.clock(),
    )
    pair.gateway.sequencer.commit((), withholdings.refuse(decision))

    refused, shown = ask(pair, people, 2), ask(pair, people, 3)

    assert refused.outcome is Outcome.REFUSED
    assert refused.result.withholding == Withholding(Scope.ALL, Ground.NATIONAL_SECURITY)
    assert refused.envelope_size == shown.envelope_size
    assert finding(pair, refused)[1] == Finding(subject_of(pair, 2))


def test_a_case_system_that_fails_answers_nothing(pair: Pair, people: People, watched: Any) -> None:
    """An outcome without today's status is no outcome; the prints are gone all the same."""

    def fails(_: int) -> Record:
        raise OSError

    watched[0].people = replace_record(watched[0].people, fails)
    size = pair.gateway.sequencer.size

    with pytest.raises(Refused):
        ask(pair, people, 1)

    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database, size)]
    assert [frame.type for frame in frames] == [
        EntryType.REQUEST,
        EntryType.DESTRUCTION,
        EntryType.REFUSAL,
    ]


def replace_record(people: Any, record: Any) -> Any:
    class Failing:
        somebody = staticmethod(people.somebody)

    Failing.record = staticmethod(record)  # type: ignore[attr-defined]
    return Failing()


def issue(
    pair: Pair,
    number: str,
    partner: str,
    subject: int | None,
    *,
    outcome: Outcome | None = Outcome.MATCH,
    state: OutboundState = OutboundState.ANSWERED,
) -> None:
    """Write down that we once asked a partner about a person under a number, and what it answered."""
    row = asked.insert().values(
        partner=partner,
        number=number,
        message_id=bytes(16),
        purpose=1,
        agreement="au",
        version=1,
        case_reference="C-1",
        state=int(state),
        outcome=None if outcome is None else int(outcome),
        subject_id=subject,
        ask_ms=1,
        asked_index=0,
    )
    pair.gateway.sequencer.commit((), (Effect(row, rows=1),))


def test_a_number_of_ours_stands_for_prints(pair: Pair, people: People) -> None:
    """IRPR 315.38: the number of a query received earlier, and no prints; same entries, same size."""
    issue(pair, "CAN-ASKED-1", "AUS", subject_of(pair, 1))
    issue(pair, "CAN-ASKED-2", "AUS", None)
    partner = pair.partner()
    size = pair.gateway.sequencer.size

    known = partner.query(PriorTransaction("CAN-ASKED-1"), **people.matter())
    nobody = partner.query(PriorTransaction("CAN-ASKED-2"), **people.matter())
    prints = ask(pair, people, 1)

    assert (known.outcome, nobody.outcome) == (Outcome.MATCH, Outcome.NO_MATCH)
    assert known.envelope_size == nobody.envelope_size == prints.envelope_size
    assert known.result.destruction_receipt_id[:2] == prints.result.destruction_receipt_id[:2]
    frames = [decode(leaf).type for leaf in stored_ledger.iter_leaves(pair.gateway.database, size)]
    assert frames == [EntryType.REQUEST, EntryType.DESTRUCTION, EntryType.RESPONSE] * 3


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.NO_MATCH, OutboundState.ANSWERED),
        (Outcome.NO_MATCH, OutboundState.USED),
        (Outcome.REFUSED, OutboundState.SHOWN),
        (Outcome.QUALITY_INSUFFICIENT, OutboundState.SHOWN),
        (None, OutboundState.ASKED),
        (None, OutboundState.PENDING),
        (None, OutboundState.EXPIRED),
        (Outcome.MATCH, OutboundState.DESTROYED),
        (None, OutboundState.SHOWN),  # erased since: we no longer know
    ],
)
def test_who_answered_no_match_learns_nothing_by_asking_back(
    pair: Pair, people: People, outcome: Outcome | None, state: OutboundState
) -> None:
    """IRPR 315.23(2)(c), 315.38 with 315.39: without an established match nobody is spoken of, nor anything told."""
    issue(pair, "CAN-ASKED-1", "AUS", subject_of(pair, 1), outcome=outcome, state=state)

    answer = pair.partner().query(PriorTransaction("CAN-ASKED-1"), **people.matter())

    assert (answer.outcome, answer.result.hit_reference) == (Outcome.NO_MATCH, b"")
    assert finding(pair, answer)[1] == Finding(None)


def test_a_match_that_its_partner_took_back_discloses_nothing(pair: Pair, people: People) -> None:
    """Who said that the match was of another person asks back about nobody."""
    issue(pair, "CAN-ASKED-1", "AUS", subject_of(pair, 1), state=OutboundState.USED)
    told = {"id": bytes(16), "partner": "AUS", "number": "CAN-ASKED-1", "state": 2}
    row = corrections.insert().values(
        **told,
        direction=int(Direction.INBOUND),
        kind=int(CorrectionKind.WRONG_PERSON),
        opened_by="AUS",
        open_ms=1,
        due_ms=1,
        next_ms=1,
        attempts=0,
        open_index=0,
    )
    pair.gateway.sequencer.commit((), (Effect(row, rows=1),))

    answer = pair.partner().query(PriorTransaction("CAN-ASKED-1"), **people.matter())

    assert (answer.outcome, answer.result.hit_reference) == (Outcome.NO_MATCH, b"")


def test_a_person_whom_the_partner_persecutes_looks_like_a_stranger(
    pair: Pair, people: People
) -> None:
    """Neither the match nor an absent field tells a country that somebody fled from it."""
    persecuted = people.status(SubjectKind.CLAIMANT, "IND", persecutors=frozenset({"AUS"}))
    change(pair, 1, persecuted)

    hidden, absent = ask(pair, people, 1), ask(pair, people, people.unknown)

    assert hidden.outcome is absent.outcome is Outcome.NO_MATCH
    assert hidden.envelope_size == absent.envelope_size
    assert finding(pair, hidden)[1] == Finding(subject_of(pair, 1))


def test_a_number_gives_no_more_than_prints_would(pair: Pair, people: People) -> None:
    change(pair, 1, people.status(SubjectKind.CITIZEN, "CAN"))
    issue(pair, "CAN-ASKED-1", "AUS", subject_of(pair, 1))

    answer = pair.partner().query(PriorTransaction("CAN-ASKED-1"), **people.matter())

    assert answer.outcome is Outcome.NO_MATCH
    assert finding(pair, answer)[1] == Finding(subject_of(pair, 1))


def test_another_partners_number_is_as_unknown_as_none(pair: Pair, people: People) -> None:
    """Number of another pair: the asker must not learn that it exists."""
    issue(pair, "CAN-ASKED-9", "NZL", subject_of(pair, 1))
    told = []
    for number in ("CAN-ASKED-9", "CAN-ASKED-0"):
        with pytest.raises(Refused) as caught:
            pair.partner().query(PriorTransaction(number), **people.matter())
        told.append((caught.value.code, caught.value.reason, str(caught.value)))

    assert told[0] == told[1]
    assert told[0][:2] == ("NOT_FOUND", "PRIOR_TRANSACTION_UNKNOWN")
