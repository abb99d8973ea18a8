"""A call that is refused before its message is read counts for the partner whose certificate it came with."""

from __future__ import annotations

from time import monotonic
from typing import Any, cast

import grpc
import pytest

from gateway.errors import Draining, TlsVersionRefused
from gateway.server.listener.admission import Limits
from gateway.server.listener.interceptor import AuthInterceptor, _Open

LIMITS = Limits(
    calls=4,
    rate=10.0,
    burst=10,
    shortest=0.1,
    longest=60.0,
    unidentified_rate=10.0,
    unidentified_burst=10,
)
PEER = "ipv4:127.0.0.1:50000"


class Context:
    """A call with a certificate; `left` seconds remain, None = its caller stated no deadline.

    version   of TLS, as gRPC's core names it
    """

    def __init__(self, left: float | None, version: bytes = b"TLSv1.3") -> None:
        self._left, self.code, self.version = left, None, version

    def add_callback(self, callback: Any) -> bool:
        return callable(callback)

    def time_remaining(self) -> float | None:
        return self._left

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": [b"a certificate"], "ssl_tls_version": [self.version]}

    def peer(self) -> str:
        return PEER

    def is_active(self) -> bool:
        return True

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        pass

    def set_trailing_metadata(self, trailers: Any) -> None:
        pass


class Access:
    """Whose every caller is AUS; it keeps what it was told."""

    def __init__(
        self,
        calls: list[tuple[str, str]],
        refusals: list[tuple[str, str]] | None = None,
        *,
        serves: bool = True,
    ) -> None:
        self._calls, self._serves = calls, serves
        self._refusals = [] if refusals is None else refusals

    def identify(self, _: bytes) -> str:
        return "AUS"

    def demand_ready(self) -> None:
        if not self._serves:
            raise Draining

    def identified(self, peer: str, caller: str) -> None:
        self._calls.append((peer, caller))

    def refused(self, caller: str, reason: str) -> None:
        self._refusals.append((caller, reason))

    def leaves(self, _method: str, _started: float, now: float) -> float:
        return now


@pytest.mark.parametrize("version", [b"TLSv1.2", b"TLSv1.1", b""])
def test_a_known_certificate_over_an_older_tls_is_refused_by_each_connection(
    version: bytes,
) -> None:
    """Whatever the process told gRPC when it first met it: the certificate is a partner's, the road is not TLS 1.3."""
    identified: list[tuple[str, str]] = []
    interceptor = AuthInterceptor(Access(identified), LIMITS, name="test")
    context = Context(10.0, version)
    call = _Open("GetQuota", cast("grpc.ServicerContext", context), lambda _: None, monotonic())
    try:
        with pytest.raises(TlsVersionRefused):
            interceptor._identity(cast("grpc.ServicerContext", context))
        interceptor._receive(call, lambda *_: pytest.fail("it was answered"), iter(()))
    finally:
        interceptor._workers.stop(10.0)

    assert identified == []


@pytest.mark.parametrize("how", ["not ready", "no deadline"])
def test_a_partner_who_is_refused_at_once_is_not_unidentified(how: str) -> None:
    identified: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    interceptor = AuthInterceptor(
        Access(identified, refused, serves=how != "not ready"), LIMITS, name="test"
    )
    context = Context(None if how == "no deadline" else 10.0)
    sent: list[Any] = []
    call = _Open("GetQuota", cast("grpc.ServicerContext", context), sent.append, monotonic())
    try:
        interceptor._receive(call, lambda *_: None, iter(()))
    finally:
        interceptor._workers.stop(10.0)

    assert sent == [None]
    assert identified == [(PEER, "AUS")]
    assert refused == ([("AUS", "DEADLINE_REQUIRED")] if how == "no deadline" else [])
