"""The leaf that we show follows the keyset; one that does not work never goes out."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from gateway import telemetry
from gateway.cli.admin_session import perform
from gateway.client import Partner, PartnerError
from gateway.errors import InternalError
from gateway.ledger.entry import EntryType, decode
from gateway.server.listener import tls_identity
from gateway.server.listener.tls_probe import leaf_shown
from gateway.server.rpc import admin
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from keys import atomic_file, certificates
from keys.certificates import TlsKey
from keys.keyset import KeyEvent, KeyKind, Keyset, KeyState
from tests.patience import CALL

Break = Callable[[Keyset, bytes], bytes]


def turn(pair: Any, kind: KeyKind, *states: KeyState, kid: bytes = b"") -> bytes:
    """Make a key, or take the one of `kid`, and move it through states, each a change of its own."""
    room = pair.gateway.keys.active
    if not kid:
        room.change(
            lambda keyset, now: _one(keyset.generate(kind, now, reason="t", actor="O-1")),
            actor="O-1",
        )
        kid = max(
            (r for r in room.current.records if r.kind is kind),
            key=lambda r: (r.created, r.state is KeyState.PREACTIVE),
        ).kid
    for state in states:
        room.change(
            lambda keyset, now, state=state: _one(keyset.transition(kid, state, now, "t", "O-1")),
            actor="O-1",
        )
    return kid


def _one(moved: tuple[Keyset, KeyEvent]) -> tuple[Keyset, tuple[KeyEvent, ...]]:
    return moved[0], (moved[1],)


def shown(pair: Any, name: str = "exchange") -> str:
    """Return the serial of the leaf that a listener shows to a new connection."""
    leaf = leaf_shown("127.0.0.1", getattr(pair.addresses, name))
    assert leaf is not None
    return tls_identity.serial_of(leaf)


def serial(pair: Any, kid: bytes) -> str:
    return tls_identity.serial_of(pair.gateway.keyset.record(kid).certificate)


def alarms(pair: Any) -> list[str]:
    """Return what the ledger says of our alarms, in order."""
    frames = map(decode, stored_ledger.iter_leaves(pair.gateway.database))
    return [
        frame.subject_reference
        for frame in frames
        if frame.type is EntryType.ALARM and "/TLS_" in frame.subject_reference
    ]


def test_a_new_leaf_is_shown_at_every_listener_without_a_restart(pair: Any) -> None:
    before = shown(pair)

    leaf = turn(pair, KeyKind.TLS_LEAF)
    assert shown(pair) == before
    turn(pair, KeyKind.TLS_LEAF, KeyState.ACTIVE, kid=leaf)

    expected = serial(pair, leaf)
    assert expected != before
    assert {shown(pair, listener) for listener in ("exchange", "admin", "health")} == {expected}
    assert alarms(pair) == []


def test_a_live_connection_goes_on_across_a_new_leaf(pair: Any, people: Any) -> None:
    """Pins are checked on every call; the connection itself ends by its age."""
    with Partner.connect(
        "AUS", pair.keyset, own_bundle(pair.home), address=pair.address
    ) as partner:
        first = partner.query(people.samples(1), **people.matter())
        turn(pair, KeyKind.TLS_LEAF, KeyState.ACTIVE)
        second = partner.query(people.samples(1), **people.matter())

    assert first.outcome is second.outcome


def _of_another_key(keyset: Keyset, kid: bytes) -> bytes:
    del kid
    return keyset.primary(KeyKind.TLS_LEAF).certificate


def _of_another_authority(keyset: Keyset, kid: bytes) -> bytes:
    """A leaf that bears our name and is issued by somebody who copied our authority's."""
    key, now = TlsKey.generate(), keyset.record(kid).created
    ca = certificates.issue_ca("CAN", key, now)
    leaf = keyset._live[kid]
    return certificates.issue_leaf("CAN", ca, key, leaf, now, hosts=keyset.hosts) + ca


def _ended(keyset: Keyset, kid: bytes) -> bytes:
    then, leaf = keyset.record(kid).created - timedelta(days=40), keyset._live[kid]
    ca = certificates.issue_ca("CAN", keyset.tls_ca(), then)
    chain = certificates.issue_leaf(
        "CAN", ca, keyset.tls_ca(), leaf, then, hosts=keyset.hosts, days=30
    )
    return chain + ca


