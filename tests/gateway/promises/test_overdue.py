"""Who does not erase may not receive: overdue, the listeners shut, and they open when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from sqlalchemy import text

from gateway import telemetry
from gateway.client import Refused
from gateway.domain.messages import Outcome
from gateway.law.retention_policy import ROUNDS_SILENT
from gateway.ledger.entry import EntryType, decode
from gateway.retention import watchdog
from gateway.server import self_check
from gateway.store.effects import Effect
from gateway.store.ledger import stored_ledger

STUCK = "CREATE TRIGGER stuck BEFORE DELETE ON replay BEGIN SELECT RAISE(ABORT, 'stuck'); END"


@dataclass
class Later:
    """The clock of retention alone, some time ahead."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        now = datetime.now(UTC) + self.ahead
        return now.replace(microsecond=0)


@pytest.fixture
def later(pair: Any) -> Later:
    clock = Later()
    pair.gateway.retention.erasure._clock = pair.gateway.retention.watchdog._clock = clock
    return clock


def alarms(pair: Any) -> list[str]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database)]
    return [frame.subject_reference for frame in frames if frame.type is EntryType.ALARM]


def run(pair: Any, statement: str) -> None:
    """Put a trigger into the store, or take it out; it stands for whatever keeps a row from going."""
    pair.gateway.sequencer.commit([], [Effect(text(statement))])


def health(pair: Any) -> int:
    request = health_pb2.HealthCheckRequest(service="gateway.v1.ExchangeService")
    answer = pair.serving.monitoring.servicer.Check(request, None)
    return int(answer.status)


def rounds(pair: Any, number: int = watchdog.TURN + 1) -> None:
    for _ in range(number):
        pair.serving.run_jobs()


def refusal(pair: Any, people: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        pair.partner().query(people.samples(1), **people.matter())
    return refused.value.code, refused.value.reason


def test_what_cannot_be_erased_shuts_the_doors_until_it_is(
    pair: Any, people: Any, later: Later, capsys: pytest.CaptureFixture[str]
) -> None:
    """law.md 7, feature 27: an alarm once, in ledger, log and metric; then RETENTION_OVERDUE."""
    pair.partner().query(people.samples(1), **people.matter())
    run(pair, STUCK)
    later.ahead = timedelta(hours=24, minutes=30)
    rounds(pair)
    assert alarms(pair) == []  # due, and within its grace
    assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH

    later.ahead = timedelta(hours=25, minutes=30)
    rounds(pair)

    assert refusal(pair, people) == ("FAILED_PRECONDITION", "RETENTION_OVERDUE")
    assert health(pair) == health_pb2.HealthCheckResponse.NOT_SERVING
    assert alarms(pair) == ["RAISE/REPLY"]
    assert b'passerelle_retention_overdue{kept="REPLY"} ' in telemetry.exposition()
    assert capsys.readouterr().err.count('"retention_overdue"') == 1

    run(pair, "DROP TRIGGER stuck")
    rounds(pair, 1)

    assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
    assert health(pair) == health_pb2.HealthCheckResponse.SERVING
    assert alarms(pair) == ["RAISE/REPLY", "CLEAR/REPLY"]
    assert b'passerelle_retention_overdue{kept="REPLY"} 0.0' in telemetry.exposition()
    assert self_check.verify_ledger(pair.home).ok


def test_an_alarm_is_raised_once_across_a_restart(
    homes: Any, people: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.server import application as rooms

    with serve(*homes) as pair:
        pair.partner().query(people.samples(1), **people.matter())
        run(pair, STUCK)
    now = rooms.utc_now
    monkeypatch.setattr(rooms, "utc_now", lambda: now() + timedelta(hours=26))
    for _ in range(2):
        with serve(*homes) as pair:
            assert alarms(pair) == ["RAISE/REPLY"]
            with pytest.raises(Refused) as refused:
                pair.partner().query(people.samples(1), **people.matter())
            assert refused.value.reason == "RETENTION_OVERDUE"


def test_silent_rounds_shut_the_doors_too(pair: Any, people: Any, later: Later) -> None:
    """law.md 8, feature 6: a dead man's switch; the call that notices it raises the alarm."""
    pair.partner().query(people.samples(1), **people.matter())
    later.ahead = ROUNDS_SILENT - timedelta(minutes=1)
    pair.partner().query(people.samples(1), **people.matter())
    later.ahead = ROUNDS_SILENT + timedelta(minutes=1)

    assert refusal(pair, people) == ("FAILED_PRECONDITION", "RETENTION_OVERDUE")
    assert refusal(pair, people) == ("FAILED_PRECONDITION", "RETENTION_OVERDUE")
    assert alarms(pair) == ["RAISE/ROUNDS"]

    rounds(pair, 1)
    assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
    assert alarms(pair) == ["RAISE/ROUNDS", "CLEAR/ROUNDS"]


def test_a_round_that_fails_is_no_round(pair: Any, people: Any, later: Later) -> None:
    """A store that cannot be read erases nothing; the switch counts from the last good round."""
    run(pair, "ALTER TABLE asked RENAME TO elsewhere")
    pair.gateway.retention.watchdog._rounds = 0
    later.ahead = ROUNDS_SILENT + timedelta(minutes=1)
    pair.serving.run_jobs()

    assert refusal(pair, people) == ("FAILED_PRECONDITION", "RETENTION_OVERDUE")
    assert health(pair) == health_pb2.HealthCheckResponse.NOT_SERVING
    run(pair, "ALTER TABLE elsewhere RENAME TO asked")
    pair.serving.run_jobs()
    assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH


def test_the_periodic_job_erases_what_is_due(pair: Any, people: Any, later: Later) -> None:
    pair.partner().query(people.samples(1), **people.matter())
    later.ahead = timedelta(hours=24, minutes=1)

    rounds(pair)

    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database)]
    told = [frame.subject_reference for frame in frames if frame.type is EntryType.RETENTION]
    assert told == ["REPLY/1"]
