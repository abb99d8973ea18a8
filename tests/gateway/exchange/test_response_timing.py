"""Answers leave on a quantum (protocol 9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.response_timing import (
    SMALLEST_FLOOR,
    Departures,
    ResponseTiming,
    departure,
    floor_of,
)

seconds = st.floats(0.0, 100.0)
steps = st.floats(0.001, 1.0)


@given(seconds, st.floats(0.01, 1.0), steps)
def test_an_answer_never_leaves_before_it_is_ready_nor_between_the_steps(
    elapsed: float, floor: float, step: float
) -> None:
    leaves = departure(elapsed, floor, step)

    assert leaves >= min(elapsed, leaves)
    assert leaves >= elapsed - 1e-6 * max(1.0, elapsed)
    assert leaves >= floor
    number = (leaves - floor) / step
    assert number == pytest.approx(round(number), abs=1e-6 * max(1.0, number))


@given(seconds, st.floats(0.01, 1.0), steps)
def test_an_answer_waits_one_step_at_most_beyond_the_floor(
    elapsed: float, floor: float, step: float
) -> None:
    assert departure(elapsed, floor, step) <= max(floor, elapsed + step + 1e-6)


@given(st.floats(0.0, 10.0), steps)
def test_the_floor_lies_above_what_searches_take(p99: float, step: float) -> None:
    floor = floor_of(p99, step)

    assert floor >= SMALLEST_FLOOR - 1e-9
    assert floor >= p99


@pytest.mark.parametrize(
    ("elapsed", "leaves"), [(0.0, 0.05), (0.05, 0.05), (0.051, 0.075), (0.075, 0.075), (0.2, 0.2)]
)
def test_the_quantum_of_the_protocol(elapsed: float, leaves: float) -> None:
    assert departure(elapsed, 0.05, 0.025) == pytest.approx(leaves)


def test_an_answer_is_given_its_moment_from_when_its_call_began() -> None:
    quantum = ResponseTiming(0.05, 0.025)

    assert quantum.leaves(10.0, now=10.03) == pytest.approx(10.05)
    assert quantum.leaves(10.0, now=10.06) == pytest.approx(10.075)


@given(st.lists(st.floats(0.0, 10.0), max_size=30), st.lists(st.floats(0.0, 12.0), max_size=30))
def test_each_answer_leaves_once_at_its_moment_soonest_first(
    moments: list[float], looks: list[float]
) -> None:
    departures, left = Departures(), []
    for moment in moments:
        departures.add(moment, lambda moment=moment: left.append(moment))

    for now in [*sorted(looks), 12.0]:
        before = len(left)
        for leave in departures.due(now):
            leave()
        assert left[before:] == [moment for moment in sorted(moments) if moment in left[before:]]
        assert all(moment <= now for moment in left)
        assert departures.pause(now) is None or departures.pause(now) > 0

    assert left == sorted(moments)
    assert len(departures) == 0


def test_whoever_waits_is_told_of_a_sooner_departure() -> None:
    departures = Departures()

    assert departures.add(5.0, lambda: None)
    assert not departures.add(6.0, lambda: None)
    assert departures.add(4.0, lambda: None)
    assert departures.pause(3.0) == 1.0