def _of_another_host(keyset: Keyset, kid: bytes) -> bytes:
    record, leaf = keyset.primary(KeyKind.TLS_CA), keyset._live[kid]
    return (
        certificates.issue_leaf(
            "CAN",
            record.certificate,
            keyset.tls_ca(),
            leaf,
            keyset.record(kid).created,
            hosts=("elsewhere.example",),
        )
        + record.certificate
    )


def _torn(keyset: Keyset, kid: bytes) -> bytes:
    return keyset.record(kid).certificate[:200]


@pytest.mark.parametrize(
    "broken", [_of_another_key, _of_another_authority, _ended, _of_another_host, _torn]
)
def test_a_broken_leaf_never_goes_out(
    pair: Any, people: Any, broken: Break, capsys: pytest.CaptureFixture[str]
) -> None:
    before, room = shown(pair), pair.gateway.keys.active
    leaf = turn(pair, KeyKind.TLS_LEAF)

    def break_it(keyset: Keyset, now: Any) -> tuple[Keyset, tuple[KeyEvent, ...]]:
        keyset, event = keyset.transition(leaf, KeyState.ACTIVE, now, "t", "O-1")
        record = replace(keyset.record(leaf), certificate=broken(room.current, leaf))
        return keyset._with(record, keyset._live[leaf]), (event,)

    room.change(break_it, actor="O-1")

    assert {shown(pair, listener) for listener in ("exchange", "admin", "health")} == {before}
    assert alarms(pair) == ["RAISE/TLS_IDENTITY"]
    assert "tls_identity_kept" in capsys.readouterr().err
    answer = pair.partner().query(people.samples(1), **people.matter())
    assert answer.transaction_number

    turn(pair, KeyKind.TLS_LEAF, KeyState.ACTIVE)

    assert alarms(pair) == ["RAISE/TLS_IDENTITY", "CLEAR/TLS_IDENTITY"]
    assert shown(pair) != before


def test_the_leaf_stays_where_the_only_one_is_suspended(pair: Any) -> None:
    before, leaf = shown(pair), pair.gateway.keyset.primary(KeyKind.TLS_LEAF).kid

    turn(pair, KeyKind.TLS_LEAF, KeyState.SUSPENDED, kid=leaf)

    assert shown(pair) == before
    assert alarms(pair) == ["RAISE/TLS_IDENTITY"]


def test_old_and_new_authority_are_both_good_while_one_follows_the_other(
    pair: Any, people: Any
) -> None:
    """Announce the new authority; then have it issue a leaf; partners with the announcement never notice."""
    old = own_bundle(pair.home)
    authority = turn(pair, KeyKind.TLS_CA)
    announced = pair.gateway.keys.active.publish(actor="O-1")
    turn(pair, KeyKind.TLS_CA, KeyState.ACTIVE, kid=authority)
    leaf = turn(pair, KeyKind.TLS_LEAF)
    published = pair.gateway.keys.active.publish(actor="O-1")

    def ask(bundle: Any, deadline: float = CALL) -> Any:
        with Partner.connect("AUS", pair.keyset, bundle, address=pair.address) as partner:
            return partner.capabilities(deadline=deadline)

    for bundle in (old, announced, published):
        assert ask(bundle)
    turn(pair, KeyKind.TLS_LEAF, KeyState.ACTIVE, kid=leaf)
    for bundle in (announced, published):
        assert ask(bundle)
    with pytest.raises(PartnerError):
        ask(old, deadline=3.0)
    assert len(certificates.authorities_in(announced.tls_ca_pem)) == 2


def test_a_badge_of_the_old_authority_opens_until_that_authority_steps_down(
    homes: Any, serve: Any, let_in: Any, tmp_path: Path
) -> None:
    home, officer = homes[0], tmp_path / "p1"
    let_in(home, "P-1", ["operator"], officer)
    with serve(*homes) as pair:
        first = pair.gateway.keyset.primary(KeyKind.TLS_CA).kid
        turn(pair, KeyKind.TLS_CA, KeyState.ACTIVE)
        turn(pair, KeyKind.TLS_LEAF, KeyState.ACTIVE)
        pair.gateway.keys.active.publish(actor="O-1")

        assert perform(home, "staff.list", {}, officer=officer)["staff"]

        turn(pair, KeyKind.TLS_CA, KeyState.DEACTIVATED, kid=first)
        with pytest.raises(PartnerError):
            perform(home, "staff.list", {}, officer=officer)


