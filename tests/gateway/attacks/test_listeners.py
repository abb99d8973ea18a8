"""Who may come in: TLS 1.3, a pinned certificate, a deadline, a message of reasonable size."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError

from gateway.domain.messages import Outcome
from gateway.trust.partners import own_bundle
from gateway.v1 import exchange_pb2
from keys.certificates import TlsKey, issue_ca, issue_leaf, private_key_pem
from tests.patience import CALL, PATIENCE


class UnknownKeyset:
    """A TLS identity of somebody's own making; it has the one method of a keyset that a channel asks for."""

    def __init__(self, ca: bytes, ca_key: TlsKey, *, days: int = 30, ago: int = 0) -> None:
        key = TlsKey.generate()
        then = datetime.now(UTC) - timedelta(days=ago)
        leaf = issue_leaf("AUS", ca, ca_key, key, then, hosts=("127.0.0.1",), days=days)
        self._pems = private_key_pem(key), leaf + ca

    def tls(self) -> tuple[bytes, bytes]:
        return self._pems


@pytest.fixture(scope="module")
def trusted(shared_pair: Any) -> tuple[bytes, TlsKey]:
    """The asker's own authority: TLS trusts whatever it issues, so only the pin can refuse it."""
    return shared_pair.keyset.tls_ca_pem, shared_pair.keyset.tls_ca()


