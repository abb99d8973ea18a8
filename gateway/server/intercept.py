"""Steps 0 to 3 of every call, and the one table from refusals to gRPC.

Who calls (the certificate's pin, on every RPC), how long is left, whether the call may be made at all,
what went wrong, how long it took. Handlers never see a caller who did not pass, and no exception's text
reaches one.

Steps (protocol 4):
(0) the house is ready
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
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway import telemetry
from gateway.errors import (
    CertificateNotPinned,
    DeadlineRequired,
    DeadlineTooShort,
    HeaderInvalid,
    InProgress,
    OutsideTimeWindow,
    RateLimited,
    Refusal,
    SenderMismatch,
    StaffUnknown,
    TooManyCalls,
)
from keys.errors import KeysError

DOMAIN = "passerelle"  # ErrorInfo.domain; reasons are stable inside it (protocol 5)
PUSHBACK = "grpc-retry-pushback-ms"  # trailer that gRPC clients obey; RetryInfo they ignore

_codes = {code.name: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one partner may ask of the doors at once.

    calls        concurrent calls; more are refused, not queued
    rate, burst  calls per second, calls; a token bucket
    shortest     seconds; less time than this is not worth beginning (protocol 12)
    longest      seconds
    """

    calls: int
    rate: float
    burst: int
    shortest: float
    longest: float


@dataclass(slots=True)
class Caller:
    """Who calls, by which certificate, and how much of their time is left."""

    partner: str
    certificate: bytes
    started: float
    remaining: Callable[[], float]
    alive: Callable[[], bool]


@dataclass(slots=True)
class _Allowance:
    """One partner's token bucket and places."""

    tokens: float
    at: float
    places: threading.Semaphore
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, limits: Limits, now: float) -> bool:
        with self.lock:
            self.tokens = min(float(limits.burst), self.tokens + (now - self.at) * limits.rate)
            self.at = now
            if self.tokens < 1:
                return False
            self.tokens -= 1
            return True


