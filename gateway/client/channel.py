"""One mTLS channel to a partner: identical bytes, sent again only where the protocol says so.

Only UNAVAILABLE is repeated by itself (AIP-194): the partner is draining, its ledger cannot record, the
first copy still runs, or nobody answered. The request object is never rebuilt between attempts, so the
partner sees the same message and answers it once (protocol 8).
"""

from __future__ import annotations

import os
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from gateway.client.errors import (
    DeadlineExceeded,
    KeyStale,
    OwnCertificateEnded,
    PartnerError,
    Refused,
    TlsTooOld,
    Unreachable,
)
from gateway.errors import TO_THE_ASKER
from gateway.trust import endpoints
from keys import certificates

DOMAIN = "passerelle"  # ErrorInfo.domain; reasons are stable inside it (protocol 5)
PUSHBACK = (
    "grpc-retry-pushback-ms"  # trailer: milliseconds until a retry, negative = none (protocol 12)
)
FIRST_WAIT = 0.1  # seconds before the second attempt where the partner names no time
LONGEST_WAIT = 2.0  # seconds between attempts; waits double up to here
MESSAGE_BYTES = 2_162_688  # largest message either way: a query that carries images (protocol 12)
LONGEST_LOOK = (
    5.0  # seconds to shake hands before the first call; two round trips on any road take less
)
MOST_SAID = 1000  # characters of what the other side says of a refusal; our own messages end with the remedy
PROXY_ANSWER = 8192  # bytes; an answer to CONNECT is a few lines
KEEPALIVE_MS = 300_000  # what the server allows at least between pings (protocol 12)

_OPTIONS = (
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
    address: str,
    *,
    roots: bytes,
    private_key: bytes,
    chain: bytes,
    proxy: str | None = None,
    largest: int = MESSAGE_BYTES,
) -> grpc.Channel:
    """Return a channel that trusts only `roots` and shows our leaf certificate; all three are PEM.

    proxy     host:port of an HTTP proxy that is asked to CONNECT to `address`, which it learns; TLS goes through it.
              None = none, whatever the environment says
    largest   bytes of a message, either way
    """
    sizes = (
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
    )
    way = _DIRECT if proxy is None else (("grpc.http_proxy", f"http://{proxy}"),)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=roots, private_key=private_key, certificate_chain=chain
    )
    # Without the scheme a host of the name `unix` would be one: a socket of this machine.
    return grpc.secure_channel(f"dns:///{address}", credentials, options=(*sizes, *_OPTIONS, *way))


def dial(
    address: str, *, roots: bytes, private_key: bytes, chain: bytes, proxy: str | None = None
) -> tuple[grpc.Channel, Callable[[], None]]:
    """Return a channel to a partner, over which no call leaves unless both ends may have it, and what closes it.

    proxy   as of `open_channel`

    A call raises `OwnCertificateEnded` where our own leaf has ended or has not begun, and `TlsTooOld` where the
    partner's listener does not complete a handshake of TLS 1.3.
    """
    channel = open_channel(address, roots=roots, private_key=private_key, chain=chain, proxy=proxy)
    before = _Beforehand(address, chain, proxy, _connection_of(channel))

    def close() -> None:
        before.cut()
        channel.close()

    return grpc.intercept_channel(channel, before), close


def connected(host: str, port: int, proxy: str | None, seconds: float) -> socket.socket:
    """Return a connection to a partner's listener, by a proxy where one is named (host:port); raises OSError."""
    if proxy is None or _by_itself(host):
        return socket.create_connection((host, port), timeout=seconds)
    named, _, at = proxy.rpartition(":")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    plain = socket.create_connection((named.removeprefix("[").removesuffix("]"), int(at)), seconds)
    try:
        plain.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode("ascii"))
        answer = b""
        # Byte by byte: what follows the empty line is the partner's.
        while not answer.endswith(_END) and len(answer) < PROXY_ANSWER and (byte := plain.recv(1)):
            answer += byte
    except BaseException:
        plain.close()
        raise
    if not (answer.endswith(_END) and _CONNECTED.match(answer)):
        plain.close()
        raise OSError(f"the proxy {proxy} made no connection")
    return plain


