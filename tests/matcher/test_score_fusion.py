"""Fingers add with care: a missing one says nothing, no one finger excludes, ten do not count as ten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.finger.score_fusion import DEPENDENCE, default_likelihood, fuse, load_likelihood

RATIO = st.one_of(st.just(float("nan")), st.floats(-1.5, 12))


def test_nobody_is_someone_without_a_compared_finger() -> None:
    assert fuse(np.full((2, 10), np.nan, dtype=np.float32)).tolist() == [-np.inf, -np.inf]


def test_one_finger_counts_as_it_is_and_two_count_less_than_twice() -> None:
    one, two = np.full((2, 10), np.nan, dtype=np.float32)
    one[3], two[3], two[4] = 4, 4, 4

    assert fuse(np.stack([one, two])) == pytest.approx([4, 8 / (1 + DEPENDENCE)])


@given(st.lists(RATIO, min_size=10, max_size=10), st.integers(0, 9), st.floats(0.1, 5))
def test_more_evidence_for_one_finger_never_lowers_the_whole(
    row: list[float], place: int, more: float
) -> None:
    better = list(row)
    better[place] += more

    before, after = fuse(np.array([row, better], dtype=np.float32))

    assert after >= before


def test_weights_of_another_version_are_not_loaded() -> None:
    held = default_likelihood()
    fitted = {
        "mean": held.mean,
        "scale": held.scale,
        "weights": held.weights[1:],
        "bias": 0,
        "bend": 0,
        "level": 0,
        "slope": 1,
        "coarse": [0, 1],
    }

    with pytest.raises(ValueError):
        load_likelihood(fitted, "")
