"""Motions of one finger onto another: proposed by pairs that agree, and fitted to pairs of minutiae.

A motion is a matrix (2, 3). Fingers come as planes of real numbers as in `matcher.finger.relaxation`; h motions are
tried for each of b gallery fingers.
"""

from __future__ import annotations

import numpy as np

from matcher.finger.constants import (
    BEND_INERTIA,
    BEND_REACH,
    HEADING_ARM,
    HYPOTHESES,
    MOST_COST,
    STIFFNESS,
)
from matcher.finger.descriptors import Complexes
from matcher.finger.mated_minutiae import MatedMinutiae
from matcher.finger.relaxation import Pairs
from matcher.finger.template import Floats


def hypotheses(pairs: Pairs) -> Floats:
    """Return rigid motions (b, h, 2, 3): each of the best supported pairs, with all that agree with it."""
    rows, value = np.arange(len(pairs.value)), pairs.value
    left = np.where(pairs.usable, value * np.matvec(pairs.agreement, value), 0)
    seeds = np.empty((len(value), HYPOTHESES), dtype=np.intp)
    for number in range(HYPOTHESES):
        seeds[:, number] = best = left.argmax(axis=1)
        left *= 1 - pairs.agreement[rows, best]  # the next seed is of another opinion
        left[rows, best] = -1
    weight = pairs.agreement[rows[:, None], seeds] * value[:, None, :]
    weight[rows[:, None], np.arange(HYPOTHESES), seeds] = value[rows[:, None], seeds]
    (x, y), (u, v) = pairs.start.swapaxes(0, 1), pairs.end.swapaxes(0, 1)
    columns = [
        np.ones_like(x),
        x,
        y,
        u,
        v,
        u * x + v * y,
        v * x - u * y,
        *pairs.turn.swapaxes(0, 1),
    ]
    sums = np.matmul(weight, np.stack(columns, axis=2))
    total = sums[..., 0] + np.float32(1e-6)
    middle, target = _pair(sums, 1) / total, _pair(sums, 3) / total
    spread = _pair(sums, 5) - total * target * middle.conj()
    turn = _unit(spread + np.float32(HEADING_ARM) * _pair(sums, 7))
    return affine(turn, np.zeros_like(turn), target - turn * middle)


def affine(turn: Complexes, fold: Complexes, shift: Complexes) -> Floats:
    """Return place → turn · place + fold · conj(place) + shift as matrices (…, 2, 3)."""
    matrix = np.empty((*turn.shape, 2, 3), dtype=np.float32)
    matrix[..., 0, 0], matrix[..., 0, 1] = turn.real + fold.real, fold.imag - turn.imag
    matrix[..., 1, 0], matrix[..., 1, 1] = turn.imag + fold.imag, turn.real - fold.real
    matrix[..., 0, 2], matrix[..., 1, 2] = shift.real, shift.imag
    return matrix


def moved(probe: Floats, motion: Floats) -> Floats:
    """Return where the probe's minutiae come to lie and to point, planes (b, 4, h, n)."""
    planes = np.empty((len(motion), 4, motion.shape[1], probe.shape[1]), dtype=np.float32)
    place, heading = planes.swapaxes(1, 2)[:, :, :2], planes.swapaxes(1, 2)[:, :, 2:]
    place[:] = np.matmul(motion[..., :2], probe[:2])
    place += motion[..., 2, None]
    heading[:] = np.matmul(motion[..., :2], probe[2:])
    length = np.sqrt((planes[:, 2:] ** 2).sum(axis=1, keepdims=True))
    planes[:, 2:] /= np.maximum(length, np.float32(1e-6))
    return planes


def refit(probe: Floats, fingers: Floats, mates: MatedMinutiae, weight: Floats) -> Floats:
    """Return the motions (b, h, 2, 3) that fit all weighted pairs best.

    Least squares for place -> turn * place + fold * conj(place) + shift; the turn is drawn to the best rigid
    one, the fold to none, as strongly as STIFFNESS says.
    """
    x, y = probe[:2]
    columns = np.stack([np.ones_like(x), x, y, x * x + y * y, x * x - y * y, 2 * x * y, *probe[2:]])
    pulls = np.empty((*weight.shape, 5), dtype=np.float32)
    pulls[..., 0] = 1
    pulls[..., 1:] = mates.of(fingers)
    pulls *= weight[..., None]
    sums = np.matmul(columns, pulls)  # (b, h, 8, 5): probe's powers by 1, x, y, cosine, sine
    total = sums[..., 0, 0] + np.float32(1e-6)
    middle = _complex(sums[..., 1, 0], sums[..., 2, 0]) / total
    target = _complex(sums[..., 0, 1], sums[..., 0, 2]) / total
    spread = _turned(sums[..., 1:3, 1:3]) - total * target * middle.conj()
    folded = _folded(sums[..., 1:3, 1:3]) - total * target * middle
    rigid = _unit(spread + np.float32(HEADING_ARM) * _turned(sums[..., 6:8, 3:5]))
    around = sums[..., 3, 0] - total * np.abs(middle) ** 2
    along = _complex(sums[..., 4, 0], sums[..., 5, 0]) - total * middle**2
    firm, soft = around + np.float32(STIFFNESS[0]), around + np.float32(STIFFNESS[1])
    pulled = spread + np.float32(STIFFNESS[0]) * rigid
    turn = (pulled * soft - folded * along.conj()) / (firm * soft - np.abs(along) ** 2)
    fold = (folded - turn * along) / soft
    return affine(turn, fold, target - turn * middle - fold * middle.conj())


def bending(
    probe: Floats, fingers: Floats, planes: Floats, mates: MatedMinutiae, weight: Floats
) -> Floats:
    """Return how far each probe minutia moves with its paired neighbours, planes (b, 2, h, n)."""
    pulls = np.empty((3, *weight.shape), dtype=np.float32)
    pulls[0] = weight
    ends = mates.of(fingers[:, :2])
    for axis in (0, 1):
        np.multiply(weight, ends[..., axis] - planes[:, axis], out=pulls[1 + axis])
    square = (probe[:2, :, None] - probe[:2, None]) ** 2
    reach = np.exp(np.maximum(square.sum(axis=0) * np.float32(-0.5 / BEND_REACH**2), -MOST_COST))
    inertia, *missed = np.matmul(pulls, reach)
    inertia += np.float32(BEND_INERTIA)
    return np.stack([each / inertia for each in missed], axis=1)


def _unit(values: Complexes) -> Complexes:
    """Return values of length 1, and 0 for 0."""
    length: Complexes = values / np.maximum(np.abs(values), np.float32(1e-6))
    return length.astype(np.complex64)


def _pair(columns: Floats, first: int) -> Complexes:
    return _complex(columns[..., first], columns[..., first + 1])


def _complex(real: Floats, imaginary: Floats) -> Complexes:
    joined: Complexes = real + 1j * imaginary
    return joined


def _turned(sums: Floats) -> Complexes:
    """Return the sum of end · conj(start) from sums (…, 2, 2) of start's parts by end's."""
    return _complex(sums[..., 0, 0] + sums[..., 1, 1], sums[..., 0, 1] - sums[..., 1, 0])


def _folded(sums: Floats) -> Complexes:
    """Return the sum of end · start from such sums."""
    return _complex(sums[..., 0, 0] - sums[..., 1, 1], sums[..., 0, 1] + sums[..., 1, 0])
