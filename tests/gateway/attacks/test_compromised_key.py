"""What a thief can still do with a key once one person has named it: nothing, from the next call on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.admin.operation import Officer
from gateway.client import AnswerRejected, Partner
from gateway.domain.messages import About, Operation
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import Checkpoint, sign_checkpoint
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import UnknownParty, own_bundle, without
from gateway.wire import query_payload
from keys import certificates
from keys.envelope import SealingKey
from keys.keyset import KeyKind, KeyState
from keys.signatures import VerifyingKey
from tests.patience import CALL

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))


def stop(pair: Any, kid: bytes, partner: str = "") -> Any:
    earlier = (pair.gateway.clock() - timedelta(hours=1)).isoformat()
    return pair.gateway.admin.perform(
        OPERATOR, "keys.compromised", {"key": kid.hex(), "since": earlier, "partner": partner}
    )


def signing_kid(home: Any) -> bytes:
    return VerifyingKey(own_bundle(home).signing[0].public).key_id


def test_a_message_sealed_to_a_suspended_key(pair: Any, forger: Any) -> None:
    """The thief reads what is sealed to it: nothing sealed to it is taken, and the sender learns the version."""
    envelope = forger.compose()  # sealed while the key was good

    version = stop(pair, pair.gateway.keyset.kem().kid)["directory_version"]

    with pytest.raises(grpc.RpcError) as refused:
        forger.send(envelope)
    assert forger.verdict(refused.value) == ("FAILED_PRECONDITION", "KEY_STALE")
    assert version == own_bundle(pair.home).version


def test_whoever_has_the_new_entry_is_answered_at_once(pair: Any, forger: Any) -> None:
    """The successor is announced by one person and opens before two have promoted it."""
    stop(pair, pair.gateway.keyset.kem().kid)
    own = own_bundle(pair.home)

    envelope = forger.compose(
        recipient=own.sealing_key(datetime.now(UTC) + timedelta(seconds=1)),
        directory_version=own.version,
    )

    assert forger.send(envelope).envelope.sealed


def test_a_message_replayed_after_its_key_was_stopped(pair: Any, forger: Any) -> None:
    """Also the stored reply is not handed out again: the key decides before the replay table."""
    envelope = forger.compose()
    assert forger.send(envelope).envelope.sealed

    stop(pair, pair.gateway.keyset.kem().kid)

    assert forger.refused(envelope) == ("FAILED_PRECONDITION", "KEY_STALE")


def test_an_answer_signed_by_a_suspended_key(pair: Any, people: Any) -> None:
    """A thief answers in our place with the old key; a partner that has our new entry believes nothing of it."""
    old = signing_kid(pair.home)
    thief = without(
        own_bundle(pair.home), frozenset({old})
    )  # the entry as it will be, the key still in use

    with (
        Partner.connect("AUS", pair.keyset, thief, address=pair.address) as partner,
        pytest.raises(AnswerRejected) as rejected,
    ):
        partner.query(people.samples(1), **people.matter())
    assert rejected.value.step == "signature"

    stop(pair, old)
    assert own_bundle(pair.home).signing_key(old, datetime.now(UTC)) is None


def test_a_message_signed_by_a_partners_stolen_key(pair: Any, forger: Any) -> None:
    """The partner told us by telephone; its bundle still says that the key is good."""
    assert forger.send(forger.compose()).envelope.sealed

    stop(pair, signing_kid(pair.asker), "AUS")

    assert forger.refused(forger.compose()) == ("UNAUTHENTICATED", "ENVELOPE_REJECTED")


def test_nothing_is_sealed_to_a_partners_stolen_key(pair: Any) -> None:
    """The other direction, of the same order: our own questions do not go to whoever reads them."""
    kid = SealingKey(own_bundle(pair.asker).kem[0].public).key_id
    now = pair.gateway.clock()
    sealing = pair.gateway.directory.partners.party("AUS").sealing_key(now)
    assert sealing is not None
    assert sealing.key_id == kid

    stop(pair, kid, "AUS")

    assert pair.gateway.directory.partners.party("AUS").sealing_key(now) is None
    transport = pair.gateway.outbound.worker._connections("AUS")
    operation = Operation.GET_CAPABILITIES
    assert (
        transport.write(
            operation, lambda key: query_payload.reply_key_bytes(key, operation), About(), 0
        )
        is None
    )


def test_an_answer_of_a_partner_by_its_stolen_key(pair: Any, people: Any, secret: Any) -> None:
    """The gateway that asks has marked the key; the gateway that answers still signs with it."""
    kid = signing_kid(pair.home)
    with Gateway.open(pair.asker, secret) as asker:
        earlier = (asker.clock() - timedelta(hours=1)).isoformat()
        asker.admin.perform(
            OPERATOR, "keys.compromised", {"key": kid.hex(), "since": earlier, "partner": "CAN"}
        )
        with (
            Partner.connect(
                "AUS", pair.keyset, asker.directory.partners.party("CAN"), address=pair.address
            ) as partner,
            pytest.raises(AnswerRejected) as rejected,
        ):
            partner.query(people.samples(1), **people.matter())

    assert rejected.value.step == "signature"


def test_a_live_connection_of_a_refused_leaf(pair: Any, people: Any) -> None:
    """TLS goes on; the pin is asked for on every call (keys.md section 9)."""
    partner = pair.partner()
    partner.query(people.samples(1), **people.matter())
    leaf = pair.keyset.primary(KeyKind.TLS_LEAF).certificate

    stop(pair, certificates.pin(leaf), "AUS")

    with pytest.raises(people.refused) as refused:
        partner.query(people.samples(1), deadline=CALL, **people.matter())
    assert refused.value.reason == "CERTIFICATE_NOT_PINNED"


def test_a_refused_authority_lets_nobody_in(pair: Any, people: Any) -> None:
    """Neither a new connection nor a live one, and nobody of ours calls there."""
    partner = pair.partner()
    partner.query(people.samples(1), **people.matter())
    authority = own_bundle(pair.asker).tls_ca_pem

    stop(pair, certificates.pin(authority), "AUS")

    with pytest.raises(people.refused) as refused:
        partner.query(people.samples(1), deadline=CALL, **people.matter())
    assert refused.value.reason == "CERTIFICATE_NOT_PINNED"
    assert pair.gateway.directory.partners.authorities() == b""
    with pytest.raises(UnknownParty):
        pair.gateway.directory.partners.party("AUS")


def test_a_newer_bundle_that_still_has_the_stolen_key(pair: Any, forger: Any) -> None:
    """Whoever took the key may have taken the telephone too: the mark is on the key, not on the version."""
    kid = signing_kid(pair.asker)
    stop(pair, kid, "AUS")
    newer = replace(own_bundle(pair.asker), version=2)

    put(pair, newer)

    assert pair.gateway.directory.partners.stated()[0].version == 2
    assert forger.refused(forger.compose()) == ("UNAUTHENTICATED", "ENVELOPE_REJECTED")


def test_an_old_directory_put_back(pair: Any, forger: Any, people: Any) -> None:
    """The partner has a new key and a new bundle; the old file, put back, brings the old key back to nobody."""
    old = own_bundle(pair.asker)
    fresh, made = pair.keyset.generate(
        KeyKind.SIGNING, datetime.now(UTC), reason="stolen", actor=""
    )
    public = fresh.record(made.kid).public
    stop(pair, signing_kid(pair.asker), "AUS")
    put(pair, replace(old, version=2, signing=(replace(old.signing[0], public=public),)))
    assert pair.gateway.directory.partners.party("AUS").version == 2

    put(pair, old)

    assert pair.gateway.directory.partners.stated()[0].version == 2
    assert pair.gateway.directory.partners.faults
    assert forger.refused(forger.compose()) == ("UNAUTHENTICATED", "ENVELOPE_REJECTED")


def put(pair: Any, bundle: PartyBundle) -> None:
    file = pair.home / "parties" / "AUS.json"
    new = file.with_suffix(".new")
    new.write_bytes(bundle.to_bytes())
    new.rename(file)


def test_the_thief_cannot_undo_it_by_naming_another_partner(pair: Any, forger: Any) -> None:
    """A mark against one party says nothing of another's key of the same id, and frees none."""
    kid = signing_kid(pair.asker)
    stop(pair, kid, "AUS")

    assert pair.gateway.directory.blocklist.of("NZL") == frozenset()
    assert pair.gateway.directory.blocklist.of("AUS") == {kid}


