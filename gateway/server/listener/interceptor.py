"""Steps 0 to 3 of every call, and the one table from refusals to gRPC.

Who calls (the certificate's pin, on every RPC), how long is left, whether the call may be made at all,
what went wrong, how long it took. Handlers never see a caller who did not pass, and no exception's text
reaches one.

Steps (protocol 4):
(0) the gateway is ready
(1) a deadline is stated, is at most `max_deadline` and leaves enough time to answer; a place is free
(2) the client's certificate is pinned in the current directory
(3) the partner's allowance is not spent
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Protocol

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway import telemetry
from gateway.errors import (
    CertificateNotPinned,
    DeadlineExceeded,
    DeadlineRequired,
    DeadlineTooShort,
    Draining,
    HeaderInvalid,
    InProgress,
    OutsideTimeWindow,
    RateLimited,
    Refusal,
    SenderMismatch,
    StaffUnknown,
    TlsVersionRefused,
    TooManyCalls,
    Unavailable,
)
from gateway.server.listener.access_log import AccessLog, step_of, unsealed_step_of
from gateway.server.listener.admission import Admission, Limits, Unidentified
from gateway.server.listener.connection_limits import address_of
from gateway.server.listener.response_threads import Workers
from gateway.wire.decoding import NOT_A_MESSAGE
from keys.errors import KeysError

DOMAIN = "passerelle"  # ErrorInfo.domain; reasons are stable inside it (protocol 5)
PUSHBACK = "grpc-retry-pushback-ms"  # trailer that gRPC clients obey; RetryInfo they ignore

SLOW = (
    2.0  # seconds that a caller has to send its message or take its answer once the listener closes
)
PACE = 0.25  # seconds after which a caller beyond its share gets its refusal: half of the least wait that the refusal states
MOST_PACED = (
    256  # answers and refusals that wait for their moment; beyond it a refusal leaves at once
)
UNFINISHED = 5.0  # seconds after that for work whose call was cut off

TLS_1_3 = b"TLSv1.3"  # as gRPC's core names it in the authentication context, `ssl_tls_version`

_codes = {code.name: code for code in grpc.StatusCode}


@dataclass(slots=True)
class Caller:
    """Who calls, by which certificate, and how much of their time is left; `stages` where the call has a stopwatch."""

    partner: str
    certificate: bytes
    started: float
    remaining: Callable[[], float]
    alive: Callable[[], bool]
    stages: telemetry.Stages | None = None


_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Return who makes this call, as the interceptor identified them."""
    return _caller.get()


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """One call: its method, its stream, and what sends on it (None ends it). `partner` is empty until it is known."""

    name: str
    context: grpc.ServicerContext
    send: Callable[[Any], None]
    started: float
    partner: str = ""


class Access(Protocol):
    """Whom a listener lets call, and when its answers leave; the exchange's and our own people's differ."""

    def identify(self, certificate: bytes) -> str | None:
        """Return whose certificate it is, or None; asked on every call, so that revocation is immediate."""

    def demand_ready(self) -> None:
        """Raise the Refusal that says why the gateway does not serve."""

    def identified(self, peer: str, caller: str) -> None:
        """Take note of a call whose caller is known; `peer` is the connection's other end as gRPC names it."""

    def refused(self, caller: str, reason: str) -> None:
        """Take note of a refusal that no ledger entry of its own follows."""

    def leaves(self, method: str, started: float, now: float) -> float:
        """Return the monotonic time at which an answer may leave, of a call that began at `started`."""


