"""What a partner can do with corrections: name what it disclosed, so often, and no case becomes unreadable for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.casework import correction_settlement
from gateway.client import Partner, Refused
from gateway.domain.correction import CorrectionKind, CorrectionNotice
from gateway.domain.messages import About, Direction, Operation
from gateway.domain.outbound_query import OutboundState, StoredAnswer
from gateway.domain.person import Details, DetailsOutcome, Field, FieldCode
from gateway.errors import InternalError, QuotaExceeded, UserError
from gateway.exchange import correction
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from gateway.store.casework import corrections, outbound_queries
from gateway.store.correction_lifecycle import Correction, CorrectionPhase
from gateway.store.effects import Effect
from gateway.store.people import subjects
from gateway.store.schema import asked, correction_papers
from gateway.trust.partners import own_bundle
from gateway.wire import correction_payload as wire
from gateway.wire import disclosure_payload as details_wire
from gateway.wire import json_values
from tests.patience import CALL

NUMBER = "20260301-ffffffffffffffffffff"
OTHER = "20260301-eeeeeeeeeeeeeeeeeeee"
DOB, PHOTO = FieldCode.DATE_OF_BIRTH, FieldCode.PHOTOGRAPH


@pytest.fixture
def canada(sides: Any) -> Iterator[Partner]:
    """CAN's client, as AUS holds it: whoever has AUS's keys can send what it likes."""
    can, aus = sides
    with Partner.connect("AUS", aus.gateway.keyset, own_bundle(can.home)) as partner:
        yield partner


def field(code: FieldCode, value: bytes) -> Field:
    kind = "image/jpeg" if code is PHOTO else "text/plain"
    return Field(code=code, value=value, mime_type=kind, authority="IRPR 315.41(2)(a)")


def received(*fields: Field) -> bytes:
    """Return the payload of details that hold these fields."""
    return details_wire.details_bytes(Details(DetailsOutcome.DISCLOSED, fields))


def wrong(*fields: Field) -> CorrectionNotice:
    """Return a notice with the right values of these fields."""
    return CorrectionNotice(
        id=secrets.token_bytes(16),
        kind=CorrectionKind.WRONG_VALUE,
        fields=tuple(each.code for each in fields),
        corrected=fields,
        due=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=72),
    )


def reason(partner: Partner, number: str, notice: CorrectionNotice) -> str:
    with pytest.raises(Refused) as caught:
        partner.correct(number, notice)
    return str(caught.value.reason)


def test_a_field_that_was_never_disclosed_is_unknown_and_kept_nowhere(
    sides: Any, canada: Partner
) -> None:
    can, _ = sides
    can.asked("AUS", NUMBER, OutboundState.USED, details=received(field(DOB, b"1990-01-01")))

    for fields in ((field(PHOTO, b"\xff\xd8"),), (field(DOB, b"x"), field(PHOTO, b"\xff\xd8"))):
        assert reason(canada, NUMBER, wrong(*fields)) == "CORRECTION_UNKNOWN"
    assert (can.corrections(), can.papers()) == ((), 0)

    canada.correct(NUMBER, wrong(field(DOB, b"1991-01-01")))
    can.walk()

    shown = can.act("asked.show", number=NUMBER)
    assert [each["value"] for each in shown["fields"]] == ["1990-01-01"]
    assert [each["right"][0]["value"] for each in shown["corrected"]] == ["1991-01-01"]


def test_what_was_asked_for_and_never_came_is_corrected_and_enters_no_file(
    sides: Any, canada: Partner
) -> None:
    """The answer was lost: the partner believes that it disclosed, and owes the correction; we hold nothing of it."""
    can, _ = sides
    can.asked("AUS", NUMBER, OutboundState.USED, details=received(field(DOB, b"1990-01-01")))
    lost = outbound_queries.may_receive(
        can.outbound_query("AUS", NUMBER), {FieldCode.GENDER}, {DOB}
    )
    can.gateway.sequencer.commit((), (lost,))

    canada.correct(NUMBER, wrong(field(DOB, b"1991-01-01"), field(FieldCode.GENDER, b"F")))
    canada.correct(NUMBER, wrong(field(FieldCode.GENDER, b"M")))
    correction_settlement.settle_due(can.gateway.casework.files)

    (filed,) = can.act("asked.show", number=NUMBER)["corrected"]
    assert filed["fields"] == ["DATE_OF_BIRTH"]
    assert [each["field"] for each in filed["right"]] == ["DATE_OF_BIRTH"]
    assert {each.state for each in can.corrections()} == {CorrectionPhase.SETTLED}


def test_corrections_of_a_query_and_of_a_day_have_an_end_that_a_restart_keeps(
    sides: Any, canada: Partner, monkeypatch: Any
) -> None:
    can, aus = sides
    monkeypatch.setattr(correction, "A_QUERY", 2)
    monkeypatch.setattr(correction, "A_DAY", 3)
    for number in (NUMBER, OTHER):
        can.asked("AUS", number, OutboundState.SHOWN, details=received(field(DOB, b"1990-01-01")))
    told = [wrong(field(DOB, b"1991-01-01")) for _ in range(3)]

    for number, each in ((NUMBER, told[0]), (NUMBER, told[1]), (OTHER, told[2])):
        canada.correct(number, each)
    assert reason(canada, NUMBER, wrong(field(DOB, b"1992-01-01"))) == "QUOTA_EXCEEDED"
    can.close()
    can.open()
    with Partner.connect("AUS", aus.gateway.keyset, own_bundle(can.home)) as again:
        with pytest.raises(Refused) as caught:
            again.correct(OTHER, wrong(field(DOB, b"1992-01-01")))
        again.correct(NUMBER, told[0])  # what was taken is answered as ever

    assert caught.value.reason == "QUOTA_EXCEEDED"
    assert "reset_time" in caught.value.metadata
    assert {each.id for each in can.corrections()} == {each.id for each in told}
    tomorrow = correction._bounds(datetime.now(UTC) + timedelta(days=1))
    with can.gateway.database.reader() as reader:
        corrections.demand_room(reader, "AUS", OTHER, tomorrow)  # the day renews
        with pytest.raises(QuotaExceeded):
            corrections.demand_room(reader, "AUS", NUMBER, tomorrow)  # a query's end is its end


def test_corrections_at_one_moment_do_not_pass_their_end_together(sides: Any) -> None:
    """Both found room when they were admitted; the commit asks again."""
    can, _ = sides
    can.asked("AUS", NUMBER, OutboundState.SHOWN)
    bounds = corrections.Bounds(
        a_query=1, a_day=9, day=can.clock.now() - timedelta(hours=1), renews=can.clock.now()
    )
    first, second = (_opened(can, bounds) for _ in range(2))

    _commit(can, first)
    with pytest.raises(QuotaExceeded):
        _commit(can, second)

    assert len(can.corrections()) == can.papers() == 1


def test_a_correction_that_finds_no_room_at_its_commit_is_denied_and_is_in_no_entry_as_taken(
    sides: Any, canada: Partner, monkeypatch: Any
) -> None:
    """The second was admitted before the first was kept: its refusal is the answer, and a copy hears it again."""
    can, _ = sides
    monkeypatch.setattr(correction, "A_DAY", 0)
    asked_first = iter([True])

    def demand_room(*what: Any) -> None:
        if not next(asked_first, False):
            looked(*what)

    looked = corrections.demand_room
    monkeypatch.setattr(corrections, "demand_room", demand_room)
    can.asked("AUS", NUMBER, OutboundState.SHOWN, details=received(field(DOB, b"1990-01-01")))
    notice = wrong(field(DOB, b"1991-01-01"))
    about = About(number=notice.id.hex(), reference=NUMBER)
    outgoing = canada.write(
        Operation.SUBMIT_CORRECTION,
        lambda key: wire.notice_bytes(replace(notice, reply_key=key)),
        about,
    )

    told = []
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            canada.carry(outgoing, deadline=CALL)
        told.append((caught.value.reason, caught.value.metadata["reset_time"]))

    assert told[0] == told[1]
    assert told[0][0] == "QUOTA_EXCEEDED"
    assert can.frames(EntryType.CORRECTION) == []
    refused = can.frames(EntryType.REFUSAL)
    assert [each.entry_class for each in refused] == [EntryClass.DENIED]


def test_a_hundred_that_wait_cost_a_round_and_a_list_nothing_of_what_they_say(
    sides: Any, monkeypatch: Any
) -> None:
    """Corrections of what was seen wait for a caseworker: no round reads them, no list opens their papers."""
    can, _ = sides
    can.asked("AUS", NUMBER, OutboundState.SHOWN)
    _commit(can, [each for _ in range(100) for each in _opened(can)])
    monkeypatch.setattr(corrections, "papers_of", _never)
    monkeypatch.setattr(outbound_queries, "find", _never)

    can.walk()
    with can.gateway.database.reader() as reader:
        assert corrections.decidable(reader) == ()
        assert corrections.due(reader, can.clock.now()) == ()
    first = can.act("corrections.list", page_size=60)
    rest = can.act("corrections.list", page_size=60, page_token=first["next_page_token"])

    listed = [each["correction"] for each in (*first["corrections"], *rest["corrections"])]
    assert (len(first["corrections"]), rest["next_page_token"]) == (60, "")
    assert len(set(listed)) == len(listed) == 100


def test_one_correction_that_does_not_open_stops_no_other(sides: Any, canada: Partner) -> None:
    can, _ = sides
    for number in (NUMBER, OTHER):
        can.asked("AUS", number, details=received(field(DOB, b"1990-01-01")))
    canada.correct(NUMBER, wrong(field(DOB, b"1991-01-01")))
    spoilt = correction_papers.update().values(sealed=b"spoilt" * 20)
    can.gateway.sequencer.commit((), (Effect(spoilt, rows=1),))
    canada.correct(OTHER, wrong(field(DOB, b"1991-01-01")))

    with pytest.raises(InternalError):  # counted and alarmed by who runs it, once all were tried
        correction_settlement.settle_due(can.gateway.casework.files)

    states = {each.number: each.state for each in can.corrections()}
    assert states == {NUMBER: CorrectionPhase.OPEN, OTHER: CorrectionPhase.SETTLED}


@pytest.mark.parametrize("old", [True, False])
def test_a_case_with_many_photographs_is_read_page_by_page(
    sides: Any, canada: Partner, old: bool
) -> None:
    """Six that were kept in the stored answer made a case unreadable for good; now neither those nor new ones do."""
    can, _ = sides
    photograph = field(PHOTO, b"\xff\xd8" + bytes(190_000))
    can.asked("AUS", NUMBER, OutboundState.USED, details=received(photograph))
    notices = [wrong(field(PHOTO, b"\xff\xd8" + bytes(190_000) + bytes([n]))) for n in range(6)]
    payloads = tuple(wire.kept_bytes(each) for each in notices)
    if old:
        _keep_in_folder(can, payloads)
    else:
        for each in notices:
            canada.correct(NUMBER, each)
        correction_settlement.settle_due(can.gateway.casework.files)

    shown, pages, token = [], 0, ""
    while True:
        page = can.act("asked.show", number=NUMBER, page_token=token)
        assert len(json_values.write(page)) < json_values.LARGEST
        shown += [each["right"][0]["value"] for each in page["corrected"]]
        pages, token = pages + 1, page["next_page_token"]
        if not token:
            break

    assert len(set(shown)) == len(shown) == 6
    assert pages > 2
    assert (
        len(
            outbound_queries.stored_answer_of(
                can.gateway.keys.data_key, can.outbound_query("AUS", NUMBER)
            ).corrected
        )
        == 6 * old
    )
    with pytest.raises(UserError, match="page_token"):
        can.act("asked.show", number=NUMBER, page_token="WyJ4Il0")


def test_beyond_the_partners_allowance_we_tell_again_later(
    sides: Any, clock: Any, monkeypatch: Any
) -> None:
    """An honest sender with more to correct than a day takes is refused nothing for good."""
    can, aus = sides
    monkeypatch.setattr(correction, "A_DAY", 1)
    with can.gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
    for number in (NUMBER, OTHER):
        can.disclosed("AUS", number, subject, DOB)
        aus.asked("CAN", number, details=received(field(DOB, b"1990-01-01")))
    can.act("corrections.open", subject="P-1", kind="WITHDRAWN", reason="why")

    can.walk()
    aus.walk()
    waiting = [each for each in can.corrections() if each.state is CorrectionPhase.OPEN]
    assert [each.attempts for each in waiting] == [1]

    clock.pass_(days=1)
    can.walk()
    aus.walk()

    assert {each.state for each in can.corrections()} == {CorrectionPhase.ACKNOWLEDGED}


def test_a_number_is_one_number_whatever_it_is_used_for(
    sides: Any, canada: Partner, people: Any
) -> None:
    """A query's number is no correction's, a correction's no query's, and no number is another correction's."""
    can, _ = sides
    can.asked("AUS", NUMBER, OutboundState.SHOWN, details=received(field(DOB, b"1990-01-01")))
    first, second = wrong(field(DOB, b"1991-01-01")), wrong(field(DOB, b"1992-01-01"))
    canada.query(people.samples(1), **people.matter(transaction_number=second.id.hex()))

    assert reason(canada, NUMBER, second) == "TRANSACTION_REUSED"
    canada.correct(NUMBER, first)
    with pytest.raises(Refused) as query:
        canada.query(people.samples(1), **people.matter(transaction_number=first.id.hex()))
    with pytest.raises(Refused) as borrowed:
        canada._follow(
            Operation.SUBMIT_CORRECTION,
            lambda key: wire.notice_bytes(_with_key(wrong(field(DOB, b"1993-01-01")), key)),
            About(number=first.id.hex(), reference=NUMBER),
            10.0,
        )
    canada.correct(NUMBER, first)  # said again, in another envelope, it is the same correction

    assert query.value.reason == "TRANSACTION_REUSED"
    assert borrowed.value.reason == "ELEMENTS_INCONSISTENT"
    assert [each.id for each in can.corrections()] == [first.id]