def test_no_client_certificate(shared_pair: Any) -> None:
    roots = own_bundle(shared_pair.home).tls_ca_pem
    with (
        grpc.secure_channel(
            shared_pair.address, grpc.ssl_channel_credentials(root_certificates=roots)
        ) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary("/gateway.v1.ExchangeService/SubmitQuery")(b"", timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_plaintext_is_not_spoken(shared_pair: Any) -> None:
    with (
        grpc.insecure_channel(shared_pair.address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary("/gateway.v1.ExchangeService/SubmitQuery")(b"", timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_certificate_of_an_unknown_authority(shared_forger: Any) -> None:
    key = TlsKey.generate()
    rogue = UnknownKeyset(issue_ca("AUS", key, datetime.now(UTC)), key)

    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.send(shared_forger.compose(), keyset=rogue, timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_certificate_that_is_not_pinned(shared_forger: Any, trusted: tuple[bytes, TlsKey]) -> None:
    """Issued by the partner's own authority, and still not the leaf that the directory pins."""
    assert shared_forger.refused(shared_forger.compose(), keyset=UnknownKeyset(*trusted)) == (
        "UNAUTHENTICATED",
        "CERTIFICATE_NOT_PINNED",
    )


def test_expired_certificate(shared_forger: Any, trusted: tuple[bytes, TlsKey]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.send(
            shared_forger.compose(), keyset=UnknownKeyset(*trusted, days=5, ago=6), timeout=CALL
        )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_certificate_removed_from_the_directory_while_connected(pair: Any, people: Any) -> None:
    """Revocation is immediate: the pin is asked for on every call, also of a live connection."""
    partner = pair.partner()
    partner.query(people.samples(1), **people.matter())

    (pair.home / "parties" / "AUS.json").unlink()

    with pytest.raises(people.refused) as refused:
        partner.query(people.samples(1), **people.matter())
    assert refused.value.reason == "CERTIFICATE_NOT_PINNED"


def _handshake(address: str, pair: Any, tmp: Path, version: ssl.TLSVersion) -> str:
    key, chain = pair.keyset.tls()
    file = tmp / "client.pem"
    file.touch(mode=0o600)
    file.write_bytes(key + chain)
    context = ssl.create_default_context(cadata=own_bundle(pair.home).tls_ca_pem.decode())
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=CALL) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return str(secure.version())


def test_tls_1_2_is_refused_and_1_3_is_spoken(shared_pair: Any, tmp_path: Path) -> None:
    """Grpc 43074: there is no option for it in Python, so both versions are probed."""
    assert (
        _handshake(shared_pair.address, shared_pair, tmp_path, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    )
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _handshake(shared_pair.address, shared_pair, tmp_path, ssl.TLSVersion.TLSv1_2)


def test_a_message_of_a_hundred_megabytes(shared_forger: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.post(bytes(100 * 1024 * 1024), timeout=CALL)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_bytes_that_are_no_message(shared_forger: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.post(b"\xff\xff\xff\xff\x01")
    with pytest.raises(DecodeError):
        exchange_pb2.SubmitQueryRequest.FromString(b"\xff\xff\xff\xff\x01")
    assert caught.value.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT}


def test_a_call_without_a_deadline(shared_forger: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.post(b"", timeout=None)
    assert shared_forger.verdict(caught.value) == ("INVALID_ARGUMENT", "DEADLINE_REQUIRED")


def test_a_deadline_too_short_to_begin(shared_forger: Any) -> None:
    envelope = shared_forger.compose()
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.send(envelope, timeout=0.09)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_unknown_method(shared_forger: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.post(b"", method="SubmitEverything")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_more_calls_than_the_allowance(homes: Any, serve: Any, people: Any) -> None:
    settings = homes[0] / "passerelle.toml"
    settings.write_text(
        settings.read_text().replace(
            "[exchange]", "[exchange]\nrate_per_second = 0.1\nrate_burst = 2"
        )
    )
    with serve(*homes) as pair:
        forger = people.forger(pair)
        seen = []
        for _ in range(4):
            try:
                forger.send(forger.compose())
                seen.append("OK")
            except grpc.RpcError as error:
                seen.append(forger.verdict(error)[1])
                pushback = dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms")
                assert pushback == "1000"
        assert seen == ["OK", "OK", "RATE_LIMITED", "RATE_LIMITED"]


def test_the_health_port_says_serving_and_the_metrics_say_of_no_partner_what_it_asked(
    shared_pair: Any, people: Any
) -> None:
    from urllib.request import urlopen

    from grpc_health.v1 import health_pb2, health_pb2_grpc

    shared_pair.partner().query(people.samples(1), **people.matter())
    time.sleep(0.1)
    roots = own_bundle(shared_pair.home).tls_ca_pem
    with grpc.secure_channel(
        f"127.0.0.1:{shared_pair.addresses.health}",
        grpc.ssl_channel_credentials(root_certificates=roots),
    ) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=CALL
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with urlopen(f"http://127.0.0.1:{shared_pair.addresses.metrics}/metrics", timeout=CALL) as page:
        text = page.read().decode()
    assert "passerelle_stage_seconds" in text
    named = [line for line in text.splitlines() if '"AUS"' in line]
    # Of partners the metrics say when their keys end (keys.md 10), and which messages of ours did not leave.
    ours = ("passerelle_expiry_seconds{", "passerelle_outgoing_failures_")
    assert [line for line in named if not line.startswith(ours)] == []
    # A label is one whole value: a reason such as SENDER_MISMATCH, met by another test of this process, is none.
    for outcome in Outcome:
        assert f'"{outcome.name}"' not in text


_IMPORTED_TOO_EARLY = """
import os, sys
os.environ.pop("GRPC_SSL_CIPHER_SUITES", None)
import grpc
grpc.ssl_channel_credentials()
from pathlib import Path
from gateway.errors import InternalError
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving
with Gateway.open(Path(sys.argv[1]), lambda: b"a passphrase for tests") as gateway:
    try:
        Serving(gateway).start()
    except InternalError as fault:
        print(fault)
        sys.stdout.flush()
        os._exit(3)
os._exit(0)
"""


def test_a_gateway_that_would_speak_tls_1_2_does_not_serve(homes: Any) -> None:
    """Whoever imports gRPC first decides its ciphers; a scratch handshake finds out before the listeners open."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED_TOO_EARLY, str(homes[0])],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, "TLS 1.2" in done.stdout) == (3, True), done.stderr
