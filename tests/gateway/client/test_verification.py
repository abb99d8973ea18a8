"""Each numbered check of an answer refuses its own attack, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.client.errors import AnswerRejected, ReceiptMissing
from gateway.client.verification import AnswerVerifier
from gateway.domain.messages import Direction, MessageType, Operation
from gateway.ledger.entry import EntryType
from gateway.v1 import exchange_pb2
from gateway.wire import query_payload, signed_envelope
from keys import envelope, signatures


def judge(canada: Any, question: Any, response: Any, *, later: timedelta = timedelta(0)) -> Any:
    seen: list[int] = []
    verdict = AnswerVerifier("AUS", canada.bundle, lambda: datetime.now(UTC) + later).judge(
        question, response, lambda _, checkpoint, __: seen.append(checkpoint.size)
    )
    assert seen == [verdict.checkpoint.size]
    return verdict


def response_of(canada: Any, asked: Any) -> Any:
    signed, receipt = canada.answer(asked.envelope)
    return exchange_pb2.SubmitQueryResponse(
        envelope=signed_envelope.envelope_of(signed),
        receipt=signed_envelope.receipt_message(receipt),
    )


def rejected(canada: Any, asked: Any, response: Any = None, **how: Any) -> AnswerRejected:
    answer = response_of(canada, asked) if response is None else response
    with pytest.raises(AnswerRejected) as caught:
        judge(canada, asked.question, answer, **how)
    assert caught.value.transaction_number == asked.question.number
    return caught.value


def test_an_honest_answer_is_believed(canada: Any, asked: Any) -> None:
    believed = judge(canada, asked.question, response_of(canada, asked))

    assert query_payload.read_result(believed.payload).outcome.name == "NO_MATCH"
    assert believed.index == 5
    assert believed.checkpoint.size == 6
    assert believed.size > envelope.SIZE_CLASSES[0]


# (1) the envelope


@pytest.mark.parametrize("part", ["header", "sealed", "signature"])
def test_a_missing_part_is_no_envelope(canada: Any, asked: Any, part: str) -> None:
    response = response_of(canada, asked)
    response.envelope.ClearField(part)

    assert rejected(canada, asked, response).step == "envelope"


@pytest.mark.parametrize("where", ["response", "envelope"])
def test_an_unknown_field_is_no_envelope(canada: Any, asked: Any, where: str) -> None:
    """Field 15, varint 1: what we do not understand might mean something to another reader."""
    response = response_of(canada, asked)
    (response if where == "response" else response.envelope).MergeFromString(b"\x78\x01")

    assert rejected(canada, asked, response).step == "envelope"


# (2) the header; the liar signs what it changed, so only the header's own check can refuse


@pytest.mark.parametrize(
    "change",
    [
        {"operation": Operation.GET_QUERY_STATE},
        {"sender": "NZL"},
        {"recipient": "NZL"},
        {"kem_key_id": bytes(32)},
        {
            "create_time": datetime(2100, 1, 1, tzinfo=UTC),
            "expire_time": datetime(2101, 1, 1, tzinfo=UTC),
        },
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_header_for_somebody_or_something_else(canada: Any, asked: Any, change: Any) -> None:
    canada.header = lambda header: replace(header, **change)

    assert rejected(canada, asked).step == "header"


def test_our_own_request_reflected_is_no_answer(canada: Any, asked: Any) -> None:
    """Reflection: our envelope comes back as if it were the peer's."""
    response = response_of(canada, asked)
    response.envelope.CopyFrom(signed_envelope.envelope_of(asked.envelope))

    assert rejected(canada, asked, response).step == "header"


def test_a_request_of_the_peer_is_no_answer(canada: Any, asked: Any) -> None:
    canada.header = lambda header: replace(
        header,
        message_type=MessageType.REQUEST,
        in_reply_to=b"",
        transaction_number="20260301-aa",
        transaction_reference="",
        agreement_id="au",
        agreement_version=1,
        purpose=2,
    )

    assert rejected(canada, asked).step == "header"


# (3) in reply to


def test_an_answer_for_another_request(canada: Any, asked: Any) -> None:
    """The peer answers with what it once said to somebody else's request, resealed to our key."""
    canada.header = lambda header: replace(header, in_reply_to=bytes(32))

    assert rejected(canada, asked).step == "in_reply_to"


# (4) the signature


def test_an_answer_signed_by_another_party(canada: Any, asked: Any, keysets: Any) -> None:
    """New Zealand signs as Canada: a key that Canada's bundle does not name."""
    canada.signer = keysets["NZL"].signing()

    assert rejected(canada, asked).step == "signature"


def test_another_gateway_that_claims_the_peers_key(canada: Any, asked: Any, keysets: Any) -> None:
    canada.signer = keysets["NZL"].signing()
    canada.header = lambda header: replace(header, signing_key_id=keysets["CAN"].signing().key_id)

    assert rejected(canada, asked).step == "signature"


def test_a_signature_made_for_requests(canada: Any, asked: Any) -> None:
    canada.context = signatures.REQUEST

    assert rejected(canada, asked).step == "signature"


def test_half_a_signature_is_none(canada: Any, asked: Any) -> None:
    """Stripping: the Ed25519 half verifies, the ML-DSA half is of another message."""
    response = response_of(canada, asked)
    other = canada.keyset.signing().sign(b"another message", signatures.RESPONSE)
    ed25519 = response.envelope.signature[signatures.MLDSA65_SIGNATURE_BYTES :]
    response.envelope.signature = other[: signatures.MLDSA65_SIGNATURE_BYTES] + ed25519

    assert rejected(canada, asked, response).step == "signature"


