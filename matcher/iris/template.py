"""A code with its mask as words: one run of 64-bit words for each column, so that a rotation is a shift of words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.errors import MalformedRecord
from matcher.iris.coders import PHASES, WORD, Coder

Words = NDArray[np.uint64]
Cells = NDArray[np.uint8]

CONSTANT = (
    1 / 16
)  # share of ones of a filter's part under which, or above 1 - which, it is no iris's: real ones
# of CASIA-IrisV1 lie between 0.47 and 0.58

__all__ = [
    "Cells",
    "IrisCode",
    "MalformedRecord",
    "Words",
    "check",
    "from_cells",
    "mirrored",
    "to_cells",
]


@dataclass(frozen=True, slots=True, eq=False)
class IrisCode:
    """One iris by one coder.

    code, mask   (columns · words a column,) uint64; bit b of a column is bit b of its words, the least significant
                 first, b = (row · filters + filter) · 2 + part; mask 1 = usable; code 0 where the mask is 0

    The arrays are copies of what is given and read-only.
    """

    coder: Coder
    code: Words = field(repr=False)
    mask: Words = field(repr=False)

    def __post_init__(self) -> None:
        size = self.coder.columns * self.coder.words
        mask = np.array(self.mask, dtype=np.uint64).reshape(size)
        code = np.array(self.code, dtype=np.uint64).reshape(size) & mask
        for name, array in (("code", code), ("mask", mask)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def usable(self) -> int:
        """Unmasked bits."""
        return int(np.bitwise_count(self.mask).sum(dtype=np.int64))

    def destroy(self) -> None:
        """Overwrite the arrays with zeros, in place; the code is of no use afterwards."""
        for array in (self.code, self.mask):
            array.flags.writeable = True
            array.fill(0)
            array.flags.writeable = False


def from_cells(coder: Coder, code: NDArray[Any], mask: NDArray[Any]) -> IrisCode:
    """Return a code from bits, (rows, columns, bits a cell) each, 0 or 1 or bool."""
    return IrisCode(coder, _words(coder, code), _words(coder, mask))


def to_cells(iris: IrisCode) -> tuple[Cells, Cells]:
    """Return code and mask as bits, (rows, columns, bits a cell) uint8."""
    coder = iris.coder
    shape = coder.columns, coder.rows, coder.cell_bits

    def bits(words: Words) -> Cells:
        packed = words.reshape(coder.columns, -1).astype("<u8").view(np.uint8)
        flat = np.unpackbits(packed, axis=1, bitorder="little")[:, : coder.rows * coder.cell_bits]
        return np.ascontiguousarray(flat.reshape(shape).transpose(1, 0, 2))

    return bits(iris.code), bits(iris.mask)


def mirrored(iris: IrisCode) -> IrisCode:
    """Return the code that the mirrored picture of the eye would have."""
    coder = iris.coder
    code, mask = to_cells(iris)
    place = (coder.mirror - np.arange(coder.columns)) % coder.columns
    code, mask = code[:, place], mask[:, place]
    code[..., 1::PHASES] ^= 1
    found = from_cells(coder, code, mask)
    code.fill(0)
    mask.fill(0)
    return found


def check(iris: IrisCode, offset: int = 0) -> None:
    """Raise MalformedRecord for a code that says nothing: masked all but whole, or of one value.

    Of one value would be alike with every other such code, whoever's it is.
    """
    if iris.usable < iris.coder.least_usable:
        raise MalformedRecord("the mask leaves too little of the code", offset)
    code, mask = to_cells(iris)
    usable = mask.sum(axis=(0, 1), dtype=np.int64)
    ones = code.sum(axis=(0, 1), dtype=np.int64)
    if (
        (ones < CONSTANT * usable).any()
        or (ones > (1 - CONSTANT) * usable).any()
        or not usable.all()
    ):
        raise MalformedRecord("the code has one value all but everywhere", offset)


def _words(coder: Coder, bits: NDArray[Any]) -> Words:
    shape = coder.rows, coder.columns, coder.cell_bits
    if bits.shape != shape:
        raise ValueError(f"a code of {coder.name} has the shape {shape}")
    columns = np.zeros((coder.columns, coder.words * WORD), dtype=np.uint8)
    columns[:, : coder.rows * coder.cell_bits] = (
        np.asarray(bits, dtype=bool).transpose(1, 0, 2).reshape(coder.columns, -1)
    )
    packed = np.packbits(columns, axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64).reshape(-1)
