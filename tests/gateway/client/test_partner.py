"""A whole conversation over real mTLS: asked, answered, believed, remembered; or refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.client import (
    AnswerRejected,
    DeadlineExceeded,
    KeyStale,
    NothingToRedeliver,
    Partner,
    ReceiptMissing,
    Refused,
    SplitView,
    Unreachable,
)
from gateway.client.request_builder import Unaskable
from gateway.domain.messages import (
    Compression,
    Outcome,
    PriorTransaction,
    Purpose,
    RecordFormat,
    Sample,
    State,
)
from gateway.ledger import signed_note
from gateway.sample_files.ansi_nist import text_record
from gateway.v1 import exchange_pb2
from gateway.wire import signed_envelope
from keys import envelope
from tests.ansi_nist_writer import image, print_image, transaction
from tests.gateway.sample_files.test_picture_text import chunk, png
from tests.patience import CALL


def leave(_: object) -> None:
    """Change nothing."""


def ask(partner: Partner, sample: Sample, matter: Any, **more: Any) -> Any:
    return partner.query([sample], **{**matter, **more})


def test_a_query_is_answered_and_its_receipt_kept(
    partner: Any, sample: Any, matter: Any, answering_server: Any, kept_in: Path
) -> None:
    answer = ask(partner, sample, matter)

    assert answer.outcome is Outcome.NO_MATCH
    assert (answer.receipt_index, answer.checkpoint_size, answer.attempts) == (5, 6, 1)
    assert 0 < answer.crypto_seconds < answer.seconds
    kept = signed_note.open_checkpoint(
        kept_in.read_bytes(), *answering_server.gateway.bundle.log.vkeys
    )
    assert kept.size == 6


def test_a_query_hides_what_it_holds_in_one_size_class(
    partner: Any, sample: Any, matter: Any
) -> None:
    """Protocol 6: number-only and print queries look alike."""
    by_print = partner.compose([sample], **matter)
    by_number = partner.compose(PriorTransaction("20260301-aa"), **matter)

    sizes = {len(outgoing.envelope.sealed) for outgoing in (by_print, by_number)}
    assert sizes == {65_536 + envelope.OVERHEAD + envelope.SALT_BYTES}


def test_images_that_no_size_class_holds_are_not_sent(
    partner: Any, sample: Any, matter: Any
) -> None:
    def images(number: int) -> list[Any]:
        one = replace(sample, format=RecordFormat.PNG, compression=Compression.PNG)
        return [
            replace(one, position=at, data=png(chunk(b"IDAT", bytes([at]) * ((1 << 20) - 100))))
            for at in range(1, number + 1)
        ]

    large = partner.compose(images(1), **matter).envelope.sealed
    assert len(large) == 2_097_152 + envelope.OVERHEAD + envelope.SALT_BYTES
    with pytest.raises(Unaskable, match="compress images, or send fewer"):
        partner.compose(images(3), **matter)


def test_text_about_a_person_never_leaves_in_a_sample(
    partner: Any, sample: Any, matter: Any
) -> None:
    """The library looks itself: not everybody who asks has read the file by a command of ours."""
    person = (2, 0, text_record(2, {2: b"00", 18: b"CANARY"}))
    one = replace(sample, format=RecordFormat.ANSI_NIST)
    clean = replace(one, data=transaction(print_image(2, bytes(6))))
    named = replace(one, data=transaction(person, print_image(2, bytes(6))))
    noted = replace(one, data=transaction(image(14, 1, {20: b"CANARY"})))

    assert partner.compose([clean], **matter)
    for each in (named, noted):
        with pytest.raises(Unaskable, match="BIOGRAPHIC_IN_QUERY") as caught:
            partner.compose([each], **matter)
        assert "CANARY" not in str(caught.value)
    with pytest.raises(Unaskable, match="not of its format"):
        partner.compose([replace(one, data=named.data[:-1])], **matter)


def test_no_two_questions_share_anything_secret(partner: Any, sample: Any, matter: Any) -> None:
    one, other = (partner.compose([sample], **matter).question for _ in range(2))

    assert one.reply_key.key_id != other.reply_key.key_id
    assert one.message_id != other.message_id
    assert one.number != other.number
    assert one.reply_key.key_id.hex() not in repr(one)


def test_a_number_given_by_the_caller_is_used(partner: Any, sample: Any, matter: Any) -> None:
    assert (
        ask(partner, sample, matter, transaction_number="case-0001").transaction_number
        == "case-0001"
    )


def test_capabilities_state_and_checkpoint(partner: Any) -> None:
    assert partner.capabilities().purposes == (Purpose.TRAVEL_ENTER_REMAIN,)
    assert partner.state("20260301-aa").state is State.DECIDED
    assert partner.checkpoint().size == 7


def test_a_lost_answer_is_delivered_again(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    """The answer was made and recorded, and never arrived."""
    number = "lost-0001"

    def lose(response: Any) -> None:
        answering_server.tamper = leave
        response.envelope.ClearField("signature")

    answering_server.tamper = lose
    with pytest.raises(AnswerRejected):
        ask(partner, sample, matter, transaction_number=number)
    answering_server.gateway.log.grow(
        3
    )  # meanwhile others were answered, and we saw the ledger grow
    partner.checkpoint()

    answer = partner.redeliver(number)

    assert answer.receipt_index == 5
    assert answer.transaction_number == number


def test_what_was_never_asked_here_cannot_be_redelivered(partner: Any) -> None:
    with pytest.raises(NothingToRedeliver) as caught:
        partner.redeliver("20260301-aa")

    assert caught.value.transaction_number == "20260301-aa"


def test_a_redelivery_of_another_answer_is_refused(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    first = ask(partner, sample, matter)
    other = ask(partner, sample, matter)
    stored = answering_server.gateway.stored
    stored[first.transaction_number] = stored[other.transaction_number]

    with pytest.raises(AnswerRejected):
        partner.redeliver(first.transaction_number)


def test_the_same_outgoing_sent_twice_is_the_same_bytes(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    outgoing = partner.compose([sample], **matter)

    partner.send(outgoing)
    partner.send(outgoing)

    assert len(set(answering_server.calls)) == 1


def test_a_busy_peer_gets_the_same_bytes_again(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    waits = iter([True, True, False])

    def busy(context: grpc.ServicerContext) -> None:
        if next(waits):
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "10"),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    answering_server.unwilling = busy

    answer = ask(partner, sample, matter)

    assert answer.attempts == 3
    assert len(set(answering_server.calls)) == 1


def test_a_late_answer_leaves_the_number_to_ask_with(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    answering_server.unwilling = lambda _: time.sleep(0.6)

    with pytest.raises(DeadlineExceeded) as caught:
        ask(partner, sample, matter, deadline=0.3)

    answering_server.unwilling = leave
    assert partner.state(caught.value.transaction_number).state is State.DECIDED


# The ledger of the peer


def test_the_ledger_may_grow_and_is_proved_to(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    ask(partner, sample, matter)
    answering_server.gateway.log.grow(10)

    assert ask(partner, sample, matter).checkpoint_size == 17
    assert answering_server.proofs == 1


def test_a_smaller_tree_is_evidence(
    partner: Any, sample: Any, matter: Any, answering_server: Any, kept_in: Path
) -> None:
    """Restored from backup: the ledger forgot what it had promised."""
    answering_server.gateway.log.grow(10)
    ask(partner, sample, matter)
    before = kept_in.read_bytes()
    answering_server.gateway.log = answering_server.gateway.log.fork(3)

    with pytest.raises(SplitView) as caught:
        ask(partner, sample, matter, transaction_number="split-0001")

    assert caught.value.transaction_number == "split-0001"
    evidence = json.loads(caught.value.evidence.read_bytes())
    assert evidence["kept"].encode() == before == kept_in.read_bytes()
    assert caught.value.evidence.parent == kept_in.parent


def test_a_forked_tree_is_evidence(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    ask(partner, sample, matter)
    answering_server.gateway.log = answering_server.gateway.log.fork(4)
    answering_server.gateway.log.grow(20, b"another history")

    with pytest.raises(SplitView, match="rewritten"):
        ask(partner, sample, matter)
    with pytest.raises(SplitView):
        partner.checkpoint()


def test_a_fork_is_noticed_by_the_next_process(
    partner: Any, answering_server: Any, keysets: Any, kept_in: Path
) -> None:
    partner.checkpoint()
    answering_server.gateway.log = answering_server.gateway.log.fork(4)
    answering_server.gateway.log.grow(20, b"another history")

    with (
        Partner.connect(
            "AUS", keysets["AUS"], answering_server.gateway.bundle, witness=kept_in
        ) as again,
        pytest.raises(SplitView),
    ):
        again.checkpoint()


def test_a_checkpoint_that_went_back_is_evidence(partner: Any, answering_server: Any) -> None:
    partner.checkpoint()
    answering_server.gateway.log = answering_server.gateway.log.fork(4)

    with pytest.raises(SplitView, match="backwards"):
        partner.checkpoint()


def test_a_checkpoint_of_other_keys_is_rejected(
    partner: Any, answering_server: Any, keysets: Any
) -> None:
    answering_server.gateway.log.key = keysets["NZL"].log()

    with pytest.raises(AnswerRejected, match="checkpoint"):
        partner.checkpoint()


def test_many_threads_ask_at_once(
    partner: Any, sample: Any, matter: Any, answering_server: Any, kept_in: Path
) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(lambda _: ask(partner, sample, matter), range(24)))

    assert {one.outcome for one in asked} == {Outcome.NO_MATCH}
    assert len({one.receipt_index for one in asked}) == 24
    kept = signed_note.open_checkpoint(
        kept_in.read_bytes(), *answering_server.gateway.bundle.log.vkeys
    )
    assert kept.size == max(one.checkpoint_size for one in asked)


def test_a_ledger_that_refuses_to_prove_is_not_accused(partner: Any, answering_server: Any) -> None:
    """Denied is not disproved; the answer is not believed, and nobody is convicted."""
    partner.checkpoint()
    answering_server.gateway.log.grow(3)
    answering_server.reluctant = lambda context: context.abort(
        grpc.StatusCode.PERMISSION_DENIED, "no"
    )

    with pytest.raises(Refused):
        partner.checkpoint()


def test_old_reply_keys_are_forgotten(
    partner: Any, sample: Any, matter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.partner.PENDING", 2)
    numbers = [ask(partner, sample, matter).transaction_number for _ in range(3)]

    with pytest.raises(NothingToRedeliver):
        partner.redeliver(numbers[0])
    assert partner.redeliver(numbers[2]).transaction_number == numbers[2]


# What is no answer


def test_no_receipt_no_answer(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    answering_server.tamper = lambda response: response.ClearField("receipt")

    with pytest.raises(ReceiptMissing):
        ask(partner, sample, matter)


def test_a_payload_of_a_wrong_form_is_no_answer(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    answering_server.gateway.payload = lambda _: b"\xff\xff\xff"

    with pytest.raises(AnswerRejected, match="payload"):
        ask(partner, sample, matter)


def test_a_hit_for_one_query_is_no_answer_to_another(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    """Forwarding: the envelope of one exchange, with its own true receipt, in the place of another."""
    first = partner.compose([sample], **matter)
    signed, receipt = answering_server.gateway.answer(first.envelope)

    def swap(response: Any) -> None:
        response.CopyFrom(
            exchange_pb2.SubmitQueryResponse(
                envelope=signed_envelope.envelope_of(signed),
                receipt=signed_envelope.receipt_message(receipt),
            )
        )

    answering_server.tamper = swap

    with pytest.raises(AnswerRejected):
        ask(partner, sample, matter)


def test_a_tampered_question_is_sent_as_it_is(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    """For demonstrations and tests of the peer: the bytes are the caller's."""
    outgoing = partner.compose([sample], **matter)
    flipped = bytes([outgoing.envelope.signature[0] ^ 1]) + outgoing.envelope.signature[1:]
    tampered = replace(outgoing, envelope=replace(outgoing.envelope, signature=flipped))

    partner.send(tampered)

    assert flipped in answering_server.calls[0]


