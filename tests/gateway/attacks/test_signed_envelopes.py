"""What an attacker, or a careless client, can do to an envelope: each is refused, recorded, and tells nothing."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import calendar_bounds
from gateway.domain.messages import Biometrics, MessageType, Modality, RecordFormat, SignedEnvelope
from gateway.errors import PasserelleError, Refusal
from gateway.server import self_check
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire import signed_envelope
from keys import signatures
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import SigningKey

REJECTED = ("UNAUTHENTICATED", "ENVELOPE_REJECTED")


def reason_of(pair: Any, people: Any, envelope: SignedEnvelope) -> str:
    """Walk the pipeline without the listeners; anything but a Refusal is a failure of the gateway."""
    with pytest.raises(Refusal) as caught:
        pair.serving.pipeline.handle(people.call(envelope))
    return caught.value.reason


def test_a_lawful_letter_is_answered(shared_forger: Any) -> None:
    """The control: without it the refusals below would prove nothing."""
    assert shared_forger.send(shared_forger.compose()).HasField("receipt")


@pytest.fixture(scope="module")
def lawful(shared_forger: Any) -> SignedEnvelope:
    return shared_forger.compose()


@settings(max_examples=60)
@given(data=st.data())
def test_no_flipped_bit_of_an_envelope_is_accepted(
    shared_pair: Any, people: Any, lawful: SignedEnvelope, data: st.DataObject
) -> None:
    """Every flip is refused before decryption or at it, and none crashes (protocol 2)."""
    part = data.draw(st.sampled_from(["header", "sealed", "signature"]))
    octets = bytearray(getattr(lawful, part))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= 1 << data.draw(st.integers(0, 7))

    reason = reason_of(shared_pair, people, replace(lawful, **{part: bytes(octets)}))

    assert reason in {
        "ENVELOPE_REJECTED",
        "HEADER_INVALID",
        "SENDER_MISMATCH",
        "OUTSIDE_TIME_WINDOW",
    }


def test_every_byte_of_a_header_is_bound(
    shared_pair: Any, people: Any, lawful: SignedEnvelope
) -> None:
    for at in range(len(lawful.header)):
        octets = bytearray(lawful.header)
        octets[at] ^= 0x01
        reason_of(shared_pair, people, replace(lawful, header=bytes(octets)))


@pytest.mark.parametrize("part", ["header", "sealed", "signature"])
def test_no_truncation_of_an_envelope_is_accepted(
    shared_pair: Any, people: Any, lawful: SignedEnvelope, part: str
) -> None:
    whole = getattr(lawful, part)
    for length in {0, 1, 2, 31, 32, 64, len(whole) // 2, len(whole) - 1}:
        reason_of(shared_pair, people, replace(lawful, **{part: whole[:length]}))


def test_resigned_by_another_partner(shared_forger: Any, lawful: SignedEnvelope) -> None:
    """A signature stripped and replaced names a key that is not the sender's."""
    thief = SigningKey.generate()
    stolen = replace(
        lawful,
        signature=thief.sign(
            shared_forger.envelope.transcript(lawful.header, lawful.sealed), signatures.REQUEST
        ),
    )

    assert shared_forger.refused(stolen) == REJECTED


def test_signed_as_a_response(shared_forger: Any) -> None:
    """The context of the signature keeps one kind of message from passing for the other."""
    assert shared_forger.refused(shared_forger.compose(context=signatures.RESPONSE)) == REJECTED


def test_stripped_ed25519_half(shared_forger: Any, lawful: SignedEnvelope) -> None:
    halved = replace(lawful, signature=lawful.signature[:-64] + bytes(64))

    assert shared_forger.refused(halved) == REJECTED


def test_stripped_ml_dsa_half(shared_forger: Any, lawful: SignedEnvelope) -> None:
    halved = replace(lawful, signature=bytes(3309) + lawful.signature[-64:])

    assert shared_forger.refused(halved) == REJECTED


def test_signed_by_an_unknown_key(shared_forger: Any) -> None:
    assert shared_forger.refused(shared_forger.compose(signer=SigningKey.generate())) == REJECTED


def test_a_commitment_to_other_bytes(shared_forger: Any) -> None:
    """The commitment is checked after opening; whatever fails there is one word, SEAL."""
    assert shared_forger.refused(shared_forger.compose(commitment=bytes(32))) == REJECTED