# The end of a proxy's answer, and one that says yes (RFC 9110 section 9.3.6).
_END = b"\r\n\r\n"
_CONNECTED = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r]")


def _by_itself(host: str) -> bool:
    """Return whether gRPC reaches a host directly although a proxy is set: the environment's `no_proxy` names it."""
    # As gRPC spells them: capitals are another variable.
    spared = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy") or ""  # noqa: SIM112
    ends = (each.strip().lower() for each in spared.split(","))
    return any(host.lower().endswith(each) for each in ends if each)


READY: Final = 2  # GRPC_CHANNEL_READY (grpc/impl/connectivity_state.h): there is a connection


def _connection_of(channel: grpc.Channel) -> Callable[[], bool]:
    """Return what tells whether a channel has a connection now, without making one.

    gRPC's Python API tells it only by a thread of its own that asks five times a second. The method behind that is not
    of its public API: where a later release has none, a channel counts as without, and each call shakes hands first.
    """
    state = getattr(getattr(channel, "_channel", None), "check_connectivity_state", None)

    def connected() -> bool:
        try:
            return state is not None and int(state(False)) == READY
        except ValueError:  # closed: the call says so
            return True

    return connected


class _Beforehand(grpc.UnaryUnaryClientInterceptor):
    """What is looked at before a call leaves: our own leaf each time, and TLS 1.3 before a connection is made.

    gRPC's Python API names no lowest version of TLS, and tells a caller none (grpc issue 37305): what it reads from
    the environment binds every channel of the process, which is not ours to do in a partner's program. So we shake
    hands first, by TLS 1.3 alone. A listener that speaks it speaks it with gRPC too: nobody between can talk the two
    down (RFC 8446 section 4.1.3).

    What holds: a call that finds its channel without a connection shakes hands before gRPC may make one, so a partner
    that listens anew with an older TLS is sent nothing. What does not: a connection that ends between the question and
    the sending, microseconds later, is made again by gRPC unseen; between our handshake and gRPC's another may begin to
    listen; and where the partner's name has several addresses, gRPC may take another than the one that shook hands. A
    gateway of ours that is called demands TLS 1.3 of each call by the connection's own `ssl_tls_version`
    (`gateway.server.listener.interceptor`), so it answers no call over less.
    """

    def __init__(
        self, address: str, chain: bytes, proxy: str | None, connected: Callable[[], bool]
    ) -> None:
        self._connected = connected
        self._proxy = proxy
        try:
            self._place = endpoints.parse(address)
        except endpoints.MalformedEndpoint as fault:
            raise Unreachable(f"the partner's address is {fault}") from None
        self._begins, self._ends = certificates.validity(chain)
        self._looked = False
        self._shaking: set[socket.socket] = set()

    def cut(self) -> None:
        """End every handshake under way."""
        for plain in tuple(self._shaking):
            with suppress(OSError):
                plain.shutdown(socket.SHUT_RDWR)

    def intercept_unary_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: Any,  # noqa: ANN401 - grpc's types
        request: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Look, then let the call leave."""
        self._demand_own_leaf(datetime.now(UTC))  # by the clock that TLS judges by
        details, begun = client_call_details, time.monotonic()
        if not self._connected():
            self._looked = False
        if not self._looked:
            self._demand_tls_1_3(details.timeout)
            self._looked = True
            if details.timeout is not None:
                left = details.timeout - (time.monotonic() - begun)
                details = details._replace(timeout=max(left, 0.0))
        outcome = continuation(details, request)
        if outcome.code() is grpc.StatusCode.UNAVAILABLE and not _particulars(outcome)[0]:
            self._looked = False
        return outcome

    def _demand_own_leaf(self, now: datetime) -> None:
        if now > self._ends:
            raise OwnCertificateEnded(
                f"our own TLS certificate ended on {self._ends:%Y-%m-%d %H:%M} UTC, and no partner accepts it:"
                " make a new one (passerelle keys rotate DIR TLS_LEAF) and have partners import our bundle"
            )
        if now < self._begins:
            raise OwnCertificateEnded(
                f"our own TLS certificate begins on {self._begins:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}"
                " here: set this machine's clock"
            )

    def _demand_tls_1_3(self, seconds: float | None) -> None:
        """Shake hands; raises TlsTooOld, and `_Silent` where there was no handshake at all."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = (
            False  # gRPC checks whose certificate it is, on the connection that is used
        )
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        until = time.monotonic() + min(LONGEST_LOOK, seconds or LONGEST_LOOK)
        try:
            with connected(*self._place, self._proxy, until - time.monotonic()) as plain:
                plain.settimeout(max(until - time.monotonic(), 0.001))
                with context.wrap_socket(
                    plain, server_hostname=self._place[0], do_handshake_on_connect=False
                ) as secure:
                    self._shaking.add(secure)
                    try:
                        secure.do_handshake()
                    finally:
                        self._shaking.discard(secure)
                    return
        except ssl.SSLError as fault:
            if fault.reason in _OLD:
                raise TlsTooOld(
                    "the partner's listener does not speak TLS 1.3, and we speak nothing older: it is for them to mend"
                ) from None
            raise _Silent(f"the TLS handshake failed: {fault.reason or 'cut off'}") from None
        except OSError as fault:
            raise _Silent(fault.strerror or str(fault) or type(fault).__name__) from None


