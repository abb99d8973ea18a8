"""The listeners: mutual TLS 1.3 for partners and for our people, health for the orchestrator, metrics as text.

Health has a port of its own, because a saturated exchange also refuses health checks. It holds nothing
personal; it still speaks TLS, under the same leaf, without asking for a certificate: whoever reaches it may ask, so
what one of them can hold (a message, streams, a connection, a while) is small.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import grpc

from gateway.errors import UserError
from gateway.server.listener.health import Health
from gateway.server.listener.tls_identity import Identity

# Measured with grpcio 1.85.1 (protocol 12); milliseconds and bytes.
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 32),
    (
        "grpc.max_connection_age_ms",
        600_000,
    ),  # a certificate dropped from the bundle ends here at last
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 300_000),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.so_reuseport", 0),  # a second gateway on the port is an error, not a partner in load
    (
        "grpc.server_handshake_timeout_ms",
        5_000,
    ),  # TLS and HTTP/2 settings; the library's own is 120 s
)

# Health: a question is a few bytes and its answer comes at once; a probe that stays connected comes again.
HEALTH_STREAMS = (
    2  # calls at once on a connection; each may hold a thread that waits for its message
)
_HEALTH_OPTIONS: tuple[tuple[str, int], ...] = (
    *(
        option
        for option in _OPTIONS
        if option[0] in {"grpc.so_reuseport", "grpc.server_handshake_timeout_ms"}
    ),
    ("grpc.max_receive_message_length", 512),
    ("grpc.max_metadata_size", 4 * 1024),
    ("grpc.absolute_max_metadata_size", 8 * 1024),
    ("grpc.max_concurrent_streams", HEALTH_STREAMS),
    ("grpc.max_connection_age_ms", 30_000),
    ("grpc.max_connection_age_grace_ms", 2_000),
    ("grpc.max_connection_idle_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 300_000),
    ("grpc.http2.max_ping_strikes", 2),
)

WAITING = (
    256  # calls that nobody has looked at yet; more are refused by the library, whoever they are of
)


Shown = Callable[[], Identity]  # our leaf and its key, as of now
Authorities = Callable[[], bytes]  # PEM bundle of the partners' authorities, as of now


def guarded(
    address: str,
    identity: Shown,
    authorities: Authorities,
    *,
    interceptor: grpc.ServerInterceptor,
    threads: int,
    max_message: int,
    connections: int,
    name: str = "exchange",
) -> tuple[grpc.Server, int]:
    """Return the partners' server, or that of our own people, not yet started, and its port.

    connections   in all, with those that still shake hands; more are closed as they come

    The fetcher runs on every new connection, so a partner imported or removed, and a new leaf of ours, count from
    the next one on; until then the pin, checked on every call, decides. Raises UserError when the address is taken.
    """
    credentials = _credentials(lambda: (identity(), authorities()), asks=True)
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name),
        interceptors=[interceptor],
        maximum_concurrent_rpcs=threads + WAITING,
        options=[
            *_OPTIONS,
            ("grpc.max_receive_message_length", max_message),
            ("grpc.max_allowed_incoming_connections", connections),
        ],
    )
    return server, _bind(server, address, credentials)


def health_check(
    address: str, identity: Shown, *, connections: int
) -> tuple[grpc.Server, Health, int]:
    """Return the orchestrator's server, not yet started, what it answers from, and its port.

    There is a thread for every call that its connections can hold, so that those who send no message keep nobody from
    asking; the threads are made as they are needed.
    """
    calls = connections * HEALTH_STREAMS
    servicer = Health()
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=calls, thread_name_prefix="health"),
        handlers=[servicer.handlers()],
        maximum_concurrent_rpcs=calls,
        options=[*_HEALTH_OPTIONS, ("grpc.max_allowed_incoming_connections", connections)],
    )
    credentials = _credentials(lambda: (identity(), None), asks=False)
    return server, servicer, _bind(server, address, credentials)


def set_serving(servicer: Health, services: Sequence[str], *, serving: bool) -> None:
    """Report to the orchestrator whether we serve, in all and for each service."""
    servicer.show(("", *services), serving=serving)


def near(address: str) -> str:
    """Return the host by which this machine reaches a listener of its own."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - we connect, not listen


def _credentials(
    shown: Callable[[], tuple[Identity, bytes | None]], *, asks: bool
) -> grpc.ServerCredentials:
    """Return credentials that follow `shown`, and are replaced only where it changed.

    A process that replaced them at every connection could end without a word under grpcio 1.85.1; why was not read in
    its source. One that replaces them where they changed did not.
    """
    lock = threading.Lock()
    held = shown()

    def fetch() -> Any:  # noqa: ANN401 - opaque to grpc's users
        nonlocal held
        with lock:
            now = shown()
            if now == held:
                return None
            held = now
            return _configuration(*now)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(*held), fetch, require_client_authentication=asks
    )


def _configuration(identity: Identity, authorities: bytes | None) -> Any:  # noqa: ANN401 - opaque to grpc's users
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.chain_pem)], root_certificates=authorities
    )


def _bind(server: grpc.Server, address: str, credentials: grpc.ServerCredentials) -> int:
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        raise UserError(f"cannot listen on {address}: choose a free port in passerelle.toml")
    return int(port)