_caller: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Return who passed the doors to make this call."""
    return _caller.get()


class Door(grpc.ServerInterceptor):
    """The one interceptor of a listener, the exchange's and the admin's.

    identify   certificate -> who it is, or None; asked on every call, so that revocation is immediate
    ready      raises the Refusal that says why the house does not serve
    refused    is told of each refusal that no ledger entry of its own follows: partner, reason
    hold       waits until the answer of a method that began at a monotonic time may leave
    identified is told of each call that passed step 2: the connection's other end as gRPC names it, partner
    """

    def __init__(
        self,
        identify: Callable[[bytes], str | None],
        limits: Limits,
        *,
        ready: Callable[[], None],
        refused: Callable[[str, str], None],
        hold: Callable[[str, float], None],
        identified: Callable[[str, str], None] = lambda _peer, _partner: None,
    ) -> None:
        self._identify = identify
        self._limits = limits
        self._ready = ready
        self._refused = refused
        self._hold = hold
        self._identified = identified
        self._allowances: dict[str, _Allowance] = {}
        self._lock = threading.Lock()
        self._log = telemetry.logger("door")

    def intercept_service(self, continuation: Any, details: Any) -> Any:  # noqa: ANN401 - grpc's types
        """Wrap the handler of every unary call; there are no others on this listener."""
        handler: Any = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        name = str(details.method).rsplit("/", 1)[-1]

        def guarded(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:  # noqa: ANN401
            return self._guard(name, handler.unary_unary, requests, context)

        # As a stream of one: a unary handler would wait for the body in a worker thread before anybody was
        # asked who he is, and a few headers without bodies would hold every thread.
        return grpc.stream_unary_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    def _guard(
        self,
        name: str,
        behaviour: Callable[[Any, grpc.ServicerContext], Any],
        requests: Iterator[Any],
        context: grpc.ServicerContext,
    ) -> Any:  # noqa: ANN401
        partner = ""
        started = monotonic()
        try:
            self._ready()  # (0)
            self._deadline(context)  # (1)
            partner, certificate = self._identity(context)  # (2)
            self._identified(context.peer(), partner)
            with self._admission(partner):  # (1), (3)
                token = _caller.set(
                    Caller(partner, certificate, started, _remaining(context), context.is_active)
                )
                try:
                    answer = behaviour(_only(requests), context)
                finally:
                    _caller.reset(token)
        except Refusal as refusal:
            telemetry.count_call(name, refusal.code, refusal.reason)
            if isinstance(refusal, _SUMMARISED) or name in _UNRECORDED:
                self._refused(partner, refusal.reason)
            _abort(context, refusal)
        except Exception as error:  # noqa: BLE001 - the last fence: nothing of it may reach the caller
            error_id = secrets.token_hex(8)
            self._log.error(
                "unhandled", error_id=error_id, operation=name, kind=type(error).__name__
            )
            telemetry.count_call(name, "INTERNAL", "INTERNAL")
            _abort_internal(context, error_id)
        self._hold(name, started)  # (21) the place is free while the answer waits for its quantum
        telemetry.count_call(name, "OK", "")
        return answer

    def _deadline(self, context: grpc.ServicerContext) -> None:
        remaining = _time_left(context)
        if remaining is None or remaining > self._limits.longest + 1:
            raise DeadlineRequired
        if remaining < self._limits.shortest:
            raise DeadlineTooShort

    def _identity(self, context: grpc.ServicerContext) -> tuple[str, bytes]:
        # A resumed session may carry no certificate: absent is denied (keys.md section 9).
        certificates = context.auth_context().get("x509_pem_cert", ())
        if len(certificates) != 1:
            raise CertificateNotPinned
        try:
            caller = self._identify(bytes(certificates[0]))
        except KeysError:
            raise CertificateNotPinned from None
        if caller is None:
            raise CertificateNotPinned
        return caller, bytes(certificates[0])

    @contextmanager
    def _admission(self, partner: str) -> Iterator[None]:
        now = monotonic()
        with self._lock:
            allowance = self._allowances.get(partner)
            if allowance is None:
                places = threading.Semaphore(self._limits.calls)
                allowance = _Allowance(float(self._limits.burst), now, places)
                self._allowances[partner] = allowance
        if not allowance.take(self._limits, now):
            raise RateLimited
        if not allowance.places.acquire(blocking=False):
            raise TooManyCalls
        try:
            yield
        finally:
            allowance.places.release()


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
    TooManyCalls,
)


def _only(requests: Iterator[Any]) -> Any:  # noqa: ANN401
    """Return the one message of a call; its deadline bounds the wait. Raises HeaderInvalid for none or two."""
    request = next(requests, None)
    if request is None or next(requests, None) is not None:
        raise HeaderInvalid(element="request")
    return request


def _remaining(context: grpc.ServicerContext) -> Callable[[], float]:
    return lambda: _time_left(context) or 0.0


def _time_left(context: grpc.ServicerContext) -> float | None:
    """Return the seconds left; None where the caller stated no deadline, which the stubs do not know."""
    left: float | None = context.time_remaining()
    return left


def _abort(context: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    """Answer one ErrorInfo and, where retrying makes sense, when."""
    info = error_details_pb2.ErrorInfo(
        reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata
    )
    details = [_packed(info)]
    trailers: tuple[tuple[str, str], ...] = ()
    if refusal.retry_after is not None:
        wait = int(refusal.retry_after * 1000)
        trailers = ((PUSHBACK, str(wait)),)
        if wait >= 0:
            delay = duration_pb2.Duration()
            delay.FromMilliseconds(wait)
            details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    _send(context, _codes[refusal.code], str(refusal), details, trailers)


def _abort_internal(context: grpc.ServicerContext, error_id: str) -> NoReturn:
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id}
    )
    _send(context, grpc.StatusCode.INTERNAL, f"internal error {error_id}", [_packed(info)])


def _packed(message: Any) -> any_pb2.Any:  # noqa: ANN401 - any protobuf message
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


@dataclass(frozen=True, slots=True)
class _Status(grpc.Status):
    """What gRPC sends in place of an answer; aborting forgets trailers that were set before it."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def _send(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    text: str,
    details: list[any_pb2.Any],
    trailers: tuple[tuple[str, str], ...] = (),
) -> NoReturn:
    rich = rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=text, details=details)
    )
    context.abort_with_status(_Status(code, text, (*rich.trailing_metadata, *trailers)))
    raise AssertionError  # abort never returns
