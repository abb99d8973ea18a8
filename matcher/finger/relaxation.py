"""The likeliest pairs of two fingers lift those that agree with them in distance and direction.

All arrays run over b gallery fingers. Places and directions come as planes of real numbers, (4, n) for the
probe and (b, 4, l): x, y, and the direction's cosine and sine, about a middle of each finger.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from matcher.finger.constants import (
    MOST_COST,
    MOST_SUPPORT,
    PAIRS,
    PEERS,
    RADIAL_TOLERANCE,
    ROUNDS,
    STRETCH,
    STRONGEST,
    TURN_TOLERANCE,
)
from matcher.finger.template import Bools, Floats, Ints
from matcher.ordering import greatest


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The k likeliest pairs of each comparison and what they are worth after relaxation.

    probe, gallery  (b, k) minutiae; usable (b, k): not of padding
    start, end      (b, 2, k) their places; turn (b, 2, k): cosine and sine of the turn that each proposes
    agreement       (b, k, k) in [0, 1]; value (b, k)
    """

    probe: Ints = field(repr=False)
    gallery: Ints = field(repr=False)
    usable: Bools = field(repr=False)
    start: Floats = field(repr=False)
    end: Floats = field(repr=False)
    turn: Floats = field(repr=False)
    agreement: Floats = field(repr=False)
    value: Floats = field(repr=False)


def relaxed(probe: Floats, fingers: Floats, similarity: Floats) -> Pairs:
    """Return the likeliest pairs by (b, n, l) likeness, each lifted by those that agree with it."""
    slots = similarity.shape[2]
    flat = similarity.reshape(len(similarity), -1)
    number = min(PAIRS, flat.shape[1])
    rows = np.arange(len(flat))[:, None]
    top = greatest(flat, number)
    mine, theirs = np.divmod(top, slots)
    likeness = flat[rows, top]
    usable = likeness > -1.5
    here, there = probe[:, mine].swapaxes(0, 1), fingers[rows[:, :, None], _FOUR, theirs[:, None]]
    turn = np.empty((len(flat), 2, number), dtype=np.float32)
    turn[:, 0] = there[:, 2] * here[:, 2] + there[:, 3] * here[:, 3]
    turn[:, 1] = there[:, 3] * here[:, 2] - there[:, 2] * here[:, 3]
    start, end = here[:, :2], there[:, :2]
    agreement = _agreement(start, end, turn)
    agreement *= _different(mine, theirs)
    if not usable.all():
        agreement *= usable[:, :, None] & usable[:, None, :]
    value = np.maximum(likeness, 0)
    for _ in range(ROUNDS):
        support = np.matvec(agreement, value)
        value = np.minimum((value + support / PEERS) / 2, np.float32(MOST_SUPPORT))
    return Pairs(mine, theirs, usable, start, end, turn, agreement, value)


_FOUR = np.arange(4)[:, None]


def _agreement(start: Floats, end: Floats, turn: Floats) -> Floats:
    """Return how well each two pairs go together under one rigid motion, (b, k, k) in [0, 1]."""
    x, y, u, v = (_apart(each[:, axis]) for each in (start, end) for axis in (0, 1))
    near, far = _length(x, y), _length(u, v)
    # The line that joins two pairs turns as they do: cosine and sine of its turn, times both lengths.
    along, across = x * u, x * v
    along += y * v
    across -= y * u
    along *= turn[:, 0, :, None] + turn[:, 0, None]
    across *= turn[:, 1, :, None] + turn[:, 1, None]
    along += across
    stretch = far - near
    np.multiply(near, far, out=across)
    near += far
    along /= np.maximum(across, np.float32(1e-3), out=across)
    near *= np.float32(STRETCH[1] / 2)
    near += np.float32(STRETCH[0])
    stretch /= near
    # 1 - cos stands for half the squared angle: no arc tangent is ever taken.
    cost = np.multiply(stretch, stretch, out=stretch)
    cost *= np.float32(0.5)
    along *= np.float32(0.5 / RADIAL_TOLERANCE**2)
    cost -= along
    cost -= np.matmul(turn.swapaxes(1, 2) * np.float32(TURN_TOLERANCE**-2), turn, out=far)
    cost += np.float32(TURN_TOLERANCE**-2 + RADIAL_TOLERANCE**-2)
    np.minimum(cost, np.float32(MOST_COST), out=cost)
    agreement: Floats = np.exp(np.negative(cost, out=cost), out=cost)
    return agreement


def _apart(values: Floats) -> Floats:
    apart: Floats = values[:, None, :] - values[:, :, None]
    return apart


def _length(x: Floats, y: Floats) -> Floats:
    length = x * x
    length += y * y
    return np.sqrt(length, out=length)


def _different(mine: Ints, theirs: Ints) -> Floats:
    """Return 0 where two pairs share a minutia and 1 elsewhere."""
    apart = _apart(mine.astype(np.float32))
    apart *= _apart(theirs.astype(np.float32))
    np.multiply(apart, apart, out=apart)
    return np.minimum(apart, np.float32(1), out=apart)


def strongest(pairs: Pairs) -> Floats:
    """Return the mean value of the twelve best pairs, no minutia twice, (b,)."""
    rows = np.arange(len(pairs.value))
    left = np.where(pairs.usable, pairs.value, 0)
    total = np.zeros(len(left), dtype=np.float32)
    for _ in range(STRONGEST):
        best = left.argmax(axis=1)
        total += left[rows, best]
        taken = pairs.probe == pairs.probe[rows, best][:, None]
        taken |= pairs.gallery == pairs.gallery[rows, best][:, None]
        left[taken] = 0
    return total / STRONGEST