def test_authorities_that_could_not_be_written_for_commands_are_in_the_next_round(
    pair: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk stops no change of keys, and officers learn of the new authority as soon as it can be written."""

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def written() -> int:
        return str(json.loads((pair.home / "door.json").read_text())["authority"]).count("BEGIN")

    before = written()
    with monkeypatch.context() as broken:
        broken.setattr(admin, "atomic_file", SimpleNamespace(replace=full))
        turn(pair, KeyKind.TLS_CA)
    assert written() == before
    assert "authorities_unnamed" in capsys.readouterr().err

    pair.serving.run_jobs()

    assert written() == before + 1


def test_a_change_of_keys_while_the_gateway_stops_writes_no_address(pair: Any) -> None:
    """The file is gone, or another process's would be taken for ours."""
    listener = pair.serving._admin
    listener.withdraw()
    turn(pair, KeyKind.TLS_CA)
    pair.serving.run_jobs()
    assert not (pair.home / "door.json").exists()


def test_an_address_that_is_being_written_is_taken_away_afterwards(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop during a rotation: whoever withdraws waits for who writes, so no file outlives the listener."""
    listener, withdrawn = pair.serving._admin, []
    replace = atomic_file.replace

    def stops_meanwhile(path: Path, content: bytes) -> None:
        thread = threading.Thread(target=listener.withdraw)
        thread.start()
        withdrawn.append(thread)
        thread.join(0.2)
        replace(path, content)

    monkeypatch.setattr(admin, "atomic_file", SimpleNamespace(replace=stops_meanwhile))
    turn(pair, KeyKind.TLS_CA)
    for thread in withdrawn:
        thread.join(CALL)

    assert withdrawn
    assert not (pair.home / "door.json").exists()


def test_the_leaf_that_is_shown_is_in_the_metrics_with_its_end(pair: Any) -> None:
    leaf = turn(pair, KeyKind.TLS_LEAF, KeyState.ACTIVE)
    pair.serving.run_jobs()

    end = certificates.validity(pair.gateway.keyset.record(leaf).certificate)[1].timestamp()
    lines = generate_latest(telemetry.REGISTRY).decode().splitlines()
    told = [line for line in lines if line.startswith("passerelle_tls_leaf_end_seconds{")]
    assert len(told) == 3
    assert all(f'serial="{serial(pair, leaf)}"' in line for line in told)
    assert {float(line.rpartition(" ")[2]) for line in told} == {end}


def test_a_listener_that_shows_another_leaf_is_an_alarm_until_it_shows_ours(pair: Any) -> None:
    identity = pair.serving._identity
    here = {"exchange": ("127.0.0.1", pair.addresses.exchange)}
    nobody = {"exchange": ("127.0.0.1", pair.addresses.metrics)}  # no TLS there

    assert [identity.look(listeners) for listeners in (here, nobody, nobody, here)] == [
        True,
        False,
        False,
        True,
    ]
    assert alarms(pair) == ["RAISE/TLS_SHOWN", "CLEAR/TLS_SHOWN"]


def test_listeners_that_are_silent_because_the_gateway_stops_are_no_alarm(pair: Any) -> None:
    """A round may be at its look while the stop begins."""
    nobody = {"exchange": ("127.0.0.1", pair.addresses.metrics)}
    pair.serving._takes_calls.close()

    assert not pair.serving._identity.look(nobody, pair.serving._takes_calls.is_open)
    pair.serving._addresses = nobody
    pair.serving.run_jobs()

    assert alarms(pair) == []


def test_a_gateway_whose_leaf_does_not_shake_hands_does_not_serve(pair: Any) -> None:
    keyset = pair.gateway.keyset
    record = replace(
        keyset.primary(KeyKind.TLS_LEAF),
        certificate=_of_another_host(keyset, keyset.primary(KeyKind.TLS_LEAF).kid),
    )
    broken = keyset._with(record, keyset._live[record.kid])

    with pytest.raises(InternalError, match="does not shake hands"):
        tls_identity.TlsIdentity(pair.serving._identity._alarms).begin(broken)


def test_an_identity_shows_nothing_of_its_key(pair: Any) -> None:
    told = repr(pair.serving._identity())

    assert told == "Identity(…)"
