"""What a failed call means, and which calls are made again: over real gRPC, with a scripted server."""

from __future__ import annotations

import re
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.client import Partner
from gateway.client.channel import PUSHBACK, Transport, connected, open_channel
from gateway.client.errors import DeadlineExceeded, KeyStale, Refused, Unreachable
from gateway.errors import Refusal
from gateway.v1 import ledger_pb2, ledger_pb2_grpc
from tests.patience import PATIENCE

Step = Callable[[grpc.ServicerContext], None]


@dataclass
class Script(ledger_pb2_grpc.LedgerServiceServicer):
    """Answers each call with the next step; after the last, with a checkpoint."""

    steps: list[Step]
    seen: list[bytes] = field(default_factory=list)

    def GetConsistencyProof(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.seen.append(request.SerializeToString())
        if self.steps:
            self.steps.pop(0)(context)
        return ledger_pb2.GetConsistencyProofResponse(hashes=[b"proof"])


def fails(
    code: grpc.StatusCode,
    reason: str = "",
    *,
    pushback: int | None = None,
    retry_info: float | None = None,
    domain: str = "passerelle",
    text: str = "not now",
    **metadata: str,
) -> Step:
    def step(context: grpc.ServicerContext) -> None:
        details = []
        if reason:
            packed = any_pb2.Any()
            packed.Pack(
                error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
            )
            details.append(packed)
        if retry_info is not None:
            packed = any_pb2.Any()
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(int(retry_info * 1000))
            packed.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
            details.append(packed)
        status = rpc_status.to_status(
            status_pb2.Status(code=code.value[0], message=text, details=details)
        )
        trailers = tuple(status.trailing_metadata)
        if pushback is not None:
            trailers += ((PUSHBACK, str(pushback)),)
        context.set_trailing_metadata(trailers)
        context.abort(code, text)

    return step


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Script, Any]]]:
    opened: list[Any] = []

    def start(*steps: Step) -> tuple[Script, Any]:
        script = Script(list(steps))
        server = grpc.server(futures.ThreadPoolExecutor(4))
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(script, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=(("grpc.enable_retries", 0),))
        opened.extend((server, channel))
        return script, ledger_pb2_grpc.LedgerServiceStub(channel).GetConsistencyProof

    yield start
    for each in opened:
        if hasattr(each, "stop"):
            each.stop(None).wait()
        else:
            each.close()


REQUEST = ledger_pb2.GetConsistencyProofRequest(old_size=1, new_size=2)


def carry(method: Any, seconds: float = PATIENCE, **how: Any) -> Any:
    return Transport().carry(method, REQUEST, time.monotonic() + seconds, **how)


class Still:
    """A clock that stands still but while a transport pauses; real calls take no time by it."""

    def __init__(self) -> None:
        self.now, self.paused = 0.0, list[float]()
        self.transport = Transport(clock=lambda: self.now, pause=self._pass)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.paused.append(seconds)


@pytest.mark.parametrize("reason", ["DRAINING", "AUDIT_UNAVAILABLE", "IN_PROGRESS", ""])
def test_what_is_unavailable_is_asked_again_with_the_same_bytes(serve: Any, reason: str) -> None:
    busy = fails(grpc.StatusCode.UNAVAILABLE, reason, pushback=10)
    script, method = serve(busy, busy)

    answer, attempts = carry(method)

    assert answer.hashes == [b"proof"]
    assert attempts == 3
    assert len(set(script.seen)) == 1


def test_the_pushback_is_honoured(serve: Any) -> None:
    _, method = serve(fails(grpc.StatusCode.UNAVAILABLE, "IN_PROGRESS", pushback=300))
    still = Still()

    still.transport.carry(method, REQUEST, PATIENCE)

    assert still.paused == [0.3]


def test_a_retry_info_alone_is_honoured_too(serve: Any) -> None:
    _, method = serve(fails(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_info=0.3))
    still = Still()

    still.transport.carry(method, REQUEST, PATIENCE)

    assert still.paused == [0.3]