class AuthInterceptor(grpc.ServerInterceptor):
    """The one interceptor of a listener, the exchange's and the admin's."""

    def __init__(self, access: Access, limits: Limits, *, name: str = "exchange") -> None:
        self._policy = access
        self._limits = limits
        self._admission = Admission(limits)
        self._unidentified = Unidentified(limits, monotonic())
        self._awaited: set[_Open] = set()
        self._lock = threading.Lock()
        self._workers = Workers(name)
        self._log = telemetry.logger("interceptor")
        self._access_log = AccessLog(name)

    def sign(self) -> object:
        """Return the sign of life of the thread that lets answers leave."""
        return self._workers.sign()

    def close(self, server: grpc.Server, grace: float) -> None:
        """Stop a server whose calls come through here: calls under way get so many seconds to be answered.

        Who is waited for, to send a message or to take an answer, gets `SLOW` of them: both can be had again.
        """
        ended = server.stop(grace)
        last = monotonic() + grace + UNFINISHED
        while not ended.wait(SLOW):
            if monotonic() > last:
                self._log.error("server_unfinished")
                break
            with self._lock:
                slow = list(self._awaited)
            for call in slow:
                call.context.cancel()
        if not self._workers.stop(UNFINISHED):
            self._log.warning("calls_unfinished")

    def intercept_service(self, continuation: Any, details: Any) -> Any:  # noqa: ANN401 - grpc's types
        """Wrap the handler of every unary call; there are no others on this listener."""
        handler: Any = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        name = str(details.method).rsplit("/", 1)[-1]

        def guarded(
            requests: Iterator[Any], context: grpc.ServicerContext, send: Callable[[Any], None]
        ) -> None:
            self._receive(_Open(name, context, send, monotonic()), handler.unary_unary, requests)

        # As a stream of one, there and back; on the wire that is a unary call. A unary handler would wait for the
        # body in one of the server's threads before anybody was asked who they are, and again until its answer may
        # leave. A non-blocking one returns, and whoever has the stream sends on it later.
        guarded.experimental_non_blocking = True  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(
            guarded, _reading(handler.request_deserializer), handler.response_serializer
        )

    def _receive(
        self,
        call: _Open,
        behaviour: Callable[[Any, grpc.ServicerContext], Any],
        requests: Iterator[Any],
    ) -> None:
        """Do (0) to (3), which wait for nobody; the rest is done in a thread of the partner's own share."""
        try:
            self._policy.demand_ready()  # (0)
            self._deadline(call.context)  # (1)
            partner, certificate = self._identity(call.context)  # (2)
        except Refusal as refusal:
            self._turn_away(call, refusal)
            return
        except Exception as error:  # noqa: BLE001 - nothing of it may reach the caller
            self._fail(call, error)
            return
        self._policy.identified(call.context.peer(), partner)
        call = replace(call, partner=partner)
        try:
            self._admission.spend(partner, call.started)  # (3)
            self._admission.take_place(partner)  # (1)
        except Refusal as refusal:
            self._refuse(call, refusal, step_of(refusal, None))
            return
        if not self._workers.do(lambda: self._work(call, certificate, behaviour, requests)):
            self._admission.free_place(partner)
            self._refuse(call, Draining(), 0)

    def _work(
        self,
        call: _Open,
        certificate: bytes,
        behaviour: Callable[[Any, grpc.ServicerContext], Any],
        requests: Iterator[Any],
    ) -> None:
        """Read the message and answer it; the place is kept until the answer was taken."""
        context = call.context
        known = Caller(
            call.partner, certificate, call.started, _remaining(context), context.is_active
        )
        token = _caller.set(known)
        try:
            answer = behaviour(self._message(call, requests), context)
        except Refusal as refusal:
            if not isinstance(refusal, _NOT_THEIR_DOING):
                self._admission.charge(call.partner, monotonic())
            self._admission.free_place(call.partner)
            if known.stages is None:
                step = unsealed_step_of(refusal)
            else:
                step = step_of(refusal, known.stages.seconds)
            self._refuse(call, refusal, step)
            return
        except Exception as error:  # noqa: BLE001 - the last fence: nothing of it may reach the caller
            self._admission.free_place(call.partner)
            self._fail(call, error)
            return
        finally:
            _caller.reset(token)
        now = monotonic()
        moment = self._policy.leaves(call.name, call.started, now)  # (21)
        if moment > now:
            self._workers.do_at(moment, lambda: self._deliver(call, answer))
        else:
            self._deliver(call, answer)

    def _message(self, call: _Open, requests: Iterator[Any]) -> Any:  # noqa: ANN401 - any request
        with self._awaiting(call):
            return _only(requests)

    def _deliver(self, call: _Open, answer: Any) -> None:  # noqa: ANN401 - any response
        """Send an answer. This waits while the caller does not read, until its deadline at most."""
        try:
            with self._awaiting(call):
                call.send(answer)
        finally:
            # Before the end of the stream is sent, so that whoever has read it finds the place free.
            self._admission.free_place(call.partner)
        telemetry.count_call(call.name, "OK", "")
        self._access_log.answered(call.name, call.partner, monotonic() - call.started)
        _close(call)

    @contextmanager
    def _awaiting(self, call: _Open) -> Iterator[None]:
        """Remember a call while its caller is waited for."""
        with self._lock:
            self._awaited.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._awaited.discard(call)

    def _turn_away(self, call: _Open, refusal: Refusal) -> None:
        """Refuse a call before its caller is identified: against the share of a partner, or that of an address."""
        step, address = step_of(refusal, None), address_of(call.context.peer())
        try:
            known, _ = self._identity(call.context)
        except Exception:  # noqa: BLE001 - whatever it was, nobody is known
            known = ""
        try:
            if known:
                self._policy.identified(call.context.peer(), known)
                call = replace(call, partner=known)
                self._admission.spend(known, call.started)
            else:
                self._unidentified.spend(address, call.started)
        except RateLimited as limited:
            refusal, step = limited, step_of(limited, None)
        if not known:
            if not self._unidentified.begin(address):
                self._log_refusal(call, refusal, step)
                call.context.cancel()
                return
            if not call.context.add_callback(lambda: self._unidentified.end(address)):
                self._unidentified.end(address)
                return
        self._refuse(call, refusal, step)

    def _log_refusal(self, call: _Open, refusal: Refusal, step: int) -> None:
        now, peer = monotonic(), address_of(call.context.peer())
        self._access_log.refused(
            call.name, call.partner, peer, refusal, step=step, now=now, seconds=now - call.started
        )

    def _refuse(self, call: _Open, refusal: Refusal, step: int) -> None:
        """Refuse a call, at a step of the protocol."""
        telemetry.count_call(call.name, refusal.code, refusal.reason)
        self._log_refusal(call, refusal, step)
        if isinstance(refusal, _SUMMARISED) or call.name in _UNRECORDED:
            self._policy.refused(call.partner, refusal.reason)

        def end() -> None:
            _end(call, _codes[refusal.code], str(refusal), _trailers(refusal))

        if isinstance(refusal, _PACED) and self._workers.waiting < MOST_PACED:
            self._workers.do_at(monotonic() + PACE, end)
        else:
            end()

    def _fail(self, call: _Open, error: Exception) -> None:
        """Answer what is a fault of ours with a number that is in the log; a caller who left gets nothing."""
        if isinstance(error, grpc.RpcError) and not call.context.is_active():
            telemetry.count_call(call.name, "CANCELLED", "")
            self._access_log.failed(
                call.name, call.partner, "CANCELLED", "", monotonic() - call.started
            )
            return
        error_id = secrets.token_hex(8)
        self._log.error(
            "unhandled", error_id=error_id, operation=call.name, kind=type(error).__name__
        )
        telemetry.count_call(call.name, "INTERNAL", "INTERNAL")
        spent = monotonic() - call.started
        self._access_log.failed(call.name, call.partner, "INTERNAL", error_id, spent)
        text = f"internal error {error_id}"
        info = error_details_pb2.ErrorInfo(
            reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id}
        )
        _end(call, grpc.StatusCode.INTERNAL, text, _rich("INTERNAL", text, [_packed(info)]))

    def _deadline(self, context: grpc.ServicerContext) -> None:
        remaining = _time_left(context)
        if remaining is None or remaining > self._limits.longest + 1:
            raise DeadlineRequired
        if remaining < self._limits.shortest:
            raise DeadlineTooShort

    def _identity(self, context: grpc.ServicerContext) -> tuple[str, bytes]:
        shown = context.auth_context()
        # Of each connection, whatever the process told gRPC when it first met it (`gateway.server`).
        if TLS_1_3 not in shown.get("ssl_tls_version", ()):
            raise TlsVersionRefused
        # A resumed session may carry no certificate: absent is denied (keys.md section 9).
        certificates = shown.get("x509_pem_cert", ())
        if len(certificates) != 1:
            raise CertificateNotPinned
        try:
            caller = self._policy.identify(bytes(certificates[0]))
        except KeysError:
            raise CertificateNotPinned from None
        if caller is None:
            raise CertificateNotPinned
        return caller, bytes(certificates[0])


