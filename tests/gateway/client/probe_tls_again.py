"""Reach a partner by TLS 1.3, let it come back at the same port with TLS 1.2 alone, and call again over the same channel.

Prints one JSON object: how many calls reached the first listener, how many connections the second shook hands with, and
what the second call raised.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from probe_tls import parties

from gateway.client import Partner, PartnerError, channel

PATIENCE = 600.0  # seconds; as tests.patience, which a script of its own does not import


class First(grpc.GenericRpcHandler):
    """Refuses whatever is asked, and counts it."""

    reached = 0

    def service(self, details: Any) -> Any:  # noqa: ARG002 - grpc's port
        self.reached += 1
        return None  # UNIMPLEMENTED


class Second:
    """A listener of TLS 1.2 alone."""

    def __init__(self, leaf: Path, port: int) -> None:
        self.shaken = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(leaf)
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with suppress(OSError), self._context.wrap_socket(connection, server_side=True):
                    self.shaken += 1


def probe(folder: Path) -> dict[str, object]:
    ours, bundle, leaf = parties(folder)
    key, _, chain = leaf.read_bytes().partition(b"-----END PRIVATE KEY-----\n")
    pair = key + b"-----END PRIVATE KEY-----\n", chain
    server, first = grpc.server(futures.ThreadPoolExecutor(2)), First()
    server.add_generic_rpc_handlers((first,))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    tellers: list[Callable[[], bool]] = []
    real = channel._connection_of

    def kept(opened: grpc.Channel) -> Callable[[], bool]:
        tellers.append(real(opened))
        return tellers[-1]

    channel._connection_of = kept
    with Partner.connect("AUS", ours, bundle, address=f"127.0.0.1:{port}") as partner:
        with suppress(PartnerError):
            partner.capabilities()
        server.stop(None).wait()
        until = time.monotonic() + PATIENCE
        while tellers[0]() and time.monotonic() < until:
            time.sleep(0.01)
        second, said = Second(leaf, port), ""
        try:
            partner.capabilities(deadline=5.0)
        except PartnerError as fault:
            said = type(fault).__name__
    return {"reached": first.reached, "shaken": second.shaken, "said": said}


def main() -> None:
    os.environ.pop("GRPC_SSL_CIPHER_SUITES", None)
    with tempfile.TemporaryDirectory() as folder:
        json.dump(probe(Path(folder)), sys.stdout)


if __name__ == "__main__":
    main()
