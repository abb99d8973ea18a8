"""The listener of our own people: no certificate opens it but an officer certificate in force, and nothing leaks through it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.cli.admin_session import open_session, perform, secret_of
from gateway.client import officer_credential
from gateway.client.channel import explain, open_channel
from gateway.errors import UserError
from gateway.trust.partners import own_bundle
from gateway.v1 import admin_pb2, admin_pb2_grpc
from tests.patience import CALL


@pytest.fixture(scope="module")
def home(folders: Path, tmp_path_factory: pytest.TempPathFactory, let_in: Any) -> Path:
    """A gateway with an operator and an examiner, whose folders lie beside."""
    import shutil

    root = tmp_path_factory.mktemp("admin")
    for name in ("can", "aus"):
        shutil.copytree(folders / name, root / name)
    home = root / "can"
    let_in(home, "P-7", ["examiner"], root / "p7")
    let_in(home, "P-1", ["operator"], root / "p1")
    return home


@pytest.fixture(scope="module")
def served(home: Path, serve: Any) -> Iterator[Any]:
    with serve(home, home.parent / "aus") as pair:
        yield pair


def connect(
    pair: Any,
    key: bytes,
    chain: bytes,
    *,
    act: str = "staff.list",
    arguments: bytes = b"{}",
    timeout: float | None = CALL,
) -> Any:
    roots = own_bundle(pair.home).tls_ca_pem
    address = f"127.0.0.1:{pair.addresses.admin}"
    with open_channel(address, roots=roots, private_key=key, chain=chain) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        return stub.Perform(admin_pb2.PerformRequest(act=act, arguments=arguments), timeout=timeout)


def opened(folder: Path) -> officer_credential.Credential:
    return officer_credential.read(folder, secret_of(folder))


def refused(pair: Any, folder: Path | None = None, **how: Any) -> tuple[str, str]:
    shown = opened(folder or pair.home.parent / "p1")
    with pytest.raises(grpc.RpcError) as caught:
        connect(pair, shown.key_pem, shown.chain, **how)
    found = explain(caught.value, "")
    return found.code if hasattr(found, "code") else "", getattr(found, "reason", "")


def test_an_officer_comes_in(served: Any) -> None:
    found = perform(served.home, "staff.list", {}, officer=served.home.parent / "p1")

    assert [row["person"] for row in found["staff"]] == ["P-1", "P-7"]


def test_a_partners_certificate_never_opens_the_admin_door(served: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        connect(served, *served.keyset.tls())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_servers_own_certificate_never_opens_the_admin_door(served: Any) -> None:
    """Our authority issued it, so the handshake passes; it is no badge."""
    with pytest.raises(grpc.RpcError) as caught:
        connect(served, *served.gateway.keyset.tls())
    assert explain(caught.value, "").reason == "STAFF_UNKNOWN"


def test_no_certificate_does_not_connect_to_the_admin_listener(served: Any) -> None:
    roots = own_bundle(served.home).tls_ca_pem
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    request = admin_pb2.PerformRequest(act="staff.list", arguments=b"{}")
    with (
        grpc.secure_channel(f"127.0.0.1:{served.addresses.admin}", credentials) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        admin_pb2_grpc.AdminServiceStub(channel).Perform(request, timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_an_officers_badge_opens_nothing_on_the_exchange(served: Any, people: Any) -> None:
    shown = opened(served.home.parent / "p1")

    class Officer:
        def tls(self) -> tuple[bytes, bytes]:
            return shown.key_pem, shown.chain

    with pytest.raises(grpc.RpcError) as caught:
        people.forger(served).post(b"", keyset=Officer(), timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_exchange_is_not_served_on_the_admin_port(served: Any) -> None:
    shown = opened(served.home.parent / "p1")
    address = f"127.0.0.1:{served.addresses.admin}"
    roots = own_bundle(served.home).tls_ca_pem
    with (
        open_channel(address, roots=roots, private_key=shown.key_pem, chain=shown.chain) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary("/gateway.v1.ExchangeService/SubmitQuery")(b"", timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_another_role_is_denied_and_told_which(served: Any) -> None:
    folder = served.home.parent / "p7"

    assert refused(served, folder) == ("PERMISSION_DENIED", "ROLE_REQUIRED")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (b"", "ACT_REFUSED"),
        (b"[]", "ACT_REFUSED"),
        (b'{"a":NaN}', "ACT_REFUSED"),
        (b'{"a":1,"a":2}', "ACT_REFUSED"),
        (b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "ACT_REFUSED"),
        (b'{"more":1}', "ACT_REFUSED"),
        (b"\xff", "ACT_REFUSED"),
    ],
    ids=lambda value: str(value)[:16],
)
def test_arguments_are_strict_at_the_admin_listener(
    served: Any, arguments: bytes, reason: str
) -> None:
    assert refused(served, arguments=arguments) == ("FAILED_PRECONDITION", reason)


def test_an_unknown_act_is_refused(served: Any) -> None:
    assert refused(served, act="staff.crown") == ("FAILED_PRECONDITION", "ACT_REFUSED")


def test_a_message_beyond_the_limit_never_reaches_an_act(served: Any) -> None:
    """At a megabyte gRPC itself refuses, before anything is parsed."""
    code, reason = refused(served, arguments=b" " * ((1 << 20) - 100))
    assert (code, reason) in {("RESOURCE_EXHAUSTED", ""), ("FAILED_PRECONDITION", "ACT_REFUSED")}
    assert refused(served, arguments=b" " * 1_000_001)[1] == "ACT_REFUSED"


def test_a_call_without_deadline_is_refused(served: Any) -> None:
    assert refused(served, timeout=None) == ("INVALID_ARGUMENT", "DEADLINE_REQUIRED")


def test_a_fault_inside_an_act_shows_an_id_and_nothing_else(served: Any, monkeypatch: Any) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(served.gateway.admin.operations, "perform", broken)
    shown = opened(served.home.parent / "p1")
    with pytest.raises(grpc.RpcError) as caught:
        connect(served, shown.key_pem, shown.chain)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "canary" not in str(caught.value)


def test_a_badge_ended_opens_nothing_more_on_a_live_connection(served: Any, let_in: Any) -> None:
    folder, operator = served.home.parent / "p8", served.home.parent / "p1"
    let_in(served.home, "P-8", ["auditor"], folder, by=operator)

    with open_session(served.home, officer=folder) as do:
        assert do("staff.list", {})
        perform(served.home, "staff.end", {"person": "P-8"}, officer=operator)
        with pytest.raises(UserError, match="ask an operator"):
            do("staff.list", {})


def test_an_open_gateway_does_nothing_for_a_passphrase_alone(
    served: Any, tmp_path: Path, let_in: Any
) -> None:
    """While the gateway serves, its listener asks who acts; nobody slips in beside it."""
    with pytest.raises(UserError, match="--as FOLDER"):
        let_in(served.home, "P-9", ["auditor"], tmp_path / "p9")


def test_the_address_is_for_our_user_alone(served: Any) -> None:
    file = served.home / "door.json"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {
        "admin": f"127.0.0.1:{served.addresses.admin}",
        "metrics": f"127.0.0.1:{served.addresses.metrics}",
        "authority": own_bundle(served.home).tls_ca_pem.decode("ascii"),
    }


def test_a_credential_put_together_from_two_is_refused(served: Any, tmp_path: Path) -> None:
    import shutil

    from keys.errors import DamagedFile

    mixed = tmp_path / "mixed"
    shutil.copytree(served.home.parent / "p7", mixed)
    shutil.copy(served.home.parent / "p1" / "certificate.json", mixed)

    with pytest.raises(DamagedFile):
        perform(served.home, "staff.list", {}, officer=mixed)


def test_the_typed_review_service_asks_for_the_same_role(served: Any) -> None:
    from gateway.v1 import review_pb2, review_pb2_grpc

    def listed(folder: Path) -> Any:
        shown = opened(folder)
        roots, address = own_bundle(served.home).tls_ca_pem, f"127.0.0.1:{served.addresses.admin}"
        with open_channel(
            address, roots=roots, private_key=shown.key_pem, chain=shown.chain
        ) as channel:
            stub = review_pb2_grpc.ReviewServiceStub(channel)
            assert stub.ListCases(review_pb2.ListCasesRequest(), timeout=CALL).cases == []
            request = review_pb2.SubmitVerdictRequest(case_id="R-1", verdict=1, reason="x")
            with pytest.raises(grpc.RpcError) as caught:
                stub.SubmitVerdict(request, timeout=CALL)
            with pytest.raises(grpc.RpcError) as unsaid:
                stub.SubmitVerdict(review_pb2.SubmitVerdictRequest(case_id="R-1"), timeout=CALL)
            return explain(caught.value, "").reason, explain(unsaid.value, "").reason

    assert listed(served.home.parent / "p7") == ("ACT_REFUSED", "ELEMENT_INVALID")
    assert listed(served.home.parent / "p1") == ("ROLE_REQUIRED", "ELEMENT_INVALID")
