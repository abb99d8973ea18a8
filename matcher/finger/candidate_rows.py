"""Rows of many blocks as one list, out of which a few are taken for a closer look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from matcher.finger.descriptors import Frame
from matcher.finger.gallery_block import Rows
from matcher.finger.template import Floats, Ints
from matcher.ordering import greatest

ALIGNED_AT_ONCE = 32  # fingers; keeps the (b, h, n, l) arrays of the alignment in cache
LEAST_TYPICAL = 8  # people compared at one position, whose median is then that of other people

Picked = list[tuple[Rows, int]]  # block and row


class CandidateRows:
    """The fingers of one position whose pictures are of one size, those of like numbers of minutiae together."""

    def __init__(self, blocks: Sequence[Rows]) -> None:
        self._blocks = sorted(blocks, key=lambda rows: rows.place.shape[1])
        people = [np.where(rows.alive, rows.person, -1) for rows in self._blocks]
        self._person = np.concatenate(people)
        self._ends = np.cumsum([len(each) for each in people])

    def few(self, seats: Ints) -> Iterator[tuple[Ints, Picked]]:
        """Yield the fingers of people who have a seat, a few at a time, with their seats.

        seats: by person number, -1 = none, and one -1 more at the end, which stands for nobody
        """
        seated = seats[self._person]
        here = np.flatnonzero(seated >= 0)
        block = np.searchsorted(self._ends, here, side="right")
        row = here - (self._ends[block] - [len(self._blocks[at].person) for at in block])
        for start in range(0, len(here), ALIGNED_AT_ONCE):
            part = slice(start, start + ALIGNED_AT_ONCE)
            places = zip(block[part].tolist(), row[part].tolist(), strict=True)
            yield seated[here[part]], [(self._blocks[at], each) for at, each in places]


def crowds(blocks: Sequence[Rows]) -> dict[Frame, CandidateRows]:
    """Return the crowds of one position by the size of their pictures."""
    frames: dict[Frame, list[Rows]] = {}
    for rows in blocks:
        frames.setdefault(rows.frame, []).append(rows)
    return {frame: CandidateRows(each) for frame, each in frames.items()}


def best_finite(score: Floats, number: int) -> Ints:
    """Return the places of the best finite scores, best first, ties by place."""
    finite = np.flatnonzero(np.isfinite(score))
    if len(finite) > number:
        finite = finite[greatest(score[None, finite], number)[0]]
    return finite[np.argsort(-score[finite], kind="stable")]


def supported(values: Floats) -> Floats:
    """Return how far each person's values (k, 10) lie above those of most people, added over positions, (k,).

    nan stands for a finger that was not compared and says nothing. A position at which few people have a
    finger is not judged by its own median alone: the few may all be mates.
    """
    total = np.zeros(len(values), dtype=np.float32)
    every = values[~np.isnan(values)]
    for column in values.T:
        compared = ~np.isnan(column)
        if compared.any():
            typical = np.median(column[compared])
            if compared.sum() < LEAST_TYPICAL:
                typical = min(typical, np.median(every))
            total[compared] += column[compared] - typical
    return total
