"""The access log: a line for each call, the step that refused it, and nothing of what was asked or answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from gateway import errors, telemetry
from gateway.errors import Refusal
from gateway.server.access import BURST, AccessLog, step_of
from keys.sign import SigningKey
from tests.patience import PATIENCE


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    yield
    telemetry.set_levels("info", "info")


def lines(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [each for each in found if each["logger"] == telemetry.ACCESS]


def written(capsys: pytest.CaptureFixture[str], count: int) -> list[dict[str, Any]]:
    """Return so many lines; one is written a moment after its caller has the answer."""
    text, until = "", time.monotonic() + PATIENCE
    while time.monotonic() < until:
        text += capsys.readouterr().err
        if len(found := lines(text)) >= count:
            assert len(found) == count
            return found
        time.sleep(0.01)
    pytest.fail(f"{len(lines(text))} lines of {count}")


HEADER = ["header"]
VERIFIED = [*HEADER, "turn", "verify"]
OPENED = [*VERIFIED, "replay", "policy", "open"]


@pytest.mark.parametrize(
    ("kind", "stages", "step"),
    [
        (errors.Draining, None, 0),
        (errors.DirectoryStale, None, 0),
        (errors.DeadlineRequired, None, 1),
        (errors.TooManyCalls, None, 1),
        (errors.CertificateNotPinned, None, 2),
        (errors.RateLimited, None, 3),
        (errors.OperationNotAuthorised, [], 3),
        (errors.HeaderInvalid, [], 4),
        (errors.SenderMismatch, [], 4),
        (errors.OutsideTimeWindow, [], 5),
        (errors.EnvelopeRejected, [*HEADER, "turn"], 6),
        (errors.InProgress, VERIFIED, 8),
        (errors.KeyStale, VERIFIED, 7),
        (errors.ReplayConflict, VERIFIED, 8),
        (errors.AgreementNotInForce, [*VERIFIED, "replay"], 9),
        (errors.EnvelopeRejected, [*VERIFIED, "replay", "policy"], 10),
        (errors.ElementInvalid, OPENED, 11),
        (errors.ModalityNotPermitted, OPENED, 11),
        (errors.TransactionReused, OPENED, 12),
        (errors.FieldNotPermitted, OPENED, 13),
        (errors.QuotaExceeded, [*OPENED, "admit"], 14),
        (errors.EngineUnavailable, [*OPENED, "admit", "record_request", "turn"], 15),
    ],
)
def test_each_refusal_has_the_step_of_the_protocol(
    kind: type[Refusal], stages: list[str] | None, step: int
) -> None:
    assert step_of(kind(), stages) == step


def test_every_call_has_its_line_and_none_says_what_was_asked(
    pair: Any, forger: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    forger.send(forger.letter())
    forger.refused(forger.letter(signer=SigningKey.generate()))
    forger.refused(forger.letter(create_time=datetime(2020, 1, 1, tzinfo=UTC)))
    forger.refused(forger.letter(agreement_version=99))
    with pytest.raises(grpc.RpcError):
        forger.post(b"", timeout=None)

    found = written(capsys, 5)

    assert [(each["code"], each.get("step")) for each in found] == [
        ("OK", None),
        ("UNAUTHENTICATED", 6),
        ("INVALID_ARGUMENT", 5),
        ("PERMISSION_DENIED", 9),
        ("INVALID_ARGUMENT", 1),
    ]
    assert {each["partner"] for each in found} == {"AUS"}
    assert {each["operation"] for each in found} == {"SubmitQuery"}
    assert {each["address"] for each in found} == {"exchange"}
    allowed = telemetry.FIELDS | {"event", "level", "logger", "time"}
    assert all(set(each) <= allowed for each in found)
    assert "C-1" not in json.dumps(found)


def test_the_level_says_which_calls_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    log, refusal = AccessLog("exchange"), errors.ElementInvalid()

    def one_of_each() -> list[str]:
        log.answered("SubmitQuery", "AUS", 0.1)
        log.refused("SubmitQuery", "AUS", "192.0.2.7", refusal, step=11, now=1.0, seconds=0.1)
        log.failed("SubmitQuery", "AUS", "INTERNAL", "ab12", 0.1)
        return [each["level"] for each in lines(capsys.readouterr().err)]

    assert one_of_each() == ["info", "warning", "error"]
    telemetry.set_levels("info", "warning")
    assert one_of_each() == ["warning", "error"]
    telemetry.set_levels("info", "error")
    assert one_of_each() == ["error"]
    telemetry.logger("door").info("started")
    assert "started" in capsys.readouterr().err
    telemetry.set_levels("error", "info")
    telemetry.logger("door").warning("refused")
    assert not capsys.readouterr().err
    assert one_of_each() == ["info", "warning", "error"]


def test_strangers_do_not_fill_the_log_and_a_partner_is_always_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, stranger = AccessLog("exchange"), errors.CertificateNotPinned()
    for _ in range(int(BURST) + 7):
        log.refused("SubmitQuery", "", "192.0.2.7", stranger, step=2, now=0.0, seconds=0.0)
    assert len(lines(capsys.readouterr().err)) == BURST

    for _ in range(3):
        invalid = errors.ElementInvalid()
        log.refused("SubmitQuery", "AUS", "192.0.2.8", invalid, step=11, now=0.0, seconds=0.0)
    assert len(lines(capsys.readouterr().err)) == 3

    log.refused("SubmitQuery", "", "192.0.2.7", stranger, step=2, now=1.0, seconds=0.0)
    (late,) = lines(capsys.readouterr().err)
    assert (late["count"], late["peer"]) == (7, "192.0.2.7")
