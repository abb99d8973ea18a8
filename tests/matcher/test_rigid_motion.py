"""The alignment's arithmetic on planes of numbers gives what plain loops over minutiae give."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.finger.alignment import (
    MatedMinutiae,
    affine,
    hypotheses,
    moved,
    mutual,
    overlap,
    refit,
    relaxed,
    strongest,
    targets,
)
from matcher.finger.constants import (
    EXPECTED_REACH,
    FAR,
    HYPOTHESES,
    LEAST_CLOSENESS,
    NARROW,
    OVERLAP_REACH,
    RADIAL_TOLERANCE,
    STIFFNESS,
    STRETCH,
    TURN_TOLERANCE,
    WIDE,
)


def planes(rng: np.random.Generator, *shape: int, reach: float = 120) -> np.ndarray:
    made = np.empty((*shape[:-1], 4, shape[-1]), dtype=np.float32)
    made[..., :2, :] = rng.uniform(-reach, reach, made[..., :2, :].shape)
    angle = rng.uniform(0, 2 * np.pi, shape)
    made[..., 2, :], made[..., 3, :] = np.cos(angle), np.sin(angle)
    return made


def number(plane: np.ndarray, first: int = 0) -> np.ndarray:
    joined: np.ndarray = (plane[..., first, :] + 1j * plane[..., first + 1, :]).astype(
        np.complex128
    )
    return joined


def test_agreement_and_value_are_those_of_two_pairs_at_a_time() -> None:
    rng = np.random.default_rng(1)
    probe, fingers = planes(rng, 3, 14), planes(rng, 3, 11)
    similarity = rng.uniform(-0.2, 1, (3, 14, 11)).astype(np.float32)
    similarity[1, :, 9:] = -4.0  # padding

    pairs = relaxed(probe, fingers, similarity)

    for row in range(3):
        mine, theirs = pairs.probe[row], pairs.gallery[row]
        start, end = number(probe[row])[mine], number(fingers[row])[theirs]
        turn = number(fingers[row], 2)[theirs] / number(probe[row], 2)[mine]
        expected = np.zeros((48, 48))
        for i in range(48):
            for j in range(48):
                if mine[i] != mine[j] and theirs[i] != theirs[j]:
                    expected[i, j] = agreement(start[j] - start[i], end[j] - end[i], turn[[i, j]])
        assert pairs.usable[row].all()
        assert pairs.agreement[row] == pytest.approx(expected, abs=2e-5)
        value = np.maximum(similarity[row][mine, theirs], 0).astype(np.float64)
        for _ in range(5):
            value = np.minimum((value + expected @ value / 8) / 2, 4)
        assert pairs.value[row] == pytest.approx(value, abs=1e-3)
        assert strongest(pairs)[row] == pytest.approx(best_twelve(mine, theirs, value), abs=1e-3)


def agreement(here: complex, there: complex, turns: np.ndarray) -> float:
    near, far = abs(here), abs(there)
    stretch = (far - near) / (STRETCH[0] + STRETCH[1] / 2 * (near + far))
    line = there * here.conjugate() / max(near * far, 1e-3)
    radial = float(np.mean((line * turns.conj()).real))
    turned = float((turns[0] * turns[1].conjugate()).real)
    cost = stretch**2 / 2 + (1 - turned) / TURN_TOLERANCE**2 + (1 - radial) / RADIAL_TOLERANCE**2
    return float(np.exp(-cost))


def best_twelve(mine: np.ndarray, theirs: np.ndarray, value: np.ndarray) -> float:
    total, left = 0.0, value.copy()
    for _ in range(12):
        best = int(left.argmax())
        total += left[best]
        left[(mine == mine[best]) | (theirs == theirs[best])] = 0
    return total / 12


def test_padding_is_never_a_pair() -> None:
    rng = np.random.default_rng(2)
    probe, fingers = planes(rng, 2, 6), planes(rng, 2, 7)
    similarity = rng.uniform(-1, 1, (2, 6, 7)).astype(np.float32)
    similarity[0, :, 2:] = -4.0
    similarity[1] = -4.0

    pairs = relaxed(probe, fingers, similarity)

    assert not pairs.agreement[0][~pairs.usable[0]].any()
    assert not pairs.usable[1].any()
    assert strongest(pairs)[1] == 0
    assert np.isfinite(hypotheses(pairs)).all()


def test_mutual_nearest_minutiae_and_the_overlap_are_those_of_plain_loops() -> None:
    rng = np.random.default_rng(3)
    probe, fingers = planes(rng, 4, 20, reach=50), planes(rng, 4, 23, reach=50)
    used = np.arange(23) < np.array([23, 20, 1, 0])[:, None]
    mine = np.arange(20) < np.array([20, 17, 20, 20])[:, None]
    absent = np.where(mine, 0, FAR).astype(np.float32)
    turn = np.exp(1j * rng.uniform(0, 6, (4, 2)))
    there = moved(probe, affine(turn, 0.05 * turn, turn * 3 + 4))

    mates = mutual(there, absent, targets(fingers, used), WIDE)
    shared, expected_here = overlap(there, absent, targets(fingers, used))

    place, heading = number(there.transpose(0, 2, 1, 3)), number(there.transpose(0, 2, 1, 3), 2)
    start = number(probe)[:, None]
    expected = turn[..., None] * start + 0.05 * turn[..., None] * start.conj()
    assert place == pytest.approx(expected + (turn * 3 + 4)[..., None], abs=1e-3)
    assert np.abs(heading) == pytest.approx(1, abs=1e-5)
    for row in range(4):
        theirs = fingers[row][:, used[row]]
        for h in range(2):
            apart = np.abs(place[row, h][:, None] - number(theirs))
            apart[~mine[row]] = np.inf
            turned = 1 - (heading[row, h][:, None] * number(theirs, 2).conj()).real
            cost = apart**2 / (2 * WIDE[0] ** 2) + turned / WIDE[1] ** 2
            both = cost == cost.min(axis=1, initial=9e9, keepdims=True)
            both &= cost == cost.min(axis=0, keepdims=True)
            both &= np.exp(-cost) > LEAST_CLOSENESS
            pairs = {(n, m): np.exp(-cost[n, m]) for n, m in np.argwhere(both)}
            found = np.flatnonzero(mates.close[row, h])
            assert {(n, mates.mate[row, h, n]) for n in found} == set(pairs)
            for n in found:
                close = pairs[n, mates.mate[row, h, n]]
                assert mates.close[row, h, n] == pytest.approx(close, rel=1e-3)
            near = apart < OVERLAP_REACH
            counted = near.any(axis=1).sum() * near.any(axis=0).sum()
            assert shared[row, h] == pytest.approx(np.sqrt(max(1, counted)))
            wide = apart < EXPECTED_REACH
            assert expected_here[row, h] == min(wide.any(axis=1).sum(), wide.any(axis=0).sum())


def test_a_fit_is_the_least_of_its_squares() -> None:
    """Solved another way: numpy's least squares over turn and fold, the pulls towards rigid as more rows."""
    rng = np.random.default_rng(4)
    probe, fingers = planes(rng, 1, 25), planes(rng, 1, 25)
    turn, fold, shift = np.exp(0.4j) * 1.03, 0.04 - 0.02j, 12 - 5j
    start = number(probe)[0]
    end = turn * start + fold * start.conj() + shift + rng.normal(0, 2, 25)
    fingers[0, :2] = end.real, end.imag
    weight = rng.uniform(0, 1, (1, 1, 25)).astype(np.float32)
    w = weight[0, 0].astype(np.float64)

    motion = refit(probe, fingers, MatedMinutiae(np.arange(25)[None, None], weight), weight)[0, 0]

    middle, target = (w * start).sum() / w.sum(), (w * end).sum() / w.sum()
    here, there = start - middle, end - target
    headings = 400.0 * (w * number(fingers[0], 2) * number(probe[0], 2).conj()).sum()
    rigid = (w * there * here.conj()).sum() + headings
    rigid /= abs(rigid)
    # Real unknowns: turn and fold, real and imaginary.
    zeros = np.zeros(2)
    x, y, root = here.real, here.imag, np.sqrt(w)
    rows = np.concatenate(
        [
            np.column_stack([x, -y, x, y]) * root[:, None],
            np.column_stack([y, x, -y, x]) * root[:, None],
            np.diag(np.sqrt(STIFFNESS).repeat(2)),
        ]
    )
    pull = np.sqrt(STIFFNESS[0]) * np.array([rigid.real, rigid.imag])
    right = np.concatenate([there.real * root, there.imag * root, pull, zeros])
    a, b, c, d = np.linalg.lstsq(rows, right, rcond=None)[0]
    expected = affine(
        np.array(a + 1j * b),
        np.array(c + 1j * d),
        target - (a + 1j * b) * middle - (c + 1j * d) * middle.conj(),
    )
    assert motion == pytest.approx(expected, rel=1e-3, abs=2e-3)


def test_a_turned_and_shifted_finger_is_the_first_hypothesis() -> None:
    rng = np.random.default_rng(5)
    probe = planes(rng, 1, 30)
    turn = np.exp(1.1j)
    place, heading = turn * number(probe) + 20 - 9j, turn * number(probe, 2)
    fingers = np.stack([place.real, place.imag, heading.real, heading.imag], axis=1).astype(
        np.float32
    )
    similarity = (0.3 * rng.random((1, 30, 30)) + 0.6 * np.eye(30)).astype(np.float32)

    motions = hypotheses(relaxed(probe, fingers, similarity))

    expected = affine(np.array(turn), np.array(0j), np.array(20 - 9j))
    assert motions.shape == (1, HYPOTHESES, 2, 3)
    assert motions[0, 0] == pytest.approx(expected, abs=0.1)
    there = moved(probe, motions)
    absent, used = np.zeros((1, 30), dtype=np.float32), np.ones((1, 30), dtype=bool)
    assert (mutual(there, absent, targets(fingers, used), NARROW).close[0, 0] > 0.99).all()
