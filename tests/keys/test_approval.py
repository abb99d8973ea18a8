from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import approval
from keys.approval import (
    EDGES,
    ApprovalRefused,
    Circumstances,
    MalformedProposal,
    Proposal,
    State,
    Verdict,
    approval_text,
    demand_current,
    demand_two,
    step,
)
from keys.errors import IllegalTransition

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MADE = Proposal(
    party="CAN",
    action="keys.revoke",
    values='{"key":"00112233","reason":"lost"}',
    state="a" * 64,
    version=7,
    nonce="b" * 32,
    created=NOW,
    expires=NOW + timedelta(hours=1),
    proposer="P-1",
)
FOUND = Circumstances(NOW, "CAN", "a" * 64, 7, frozenset({"P-1", "P-2"}))

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("state", "target"), list(product(State, State)))
def test_every_edge_of_a_proposals_life_is_drawn_or_an_error(state: State, target: State) -> None:
    if (state, target) in EDGES:
        assert step(state, target) is target
    else:
        with pytest.raises(IllegalTransition):
            step(state, target)


def test_what_is_decided_stays_decided() -> None:
    ends = set(State) - {before for before, _ in EDGES}

    assert ends == {State.EXECUTED, State.FAILED, State.REJECTED, State.WITHDRAWN, State.EXPIRED}


@given(st.dictionaries(st.text(max_size=8), plain, max_size=4))
def test_a_proposal_is_read_back_from_its_own_words(values: dict[str, object]) -> None:
    made = replace(MADE, values=approval.canonical(values).decode("ascii"))

    assert Proposal.parse(made.text()) == made


@given(st.data())
def test_a_proposal_that_is_not_spelt_as_one_is_refused(data: st.DataObject) -> None:
    text = bytearray(MADE.text())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))

    try:
        other = Proposal.parse(bytes(text))
    except MalformedProposal:
        return
    assert other != MADE
    assert other.text() == bytes(text)


@given(st.binary(max_size=200))
def test_garbage_is_no_proposal(octets: bytes) -> None:
    with pytest.raises(MalformedProposal):
        Proposal.parse(octets)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "passerelle/2/proposal"},
        {"action": "keys"},
        {"state": "a" * 63},
        {"nonce": "zz" * 16},
        {"version": True},
        {"version": -1},
        {"values": []},
        {"expires": "2026-11-01T13:00:00.001Z"},
        {"expires": "2026-11-01T12:00:00.000Z"},
        {"created": "2026-11-01T12:00:00Z"},
        {"expires": "9999-12-31T23:59:59.000-14:00"},  # no other zone can write it
        {"created": "0001-01-01T00:00:00.000+14:00"},
        {"proposer": "a b"},
        {"extra": 1},
    ],
)
def test_a_proposal_with_one_wrong_member_is_refused(change: dict[str, object]) -> None:
    text = approval.canonical({**json.loads(MADE.text()), **change})

    with pytest.raises(MalformedProposal):
        Proposal.parse(text)


def test_spaces_and_doubled_names_are_another_text() -> None:
    with pytest.raises(MalformedProposal):
        Proposal.parse(MADE.text().replace(b'{"action"', b'{ "action"', 1))
    with pytest.raises(MalformedProposal):
        Proposal.parse(MADE.text().replace(b'"version":7', b'"version":7,"version":7', 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"party": "AUS"}, "OTHER_PARTY"),
        ({"now": NOW + timedelta(hours=1)}, "EXPIRED"),
        ({"now": NOW - timedelta(minutes=3)}, "NOT_YET"),
        ({"state": "c" * 64}, "STATE_CHANGED"),
        ({"version": 8}, "STATE_CHANGED"),
    ],
)
def test_a_proposal_counts_only_while_what_it_is_bound_to_is_so(
    change: dict[str, object], reason: str
) -> None:
    demand_current(MADE, FOUND)

    with pytest.raises(ApprovalRefused) as refused:
        demand_current(MADE, replace(FOUND, **change))  # type: ignore[arg-type]

    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("approver", "people", "reason"),
    [
        ("P-1", {"P-1", "P-2"}, "SAME_PERSON"),
        ("P-3", {"P-1", "P-2"}, "APPROVER_ROLE"),
        ("P-2", {"P-2"}, "PROPOSER_GONE"),
        ("P-2", set[str](), "APPROVER_ROLE"),
    ],
)
def test_two_are_two_persons_in_force(approver: str, people: set[str], reason: str) -> None:
    demand_two(MADE, "P-2", FOUND)

    with pytest.raises(ApprovalRefused) as refused:
        demand_two(MADE, approver, replace(FOUND, people=frozenset(people)))

    assert refused.value.reason == reason


def test_an_approval_names_words_person_and_verdict() -> None:
    texts = {
        approval_text(MADE.text(), "P-2", Verdict.APPROVE),
        approval_text(MADE.text(), "P-2", Verdict.REJECT),
        approval_text(MADE.text(), "P-3", Verdict.APPROVE),
        approval_text(replace(MADE, nonce="c" * 32).text(), "P-2", Verdict.APPROVE),
    }

    assert len(texts) == 4