def test_a_checkpoint_signed_by_a_stopped_pair(pair: Any, people: Any, tmp_path: Path) -> None:
    """What the ledger's pair signed before stays the ledger's own; what a thief signs after it is nobody's.

    The partner's kept checkpoint and our own verification go on over the change of pairs.
    """
    kept = tmp_path / "checkpoint"
    pair.partner(witness=kept).query(people.samples(1), **people.matter())
    old = pair.gateway.keyset.log()
    said = stop(pair, pair.gateway.keyset.primary(KeyKind.LOG).kid)
    pair.gateway.keys.active.change(
        lambda keyset, now: _one(
            keyset.transition(bytes.fromhex(said["successor"]), KeyState.ACTIVE, now, "", "")
        ),
        actor="P-1",
    )
    pair.gateway.keys.active.publish(actor="P-1")

    log = own_bundle(pair.home).log
    assert log.past == ()
    assert log.open(kept.read_bytes()).size > 0
    later = datetime.now(UTC) + timedelta(minutes=2)
    forged = sign_checkpoint(Checkpoint(log.origin, 1000, bytes(32)), old, later)
    with pytest.raises(NoteRefused):
        log.open(forged)
    assert pair.partner(witness=kept).query(people.samples(1), **people.matter())
    assert self_check.verify_ledger(pair.home).ok


def _one(moved: Any) -> Any:
    return moved[0], (moved[1],)
