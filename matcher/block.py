"""One block of a gallery: fingers of one position and of about as many minutiae, slot after slot.

The layout is (slots, numbers, rows): one slot of all rows is one matrix, so that a probe meets a whole block
in one product a slot and its best likeness is a running maximum over whole rows (matching.md 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from matcher.alignment import ABSENT, Bools, Fingers, Ints
from matcher.finger import Complexes, Finger
from matcher.template import Floats

AnyNumber = TypeVar("AnyNumber", bound=np.generic)
MOST_ROWS = 2048  # of a block; one slot's product with a probe stays in a core's cache
FIRST_ROWS = 16  # a block doubles until it is full
SLOTS = (
    12,
    16,
    20,
    24,
    28,
    32,
    36,
    40,
    44,
    48,
    56,
    64,
    80,
    96,
    128,
    192,
    255,
)  # sizes of blocks, minutiae


def slots_for(minutiae: int) -> int:
    """Return the slots of the block that a finger of so many minutiae belongs to."""
    return next(slots for slots in SLOTS if minutiae <= slots)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A block as it stood at one moment: r rows, views of its arrays.

    vectors (slots, d + 1, r) float32, the last number 0 or, where a slot is empty, a penalty
    place, heading (r, slots) complex64; count, person (r,); alive (r,) bool, a copy
    """

    vectors: Floats = field(repr=False)
    place: Complexes = field(repr=False)
    heading: Complexes = field(repr=False)
    count: Ints = field(repr=False)
    person: Ints = field(repr=False)
    alive: Bools = field(repr=False)

    def fingers(self, rows: NDArray[np.intp]) -> Fingers:
        """Return some rows as fingers to be aligned."""
        count = self.count[rows]
        slots = max(1, int(count.max(initial=0)))
        return Fingers(
            np.ascontiguousarray(self.vectors[:slots, :-1, rows].transpose(2, 0, 1)),
            self.place[rows, :slots],
            self.heading[rows, :slots],
            count,
        )


class Block:
    """Rows that grow by doubling; what a search holds of it is never overwritten, only wiped."""

    def __init__(self, slots: int, size: int) -> None:
        self.slots = slots
        self.wiped = 0
        self._used = 0
        self._vectors = np.zeros((slots, size + 1, FIRST_ROWS), dtype=np.float32)
        self._vectors[:, -1] = ABSENT
        self._place = np.zeros((FIRST_ROWS, slots), dtype=np.complex64)
        self._heading = np.ones((FIRST_ROWS, slots), dtype=np.complex64)
        self._count = np.zeros(FIRST_ROWS, dtype=np.intp)
        self._person = np.full(FIRST_ROWS, -1, dtype=np.intp)

    @property
    def full(self) -> bool:
        """Whether no row can be appended."""
        return self._used == MOST_ROWS

    def append(self, person: int, finger: Finger) -> int:
        """Write a finger into the next row and return its number."""
        if self._used == len(self._person):
            self._double()
        row, number = self._used, len(finger)
        self._vectors[:number, :-1, row] = finger.vectors
        self._vectors[:number, -1, row] = 0
        self._place[row, :number] = finger.place
        self._heading[row, :number] = finger.heading
        self._count[row] = number
        self._person[row] = person
        self._used += 1
        return row

    def wipe(self, row: int) -> None:
        """Overwrite a row; it belongs to nobody and can never match."""
        self._vectors[:, :-1, row] = 0
        self._vectors[:, -1, row] = ABSENT
        self._place[row] = 0
        self._heading[row] = 1
        self._count[row] = 0
        self._person[row] = -1
        self.wiped += 1

    def finger(self, row: int) -> Finger:
        """Return a copy of the finger in a row."""
        number = int(self._count[row])
        vectors = np.ascontiguousarray(self._vectors[:number, :-1, row])
        return Finger(self._place[row, :number].copy(), self._heading[row, :number].copy(), vectors)

    def rows(self) -> Rows:
        """Return the block as it stands."""
        used = self._used
        person = self._person[:used].copy()
        return Rows(
            self._vectors[:, :, :used],
            self._place[:used],
            self._heading[:used],
            self._count[:used].copy(),
            person,
            person >= 0,
        )

    def _double(self) -> None:
        self._vectors = _wider(self._vectors, 2)
        self._vectors[:, -1, self._used :] = ABSENT
        self._place, self._heading = _wider(self._place, 0), _wider(self._heading, 0)
        self._heading[self._used :] = 1
        self._count, self._person = _wider(self._count, 0), _wider(self._person, 0)
        self._person[self._used :] = -1


def _wider(array: NDArray[AnyNumber], axis: int) -> NDArray[AnyNumber]:
    return np.concatenate([array, np.zeros_like(array)], axis=axis)
