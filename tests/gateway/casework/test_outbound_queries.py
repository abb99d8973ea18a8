"""Canada asks through the same gateway (protocol 6): the law first, the ledger next, and only then the partner."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.admin.operation import NotAllowed, Officer
from gateway.client import Refused
from gateway.domain.correction import CorrectionOutcome
from gateway.domain.outbound_query import UNREAD, OutboundState, StoredAnswer
from gateway.domain.person import FieldCode, SubjectKind
from gateway.errors import UserError
from gateway.law.retention_policy import RetentionClass
from gateway.ledger.entry import EntryClass, EntryType
from gateway.operations.declaration import Role
from gateway.outbound import query_sender
from gateway.outbound.transport import Delivery, Fate
from gateway.store.casework import outbound_queries
from gateway.store.casework.issued_numbers import find_issued
from gateway.store.effects import Effect
from tests.gateway.casework.outbound_requests import LAWFUL, record


def classes(side: Any, kind: EntryType) -> list[EntryClass]:
    return [frame.entry_class for frame in side.frames(kind)]


def test_an_answer_is_recorded_before_anyone_sees_it(sides: Any, ask: Any, people: Any) -> None:
    can, aus = sides

    known, unknown = ask(1), ask(people.unknown)

    assert known["state"] == unknown["state"] == "ANSWERED"
    assert "outcome" not in known
    assert can.act("asked.show", number=known["number"])["outcome"] == "MATCH"
    assert can.act("asked.show", number=unknown["number"])["outcome"] == "NO_MATCH"
    assert can.outbound_query("AUS", known["number"]).state is OutboundState.SHOWN
    assert classes(can, EntryType.ASKED) == [EntryClass.OTHER] * 2
    assert classes(can, EntryType.ANSWER_RECEIVED) == [EntryClass.ANSWERED] * 2
    assert len(aus.frames(EntryType.RESPONSE)) == 2


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (
            {"status": "CLAIMANT", "alleged_persecution_region_codes": "IRN,AUS"},
            "PERSECUTION_EXCLUSION",
        ),
        ({"status": "CITIZEN", "nationalities": "CAN"}, "SUBJECT_OUT_OF_SCOPE"),
        ({"nationalities": "CAN,SYR"}, "SUBJECT_OUT_OF_SCOPE"),
        ({"nationalities": "AUS"}, "SUBJECT_OUT_OF_SCOPE"),
        ({"nationalities": ""}, "SUBJECT_OUT_OF_SCOPE"),
        ({"status": "PERMANENT_RESIDENT"}, "SUBJECT_OUT_OF_SCOPE"),
        ({"status": "CLAIMANT"}, "PERSECUTION_NOT_STATED"),
        ({"claimant": True}, "PERSECUTION_NOT_STATED"),
        ({"purpose": "CITIZENSHIP"}, "PURPOSE_NOT_PERMITTED"),
        ({"purpose": "DATA_ACCURACY"}, "PURPOSE_NOT_PERMITTED"),
        ({"agreement": "nz@1"}, "AGREEMENT_NOT_IN_FORCE"),
        ({"agreement": "au@2"}, "AGREEMENT_NOT_IN_FORCE"),
    ],
)
def test_315_4_2_what_the_law_stops_never_leaves_and_is_recorded(
    stopping: Any, fingers: Any, other: dict[str, str], reason: str
) -> None:
    can, carried = stopping
    before = len(classes(can, EntryType.ASKED))

    told = can.act("ask", **{**LAWFUL, **fingers(1), **other})

    assert (told["state"], told["ended_by"], told["reason"]) == ("STOPPED", "OUR_GATEWAY", reason)
    assert classes(can, EntryType.ASKED)[before:] == [EntryClass.DENIED]
    assert can.frames(EntryType.ASKED)[-1].transaction_number == told["number"]
    assert carried == []


def test_what_our_law_stopped_is_found_again_by_its_number(stopping: Any, fingers: Any) -> None:
    """It is a decision about a person: whoever asked, and an auditor, see which, why, and by what paragraph."""
    can, _ = stopping
    told = can.act("ask", **{**LAWFUL, **fingers(1), "case": "C-99", "purpose": "CITIZENSHIP"})

    (listed,) = can.act("asked.list", case="C-99")["asked"]
    shown = can.act("asked.show", number=told["number"])

    assert told == listed == shown
    assert (shown["element"], shown["paragraph"]) == ("purpose", "IRPR 315.4(1)")
    assert shown["meaning"] == "The agreement does not permit this purpose in this direction."
    assert "agreements show" in shown["remedy"]
    with pytest.raises(UserError, match="STOPPED"):
        can.act("use.record", number=told["number"], used_in="R-1")
    with pytest.raises(UserError, match="never left"):
        can.act("corrections.open", number=told["number"], kind="WRONG_PERSON", reason="why")


def test_a_number_that_never_left_stands_for_nothing(stopping: Any, fingers: Any) -> None:
    can, _ = stopping
    number = can.act("ask", **{**LAWFUL, **fingers(1), "purpose": "CITIZENSHIP"})["number"]

    with can.gateway.database.reader() as reader:
        assert find_issued(reader, "AUS", number) is None


@pytest.mark.parametrize(
    ("reason", "element", "said"),
    [
        (
            "PURPOSE_NOT_PERMITTED",
            "header.purpose",
            ("does not permit this purpose", "IRPR 315.4(1)"),
        ),
        ("RECORD_UNPARSEABLE", "samples[0].record", ("breaks its standard", "")),
        ("QUOTA_EXCEEDED", "", ("What we may ask this partner is used up", "")),
        ("A_REASON_OF_A_LATER_RELEASE", "", ("", "")),
    ],
)
def test_a_partners_refusal_is_told_with_its_reason_at_once_and_later(
    *, sides: Any, ask: Any, monkeypatch: Any, reason: str, element: str, said: tuple[str, str]
) -> None:
    can, _ = sides
    transport = can.gateway.outbound.worker._connections("AUS")
    refused = Delivery(Fate.REFUSED, reason, element=element)
    monkeypatch.setattr(transport, "carry", lambda _: refused)

    told = ask(1)

    assert (told["state"], told["ended_by"]) == ("REFUSED", "PARTNER")
    assert (told["reason"], told["element"]) == (reason, element)
    assert said[0] in told["meaning"]
    assert (told["paragraph"], bool(told["remedy"])) == (said[1], True)
    assert can.act("asked.show", number=told["number"]) == told
    assert can.act("asked.list")["asked"] == [told]
    assert classes(can, EntryType.ANSWER_RECEIVED) == [EntryClass.DENIED]


def test_what_a_partner_says_of_a_refusal_is_kept_only_in_the_form_that_reasons_have(
    sides: Any, ask: Any, monkeypatch: Any
) -> None:
    """It would be shown on our terminals, and an entry could not hold any length of it."""
    can, _ = sides
    partner = can.gateway.outbound.worker._connections("AUS")._partner

    def refuses(*_: Any, **__: Any) -> None:
        raise Refused(
            "INVALID_ARGUMENT", "x" * 5000, "no", metadata={"element": "samples\n\x1b[2J"}
        )

    monkeypatch.setattr(partner, "carry", refuses)

    told = ask(1)

    assert (told["state"], told["reason"], told["element"]) == ("REFUSED", "INVALID_ARGUMENT", "")


def test_a_refusal_that_was_recorded_before_its_reason_was_kept_says_who_knows(
    sides: Any, ask: Any, monkeypatch: Any
) -> None:
    can, _ = sides
    transport = can.gateway.outbound.worker._connections("AUS")
    monkeypatch.setattr(transport, "carry", lambda _: Delivery(Fate.REFUSED, "FIELD_NOT_PERMITTED"))
    number = ask(1)["number"]
    older = (
        outbound_queries.asked.update()
        .where(outbound_queries.asked.c.number == number)
        .values(sealed=None)
    )
    can.gateway.sequencer.commit((), (Effect(older),))

    shown = can.act("asked.show", number=number)

    assert (shown["ended_by"], shown["reason"]) == ("PARTNER", "")
    assert "the ledger has it" in shown["meaning"].lower()
    assert number in shown["remedy"]


def test_why_nothing_came_goes_with_the_row_and_is_no_unused_answer(
    sides: Any, ask: Any, clock: Any
) -> None:
    """It is kept as long as the query is, and counted as none of what 315.26 destroys."""
    can, _ = sides
    stopped, answered = ask(1, purpose="CITIZENSHIP")["number"], ask(1)["number"]

    clock.ahead += timedelta(days=40)
    assert can.gateway.retention.erasure.run(batches=50).erased[RetentionClass.UNUSED_RESULT] == 1
    assert can.outbound_query("AUS", answered).sealed is None
    assert can.act("asked.show", number=stopped)["reason"] == "PURPOSE_NOT_PERMITTED"
    clock.ahead += timedelta(days=700)
    assert can.gateway.retention.erasure.run(batches=50).erased[RetentionClass.ASKED] == 2
    assert _outbound_queries(can) == ()


@pytest.mark.parametrize(
    "other",
    [
        {"nationalities": "GRB"},
        {"nationalities": "SYR,ZZZ"},
        {"nationalities": "gbr"},
        {"nationalities": "UNO"},
        {"alleged_persecution_region_codes": "GRB"},
        {"alleged_persecution_region_codes": "NONE,AUS"},
        {"alleged_persecution_region_codes": "GBN"},
    ],
)
def test_a_code_that_is_on_no_list_is_not_asked_with(
    stopping: Any, fingers: Any, other: dict[str, str]
) -> None:
    """A slip in writing hides nobody, and bars nobody from a persecutor."""
    can, carried = stopping
    (name,) = other

    with pytest.raises(UserError, match=f"^{name}: ") as told:
        can.act("ask", **{**LAWFUL, **fingers(1), **other})

    assert not any(code in str(told.value) for code in ("ZZZ", "gbr", "UNO"))
    assert carried == []


def test_a_claimant_of_whom_none_is_said_to_be_alleged_is_asked_about(ask: Any) -> None:
    told = ask(1, status="CLAIMANT", alleged_persecution_region_codes="NONE")

    assert told["state"] == "ANSWERED"


def test_an_officer_who_does_not_say_what_a_claimant_alleges_is_told_by_the_record(
    sides: Any, ask: Any
) -> None:
    """Whose record says CLAIMANT is one, whatever is typed; what the record answers counts as answered."""
    can, _ = sides
    record(can, b"1990-01-01", kind=SubjectKind.CLAIMANT)
    assert ask(1, subject="P-1")["reason"] == "PERSECUTION_NOT_STATED"

    record(can, b"1990-01-01", kind=SubjectKind.CLAIMANT, no_persecutor=True)

    assert ask(1, subject="P-1")["state"] == "ANSWERED"


def test_a_number_of_our_own_is_not_asked_back(sides: Any, ask: Any) -> None:
    """315.38: the number is of a query received. Stopped as any other unlawful question, and recorded."""
    can, aus = sides
    number = ask(1, subject="P-1")["number"]
    before = len(aus.frames(EntryType.REQUEST))

    told = can.act("ask", **{**LAWFUL, "prior": number})

    assert (told["reason"], told["element"]) == (
        "MODALITY_NOT_PERMITTED",
        "prior_transaction_number",
    )
    assert "that of a query received from the partner" in told["meaning"]
    assert told["remedy"].startswith("Ask with samples of what the agreement names")
    assert classes(can, EntryType.ASKED)[-1] is EntryClass.DENIED
    assert len(aus.frames(EntryType.REQUEST)) == before


def test_a_match_that_we_took_back_is_not_asked_back(sides: Any, ask: Any) -> None:
    """It was another person: what the number stood for is gone, on both sides."""
    can, aus = sides
    record(can, b"1990-01-01")
    number = ask(1, subject="P-1")["number"]
    aus.act("corrections.open", number=number, kind="WRONG_PERSON", reason="two files")

    with pytest.raises(UserError, match="prior: no query"):
        aus.act("ask", **{**LAWFUL, "partner": "CAN", "prior": number})


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.CASEWORKER}, key=lambda r: r.value))
def test_only_a_caseworker_asks(stopping: Any, fingers: Any, role: Role) -> None:
    can, carried = stopping

    with pytest.raises(NotAllowed):
        can.act("ask", Officer("P-8", frozenset({role})), **LAWFUL, **fingers(1))

    assert carried == []


def test_nothing_is_used_that_was_not_shown_and_a_use_is_an_entry(sides: Any, ask: Any) -> None:
    can, _ = sides
    number = ask(1)["number"]
    with pytest.raises(UserError, match="ANSWERED"):
        can.act("use.record", number=number, used_in="R-1")

    can.act("asked.show", number=number)
    told = can.act("use.record", number=number, used_in="R-1")

    assert (told["state"], told["used_in"]) == ("USED", "R-1")
    assert len(can.frames(EntryType.USE)) == 1


def test_315_26_what_an_officer_finds_irrelevant_is_destroyed_at_once(sides: Any, ask: Any) -> None:
    """Not after thirty days: answer, details and outcome go with the entry that says who found it so, and why."""
    can, aus = sides
    record(aus, b"1990-01-01")
    number = ask(1)["number"]
    wanted = {"number": number, "fields": ["DATE_OF_BIRTH"], "case": "C-17", "unit": "U-3"}
    can.act("asked.details", **wanted)

    told = can.act("asked.irrelevant", number=number, reason="of another case")

    gone = can.outbound_query("AUS", number)
    assert (told["state"], gone.sealed, gone.outcome) == ("DESTROYED", None, None)
    (entry,) = can.frames(EntryType.RETENTION)
    assert entry.subject_reference == "UNUSED_RESULT/1"
    with pytest.raises(UserError, match="DESTROYED"):
        can.act("use.record", number=number, used_in="R-1")
    with pytest.raises(UserError, match="no match under this number"):
        can.act("asked.details", **wanted)


def test_315_26_what_was_used_or_is_held_is_not_destroyed(sides: Any, ask: Any) -> None:
    """Privacy Act s. 6(1) keeps what was used; a hold keeps what somebody still needs."""
    can, _ = sides
    used, held = ask(1)["number"], ask(2)["number"]
    can.act("asked.show", number=used)
    can.act("use.record", number=used, used_in="R-1")
    hold = {"kind": "transaction", "reference": f"AUS/{held}", "reason": "a court"}
    can.act("hold.place", Officer("P-9", frozenset({Role.OPERATOR, Role.AUDITOR})), **hold)

    with pytest.raises(UserError, match="this query is USED"):
        can.act("asked.irrelevant", number=used, reason="why")
    with pytest.raises(UserError, match=r"hold .* keeps this answer"):
        can.act("asked.irrelevant", number=held, reason="why")

    assert can.outbound_query("AUS", held).sealed
    assert can.frames(EntryType.RETENTION) == []


def test_a_partner_corrects_what_we_asked_and_used(sides: Any, ask: Any) -> None:
    """The circle: Canada asks, uses, is told that it was wrong, notes it to the file, and says so."""
    can, aus = sides
    number = ask(1)["number"]
    can.act("asked.show", number=number)
    can.act("use.record", number=number, used_in="R-1")

    aus.act("corrections.open", number=number, kind="WRONG_PERSON", reason="two files")
    aus.walk()
    can.walk()

    assert aus.corrections()[0].outcome is CorrectionOutcome.USED_NOTE_TO_FILE
    shown = can.act("asked.show", number=number)
    assert shown["outcome"] == "MATCH"
    assert [each["kind"] for each in shown["corrected"]] == ["WRONG_PERSON"]


def test_details_are_asked_for_recorded_and_kept_until_they_are_corrected(
    sides: Any, ask: Any
) -> None:
    """The second step from our side, and what becomes of it when the partner finds a mistake."""
    can, aus = sides
    record(aus, b"1990-01-01")
    number = ask(1)["number"]

    told = can.act(
        "asked.details", number=number, fields=["DATE_OF_BIRTH"], case="C-17", unit="U-3"
    )
    assert told["fields"] == ["DATE_OF_BIRTH"]
    assert len(can.frames(EntryType.ASKED)) == len(can.frames(EntryType.ANSWER_RECEIVED)) == 2

    record(aus, b"1991-01-01")
    aus.act("corrections.open", subject="P-1", kind="WRONG_VALUE", reason="typed wrong")
    aus.walk()
    can.walk()

    assert aus.corrections()[0].outcome is CorrectionOutcome.CORRECTED
    (field,) = can.act("asked.show", number=number)["fields"]
    assert field["value"] == "1991-01-01"
    assert field["authority"].startswith("IRPR 315.41(2)")


def test_a_partner_asks_back_by_the_number_alone(sides: Any, ask: Any) -> None:
    """315.38: only the number of a query received; it looks like a query with prints from outside."""
    can, aus = sides
    record(can, b"1990-01-01")
    number = ask(1, subject="P-1")["number"]

    told = aus.act("ask", **{**LAWFUL, "partner": "CAN", "prior": number})

    assert aus.act("asked.show", number=told["number"])["outcome"] == "MATCH"


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({"persecutors": frozenset({"AUS"})}, "PERSECUTION_EXCLUSION"),
        ({"nationalities": frozenset({"SYR", "CAN"})}, "SUBJECT_OUT_OF_SCOPE"),
        ({"kind": SubjectKind.CITIZEN}, "SUBJECT_OUT_OF_SCOPE"),
    ],
)
def test_an_officer_who_leaves_out_what_our_record_says_asks_nobody(
    sides: Any, ask: Any, held: Any, why: str
) -> None:
    """315.4(2): what the person told us bars the query, whatever is typed with it."""
    can, aus = sides
    record(can, b"1990-01-01", **held)

    assert ask(1, subject="P-1")["reason"] == why

    assert aus.frames(EntryType.REQUEST) == []


def test_a_number_alone_asks_back_only_where_it_tells_nothing(
    sides: Any, ask: Any, people: Any
) -> None:
    """315.38: asking back would say that we know whom we hid; another partner's number is not this one's."""
    can, aus = sides
    record(aus, b"1990-01-01", kind=SubjectKind.CITIZEN)
    hidden, unknown = ask(1)["number"], ask(people.unknown)["number"]
    assert can.act("asked.show", number=hidden)["outcome"] == "NO_MATCH"

    for number in (hidden, unknown, "20260301-eeeeeeeeeeeeeeeeeeee"):
        with pytest.raises(UserError, match="prior: no query"):
            aus.act("ask", **{**LAWFUL, "partner": "CAN", "prior": number})

    assert can.frames(EntryType.REQUEST) == []


def test_a_lost_answer_is_fetched_again_by_the_same_bytes(
    sides: Any, ask: Any, monkeypatch: Any
) -> None:
    """protocol 8: the partner searched once; the retry gets its stored answer."""
    can, aus = sides
    monkeypatch.setattr(can.gateway.outbound.worker._outbound, "_answered", _dies)
    with pytest.raises(KeyboardInterrupt):
        ask(1)
    (outbound_query,) = _outbound_queries(can)
    assert outbound_query.state is OutboundState.ASKED
    can.close()
    can.open()

    can.walk()

    assert can.outbound_query("AUS", outbound_query.number).state is OutboundState.ANSWERED
    searched = [f for f in aus.frames(EntryType.REQUEST) if f.subject_reference == "SUBMIT_QUERY"]
    assert len(searched) == 1


def test_an_answer_lost_for_longer_than_a_letter_lives_is_polled(
    sides: Any, ask: Any, clock: Any, monkeypatch: Any
) -> None:
    can, aus = sides
    monkeypatch.setattr(can.gateway.outbound.worker._outbound, "_answered", _dies)
    with pytest.raises(KeyboardInterrupt):
        ask(1)
    (outbound_query,) = _outbound_queries(can)
    monkeypatch.undo()
    monkeypatch.setattr("gateway.server.workers.outbound.EVERY", 3600.0)

    clock.pass_(minutes=7)
    can.gateway.outbound.worker._outbound.carry_on(can.outbound_query("AUS", outbound_query.number))

    assert can.outbound_query("AUS", outbound_query.number).state is OutboundState.ANSWERED
    assert can.act("asked.show", number=outbound_query.number)["outcome"] == "MATCH"
    assert len(aus.frames(EntryType.DESTRUCTION)) == 1


def test_what_we_asked_with_is_kept_no_longer_than_it_can_be_sent(
    sides: Any, ask: Any, clock: Any, patience: Any
) -> None:
    """The envelope is all that is kept of samples; the partner alone can open it, and after ten minutes nobody takes it."""
    can, aus = sides
    aus.close()
    patience(1.0)
    numbers = [ask(seed)["number"] for seed in (1, 2)]
    kept = [can.outbound_query("AUS", number) for number in numbers]
    with can.gateway.database.reader() as reader:
        listed = outbound_queries.unanswered(reader, "AUS")
    assert [len(each.sealed) > 65_536 for each in kept] == [True, True]
    assert {each.sealed for each in listed} == {UNREAD}  # a list of megabytes is never held

    clock.pass_(minutes=11)
    can.walk()

    left = [can.outbound_query("AUS", number) for number in numbers]
    assert {each.state for each in left} == {OutboundState.ASKED}
    assert all(len(each.sealed) < 1000 for each in left)
    assert len(can.frames(EntryType.ASKED)) == 2  # that it was asked, and with what, stays
    aus.open()
    patience(5.0)
    clock.pass_(minutes=11)
    can.walk()
    assert {can.outbound_query("AUS", each).state for each in numbers} == {OutboundState.EXPIRED}


def test_what_fails_each_time_keeps_no_envelope(
    sides: Any, ask: Any, clock: Any, patience: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    can, aus = sides
    aus.close()
    patience(1.0)
    number = ask(1)["number"]

    def fails(*_: object) -> bool:
        raise RuntimeError("as nobody foresaw")

    monkeypatch.setattr(query_sender.QuerySender, "_carried", fails)
    clock.pass_(minutes=11)
    can.walk()

    assert len(can.outbound_query("AUS", number).sealed) < 1000


def test_a_question_that_nobody_took_expires_and_is_no_answer(
    sides: Any, ask: Any, clock: Any, patience: Any
) -> None:
    can, aus = sides
    aus.close()
    patience(1.0)
    told = ask(1)
    assert told["state"] == "ASKED"

    clock.pass_(minutes=7)
    aus.open()
    patience(5.0)
    can.walk()

    assert can.outbound_query("AUS", told["number"]).state is OutboundState.EXPIRED
    shown = can.act("asked.show", number=told["number"])
    assert (shown["state"], shown["reason"]) == ("EXPIRED", "NEVER_TAKEN")
    assert classes(can, EntryType.ABANDONED) == [EntryClass.OTHER]


def test_a_question_that_is_never_answered_is_not_kept_for_ever(
    sides: Any, ask: Any, clock: Any, monkeypatch: Any, patience: Any
) -> None:
    """315.26: a partner that stays away, or is gone, keeps no question of ours, its envelope and its case in store."""
    can, aus = sides
    aus.close()
    patience(1.0)
    number = ask(1)["number"]
    monkeypatch.setattr(query_sender, "GIVEN_UP", timedelta(hours=1))

    clock.pass_(minutes=50)
    can.walk()
    assert can.outbound_query("AUS", number).state is OutboundState.ASKED
    clock.pass_(minutes=11)
    can.walk()

    given_up = can.outbound_query("AUS", number)
    assert given_up.state is OutboundState.EXPIRED
    assert outbound_queries.stored_answer_of(can.gateway.keys.data_key, given_up) == StoredAnswer(
        reason="UNANSWERED"
    )
    assert classes(can, EntryType.ABANDONED) == [EntryClass.OTHER]


def test_an_answer_that_proves_nothing_is_an_alarm_and_no_answer(
    sides: Any, ask: Any, monkeypatch: Any
) -> None:
    can, _ = sides
    transport = can.gateway.outbound.worker._connections("AUS")
    monkeypatch.setattr(
        transport, "carry", lambda _: Delivery(Fate.DOUBTED, "ANSWER_REJECTED:signature")
    )

    assert ask(1)["state"] == "ASKED"

    assert len(can.frames(EntryType.ALARM)) == 1
    assert can.frames(EntryType.ANSWER_RECEIVED) == []


def _outbound_queries(side: Any) -> Any:
    with side.gateway.database.reader() as reader:
        return outbound_queries.every(reader)


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("first", ["refused", "answered"])
def test_what_one_request_proved_another_at_the_same_time_does_not_deny(
    sides: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Two ask for the same field of one match; one is told no, the other the value: it did come."""
    can, aus = sides
    record(aus, b"1990-01-01")
    number = ask(1)["number"]
    wanted = {"number": number, "fields": ["DATE_OF_BIRTH"], "case": "C-17", "unit": "U-3"}
    real, told = can.gateway.outbound.worker._seeker._context.transports, []

    class Overtaken:
        def __init__(self, transport: Any) -> None:
            self._transport, self.write = transport, transport.write

        def carry(self, envelope: bytes) -> Delivery:
            told.append(envelope)
            if len(told) == 1 and first == "answered":
                denied = outbound_queries.not_received(
                    can.outbound_query("AUS", number), {FieldCode.DATE_OF_BIRTH}
                )  # as another commits that read the row before us, and was refused
                can.gateway.sequencer.commit((), (denied,))
                return self._transport.carry(envelope)
            if len(told) == 1:
                can.act("asked.details", **wanted)
                return Delivery(Fate.REFUSED, "HIT_REFERENCE_SPENT")
            return self._transport.carry(envelope)

    seeker = can.gateway.outbound.worker._seeker
    monkeypatch.setattr(
        seeker,
        "_context",
        replace(seeker._context, transports=lambda party: Overtaken(real(party))),
    )
    if first == "refused":
        with pytest.raises(UserError):
            can.act("asked.details", **wanted)
    else:
        assert can.act("asked.details", **wanted)["fields"] == ["DATE_OF_BIRTH"]

    assert FieldCode.DATE_OF_BIRTH in can.outbound_query("AUS", number).received