@pytest.mark.parametrize("pushback", [-1, "soon"])
def test_a_negative_or_unreadable_pushback_ends_it(serve: Any, pushback: Any) -> None:
    script, method = serve(fails(grpc.StatusCode.UNAVAILABLE, "DRAINING", pushback=pushback))

    with pytest.raises(Refused, match="DRAINING"):
        carry(method)

    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "ENVELOPE_REJECTED"),
        (grpc.StatusCode.PERMISSION_DENIED, "PURPOSE_NOT_PERMITTED"),
        (grpc.StatusCode.INVALID_ARGUMENT, "HEADER_INVALID"),
        (grpc.StatusCode.ALREADY_EXISTS, "REPLAY_CONFLICT"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"),
        (grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
def test_a_refusal_is_final_and_says_its_reason(
    serve: Any, code: grpc.StatusCode, reason: str
) -> None:
    script, method = serve(fails(code, reason, pushback=500, element="header.purpose"))

    with pytest.raises(Refused) as caught:
        carry(method, number="20260301-aa")

    refused = caught.value
    assert (refused.code, refused.reason, refused.retry_after) == (code.name, reason, 0.5)
    assert refused.metadata == {"element": "header.purpose"}
    assert refused.transaction_number == "20260301-aa"
    assert len(script.seen) == 1


def test_a_stale_key_is_never_retried_and_names_the_remedy(serve: Any) -> None:
    stale = fails(grpc.StatusCode.FAILED_PRECONDITION, "KEY_STALE", directory_version="4")
    script, method = serve(stale)

    with pytest.raises(KeyStale, match="import the partner's new bundle") as caught:
        carry(method)

    assert caught.value.metadata["directory_version"] == "4"
    assert len(script.seen) == 1


OWN = {
    "STAFF_UNKNOWN",
    "ROLE_REQUIRED",
    "OFFICER_REFUSED",
    "TWO_PERSONS",
    "ACT_REFUSED",
}  # of our own people's listener


def _refusals(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for each in kind.__subclasses__():
        if "reason" in vars(each) and each.reason not in OWN and each.code != "DEADLINE_EXCEEDED":
            yield each
        yield from _refusals(each)


def test_no_refusal_is_told_to_the_asker_in_the_answering_gateways_words(serve: Any) -> None:
    """Where a partner says "of ours", it means its own; whoever asked would read it of themselves."""
    reworded = set()
    for kind in sorted(_refusals(Refusal), key=lambda each: each.reason):
        fault = kind()
        code = getattr(grpc.StatusCode, fault.code)
        script, method = serve(fails(code, fault.reason, pushback=-1, text=str(fault)))
        with pytest.raises(Refused) as caught:
            carry(method)

        said = str(caught.value)
        assert said.startswith(f"{fault.code} {fault.reason}: ")
        if re.search(r"\b(ours?|[Tt]he partner|[Tt]his partner)\b", str(fault)):
            assert str(fault) not in said
            reworded.add(fault.reason)
        assert len(script.seen) == 1

    assert {"PRIOR_TRANSACTION_UNKNOWN", "TRANSACTION_UNKNOWN", "RATE_LIMITED"} <= reworded


def test_an_internal_error_gives_its_identifier(serve: Any) -> None:
    _, method = serve(fails(grpc.StatusCode.INTERNAL, "INTERNAL", error_id="00ff"))

    with pytest.raises(Refused) as caught:
        carry(method)

    assert caught.value.error_id == "00ff"


def test_a_reason_of_another_domain_is_not_ours(serve: Any) -> None:
    _, method = serve(fails(grpc.StatusCode.NOT_FOUND, "QUOTA_EXCEEDED", domain="elsewhere"))

    with pytest.raises(Refused) as caught:
        carry(method)

    assert caught.value.reason == ""


def test_only_the_patient_wait_where_they_call_too_often(serve: Any) -> None:
    crowded = fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", pushback=10)
    spent = fails(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", pushback=-1)
    _, method = serve(crowded, spent)

    with pytest.raises(Refused, match="QUOTA_EXCEEDED"):
        carry(method, patient=True)


def test_a_status_that_contradicts_itself_says_no_reason(serve: Any) -> None:
    """The rich status in the trailers is of another code than the call's."""

    def step(context: grpc.ServicerContext) -> None:
        packed = any_pb2.Any()
        packed.Pack(error_details_pb2.ErrorInfo(reason="QUOTA_EXCEEDED", domain="passerelle"))
        rich = rpc_status.to_status(
            status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], details=[packed])
        )
        context.set_trailing_metadata(tuple(rich.trailing_metadata))
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")

    _, method = serve(step)

    with pytest.raises(Refused) as caught:
        carry(method)

    assert (caught.value.code, caught.value.reason) == ("PERMISSION_DENIED", "")


def test_retries_end_at_the_deadline_with_the_last_reason(serve: Any) -> None:
    """No pause goes beyond it: with 40 s between attempts, 100 s hold three."""
    busy = fails(grpc.StatusCode.UNAVAILABLE, "AUDIT_UNAVAILABLE", pushback=40_000)
    script, method = serve(*[busy] * 50)
    still = Still()

    with pytest.raises(Refused, match="AUDIT_UNAVAILABLE"):
        still.transport.carry(method, REQUEST, 100.0)

    assert len(script.seen) == 3
    assert still.paused == [40.0, 40.0]


def test_a_call_that_takes_too_long_carries_its_number(serve: Any) -> None:
    over = threading.Event()
    _, method = serve(lambda _: over.wait(PATIENCE))

    with pytest.raises(DeadlineExceeded, match="ask for the state") as caught:
        Still().transport.carry(method, REQUEST, 0.2, number="20260301-aa")
    over.set()

    assert caught.value.transaction_number == "20260301-aa"


def test_no_time_is_no_call(serve: Any) -> None:
    script, method = serve()

    with pytest.raises(DeadlineExceeded):
        carry(method, -1.0)

    assert not script.seen


def test_nobody_at_the_address_is_unreachable() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        method = ledger_pb2_grpc.LedgerServiceStub(channel).GetConsistencyProof

        with pytest.raises(Unreachable, match="no answer"):
            Still().transport.carry(method, REQUEST, PATIENCE)


def test_a_closed_channel_is_unreachable() -> None:
    channel = grpc.insecure_channel("127.0.0.1:1")
    method = ledger_pb2_grpc.LedgerServiceStub(channel).GetConsistencyProof
    channel.close()

    with pytest.raises(Unreachable, match="closed"):
        carry(method)


def test_no_proxy_of_the_environment_sees_whom_we_ask(
    answering_server: Any, keysets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC would send a CONNECT with the partner's name to it; nobody listens at this one."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)

    with Partner.connect("AUS", keysets["AUS"], answering_server.gateway.bundle) as partner:
        assert partner.capabilities()

    assert answering_server.calls


class Tunnel(socketserver.BaseRequestHandler):
    """An HTTP proxy that can do CONNECT, to this machine alone, and remembers for whom."""

    asked: ClassVar[list[str]] = []

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.request.recv(1)
        target = head.split()[1].decode()
        self.asked.append(target)
        with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as there:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            ends = {self.request: there, there: self.request}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    octets = ready.recv(65_536)
                    if not octets:
                        return
                    ends[ready].sendall(octets)


@pytest.fixture
def proxy() -> Iterator[str]:
    Tunnel.asked.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_proxy_that_is_set_carries_tls_through_and_no_other_is_asked(
    answering_server: Any, keysets: Any, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has to go through one names it; a proxy of the environment is none the less not heeded."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)

    with Partner.connect(
        "AUS", keysets["AUS"], answering_server.gateway.bundle, proxy=proxy
    ) as partner:
        assert partner.capabilities()

    assert set(Tunnel.asked) == {answering_server.gateway.bundle.endpoints[0]}


def test_a_proxy_is_asked_for_an_address_as_urls_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = f"127.0.0.1:{listening.getsockname()[1]}"
        heard: list[bytes] = []

        def answer() -> None:
            for said in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 403 No\r\n\r\n"):
                with listening.accept()[0] as taken:
                    heard.append(taken.recv(4096))
                    taken.sendall(said)

        answering = threading.Thread(target=answer)
        answering.start()
        connected("2001:db8::7", 7443, proxy, PATIENCE).close()
        with pytest.raises(OSError, match="made no connection"):
            connected("gateway.example.ca", 7443, proxy, PATIENCE)
        answering.join(PATIENCE)

    assert heard[0].startswith(b"CONNECT [2001:db8::7]:7443 HTTP/1.1\r\n")
    assert heard[1].startswith(b"CONNECT gateway.example.ca:7443 HTTP/1.1\r\n")


def test_whom_no_proxy_names_is_looked_at_directly_as_grpc_reaches_them(
    answering_server: Any, keysets: Any, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "elsewhere.example, 127.0.0.1,localhost")

    with Partner.connect(
        "AUS", keysets["AUS"], answering_server.gateway.bundle, proxy=proxy
    ) as partner:
        assert partner.capabilities()

    assert Tunnel.asked == []


def test_a_host_of_the_name_of_a_scheme_is_a_name(
    keysets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`unix:7443` would be a socket of this machine to gRPC: nothing of ours is connected to."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("7443")
        listening.listen(1)
        listening.settimeout(0.5)
        key, chain = keysets["AUS"].tls()
        roots = keysets["CAN"].tls_ca_pem
        with open_channel("unix:7443", roots=roots, private_key=key, chain=chain) as channel:
            call = channel.unary_unary("/gateway.v1.ExchangeService/GetCapabilities")
            with pytest.raises(grpc.RpcError):
                call(b"", timeout=1.0)
            with pytest.raises(TimeoutError):
                listening.accept()


def test_a_closed_transport_ends_its_wait_between_two_attempts() -> None:
    transport, waiting = Transport(), threading.Event()
    told: list[BaseException] = []

    def away(*_: object, timeout: float) -> Any:
        waiting.set()
        raise _Away

    def carry() -> None:
        try:
            transport.carry(away, object(), time.monotonic() + 3600.0)
        except Unreachable as fault:
            told.append(fault)

    thread = threading.Thread(target=carry)
    thread.start()
    assert waiting.wait(30)
    transport.close()
    thread.join(30)

    assert len(told) == 1


class _Away(grpc.RpcError):
    """Nobody answers."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return ""

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()
