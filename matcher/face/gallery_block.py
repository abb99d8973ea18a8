"""One block of a gallery: vectors of one model, with what a search looks at first.

The first look is at a vector's leading coordinates along directions that hold most of the gallery's energy, and at
the length of what is left of it. By Cauchy and Schwarz the product of two vectors is at most the product of their
leading coordinates and the product of these lengths: one column more, so that the bound is one matrix product of thin
rows. It serves to leave vectors out, never to score them: a score is made by `exact`, of one pair, always alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.face.template import Floats

MOST_ROWS = 4096  # of a block; its leading columns and a batch's bounds stay in a core's cache
FIRST_ROWS = 16  # a block doubles from this until it is full
STEPS = (
    32_767  # of a quantised number to either side of zero; the largest number of a vector takes all
)
WIDTHS = (
    32,
    40,
    48,
    64,
    96,
    128,
    192,
    256,
)  # columns of the first look, the length of the rest among them
MOST_LEFT = 0.03  # of the energy, in the mean, that the first look may miss; with more it leaves fewer vectors out
LEAST_SAMPLED = 1024  # vectors that directions are found from; fewer are compared in full
MOST_SAMPLED = 16_384
ROUNDED = 2e-5  # of a squared length: ten times what float32 loses in the leading coordinates
UNIT = 2.0**-24  # rounding of one float32 operation
AT_ONCE = 1024  # rows that are unpacked or multiplied exactly at a time

Persons = NDArray[np.int32]
Ints = NDArray[np.intp]
Doubles = NDArray[np.float64]


class Storage(Enum):
    """How the numbers of vectors are kept: as they are, or in steps of 1/32,767 of a vector's largest, two bytes each."""

    FLOAT32 = "float32"
    INT16 = "int16"


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Orthonormal directions of the first look, (d, w - 1) float32."""

    directions: Floats = field(repr=False)

    def leading(self, vectors: Floats) -> Floats:
        """Return leading coordinates and, as last column, the length of the rest: (n, w) float32.

        The rest is never taken for shorter than it is.
        """
        found = np.empty((len(vectors), self.directions.shape[1] + 1), dtype=np.float32)
        np.matmul(vectors, self.directions, out=found[:, :-1])
        rest = np.einsum("ij,ij->i", vectors, vectors)
        rest -= np.einsum("ij,ij->i", found[:, :-1], found[:, :-1])
        np.sqrt(np.maximum(rest, 0) + np.float32(ROUNDED), out=found[:, -1])
        return found


def basis_of(vectors: Floats) -> Basis | None:
    """Return the directions for vectors like these, (n, d); None where they are too many to gain by, or n is small."""
    if len(vectors) < LEAST_SAMPLED:
        return None
    moments = (vectors.T @ vectors).astype(np.float64) / len(vectors)
    energy, directions = np.linalg.eigh(moments)
    left = 1 - np.cumsum(energy[::-1]) / energy.sum()
    for width in WIDTHS:
        if width < len(energy) and left[width - 2] <= MOST_LEFT:
            leading = directions[:, :-width:-1]
            return Basis(np.ascontiguousarray(leading, dtype=np.float32))
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A block as it stood at one moment: r rows, views of its arrays.

    numbers (r, d) float32 or int16; step (r,) float32, what one of the numbers is worth
    leading (w, r) float32 or None, turned for products with few probes; person (r,) int32, -1 = nobody's,
    and of whoever is removed meanwhile
    """

    numbers: NDArray[Any] = field(repr=False)
    step: Floats = field(repr=False)
    leading: Floats | None = field(repr=False)
    person: Persons = field(repr=False)

    def __len__(self) -> int:
        return len(self.person)

    def vectors(self, first: int, last: int) -> Floats:
        """Return some rows as vectors, (n, d) float32."""
        if self.numbers.dtype == np.float32:
            some: Floats = self.numbers[first:last]
            return some
        unpacked: Floats = self.numbers[first:last].astype(np.float32)
        unpacked *= self.step[first:last, None]
        return unpacked

    def exact(self, rows: Ints, vectors: Floats, columns: Ints) -> Floats:
        """Return the products of rows with columns of (m, d) vectors, pair by pair, (n,) float32.

        Products and sum are float64, each pair's summed in one order, and rounded once: no company, batch, block or
        number of threads changes a bit.
        """
        found = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            product = np.multiply(
                self.numbers[rows[some]], vectors[columns[some]], dtype=np.float64
            )
            found[some] = np.add.reduce(product, axis=1) * self.step[rows[some]]
        return found


