"""What somebody without a certificate can do to a gateway, and what it is to be stuck: bounded, said, and ended in order.

All on loopback, with limits so low that some dozens of connections are a crowd.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.client import Partner
from gateway.config import load
from gateway.domain.messages import Outcome
from gateway.ledger.entry import EntryType, decode
from gateway.server import self_check
from gateway.server.listener import interceptor, listeners
from gateway.store.address import open_store
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from keys.custody import open_custody
from keys.keyset import Keyset
from tests.programs import Program, Programs

SERVING = health_pb2.HealthCheckResponse.SERVING
CHECK = "/grpc.health.v1.Health/Check"


@contextmanager
def to_health(pair: Any) -> Iterator[grpc.Channel]:
    roots = own_bundle(pair.home).tls_ca_pem
    options = (("grpc.use_local_subchannel_pool", 1),)
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    with grpc.secure_channel(
        f"127.0.0.1:{pair.addresses.health}", credentials, options=options
    ) as channel:
        yield channel


def status(pair: Any, service: str = "") -> int:
    with to_health(pair) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=20, wait_for_ready=True)
    return int(answer.status)


def code(pair: Any, octets: bytes, method: str = CHECK) -> grpc.StatusCode:
    with to_health(pair) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(method)(octets, timeout=20)
    return caught.value.code()


class Http2:
    """A client of HTTP/2 that does what no library lets it: it reads no answer and goes on asking."""

    def __init__(self, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._wire = context.wrap_socket(plain)
        nothing = (4).to_bytes(2, "big") + bytes(
            4
        )  # SETTINGS_INITIAL_WINDOW_SIZE 0: send me no data
        self._wire.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, nothing))
        self._wire.sendall(frame(4, 1, 0))

    def ask(self, stream: int, *, message: bool) -> None:
        fields = {
            ":method": "POST",
            ":scheme": "https",
            ":path": CHECK,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
        }
        block = b"".join(
            b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
            for name, value in fields.items()
        )
        self._wire.sendall(frame(1, 4, stream, block))
        if message:
            self._wire.sendall(frame(0, 1, stream, bytes(5)))

    def refused(self, count: int) -> set[int]:
        """Read until so many streams were refused; return them."""
        seen: set[int] = set()
        while len(seen) < count:
            head = self._read(9)
            self._read(int.from_bytes(head[:3], "big"))
            if head[3] == 3:
                seen.add(int.from_bytes(head[5:9], "big"))
        return seen

    def _read(self, size: int) -> bytes:
        octets = b""
        while len(octets) < size:
            more = self._wire.recv(size - len(octets))
            assert more, "the connection was closed"
            octets += more
        return octets

    def close(self) -> None:
        self._wire.close()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


# Health ------------------------------------------------------------------------------------------


def test_health_answers_check_for_what_we_serve_and_for_nothing_else(shared_pair: Any) -> None:
    assert status(shared_pair) == status(shared_pair, "gateway.v1.ExchangeService") == SERVING
    unknown = health_pb2.HealthCheckRequest(service="no.such.Service").SerializeToString()
    assert code(shared_pair, unknown) is grpc.StatusCode.NOT_FOUND


def test_health_has_no_answer_that_goes_on(shared_pair: Any) -> None:
    """Watch would have us write, from our own maintenance thread, to whoever does not read."""
    with to_health(shared_pair) as channel, pytest.raises(grpc.RpcError) as caught:
        next(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=20))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_health_takes_no_long_message_and_no_nonsense(shared_pair: Any, capfd: Any) -> None:
    assert code(shared_pair, b"\xff\xff\xff\xff\x01") is grpc.StatusCode.INVALID_ARGUMENT
    assert code(shared_pair, bytes(4096)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "Traceback" not in capfd.readouterr().err


def test_long_metadata_reaches_no_handler_of_health(shared_pair: Any) -> None:
    with to_health(shared_pair) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(CHECK)(b"", timeout=20, metadata=(("x", "y" * 20_000),))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_answers_that_a_stranger_does_not_read_are_few_and_hold_up_nobody(pair: Any) -> None:
    streams = range(1, 101, 2)
    unknown = Http2(pair.addresses.health)
    try:
        for stream in streams:
            unknown.ask(stream, message=True)
        refused = unknown.refused(len(streams) - listeners.HEALTH_STREAMS)

        assert len(refused) >= len(streams) - listeners.HEALTH_STREAMS
        pair.serving.run_jobs()
        assert status(pair) == SERVING
        pair.serving.stop()  # the caller still reads nothing
        assert last_entry(pair.home) is EntryType.STOP
        pair.serving.stop = lambda: None  # the fixture's
    finally:
        unknown.close()


def test_headers_without_messages_keep_nobody_from_asking_for_health(pair: Any) -> None:
    """Each holds a thread that waits for its message; there is one for every call that may be open."""
    with ExitStack() as stack:
        for _ in range(8):
            unknown = Http2(pair.addresses.health)
            stack.callback(unknown.close)
            for stream in (1, 3):
                unknown.ask(stream, message=False)
        assert status(pair) == SERVING


# Silent connections ------------------------------------------------------------------------------


def limited(home: Path, **limits: object) -> None:
    path = home / "passerelle.toml"
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    path.write_text(path.read_text() + f"\n[limits]\n{lines}")


def ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def silent(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]


def test_silent_connections_of_one_address_are_cut_down_and_partners_come_and_go(
    homes: Any, serve: Any, people: Any
) -> None:
    limited(homes[0], unidentified_per_address=4, connections=64)
    with serve(*homes) as pair:
        known = pair.partner()
        assert known.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
        crowd = silent(pair.addresses.exchange, 40)
        try:
            assert known.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
            fresh = pair.partner()
            assert fresh.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
            pause = threading.Event()
            while sum(map(ended, crowd)) < 36:
                pause.wait(0.1)
            assert known.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
        finally:
            for one in crowd:
                one.close()


def test_our_own_look_that_wants_a_descriptor_accuses_no_listener(
    pair: Any, monkeypatch: Any, capfd: Any
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    identity, ports = pair.serving._identity, pair.serving._addresses
    assert identity.look(ports)
    size = pair.gateway.sequencer.size
    monkeypatch.setattr("gateway.server.listener.tls_probe.socket.create_connection", none_left)

    assert not identity.look(ports)

    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [line for line in said if line["event"] == "tls_leaf_unseen"]
    assert [(line["stage"], line["reason"]) for line in told] == [
        (name, "EMFILE") for name in ports
    ]
    assert not any(line["event"] == "tls_leaf_differs" for line in said)
    assert pair.gateway.sequencer.size == size


# Whole processes ---------------------------------------------------------------------------------

_SERVER = """
import json, resource, sys, threading
from pathlib import Path
home, limit, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if limit:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from gateway.server import process
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving
from gateway.server.workers import periodic_jobs

