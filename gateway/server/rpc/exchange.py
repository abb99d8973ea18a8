"""The partners' listener: who may call it, how long their answers wait, and its servicers, which unwrap, call, wrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from gateway import telemetry
from gateway.config import Settings
from gateway.domain.messages import Operation, Reply
from gateway.errors import DeadlineTooShort, ElementInvalid
from gateway.exchange.operation import Call
from gateway.exchange.pipeline import Pipeline
from gateway.exchange.rate_limits import Gate
from gateway.exchange.refusal_counter import RefusalCounter
from gateway.exchange.response_timing import ResponseTiming
from gateway.keymanagement.compromise import ShownCertificates
from gateway.ledger_ops.witnesses import Examined
from gateway.server.listener import admission, interceptor, listeners
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_identity import TlsIdentity
from gateway.server.listener.tls_probe import demand_tls_1_3
from gateway.server.readiness import ExchangeReadiness
from gateway.server.rpc import directory as directory_rpc
from gateway.trust.partners import Directory
from gateway.v1 import (
    exchange_pb2,
    exchange_pb2_grpc,
    ledger_pb2,
    ledger_pb2_grpc,
    types_pb2,
)
from gateway.watchdog import Watchdog
from gateway.wire import signed_envelope
from gateway.wire.decoding import refuse_unknown
from keys.certificates import pin
from keys.keyset import KeysetInForce

_HELD = frozenset(
    {"GetCapabilities", "SubmitQuery", "GetQueryState", "RedeliverResult", "RequestHitDetails"}
)


def _answering(operation: Operation, response: type[Message]) -> Any:  # noqa: ANN401 - a method, of each RPC its own
    """Return the method that hands what an envelope brings to the pipeline, and its reply back, as one operation."""

    def answer(self: Exchange, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - of each RPC its own
        del context
        reply = self._reply(operation, signed_envelope.envelope_in(request))
        return response(**signed_envelope.parts(reply))

    return answer


class Exchange(exchange_pb2_grpc.ExchangeServiceServicer):
    """ExchangeService over the pipeline; `observe` is called at the end of each stage of a call."""

    def __init__(self, pipeline: Pipeline, observe: Callable[[str], None] | None) -> None:
        self._pipeline, self._observe = pipeline, observe

    def _reply(self, operation: Operation, envelope: types_pb2.Envelope) -> Reply:
        caller = interceptor.caller()
        caller.stages = telemetry.Stages(observe=self._observe)
        return self._pipeline.handle(
            Call(
                caller=caller.partner,
                operation=operation,
                envelope=signed_envelope.envelope_from(envelope),
                remaining=caller.remaining,
                alive=caller.alive,
                stages=caller.stages,
            )
        )

    GetCapabilities = _answering(Operation.GET_CAPABILITIES, exchange_pb2.GetCapabilitiesResponse)
    SubmitQuery = _answering(Operation.SUBMIT_QUERY, exchange_pb2.SubmitQueryResponse)
    GetQueryState = _answering(Operation.GET_QUERY_STATE, exchange_pb2.GetQueryStateResponse)
    RedeliverResult = _answering(Operation.REDELIVER_RESULT, exchange_pb2.RedeliverResultResponse)
    RequestHitDetails = _answering(
        Operation.REQUEST_HIT_DETAILS, exchange_pb2.RequestHitDetailsResponse
    )
    SubmitCorrection = _answering(
        Operation.SUBMIT_CORRECTION, exchange_pb2.SubmitCorrectionResponse
    )
    AckCorrection = _answering(Operation.ACK_CORRECTION, exchange_pb2.AckCorrectionResponse)
    GetQuota = _answering(Operation.GET_QUOTA, exchange_pb2.GetQuotaResponse)


class Proofs(Protocol):
    """The reading side of the sequencer."""

    def latest_checkpoint(self) -> bytes:
        """Return the newest signed note."""

    def inclusion(self, leaf_hash: bytes, size: int) -> tuple[int, Sequence[bytes]]:
        """Return index and proof of a leaf in a signed tree; raises ElementInvalid."""

    def consistency(self, old: int, new: int) -> Sequence[bytes]:
        """Return the proof between two signed trees; raises ElementInvalid."""

    def tile(self, path: str) -> bytes:
        """Return a tile of hashes of the newest signed tree; raises ElementInvalid."""


class Witnessed(Protocol):
    """What witnesses say of our ledger."""

    def cosigned(self) -> bytes:
        """Return the newest checkpoint that enough witnesses cosigned; empty before the first."""

    def examine(self, party: str, note: bytes) -> Examined:
        """Verify a cosignature that a party brings; raises ElementInvalid."""

    def keep(self, examined: Examined) -> None:
        """Keep what was examined; this waits for the disk."""


class Ledger(ledger_pb2_grpc.LedgerServiceServicer):
    """LedgerService over proofs; what it serves is signed by itself, and a request is read strictly.

    Its work goes by the turns at the processors that partners share, as that of the exchange does.
    """

    def __init__(self, proofs: Proofs, witnesses: Witnessed, gate: Gate) -> None:
        self._proofs = proofs
        self._witnesses = witnesses
        self._gate = gate

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn; raises DeadlineTooShort where the caller cannot wait any longer."""
        caller = interceptor.caller()
        with self._gate.turn(caller.partner) as turn:
            if not turn.enter(lambda: caller.remaining() if caller.alive() else 0.0):
                raise DeadlineTooShort
            yield

    def GetCheckpoint(  # noqa: N802
        self, request: ledger_pb2.GetCheckpointRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetCheckpointResponse:
        """Return the newest signed checkpoint."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with self._turn():
            return ledger_pb2.GetCheckpointResponse(
                checkpoint=self._proofs.latest_checkpoint(), cosigned=self._witnesses.cosigned()
            )

    def GetInclusionProof(  # noqa: N802
        self, request: ledger_pb2.GetInclusionProofRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetInclusionProofResponse:
        """Return the proof that a leaf is in the tree of a given size."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with self._turn():
            index, hashes = self._proofs.inclusion(request.leaf_hash, request.tree_size)
        return ledger_pb2.GetInclusionProofResponse(leaf_index=index, hashes=hashes)

    def GetConsistencyProof(  # noqa: N802
        self, request: ledger_pb2.GetConsistencyProofRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetConsistencyProofResponse:
        """Return the proof that one tree is a prefix of another."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with self._turn():
            hashes = self._proofs.consistency(request.old_size, request.new_size)
        return ledger_pb2.GetConsistencyProofResponse(hashes=hashes)

    def GetTile(  # noqa: N802
        self, request: ledger_pb2.GetTileRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetTileResponse:
        """Return a tile of hashes; never one of entries."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with self._turn():
            return ledger_pb2.GetTileResponse(tile=self._proofs.tile(request.path))

    def AddCosignature(  # noqa: N802
        self, request: ledger_pb2.AddCosignatureRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.AddCosignatureResponse:
        """Keep a witness's cosignature of a checkpoint of ours."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with self._turn():
            examined = self._witnesses.examine(interceptor.caller().partner, request.checkpoint)
        self._witnesses.keep(examined)  # the disk is waited for, and others may work
        return ledger_pb2.AddCosignatureResponse()


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
        proofs: Proofs,
        witnesses: Witnessed,
        files: directory_rpc.Files,
        gate: Gate,
    ) -> None:
        """Put the three services on the server."""
        exchange_pb2_grpc.add_ExchangeServiceServicer_to_server(
            Exchange(pipeline, observe), self.server
        )
        ledger_pb2_grpc.add_LedgerServiceServicer_to_server(
            Ledger(proofs, witnesses, gate), self.server
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
