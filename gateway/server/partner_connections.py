"""Connections to partners, opened when the first message leaves; most commands send none, and then gRPC is never loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import telemetry
from gateway.client.errors import SplitView
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.ledger_ops.witnesses import Witnesses
from gateway.trust.partners import Directory

if TYPE_CHECKING:
    from gateway.server.partner_transport import GrpcTransport, Pool


@dataclass(frozen=True, slots=True)
class Sender:
    """As whom we call partners: our party, its home directory, its keys now, whom it knows, by which proxy."""

    party: str
    home: Path
    active_keyset: ActiveKeyset
    directory: Directory
    proxy: str | None
    clock: Callable[[], datetime]


class PartnerConnections:
    """One connection a partner, as `partner_transport` keeps them; closed together, and opened again when needed."""

    def __init__(self, own: Sender, witnesses: Witnesses) -> None:
        self._own, self._witnesses = own, witnesses
        self._pool: Pool | None = None
        self._making = threading.Lock()
        self._log = telemetry.logger("outbound")

    def __call__(self, party: str) -> GrpcTransport:
        """Return the transport to a partner."""
        from gateway.server.partner_transport import Pool

        with self._making:
            if self._pool is None:
                own = self._own
                self._pool = Pool(
                    own.party,
                    own.home,
                    lambda: own.active_keyset.current,
                    own.directory,
                    own.clock,
                    accuse=self.accuse,
                    proxy=own.proxy,
                )
            return self._pool(party)

    def close(self) -> None:
        """Close every connection; what is under way is cut."""
        with self._making:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def accuse(self, party: str, split: SplitView) -> None:
        """Record that we, as a witness, saw two histories of a partner's ledger; the evidence is in our folder."""
        digest = "" if split.evidence is None else sha256(split.evidence.read_bytes()).hexdigest()
        self._log.error("split_view", partner=party)
        self._witnesses.accuse(party, digest)
