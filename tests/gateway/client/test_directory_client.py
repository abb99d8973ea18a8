"""A partner's view of us keeps up by itself: a stale key is met once, and the envelope written anew."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import errors
from gateway.client import DirectoryRefused, KeyStale, Partner
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import Directory, own_bundle
from keys.errors import KeyNotUsable
from keys.keyset import Keyset
from keys.lifecycle import KEM_WINDOW, KeyKind, KeyState


def rotate(gateway: Any, kind: KeyKind = KeyKind.KEM) -> None:
    """Put a new key of a kind in the place of the old one, which is refused from now on, and publish it."""

    def decide(keyset: Keyset, now: Any) -> Any:
        old = keyset.primary(kind)
        keyset, made = keyset.generate(kind, now, reason="test", actor="O-1")
        keyset, up = keyset.transition(made.kid, KeyState.ACTIVE, now, "test", "O-1")
        keyset, down = keyset.transition(old.kid, KeyState.SUSPENDED, now, "test", "O-1")
        return keyset, (made, up, down)

    gateway.keys.active.change(decide, actor="O-1")
    gateway.keys.active.publish(actor="O-1")


def test_a_letter_sealed_to_a_stale_key_is_written_anew_once(pair: Any, people: Any) -> None:
    partner = pair.partner()
    before = partner.peer
    outgoing = partner.compose(people.samples(1), **people.matter())
    rotate(pair.gateway)

    answer = partner.send(outgoing)

    assert partner.peer.version == before.version + 1
    assert answer.transaction_number == outgoing.question.number
    assert answer.receipt
    with pair.gateway.database.reader() as reader:
        assert reader is not None
    assert partner.redeliver(outgoing.question.number).outcome is answer.outcome


def test_a_partner_without_an_anchor_is_told_to_import_by_hand(pair: Any, people: Any) -> None:
    from dataclasses import replace

    by_hand = replace(own_bundle(pair.home), root=None)
    with Partner.connect("AUS", pair.keyset, by_hand, address=pair.address) as partner:
        outgoing = partner.compose(people.samples(1), **people.matter())
        rotate(pair.gateway)

        with pytest.raises(KeyStale, match="import the partner's new bundle"):
            partner.send(outgoing)
        assert partner.peer is by_hand


def test_what_is_learnt_is_kept_for_the_next_process(pair: Any, people: Any) -> None:
    """`Partner.open` writes the newer bundle into parties/, durably, and keeps the metadata beside the witness."""
    folder = Directory(pair.asker / "parties", "AUS")
    witness = pair.asker / "witness" / "CAN.checkpoint"
    with Partner.connect(
        "AUS",
        pair.keyset,
        folder.party("CAN"),
        address=pair.address,
        witness=witness,
        keep=folder.update_bundle,
    ) as partner:
        rotate(pair.gateway)
        partner.query(people.samples(1), **people.matter())

    kept = PartyBundle.parse((pair.asker / "parties" / "CAN.json").read_bytes())
    assert kept == own_bundle(pair.home)
    assert (pair.asker / "witness" / "CAN.tuf" / "timestamp.json").is_file()


def test_a_directory_is_read_when_its_time_is_over(pair: Any) -> None:
    with Partner.connect(
        "AUS", pair.keyset, own_bundle(pair.home), address=pair.address, refresh=0.0
    ) as partner:
        rotate(pair.gateway, KeyKind.SIGNING)
        capabilities = partner.capabilities()

        assert partner.peer.version == capabilities.directory_version
        assert partner.peer == own_bundle(pair.home)


def test_an_answer_under_a_key_of_today_is_judged_by_the_newest_bundle(pair: Any) -> None:
    """Our view is behind, the answer is good: it is believed after the directory was read, not before."""
    partner = pair.partner()
    before = partner.peer.version
    rotate(pair.gateway, KeyKind.SIGNING)

    partner.capabilities()

    assert partner.peer.version == before + 1


def test_a_view_is_renewed_while_many_threads_ask(pair: Any) -> None:
    partner = pair.partner()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(4):
                partner.capabilities()
        except BaseException as fault:  # noqa: BLE001 - told below
            failed.append(fault)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    rotate(pair.gateway)
    for thread in threads:
        thread.join()

    assert failed == []
    assert partner.peer == own_bundle(pair.home)


def test_a_key_that_is_stopped_between_two_steps_is_stale_and_no_fault(
    pair: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the key (7) and the opening (10) an operator may act; once in some hundred tries one did."""
    envelope, looked = people.forger(pair).compose(), []
    real = Keyset.opening

    def once(keyset: Keyset, kid: bytes, now: Any = None) -> Any:
        looked.append(kid)
        if len(looked) > 1:
            raise KeyNotUsable("stopped meanwhile")
        return real(keyset, kid, now)

    monkeypatch.setattr(Keyset, "opening", once)
    with pytest.raises(errors.KeyStale):
        pair.serving.pipeline.handle(people.call(envelope))

    assert len(looked) == 2


def test_a_new_leaf_of_ours_is_met_on_a_new_line(pair: Any) -> None:
    partner = pair.partner()

    def decide(keyset: Keyset, now: Any) -> Any:
        keyset, made = keyset.generate(KeyKind.TLS_LEAF, now, reason="test", actor="O-1")
        keyset, up = keyset.transition(made.kid, KeyState.ACTIVE, now, "test", "O-1")
        return keyset, (made, up)

    pair.gateway.keys.active.change(decide, actor="O-1")
    pair.gateway.keys.active.publish(actor="O-1")

    assert partner.refresh()
    assert len(partner.peer.tls_pins) == 2
    assert not partner.refresh()
    partner.capabilities()


def test_a_rolled_back_gateway_is_refused_and_the_newer_view_stays(
    pair: Any, tmp_path: Path
) -> None:
    """The folder of yesterday, put back whole: its signatures are good, and it is refused all the same."""
    directory = pair.home / "directory"
    shutil.copytree(directory, tmp_path / "yesterday")
    partner = pair.partner()
    rotate(pair.gateway)
    assert partner.refresh()
    seen = partner.peer
    shutil.rmtree(directory)
    shutil.copytree(tmp_path / "yesterday", directory)

    with pytest.raises(DirectoryRefused, match="stays"):
        partner.refresh()
    assert partner.peer is seen


def test_the_window_of_a_retired_key_needs_no_new_letter(pair: Any, people: Any) -> None:
    partner = pair.partner()
    outgoing = partner.compose(people.samples(1), **people.matter())

    def decide(keyset: Keyset, now: Any) -> Any:
        old = keyset.primary(KeyKind.KEM)
        keyset, made = keyset.generate(KeyKind.KEM, now, reason="test", actor="O-1")
        keyset, up = keyset.transition(made.kid, KeyState.ACTIVE, now, "test", "O-1")
        keyset, down = keyset.transition(old.kid, KeyState.DEACTIVATED, now, "test", "O-1")
        return keyset, (made, up, down)

    pair.gateway.keys.active.change(decide, actor="O-1")
    pair.gateway.keys.active.publish(actor="O-1")
    answer = partner.send(outgoing)

    assert timedelta(hours=48) == KEM_WINDOW
    assert partner.peer.version == 1
    assert answer.transaction_number == outgoing.question.number