class RowGroup:
    """Blocks side by side: their r rows have one numbering, and a question meets them all at once.

    person (r,) int32   rounding: what a product in float32 may be too small by
    """

    def __init__(self, blocks: Sequence[Rows]) -> None:
        self._blocks = blocks
        self._start = np.cumsum([0, *(len(each) for each in blocks)])
        self.person: Persons = np.concatenate([each.person for each in blocks])
        self.rounding = np.float32(UNIT * blocks[0].numbers.shape[1] * 1.1)

    def leading_bounds(self, asked: Floats) -> Floats | None:
        """Return bounds of the products with (m, w) leading coordinates, (m, r); None where there is no first look."""
        parts = [each.leading for each in self._blocks]
        bound = np.empty((len(asked), self._start[-1]), dtype=np.float32)
        for part, start, end in zip(parts, self._start, self._start[1:], strict=False):
            if part is None:
                return None
            np.matmul(asked, part, out=bound[:, start:end])
        return bound

    def full_bounds(self, vectors: Floats) -> Floats:
        """Return the products with (m, d) vectors in float32, (m, r)."""
        bound = np.empty((len(vectors), self._start[-1]), dtype=np.float32)
        buffer = np.empty((AT_ONCE, vectors.shape[1]), dtype=np.float32)
        for block, start in zip(self._blocks, self._start, strict=False):
            for first in range(0, len(block), AT_ONCE):
                some = block.numbers[first : first + AT_ONCE]
                here = bound[:, start + first : start + first + len(some)]
                if some.dtype != np.float32:
                    unpacked = buffer[: len(some)]
                    np.copyto(unpacked, some)
                    some = unpacked
                if len(vectors) == 1:  # a fifth faster than the matrix product of one row
                    np.vecdot(some, vectors[0], out=here[0])
                else:
                    np.matmul(vectors, some.T, out=here)
            bound[:, start : start + len(block)] *= block.step
        return bound

    def exact(self, places: Ints, vectors: Floats, columns: Ints) -> Floats:
        """Return the products of rows with columns of (m, d) vectors, pair by pair, (n,) float32: see `Rows.exact`."""
        found = np.empty(len(places), dtype=np.float32)
        number = np.searchsorted(self._start, places, side="right") - 1
        for block in np.unique(number):
            own = np.flatnonzero(number == block)
            rows = places[own] - self._start[block]
            found[own] = self._blocks[block].exact(rows, vectors, columns[own])
        return found


def groups(blocks: Sequence[Rows], rows: int) -> Iterator[RowGroup]:
    """Yield blocks side by side, some rows at a time and at least a block."""
    some: list[Rows] = []
    held = 0
    for block in blocks:
        if some and held + len(block) > rows:
            yield RowGroup(some)
            some, held = [], 0
        if len(block):
            some.append(block)
            held += len(block)
    if some:
        yield RowGroup(some)


class Block:
    """Rows that grow until the block is full; what a search holds of it is never overwritten, only wiped."""

    def __init__(self, dimension: int, storage: Storage, basis: Basis | None) -> None:
        self.dimension = dimension
        self.storage = storage
        self.basis = basis
        self._used = self._looked = 0
        kind = np.float32 if storage is Storage.FLOAT32 else np.int16
        self._numbers: NDArray[Any] = np.zeros((FIRST_ROWS, dimension), dtype=kind)
        self._step = np.zeros(FIRST_ROWS, dtype=np.float32)
        self._leading = _no_rows(basis, FIRST_ROWS)
        self._person = np.full(FIRST_ROWS, -1, dtype=np.int32)

    @property
    def full(self) -> bool:
        """Whether no row can be appended."""
        return self._used == MOST_ROWS

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, unused rows included."""
        leading = 0 if self._leading is None else self._leading.nbytes
        return self._numbers.nbytes + self._step.nbytes + leading + self._person.nbytes

    def append(self, person: int, vector: Floats) -> int:
        """Write a unit vector into the next row and return its number."""
        row = self._next()
        if self.storage is Storage.FLOAT32:
            self._numbers[row], self._step[row] = vector, 1
        else:
            step = np.abs(vector).max() / np.float32(STEPS)
            self._numbers[row], self._step[row] = np.rint(vector / step), step
        self._person[row] = person
        return row

    def adopt(self, person: int, block: Block, row: int) -> int:
        """Copy a row of another block of the same storage, as it is, and return its number here."""
        to = self._next()
        self._numbers[to], self._step[to] = block._numbers[row], block._step[row]
        self._person[to] = person
        return to

    def wipe(self, row: int) -> None:
        """Overwrite a row; it belongs to nobody and is never found."""
        self._numbers[row] = 0
        self._step[row] = 0
        if self._leading is not None:
            self._leading[:, row] = 0
        self._person[row] = -1

    def look_along(self, basis: Basis | None) -> None:
        """Have the first look be along other directions; searches under way keep the old ones."""
        self.basis, self._leading, self._looked = basis, _no_rows(basis, len(self._person)), 0

    def rows(self) -> Rows:
        """Return the block as it stands."""
        used = self._used
        self._look(self._looked, used)
        leading = None if self._leading is None else self._leading[:, :used]
        return Rows(self._numbers[:used], self._step[:used], leading, self._person[:used])

    def _next(self) -> int:
        if self._used == len(self._person):
            more = min(self._used, MOST_ROWS - self._used)
            self._numbers, self._step = _longer(self._numbers, more), _longer(self._step, more)
            self._person = _longer(self._person, more)
            self._person[self._used :] = -1
            if self._leading is not None:
                self._leading = _longer(self._leading.T, more).T.copy()
        self._used += 1
        return self._used - 1

    def _look(self, first: int, last: int) -> None:
        self._looked = last
        if self.basis is None or self._leading is None:
            return
        for start in range(first, last, AT_ONCE):
            end = min(start + AT_ONCE, last)
            some = Rows(self._numbers, self._step, None, self._person).vectors(start, end)
            found = self.basis.leading(some)
            found[self._person[start:end] < 0] = 0
            self._leading[:, start:end] = found.T


def _no_rows(basis: Basis | None, rows: int) -> Floats | None:
    if basis is None:
        return None
    return np.zeros((basis.directions.shape[1] + 1, rows), dtype=np.float32)


def _longer(array: NDArray[Any], more: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=array.dtype)])
