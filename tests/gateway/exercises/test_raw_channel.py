"""The bytes that attacks send are what they claim to be; else a refusal would prove nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Header, MessageType, Operation, Purpose, SignedEnvelope
from gateway.exercises.raw_channel import ENVELOPE_TAG, _varint, flipped, signed_anew
from gateway.v1 import exchange_pb2
from gateway.wire import signed_envelope
from keys import envelope, signatures
from keys.signatures import SigningKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def signer() -> SigningKey:
    return SigningKey.from_seed(bytes(range(64)))


@pytest.fixture(scope="module")
def signed(signer: SigningKey) -> SignedEnvelope:
    header = signed_envelope.header_bytes(
        Header(
            message_type=MessageType.REQUEST,
            operation=Operation.SUBMIT_QUERY,
            sender="AUS",
            signing_key_id=signer.key_id,
            recipient="CAN",
            kem_key_id=bytes(32),
            message_id=bytes(16),
            create_time=NOW,
            expire_time=NOW + timedelta(minutes=5),
            directory_version=1,
            transaction_number="20260301-0001",
            agreement_id="au",
            agreement_version=1,
            purpose=Purpose.TRAVEL_ENTER_REMAIN,
            payload_commitment=bytes(32),
        )
    )
    sealed = bytes(2000)
    text = envelope.transcript(header, sealed)
    return SignedEnvelope(header, sealed, signer.sign(text, signatures.REQUEST))


@given(size=st.integers(0, 300_000))
def test_a_request_of_raw_bytes_is_the_message_that_protobuf_makes(size: int) -> None:
    signed = SignedEnvelope(b"h", bytes(size), b"s")
    octets = signed_envelope.envelope_bytes(signed)

    whole = exchange_pb2.SubmitQueryRequest(envelope=signed_envelope.envelope_of(signed))

    assert ENVELOPE_TAG + _varint(len(octets)) + octets == whole.SerializeToString()


@pytest.mark.parametrize(("part", "at"), [("sealed", 0), ("sealed", 1999), ("signature", 3372)])
def test_one_bit_is_turned_and_no_other(signed: SignedEnvelope, part: str, at: int) -> None:
    turned = flipped(signed, part, at)

    before, after = getattr(signed, part), getattr(turned, part)
    differing = [n for n, (one, two) in enumerate(zip(before, after, strict=True)) if one != two]
    assert differing == [at]
    assert (before[at] ^ after[at]).bit_count() == 1
    assert replace(turned, **{part: before}) == signed


def test_a_letter_signed_anew_is_lawful_but_for_its_message_id(
    signed: SignedEnvelope, signer: SigningKey
) -> None:
    """Otherwise the signature would refuse it, and not the memory of its id."""
    folder: Any = SimpleNamespace(keyset=SimpleNamespace(signing=lambda: signer), witness=Path())

    other = signed_anew(signed, folder)

    first, second = (
        signed_envelope.parse_header(signed.header),
        signed_envelope.parse_header(other.header),
    )
    assert second.message_id == first.message_id
    assert other.header != signed.header
    text = envelope.transcript(other.header, other.sealed)
    signatures.VerifyingKey(signer.public).verify(other.signature, text, signatures.REQUEST)
