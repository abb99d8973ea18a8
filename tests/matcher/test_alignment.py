"""Aligned fingers: turned, shifted and bent prints are the same finger; nothing hostile scores or crashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.finger import synthetic
from matcher.finger.alignment import (
    align,
    compare,
    gather,
    probes_of,
    repeated,
    support,
)
from matcher.finger.descriptors import Finger, default_model, describe
from matcher.finger.score_fusion import MOST_RATIO, default_likelihood, finger_ratio
from matcher.finger.template import Minutiae


def finger(minutiae: Minutiae) -> Finger:
    return describe(minutiae, default_model())


def ratio(probe: Finger, *others: Finger) -> np.ndarray:
    return finger_ratio(compare(probe, gather(list(others))), default_likelihood())


def impression(seed: int, number: int) -> Finger:
    return finger(synthetic.impression(synthetic.person(seed), 1, number))


def test_a_finger_turned_and_shifted_matches_as_well_as_itself() -> None:
    one = impression(1, 1)
    turn = np.exp(0.7j).astype(np.complex64)
    moved = Finger(one.place * turn + 40 - 25j, one.heading * turn, one.vectors)

    same, after = ratio(one, one, moved)

    assert after == pytest.approx(same, abs=0.05)
    assert same == MOST_RATIO


def test_mates_and_nonmates_lie_apart() -> None:
    probe = impression(1, 1)

    found = ratio(probe, impression(1, 2), *(impression(seed, 2) for seed in range(2, 20)))

    assert found[0] > 5
    assert found[1:].max() < 1


def test_a_score_is_the_same_to_the_last_bit_whoever_stands_beside() -> None:
    others = [impression(seed, 2) for seed in range(1, 9)]
    for probe in (impression(1, 1), impression(5, 1)):
        together = ratio(probe, *others)
        backwards = ratio(probe, *others[::-1])[::-1]
        alone = np.concatenate([ratio(probe, other) for other in others])

        assert together.tolist() == alone.tolist() == backwards.tolist()


def test_pairs_of_several_probes_score_as_each_does() -> None:
    probes = [impression(seed, 1) for seed in (1, 2, 9)]
    others = [impression(seed, 2) for seed in (1, 3, 9)]

    together = finger_ratio(align(probes_of(probes), gather(others)).evidence, default_likelihood())

    alone = [ratio(one, other)[0] for one, other in zip(probes, others, strict=True)]
    assert together.tolist() == alone


def test_support_tells_the_mate_from_others() -> None:
    probe, others = impression(1, 1), gather([impression(seed, 2) for seed in range(1, 9)])

    found = support(repeated(probe, 8), others)

    assert found.argmax() == 0
    assert found[0] > 10 * found[1:].max()


def test_either_finger_may_be_the_probe() -> None:
    for seed in range(5):
        one, other = impression(seed, 1), impression(seed, 2)
        assert ratio(one, other)[0] == pytest.approx(ratio(other, one)[0], abs=3)


def test_mirrored_fingers_are_nonmates() -> None:
    whole = synthetic.impression(synthetic.person(4), 1, 1)
    mirrored = Minutiae(
        np.column_stack([whole.width - 1 - whole.xy[:, 0], whole.xy[:, 1]]),
        (np.pi - whole.angle.astype(np.float64)) % (2 * np.pi) * 0.9999,
        whole.kind,
        whole.quality,
        whole.width,
        whole.height,
    )

    assert ratio(finger(whole), finger(mirrored))[0] < 1


ROW = st.tuples(st.integers(0, 299), st.integers(0, 399), st.integers(0, 255))


@given(st.lists(ROW, min_size=1, max_size=30), st.lists(ROW, min_size=1, max_size=30))
def test_any_two_sets_of_minutiae_have_a_finite_bounded_score(
    one: list[tuple[int, int, int]], other: list[tuple[int, int, int]]
) -> None:
    found = ratio(*(finger(_minutiae(rows)) for rows in (one, other)))

    assert np.isfinite(found).all()
    assert found[0] <= MOST_RATIO


@pytest.mark.parametrize("count", [1, 5, 40, 255])
def test_minutiae_on_a_grid_or_on_one_spot_do_not_match_a_finger(count: int) -> None:
    """Regular or crowded minutiae must not reach a high score by accident."""
    side = int(np.ceil(np.sqrt(count)))
    grid = [(10 + 17 * (k % side), 10 + 17 * (k // side), 64) for k in range(count)]
    spot = [(100, 100, k) for k in range(count)]
    real = [impression(seed, 1) for seed in range(6)]

    for rows in (grid, spot):
        assert ratio(finger(_minutiae(rows)), *real).max() < 1.5
        for each in real:
            assert ratio(each, finger(_minutiae(rows))).max() < 1.5


def _minutiae(rows: list[tuple[int, int, int]]) -> Minutiae:
    table = np.array(rows, dtype=np.int64)
    angle = (table[:, 2] * (2 * np.pi / 256)).astype(np.float32)
    zeros = np.zeros(len(table))
    return Minutiae(table[:, :2], angle, zeros, zeros, 400, 400)
