"""The access log: a line for each call, the step that refused it, and nothing of what was asked or answered."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway import errors, telemetry
from gateway.cli.admin_session import secret_of
from gateway.client import officer_credential
from gateway.client.channel import open_channel
from gateway.errors import Refusal
from gateway.server.listener.access_log import BURST, AccessLog, step_of, unsealed_step_of
from gateway.trust.partners import own_bundle
from gateway.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    directory_pb2,
    directory_pb2_grpc,
    exchange_pb2,
    exchange_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    review_pb2,
    review_pb2_grpc,
)
from keys.signatures import SigningKey
from tests.patience import CALL, PATIENCE


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
        (errors.TlsVersionRefused, None, 2),
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


def _kinds(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


@pytest.mark.parametrize("kind", [each for each in _kinds(Refusal) if "reason" in vars(each)])
def test_every_refusal_of_a_call_in_no_envelope_has_a_step(kind: type[Refusal]) -> None:
    assert 0 <= unsealed_step_of(kind()) <= 14


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (errors.AuditUnavailable, 14),
        (errors.RetentionOverdue, 0),
        (errors.DeadlineTooShort, 1),
        (errors.StaffUnknown, 2),
        (errors.RoleRequired, 3),
        (errors.OfficerRefused, 3),
        (errors.HeaderInvalid, 4),
        (errors.ElementInvalid, 11),
        (errors.DirectoryFileUnknown, 12),
        (errors.SecondPersonRequired, 13),
        (errors.ActRefused, 13),
    ],
)
def test_a_call_in_no_envelope_says_its_step_by_the_refusal(kind: type[Refusal], step: int) -> None:
    assert unsealed_step_of(kind()) == step


@pytest.fixture
def staffed(
    folders: Path, tmp_path: Path, let_in: Any, serve: Any
) -> Iterator[tuple[Any, officer_credential.Credential]]:
    """A gateway that serves, and the credential of a registrar of it."""
    for name in ("can", "aus"):
        shutil.copytree(folders / name, tmp_path / name)
    let_in(tmp_path / "can", "P-1", ["registrar"], tmp_path / "p1")
    with serve(tmp_path / "can", tmp_path / "aus") as pair:
        yield pair, officer_credential.read(tmp_path / "p1", secret_of(tmp_path / "p1"))


def test_refusals_of_the_ledgers_the_directorys_and_our_own_peoples_calls_say_their_step(
    staffed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pair, officer = staffed
    roots = own_bundle(pair.home).tls_ca_pem
    capsys.readouterr()

    def refused(method: Any, request: Any) -> None:
        with pytest.raises(grpc.RpcError):
            method(request, timeout=CALL)

    key, chain = pair.keyset.tls()
    with open_channel(pair.address, roots=roots, private_key=key, chain=chain) as channel:
        ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
        directory = directory_pb2_grpc.DirectoryServiceStub(channel)
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel)
        refused(ledger.GetTile, ledger_pb2.GetTileRequest(path="tile/9/999"))
        refused(
            ledger.GetConsistencyProof,
            ledger_pb2.GetConsistencyProofRequest(old_size=9_999, new_size=99_999),
        )
        refused(directory.GetTarget, directory_pb2.GetTargetRequest(path="nobody.json"))
        refused(exchange.SubmitQuery, exchange_pb2.SubmitQueryRequest())
    address = f"127.0.0.1:{pair.addresses.admin}"
    shown = {"roots": roots, "private_key": officer.key_pem, "chain": officer.chain}
    with open_channel(address, **shown) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        review = review_pb2_grpc.ReviewServiceStub(channel)
        for act in ("staff.list", "no.such", "registry.show"):
            refused(admin.Perform, admin_pb2.PerformRequest(act=act, arguments=b"{}"))
        refused(review.SubmitVerdict, review_pb2.SubmitVerdictRequest(verdict=99))

    found = [
        (each["address"], each["operation"], each["reason"], each["step"])
        for each in written(capsys, 8)
    ]
    assert found == [
        ("exchange", "GetTile", "ELEMENT_INVALID", 11),
        ("exchange", "GetConsistencyProof", "ELEMENT_INVALID", 11),
        ("exchange", "GetTarget", "DIRECTORY_FILE_UNKNOWN", 12),
        ("exchange", "SubmitQuery", "HEADER_INVALID", 4),
        ("admin", "Perform", "ROLE_REQUIRED", 3),
        ("admin", "Perform", "ACT_REFUSED", 13),
        ("admin", "Perform", "ACT_REFUSED", 13),
        ("admin", "SubmitVerdict", "ELEMENT_INVALID", 11),
    ]


def test_every_call_has_its_line_and_none_says_what_was_asked(
    pair: Any, forger: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    forger.send(forger.compose())
    forger.refused(forger.compose(signer=SigningKey.generate()))
    forger.refused(forger.compose(create_time=datetime(2020, 1, 1, tzinfo=UTC)))
    forger.refused(forger.compose(agreement_version=99))
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
    telemetry.logger("listener").info("started")
    assert "started" in capsys.readouterr().err
    telemetry.set_levels("error", "info")
    telemetry.logger("listener").warning("refused")
    assert not capsys.readouterr().err
    assert one_of_each() == ["info", "warning", "error"]


def test_strangers_do_not_fill_the_log_and_a_partner_is_always_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, unknown = AccessLog("exchange"), errors.CertificateNotPinned()
    for _ in range(int(BURST) + 7):
        log.refused("SubmitQuery", "", "192.0.2.7", unknown, step=2, now=0.0, seconds=0.0)
    assert len(lines(capsys.readouterr().err)) == BURST

    for _ in range(3):
        invalid = errors.ElementInvalid()
        log.refused("SubmitQuery", "AUS", "192.0.2.8", invalid, step=11, now=0.0, seconds=0.0)
    assert len(lines(capsys.readouterr().err)) == 3

    log.refused("SubmitQuery", "", "192.0.2.7", unknown, step=2, now=1.0, seconds=0.0)
    (late,) = lines(capsys.readouterr().err)
    assert (late["count"], late["peer"]) == (7, "192.0.2.7")