# Methods of LedgerService: they write no entries, so all their refusals are counted.
_UNRECORDED = frozenset({"GetCheckpoint", "GetInclusionProof", "GetConsistencyProof"})

# Steps 0 to 5, and a copy that meets the first one under way: about nobody, cheap to provoke, counted.
_SUMMARISED = (
    CertificateNotPinned,
    DeadlineRequired,
    DeadlineTooShort,
    HeaderInvalid,
    InProgress,
    OutsideTimeWindow,
    RateLimited,
    SenderMismatch,
    StaffUnknown,
    TlsVersionRefused,
    TooManyCalls,
)


# Beyond a share: whoever calls again as soon as it is refused calls four times a second, not some hundred times.
_PACED = (RateLimited, TooManyCalls)


# Refused for what we lack: no fault of whoever asks, and their share is not charged with it.
_NOT_THEIR_DOING = (Unavailable, DeadlineExceeded)


def _only(requests: Iterator[Any]) -> Any:  # noqa: ANN401
    """Return the one message of a call; its deadline bounds the wait. Raises HeaderInvalid for none or two."""
    request = next(requests, None)
    if request is None or request is _UNREADABLE or next(requests, None) is not None:
        raise HeaderInvalid(element="request", rule=NOT_A_MESSAGE)
    return request


