"""Every kind of key is replaced while a partner asks without pause, and nobody notices but the auditor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import pytest

from gateway.admin.operation import TwoPersons
from gateway.client import Partner, PartnerError
from gateway.domain.messages import Outcome
from gateway.errors import UserError
from gateway.exercises.drill.rotation import ONE, ORDER, TWO, Turner
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.proof import parse_proof
from gateway.ledger.signed_note import parse_note
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.store.times import utc_now
from gateway.trust.partners import own_bundle
from gateway.wire import signed_envelope
from keys import envelope
from keys.data_encryption import TAG_BYTES, tag_of
from keys.errors import KeysError
from keys.keyset import KeyKind, KeyState

ROUNDS = 0.1  # seconds between the periodic jobs' rounds of these tests


class Asking:
    """A partner that asks without pause and takes our entry as soon as it is published."""

    def __init__(self, pair: Any, people: Any) -> None:
        self._pair, self._people = pair, people
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask), threading.Thread(target=self._walk)]
        self.answers: list[Any] = []
        self.faults: list[PartnerError] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        bundle = own_bundle(self._pair.home)
        partner = self._connect(bundle)
        while not self._stop.is_set():
            newest = own_bundle(self._pair.home)
            if newest.version != bundle.version:
                partner.close()
                bundle, partner = newest, self._connect(newest)
            seed = 1 + len(self.answers) % 5
            try:
                answer = partner.query(self._people.samples(seed), **self._people.matter())
            except PartnerError as fault:
                self.faults.append(fault)
            else:
                self.answers.append(answer)
        partner.close()

    def _connect(self, bundle: Any) -> Partner:
        witness = self._pair.asker / "witness" / "CAN.checkpoint"
        return Partner.connect(
            "AUS", self._pair.keyset, bundle, address=self._pair.address, witness=witness
        )

    def _walk(self) -> None:
        while not self._stop.wait(ROUNDS):
            self._pair.serving.run_jobs()


@contextmanager
def later(home: Any, secret: Any, **by: float) -> Iterator[Gateway]:
    """Open a folder by a clock that is ahead."""
    with Gateway.open(home, secret, clock=lambda: utc_now() + timedelta(**by)) as gateway:
        yield gateway


def held(answer: Any, log: Any) -> int:
    """Return the size of the tree that a receipt stands on, as a ledger's keys verify it."""
    return int(log.open(parse_proof(answer.receipt.tlog_proof).checkpoint).size)


@pytest.mark.slow
def test_every_kind_is_rotated_while_a_partner_asks(pair: Any, people: Any) -> None:
    before = own_bundle(pair.home)
    partner = pair.partner()
    first = partner.query(people.samples(1), **people.matter())
    turner = Turner(pair.gateway, keepers_passphrase=lambda: b"the root key holders' own")

    with Asking(pair, people) as asking:
        for kind in ORDER:
            turner.rotate(kind)

    assert asking.faults == []
    assert len(asking.answers) > len(ORDER)
    assert {answer.outcome for answer in asking.answers} == {Outcome.MATCH}
    after = own_bundle(pair.home)
    assert held(first, before.log) == held(first, after.log)
    assert held(asking.answers[-1], after.log) > held(first, after.log)
    assert after.log.vkeys != before.log.vkeys
    report = self_check.verify_ledger(pair.home)
    assert report.ok
    assert report.findings == ()
    states = {
        kind: [record.state for record in pair.gateway.keyset.records if record.kind is kind]
        for kind in ORDER
    }
    assert all(
        sorted(s.value for s in each) == ["ACTIVE", "DEACTIVATED"] for each in states.values()
    )


