"""A mistake is chased through every hand that it reached (IRPR 315.27, 315.42): two gateways over real gRPC."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.client import Partner
from gateway.domain.correction import CorrectionOutcome
from gateway.domain.messages import Direction, Outcome
from gateway.domain.outbound_query import OutboundState
from gateway.domain.person import Details, DetailsOutcome, Field, FieldCode
from gateway.errors import UserError
from gateway.ledger.entry import EntryClass, EntryType
from gateway.store.casework import corrections, outbound_queries
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.trust.partners import own_bundle
from gateway.wire import disclosure_payload as details_wire
from tests.gateway.casework.outbound_requests import LAWFUL

NUMBER = "20260301-aaaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def matched(sides: Any, people: Any) -> str:
    """AUS asked CAN about a person whom CAN knows; return the number of that query."""
    can, aus = sides
    with Partner.connect(
        "AUS",
        aus.gateway.keyset,
        own_bundle(can.home),
        address=f"127.0.0.1:{own_bundle(can.home).endpoints[0].rpartition(':')[2]}",
    ) as partner:
        answer = partner.query(people.samples(1), **people.matter())
    assert answer.outcome is Outcome.MATCH
    return answer.transaction_number


def dob(value: bytes) -> bytes:
    """Return the payload of details that disclose a date of birth."""
    field = Field(code=FieldCode.DATE_OF_BIRTH, value=value, authority="IRPR 315.41(2)(a)")
    return details_wire.details_bytes(Details(DetailsOutcome.DISCLOSED, (field,)))


def test_a_wrong_match_that_nobody_saw_is_destroyed_and_acknowledged(
    sides: Any, matched: str
) -> None:
    """315.27(2): inaccurate information that was not used is destroyed, with everything derived of it."""
    can, aus = sides
    aus.asked("CAN", matched, details=dob(b"1990-01-01"))

    opened = can.act("corrections.open", subject="P-1", kind="WRONG_PERSON", reason="two files")
    can.walk()  # the notice leaves
    aus.walk()  # the record of use decides; the acknowledgement leaves in the same walk

    assert [each["number"] for each in opened["opened"]] == [matched]
    (ours,) = can.corrections()
    (theirs,) = aus.corrections()
    assert (ours.state, ours.outcome) == (CorrectionPhase.ACKNOWLEDGED, CorrectionOutcome.DESTROYED)
    assert (theirs.state, theirs.direction) == (CorrectionPhase.ACKNOWLEDGED, Direction.INBOUND)
    assert can.papers() == aus.papers() == 0
    kept = aus.outbound_query("CAN", matched)
    assert (kept.state, kept.sealed, kept.outcome) == (OutboundState.DESTROYED, None, None)
    classes = [each.entry_class for each in can.frames(EntryType.CORRECTION)]
    assert classes == [EntryClass.OTHER, EntryClass.ANSWERED]
    assert len(can.frames(EntryType.ACKNOWLEDGEMENT)) == 1


def test_what_was_used_is_kept_with_a_note_in_both_languages(sides: Any, matched: str) -> None:
    """315.27(3): information that was used for an administrative purpose is kept, with a note to file."""
    can, aus = sides
    aus.asked("CAN", matched, OutboundState.USED, details=dob(b"1990-01-01"))

    can.act("corrections.open", number=matched, kind="WITHDRAWN", reason="enrolled in error")
    can.walk()
    aus.walk()

    (ours,) = can.corrections()
    assert ours.outcome is CorrectionOutcome.USED_NOTE_TO_FILE
    assert ours.note.startswith("N-")
    (told,) = aus.act("corrections.list")["corrections"]
    assert "R-1" in told["note_en"]
    assert "315.27(3)" in told["note_en"]
    assert "fins administratives" in told["note_fr"]
    kept = aus.outbound_query("CAN", matched)
    folder = outbound_queries.stored_answer_of(aus.gateway.keys.data_key, kept)
    assert kept.state is OutboundState.USED
    assert folder.details == (dob(b"1990-01-01"),)
    assert folder.corrected == ()
    with aus.gateway.database.reader() as reader:
        assert corrections.notices_filed(reader, "CAN", matched) == (ours.id,)


def test_what_was_seen_waits_for_a_caseworker_and_raises_an_alarm(
    sides: Any, matched: str, clock: Any
) -> None:
    """law.md 3.4: not known counts as not answered: alarm, no acknowledgement."""
    can, aus = sides
    aus.asked("CAN", matched, OutboundState.SHOWN)
    can.act("corrections.open", subject="P-1", kind="WRONG_PERSON", reason="two files")
    can.walk()
    aus.walk()
    (waiting,) = aus.corrections()
    assert waiting.state is CorrectionPhase.OPEN

    clock.pass_(hours=73)
    aus.walk()
    can.walk()
    assert aus.corrections()[0].state is CorrectionPhase.LATE
    assert can.corrections()[0].state is CorrectionPhase.LATE
    assert len(aus.frames(EntryType.ALARM)) == len(can.frames(EntryType.ALARM)) == 1

    aus.act(
        "corrections.settle",
        correction=waiting.id.hex(),
        used_in="R-9",
        reason="the visa was refused on it",
    )
    aus.walk()

    assert can.corrections()[0].outcome is CorrectionOutcome.USED_NOTE_TO_FILE
    assert aus.outbound_query("CAN", matched).used_in == "R-9"
    assert len(aus.frames(EntryType.USE)) == 1


def test_a_partner_that_is_away_for_days_still_hears_of_it(
    sides: Any, matched: str, clock: Any, patience: Any
) -> None:
    """protocol 7: sent within a day, else an alarm; the duty remains, whatever the time."""
    can, aus = sides
    aus.asked("CAN", matched)
    aus.close()
    patience(1.0)
    can.act("corrections.open", subject="P-1", kind="WRONG_PERSON", reason="two files")

    for _ in range(3):
        can.walk()
        clock.pass_(hours=25)
    assert can.corrections()[0].state is CorrectionPhase.UNSENT
    assert can.corrections()[0].attempts > 1

    aus.open()
    patience(5.0)
    can.walk()
    aus.walk()
    assert can.corrections()[0].outcome is CorrectionOutcome.DESTROYED


def test_a_crash_between_sending_and_recording_sends_the_same_letter_again(
    sides: Any, matched: str, monkeypatch: Any
) -> None:
    """Whatever is lost between two commits, the partner takes a correction once."""
    can, aus = sides
    aus.asked("CAN", matched)
    can.act("corrections.open", subject="P-1", kind="WRONG_PERSON", reason="two files")
    outbound_worker = can.gateway.outbound.worker
    monkeypatch.setattr(outbound_worker._notices, "_delivered", _dies)
    with pytest.raises(KeyboardInterrupt):
        can.walk()
    can.close()
    can.open()

    can.walk()
    aus.walk()

    assert len(aus.corrections()) == 1
    assert len(aus.frames(EntryType.CORRECTION)) == 1
    requests = [
        each
        for each in aus.frames(EntryType.REQUEST)
        if each.subject_reference == "SUBMIT_CORRECTION"
    ]
    assert len(requests) == 1  # the same bytes got the stored reply
    assert can.corrections()[0].state is CorrectionPhase.ACKNOWLEDGED


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_nothing_disclosed_is_nothing_to_correct(sides: Any) -> None:
    can, _ = sides

    with pytest.raises(UserError, match="nothing of this was disclosed"):
        can.act("corrections.open", subject="P-2", kind="WRONG_PERSON", reason="why")
    with pytest.raises(UserError, match="nothing of this was disclosed"):
        can.act("corrections.open", number=NUMBER, kind="WITHDRAWN", reason="why")

    assert can.corrections() == ()


def test_315_27_1_a_query_with_another_persons_prints_is_corrected_too(
    sides: Any, ask: Any
) -> None:
    """A query discloses (315.23(1)): whose prints, for what. Its receiver lets go of what it led to, and says so."""
    can, aus = sides
    number = ask(1, subject="P-1")["number"]
    for wrong in ({"kind": "WRONG_VALUE"}, {"kind": "WITHDRAWN", "fields": ["GENDER"]}):
        with pytest.raises(UserError, match="a query tells no field"):
            can.act("corrections.open", number=number, reason="why", **wrong)

    can.act("corrections.open", number=number, kind="WRONG_PERSON", reason="two files")
    can.walk()
    aus.walk()

    (told,) = can.corrections()
    assert (told.partner, told.number) == ("AUS", number)
    assert told.outcome is CorrectionOutcome.DESTROYED
    wanted = {"number": number, "fields": ["DATE_OF_BIRTH"], "case": "C-17", "unit": "U-3"}
    assert can.act("asked.details", **wanted)["outcome"] == "UNAVAILABLE"
    with pytest.raises(UserError, match="prior: no query"):
        aus.act("ask", **{**LAWFUL, "partner": "CAN", "prior": number})


def test_a_query_that_its_partner_refused_or_has_not_answered_is_not_corrected(
    sides: Any,
) -> None:
    can, _ = sides
    for state, number in (
        (OutboundState.ASKED, "A-00000001"),
        (OutboundState.REFUSED, "A-00000002"),
    ):
        can.asked("AUS", number, state=state)
        with pytest.raises(UserError, match=r"not answered yet|kept nothing"):
            can.act("corrections.open", number=number, kind="WITHDRAWN", reason="why")

    assert can.corrections() == ()


def test_a_mistake_goes_to_every_query_that_received_it_and_only_once(
    sides: Any, matched: str
) -> None:
    can, _ = sides
    with can.gateway.database.reader() as reader:
        from gateway.store.people import subjects

        subject = subjects.find(reader, "P-1")
    can.disclosed("AUS", NUMBER, subject, FieldCode.DATE_OF_BIRTH, FieldCode.GENDER)

    both = can.act("corrections.open", subject="P-1", kind="WITHDRAWN", reason="why")
    again = can.act("corrections.open", subject="P-1", kind="WITHDRAWN", reason="why")
    one = can.act(
        "corrections.open", subject="P-1", kind="WITHDRAWN", fields=["GENDER"], reason="why"
    )

    assert {each["number"] for each in both["opened"]} == {matched, NUMBER}
    assert again == {"opened": [], "already_open": 2}
    assert [each["number"] for each in one["opened"]] == [NUMBER]
    assert len({each.id for each in can.corrections()}) == 3


def test_the_trace_shows_where_it_went_and_who_has_not_answered(sides: Any, matched: str) -> None:
    can, aus = sides
    aus.asked("CAN", matched, OutboundState.SHOWN)
    can.act("corrections.open", subject="P-1", kind="WRONG_PERSON", reason="two files")
    can.walk()

    traced = can.act("corrections.trace", subject="P-1")
    received = aus.act("corrections.trace", number=matched)

    (one,) = traced["disclosed"]
    assert (one["partner"], one["number"]) == ("AUS", matched)
    assert [each["state"] for each in one["corrections"]] == ["SENT"]
    assert [each["state"] for each in received["received"][0]["corrections"]] == ["OPEN"]


def test_a_trace_and_lists_of_queries_name_whom_they_tell_of(
    sides: Any, matched: str, readings: Any
) -> None:
    can, aus = sides
    with can.gateway.database.reader() as reader:
        from gateway.store.people import subjects

        subject = str(subjects.find(reader, "P-1"))
    aus.asked("CAN", matched, OutboundState.SHOWN)
    can.act("corrections.open", subject="P-1", kind="WRONG_PERSON", reason="two files")
    can.walk()
    readings.clear()

    can.act("corrections.trace", subject="P-1")
    can.act("corrections.trace", number=matched)
    aus.act("corrections.trace", number=matched)
    can.act("corrections.list")
    aus.act("asked.list")
    aus.act("asked.show", number=matched)

    named = [{**leaf.detail, "actor": ""} for leaf in readings]
    case = named[2]["case"]
    assert named[:2] == 2 * [
        {"actor": "", "source": "trace", "subject": subject, "transaction_reference": matched}
    ]
    assert named[2:] == [
        {"actor": "", "source": "trace", "case": case, "transaction_reference": matched},
        {"actor": "", "source": "corrections", "transaction_reference": matched},
        {"actor": "", "source": "asked", "case": case, "transaction_reference": matched},
        {"actor": "", "source": "answer", "case": case},
    ]
    assert all(subject not in repr(leaf.frame) for leaf in readings)
