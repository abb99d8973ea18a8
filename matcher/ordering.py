"""The greatest of some values, the same ones on every processor: among equals, those that come first.

`numpy.argpartition` and the default `numpy.argsort` keep or order equals as the processor's own instructions
happen to; everything that picks a few of many by value picks them here, or sorts with kind="stable".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def greatest(values: NDArray[np.floating], number: int) -> NDArray[np.intp]:
    """Return the places of the `number` greatest values of each row, (r, k) → (r, number), in rising order.

    Among equal values the first places are taken. number is 1 to k; no value is nan.
    """
    rest = values.shape[1] - number
    places = np.argpartition(values, rest, axis=1)[:, rest:]
    least = np.take_along_axis(values, places, axis=1).min(axis=1)
    many = np.count_nonzero(values >= least[:, None], axis=1) > number
    for row in np.flatnonzero(many):
        above = np.flatnonzero(values[row] > least[row])
        equal = np.flatnonzero(values[row] == least[row])
        places[row] = np.concatenate([above, equal[: number - len(above)]])
    places.sort(axis=1)
    return places
