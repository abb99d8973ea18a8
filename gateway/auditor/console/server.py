"""The console's server: on the loopback of this machine, until somebody leaves or nobody looks."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Callable

import uvicorn

from gateway.auditor.console.app import ConsoleContext, application
from gateway.auditor.console.session import SessionGate
from gateway.auditor.report.page import style


def policy() -> str:
    """Return the Content-Security-Policy of the console: one style sheet, its own forms, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    )


def serve(console_context: ConsoleContext, port: int, ready: Callable[[str], None]) -> None:
    """Serve until the console has ended; `ready` is called with the one-time link.

    port   0 for any that is free
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(16)
        gate = SessionGate(
            application(console_context),
            listening.getsockname()[1],
            policy(),
            time.monotonic,
            console_context.idle,
        )
        ready(gate.link)
        config = uvicorn.Config(
            gate,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="off",
            http="h11",
            loop="asyncio",
            limit_concurrency=32,
            timeout_keep_alive=5,
        )
        _Server(config, gate).run([listening])


class _Server(uvicorn.Server):
    """Ends by itself when the console has ended."""

    def __init__(self, config: uvicorn.Config, gate: SessionGate) -> None:
        super().__init__(config)
        self._gate = gate

    async def on_tick(self, counter: int) -> bool:
        """Look at the gate ten times a second."""
        if self._gate.ended:
            self.should_exit = True
        return await super().on_tick(counter)