# Keys and connections


def test_a_bundle_whose_key_has_not_begun_asks_nothing(
    answering_server: Any, keysets: Any, sample: Any, matter: Any
) -> None:
    kem = tuple(
        replace(key, not_before=key.not_before + timedelta(days=1))
        for key in answering_server.gateway.bundle.kem
    )
    stale = replace(answering_server.gateway.bundle, kem=kem)

    with (
        Partner.connect("AUS", keysets["AUS"], stale) as partner,
        pytest.raises(KeyStale, match="import its new one"),
    ):
        ask(partner, sample, matter)

    assert not answering_server.calls


@pytest.mark.usefixtures("asked_once")
def test_a_peer_of_another_authority_is_unreachable(
    answering_server: Any, keysets: Any, sample: Any, matter: Any
) -> None:
    """Whoever answers at the address must have a leaf of the authority in the bundle."""
    other = replace(answering_server.gateway.bundle, tls_ca_pem=keysets["NZL"].tls_ca_pem)

    with (
        Partner.connect("AUS", keysets["AUS"], other) as partner,
        pytest.raises(Unreachable),
    ):
        ask(partner, sample, matter, deadline=CALL)

    assert not answering_server.calls


@pytest.mark.usefixtures("asked_once")
def test_a_party_that_the_peer_does_not_know_is_unreachable(
    answering_server: Any, keysets: Any, sample: Any, matter: Any
) -> None:
    with (
        Partner.connect("NZL", keysets["NZL"], answering_server.gateway.bundle) as partner,
        pytest.raises(Unreachable),
    ):
        ask(partner, sample, matter, deadline=CALL)