def test_both_pairs_sign_while_one_ledger_key_follows_the_other(pair: Any, people: Any) -> None:
    """Whoever holds the older entry verifies, and so does whoever holds the newer; sizes tell nothing."""
    old = own_bundle(pair.home)
    partner = pair.partner()
    alone = partner.query(people.samples(1), **people.matter())
    pair.gateway.admin.perform(ONE, "keys.generate", {"kind": "LOG", "reason": "t"})
    pair.gateway.admin.perform(ONE, "keys.publish", {})
    new = own_bundle(pair.home)

    both = partner.query(people.samples(1), **people.matter())
    miss = partner.query(people.samples(people.unknown), **people.matter())

    proof = parse_proof(both.receipt.tlog_proof)
    assert len(parse_note(proof.checkpoint).signatures) == 4
    assert held(both, old.log) == held(both, new.log)
    assert both.envelope_size == miss.envelope_size == alone.envelope_size
    lengths = {len(parse_proof(each.receipt.tlog_proof).checkpoint) for each in (both, miss)}
    assert max(lengths) - min(lengths) <= 1  # a digit of the tree's size
    assert len(both.receipt.tlog_proof) < signed_envelope.MAX_PROOF / 4


def test_a_message_sealed_before_a_rotation_is_answered_after_it(pair: Any, people: Any) -> None:
    partner = pair.partner()
    outgoing = partner.compose(people.samples(1), **people.matter())

    with Asking(pair, people):
        Turner(pair.gateway).rotate(KeyKind.KEM)

    assert partner.send(outgoing).outcome is Outcome.MATCH


def test_an_answer_from_before_a_rotation_is_delivered_again_after_it(
    pair: Any, people: Any
) -> None:
    partner = pair.partner()
    answer = partner.query(people.samples(1), **people.matter())

    with Asking(pair, people):
        for kind in (KeyKind.LOG, KeyKind.DATA):
            Turner(pair.gateway).rotate(kind)

    assert partner.redeliver(answer.transaction_number).receipt == answer.receipt


def test_what_was_sealed_to_a_destroyed_key_opens_never_again(
    homes: Any, serve: Any, secret: Any, people: Any
) -> None:
    home = homes[0]
    with serve(*homes) as pair:
        outgoing = pair.partner().compose(people.samples(1), **people.matter())
        with Asking(pair, people):
            Turner(pair.gateway).rotate(KeyKind.KEM)
    header = outgoing.question.header
    kid = header.kem_key_id

    def opened(gateway: Gateway) -> bytes:
        key = gateway.keyset.opening(kid, gateway.keyset.record(kid).changed)
        signed = outgoing.envelope
        return envelope.open_sealed(signed.sealed, signed.header, header.payload_commitment, key)

    with later(home, secret, hours=47) as gateway:
        gateway.keys.rotation.round()
        assert opened(gateway)
    with later(home, secret, hours=49) as gateway:
        gateway.keys.rotation.round()
        with pytest.raises(KeysError):
            opened(gateway)
    with later(home, secret, hours=49) as gateway:
        record = gateway.keyset.record(kid)
        assert record.state is KeyState.DESTROYED
        assert record.wrapped == b""
        with pytest.raises(KeysError):
            opened(gateway)


def test_people_enrolled_under_an_earlier_data_key_are_found_after_it_was_followed(
    homes: Any, serve: Any, people: Any
) -> None:
    with serve(*homes) as pair:
        old = pair.gateway.keyset.data().key_id
        with Asking(pair, people):
            Turner(pair.gateway).rotate(KeyKind.DATA)
        new = pair.gateway.keyset.data().key_id
        assert pair.gateway.keys.data_key.seal(b"", b"")[:TAG_BYTES] == tag_of(new) != tag_of(old)
    with serve(*homes) as pair:  # the gallery is read again, from records under the older key
        answer = pair.partner().query(people.samples(1), **people.matter())
        assert answer.outcome is Outcome.MATCH


def test_a_new_auditor_is_taken_over_by_two_persons_and_never_twice(pair: Any) -> None:
    Turner(pair.gateway).rotate(KeyKind.AUDIT)

    record = pair.gateway.keyset.primary(KeyKind.AUDIT)
    told = [
        decode(leaf)
        for leaf in stored_ledger.iter_leaves(pair.gateway.database)
        if decode(leaf).type is EntryType.KEY
    ]
    assert record.kid.hex() in {frame.subject_reference for frame in told}
    with pytest.raises(TwoPersons):
        pair.gateway.admin.perform(
            ONE, "keys.adopt", {"public": record.public.hex(), "reason": "again"}
        )
    with pytest.raises(UserError, match="taken over before"):
        pair.gateway.admin.perform(
            TWO, "keys.adopt", {"public": record.public.hex(), "reason": "again"}
        )