def test_a_key_that_is_no_longer_valid(canada: Any, asked: Any) -> None:
    old = tuple(
        replace(key, not_after=key.not_before + timedelta(minutes=1))
        for key in canada.bundle.signing
    )
    canada.bundle = replace(canada.bundle, signing=old)

    refusal = rejected(canada, asked)

    assert refusal.step == "signature"
    assert "bundle" in str(refusal)


# (5) the receipt


def test_no_receipt_no_answer(canada: Any, asked: Any) -> None:
    response = response_of(canada, asked)
    response.ClearField("receipt")

    assert isinstance(rejected(canada, asked, response), ReceiptMissing)


def test_the_receipt_of_another_answer(canada: Any, asked: Any) -> None:
    other = response_of(canada, asked)
    response = response_of(canada, asked)
    response.receipt.CopyFrom(other.receipt)

    assert rejected(canada, asked, response).step == "receipt"


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: replace(frame, message_id=bytes(16)),
        lambda frame: replace(frame, transcript=bytes(32)),
        lambda frame: replace(frame, type=EntryType.REQUEST),
    ],
    ids=["message", "answer", "type"],
)
def test_a_leaf_that_names_something_else(
    canada: Any, asked: Any, change: Callable[[Any], Any]
) -> None:
    canada.frame = change

    assert rejected(canada, asked).step == "receipt"


def test_a_log_of_other_keys(canada: Any, asked: Any, keysets: Any) -> None:
    canada.log.key = keysets["NZL"].log()

    assert rejected(canada, asked).step == "receipt"


def test_a_leaf_that_is_not_in_the_tree(canada: Any, asked: Any) -> None:
    """The proof is of the tree before the answer: signed, and without it."""
    response = response_of(canada, asked)
    shorter = canada.log.fork(5)
    stale = shorter.receipt(b"another leaf".ljust(512, b"\0"))
    response.receipt.tlog_proof = stale.tlog_proof

    assert rejected(canada, asked, response).step == "receipt"


# (6) is told before (7): the ledger's history counts more than what the answer says


def test_a_split_view_is_raised_before_anything_is_opened(canada: Any, asked: Any) -> None:
    def convict(*_: object) -> None:
        raise LookupError

    canada.sealed_to = envelope.SealingKey(envelope.OpeningKey.generate().public)
    response = response_of(canada, asked)

    with pytest.raises(LookupError):
        AnswerVerifier("AUS", canada.bundle, lambda: datetime.now(UTC)).judge(
            asked.question, response, convict
        )


# (7) the seal


def test_an_answer_sealed_to_another_key(canada: Any, asked: Any) -> None:
    canada.sealed_to = envelope.SealingKey(envelope.OpeningKey.generate().public)

    assert rejected(canada, asked).step == "seal"


def test_an_answer_that_commits_to_something_else(canada: Any, asked: Any) -> None:
    """Invisible salamander: the signed commitment is of another plaintext than the sealed one."""
    canada.header = lambda header: replace(header, payload_commitment=bytes(32))

    assert rejected(canada, asked).step == "seal"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partner_id", "NZL"),
        ("direction", Direction.OUTBOUND),
        ("subject_reference", "GET_QUERY_STATE"),
        ("transaction_number", "T-SOMEONE-ELSES"),
        ("agreement_id", "nz"),
        ("agreement_version", 9),
        ("signing_key_id", bytes(32)),
        ("kem_key_id", bytes(32)),
        ("directory_version", 2),
        ("time", datetime(2015, 12, 10, tzinfo=UTC)),
        ("time", datetime(2100, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_receipt_that_records_another_exchange(
    canada: Any, asked: Any, name: str, value: Any
) -> None:
    """The peer answers us and writes into its ledger that it answered somebody, something or some day else."""
    canada.frame = lambda frame: replace(frame, **{name: value})

    refused = rejected(canada, asked)
    assert refused.step == "receipt"
    assert name in str(refused)


# all of it


PARTS = (
    ("envelope", "header"),
    ("envelope", "sealed"),
    ("envelope", "signature"),
    ("receipt", "leaf"),
    ("receipt", "tlog_proof"),
)


@pytest.fixture
def answered(canada: Any, asked: Any) -> Any:
    return response_of(canada, asked)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    part=st.sampled_from(PARTS),
    where=st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)),
)
def test_no_flipped_bit_is_believed(
    canada: Any, asked: Any, answered: Any, part: tuple[str, str], where: tuple[float, int]
) -> None:
    response = exchange_pb2.SubmitQueryResponse()
    response.CopyFrom(answered)
    holder = getattr(response, part[0])
    octets = bytearray(getattr(holder, part[1]))
    octets[int(where[0] * len(octets))] ^= 1 << where[1]
    setattr(holder, part[1], bytes(octets))

    rejected(canada, asked, response)


@given(part=st.sampled_from(PARTS), place=st.floats(0, 1, exclude_max=True))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_truncation_is_believed(
    canada: Any, asked: Any, answered: Any, part: tuple[str, str], place: float
) -> None:
    response = exchange_pb2.SubmitQueryResponse()
    response.CopyFrom(answered)
    holder = getattr(response, part[0])
    octets = getattr(holder, part[1])
    setattr(holder, part[1], octets[: int(place * len(octets))])

    rejected(canada, asked, response)


def test_the_clock_of_the_peer_may_differ_by_two_minutes(canada: Any, asked: Any) -> None:
    response = response_of(canada, asked)

    judge(canada, asked.question, response, later=-timedelta(seconds=100))
    assert rejected(canada, asked, response, later=-timedelta(seconds=140)).step == "header"
