"""One block of a gallery: fingers of one position, one picture size and about as many minutiae, slot by slot.

The layout is (slots, bytes, rows): one slot of all rows is one matrix, so that a probe meets a whole block in
one product a slot and its best likeness is a running maximum over whole rows (matching.md 5). A minutia takes
half a byte for each number of its descriptor, four bytes for its place and one for its direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from matcher.alignment import Fingers
from matcher.constants import ABSENT, STRONGEST
from matcher.finger import UNKNOWN, Complexes, Finger, Frame
from matcher.packing import LEADING, leading, multiplier, pack, unpack
from matcher.template import Bools, Bytes, Floats, Ints

AnyNumber = TypeVar("AnyNumber", bound=np.generic)
MOST_ROWS = (
    512  # of a block; a slot of it and a probe's likeness to it stay in a core's cache together
)
FIRST_ROWS = 16  # a block doubles until it is full
SLOTS: tuple[int, ...] = (
    *range(12, 56, 2),
    56,
    60,
    64,
    72,
    80,
    96,
    128,
    192,
    255,
)  # sizes of blocks, minutiae
PLACE_STEPS = 8  # a pixel; a place is kept within ± 4,096 pixels of the finger's middle
HEADING_STEPS = 256  # a turn, as in ISO/IEC 19794-2:2005
NOWHERE = (
    -64.0
)  # likeness of an empty slot before the probe's offset, which is below 64 / 2 for any probe

Persons = NDArray[np.int32]
Steps = NDArray[np.int16]


def slots_for(minutiae: int) -> int:
    """Return the slots of the block that a finger of so many minutiae belongs to."""
    return next(slots for slots in SLOTS if minutiae <= slots)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A block as it stood at one moment: r rows, views of its arrays.

    packed (slots, d / 2, r) uint8; place (r, slots, 2) int16, steps from middle (r,) complex64;
    heading (r, slots) uint8; count, person (r,), alive (r,) bool: copies; frame: what size of picture the rows state
    """

    packed: Bytes = field(repr=False)
    place: Steps = field(repr=False)
    middle: Complexes = field(repr=False)
    heading: Bytes = field(repr=False)
    count: Bytes = field(repr=False)
    person: Persons = field(repr=False)
    alive: Bools = field(repr=False)
    frame: Frame

    def fingers(self, rows: Ints) -> Fingers:
        """Return some rows as fingers to be aligned."""
        count = self.count[rows].astype(np.intp)
        slots = max(1, int(count.max(initial=0)))
        vectors = unpack(np.ascontiguousarray(self.packed[:slots, :, rows].transpose(2, 0, 1)))
        place = _places(self.place[rows, :slots], self.middle[rows, None])
        return Fingers(vectors, place, _headings(self.heading[rows, :slots]), count)

    def unpacked(self) -> Floats:
        """Return what `local_scores` multiplies with, (slots, LEADING + 1, r) float32."""
        slots, _, rows = self.packed.shape
        numbers = np.empty((slots, LEADING + 1, rows), dtype=np.float32)
        leading(self.packed, numbers)
        empty = np.arange(slots)[:, None] >= self.count
        np.multiply(empty, np.float32(NOWHERE), out=numbers[:, LEADING])
        return numbers


def local_scores(finger: Finger, unpacked: Floats) -> Floats:
    """Return the mean likeness of the probe's twelve best minutiae to each unpacked row, (r,) float32.

    One matrix product a slot into one buffer, and a running maximum: the gallery's minutiae are never laid
    out against the probe's all at once. A row without any minutia gets ABSENT.
    """
    weight, offset = multiplier(finger.vectors)
    probe = np.concatenate([weight, np.ones_like(offset)], axis=1)
    best = np.full((len(finger), unpacked.shape[2]), NOWHERE, dtype=np.float32)
    product = np.empty_like(best)
    for slot in unpacked:
        np.matmul(probe, slot, out=product)
        np.maximum(best, product, out=best)
    best += offset
    np.maximum(best, ABSENT, out=best)
    number = min(STRONGEST, len(finger))
    best.partition(len(finger) - number, axis=0)
    mean: Floats = best[len(finger) - number :].mean(axis=0)
    return mean


