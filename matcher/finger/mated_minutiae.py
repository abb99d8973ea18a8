"""Which minutiae of two fingers are each other's nearest, once one finger has been moved onto the other.

Fingers come as planes of real numbers as in `matcher.finger.relaxation`; h motions are tried for each of b gallery
fingers. A probe minutia has at most one mate, so that pairs are (b, h, n) arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from matcher.finger.constants import EXPECTED_REACH, FAR, LEAST_CLOSENESS, MOST_COST, OVERLAP_REACH
from matcher.finger.template import Bools, Floats, Ints

# Rows of what is multiplied with a moved minutia's x, y, cosine, sine, squared place and 1.
_PLACE, _SQUARE = slice(0, 2), 5


@dataclass(frozen=True, slots=True, eq=False)
class MatedMinutiae:
    """Mutually nearest minutiae: the mate of each probe minutia, and the pair's closeness, 0 = none; (b, h, n)."""

    mate: Ints = field(repr=False)
    close: Floats = field(repr=False)

    def among(self, motions: Ints) -> MatedMinutiae:
        """Return what is paired under some of the motions, (b, h')."""
        rows = np.arange(len(motions))[:, None]
        return MatedMinutiae(self.mate[rows, motions], self.close[rows, motions])

    def of(self, values: Floats) -> Floats:
        """Return each mate's values of (b, c, l), as (b, h, n, c)."""
        rows = np.arange(len(values))[:, None, None]
        found: Floats = np.ascontiguousarray(values.swapaxes(1, 2))[rows, self.mate]
        return found

    def within(self, table: Floats) -> Floats:
        """Return each pair's entry of a (b, n, l) table, (b, h, n)."""
        rows, columns = np.arange(len(table))[:, None, None], np.arange(table.shape[1])
        found: Floats = table[rows, columns, self.mate]
        return found


def targets(fingers: Floats, used: Bools) -> Floats:
    """Return the gallery's planes (b, 4, l) as `mutual` and `overlap` multiply with them, (b, 6, l)."""
    columns = np.ones((len(fingers), 6, fingers.shape[2]), dtype=np.float32)
    columns[:, :4] = fingers
    columns[:, _SQUARE] = (fingers[:, _PLACE] ** 2).sum(axis=1)
    columns[:, _SQUARE][~used] = FAR
    return columns


def mutual(planes: Floats, theirs: Floats, width: tuple[float, float]) -> MatedMinutiae:
    """Return which minutiae are nearest to each other, in place and direction, and how near."""
    b, _, h, n = planes.shape
    place, turn = np.float32(0.5 / width[0] ** 2), np.float32(width[1] ** -2)
    rows = np.empty((b, 6, h, n), dtype=np.float32)
    np.multiply(planes[:, _PLACE], -2 * place, out=rows[:, _PLACE])
    np.multiply(planes[:, 2:], -turn, out=rows[:, 2:4])
    rows[:, 4] = (planes[:, _PLACE] ** 2).sum(axis=1) * place + turn
    rows[:, _SQUARE] = place
    cost = np.matmul(rows.reshape(b, 6, h * n).swapaxes(1, 2), theirs)
    mate = cost.argmin(axis=2)
    least = np.take_along_axis(cost, mate[..., None], axis=2).reshape(b, h, n)
    mate = mate.reshape(b, h, n)
    nearest = cost.reshape(b, h, n, -1).min(axis=2)
    found = least <= np.take_along_axis(nearest, mate, axis=2)
    found &= least < np.float32(-np.log(LEAST_CLOSENESS))
    close = np.exp(-np.minimum(least, np.float32(MOST_COST)))
    return MatedMinutiae(mate, np.where(found, close, np.float32(0)))


def overlap(planes: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Return how many minutiae of each finger stand in the overlap, (b, h) each.

    First the geometric mean of both fingers' numbers, at least 1; then the number of the one that has fewer,
    within EXPECTED_REACH.
    """
    b, _, h, n = planes.shape
    rows = np.empty((b, 4, h, n), dtype=np.float32)
    np.multiply(planes[:, _PLACE], np.float32(-2), out=rows[:, :2])
    rows[:, 2] = (planes[:, _PLACE] ** 2).sum(axis=1)
    rows[:, 3] = 1
    distance = np.matmul(rows.reshape(b, 4, h * n).swapaxes(1, 2), theirs[:, [0, 1, 4, 5]])
    sides = distance.min(axis=2).reshape(b, h, n), distance.reshape(b, h, n, -1).min(axis=2)
    mine, yours = (_within(each, OVERLAP_REACH) for each in sides)
    fewer = np.minimum(*(_within(each, EXPECTED_REACH) for each in sides))
    return np.sqrt(np.maximum(mine * yours, 1)), fewer


def _within(square: Floats, reach: float) -> Floats:
    within: Floats = (square < np.float32(reach**2)).sum(axis=2).astype(np.float32)
    return within