# How OpenSSL says that the other end would not have this version.
_OLD = frozenset(
    {
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "WRONG_SSL_VERSION",
        "WRONG_VERSION_NUMBER",
    }
)


class _Silent(grpc.RpcError):
    """Nobody shook hands: to a caller the same as gRPC's own UNAVAILABLE."""

    def code(self) -> grpc.StatusCode:
        """Return what gRPC would say."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """Return why, of the system's or OpenSSL's own words."""
        return str(self)

    def trailing_metadata(self) -> tuple[Any, ...]:
        """Return none: nobody answered."""
        return ()


class Transport:
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
                last = explain(error, number, TO_THE_ASKER)
                if not _repeatable(error, last, patient=patient):
                    raise last from None
                pushback = last.retry_after if isinstance(last, Refused) else None
            delay = wait * random.uniform(0.8, 1.2) if pushback is None else pushback  # noqa: S311 - spreads clients apart, hides nothing
            wait = min(wait * 2, LONGEST_WAIT)
            if self._clock() + delay >= until:
                break
            self._pause(delay)
        raise last or DeadlineExceeded("no time was left to ask", transaction_number=number)


def explain(
    error: grpc.RpcError, number: str, words: Mapping[str, str] = MappingProxyType({})
) -> PartnerError:
    """Return what a failed call means, in our own terms.

    words   what to say of a reason in the place of the other side's text, by reason

    A status without our ErrorInfo came from gRPC itself: its text names addresses and TLS faults, which
    the operator on this side needs, and nothing of the partner's.
    """
    code, text = error.code(), error.details() or ""
    reason, metadata, delay = _particulars(error)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        advice = "ask for the state of the transaction" if number else "allow more time"
        return DeadlineExceeded(f"the deadline passed; {advice}", transaction_number=number)
    if code in _SILENCE and not reason:
        return Unreachable(
            f"no answer from the partner: {text[:MOST_SAID]}", transaction_number=number
        )
    where = "".join(f" [{key} {value}]" for key, value in sorted(metadata.items()))
    said = words.get(reason, text[:MOST_SAID])
    kind = KeyStale if reason == "KEY_STALE" else Refused
    return kind(
        code.name,
        reason,
        f"{code.name} {reason}".strip() + f": {said}{where}",
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
