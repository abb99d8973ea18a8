"""Prometheus' text over HTTP on loopback, to a few readers at once; one that does not read holds up nobody.

The client library's own server has a thread for each connection, without end: here there is a place for each, a time
limit on each read and write, and no waiting for any of them when the gateway stops.
"""

from __future__ import annotations

import io
import threading
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from gateway.errors import UserError

PATIENCE: Final = (
    5.0  # seconds for one read or write; the guard ends a connection that goes on for longer
)
POLL: Final = 0.05  # seconds after which a stop is heard; twenty looks a second cost a thousandth of a processor


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, *_: object) -> None:
        """Say nothing of who asked."""

    def get_stderr(self) -> Any:  # noqa: ANN401 - the library's own type
        """Return where a reader's end of the line goes: nowhere."""
        return io.StringIO()


class Metrics(ThreadingMixIn, WSGIServer):
    """The listener of metrics, bound; raises UserError when the port is taken."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, registry: CollectorRegistry, places: int) -> None:
        """Bind.

        port     on 127.0.0.1; 0 takes any free one, see `server_port`
        places   readers at once; more are refused
        """
        self._places = threading.BoundedSemaphore(places)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError:
            raise UserError(
                f"cannot listen on 127.0.0.1:{port}: choose a free metrics_port in passerelle.toml"
            ) from None
        self.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(
            target=self.serve_forever, args=(POLL,), name="metrics", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; whoever still reads is not waited for."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer in a thread of its own, if there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, and free the place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing of a reader who was too slow, or went away."""
