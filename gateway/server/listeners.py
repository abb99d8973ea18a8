"""The listeners: mutual TLS 1.3 for partners and for our people, health for the orchestrator, metrics as text.

Health has a port of its own, because a saturated exchange also refuses health checks. It holds nothing
personal; it still speaks TLS, under the same leaf, without asking for a certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gateway.errors import Remedy
from gateway.server.identity import Identity

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
    name: str = "exchange",
) -> tuple[grpc.Server, int]:
    """Return the partners' server, or that of our own people, not yet started, and its port.

    The fetcher runs on every new connection, so a partner imported or removed, and a new leaf of ours, count from
    the next one on; until then the pin, checked on every call, decides. Raises Remedy when the address is taken.
    """
    credentials = grpc.dynamic_ssl_server_credentials(
        _configuration(identity(), authorities()),
        lambda: _configuration(identity(), authorities()),
        require_client_authentication=True,
    )
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name),
        interceptors=[interceptor],
        maximum_concurrent_rpcs=threads + WAITING,
        options=[*_OPTIONS, ("grpc.max_receive_message_length", max_message)],
    )
    return server, _bind(server, address, credentials)


def health_check(address: str, identity: Shown) -> tuple[grpc.Server, health.HealthServicer, int]:
    """Return the orchestrator's server, not yet started, its servicer and its port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=2, thread_name_prefix="health"), options=_OPTIONS
    )
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    credentials = grpc.dynamic_ssl_server_credentials(
        _configuration(identity(), None),
        lambda: _configuration(identity(), None),
        require_client_authentication=False,
    )
    return server, servicer, _bind(server, address, credentials)


def set_serving(servicer: Any, services: Sequence[str], *, serving: bool) -> None:  # noqa: ANN401 - untyped
    """Tell the orchestrator whether we serve, as a whole and for each service."""
    status = health_pb2.HealthCheckResponse
    for name in ("", *services):
        servicer.set(name, status.SERVING if serving else status.NOT_SERVING)


def near(address: str) -> str:
    """Return the host by which this machine reaches a listener of its own."""
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - we connect, not listen


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
        raise Remedy(f"cannot listen on {address}: choose a free port in passerelle.toml")
    return int(port)
