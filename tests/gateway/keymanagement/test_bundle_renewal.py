"""Keys follow each other, partners can tell, and a crash in between costs nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.keymanagement import bundle_renewal
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import Checkpoint, LogIdentity, sign_checkpoint
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import own_bundle
from keys import certificates
from keys.custody import open_custody
from keys.errors import KeyNotUsable
from keys.key_record import KeyEvent
from keys.keyset import KeyKind, Keyset, KeyState


def keyset_of(home: Any, secret: Any) -> Keyset:
    return Keyset.load(
        home / "keys" / "keyset.json", open_custody(f"file:{home}/keys/kek.json", secret)
    )


def renew(home: Any, secret: Any, key_operations: Any, *kinds: KeyKind) -> PartyBundle:
    """Rotate, two persons not waiting for anybody; return our new entry."""
    with Gateway.open(home, secret) as gateway:
        keys = key_operations(gateway)
        for kind in kinds:
            old = keys.key(kind, KeyState.ACTIVE)
            new = keys.do("keys.rotate", kind=kind.value)["key"]
            keys.do("keys.promote", keys.two, key=new, override=True)
            if kind is not KeyKind.TLS_LEAF:
                keys.do("keys.deactivate", key=old)
    return own_bundle(home)


def count(home: Any, secret: Any, kind: EntryType) -> int:
    with Gateway.open(home, secret) as gateway:
        return [decode(leaf).type for leaf in stored_ledger.iter_leaves(gateway.database)].count(
            kind
        )


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


def test_the_old_sealing_key_opens_for_48_hours(
    homes: Any, secret: Any, key_operations_of: Any
) -> None:
    old = keyset_of(homes[0], secret).kem().kid
    bundle = renew(homes[0], secret, key_operations_of, KeyKind.KEM)
    keyset, now = keyset_of(homes[0], secret), datetime.now(UTC)

    assert keyset.kem().kid != old
    assert [key.public for key in bundle.kem] == [keyset.kem().public]
    keyset.opening(old, now + timedelta(hours=47))
    with pytest.raises(KeyNotUsable):
        keyset.opening(old, now + timedelta(hours=49))


def test_a_message_sealed_before_the_rotation_is_answered_after_it(
    homes: Any, secret: Any, key_operations_of: Any, serve: Any, people: Any
) -> None:
    """A partner that holds version 1 goes on for 48 hours."""
    before = own_bundle(homes[0])
    renew(homes[0], secret, key_operations_of, KeyKind.KEM)

    with serve(*homes) as pair:
        forger = people.forger(pair)
        envelope = forger.compose(recipient=before.sealing_key(datetime.now(UTC)))
        assert forger.send(envelope).envelope.sealed


def test_answers_signed_before_the_rotation_verify_after_it(
    homes: Any, secret: Any, key_operations_of: Any
) -> None:
    old, made = keyset_of(homes[0], secret).signing(), datetime.now(UTC)
    bundle = renew(homes[0], secret, key_operations_of, KeyKind.SIGNING)
    new = keyset_of(homes[0], secret).signing()

    assert bundle.signing_key(old.key_id, made) is not None
    assert bundle.signing_key(old.key_id, soon()) is None
    assert bundle.signing_key(new.key_id, soon()) is not None
    assert keyset_of(homes[0], secret).record(old.key_id).wrapped == b""


def test_both_pins_are_published_until_the_old_leaf_steps_down(
    homes: Any, secret: Any, key_operations_of: Any
) -> None:
    before = own_bundle(homes[0])
    after = renew(homes[0], secret, key_operations_of, KeyKind.TLS_LEAF)
    keyset = keyset_of(homes[0], secret)

    assert before.tls_pins[0] in after.tls_pins
    assert len(after.tls_pins) == 2
    assert certificates.pin(keyset.tls()[1]) not in before.tls_pins
    assert after.tls_ca_pem == before.tls_ca_pem


def test_each_step_is_in_the_ledger_with_who_took_it_and_why(
    homes: Any, secret: Any, key_operations_of: Any
) -> None:
    keys = count(homes[0], secret, EntryType.KEY)

    renew(homes[0], secret, key_operations_of, KeyKind.KEM, KeyKind.SIGNING, KeyKind.TLS_LEAF)

    # three made, three promoted; the sealing and the signing key stepped down
    assert count(homes[0], secret, EntryType.KEY) == keys + 8
    assert self_check.verify_ledger(homes[0]).ok


def test_a_rotation_killed_after_the_keyset_was_saved_is_finished_by_the_next_round(
    homes: Any, secret: Any
) -> None:
    """The file has the new key, ledger and entry do not; no second key is made."""
    keyset = keyset_of(homes[0], secret)
    halfway, made = keyset.generate(KeyKind.KEM, datetime.now(UTC), reason="t", actor="t")
    halfway.save(homes[0] / "keys" / "keyset.json")

    with Gateway.open(homes[0], secret) as gateway:
        gateway.keys.rotation.round()
        assert len(gateway.keyset.records) == len(halfway.records)

    assert own_bundle(homes[0]).version == 2
    assert [key.public for key in own_bundle(homes[0]).kem] == [
        keyset.kem().public,
        halfway.record(made.kid).public,
    ]


def test_a_rotation_killed_after_the_entry_was_written_is_recorded_by_the_next_opening(
    homes: Any, secret: Any
) -> None:
    entries = count(homes[0], secret, EntryType.DIRECTORY)
    keyset, now = keyset_of(homes[0], secret), datetime.now(UTC)
    halfway, made = keyset.generate(KeyKind.KEM, now, reason="t", actor="t")
    halfway.save(homes[0] / "keys" / "keyset.json")
    bundle = bundle_renewal.successor(own_bundle(homes[0]), halfway, now, version=2)
    (homes[0] / "party.json").write_bytes(bundle.to_bytes())

    assert count(homes[0], secret, EntryType.DIRECTORY) == entries + 1
    with Gateway.open(homes[0], secret) as gateway:
        assert gateway.keys.rotation.publish("P-1") == 2
        assert gateway.keys.rotation.evidence()[made.kid].version == 2


@pytest.mark.parametrize(
    ("days", "words"),
    [(91, "rotate DIR TLS_LEAF"), (366, "SIGNING.*LOG.*TLS_LEAF.*rotate DIR LOG")],
)
def test_ended_keys_do_not_serve(homes: Any, secret: Any, days: int, words: str) -> None:
    keyset, now = keyset_of(homes[0], secret), datetime.now(UTC)
    self_check.demand_current(keyset, now)

    with pytest.raises(UserError, match=words):
        self_check.demand_current(keyset, now + timedelta(days=days))


def test_check_names_an_ended_epoch_and_goes_on(homes: Any, secret: Any) -> None:
    later = datetime.now(UTC) + timedelta(days=8)

    found = {one.name: one for one in self_check.check(homes[0], secret, later)}

    assert found["keys"].ok
    assert not found["ends: KEM"].ok
    assert "ended" in found["ends: KEM"].detail


def test_check_fails_for_an_ended_leaf(homes: Any, secret: Any) -> None:
    later = datetime.now(UTC) + timedelta(days=91)

    found = {one.name: one for one in self_check.check(homes[0], secret, later)}["keys"]

    assert not found.ok
    assert "passerelle keys rotate" in found.detail


def moved(
    keyset: Keyset, kind: KeyKind, *states: KeyState, of: bytes = b""
) -> tuple[Keyset, bytes]:
    """Return the keyset with a key moved through states, a minute apart, and its id; a new one unless named."""
    now = max(record.changed for record in keyset.records)
    if not of:
        now += timedelta(minutes=1)
        keyset, made = keyset.generate(kind, now, reason="t", actor="t")
        of = made.kid
    for state in states:
        now += timedelta(minutes=1)
        keyset, _ = keyset.transition(of, state, now, "t", "t")
    return keyset, of


def test_a_ledger_is_verified_with_the_pair_that_signs_and_those_before_and_after_it(
    homes: Any, secret: Any
) -> None:
    keyset = keyset_of(homes[0], secret)
    first = keyset.log().public

    announced, kid = moved(keyset, KeyKind.LOG)
    before = bundle_renewal.log_of(announced, "log")
    promoted, _ = moved(announced, KeyKind.LOG, KeyState.ACTIVE, of=kid)
    after = bundle_renewal.log_of(promoted, "log")

    second = announced.record(kid).public
    assert before == LogIdentity.from_public("log", first, [second])
    assert after == LogIdentity.from_public("log", second, [first])
    assert [key.public for key in announced.log_keys()] == [first, second]
    assert [key.public for key in promoted.log_keys()] == [second, first]


def test_a_pair_that_left_vouches_for_what_it_signed_before_and_for_nothing_new(
    homes: Any, secret: Any
) -> None:
    """Whoever stole a retired pair would sign fresh checkpoints with it, and partners would believe them."""
    keyset = keyset_of(homes[0], secret)
    old, gone = keyset.log(), keyset.primary(KeyKind.LOG).kid
    promoted, _ = moved(keyset, KeyKind.LOG, KeyState.ACTIVE)
    retired, _ = moved(promoted, KeyKind.LOG, KeyState.DEACTIVATED, of=gone)
    log, left = bundle_renewal.log_of(retired, "log"), retired.record(gone).not_after
    checkpoint = Checkpoint("log", 1, bytes(32))

    assert log.past == ()
    before = sign_checkpoint(checkpoint, old, left - timedelta(minutes=1))
    after = sign_checkpoint(checkpoint, old, left + timedelta(minutes=2))
    assert log.open(before) == checkpoint
    with pytest.raises(NoteRefused):
        log.open(after)


def test_a_compromised_pair_vouches_for_nothing_also_after_its_destruction(
    homes: Any, secret: Any
) -> None:
    """Else whoever stole it would be believed again once we destroyed our own copy."""
    keyset, kid = moved(keyset_of(homes[0], secret), KeyKind.LOG, KeyState.ACTIVE)
    stolen = keyset.record(kid).public

    for states in ([KeyState.COMPROMISED], [KeyState.DESTROYED]):
        keyset, _ = moved(keyset, KeyKind.LOG, *states, of=kid)
        assert bundle_renewal.log_of(keyset, "log").past == ()
        assert (
            LogIdentity.from_public("log", stolen).vkeys
            in bundle_renewal.log_of(keyset, "log", every=True).past
        )


def test_a_compromised_signing_key_is_published_never_again(homes: Any, secret: Any) -> None:
    keyset, kid = moved(keyset_of(homes[0], secret), KeyKind.SIGNING, KeyState.ACTIVE)
    own, now = own_bundle(homes[0]), soon() + timedelta(hours=1)
    stolen = keyset.record(kid).public

    for states in ([KeyState.COMPROMISED], [KeyState.DESTROYED]):
        keyset, _ = moved(keyset, KeyKind.SIGNING, *states, of=kid)
        told = bundle_renewal.successor(own, keyset, now, version=2)
        assert stolen not in [key.public for key in told.signing]


@pytest.mark.parametrize("kind", [KeyKind.LOG, KeyKind.AUDIT], ids=["log", "audit"])
def test_the_last_key_that_the_ledger_needs_is_not_stopped(
    homes: Any, secret: Any, kind: KeyKind
) -> None:
    """Without it nothing could be recorded any more, its own repair neither."""
    with Gateway.open(homes[0], secret) as gateway:
        kid = gateway.keyset.primary(kind).kid
        before = gateway.keyset

        with pytest.raises(UserError, match="first"):
            gateway.keys.active.change(
                lambda keyset, now: _one(
                    keyset.transition(kid, KeyState.SUSPENDED, now, "doubt", "O-1")
                ),
                actor="O-1",
            )

        assert gateway.keyset is before
        gateway.record(EntryType.START)


def _one(moved: tuple[Keyset, KeyEvent]) -> tuple[Keyset, tuple[KeyEvent, ...]]:
    return moved[0], (moved[1],)
