"""One partner's trouble stays its own: a broken, silent or hostile one holds up no message to another."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.messages import Direction
from gateway.domain.outbound_query import OutboundState
from gateway.domain.person import Details, DetailsOutcome, Field, FieldCode
from gateway.errors import UserError
from gateway.ledger.entry import EntryType
from gateway.outbound import failures
from gateway.outbound.transport import Delivery, Fate
from gateway.server.workers import outbound as sending
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.store.people import subjects
from gateway.telemetry import exposition
from gateway.trust.bundle import PartyBundle, fingerprint
from gateway.wire import disclosure_payload as details_wire

LONG = 30.0  # seconds after which a test gives up
NUMBER = "20260301-aaaaaaaaaaaaaaaaaaaa"


class Unforeseen(Exception):
    """What nobody who wrote the sending thought of."""


def until(true: Callable[[], bool]) -> bool:
    ends = time.monotonic() + LONG
    while not true() and time.monotonic() < ends:
        time.sleep(0.05)
    return true()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Exception], None]:
    """Return what makes everything about one partner fail, as an entry that nobody foresaw would."""

    def breaks(side: Any, partner: str, fault: Exception) -> None:
        real = side.gateway.outbound.worker._connections

        def transport(party: str) -> Any:
            if party == partner:
                raise fault
            return real(party)

        context = replace(side.gateway.outbound.worker._notices._context, transports=transport)
        for carrier in (
            side.gateway.outbound.worker._notices,
            side.gateway.outbound.worker._outbound,
        ):
            monkeypatch.setattr(carrier, "_context", context)

    return breaks


def born() -> bytes:
    """Return the payload of details that disclosed a date of birth."""
    one = Field(code=FieldCode.DATE_OF_BIRTH, value=b"1990-01-01", authority="IRPR 315.41(2)(a)")
    return details_wire.details_bytes(Details(DetailsOutcome.DISCLOSED, (one,)))


def owe(side: Any, partner: str, *numbers: str, person: str = "P-1") -> None:
    """Have us owe a partner the notices of a correction."""
    with side.gateway.database.reader() as reader:
        subject = subjects.find(reader, person)
    assert subject is not None
    for number in numbers:
        side.disclosed(partner, number, subject, FieldCode.DATE_OF_BIRTH)
    side.act("corrections.open", subject=person, kind="WRONG_PERSON", reason="two files")


def standing(side: Any, partner: str) -> list[CorrectionPhase]:
    return [each.state for each in side.corrections() if each.partner == partner]


def alarms(side: Any, name: str) -> list[str]:
    found = [frame.subject_reference for frame in side.frames(EntryType.ALARM)]
    return [each for each in found if each.endswith(name)]


@pytest.mark.parametrize(
    "fault",
    [KeyError("its value"), UserError("its checkpoint is damaged"), Unforeseen("its value")],
)
def test_a_partner_whose_entry_fails_stops_no_letter_to_another(
    sides: Any, broken: Any, clock: Any, capsys: Any, fault: Exception
) -> None:
    can, aus = sides
    owe(can, "AAA", NUMBER)  # its name comes first, and its notice is the oldest
    aus.asked("CAN", "20260301-bbbbbbbbbbbbbbbbbbbb", details=born())
    owe(can, "AUS", "20260301-bbbbbbbbbbbbbbbbbbbb", person="P-2")
    broken(can, "AAA", fault)

    can.walk()

    assert standing(can, "AUS") == [CorrectionPhase.SENT]
    assert standing(can, "AAA") == [CorrectionPhase.OPEN]
    kind = type(fault).__name__
    assert (
        f'passerelle_outgoing_failures_total{{kind="{kind}",partner="AAA"}}'
        in exposition().decode()
    )
    told = capsys.readouterr().err
    assert "outgoing_failed" in told
    assert "its value" not in told

    for _ in range(failures.PERSISTS):
        clock.pass_(minutes=6)
        can.walk()
    assert alarms(can, "OUTGOING/AAA") == ["RAISE/OUTGOING/AAA"]
    assert alarms(can, "OUTGOING/AUS") == []


def test_the_alarm_ends_when_its_messages_go_their_way(
    sides: Any, broken: Any, clock: Any, monkeypatch: Any
) -> None:
    can, aus = sides
    aus.asked("CAN", NUMBER, details=born())
    owe(can, "AUS", NUMBER)
    broken(can, "AUS", Unforeseen())
    for _ in range(failures.PERSISTS):
        can.walk()
        clock.pass_(minutes=6)
    assert alarms(can, "OUTGOING/AUS") == ["RAISE/OUTGOING/AUS"]

    monkeypatch.undo()
    monkeypatch.setattr(sending, "EVERY", 3600.0)
    can.walk()

    assert standing(can, "AUS") == [CorrectionPhase.SENT]
    assert alarms(can, "OUTGOING/AUS") == ["RAISE/OUTGOING/AUS", "CLEAR/OUTGOING/AUS"]


def test_one_row_that_fails_stops_no_other_to_the_same_partner(
    sides: Any, monkeypatch: Any
) -> None:
    can, aus = sides
    numbers = (NUMBER, "20260301-bbbbbbbbbbbbbbbbbbbb")
    for number in numbers:
        aus.asked("CAN", number, details=born())
    owe(can, "AUS", *numbers)
    notices = can.gateway.outbound.worker._notices
    real = notices._carry

    def carry(correction: Any, now: Any) -> Any:
        if correction.number == NUMBER:
            raise Unforeseen
        return real(correction, now)

    monkeypatch.setattr(notices, "_carry", carry)
    can.walk()

    found = {each.number: each.state for each in can.corrections()}
    assert found == {NUMBER: CorrectionPhase.OPEN, numbers[1]: CorrectionPhase.SENT}


def test_a_partner_that_takes_no_more_notices_still_gets_what_else_we_owe_it(
    sides: Any, monkeypatch: Any
) -> None:
    """It answered: it is not away. Its acknowledgements leave, and no second notice is tried in this turn."""
    can, aus = sides
    numbers = (NUMBER, "20260301-bbbbbbbbbbbbbbbbbbbb")
    for number in numbers:
        aus.asked("CAN", number, details=born())
    owe(can, "AUS", *numbers)
    notices = can.gateway.outbound.worker._notices
    carried: list[tuple[Direction, str]] = []

    class Full:
        def __init__(self, real: Any) -> None:
            self.write = real.write

        def carry(self, _: bytes) -> Delivery:
            carried.append((Direction.OUTBOUND, "QUOTA_EXCEEDED"))
            return Delivery(Fate.REFUSED, "QUOTA_EXCEEDED")

    real_transport = can.gateway.outbound.worker._connections
    monkeypatch.setattr(
        notices,
        "_context",
        replace(notices._context, transports=lambda party: Full(real_transport(party))),
    )
    assert not notices.walk("AUS")
    assert len(carried) == 1
    assert [each.state for each in can.corrections()] == [
        CorrectionPhase.OPEN,
        CorrectionPhase.OPEN,
    ]
    assert not [each for each in can.frames(EntryType.ALARM) if each.transaction_number]

    first, second = can.corrections()
    now = can.gateway.clock()
    due = [
        replace(first, next=now),
        replace(second, next=now),
        replace(
            second, next=now, direction=Direction.INBOUND, state=CorrectionPhase.SETTLED, attempts=0
        ),
    ]

    def carry(correction: Any, _: Any) -> Delivery:
        carried.append((correction.direction, correction.number))
        return Delivery(Fate.REFUSED, "QUOTA_EXCEEDED")

    carried.clear()
    monkeypatch.setattr(notices, "_due", lambda _: due)
    monkeypatch.setattr(notices, "_carry", carry)
    assert not notices.walk("AUS")
    assert [each for each, _ in carried] == [Direction.OUTBOUND, Direction.INBOUND]


def test_a_question_whose_sending_fails_unforeseen_is_kept_and_asked_again(
    sides: Any, ask: Any, clock: Any, monkeypatch: Any
) -> None:
    """It is in the ledger by then: the caseworker is told that it is asked, not that something broke."""
    can, _ = sides
    outbound = can.gateway.outbound.worker._outbound
    real, failing = outbound._carried, [True]

    def carried(outbound_query: Any) -> bool:
        if failing.pop() if failing else False:
            raise Unforeseen
        return bool(real(outbound_query))

    monkeypatch.setattr(outbound, "_carried", carried)
    told = ask(1)
    assert told["state"] == "ASKED"

    clock.pass_(seconds=5)
    can.walk()

    assert can.outbound_query("AUS", told["number"]).state is OutboundState.ANSWERED


@pytest.fixture
def silent() -> Any:
    """A listener that takes connections and says nothing: a partner that is away in the slowest way."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield int(listening.getsockname()[1])


