"""What is looked at before a call leaves, and what our SDK leaves alone in the program that imports it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from gateway.client import OwnCertificateEnded, Partner, Unreachable
from gateway.client import channel as channels
from gateway.client.channel import _Beforehand
from keys.custody import Argon2Cost, FileCustody
from keys.keyset import Keyset
from tests.gateway.client.conftest import bundle_of
from tests.patience import PATIENCE

_ENVIRONMENT = """
import json, os
before = dict(os.environ)
import gateway.client
print(json.dumps({name: os.environ.get(name) for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}))
"""


def test_importing_the_sdk_changes_nothing_in_a_partners_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ENVIRONMENT],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env={},
    )

    assert json.loads(done.stdout) == {}


@pytest.mark.parametrize(
    ("age", "said"),
    [(timedelta(days=200), "ended on .*passerelle keys rotate"), (timedelta(days=-2), "clock")],
)
def test_a_leaf_of_ours_that_is_not_in_force_is_named_before_anything_is_sent(
    tmp_path: Path, keysets: Any, age: timedelta, said: str
) -> None:
    """gRPC would say that the partner cut the connection, and nothing of why."""
    custody = FileCustody.create(
        tmp_path / "kek.json", b"a passphrase for tests", Argon2Cost(64, 1, 1)
    )
    born = datetime.now(UTC).replace(microsecond=0) - age
    ours = Keyset.create(born, "AUS", custody)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with Partner.connect("AUS", ours, bundle_of(keysets["CAN"], address)) as partner:
            with pytest.raises(OwnCertificateEnded, match=said):
                partner.capabilities()
            with pytest.raises(TimeoutError):
                listening.accept()


def test_a_listener_that_is_none_is_unreachable_and_the_reason_is_said(keysets: Any) -> None:
    with (
        Partner.connect("AUS", keysets["AUS"], bundle_of(keysets["CAN"], "127.0.0.1:1")) as partner,
        pytest.raises(Unreachable, match="refused"),
    ):
        partner.capabilities(deadline=0.5)


def test_a_connection_that_is_made_again_is_looked_at_again(
    answering_server: Any, keysets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look a channel, not one a call; and one more once nobody answered."""
    looks: list[float | None] = []
    monkeypatch.setattr(_Beforehand, "_demand_tls_1_3", lambda _, seconds: looks.append(seconds))
    gone = [lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "")]
    with Partner.connect("AUS", keysets["AUS"], answering_server.gateway.bundle) as partner:
        partner.capabilities()
        partner.capabilities()
        assert len(looks) == 1
        answering_server.unwilling = lambda context: gone.pop()(context) if gone else None
        partner.capabilities()

    assert len(looks) == 2


def test_a_partner_that_comes_back_with_an_older_tls_is_sent_nothing() -> None:
    """The same channel, a new connection: gRPC would speak TLS 1.2 with it, and hand it the envelope.

    In a process of its own: what gRPC speaks at least, our server's module has told it in this one.
    """
    script = Path(__file__).with_name("probe_tls_again.py")

    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, check=True, text=True, timeout=PATIENCE
    )

    assert json.loads(told.stdout) == {"reached": 1, "shaken": 0, "said": "TlsTooOld"}


def test_where_grpc_does_not_tell_of_its_connections_each_call_shakes_hands(
    answering_server: Any, keysets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we read is not of its public API: a release that has it no more costs a handshake, and no safety."""
    looks: list[float | None] = []
    monkeypatch.setattr(_Beforehand, "_demand_tls_1_3", lambda _, seconds: looks.append(seconds))
    without = channels._connection_of(object())  # type: ignore[arg-type]
    monkeypatch.setattr(channels, "_connection_of", lambda _: without)
    with Partner.connect("AUS", keysets["AUS"], answering_server.gateway.bundle) as partner:
        for _ in range(3):
            partner.capabilities()

    assert len(looks) == len(answering_server.calls) + answering_server.proofs > 3


def test_a_call_beside_another_shakes_hands_where_the_connection_is_gone(
    answering_server: Any, keysets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first call is under way its connection can drop; a second call must not have gRPC make one unseen."""
    looks: list[float | None] = []
    monkeypatch.setattr(_Beforehand, "_demand_tls_1_3", lambda _, seconds: looks.append(seconds))
    chain = keysets["AUS"].tls()[1]
    before = _Beforehand("127.0.0.1:7443", chain, None, lambda: False)
    details = SimpleNamespace(timeout=None)
    answered = SimpleNamespace(code=lambda: grpc.StatusCode.OK)

    def first(*_: Any) -> Any:
        return before.intercept_unary_unary(lambda *_: answered, details, b"the second")

    before.intercept_unary_unary(first, details, b"the first")

    assert len(looks) == 2
