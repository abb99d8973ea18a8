"""Files that others send about a ledger, evidence and time stamps: read, or refused, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import split_view, timestamp
from gateway.ledger.split_view import EvidenceRefused
from gateway.ledger.timestamp import StampRefused


def test_evidence_stays_readable_however_long_the_proof_that_a_ledger_sent() -> None:
    octets = split_view.write("why", "CAN", b"one\n", b"two\n", [bytes(64)] * 20_000)

    assert split_view.read(octets) == ("why", b"one\n", b"two\n")


def test_half_a_character_is_no_evidence() -> None:
    with pytest.raises(EvidenceRefused):
        split_view.read(rb'{"accusation": "", "origin": "", "kept": "\ud800", "seen": ""}')


@given(st.binary(max_size=400) | st.just(b"[" * 5000) | st.just(b'{"kept": 1}'))
def test_bytes_of_anybody_are_no_evidence(octets: bytes) -> None:
    with pytest.raises(EvidenceRefused):
        split_view.read(octets)


@given(st.binary(max_size=300))
def test_bytes_of_anybody_are_no_stamp(octets: bytes) -> None:
    with pytest.raises(StampRefused):
        timestamp.check(octets, b"a checkpoint", [])
