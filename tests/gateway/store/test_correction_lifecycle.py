"""The lives of corrections and of what we ask: every edge that is drawn, and none that is not."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from gateway.domain.messages import Direction
from gateway.domain.outbound_query import LIFE_CYCLE as OUTBOUND_LIFE_CYCLE
from gateway.domain.outbound_query import OutboundAct, OutboundState
from gateway.errors import InternalError
from gateway.store.casework import outbound_queries
from gateway.store.correction_lifecycle import LIFE_CYCLE, Act, CorrectionPhase, step


def test_only_drawn_edges_of_a_correction_exist() -> None:
    for direction, state, act in product(Direction, CorrectionPhase, Act):
        if (state, act) in LIFE_CYCLE[direction]:
            assert step(direction, state, act) in CorrectionPhase
        else:
            with pytest.raises(InternalError):
                step(direction, state, act)


@pytest.mark.parametrize("direction", list(Direction))
def test_a_duty_ends_in_an_acknowledgement_or_is_still_somebodys(direction: Direction) -> None:
    """No state but the end is without a way on: a correction cannot be forgotten."""
    table = LIFE_CYCLE[direction]
    states = {CorrectionPhase.OPEN, *table.values()}

    assert {state for state, _ in table} == states - {CorrectionPhase.ACKNOWLEDGED}


@given(sampled_from(Direction), lists(sampled_from(Act), max_size=12))
def test_whatever_happens_an_end_stays_an_end(direction: Direction, acts: list[Act]) -> None:
    state, ended = CorrectionPhase.OPEN, False
    for act in acts:
        assert not (ended and state is not CorrectionPhase.ACKNOWLEDGED)
        try:
            state = step(direction, state, act)
        except InternalError:
            continue
        ended = ended or state is CorrectionPhase.ACKNOWLEDGED


def test_only_drawn_edges_of_a_query_of_ours_exist() -> None:
    for state, act in product(OutboundState, OutboundAct):
        if (state, act) in OUTBOUND_LIFE_CYCLE:
            assert outbound_queries.step(state, act) in OutboundState
        else:
            with pytest.raises(InternalError):
                outbound_queries.step(state, act)


def test_what_was_used_is_never_destroyed_and_what_was_not_seen_is_never_used() -> None:
    """IRPR 315.27(3); and an answer is recorded before anyone sees it (protocol 6)."""
    assert (OutboundState.USED, OutboundAct.DESTROY) not in OUTBOUND_LIFE_CYCLE
    assert {state for state, act in OUTBOUND_LIFE_CYCLE if act is OutboundAct.USE} == {
        OutboundState.SHOWN,
        OutboundState.USED,
    }