def other(can: Any, port: int) -> None:
    """Have CAN know a partner AAA that is reached on a port."""
    from tests.gateway.trust.conftest import make

    bundle: PartyBundle = replace(
        make("AAA").bundle,
        endpoints=(f"127.0.0.1:{port}",),
        kem=can.gateway.directory.partners.party("AUS").kem,
    )
    octets = bundle.to_bytes()
    can.gateway.directory.partners.import_bundle(octets, fingerprint(octets))


def test_a_partner_that_says_nothing_delays_no_message_to_another(
    sides: Any, silent: int, monkeypatch: Any
) -> None:
    """With the threads that serve: while one call hangs, the other partner's notice arrives; a stop cuts the call."""
    can, aus = sides
    other(can, silent)
    aus.asked("CAN", "20260301-bbbbbbbbbbbbbbbbbbbb", details=born())
    can.gateway.outbound.worker.stop()
    monkeypatch.setattr(sending, "EVERY", 0.1)
    hanging, real = threading.Event(), can.gateway.outbound.worker._notices._carry

    def carry(correction: Any, now: Any) -> Any:
        if correction.partner == "AAA":
            hanging.set()
        return real(correction, now)

    monkeypatch.setattr(can.gateway.outbound.worker._notices, "_carry", carry)
    monkeypatch.setattr(
        "gateway.server.partner_transport.PATIENCE", 55.0
    )  # the longest that AUS takes
    owe(can, "AAA", NUMBER)
    can.gateway.outbound.worker.start()
    assert hanging.wait(LONG)

    owe(can, "AUS", "20260301-bbbbbbbbbbbbbbbbbbbb", person="P-2")
    assert until(lambda: standing(can, "AUS") == [CorrectionPhase.SENT])

    assert standing(can, "AAA")[0] is CorrectionPhase.OPEN
    can.gateway.outbound.worker.stop()  # with most of the call left, its threads end
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith(("sending-", "reading-")) for name in names)


