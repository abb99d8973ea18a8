"""One block of a gallery: fingers of one position, one picture size and about as many minutiae, slot by slot.

The layout is (slots, bytes, rows): one slot of all rows is one matrix, so that a probe meets a whole block in
one product a slot and its best likeness is a running maximum over whole rows (matching.md 5). A minutia takes
half a byte for each number of its descriptor, four bytes for its place and one for its direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from matcher.finger.alignment import Fingers
from matcher.finger.descriptors import (
    LEADING,
    UNKNOWN,
    Complexes,
    Finger,
    Frame,
    leading,
    pack,
    unpack,
)
from matcher.finger.template import Bools, Bytes, Floats

AnyNumber = TypeVar("AnyNumber", bound=np.generic)
MOST_ROWS = (
    512  # of a block; a slot of it and a probe's likeness to it stay in a core's cache together
)
FIRST_ROWS = 16  # a block grows by this or by a quarter until it is full
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
    impression: of a person's impressions of the finger, the how-manieth: a block has one row a person
    people: how many rows are somebody's
    """

    packed: Bytes = field(repr=False)
    place: Steps = field(repr=False)
    middle: Complexes = field(repr=False)
    heading: Bytes = field(repr=False)
    count: Bytes = field(repr=False)
    person: Persons = field(repr=False)
    alive: Bools = field(repr=False)
    frame: Frame
    impression: int
    people: int


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """What the local stage looks at of r rows of one or several blocks.

    packed (slots, LEADING / 2, r) uint8; count, person (r,): whose each is, -1 = nobody's
    """

    packed: Bytes = field(repr=False)
    count: Bytes = field(repr=False)
    person: Persons = field(repr=False)

    def slots(self, at_once: int) -> Iterator[Floats]:
        """Yield what the local stage multiplies with, (LEADING + 1, slots, r) float32, some slots at a time.

        One buffer serves all of them: what was yielded is overwritten next.
        """
        shape = LEADING, min(at_once, len(self.packed)), len(self.count)
        numbers = np.empty((LEADING + 1, *shape[1:]), dtype=np.float32)
        steps = np.empty(shape, dtype=np.uint8)
        for first in range(0, len(self.packed), shape[1]):
            packed = self.packed[first : first + shape[1]]
            some = slice(0, len(packed))
            numbers[:LEADING, some] = leading(packed.swapaxes(0, 1), steps[:, some])
            empty = self.count <= np.arange(first, first + len(packed))[:, None]
            np.multiply(empty, np.float32(NOWHERE), out=numbers[LEADING, some])
            yield numbers[:, some]