def test_sealed_to_a_key_that_is_not_ours(shared_forger: Any) -> None:
    envelope = shared_forger.compose(recipient=SealingKey(OpeningKey.generate().public))

    assert shared_forger.refused(envelope) == ("FAILED_PRECONDITION", "KEY_STALE")


def test_addressed_to_somebody_else(shared_forger: Any) -> None:
    assert shared_forger.refused(shared_forger.compose(recipient_id="NZL")) == (
        "INVALID_ARGUMENT",
        "HEADER_INVALID",
    )


def test_sent_in_another_name(shared_forger: Any) -> None:
    assert shared_forger.refused(shared_forger.compose(sender="NZL")) == (
        "UNAUTHENTICATED",
        "SENDER_MISMATCH",
    )


def test_brought_to_another_rpc(shared_forger: Any) -> None:
    envelope = shared_forger.compose()

    assert shared_forger.refused(envelope, method="GetCapabilities") == (
        "INVALID_ARGUMENT",
        "HEADER_INVALID",
    )


@pytest.mark.parametrize("offset", [-3600, -800, 300, 86400])
def test_a_clock_beyond_the_window(shared_forger: Any, offset: int) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=offset)
    envelope = shared_forger.compose(create_time=moment, expire_time=moment + timedelta(minutes=5))

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "OUTSIDE_TIME_WINDOW")


@pytest.mark.parametrize("element", ["create_time", "expire_time"])
@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (-62_135_596_800, 0),  # 0001-01-01
        (-1, 0),
        (0, -1_000_000),
        (calendar_bounds.END_SECOND, 0),
        (253_402_300_799, 999_000_000),  # 9999-12-31T23:59:59.999
        (253_402_300_799, 999_999_999),
        (2**63 - 1, 0),
    ],
)
def test_a_time_at_the_edge_of_the_calendar_is_a_fault_of_the_header(
    shared_forger: Any, lawful: SignedEnvelope, element: str, seconds: int, nanos: int
) -> None:
    """A sum of such a time and a clock's skew leaves Python's calendar; it is refused before any sum."""
    header = types_pb2.Header.FromString(lawful.header)
    stamp = getattr(header, element)
    stamp.seconds, stamp.nanos = seconds, nanos
    late = replace(lawful, header=header.SerializeToString(deterministic=True))

    assert shared_forger.refused(late) == ("INVALID_ARGUMENT", "HEADER_INVALID")


def test_the_last_moment_of_our_calendar_is_outside_the_window_and_no_fault(
    shared_forger: Any,
) -> None:
    last = calendar_bounds.END - timedelta(minutes=5)
    envelope = shared_forger.compose(
        create_time=last, expire_time=calendar_bounds.END - timedelta(milliseconds=1)
    )

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "OUTSIDE_TIME_WINDOW")


def test_a_message_that_lives_too_long(shared_forger: Any) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    envelope = shared_forger.compose(create_time=now, expire_time=now + timedelta(minutes=11))

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "OUTSIDE_TIME_WINDOW")


def test_replayed_with_other_bytes(shared_forger: Any) -> None:
    message_id = secrets.token_bytes(16)
    shared_forger.send(shared_forger.compose(message_id=message_id))

    assert shared_forger.refused(shared_forger.compose(message_id=message_id)) == (
        "ALREADY_EXISTS",
        "REPLAY_CONFLICT",
    )


def test_a_transaction_number_used_twice(shared_forger: Any) -> None:
    shared_forger.send(shared_forger.compose(transaction_number="T-ONLY-ONCE"))

    assert shared_forger.refused(shared_forger.compose(transaction_number="T-ONLY-ONCE")) == (
        "ALREADY_EXISTS",
        "TRANSACTION_REUSED",
    )


def test_a_face_where_the_law_names_fingers(shared_forger: Any, people: Any) -> None:
    """IRPR 315.38: a query carries fingerprints and a transaction number."""
    face = replace(people.samples(1)[0], modality=Modality.FACE, position=0)

    envelope = shared_forger.compose(shared_forger.payload(Biometrics((face,))))

    assert shared_forger.refused(envelope) == ("PERMISSION_DENIED", "MODALITY_NOT_PERMITTED")


