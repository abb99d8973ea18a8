"""One mTLS channel to a partner: identical bytes, sent again only where the protocol says so.

Only UNAVAILABLE is repeated by itself (AIP-194): the partner is draining, its ledger cannot record, the
first copy still runs, or nobody answered. The request object is never rebuilt between attempts, so the
partner sees the same message and answers it once (protocol 8).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.client.errors import (
    DeadlineExceeded,
    KeyStale,
    PartnerError,
    Refused,
    Unreachable,
)

DOMAIN = "passerelle"  # ErrorInfo.domain; reasons are stable inside it (protocol 5)
PUSHBACK = (
    "grpc-retry-pushback-ms"  # trailer: milliseconds until a retry, negative = none (protocol 12)
)
FIRST_WAIT = 0.1  # seconds before the second attempt where the partner names no time
LONGEST_WAIT = 2.0  # seconds between attempts; waits double up to here
MESSAGE_BYTES = 1 << 20  # largest message either way (protocol 12)
KEEPALIVE_MS = 300_000  # what the server allows at least between pings (protocol 12)

_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.enable_retries", 0),  # the only retries are ours, counted and of identical bytes
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),  # two partners in one process never share a connection
)

Q = TypeVar("Q")  # the request's message
A = TypeVar("A")  # the answer's message
Q_contra = TypeVar("Q_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)


class Method(Protocol[Q_contra, A_co]):
    """A unary gRPC method of a stub."""

    def __call__(self, request: Q_contra, /, *, timeout: float) -> A_co:
        """Send one request and wait for its answer."""


# Whom we ask is whom the entry names, whatever `http_proxy` and its like say in the environment.
_DIRECT = (("grpc.enable_http_proxy", 0),)


def open_channel(
    address: str, *, roots: bytes, private_key: bytes, chain: bytes, proxy: str | None = None
) -> grpc.Channel:
    """Return a channel that trusts only `roots` and shows our leaf certificate; all three are PEM.

    proxy   host:port of an HTTP proxy that is asked to CONNECT to `address`, which it learns; TLS goes through it.
            None = none, whatever the environment says
    """
    way = _DIRECT if proxy is None else (("grpc.http_proxy", f"http://{proxy}"),)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=roots, private_key=private_key, certificate_chain=chain
    )
    # Without the scheme a host of the name `unix` would be one: a socket of this machine.
    return grpc.secure_channel(f"dns:///{address}", credentials, options=(*_OPTIONS, *way))


class Courier:
    """Carries requests until an answer, a refusal or the deadline; counts what it repeats."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._clock = clock
        self._closed = threading.Event()
        self._pause = self._closed.wait if pause is None else pause

    def close(self) -> None:
        """End what is waited for between two attempts, and carry nothing more."""
        self._closed.set()

    def carry(
        self,
        method: Method[Q, A],
        request: Q,
        until: float,
        *,
        number: str = "",
        patient: bool = False,
    ) -> tuple[A, int]:
        """Return the answer and how many attempts it took.

        until    monotonic seconds; no attempt outlives it
        number   transaction number that errors carry
        patient  wait also where the peer says that we call too often; for reading its ledger only

        Raises a `PartnerError`; never anything of gRPC's.
        """
        attempt, wait = 0, FIRST_WAIT
        last: PartnerError | None = None
        while (left := until - self._clock()) > 0:
            if self._closed.is_set():
                raise Unreachable("the channel is closed", transaction_number=number)
            attempt += 1
            try:
                return method(request, timeout=left), attempt
            except ValueError:  # gRPC's way to say so
                raise Unreachable("the channel is closed", transaction_number=number) from None
            except grpc.RpcError as error:
                last = explain(error, number)
                if not _repeatable(error, last, patient=patient):
                    raise last from None
                pushback = last.retry_after if isinstance(last, Refused) else None
            delay = wait * random.uniform(0.8, 1.2) if pushback is None else pushback  # noqa: S311 - spreads clients apart, hides nothing
            wait = min(wait * 2, LONGEST_WAIT)
            if self._clock() + delay >= until:
                break
            self._pause(delay)
        raise last or DeadlineExceeded("no time was left to ask", transaction_number=number)


def explain(error: grpc.RpcError, number: str) -> PartnerError:
    """Return what a failed call means, in our own terms.

    A status without our ErrorInfo came from gRPC itself: its text names addresses and TLS faults, which
    the operator on this side needs, and nothing of the partner's.
    """
    code, text = error.code(), error.details() or ""
    reason, metadata, delay = _particulars(error)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        advice = "ask for the state of the transaction" if number else "allow more time"
        return DeadlineExceeded(f"the deadline passed; {advice}", transaction_number=number)
    if code in _SILENCE and not reason:
        return Unreachable(f"no answer from the partner: {text[:300]}", transaction_number=number)
    where = "".join(f" [{key} {value}]" for key, value in sorted(metadata.items()))
    kind, message = Refused, f"{code.name} {reason}".strip() + f": {text[:300]}{where}"
    if reason == "KEY_STALE":
        kind = KeyStale
        message += "; import the partner's new bundle (party import) and ask again"
    return kind(
        code.name,
        reason,
        message,
        metadata=metadata,
        retry_after=delay,
        transaction_number=number,
    )


_SILENCE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def _repeatable(error: grpc.RpcError, explained: PartnerError, *, patient: bool) -> bool:
    pushback = explained.retry_after if isinstance(explained, Refused) else None
    if pushback is not None and pushback < 0:
        return False
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return True
    crowded = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return patient and crowded and pushback is not None


def _particulars(error: grpc.RpcError) -> tuple[str, dict[str, str], float | None]:
    """Return reason, metadata and seconds to wait; a status that contradicts itself says nothing."""
    reason, metadata, delay = "", {}, None
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        status = None
    for detail in status.details if status is not None else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            delay = retry.retry_delay.ToMilliseconds() / 1000
    # The stubs type one trailer, not several.
    trailers = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key == PUSHBACK:
            try:
                delay = int(value) / 1000
            except ValueError:
                delay = -1.0  # gRPC's own rule: a pushback that cannot be read forbids the retry
    return reason, metadata, delay
