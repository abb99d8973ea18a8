"""Details are for the auditor, belong to their leaf, and say little by their size."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.messages import Direction
from gateway.ledger.entry import (
    DETAIL_SIZES,
    FACTS,
    EntryClass,
    EntryType,
    Frame,
    MalformedEntry,
    SealedDetail,
    commitment_of,
    decode,
    detail_aad,
    detail_bytes,
    encode,
    open_detail,
    parse_detail,
    seal_detail,
)
from gateway.v1 import audit_pb2
from keys.envelope import OpeningKey, SealingKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUDITOR = OpeningKey.from_seed(bytes(range(32)))
AUDIT_KEY = SealingKey(AUDITOR.public)
START = Frame(type=EntryType.START, entry_class=EntryClass.OTHER, time=NOW)
DETAIL = {"reason": "PURPOSE_NOT_PERMITTED", "purpose": "DATA_ACCURACY", "case": "c-1"}


def sealed(
    frame: Frame = START, detail: dict[str, str] | None = None
) -> tuple[Frame, SealedDetail]:
    """Return a committed frame and its detail."""
    made = seal_detail(replace(frame, time=NOW), detail or DETAIL, AUDIT_KEY)
    return replace(frame, detail_commitment=made.commitment), made


def test_the_auditor_reads_what_was_sealed() -> None:
    frame, detail = sealed()
    committed = decode(encode(replace(frame, time=NOW + timedelta(seconds=3))))

    assert open_detail(committed, detail.ciphertext, detail.sealed_dek, AUDITOR) == DETAIL
    assert detail.commitment == commitment_of(detail.ciphertext)


def test_two_sealings_of_one_detail_share_nothing() -> None:
    _, one = sealed()
    _, other = sealed()

    assert one.ciphertext[:12] != other.ciphertext[:12]
    assert one.ciphertext != other.ciphertext
    assert one.commitment != other.commitment


def test_another_auditor_reads_nothing() -> None:
    frame, detail = sealed()

    with pytest.raises(MalformedEntry, match="does not open"):
        open_detail(frame, detail.ciphertext, detail.sealed_dek, OpeningKey.generate())


@pytest.mark.parametrize(
    "change",
    [
        {"type": EntryType.STOP},
        {"partner_id": "NZL"},
        {"direction": Direction.INBOUND},
        {"message_id": b"m" * 16},
        {"policy_id": "other"},
        {"subject_reference": "other"},
        {"agreement_version": 9},
    ],
)
def test_a_detail_moved_to_another_leaf_does_not_open(change: dict[str, Any]) -> None:
    frame, detail = sealed()

    with pytest.raises(MalformedEntry, match="does not open"):
        open_detail(replace(frame, **change), detail.ciphertext, detail.sealed_dek, AUDITOR)


def test_the_time_and_the_commitment_are_not_bound_because_they_come_later() -> None:
    later = replace(START, time=NOW + timedelta(days=1), detail_commitment=b"c" * 32)

    assert detail_aad(later) == detail_aad(START)


def test_a_detail_exchanged_for_another_of_the_same_leaf_is_refused() -> None:
    frame, mine = sealed()
    _, other = sealed(detail={"reason": "another"})

    with pytest.raises(MalformedEntry, match="commits to another"):
        open_detail(frame, other.ciphertext, other.sealed_dek, AUDITOR)
    with pytest.raises(MalformedEntry, match="does not open"):
        open_detail(frame, mine.ciphertext, other.sealed_dek, AUDITOR)


def test_every_flipped_byte_of_a_sealed_detail_is_found() -> None:
    frame, detail = sealed()

    for at in range(0, len(detail.ciphertext), 3):
        damaged = _flip(detail.ciphertext, at)
        with pytest.raises(MalformedEntry):
            open_detail(frame, damaged, detail.sealed_dek, AUDITOR)
        # Also where the leaf was forged to commit to the damaged ciphertext.
        forged = replace(frame, detail_commitment=commitment_of(damaged))
        with pytest.raises(MalformedEntry):
            open_detail(forged, damaged, detail.sealed_dek, AUDITOR)
    for at in range(0, len(detail.sealed_dek), 3):
        with pytest.raises(MalformedEntry):
            open_detail(frame, detail.ciphertext, _flip(detail.sealed_dek, at), AUDITOR)


@pytest.mark.parametrize("cut", [0, 5, 12, 20])
def test_a_shortened_detail_is_refused(cut: int) -> None:
    frame, detail = sealed()
    short = detail.ciphertext[:cut]
    forged = replace(frame, detail_commitment=commitment_of(short))

    with pytest.raises(MalformedEntry):
        open_detail(forged, short, detail.sealed_dek, AUDITOR)
    with pytest.raises(MalformedEntry):
        open_detail(frame, detail.ciphertext, detail.sealed_dek[:cut], AUDITOR)


@pytest.mark.parametrize("kind", [EntryType.RESPONSE, EntryType.ANSWER_RECEIVED])
def test_the_size_of_an_answers_detail_does_not_tell_a_hit(kind: EntryType) -> None:
    """A hit has scores or fields to state and a no-hit has none; both fill the largest class (ledger 1, 6)."""
    answer = replace(START, type=kind, entry_class=EntryClass.ANSWERED)

    _, without = sealed(answer, {"true_outcome": "NO_MATCH"})
    _, hit = sealed(answer, {"true_outcome": "MATCH", "scores": "1:12.5 " * 200})

    assert len(without.ciphertext) == len(hit.ciphertext) == 12 + DETAIL_SIZES[-1] + 16


def test_a_detail_takes_the_smallest_class_that_holds_it() -> None:
    assert len(detail_bytes({"reason": "x"})) == DETAIL_SIZES[0]
    assert len(detail_bytes({"reason": "x" * 1500})) == DETAIL_SIZES[1]
    assert len(detail_bytes({"reason": "x"}, at_least=1025)) == DETAIL_SIZES[1]
    with pytest.raises(MalformedEntry, match="at most"):
        detail_bytes({"reason": "x" * 4096})


def test_a_detail_states_only_facts_of_the_closed_list() -> None:
    for name in ("name", "print", "template", ""):
        assert name not in FACTS
        with pytest.raises(MalformedEntry, match="closed list"):
            detail_bytes({name: "Zoë"})
    with pytest.raises(MalformedEntry, match="without facts"):
        detail_bytes({})
    with pytest.raises(MalformedEntry, match="not text"):
        detail_bytes({"reason": "\ud800"})


def test_the_order_in_which_facts_are_given_does_not_show() -> None:
    assert detail_bytes(DETAIL) == detail_bytes(dict(reversed(DETAIL.items())))


@pytest.mark.parametrize(
    "facts",
    [
        [("purpose", "b"), ("case", "a")],  # out of order
        [("case", "a"), ("case", "a")],  # twice
        [("name", "a")],  # not in the list
        [],
    ],
)
def test_a_detail_written_another_way_is_refused(facts: list[tuple[str, str]]) -> None:
    message = audit_pb2.EntryDetail(format=1)
    for name, value in facts:
        message.facts.add(name=name, value=value)

    with pytest.raises(MalformedEntry):
        parse_detail(_padded(message.SerializeToString()))


@pytest.mark.parametrize("extra", [b"\x18\x01", b"\x12\x02\x18\x01"])
def test_an_unknown_field_is_refused_at_any_depth(extra: bytes) -> None:
    message = audit_pb2.EntryDetail(format=1)
    message.facts.add(name="case", value="a")
    assert parse_detail(_padded(message.SerializeToString())) == {"case": "a"}

    with pytest.raises(MalformedEntry):
        parse_detail(_padded(message.SerializeToString() + extra))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1100))
def test_no_detail_brings_down_the_parser(content: bytes) -> None:
    for padded in (content, _padded(content[:1022])):
        try:
            detail = parse_detail(padded)
        except MalformedEntry:
            continue
        assert detail_bytes(detail, at_least=len(padded)) == padded


@given(
    st.dictionaries(st.sampled_from(sorted(FACTS)), st.text(max_size=20), min_size=1, max_size=9)
)
def test_facts_survive_their_bytes(detail: dict[str, str]) -> None:
    assert parse_detail(detail_bytes(detail)) == detail


def test_neither_facts_nor_keys_show_in_a_repr() -> None:
    _, detail = sealed()

    assert detail.sealed_dek.hex()[:16] not in repr(detail)
    assert "ciphertext" not in repr(detail)


def _padded(serialised: bytes) -> bytes:
    return (len(serialised).to_bytes(2, "big") + serialised).ljust(DETAIL_SIZES[0], b"\0")


def _flip(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