def test_a_directory_that_hangs_stops_no_message_to_the_same_partner(
    sides: Any, monkeypatch: Any
) -> None:
    can, aus = sides
    aus.asked("CAN", NUMBER, details=born())
    hang, reading = threading.Event(), threading.Event()
    transport = can.gateway.outbound.worker._connections("AUS")

    def keep_up() -> bool:
        reading.set()
        return not hang.wait(LONG)

    monkeypatch.setattr(transport, "keep_up", keep_up)
    reader = threading.Thread(target=can.gateway.outbound.worker._read, args=("AUS",))
    reader.start()
    try:
        assert reading.wait(LONG)
        owe(can, "AUS", NUMBER)
        can.walk()
        assert standing(can, "AUS") == [CorrectionPhase.SENT]
    finally:
        hang.set()
        reader.join()


def test_one_partner_whose_directory_fails_unforeseen_stops_no_other_reading(
    sides: Any, monkeypatch: Any
) -> None:
    can, _ = sides
    outbound_worker, read = can.gateway.outbound.worker, []

    def transport(party: str) -> Any:
        read.append(party)
        raise KeyError(party)

    with monkeypatch.context() as broken:
        broken.setattr(outbound_worker, "_followed", lambda: ["AAA", "AUS"])
        broken.setattr(outbound_worker, "_connections", transport)
        outbound_worker.keep_up()

    assert read == ["AAA", "AUS"]
    assert (
        'passerelle_outgoing_failures_total{kind="KeyError",partner="AAA"}' in exposition().decode()
    )
