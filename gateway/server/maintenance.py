"""A gateway under maintenance: its admin listener alone. No partner is answered, nothing is sent, no periodic job runs.

For what is set right before it serves, or while it cannot: first officers, keys that ended, an overdue erasure. Its TLS
identity is made when it starts, lives in memory, and ends with it, so that it opens with whatever keys the home has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway import telemetry
from gateway.admin.staff import CUSTODY
from gateway.server import process
from gateway.server.application import Gateway
from gateway.server.lifecycle import build_admin_listener
from gateway.server.listener import connection_limits, file_descriptors, listeners
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_identity import Identity
from gateway.server.process import Addresses
from gateway.server.readiness import Readiness
from gateway.server.rpc.admin import PassphraseHolder
from keys import certificates
from keys.certificates import TlsKey, private_key_pem
from keys.officer_certificate import MOST_DAYS, badge, issue_badge

# Days that the certificates live, from a day before: TLS asks the machine's clock, not the gateway's. They end with the
# process, which may be there over a long week-end; no officer certificate lives longer.
DAYS: Final = MOST_DAYS

_log = telemetry.logger("maintenance")


@dataclass(frozen=True, slots=True)
class Custodian:
    """What shows that a caller holds the keys' passphrase: for the process that gave it, and no file."""

    chain: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        """Say nothing of the key."""
        return "Custodian(…)"


class Maintenance:
    """One open gateway's admin listener (`process.Service`).

    private     whether one process alone is told where it is, and given what the holder of the passphrase shows
    authority   PEM of the authority that callers trust beside the gateway's own
    custodian   what the holder of the keys' passphrase shows
    """

    def __init__(self, gateway: Gateway, *, private: bool = False) -> None:
        self._gateway, self._private = gateway, private
        self._guard = Guard(gateway.watchdog)
        self._takes_calls = Readiness(gateway.sequencer)
        now, key = gateway.clock() - timedelta(days=1), TlsKey.generate()
        # Another name than our own authority's, or TLS would mix the two up.
        self._name = f"{gateway.party[:20]}-MAINTENANCE"
        self.authority = certificates.issue_ca(self._name, key, now, days=DAYS)
        self._identity = self._issued(key, now)
        own = TlsKey.generate()
        chain = issue_badge(
            badge(CUSTODY.person, [role.value for role in CUSTODY.roles]),
            *(self.authority, key, own.public, now),
            days=DAYS,
        )
        self.custodian = Custodian(chain, private_key_pem(own))
        holder = PassphraseHolder(self.authority, certificates.pin(chain), not private)
        self._admin = build_admin_listener(gateway, self._takes_calls, self._guard, holder)

    def _issued(self, authority: TlsKey, now: datetime) -> Identity:
        """Return what the listener shows, issued by the authority of this maintenance."""
        leaf = TlsKey.generate()
        chain = certificates.issue_leaf(
            *(self._name, self.authority, authority, leaf, now),
            hosts=(listeners.near(self._gateway.settings.admin.listen),),
            days=DAYS,
        )
        return Identity(private_key_pem(leaf), chain)

    def start(self) -> Addresses:
        """Open the admin listener; raises UserError when its address is taken."""
        settings = self._gateway.settings
        connections = file_descriptors.shares(settings, file_descriptors.limit())["admin"]
        self._takes_calls.open()
        beside: dict[str, str] | None = None if self._private else {}
        port = self._admin.start(lambda: self._identity, connections, beside)
        limits = connection_limits.limits_of("admin", connections, settings.limits)
        self._guard.protect("admin", port, limits)
        self._guard.start()
        return Addresses(exchange=0, health=0, metrics=0, admin=port)

    def run(self, ready: Callable[[Addresses], None]) -> int:
        """Serve as `process.run` does; return what the process is to end with."""
        gateway = self._gateway
        return process.run(self, gateway.watchdog, gateway.settings.telemetry, ready)

    def start_jobs(self) -> None:
        """Begin nothing: what is due waits until the gateway serves."""

    def report_stuck(self, names: list[str]) -> None:
        """Log which threads make no progress."""
        for name in names:
            _log.error("watchdog", state=name, stage=self._gateway.watchdog.where(name))

    def stop(self) -> None:
        """Finish the operations under way and take no more."""
        self._takes_calls.close()
        self._admin.stop(process.GRACE)
        self._guard.stop()
