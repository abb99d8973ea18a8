from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from gateway.server.listener import listeners


@dataclass
class Identity:
    key_pem: bytes
    chain_pem: bytes = field(default=b"chain")


def test_credentials_are_replaced_where_they_changed_and_at_no_other_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library asks at every connection; None leaves what is in force."""
    asked: list[Callable[[], Any]] = []
    monkeypatch.setattr(
        grpc,
        "dynamic_ssl_server_credentials",
        lambda _first, fetch, **_: asked.append(fetch),
    )
    monkeypatch.setattr(
        grpc,
        "ssl_server_certificate_configuration",
        lambda pairs, root_certificates: (pairs[0][0], root_certificates),
    )
    shown = [Identity(b"first"), b"roots"]
    listeners._credentials(lambda: (shown[0], shown[1]), asks=True)
    (fetch,) = asked

    assert [fetch() for _ in range(3)] == [None, None, None]
    shown[0] = Identity(b"second")
    assert [fetch() for _ in range(2)] == [(b"second", b"roots"), None]
    shown[1] = b"other roots"
    assert [fetch() for _ in range(2)] == [(b"second", b"other roots"), None]
