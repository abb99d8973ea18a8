"""The local stage: how alike a probe's minutiae are to those of every finger of a block, wherever they lie.

One matrix product a slot into one buffer, and a running maximum: the gallery's minutiae are never laid out
against the probe's all at once. Several probe fingers share each product.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from matcher.finger.constants import ABSENT, STRONGEST
from matcher.finger.descriptor_packing import LEADING, multiplier
from matcher.finger.descriptors import Finger
from matcher.finger.gallery_block import NOWHERE, Rows
from matcher.finger.template import Floats

MOST_STACKED = 288  # minutiae; product and maximum of a block stay in a core's second cache
EVEN = 4  # minutiae; a product of one, two or three fewer takes longer than this


class LocalSimilarity:
    """Probe fingers that meet blocks together."""

    def __init__(self, fingers: Sequence[Finger]) -> None:
        self._number = len(fingers)
        self._stacks: list[_Stack] = []
        for finger in fingers:
            if not self._stacks or self._stacks[-1].size + len(finger) > MOST_STACKED:
                self._stacks.append(_Stack())
            self._stacks[-1].add(finger)

    def scores(self, rows: Rows) -> Floats:
        """Return the mean likeness of each finger's twelve best minutiae to each row, (fingers, r) float32.

        A row without any minutia gets ABSENT.
        """
        scores = np.empty((self._number, len(rows.person)), dtype=np.float32)
        start = 0
        whole = list(rows.slots(len(rows.packed))) if len(self._stacks) > 1 else None
        for stack in self._stacks:
            end = start + len(stack.offsets)
            at_once = max(1, MOST_STACKED // stack.size)
            stack.meet(rows.slots(at_once) if whole is None else whole, scores[start:end])
            start = end
        return scores


class _Stack:
    def __init__(self) -> None:
        self.offsets: list[Floats] = []
        self._weights: list[Floats] = []

    @property
    def size(self) -> int:
        return sum(len(each) for each in self.offsets)

    def add(self, finger: Finger) -> None:
        weight, offset = multiplier(finger.vectors)
        self._weights.append(np.concatenate([weight, np.ones_like(offset)], axis=1))
        self.offsets.append(offset)

    def meet(self, slots: Iterable[Floats], out: Floats) -> None:
        odd = np.zeros((-self.size % EVEN, LEADING + 1), dtype=np.float32)
        probe = np.concatenate([*self._weights, odd])
        at_once = max(1, MOST_STACKED // self.size)
        best = np.full((len(probe), out.shape[1]), NOWHERE, dtype=np.float32)
        product = np.empty((at_once, *best.shape), dtype=np.float32)
        for some in slots:
            for first in range(0, len(some), at_once):
                part = some[first : first + at_once]
                found = np.matmul(probe, part, out=product[: len(part)])
                np.maximum(best, found[0] if len(part) == 1 else found.max(axis=0), out=best)
        start = 0
        for row, offset in enumerate(self.offsets):
            count = len(offset)
            mine = best[start : start + count]
            mine += offset
            np.maximum(mine, ABSENT, out=mine)
            number = min(STRONGEST, count)
            mine.partition(count - number, axis=0)
            out[row] = mine[count - number :].sum(axis=0) / np.float32(number)
            start += count