class Block:
    """Rows that grow by doubling; what a search holds of it is never overwritten, only wiped."""

    def __init__(self, slots: int, size: int, frame: Frame = UNKNOWN) -> None:
        self.slots = slots
        self.frame = frame
        self._used = 0
        self._packed = np.zeros((slots, size // 2, FIRST_ROWS), dtype=np.uint8)
        self._place = np.zeros((FIRST_ROWS, slots, 2), dtype=np.int16)
        self._middle = np.zeros(FIRST_ROWS, dtype=np.complex64)
        self._heading = np.zeros((FIRST_ROWS, slots), dtype=np.uint8)
        self._count = np.zeros(FIRST_ROWS, dtype=np.uint8)
        self._person = np.full(FIRST_ROWS, -1, dtype=np.int32)

    @property
    def full(self) -> bool:
        """Whether no row can be appended."""
        return self._used == MOST_ROWS

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, unused rows included."""
        kept = (self._packed, self._place, self._middle, self._heading, self._count, self._person)
        return sum(array.nbytes for array in kept)

    def append(self, person: int, finger: Finger) -> int:
        """Write a finger into the next row and return its number."""
        if self._used == len(self._person):
            self._double()
        row, number = self._used, len(finger)
        middle = finger.place.mean().astype(np.complex64) if number else np.complex64(0)
        away = (finger.place - middle) * np.float32(PLACE_STEPS)
        steps = np.rint(np.column_stack([away.real, away.imag]))
        turned = np.rint(np.angle(finger.heading) * (HEADING_STEPS / (2 * np.pi)))
        self._packed[:number, :, row] = pack(finger.vectors)
        self._place[row, :number] = np.clip(steps, -(1 << 15), (1 << 15) - 1)
        self._middle[row] = middle
        self._heading[row, :number] = turned % HEADING_STEPS
        self._count[row] = number
        self._person[row] = person
        self._used += 1
        return row

    def wipe(self, row: int) -> None:
        """Overwrite a row; it belongs to nobody and can never match."""
        self._packed[:, :, row] = 0
        self._place[row] = 0
        self._middle[row] = 0
        self._heading[row] = 0
        self._count[row] = 0
        self._person[row] = -1

    def adopt(self, person: int, block: Block, row: int) -> int:
        """Copy a row of a block of as many slots, as it is, and return its number here."""
        if self._used == len(self._person):
            self._double()
        to = self._used
        self._packed[:, :, to] = block._packed[:, :, row]
        for name in ("_place", "_middle", "_heading", "_count"):
            getattr(self, name)[to] = getattr(block, name)[row]
        self._person[to] = person
        self._used += 1
        return to

    def rows(self) -> Rows:
        """Return the block as it stands."""
        used = self._used
        person = self._person[:used].copy()
        return Rows(
            self._packed[:, :, :used],
            self._place[:used],
            self._middle[:used],
            self._heading[:used],
            self._count[:used].copy(),
            person,
            person >= 0,
            self.frame,
        )

    def _double(self) -> None:
        self._packed = _wider(self._packed, 2)
        for name in ("_place", "_middle", "_heading", "_count", "_person"):
            setattr(self, name, _wider(getattr(self, name), 0))
        self._person[self._used :] = -1


def _places(steps: Steps, middle: Complexes) -> Complexes:
    place: Complexes = steps.astype(np.float32).view(np.complex64)[..., 0] / np.float32(PLACE_STEPS)
    return place + middle


def _headings(turned: Bytes) -> Complexes:
    heading: Complexes = _TURNS[turned]
    return heading


_TURNS = np.exp(2j * np.pi * np.arange(HEADING_STEPS) / HEADING_STEPS).astype(np.complex64)


def _wider(array: NDArray[AnyNumber], axis: int) -> NDArray[AnyNumber]:
    return np.concatenate([array, np.zeros_like(array)], axis=axis)
