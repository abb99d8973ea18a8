"""Receipts hold offline, for one answer to one question in one log, and for nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.messages import Direction, Receipt
from gateway.ledger.entry import decode
from gateway.ledger.proof import (
    MAX_TEXT,
    Expected,
    ProofRefused,
    ReceiptRefused,
    make_proof,
    parse_proof,
    verify_receipt,
)
from gateway.ledger.signed_note import (
    LogIdentity,
    NoteRefused,
    open_checkpoint,
    parse_note,
    sign_checkpoint,
)
from keys.signatures import LogKey

if TYPE_CHECKING:
    from conftest import Ledger, Words

ANSWER = 3  # the index of the first RESPONSE in the small ledger
QUESTION = (1).to_bytes(16, "big")


@pytest.fixture
def receipt(ledger: Ledger) -> Receipt:
    return ledger.receipt(ANSWER)


def expectation(words: Words, number: int = 1) -> Expected:
    said = words.response(number)
    return Expected(
        partner_id="AUS",
        message_id=number.to_bytes(16, "big"),
        transcript=words.transcript(number),
        operation="SUBMIT_QUERY",
        transaction_number=said.transaction_number,
        agreement_id=said.agreement_id,
        agreement_version=said.agreement_version,
        signing_key_id=said.signing_key_id,
        kem_key_id=said.kem_key_id,
        directory_version=said.directory_version,
        earliest=words.now,
        latest=words.now + timedelta(minutes=5),
    )


@pytest.fixture
def wanted(ledger: Ledger, words: Words) -> dict[str, Any]:
    return {"log": ledger.log, "expected": expectation(words)}


def other(wanted: dict[str, Any], **change: object) -> dict[str, Any]:
    return {**wanted, "expected": replace(wanted["expected"], **change)}


def test_a_receipt_shows_that_the_answer_is_in_the_log(
    ledger: Ledger, receipt: Receipt, wanted: dict[str, Any]
) -> None:
    verified = verify_receipt(receipt, **wanted)

    assert verified.index == ANSWER
    assert verified.checkpoint.size == len(ledger.leaves)
    assert verified.frame.message_id == QUESTION


@pytest.mark.parametrize("part", range(3))
def test_every_flipped_byte_of_a_receipt_is_found(
    receipt: Receipt, wanted: dict[str, Any], part: int
) -> None:
    for at in range(part, len(receipt.leaf), 3):
        with pytest.raises(ReceiptRefused):
            verify_receipt(replace(receipt, leaf=_flip(receipt.leaf, at)), **wanted)
    for at in range(part, len(receipt.tlog_proof), 3):
        with pytest.raises(ReceiptRefused):
            verify_receipt(replace(receipt, tlog_proof=_flip(receipt.tlog_proof, at)), **wanted)


def test_a_truncated_or_empty_receipt_is_found(receipt: Receipt, wanted: dict[str, Any]) -> None:
    for length in range(0, len(receipt.tlog_proof), 5):
        with pytest.raises(ReceiptRefused):
            verify_receipt(replace(receipt, tlog_proof=receipt.tlog_proof[:length]), **wanted)
    with pytest.raises(ReceiptRefused):
        verify_receipt(Receipt(b"", b""), **wanted)


@pytest.mark.parametrize("index", [0, 2, 4, 5, 6, 99, 2**63 - 1])
def test_a_receipt_that_names_another_index_is_refused(
    receipt: Receipt, wanted: dict[str, Any], index: int
) -> None:
    proof = parse_proof(receipt.tlog_proof)
    moved = make_proof(index, proof.hashes, proof.checkpoint)

    with pytest.raises(ReceiptRefused):
        verify_receipt(replace(receipt, tlog_proof=moved), **wanted)


def test_a_receipt_for_another_question_or_answer_is_refused(
    ledger: Ledger, words: Words, receipt: Receipt, wanted: dict[str, Any]
) -> None:
    with pytest.raises(ReceiptRefused, match="another question"):
        verify_receipt(receipt, **other(wanted, message_id=(2).to_bytes(16, "big")))
    with pytest.raises(ReceiptRefused, match="another answer"):
        verify_receipt(receipt, **other(wanted, transcript=words.transcript(1, "ask")))
    with pytest.raises(ReceiptRefused, match="another question"):
        verify_receipt(ledger.receipt(5), **wanted)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_receipt_of_another_entry_is_no_answer(
    ledger: Ledger, wanted: dict[str, Any], index: int
) -> None:
    with pytest.raises(ReceiptRefused, match="not that of an answer"):
        verify_receipt(ledger.receipt(index), **wanted)


def test_a_caller_who_names_nothing_gets_nothing(receipt: Receipt, wanted: dict[str, Any]) -> None:
    """An empty value would match what is empty in a leaf (style 2, rule 10)."""
    for name in ("message_id", "transcript"):
        with pytest.raises(ReceiptRefused, match="did not say"):
            verify_receipt(receipt, **other(wanted, **{name: b""}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partner_id", "NZL"),
        ("direction", Direction.OUTBOUND),
        ("direction", None),
        ("subject_reference", "GET_QUERY_STATE"),
        ("transaction_number", "T-SOMEONE-ELSES"),
        ("transaction_number", ""),
        ("agreement_id", "can-nzl"),
        ("agreement_version", 2),
        ("signing_key_id", bytes(32)),
        ("kem_key_id", b""),
        ("directory_version", 6),
        ("time", datetime(2015, 12, 10, tzinfo=UTC)),
        ("time", datetime(2100, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_leaf_that_says_anything_else_of_the_exchange_is_refused(
    empty_ledger: Ledger, words: Words, name: str, value: Any
) -> None:
    """The owner of the log signs a leaf by which the answer would be another's, or of another day."""
    lie = replace(words.response(), **{name: value})
    if name == "time":
        empty_ledger.now = value
    empty_ledger.commit(lie)

    with pytest.raises(ReceiptRefused, match=f"says otherwise: {name}$"):
        verify_receipt(empty_ledger.receipt(0), log=empty_ledger.log, expected=expectation(words))


