"""Connections to partners, opened when the first message leaves; most commands send none, and then gRPC is never loaded."""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway import telemetry
from gateway.client.errors import SplitView
from gateway.ledger_ops.witnesses import Witnesses
from gateway.outbound.transport import Sender

if TYPE_CHECKING:
    from gateway.server.partner_transport import GrpcTransport, Pool


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
                self._pool = Pool(self._own, self.accuse)
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
