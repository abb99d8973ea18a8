"""A partner who states short lives cannot make our ledger break its sequence rules."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain.messages import Operation, Purpose
from gateway.retention.watchdog import TURN
from gateway.server import application as rooms
from gateway.server import self_check
from gateway.wire import query_payload
from keys.envelope import OpeningKey


def test_one_message_id_for_two_short_lived_questions(
    homes: Any, serve: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes when the first has long expired, and still inside the quarter of an hour."""
    later, real = timedelta(0), rooms.utc_now
    monkeypatch.setattr(rooms, "utc_now", lambda: real() + later)
    message_id = secrets.token_bytes(16)

    def question(forger: Any) -> Any:
        now = (datetime.now(UTC) + later).replace(microsecond=0)
        operation = Operation.GET_CAPABILITIES
        return forger.compose(
            query_payload.reply_key_bytes(OpeningKey.generate().public, operation),
            operation=operation,
            message_id=message_id,
            create_time=now,
            expire_time=now + timedelta(seconds=5),
            transaction_number="",
            agreement_id="",
            agreement_version=0,
            purpose=Purpose.NONE,
        )

    with serve(*homes) as pair:
        forger = people.forger(pair)
        forger.send(question(forger), method="GetCapabilities")
        for minutes in (5.2, 14.9):
            later = timedelta(minutes=minutes)
            pair.serving.run_jobs()
            assert forger.refused(question(forger), method="GetCapabilities") == (
                "ALREADY_EXISTS",
                "REPLAY_CONFLICT",
            )
        later = timedelta(minutes=16.1)
        for _ in range(TURN):  # identifiers are forgotten in the next turn of erasing
            pair.serving.run_jobs()
        forger.send(question(forger), method="GetCapabilities")
        report = self_check.verify_ledger(pair.home)
        assert report.ok, report.findings