_UNREADABLE = object()


def _reading(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return what reads a message; bytes that are none get a reason of ours, where gRPC would say INTERNAL."""

    def read(octets: bytes) -> Any:  # noqa: ANN401
        try:
            return deserialize(octets)
        except DecodeError:
            return _UNREADABLE

    return read


def _remaining(context: grpc.ServicerContext) -> Callable[[], float]:
    return lambda: _time_left(context) or 0.0


def _time_left(context: grpc.ServicerContext) -> float | None:
    """Return the seconds left; None where the caller stated no deadline, which the stubs do not know."""
    left: float | None = context.time_remaining()
    return left


def _trailers(refusal: Refusal) -> tuple[tuple[str, str | bytes], ...]:
    """Return one ErrorInfo and, where retrying makes sense, when."""
    return _ready_made.get(type(refusal)) or _built(refusal)


def _built(refusal: Refusal) -> tuple[tuple[str, str | bytes], ...]:
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata
    )
    details = [_packed(info)]
    trailers: tuple[tuple[str, str | bytes], ...] = ()
    if refusal.retry_after is not None:
        wait = int(refusal.retry_after * 1000)
        trailers = ((PUSHBACK, str(wait)),)
        if wait >= 0:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(wait)
            details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return (*_rich(refusal.code, str(refusal), details), *trailers)


def _packed(message: Any) -> any_pb2.Any:  # noqa: ANN401 - any protobuf message
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _rich(code: str, text: str, details: list[any_pb2.Any]) -> tuple[tuple[str, str | bytes], ...]:
    number = _codes[code].value[0]
    status = status_pb2.Status(code=number, message=text, details=details)
    return tuple(rpc_status.to_status(status).trailing_metadata)


def _end(
    call: _Open, code: grpc.StatusCode, text: str, trailers: tuple[tuple[str, str | bytes], ...]
) -> None:
    """End a call without an answer; this waits for nobody."""
    call.context.set_code(code)
    call.context.set_details(text)
    call.context.set_trailing_metadata(trailers)
    _close(call)


def _close(call: _Open) -> None:
    """Send the end of a stream, unless the library has: for bytes that are no message it does so by itself.

    A second end is accepted by grpcio 1.85.1 and never completes; the server then never stops.
    """
    if call.context.is_active():
        call.send(None)


# Trailers of what a flood is refused with, made once; these are all raised without a word of their own.
_ready_made: dict[type[Refusal], tuple[tuple[str, str | bytes], ...]] = {
    kind: _built(kind())
    for kind in (CertificateNotPinned, DeadlineRequired, Draining, RateLimited, TooManyCalls)
}
