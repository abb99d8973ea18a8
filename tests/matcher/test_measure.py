"""Error rates, in the cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.measure import identification, interval, verification


def test_scores_that_do_not_overlap_have_no_errors() -> None:
    found = verification(np.array([5.0, 6.0]), np.array([1.0, 2.0]))

    assert (found.eer, found.fnmr_100, found.fnmr_1000, found.fnmr_zero) == (0, 0, 0, 0)


def test_errors_are_counted_as_shares() -> None:
    found = verification(np.array([1.0, 4.0, 5.0, 6.0]), np.array([0.0, 1.5, 2.0, 4.5]))

    assert found.eer == pytest.approx(0.25)
    assert found.fnmr_zero == pytest.approx(0.5)


def test_a_record_that_cannot_be_enrolled_counts_as_an_error() -> None:
    found = verification(np.array([-np.inf, 5.0]), np.array([1.0, -np.inf]))

    assert found.fnmr_zero == pytest.approx(0.5)


def test_equal_scores_say_nothing() -> None:
    assert verification(np.ones(3), np.ones(5)).eer == pytest.approx(0.5)


def test_a_miss_is_a_low_mate_or_a_better_stranger() -> None:
    mate = np.array([5.0, 5.0, 1.0, 5.0])
    other = np.array([0.0, 6.0, 0.0, 4.9])

    fnir, level = identification(mate, other, np.array([0.0, 2.0]), fpir=0.0)

    assert fnir == pytest.approx(0.5)
    assert level == 2
    assert identification(mate, other, np.array([0.0, 2.0]), fpir=0.5) == (0.25, 0)
    assert identification(mate, other, np.array([0.0, 2.0]), fpir=1.0)[1] == -np.inf


def test_no_error_in_n_trials_is_at_most_three_in_n() -> None:
    assert interval(0, 300) == (0.0, 0.01)
    low, high = interval(5, 100)
    assert 0.01 < low < 0.05 < high < 0.12
    with pytest.raises(ValueError):
        interval(0, 0)


def test_errors_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError):
        verification(np.array([]), np.array([1.0]))