def test_a_partner_speaks_tls_1_3_and_no_less() -> None:
    """Also in a program that used gRPC before us: what it reads of the environment, it reads once a process."""
    script = Path(__file__).with_name("probe_tls.py")

    told = subprocess.run([sys.executable, str(script)], capture_output=True, check=True, text=True)

    assert json.loads(told.stdout) == {
        "TLSv1_2": None,
        "TLSv1_3": "TLSv1.3",
        "refused": "TLSv1_2",
    }


def test_a_refusal_keeps_its_place_in_the_tree(
    partner: Any, sample: Any, matter: Any, answering_server: Any
) -> None:
    answering_server.unwilling = lambda context: context.abort(grpc.StatusCode.UNIMPLEMENTED, "no")

    with pytest.raises(Refused) as caught:
        ask(partner, sample, matter)

    assert (caught.value.code, caught.value.reason) == ("UNIMPLEMENTED", "")


def test_a_closed_partner_forgets(
    answering_server: Any, keysets: Any, sample: Any, matter: Any
) -> None:
    with Partner.connect("AUS", keysets["AUS"], answering_server.gateway.bundle) as partner:
        number = ask(partner, sample, matter).transaction_number

    with pytest.raises(NothingToRedeliver):
        partner.redeliver(number)
    with pytest.raises(Unreachable):
        ask(partner, sample, matter)