@pytest.mark.parametrize("seconds", [-1, 86_400])
def test_a_checkpoint_signed_before_its_leaf_or_after_today_is_refused(
    ledger: Ledger, receipt: Receipt, wanted: dict[str, Any], seconds: int
) -> None:
    proof = parse_proof(receipt.tlog_proof)
    checkpoint = open_checkpoint(proof.checkpoint, *ledger.log.vkeys)
    time = decode(receipt.leaf).time + timedelta(seconds=seconds)
    note = sign_checkpoint(checkpoint, ledger.key, time)

    with pytest.raises(ReceiptRefused, match="between the leaf and now"):
        verify_receipt(
            replace(receipt, tlog_proof=make_proof(proof.index, proof.hashes, note)), **wanted
        )


def test_a_receipt_of_another_log_or_epoch_is_refused(
    ledger: Ledger, receipt: Receipt, wanted: dict[str, Any]
) -> None:
    for log in (
        LogIdentity.from_log_key(ledger.origin + "/2", ledger.key),
        LogIdentity.from_log_key(ledger.origin, LogKey.from_seed(bytes(64))),
    ):
        with pytest.raises(ReceiptRefused, match="lacks its"):
            verify_receipt(receipt, **{**wanted, "log": log})


def test_an_inclusion_in_a_root_that_only_one_key_signed_is_refused(
    receipt: Receipt, wanted: dict[str, Any]
) -> None:
    """An inclusion in a root that nobody signed proves nothing (sigstore-python issue 248)."""
    proof = parse_proof(receipt.tlog_proof)
    note = parse_note(proof.checkpoint)
    for kept in (0, 1):
        half = replace(note, signatures=(note.signatures[kept],)).format()
        forged = replace(receipt, tlog_proof=make_proof(proof.index, proof.hashes, half))
        with pytest.raises(ReceiptRefused, match="lacks its"):
            verify_receipt(forged, **wanted)


def test_every_answer_of_a_larger_ledger_has_its_receipt(
    empty_ledger: Ledger, words: Words
) -> None:
    for number in range(1, 9):
        empty_ledger.exchange(number)

    for number in range(1, 9):
        index = 3 * number - 1
        verified = verify_receipt(
            empty_ledger.receipt(index),
            log=empty_ledger.log,
            expected=expectation(words, number),
        )
        assert verified.index == index


# --- the text ---


def test_a_proof_text_is_the_published_one() -> None:
    """tlog-proof v1: header, index, hashes from the leaf's sibling upwards, empty line, checkpoint."""
    text = make_proof(7, [bytes(32)], b"the note")

    assert text == b"c2sp.org/tlog-proof@v1\nindex 7\n" + b"A" * 43 + b"=\n\nthe note"
    assert make_proof(0, [], b"the note") == b"c2sp.org/tlog-proof@v1\nindex 0\n\nthe note"


hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=64)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63 - 1), hashes, st.binary(min_size=1, max_size=60))
def test_a_proof_survives_its_text(index: int, path: list[bytes], note: bytes) -> None:
    text = make_proof(index, path, note)
    proof = parse_proof(text)

    assert (proof.index, list(proof.hashes), proof.checkpoint) == (index, path, note)
    assert make_proof(proof.index, proof.hashes, proof.checkpoint) == text


HASH = base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        b"c2sp.org/tlog-proof@v1\n\nnote",
        b"c2sp.org/tlog-proof@v2\nindex 1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 1\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 01\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex  1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 9223372036854775808\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex " + b"9" * 5000 + b"\n\nnote",
        b"c2sp.org/tlog-proof@v1\nextra AAAA\nindex 1\n\nnote",
        b"c2sp.org/tlog-proof@v1\r\nindex 1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + HASH[:-1] + b"\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + HASH[:-2] + b"B=\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + HASH[:-2] + b"_=\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n\xff\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + (HASH + b"\n") * 65 + b"\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 1\n\n" + b"n" * MAX_TEXT,
    ],
)
def test_a_proof_has_one_spelling(text: bytes) -> None:
    with pytest.raises(ProofRefused):
        parse_proof(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_bring_down_the_proof_parser(raw: bytes) -> None:
    for text in (raw, b"c2sp.org/tlog-proof@v1\nindex " + raw, make_proof(1, [], b"") + raw):
        try:
            proof = parse_proof(text)
        except ProofRefused:
            continue
        assert make_proof(proof.index, proof.hashes, proof.checkpoint) == text


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=520), st.binary(max_size=300))
def test_no_bytes_make_a_receipt(words: Words, leaf: bytes, text: bytes) -> None:
    log = LogIdentity.from_log_key("log", LogKey.from_seed(bytes(64)))
    with pytest.raises(ReceiptRefused):
        verify_receipt(Receipt(leaf, text), log=log, expected=expectation(words))


# --- identity and progress ---


def test_a_log_identity_is_two_keys_that_bear_its_name(ledger: Ledger) -> None:
    log = ledger.log

    assert LogIdentity(log.origin, *log.vkeys) == log
    for parts in [
        ("other", *log.vkeys),
        (log.origin, *log.vkeys[::-1]),
        (log.origin, log.ed25519_vkey, log.ed25519_vkey),
        (log.origin, "", log.mldsa44_vkey),
    ]:
        with pytest.raises(NoteRefused):
            LogIdentity(*parts)


def _flip(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
