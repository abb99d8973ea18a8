"""A destruction receipt holds by itself, and no other bytes hold in its place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, text

from gateway.ledger import destruction_receipt, receipt_file
from gateway.ledger.entry import EntryClass, EntryType
from gateway.ledger.errors import ReceiptRefused
from gateway.ledger.signed_note import LogIdentity
from keys.signatures import LogKey

RECEIPT = "D-" + "5" * 32


@pytest.fixture
def file(ledger: Any, words: Any) -> bytes:
    frame = words.entry(EntryType.DESTRUCTION, 9, EntryClass.OTHER)
    ledger.commit(words.request(9))
    ledger.commit(replace(frame, subject_reference=RECEIPT), words.response(9))
    return destruction_receipt.write(RECEIPT, ledger.receipt(len(ledger.leaves) - 2))


def test_a_receipt_holds_with_nothing_but_the_bundle(ledger: Any, file: bytes) -> None:
    found = destruction_receipt.verify(file, ledger.log, ledger.now, RECEIPT)

    assert (found.frame.partner_id, found.frame.transaction_number) == ("AUS", "AUS-00000009")
    assert found.index == len(ledger.leaves) - 2


@pytest.mark.parametrize(
    "wrong", ["another", "not a destruction", "too early", "of no query", "another log"]
)
def test_what_is_not_that_receipt_is_refused(
    ledger: Any, words: Any, file: bytes, wrong: str
) -> None:
    log, now, expected, octets = ledger.log, ledger.now, RECEIPT, file
    if wrong == "another":
        expected = "D-" + "6" * 32
    elif wrong == "not a destruction":
        octets = destruction_receipt.write(RECEIPT, ledger.receipt(len(ledger.leaves) - 1))
    elif wrong == "too early":
        now = ledger.now - timedelta(hours=1)
    elif wrong == "of no query":
        ledger.commit(replace(words.own(EntryType.DESTRUCTION), subject_reference=RECEIPT))
        octets = destruction_receipt.write(RECEIPT, ledger.receipt(len(ledger.leaves) - 1))
    else:
        log = LogIdentity.from_log_key(ledger.origin, LogKey.from_seed(bytes(64)))

    with pytest.raises(ReceiptRefused):
        destruction_receipt.verify(octets, log, now, expected)


@pytest.mark.parametrize("part", ["leaf", "proof"])
def test_no_other_character_holds(ledger: Any, file: bytes, part: str) -> None:
    document = json.loads(file)
    value = document[part]
    step = max(1, len(value) // 150)
    for at in range(0, len(value), step):
        other = "B" if value[at] != "B" else "C"
        changed = {**document, part: value[:at] + other + value[at + 1 :]}
        with pytest.raises(ReceiptRefused):
            destruction_receipt.verify(
                json.dumps(changed).encode(), ledger.log, ledger.now, RECEIPT
            )


@given(binary(max_size=400))
def test_strange_bytes_are_refused(octets: bytes) -> None:
    with pytest.raises(ReceiptRefused):
        destruction_receipt.read(octets)


@given(text(), text())
def test_strange_documents_are_refused(leaf: str, proof: str) -> None:
    document = {"format": destruction_receipt.FORMAT, "receipt": leaf, "leaf": leaf, "proof": proof}
    for each in (document, [document], {**document, "more": 1}, {**document, "receipt": 7}):
        with pytest.raises(ReceiptRefused):
            destruction_receipt.read(json.dumps(each).encode())
    with pytest.raises(ReceiptRefused):
        destruction_receipt.read(b"[" * (receipt_file.LARGEST + 1))
