"""What an orchestrator and an operator's monitoring read of this process: health, metrics, whether it serves and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import grpc

from gateway import telemetry
from gateway.config import Health as HealthSettings
from gateway.server.listener import listeners
from gateway.server.listener.health import Health
from gateway.server.listener.tls_identity import TlsIdentity
from gateway.server.metrics_endpoint import Metrics

NAMES: Final = (
    "gateway.v1.ExchangeService",
    "gateway.v1.LedgerService",
    "gateway.v1.DirectoryService",
)
STOPPING: Final = 3.0  # seconds that a probe under way gets when the process ends


class MonitoringListeners:
    """The health check, over TLS without a client's certificate, and the metrics, on loopback."""

    servicer: Health

    def __init__(self, settings: HealthSettings, party: str, clock: Callable[[], datetime]) -> None:
        self._settings, self._party, self._clock = settings, party, clock

    def bind(self, identity: TlsIdentity, connections: Mapping[str, int]) -> tuple[int, int]:
        """Take the ports of health and of metrics, and return them. Raises UserError where one is taken.

        connections   to each listener in all, by its name
        """
        self._server: grpc.Server
        self._server, self.servicer, port = listeners.health_check(
            self._settings.listen, identity, connections=connections["health"]
        )
        self._metrics = Metrics(
            self._settings.metrics_port, telemetry.REGISTRY, connections["metrics"]
        )
        return port, int(self._metrics.server_port)

    def start(self) -> None:
        """Answer."""
        self._server.start()
        self._metrics.start()

    def show_state(self, why: str) -> None:
        """Say from now on whether we serve, "", or why not: to the orchestrator, and to `passerelle status`."""
        listeners.set_serving(self.servicer, NAMES, serving=not why)
        telemetry.show_serving(self._party, why, self._clock().timestamp())

    def stop_health(self) -> None:
        """Answer no more probes."""
        self._server.stop(0).wait(STOPPING)

    def stop_metrics(self) -> None:
        """Answer no more readers."""
        self._metrics.stop()