def heads_of(blocks: Sequence[Rows]) -> Heads:
    """Return the heads of all rows, block by block: a view of one block's, a copy of several's in as many slots as the most."""
    packed = [block.packed[:, : LEADING // 2] for block in blocks]
    if len(blocks) == 1:
        return Heads(packed[0], blocks[0].count, blocks[0].person)
    count = np.concatenate([block.count for block in blocks])
    shape = max(len(each) for each in packed), LEADING // 2, len(count)
    beside = np.zeros(shape, dtype=np.uint8)
    first = 0
    for each in packed:
        beside[: len(each), :, first : first + each.shape[2]] = each
        first += each.shape[2]
    return Heads(beside, count, np.concatenate([block.person for block in blocks]))


def fingers_of(picked: Sequence[tuple[Rows, int]], width: int) -> Fingers:
    """Return rows of any blocks as fingers to be aligned, side by side and padded to a width."""
    count = np.array([rows.count[row] for rows, row in picked], dtype=np.intp)
    shape = len(picked), width
    size = picked[0][0].packed.shape[1]
    packed, turned = np.zeros((*shape, size), dtype=np.uint8), np.zeros(shape, dtype=np.uint8)
    steps = np.zeros((*shape, 2), dtype=np.int16)
    middle = np.array([rows.middle[row] for rows, row in picked], dtype=np.complex64)
    for at, ((rows, row), used) in enumerate(zip(picked, count.tolist(), strict=True)):
        packed[at, :used] = rows.packed[:used, :, row]
        steps[at, :used] = rows.place[row, :used]
        turned[at, :used] = rows.heading[row, :used]
    return Fingers(unpack(packed), _places(steps, middle[:, None]), _headings(turned), count)


def picked_rows(picked: Sequence[tuple[Rows, int]], person: Persons) -> Rows:
    """Return a copy of rows of blocks of as many slots, one frame and one impression, as people of these numbers (r,)."""
    first = picked[0][0]

    def of(name: str, axis: int) -> NDArray[Any]:
        return np.stack([getattr(rows, name).take(row, axis=axis) for rows, row in picked], axis)

    alive = np.array([rows.alive[row] for rows, row in picked])
    return Rows(
        *(of("packed", 2), of("place", 0), of("middle", 0), of("heading", 0), of("count", 0)),
        np.where(alive, person, -1).astype(np.int32),
        alive,
        first.frame,
        first.impression,
        int(np.count_nonzero(alive)),
    )


class Block:
    """Rows that grow by a quarter; what a search holds of it is never overwritten, only wiped."""

    def __init__(
        self,
        slots: int,
        size: int,
        frame: Frame = UNKNOWN,
        position: int = 0,
        impression: int = 0,
    ) -> None:
        self.slots = slots
        self.frame = frame
        self.position = position
        self.impression = impression
        self._used = 0
        self._packed = np.zeros((slots, size // 2, FIRST_ROWS), dtype=np.uint8)
        self._place = np.zeros((FIRST_ROWS, slots, 2), dtype=np.int16)
        self._middle = np.zeros(FIRST_ROWS, dtype=np.complex64)
        self._heading = np.zeros((FIRST_ROWS, slots), dtype=np.uint8)
        self._count = np.zeros(FIRST_ROWS, dtype=np.uint8)
        self._person = np.full(FIRST_ROWS, -1, dtype=np.int32)
        self._rows: Rows | None = None  # as it stands, until a row changes

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
        self._make_room()
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
        self._rows = None
        self._packed[:, :, row] = 0
        self._place[row] = 0
        self._middle[row] = 0
        self._heading[row] = 0
        self._count[row] = 0
        self._person[row] = -1

    def adopt(self, person: int, block: Block, row: int) -> int:
        """Copy a row of a block of as many slots, as it is, and return its number here."""
        self._make_room()
        to = self._used
        self._packed[:, :, to] = block._packed[:, :, row]
        for name in ("_place", "_middle", "_heading", "_count"):
            getattr(self, name)[to] = getattr(block, name)[row]
        self._person[to] = person
        self._used += 1
        return to

    def rows(self) -> Rows:
        """Return the block as it stands."""
        if self._rows is None:
            used = self._used
            person = self._person[:used].copy()
            alive = person >= 0
            self._rows = Rows(
                self._packed[:, :, :used],
                self._place[:used],
                self._middle[:used],
                self._heading[:used],
                self._count[:used].copy(),
                person,
                alive,
                self.frame,
                self.impression,
                int(np.count_nonzero(alive)),
            )
        return self._rows

    def _make_room(self) -> None:
        """Be ready for one more row."""
        self._rows = None
        if self._used < len(self._person):
            return
        more = min(max(FIRST_ROWS, self._used // 4), MOST_ROWS - self._used)
        self._packed = _wider(self._packed, 2, more)
        for name in ("_place", "_middle", "_heading", "_count", "_person"):
            setattr(self, name, _wider(getattr(self, name), 0, more))
        self._person[self._used :] = -1


def _places(steps: Steps, middle: Complexes) -> Complexes:
    place: Complexes = steps.astype(np.float32).view(np.complex64)[..., 0] / np.float32(PLACE_STEPS)
    return place + middle


def _headings(turned: Bytes) -> Complexes:
    heading: Complexes = _TURNS[turned]
    return heading


_TURNS = np.exp(2j * np.pi * np.arange(HEADING_STEPS) / HEADING_STEPS).astype(np.complex64)


def _wider(array: NDArray[AnyNumber], axis: int, more: int) -> NDArray[AnyNumber]:
    room = list(array.shape)
    room[axis] = more
    return np.concatenate([array, np.zeros(room, dtype=array.dtype)], axis=axis)
