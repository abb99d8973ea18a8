"""The tests of two samples: published values, false alarms as often as promised, differences seen."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.exercises.bench.two_sample_tests import compare


def test_equal_samples_show_nothing() -> None:
    same = list(range(50))

    found = compare(same, same)

    assert (found.auc, found.ks, found.p) == (0.5, 0.0, 1.0)


def test_samples_apart_are_told_apart() -> None:
    found = compare(range(50), range(100, 150))

    assert (found.auc, found.ks) == (1.0, 1.0)
    assert found.told_apart(1e-6)


def test_the_share_of_pairs_is_counted_by_hand() -> None:
    found = compare([1.0, 2.0, 3.0], [2.0, 4.0])

    # Of six pairs: 2 beats 1, ties with 2, loses to 3; 4 beats all three.
    assert found.auc == pytest.approx(4.5 / 6)
    assert found.ks == pytest.approx(0.5)


def test_a_step_on_the_beat_is_seen() -> None:
    rng = np.random.default_rng(7)
    beats = rng.choice([150.0, 175.0, 200.0], size=2000, p=[0.8, 0.15, 0.05])
    late = rng.choice([150.0, 175.0, 200.0], size=2000, p=[0.7, 0.25, 0.05])

    assert compare(beats, late).told_apart(0.01)


@pytest.mark.parametrize("tied", [False, True])
def test_false_alarms_come_at_most_as_often_as_promised(tied: bool) -> None:
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(400):
        times = rng.gamma(4.0, 10.0, size=400)
        times = np.round(times / 25) * 25 if tied else times
        alarms += compare(times[:200], times[200:]).told_apart(0.05)

    assert alarms <= 35  # 20 expected; 35 or more come once in a thousand


def test_too_few_values_are_no_sample() -> None:
    with pytest.raises(ValueError, match="two values"):
        compare([1.0], [1.0, 2.0])
