"""Evidence that is late is alarmed once, counted down across restarts, and at the end shuts the doors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from gateway import telemetry
from gateway.errors import EvidenceOverdue
from gateway.ledger.entry import EntryType, decode
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.monitoring.alarms import LatchedAlarms
from gateway.server.application import Gateway
from gateway.store import alarms
from gateway.store.ledger import stored_ledger

LIMIT = timedelta(hours=4)


@pytest.fixture(autouse=True)
def nothing_late() -> Iterator[None]:
    yield
    for name in ("TILES", "STAMPS"):
        telemetry.show_evidence(name, None)


def overdue_in(gateway: Gateway) -> EvidenceDeadline:
    standing = LatchedAlarms(gateway.database, gateway.sequencer, gateway.clock)
    return EvidenceDeadline(gateway.database, standing, LIMIT)


def told(gateway: Gateway) -> list[str]:
    frames = map(decode, stored_ledger.iter_leaves(gateway.database))
    return [frame.subject_reference for frame in frames if frame.type is EntryType.ALARM]


def test_what_is_late_is_alarmed_once_and_answers_go_on(gateway: Gateway) -> None:
    overdue, now = overdue_in(gateway), gateway.clock()

    overdue.late("TILES", now, now)
    overdue.late("TILES", now, now)

    assert told(gateway) == ["RAISE/EVIDENCE_TILES"]
    overdue.demand(now + LIMIT - timedelta(milliseconds=1))
    assert b'passerelle_evidence_left_seconds{kind="TILES"} 14400.0' in telemetry.exposition()


def test_what_is_late_for_too_long_ends_the_answers(gateway: Gateway) -> None:
    overdue, now = overdue_in(gateway), gateway.clock()

    overdue.late("TILES", now, now)

    with pytest.raises(EvidenceOverdue):
        overdue.demand(now + LIMIT)


def test_what_is_settled_is_forgotten_and_its_alarm_cleared(gateway: Gateway) -> None:
    overdue, now = overdue_in(gateway), gateway.clock()
    overdue.late("TILES", now, now)
    overdue.late("STAMPS", now, now)

    overdue.settled("TILES")
    overdue.settled("TILES")

    assert told(gateway)[-1] == "CLEAR/EVIDENCE_TILES"
    assert set(overdue.standing) == {"STAMPS"}
    assert b'kind="TILES"' not in telemetry.exposition()
    with pytest.raises(EvidenceOverdue):
        overdue.demand(now + LIMIT)


def test_the_countdown_goes_on_after_a_restart(gateway: Gateway) -> None:
    now = gateway.clock()
    overdue_in(gateway).late("STAMPS", now, now)
    with gateway.database.reader() as reader:
        raised = alarms.raised_since(reader)["EVIDENCE_STAMPS"]

    again = overdue_in(gateway)
    again.late("STAMPS", now + timedelta(hours=3), now + timedelta(hours=3))

    assert again.standing == {"STAMPS": raised}
    with pytest.raises(EvidenceOverdue):
        again.demand(raised + LIMIT)


def test_a_name_that_the_ledger_could_not_read_is_refused(gateway: Gateway) -> None:
    now: Any = gateway.clock()

    with pytest.raises(ValueError, match="capital letters"):
        overdue_in(gateway).late("tiles/1", now, now)