def stand(*_):
    print("stuck", flush=True)
    threading.Event().wait()

with Gateway.open(Path(home), lambda: b"a passphrase for tests") as gateway:
    serving = Serving(gateway)
    periodic_jobs.ROUND = 0.2
    if how == "rounds":
        serving._clock_monitor.round = stand
    if how == "letters":
        gateway.outbound.worker._settle = stand
    if how == "start":
        serving.engines.load = stand
    if how == "sequencer":
        process.LAST_STUCK = 4.0
    def ready(where):
        print(json.dumps([where.exchange, where.admin, where.health, where.metrics]), flush=True)
        if how == "sequencer":
            gateway.sequencer._write = stand
            threading.Thread(target=gateway.sequencer.forget_traces, daemon=True).start()
    code = serving.run(ready)
sys.exit(code)
"""


@pytest.fixture
def process(programs: Programs) -> Any:
    """Return what serves in a process of its own: it, its ports (exchange, admin, health, metrics) and its log."""

    @contextmanager
    def serve(
        home: Path, limit: int = 0, how: str = ""
    ) -> Iterator[tuple[Program, list[int], Path]]:
        log = home.parent / "server.log"
        running = programs.start(_SERVER, home, limit, how, stderr=log)
        try:
            line = running.stdout.readline()
            assert line.startswith("["), (line, log.read_text()[-4000:])
            yield running, json.loads(line), log
        finally:
            running.kill()
            running.wait(timeout=60)
            running.stdout.close()

    return serve


def last_entry(home: Path) -> EntryType:
    return frames(home)[-1].type


def frames(home: Path) -> list[Any]:
    database = open_store(load(home).store.path)
    try:
        return [decode(leaf) for leaf in stored_ledger.iter_leaves(database)]
    finally:
        database.close()


@pytest.fixture
def asker(homes: Any, secret: Any) -> Any:
    home, asking = homes
    keyset = Keyset.load(
        asking / "keys" / "keyset.json", open_custody(f"file:{asking}/keys/kek.json", secret)
    )
    return lambda port: Partner.connect(
        "AUS", keyset, own_bundle(home), address=f"127.0.0.1:{port}"
    )


@pytest.mark.slow
def test_a_process_with_few_descriptors_and_a_crowd_on_every_listener_stays_whole(
    homes: Any, process: Any, asker: Any, people: Any
) -> None:
    """Silent connections to every listener, more than it may have, and they stay until after the end."""
    home = homes[0]
    with process(home, limit=512) as (running, ports, log), ExitStack() as stack:
        known = stack.enter_context(asker(ports[0]))
        assert known.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
        for port, count in zip(ports, (150, 30, 20, 20), strict=True):
            for one in silent(port, count):
                stack.callback(one.close)

        for _ in range(3):
            assert known.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
        fresh = stack.enter_context(asker(ports[0]))
        assert fresh.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH

        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0
        said = log.read_text()
    assert "connections_cut" in said
    assert not any(word in said for word in ("unhandled", "tls_leaf_differs", "Traceback"))
    assert last_entry(home) is EntryType.STOP
    assert self_check.verify_ledger(home).ok


@pytest.mark.slow
@pytest.mark.parametrize(("how", "thread"), [("rounds", "rounds"), ("letters", "outgoing")])
def test_a_thread_that_stands_still_is_said_and_the_process_ends_in_order(
    homes: Any, process: Any, serve: Any, how: str, thread: str
) -> None:
    home = homes[0]
    limited(home, watchdog_s=5)
    with process(home, how=how) as (running, _, log):
        assert running.wait(timeout=90) == 75
        said = [json.loads(line) for line in log.read_text().splitlines()]
    told = [line for line in said if line["event"] == "watchdog"]
    assert [(line["state"], line["stage"].split("<")[:3]) for line in told] == [
        (thread, ["wait", "wait", "stand"])
    ]
    first, last = frames(home)[-2:]
    assert (first.type, first.subject_reference) == (EntryType.ALARM, "RAISE/WATCHDOG")
    assert last.type is EntryType.STOP
    assert self_check.verify_ledger(home).ok
    with serve(*homes):
        assert "CLEAR/WATCHDOG" in [frame.subject_reference for frame in frames(home)]


@pytest.mark.slow
def test_a_ledger_that_takes_nothing_more_ends_the_process_all_the_same(
    homes: Any, process: Any
) -> None:
    home = homes[0]
    limited(home, watchdog_s=5)
    with process(home, how="sequencer") as (running, _, log):
        assert running.wait(timeout=90) == 75
        said = [json.loads(line) for line in log.read_text().splitlines()]
    assert "sequencer" in {line["state"] for line in said if line["event"] == "watchdog"}
    assert self_check.verify_ledger(home).ok


@pytest.mark.parametrize("how", ["rounds", "letters"])
def test_a_signal_is_heard_while_a_thread_of_ours_waits_for_ever(
    homes: Any, process: Any, how: str
) -> None:
    home = homes[0]
    with process(home, how=how) as (running, _, _log):
        assert running.stdout.readline() == "stuck\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 0
    assert last_entry(home) is EntryType.STOP
    assert self_check.verify_ledger(home).ok


def test_a_signal_that_comes_while_the_gateway_starts_ends_it(
    homes: Any, programs: Programs, serve: Any
) -> None:
    """Loading may take long, or stand still: nothing was answered yet, and what is recorded is whole."""
    home = homes[0]
    running = programs.start(_SERVER, home, 0, "start", stderr=home.parent / "server.log")
    try:
        assert running.stdout.readline() == "stuck\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=60) == 0
    finally:
        running.kill()
        running.wait()
        running.stdout.close()
    assert self_check.verify_ledger(home).ok
    with serve(*homes):
        assert EntryType.START in [frame.type for frame in frames(home)]


def test_a_gateway_that_stops_waits_for_no_caller_who_sends_nothing(pair: Any) -> None:
    """Calls that we work on have their grace; one that waits for its own sender is ours no longer."""
    key, chain = pair.keyset.tls()
    credentials = grpc.ssl_channel_credentials(own_bundle(pair.home).tls_ca_pem, key, chain)
    end = threading.Event()

    def never() -> Iterator[bytes]:
        end.wait(60)
        yield b""

    options = (("grpc.ssl_target_name_override", "localhost"),)
    with grpc.secure_channel(pair.address, credentials, options=options) as channel:
        call = channel.stream_unary("/gateway.v1.ExchangeService/SubmitQuery")
        held = call.future(never(), timeout=50)
        grpc.channel_ready_future(channel).result(timeout=30)
        pair.serving.exchange.interceptor.close(pair.serving.exchange.server, grace=3600.0)
        assert held.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
        end.set()


def test_a_gateway_that_stops_finishes_what_it_works_on(
    homes: Any, serve: Any, people: Any
) -> None:
    begun, go = threading.Event(), threading.Event()

    def observe(stage: str) -> None:
        if stage == "prepare":
            begun.set()
            go.wait(60)

    with serve(*homes, observe) as pair:
        partner, answers = pair.partner(), []
        asking = threading.Thread(
            target=lambda: answers.append(
                partner.query(people.samples(1), deadline=50, **people.matter())
            )
        )
        asking.start()
        assert begun.wait(60)
        stopping = threading.Thread(target=pair.serving.stop)
        stopping.start()
        go.wait(3 * interceptor.SLOW)  # longer than a call has that nobody works on
        go.set()
        asking.join()
        stopping.join()
        pair.serving.stop = lambda: None  # the fixture's
    assert [answer.outcome for answer in answers] == [Outcome.MATCH]
