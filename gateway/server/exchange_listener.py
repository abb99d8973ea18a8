"""The partners' listener: who may call it, how long their answers wait, and what is installed on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.config import Settings
from gateway.exchange.pipeline import Pipeline
from gateway.exchange.rate_limits import Gate
from gateway.exchange.refusal_counter import RefusalCounter
from gateway.exchange.response_timing import ResponseTiming
from gateway.keymanagement.compromise import ShownCertificates
from gateway.server.listener import admission, interceptor, listeners
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_identity import TlsIdentity
from gateway.server.listener.tls_probe import demand_tls_1_3
from gateway.server.readiness import ExchangeReadiness
from gateway.server.rpc import directory as directory_rpc
from gateway.server.rpc import exchange as exchange_rpc
from gateway.trust.partners import Directory
from gateway.watchdog import Watchdog
from keys.certificates import pin
from keys.keyset import KeysetInForce

_HELD = frozenset(
    {"GetCapabilities", "SubmitQuery", "GetQueryState", "RedeliverResult", "RequestHitDetails"}
)


@dataclass(frozen=True, slots=True)
class ExchangeAccess:
    """Partners whose certificate is pinned; their answers leave at fixed steps of time (`interceptor.Access`)."""

    readiness: ExchangeReadiness
    directory: Directory
    shown: ShownCertificates
    guard: Guard
    refusals: RefusalCounter
    timing: ResponseTiming

    def identify(self, certificate: bytes) -> str | None:
        """Return which partner pins a certificate; it is remembered, for the day on which its key is suspected."""
        pinned = pin(certificate)
        bundle = self.directory.partner_by_pin(pinned)
        if bundle is None:
            return None
        self.shown.add(bundle.party, certificate, pinned)
        return bundle.party

    def demand_ready(self) -> None:
        """Raise the Refusal that says why partners are not answered."""
        self.readiness.demand()

    def identified(self, peer: str, caller: str) -> None:
        """Count a connection as a partner's."""
        self.guard.identified(peer, caller)

    def refused(self, caller: str, reason: str) -> None:
        """Count a refusal, which the ledger has as a sum."""
        self.refusals.count(caller, reason)

    def leaves(self, method: str, started: float, now: float) -> float:
        """Return when an answer may leave: what is said of a person tells nothing by its time."""
        return self.timing.leaves(started, now) if method in _HELD else now


class ExchangeListener:
    """The server that partners call."""

    def __init__(
        self, settings: Settings, directory: Directory, keyset: KeysetInForce, watchdog: Watchdog
    ) -> None:
        self._settings, self._directory = settings, directory
        self._keyset, self._watchdog = keyset, watchdog

    def bind(self, identity: TlsIdentity, access: ExchangeAccess, connections: int) -> int:
        """Take the port, and return it; nothing is answered yet. Raises UserError when it is taken.

        connections   to the listener in all
        """
        exchange, limits = self._settings.exchange, self._settings.limits
        self.interceptor = interceptor.AuthInterceptor(
            access,
            admission.Limits(
                calls=exchange.calls_per_partner,
                rate=exchange.rate_per_second,
                burst=exchange.rate_burst,
                shortest=limits.min_deadline_ms / 1000,
                longest=limits.max_deadline_s,
                unidentified_rate=exchange.unidentified_per_second,
                unidentified_burst=exchange.unidentified_burst,
            ),
        )
        self._watchdog.also("exchange-departures", self.interceptor.sign)
        self.server, self._port = listeners.guarded(
            exchange.listen,
            identity,
            self._authorities,
            interceptor=self.interceptor,
            threads=exchange.worker_threads,
            max_message=limits.max_message_bytes,
            connections=connections,
        )
        return self._port

    def install(
        self,
        pipeline: Pipeline,
        *,
        observe: Callable[[str], None] | None,
        proofs: exchange_rpc.Proofs,
        witnesses: exchange_rpc.Witnessed,
        files: directory_rpc.Files,
        gate: Gate,
    ) -> None:
        """Put the three services on the server."""
        exchange_rpc.install(
            self.server,
            pipeline,
            observe=observe,
            proofs=proofs,
            witnesses=witnesses,
            gate=gate,
        )
        directory_rpc.install(self.server, files)

    def start(self) -> None:
        """Answer; raises InternalError where our own handshake below TLS 1.3 is not refused."""
        self.server.start()
        demand_tls_1_3(listeners.near(self._settings.exchange.listen), self._port)

    def stop(self, grace: float) -> None:
        """Give calls under way so many seconds, and take no more."""
        self.interceptor.close(self.server, grace)

    def _authorities(self) -> bytes:
        # With no partner yet, nobody may come in; TLS asks for some authority all the same, and our own
        # has signed no leaf that the directory pins.
        return self._directory.authorities() or self._keyset.current.tls_ca_pem
