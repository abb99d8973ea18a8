"""`check --partner`: a real exchange, whose first failing step is named, and no step is claimed that nobody saw pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Partner
from gateway.client.errors import AnswerRejected, Refused
from gateway.errors import UserError
from gateway.server import partner_check
from gateway.server.partner_check import STEPS, reach
from gateway.trust.partners import own_bundle
from keys.certificates import TlsKey, issue_ca

Reach = Callable[..., dict[str, tuple[bool, str]]]


@pytest.fixture
def asked(shared_pair: Any, secret: Any) -> Reach:
    """Return what asks Canada as Australia's folder holds its entry, with what is named changed in it."""

    def ask(**changes: Any) -> dict[str, tuple[bool, str]]:
        entry = own_bundle(shared_pair.home)
        entry = replace(entry, **{"endpoints": (shared_pair.address,), **changes})
        (shared_pair.asker / "parties" / "CAN.json").write_bytes(entry.to_bytes())
        found = reach(shared_pair.asker, "CAN", secret)
        assert [one.name for one in found] == [
            step for step in STEPS if step in {one.name for one in found}
        ]
        return {one.name: (one.ok, one.detail) for one in found}

    return ask


def failed(found: dict[str, tuple[bool, str]]) -> str:
    """Return the one step that failed, which is the last."""
    wrong = [name for name, (ok, _) in found.items() if not ok]
    assert wrong == list(found)[-1:]
    return wrong[0]


def test_every_step_of_a_lawful_exchange_passes_and_it_is_in_the_ledger(
    asked: Reach, shared_pair: Any
) -> None:
    before = shared_pair.gateway.sequencer.size

    found = asked()

    assert tuple(found) == STEPS
    assert all(ok for ok, _ in found.values())
    assert "TLSv1.3" in found["TLS"][1]
    assert shared_pair.gateway.sequencer.size == before + 2


def test_a_name_that_nobody_knows(asked: Reach) -> None:
    assert failed(asked(endpoints=("nowhere.invalid:7443",))) == "name"


def test_a_port_at_which_nobody_listens(asked: Reach) -> None:
    assert failed(asked(endpoints=("127.0.0.1:1",))) == "connection"


def test_a_listener_that_is_no_gateway(asked: Reach, shared_pair: Any) -> None:
    found = asked(endpoints=(f"127.0.0.1:{shared_pair.addresses.metrics}",))

    assert failed(found) == "TLS"


def test_a_leaf_of_another_authority(asked: Reach) -> None:
    found = asked(tls_ca_pem=issue_ca("CAN", TlsKey.generate(), datetime.now(UTC), days=30))

    assert failed(found) == "TLS"
    assert "ask for their newest bundle" in found["TLS"][1]


def test_a_leaf_that_their_entry_does_not_name(asked: Reach) -> None:
    assert failed(asked(tls_pins=(bytes(32),))) == "pin"


@pytest.mark.parametrize(
    ("reason", "step", "known"),
    [
        ("CERTIFICATE_NOT_PINNED", "certificate", set()),
        ("OUTSIDE_TIME_WINDOW", "clock", {"certificate"}),
        ("ENVELOPE_REJECTED", "signature", {"certificate", "clock"}),
        ("KEY_STALE", "entry", {"certificate", "clock"}),
        ("AUDIT_UNAVAILABLE", "capabilities", set()),
    ],
)
def test_a_refusal_shows_its_own_step_and_no_more_than_came_before_it(
    asked: Reach, monkeypatch: pytest.MonkeyPatch, reason: str, step: str, known: set[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Refused("UNAVAILABLE", reason, f"refused {reason}", metadata={"server_time": "12:00"})

    monkeypatch.setattr(Partner, "carry", refuse)

    found = asked()

    assert [name for name, (ok, _) in found.items() if not ok] == [step]
    assert {*found} == {"name", "connection", "TLS", "pin", step, *known}


def test_an_answer_that_does_not_hold(asked: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    def forge(*_: object, **__: object) -> None:
        raise AnswerRejected("signature", "it does not verify")

    monkeypatch.setattr(Partner, "carry", forge)

    assert failed(asked()) == "signature"


def test_an_entry_of_theirs_that_we_have_not_yet(
    asked: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = partner_check._capabilities

    def newer(*of: Any) -> Any:
        told = real(*of)
        return replace(told, capabilities=replace(told.capabilities, directory_version=99))

    monkeypatch.setattr(partner_check, "_capabilities", newer)

    assert failed(asked()) == "entry"


def test_clocks_are_told_before_they_are_refused() -> None:
    assert partner_check._clock(timedelta(seconds=-2)) == "theirs is -2.0 s from ours"
    with pytest.raises(partner_check._Failed, match="45 s ahead of ours"):
        partner_check._clock(timedelta(seconds=45))


def test_a_partner_that_is_not_known_is_no_step(shared_pair: Any, secret: Any) -> None:
    with pytest.raises(UserError, match="known: CAN"):
        reach(shared_pair.asker, "NZL", secret)


@pytest.mark.usefixtures("asked_once")  # else it would ask until its time is up
def test_whom_they_do_not_know_is_told_what_to_send(homes: Any, serve: Any, secret: Any) -> None:
    (homes[0] / "parties" / "AUS.json").unlink()
    with serve(*homes) as pair:
        entry = replace(own_bundle(pair.home), endpoints=(pair.address,))
        Path(pair.asker / "parties" / "CAN.json").write_bytes(entry.to_bytes())
        found = {one.name: one for one in reach(pair.asker, "CAN", secret)}

    assert not found["certificate"].ok
    assert f"passerelle party export {homes[1]}" in found["certificate"].detail
