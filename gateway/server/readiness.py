"""Whether this process takes calls, and why not: asked before each call, and told to the orchestrator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from gateway import telemetry
from gateway.directory.publication import DirectoryPublication
from gateway.errors import (
    AuditUnavailable,
    Draining,
    KeysUnavailable,
    UserError,
)
from gateway.keymanagement.transitions import stopped
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.matching.engines import Engines
from gateway.retention.watchdog import RetentionWatchdog
from gateway.server.self_check import demand_current
from keys.keyset import KeysetInForce

_log = telemetry.logger("serving")


class Recorder(Protocol):
    """The reading side of the sequencer: whoever only asks whether it records has no business writing."""

    @property
    def healthy(self) -> bool:
        """Whether a commit would be taken now."""
        ...


class Readiness:
    """Whether calls are taken at all: between the end of the start and the beginning of the stop, while all is recorded.

    Our own people need no more: what is overdue or ended is set right by their operations.
    """

    def __init__(self, sequencer: Recorder) -> None:
        self._sequencer = sequencer
        self._open = threading.Event()

    def open(self) -> None:
        """Take calls from now on."""
        self._open.set()

    def close(self) -> None:
        """Take none from now on."""
        self._open.clear()

    def is_open(self) -> bool:
        """Return whether the gateway is between its start and its stop."""
        return self._open.is_set()

    def demand(self) -> None:
        """Raise Draining or AuditUnavailable where none is taken."""
        if not self.is_open():
            raise Draining
        if not self._sequencer.healthy:
            raise AuditUnavailable


class ExchangeReadiness:
    """Whether partners are answered: no answer on keys that ended, on stale trust, or while a duty is overdue."""

    def __init__(  # noqa: PLR0917 - each of these may end the answers
        self,
        process: Readiness,
        keyset: KeysetInForce,
        publication: DirectoryPublication,
        retention: RetentionWatchdog,
        deadline: EvidenceDeadline,
        engines: Engines,
        clock: Callable[[], datetime],
    ) -> None:
        self._process, self._keyset, self._publication = process, keyset, publication
        self._retention, self._deadline, self._engines = retention, deadline, engines
        self._clock = clock
        self._ended = False  # whether a key that signs answers was found past its end

    def look_at_keys(self) -> None:
        """Find out whether our keys still last. For the periodic jobs."""
        try:
            demand_current(self._keyset.current, self._clock())
            self._ended = False
        except UserError as ended:
            self._ended = True
            _log.error("keys_ended", reason=str(ended))

    def demand(self) -> None:
        """Raise the Refusal that says why partners are not answered."""
        self._process.demand()
        self._publication.demand()
        if self._ended or stopped(self._keyset.current):
            raise KeysUnavailable
        self._retention.demand()
        self._deadline.demand(self._clock())
        self._engines.demand_loaded()