def test_a_declared_format_that_is_not_the_records(shared_forger: Any, people: Any) -> None:
    other = replace(people.samples(1)[0], format=RecordFormat.INCITS_378_2004)

    envelope = shared_forger.compose(shared_forger.payload(Biometrics((other,))))

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "ELEMENTS_INCONSISTENT")


def test_a_declared_size_that_is_not_the_records(shared_forger: Any, people: Any) -> None:
    other = replace(people.samples(1)[0], width=7)

    envelope = shared_forger.compose(shared_forger.payload(Biometrics((other,))))

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "ELEMENTS_INCONSISTENT")


def test_lying_length_field(shared_forger: Any, people: Any) -> None:
    sample = people.samples(1)[0]
    lying = sample.data[:8] + b"\xff\xff\xff\xff" + sample.data[12:]

    envelope = shared_forger.compose(
        shared_forger.payload(Biometrics((replace(sample, data=lying),)))
    )

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "RECORD_UNPARSEABLE")


@pytest.mark.parametrize("key", [bytes(1216), b"\xff" * 1216])
def test_a_reply_key_that_nothing_can_be_sealed_to(
    shared_pair: Any, shared_forger: Any, key: bytes
) -> None:
    """It is refused before the search: an answer that cannot be sealed must not have cost a destruction."""
    size = shared_pair.gateway.sequencer.size

    envelope = shared_forger.compose(shared_forger.payload(reply_key=key))

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "ELEMENT_INVALID")
    assert shared_pair.gateway.sequencer.size <= size + 1  # the refusal alone


def test_an_unparseable_payload_under_a_good_signature(shared_forger: Any) -> None:
    assert shared_forger.refused(shared_forger.compose(b"\xff\xfe not protobuf"))[0] == (
        "INVALID_ARGUMENT"
    )


def test_an_unknown_field_beside_the_envelope(shared_forger: Any, lawful: SignedEnvelope) -> None:
    request = exchange_pb2.SubmitQueryRequest(envelope=signed_envelope.envelope_of(lawful))
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.post(request.SerializeToString() + b"\x7a\x03abc")

    assert shared_forger.verdict(caught.value)[0] == "INVALID_ARGUMENT"


def test_no_envelope_at_all(shared_forger: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.post(b"")

    assert shared_forger.verdict(caught.value)[0] == "INVALID_ARGUMENT"


def test_a_response_sent_as_a_request(shared_forger: Any) -> None:
    envelope = shared_forger.compose(
        message_type=MessageType.RESPONSE,
        in_reply_to=bytes(32),
        transaction_number="",
        transaction_reference="T-12345678",
    )

    assert shared_forger.refused(envelope) == ("INVALID_ARGUMENT", "HEADER_INVALID")


def test_the_refused_are_in_the_ledger_and_it_is_whole(
    shared_pair: Any, shared_forger: Any
) -> None:
    """A refusal from step 6 on is durable before the error leaves (protocol 4)."""
    size = shared_pair.gateway.sequencer.size

    shared_forger.refused(shared_forger.compose(signer=SigningKey.generate()))

    assert shared_pair.gateway.sequencer.size in {
        size,
        size + 1,
    }  # counted where the minute's are used up
    assert self_check.verify_ledger(shared_pair.home).ok


def test_canary_in_errors(
    shared_pair: Any, shared_forger: Any, capsys: Any, monkeypatch: Any
) -> None:
    """grpc 23306: an unhandled exception's text would go to the caller; only an id may."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary-template-bytes")

    monkeypatch.setattr(shared_pair.serving.pipeline, "_open", broken)
    with pytest.raises(grpc.RpcError) as caught:
        shared_forger.send(shared_forger.compose())

    assert shared_forger.verdict(caught.value) == ("INTERNAL", "INTERNAL")
    assert "canary" not in str(caught.value)
    logged = capsys.readouterr()
    assert "canary" not in logged.err + logged.out


def test_errors_of_the_tree_carry_a_code_grpc_knows() -> None:
    def leaves(kind: type[PasserelleError]) -> list[type[PasserelleError]]:
        below = [each for sub in kind.__subclasses__() for each in leaves(sub)]
        return below or [kind]

    for refusal in leaves(Refusal):
        assert refusal.code in grpc.StatusCode.__members__
        assert refusal.reason.isupper()
