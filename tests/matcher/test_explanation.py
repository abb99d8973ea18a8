"""A score can be taken apart: which minutiae agreed, where they lie, and what each stage gave."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.finger import synthetic
from matcher.finger.alignment import compare, gather
from matcher.finger.descriptors import Finger, default_model, describe, distinct
from matcher.finger.explanation import explain
from matcher.finger.score_fusion import bend, default_likelihood, finger_ratio
from matcher.finger.template import Minutiae


def impression(seed: int, number: int) -> Minutiae:
    return synthetic.impression(synthetic.person(seed), 1, number)


def finger(seed: int, number: int) -> Finger:
    return describe(impression(seed, number), default_model())


def test_the_explained_ratio_is_the_one_that_a_search_gives() -> None:
    for seed in range(4):
        one, other = finger(0, 1), finger(seed, 2)
        found = explain(one, other)

        assert found.llr == finger_ratio(compare(one, gather([other])), default_likelihood())[0]
        whole = np.float32([found.bias + sum(found.contributions.values())])
        assert bend(whole, default_likelihood())[0] == pytest.approx(found.llr, abs=1e-3)


def test_paired_minutiae_lie_near_each_other_after_the_probe_is_moved() -> None:
    one, other = impression(3, 1), impression(3, 2)

    found = explain(describe(one, default_model()), describe(other, default_model()))
    theirs = other.xy[distinct(other)][found.pairs[:, 1]]
    apart = np.hypot(*(found.moved[found.pairs[:, 0]] - theirs).T)

    assert len(found.pairs) >= 12
    assert len(set(found.pairs[:, 0])) == len(set(found.pairs[:, 1])) == len(found.pairs)
    assert apart.max() < 20
    assert np.median(apart) < 6
    assert (np.diff(found.closeness) <= 0).all()


def test_turn_and_shift_are_those_of_the_images() -> None:
    """y grows downwards and angles counter-clockwise in both images (ISO/IEC 19794-2:2005, 7.3)."""
    one = impression(5, 1)
    turn = 0.3
    cos, sin = np.cos(turn), np.sin(turn)
    xy = one.xy @ np.array([[cos, -sin], [sin, cos]]) + [150, 200]
    angle = (one.angle.astype(np.float64) + turn) % (2 * np.pi) * 0.999999
    moved = Minutiae(xy, angle, one.kind, one.quality, 900, 900)

    found = explain(describe(one, default_model()), describe(moved, default_model()))

    assert found.turn == pytest.approx(turn, abs=0.01)
    assert found.shift == pytest.approx((150, 200), abs=2)


def test_nonmates_share_little() -> None:
    found = explain(finger(1, 1), finger(2, 1))

    assert found.llr < 1
    assert -1.0001 <= found.local <= 1.0001
    assert np.isfinite(found.moved).all()
