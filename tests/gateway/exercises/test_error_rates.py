"""Error rates, in the cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exercises.evaluation.error_rates import (
    ERRORS,
    Comparisons,
    bootstrap,
    compared,
    det,
    ends,
    identification,
    interval,
    pooled,
    searched,
    verification,
)


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


def test_a_miss_is_a_low_mate_or_a_better_nonmate() -> None:
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


def matrix(fingers: int = 4, impressions: int = 3, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Return scores, fingers, impressions of a set: mates about 5, others about 0."""
    rng = np.random.default_rng(seed)
    finger = np.repeat(np.arange(fingers), impressions)
    impression = np.tile(np.arange(impressions), fingers)
    scores = rng.normal(0, 1, (len(finger), len(finger))).astype(np.float32)
    scores[finger[:, None] == finger] += 5
    return scores, finger, impression


def test_all_pairs_and_fvc_count_what_they_say() -> None:
    """Maio et al., FVC2000: impostors are first impressions only; each pair once."""
    scores, finger, impression = matrix(10, 8)

    every = compared(scores, finger, impression)
    few = compared(scores, finger, impression, protocol="fvc")

    assert (len(every.mated), len(every.non_mated)) == (280, 2880)
    assert (len(few.mated), len(few.non_mated)) == (280, 45)
    assert every.complete


def test_a_pair_is_the_earlier_record_as_probe() -> None:
    scores, finger, impression = matrix(2, 2)

    found = compared(scores, finger, impression)

    assert found.mated.tolist() == [scores[0, 1], scores[2, 3]]
    assert found.non_mated.tolist() == [scores[0, 2], scores[0, 3], scores[1, 2], scores[1, 3]]


def test_two_records_of_one_image_are_no_pair() -> None:
    scores, finger, _ = matrix(2, 2)

    assert not len(compared(scores, finger, np.zeros(4, dtype=np.intp)).mated)


def test_another_extractors_records_are_compared_with_all_but_their_own_image() -> None:
    scores, finger, impression = matrix(3, 2)

    found = compared(scores, finger, impression, gallery=(finger, impression))

    assert (len(found.mated), len(found.non_mated)) == (6, 24)


def test_what_could_not_be_enrolled_is_missed_at_every_level() -> None:
    scores, finger, impression = matrix(2, 3)
    scores[0] = scores[:, 0] = np.nan

    errors = verification(*_both(compared(scores, finger, impression)))

    assert errors.fnmr_100 == errors.fnmr_zero == pytest.approx(2 / 6)


def _both(found: Comparisons) -> tuple[np.ndarray, np.ndarray]:
    return found.mated, found.non_mated


def test_intervals_are_of_fingers_and_hold_the_estimate() -> None:
    scores, finger, impression = matrix(10, 4)
    scores[:4, :4] -= 5  # one finger that nobody can recognise
    found = compared(scores, finger, impression)

    told = ends(bootstrap(found, 300))
    errors = verification(found.mated, found.non_mated)

    for name in ERRORS:
        low, high = told[name]
        assert low <= getattr(errors, name) <= high
    assert told["fnmr_zero"][1] > 0.15, "without that finger, or with it twice"
    assert (bootstrap(found, 20) == bootstrap(found, 20)).all()


def test_pooled_sets_keep_their_fingers_apart() -> None:
    one = compared(*matrix(3, 2))
    other = compared(*matrix(3, 2, seed=2))

    found = pooled([one, other])

    assert len(found.mated) == len(one.mated) + len(other.mated)
    assert not set(found.finger[:3]) & set(found.finger[3:])


def test_searches_leave_the_mate_out_for_the_level() -> None:
    finger, impression = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    scores = np.zeros((4, 4))
    scores[1] = [9, 0, 4, 0]  # finds its mate, whom 4 would hide at FPIR 0
    scores[3] = [5, 0, 3, 0]  # finds a stranger

    found = searched(scores, finger, impression)

    assert found is not None
    assert (found.gallery, found.searches, found.rank_1) == (2, 2, 0.5)
    assert found.fnir[0.0] == pytest.approx(0.5)
    assert searched(scores[:2, :2], finger[:2], impression[:2]) is None


def test_a_det_curve_falls_and_ends_at_the_corners() -> None:
    rng = np.random.default_rng(3)
    fmr, fnmr = det(rng.normal(3, 1, 5000), rng.normal(0, 1, 20000))

    assert len(fmr) <= 400
    assert (np.diff(fmr) <= 0).all()
    assert (np.diff(fnmr) >= 0).all()
    assert (fmr[0], fnmr[0], fmr[-1]) == (1, 0, 0)


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
)
def test_errors_are_those_of_counting_at_every_level(mine: list[int], others: list[int]) -> None:
    mated, non_mated = np.array(mine, dtype=float), np.array(others, dtype=float)
    errors = verification(mated, non_mated)

    for most, told in ((0.01, errors.fnmr_100), (0.0, errors.fnmr_zero)):
        counted = min(
            float((mated < level).mean())
            for level in [*mine, *others, np.inf]
            if float((non_mated >= level).mean()) <= most
        )
        assert told == pytest.approx(counted)
    assert 0 <= errors.eer <= 1
    assert errors.fnmr_zero >= errors.fnmr_1000 >= errors.fnmr_100
