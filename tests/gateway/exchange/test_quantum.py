"""Answers leave on a quantum (protocol 9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.quantum import SMALLEST_FLOOR, Quantum, departure, floor_of

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


def test_holding_sleeps_for_what_is_left() -> None:
    slept: list[float] = []
    quantum = Quantum(0.05, 0.025, now=lambda: 10.03, sleep=slept.append)

    quantum.hold(10.0)

    assert slept == [pytest.approx(0.02)]
