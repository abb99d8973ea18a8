"""Who may correct what: a foreign identifier, a replayed acknowledgement, a correction of what never was."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from gateway.client import Partner, Refused
from gateway.domain.correction import (
    CorrectionAck,
    CorrectionKind,
    CorrectionNotice,
    CorrectionOutcome,
    CorrectionState,
)
from gateway.domain.messages import Outcome
from gateway.domain.outbound_query import OutboundState
from gateway.domain.person import Datum, Details, DetailsOutcome, Field, FieldCode, Record, Status
from gateway.domain.person import SubjectKind as Kind
from gateway.errors import UserError
from gateway.ledger.entry import EntryType
from gateway.store.casework import outbound_queries
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.store.people import person_records, subjects
from gateway.trust.partners import own_bundle
from gateway.wire import disclosure_payload as details_wire

NUMBER = "20260301-bbbbbbbbbbbbbbbbbbbb"
DOB, STATUS = FieldCode.DATE_OF_BIRTH, FieldCode.IMMIGRATION_STATUS


@pytest.fixture
def canada(sides: Any) -> Iterator[Partner]:
    """CAN's client, as AUS holds it: whoever has AUS's keys can send what it likes."""
    can, aus = sides
    with Partner.connect("AUS", aus.gateway.keyset, own_bundle(can.home)) as partner:
        yield partner


def notice(can: Any, **other: Any) -> CorrectionNotice:
    fields: dict[str, Any] = {
        "id": secrets.token_bytes(16),
        "kind": CorrectionKind.WRONG_PERSON,
        "fields": (),
        "due": can.clock.now() + timedelta(hours=72),
        **other,
    }
    return CorrectionNotice(**fields)


def reason(caught: Any) -> str:
    return str(caught.value.reason)


def test_a_correction_of_what_was_never_disclosed_is_unknown(sides: Any, canada: Partner) -> None:
    can, _ = sides
    can.asked("AUS", NUMBER, outcome=Outcome.NO_MATCH)
    can.asked("NZL", "20260301-cccccccccccccccccccc")

    for number in (NUMBER, "20260301-cccccccccccccccccccc", "20260301-dddddddddddddddddddd"):
        with pytest.raises(Refused) as caught:
            canada.correct(number, notice(can))
        assert reason(caught) == "CORRECTION_UNKNOWN"  # none, another's, nothing: one answer

    assert can.corrections() == ()
    assert len(can.frames(EntryType.REFUSAL)) == 3


def test_a_correction_is_taken_once_and_its_identifier_means_one_thing(
    sides: Any, canada: Partner
) -> None:
    can, _ = sides
    can.asked("AUS", NUMBER, OutboundState.SHOWN)
    first = notice(can)

    assert canada.correct(NUMBER, first).state is CorrectionState.OPEN
    assert canada.correct(NUMBER, first).state is CorrectionState.OPEN
    with pytest.raises(Refused) as caught:
        canada.correct(NUMBER, notice(can, id=first.id, kind=CorrectionKind.WITHDRAWN))

    assert reason(caught) == "ELEMENTS_INCONSISTENT"
    assert len(can.corrections()) == len(can.frames(EntryType.CORRECTION)) == 1


def test_an_acknowledgement_of_what_we_never_sent_is_unknown(sides: Any, canada: Partner) -> None:
    can, _ = sides
    ours = _open(can, NUMBER)
    ack = CorrectionAck(
        id=secrets.token_bytes(16), outcome=CorrectionOutcome.DESTROYED, completed=can.clock.now()
    )
    for number, each in ((NUMBER, ack), ("20260301-eeeeeeeeeeeeeeeeeeee", _ack(can, ours))):
        with pytest.raises(Refused) as caught:
            canada.acknowledge(number, each)
        assert reason(caught) == "CORRECTION_UNKNOWN"

    assert can.corrections()[0].state is CorrectionPhase.OPEN


def test_an_acknowledgement_counts_once_and_cannot_be_taken_back(
    sides: Any, canada: Partner
) -> None:
    can, _ = sides
    ack = _ack(can, _open(can, NUMBER))

    assert canada.acknowledge(NUMBER, ack).state is CorrectionState.ACKNOWLEDGED
    assert canada.acknowledge(NUMBER, ack).state is CorrectionState.ACKNOWLEDGED
    with pytest.raises(Refused) as caught:
        canada.acknowledge(
            NUMBER,
            CorrectionAck(id=ack.id, outcome=CorrectionOutcome.CORRECTED, completed=ack.completed),
        )

    assert reason(caught) == "ELEMENTS_INCONSISTENT"
    assert can.corrections()[0].outcome is CorrectionOutcome.DESTROYED
    assert len(can.frames(EntryType.ACKNOWLEDGEMENT)) == 1


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_duty_is_not_done_before_it_was_known_or_in_the_future(
    sides: Any, canada: Partner, hours: int
) -> None:
    can, _ = sides
    ack = _ack(can, _open(can, NUMBER))
    moved = CorrectionAck(
        id=ack.id, outcome=ack.outcome, completed=ack.completed + timedelta(hours=hours)
    )

    with pytest.raises(Refused) as caught:
        canada.acknowledge(NUMBER, moved)

    assert caught.value.metadata["element"] == "complete_time"


def test_a_wrong_value_is_replaced_by_the_right_one_where_it_was_received(sides: Any) -> None:
    """315.42(1): the right value goes to whom the wrong one went, under the paragraph of the first."""
    can, aus = sides
    subject, version = _person(can, b"1990-01-01")
    can.disclosed("AUS", NUMBER, subject, DOB, version=version)
    aus.asked("CAN", NUMBER, details=_details(b"1990-01-01"))
    wanted = {"subject": "P-1", "kind": "WRONG_VALUE", "reason": "typed wrong"}
    with pytest.raises(UserError, match="no newer value"):
        can.act("corrections.open", **wanted)

    _, newer = _person(can, b"1991-01-01")
    can.act("corrections.open", **wanted)
    can.walk()
    aus.walk()

    assert can.corrections()[0].outcome is CorrectionOutcome.CORRECTED
    kept = aus.outbound_query("CAN", NUMBER)
    (payload,) = outbound_queries.stored_answer_of(aus.gateway.keys.data_key, kept).details
    (field,) = details_wire.read_details(payload).fields
    assert (field.value, field.source_version) == (b"1991-01-01", str(newer))
    assert kept.state is OutboundState.ANSWERED  # the match stands


@pytest.mark.parametrize(
    ("kind", "nationality"),
    [(Kind.CITIZEN, "CAN"), (Kind.PERMANENT_RESIDENT, "SYR"), (Kind.FOREIGN_NATIONAL, "AUS")],
)
def test_an_error_is_set_right_of_whoever_has_come_out_of_scope_and_what_they_became_is_not_told(
    sides: Any, kind: Kind, nationality: str
) -> None:
    """315.27(1), 315.42(1): the duty is about what was said before; a new status is no correction of an old one."""
    can, aus = sides
    subject, version = _person(can, b"1990-01-01")
    can.disclosed("AUS", NUMBER, subject, DOB, STATUS, version=version)
    aus.asked("CAN", NUMBER, details=_details(b"1990-01-01"))
    _person(can, b"1991-01-01", kind, nationality)
    wanted = {"subject": "P-1", "kind": "WRONG_VALUE", "reason": "typed wrong"}

    with pytest.raises(UserError, match=r"IMMIGRATION_STATUS .* AUS .*WITHDRAWN"):
        can.act("corrections.open", **wanted)
    can.act("corrections.open", **wanted, fields=["DATE_OF_BIRTH"])
    can.walk()
    aus.walk()

    kept = aus.outbound_query("CAN", NUMBER)
    (payload,) = outbound_queries.stored_answer_of(aus.gateway.keys.data_key, kept).details
    assert [each.value for each in details_wire.read_details(payload).fields] == [b"1991-01-01"]


def test_of_whom_the_partner_persecutes_no_right_value_is_told(sides: Any) -> None:
    can, _ = sides
    subject, version = _person(can, b"1990-01-01")
    can.disclosed("AUS", NUMBER, subject, DOB, version=version)
    _person(can, b"1991-01-01", persecutors=frozenset({"AUS"}))

    with pytest.raises(UserError, match=r"DATE_OF_BIRTH .* AUS .*WITHDRAWN"):
        can.act("corrections.open", subject="P-1", kind="WRONG_VALUE", reason="why")

    assert can.corrections() == ()


def test_a_correction_does_not_tell_what_an_official_refused(sides: Any) -> None:
    """315.41(3): what must be refused is not told as a correction."""
    can, _ = sides
    subject, version = _person(can, b"1990-01-01")
    can.disclosed("AUS", NUMBER, subject, DOB, version=version)
    _person(can, b"1991-01-01")
    refused = {"person": "P-1", "partner": "AUS", "scope": "PART", "fields": ["DATE_OF_BIRTH"]}
    can.act("decision.refuse", **refused, ground="NATIONAL_SECURITY", reason="as decided")

    with pytest.raises(UserError, match="WITHDRAWN"):
        can.act("corrections.open", subject="P-1", kind="WRONG_VALUE", reason="why")

    assert can.corrections() == ()


def test_an_acknowledgement_that_overtakes_a_reminder_leaves_no_entry_after_the_end(
    sides: Any, clock: Any, monkeypatch: Any
) -> None:
    """The partner acknowledges while the receipt of our reminder is under way: an honest ledger stays whole."""
    can, aus = sides
    aus.asked("CAN", NUMBER, OutboundState.SHOWN, details=_details(b"1990-01-01"))
    _open(can, NUMBER)
    can.walk()
    aus.walk()
    clock.pass_(hours=60)
    notices = can.gateway.outbound.worker._notices
    delivered = notices._delivered
    identifier = can.corrections()[0].id.hex()

    def overtaken(*what: Any) -> None:
        aus.act("corrections.settle", correction=identifier, not_used=True, reason="never used")
        aus.walk()
        delivered(*what)

    monkeypatch.setattr(notices, "_delivered", overtaken)
    can.walk()

    assert can.corrections()[0].state is CorrectionPhase.ACKNOWLEDGED
    told = can.frames(EntryType.CORRECTION, EntryType.ACKNOWLEDGEMENT)
    assert told[-1].type is EntryType.ACKNOWLEDGEMENT


def _details(value: bytes) -> bytes:
    field = Field(code=DOB, value=value, authority="IRPR 315.41(2)(a)", source_version="1")
    return details_wire.details_bytes(Details(DetailsOutcome.DISCLOSED, (field,)))


def _person(
    can: Any,
    born: bytes,
    kind: Kind = Kind.FOREIGN_NATIONAL,
    nationality: str = "SYR",
    persecutors: frozenset[str] = frozenset(),
) -> tuple[int, int]:
    """Write another version of P-1's record; return the subject and the version."""
    gateway = can.gateway
    with gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
    assert subject is not None
    record = Record(
        status=Status(
            kind=kind,
            nationalities=frozenset({nationality}),
            persecutors=persecutors,
            confirmed=can.clock.now(),
        ),
        data={DOB: Datum(born), STATUS: Datum(b"as it is today")},
        version=gateway.subjects.people.record(subject).version + 1,
    )
    written = person_records.write_record(subject, record, gateway.keys.data_key, can.clock.now())
    gateway.sequencer.commit((), (written,))
    return subject, record.version


def _open(can: Any, number: str) -> Any:
    with can.gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
    can.disclosed("AUS", number, subject, DOB)
    can.act("corrections.open", number=number, kind="WITHDRAWN", reason="why")
    return can.corrections()[0]


def _ack(can: Any, correction: Any) -> CorrectionAck:
    return CorrectionAck(
        id=correction.id, outcome=CorrectionOutcome.DESTROYED, completed=can.clock.now()
    )