def _with_key(notice: CorrectionNotice, key: bytes) -> CorrectionNotice:
    return replace(notice, reply_key=key)


def _opened(
    can: Any,
    bounds: corrections.Bounds | None = None,
) -> tuple[Effect, ...]:
    """Return what an accepted correction of AUS makes true."""
    notice = wrong(field(DOB, b"1991-01-01"))
    row = Correction(
        id=notice.id,
        partner="AUS",
        direction=Direction.INBOUND,
        number=NUMBER,
        kind=notice.kind,
        state=CorrectionPhase.OPEN,
        opened_by="AUS",
        open=can.clock.now(),
        due=can.clock.now() + timedelta(hours=72),
    )
    papers = corrections.Papers(wire.kept_bytes(notice))
    sealed = corrections.seal(can.gateway.keys.data_key, row, papers)
    return corrections.opened(row, sealed, leaf=0, bounds=bounds)


def _commit(can: Any, effects: Sequence[Effect]) -> None:
    """Make effects true with an entry that is about nothing."""
    leaf = Leaf(Frame(type=EntryType.AUDIT_READ, entry_class=EntryClass.OTHER), {"source": "test"})
    can.gateway.sequencer.commit((leaf,), effects)


def _keep_in_folder(can: Any, payloads: tuple[bytes, ...]) -> None:
    """Keep notices as rows did before they had a place of their own."""
    outbound_query = can.outbound_query("AUS", NUMBER)
    stored: StoredAnswer = outbound_queries.stored_answer_of(
        can.gateway.keys.data_key, outbound_query
    )
    sealed = outbound_queries.seal(
        can.gateway.keys.data_key, "AUS", NUMBER, replace(stored, corrected=payloads)
    )
    row = asked.update().where(asked.c.number == NUMBER)
    can.gateway.sequencer.commit((), (Effect(row.values(sealed=sealed), rows=1),))


def _never(*_: object) -> None:
    raise AssertionError
