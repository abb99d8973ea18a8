"""What verdicts come to: nothing that was not settled is ever NO_MATCH."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Outcome, ServiceLevel
from gateway.domain.person import Verdict
from gateway.errors import InternalError
from gateway.law.review_policy import PATIENCE, conclude
from gateway.store.casework.reviews import LIFE_CYCLE, WAITING, CaseAct, CaseState, step

S, D, I = Verdict  # noqa: E741 - the three of them


@pytest.mark.parametrize(
    ("persons", "verdicts", "outcome"),
    [
        (1, [S], Outcome.MATCH),
        (1, [D], Outcome.NO_MATCH),
        (1, [I], Outcome.QUALITY_INSUFFICIENT),
        (2, [S], None),
        (2, [D], None),
        (2, [I], Outcome.QUALITY_INSUFFICIENT),
        (2, [S, S], Outcome.MATCH),
        (2, [D, D], Outcome.NO_MATCH),
        (2, [S, D], Outcome.QUALITY_INSUFFICIENT),
        (2, [D, S], Outcome.QUALITY_INSUFFICIENT),
        (2, [S, I], Outcome.QUALITY_INSUFFICIENT),
        (2, [D, I], Outcome.QUALITY_INSUFFICIENT),
    ],
)
def test_the_table_of_verdicts(
    persons: int, verdicts: list[Verdict], outcome: Outcome | None
) -> None:
    assert conclude(verdicts, persons) is outcome


@given(st.lists(st.sampled_from(Verdict), min_size=1, max_size=2), st.integers(1, 2))
def test_a_match_takes_every_person_and_no_match_too(verdicts: list[Verdict], persons: int) -> None:
    if len(verdicts) > persons:
        with pytest.raises(ValueError):
            conclude(verdicts, persons)
        return
    outcome = conclude(verdicts, persons)
    if outcome in {Outcome.MATCH, Outcome.NO_MATCH}:
        agreed = S if outcome is Outcome.MATCH else D
        assert verdicts == [agreed] * persons


@pytest.mark.parametrize(("verdicts", "persons"), [([], 1), ([S, S, S], 2), ([S], 0), ([S], 3)])
def test_nobody_and_too_many_conclude_nothing(verdicts: list[Verdict], persons: int) -> None:
    with pytest.raises(ValueError):
        conclude(verdicts, persons)


def test_every_service_level_has_an_end() -> None:
    assert set(PATIENCE) == set(ServiceLevel)
    assert max(PATIENCE.values()).total_seconds() == 24 * 3600


@pytest.mark.parametrize(("state", "act"), list(product(CaseState, CaseAct)))
def test_only_drawn_edges_of_a_case_exist(state: CaseState, act: CaseAct) -> None:
    if (state, act) in LIFE_CYCLE:
        assert step(state, act) is LIFE_CYCLE[state, act]
    else:
        with pytest.raises(InternalError):
            step(state, act)


def test_every_case_that_waits_can_expire_and_none_comes_back() -> None:
    assert set(WAITING) == set(CaseState) - {CaseState.CLOSED, CaseState.EXPIRED}
    assert all((state, CaseAct.EXPIRE) in LIFE_CYCLE for state in WAITING)
    assert {state for state, _ in LIFE_CYCLE} == set(WAITING)
    assert {CaseState.OPEN, *LIFE_CYCLE.values()} == set(CaseState)
