"""Codes of one coder and one side as arrays, column by column, and the search of them.

A rotation is a shift of words, so all rotations of a probe are prepared once and the gallery is never moved. In a
block of rows the words of one column lie together, and so do those of every k-th column. Beside its code a row has a
sketch, the bits of some columns and of the first filters, packed.

A masked bit holds a fixed pattern instead of what its coder said there. It never counts in a comparison in full; in a
look at a part of the code, which does without masks, it differs by chance, as a bit that says nothing should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import shake_256
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from matcher.errors import SearchAbandoned
from matcher.iris import coders
from matcher.iris.coders import PHASES, WORD, Coder, Look
from matcher.iris.template import IrisCode, Words, from_cells

BLOCK: Final = (
    2048  # rows; the buffers of a look at their sketches stay in a processor's second cache
)
AT_ONCE: Final = 64  # rows that are compared in full at once; 256 words of each are 128 KiB
EXPIRY: Final = 16  # blocks between two questions whether time is over
FIRST_ROWS: Final = 64

T = TypeVar("T")
Ints = NDArray[np.intp]
Doubles = NDArray[np.float64]
Counts = NDArray[np.uint16]
Expired = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """A probe's code under all its rotations.

    code, mask   (rotations and the drift beyond both ends, columns, words a column) uint64; masked bits of the code hold the probe's pattern
    sketch       (rotations of the first look, words of a sketch) uint64
    usable       unmasked bits
    """

    coder: Coder
    code: Words = field(repr=False)
    mask: Words = field(repr=False)
    sketch: Words = field(repr=False)
    usable: int

    def destroy(self) -> None:
        """Overwrite the arrays with zeros, in place."""
        for array in (self.code, self.mask, self.sketch):
            array.fill(0)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Pairs that were compared in full.

    row         (k,) intp, rows of the table, ascending
    closeness   (k,) float64, 0.5 - HD' of the best rotation; -inf where no rotation compares bits enough
    rotation    (k,) int64, columns by which the probe was turned for it
    """

    row: Ints = field(repr=False)
    closeness: Doubles = field(repr=False)
    rotation: NDArray[np.int64] = field(repr=False)


def turn(iris: IrisCode) -> Turned:
    """Return a code under all rotations of its coder."""
    coder = iris.coder

    least, most = coder.rotations[0] - coder.drift, coder.rotations[-1] + coder.drift
    turns = np.arange(least, most + 1, coder.step)
    place = (np.arange(coder.columns) - turns[:, None]) % coder.columns
    code = _filled(iris, "probe")[place]
    mask = iris.mask.reshape(coder.columns, coder.words)[place]
    sketch = _sketched(coder, _whole(coder, code)[:: coder.first.turns])
    return Turned(coder, code, mask, sketch, iris.usable)


class CodeTable:
    """Rows of codes; a row is somebody's from `put` to `wipe`, and is used again after that.

    Not thread-safe: whoever changes it sees to that. A search beside a change may see a row half written, and asks
    afterwards whose it is (`enrolment`).
    """

    def __init__(self, coder: Coder) -> None:
        self.coder = coder
        self._codes: list[Words] = []  # (columns, words a column, BLOCK) each
        self._masks: list[Words] = []
        self._sketches: list[Words] = []  # (words of a sketch, BLOCK) each
        self._free: list[int] = []
        self._used = 0
        self.subject: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self.enrolment: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # 0 = nobody's
        self._usable: NDArray[np.float64] = np.zeros(0)  # unmasked bits

    def __len__(self) -> int:
        return self._used - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        rows = self.subject.nbytes + self.enrolment.nbytes + self._usable.nbytes
        return rows + sum(each.nbytes for each in (*self._codes, *self._masks, *self._sketches))

    def put(self, iris: IrisCode, subject: int, enrolment: int) -> int:
        """Write a code down and return its row."""
        row = self._free.pop() if self._free else self._next()
        block, place = divmod(row, BLOCK)
        code = _filled(iris, "gallery")
        self._codes[block][..., place] = code
        self._masks[block][..., place] = iris.mask.reshape(code.shape)
        self._sketches[block][:, place] = _sketched(self.coder, code[None])[0]
        self.subject[row], self._usable[row] = subject, iris.usable
        self.enrolment[row] = enrolment
        return row

    def wipe(self, row: int) -> None:
        """Overwrite a row with zeros; it is nobody's."""
        self.enrolment[row] = 0
        block, place = divmod(row, BLOCK)
        for arrays in (self._codes, self._masks, self._sketches):
            arrays[block][..., place] = 0
        self.subject[row] = 0
        self._usable[row] = 0
        self._free.append(row)

    def rows(self) -> Ints:
        """Return the rows that are somebody's, ascending."""
        return np.flatnonzero(self.enrolment[: self._used] > 0)

    def near(
        self,
        probe: Turned,
        floor: float,
        *,
        threads: int = 1,
        expired: Expired = lambda: False,
    ) -> Ints:
        """Return the rows whose closeness may reach the floor, ascending, by two looks at a part of the code.

        A row is given up where the part lies further below the floor than the coder's slack; that depends on the pair
        and the floor, never on who else is here. Raises SearchAbandoned once `expired` says so.
        """
        rows = self._sketch_near(probe, floor, threads, expired)
        return self._part_near(probe, floor, rows, expired)

    def compare(
        self,
        probe: Turned,
        rows: Ints,
        *,
        threads: int = 1,
        expired: Expired = lambda: False,
    ) -> Compared:
        """Return these rows compared in full, under every rotation and with both masks: the specification."""

        def full(some: Ints) -> tuple[Doubles, Ints]:
            if expired():
                raise SearchAbandoned
            return self._closest(probe, some)

        found = list(_spread(full, _pieces(rows, AT_ONCE), threads))
        closeness = np.concatenate([np.zeros(0), *(each[0] for each in found)])
        turns = np.array(self.coder.rotations, dtype=np.int64)
        return Compared(rows, closeness, turns[_joined([each[1] for each in found])])

    def _sketch_near(self, probe: Turned, floor: float, threads: int, expired: Expired) -> Ints:
        """Return the rows that their sketches do not rule out."""
        turned = probe.sketch[:, :, None]

        def look(blocks: Ints) -> list[Ints]:
            differing = np.empty((turned.shape[1], BLOCK), dtype=np.uint64)
            counted = np.empty(differing.shape, dtype=np.uint8)
            total, least = (np.empty(BLOCK, dtype=np.uint16) for _ in range(2))
            kept = []
            for number, block in enumerate(blocks.tolist()):
                if number % EXPIRY == 0 and expired():
                    raise SearchAbandoned
                least.fill(np.iinfo(np.uint16).max)
                for one in turned:
                    np.bitwise_xor(self._sketches[block], one, out=differing)
                    np.bitwise_count(differing, out=counted)
                    np.add.reduce(counted, axis=0, dtype=np.uint16, out=total)
                    np.minimum(least, total, out=least)
                kept.append(self._not_ruled_out(block * BLOCK, least, probe.usable, floor))
            return kept

        chunks = np.array_split(np.arange(len(self._sketches)), max(1, threads))
        return _joined([one for some in _spread(look, chunks, threads) for one in some])

    def _not_ruled_out(self, start: int, least: Counts, usable: int, floor: float) -> Ints:
        rows = np.arange(start, min(start + BLOCK, self._used))
        rows = rows[self.enrolment[rows] > 0]
        return rows[self._may_reach(self.coder.first, rows, least[rows - start], usable, floor)]

    def _may_reach(
        self, look: Look, rows: Ints, least: Counts, usable: int, floor: float
    ) -> NDArray[np.bool_]:
        """Return which rows may reach the floor though, at best, so many bits of a look differ.

        Of the bits that are masked on one side or the other half differ; what differs beyond is of the others, whose
        number is estimated from both shares of unmasked bits.
        """
        coder = self.coder
        bits = -(-coder.columns // look.columns) * coder.rows * look.filters * PHASES
        share = usable / coder.bits * (self._usable[rows] / coder.bits)
        distance = 0.5 - (bits / 2 - least) / np.maximum(bits * share, 1.0)
        closeness = coder.normalisation.closeness(distance, coder.bits * share)
        return closeness >= floor - look.slack

    def _part_near(self, probe: Turned, floor: float, rows: Ints, expired: Expired) -> Ints:
        """Return the rows that a part of their columns does not rule out."""
        look = self.coder.second
        turned = _whole(self.coder, probe.code)[:: look.turns, :: look.columns, :, None]
        kept = []
        for some in _pieces(rows, AT_ONCE * look.columns):
            if expired():
                raise SearchAbandoned
            code = self._gathered(self._codes, some, look.columns)
            differing, counted = np.empty_like(code), np.empty(code.shape, dtype=np.uint8)
            total = np.empty(len(some), dtype=np.uint16)
            least = np.full(len(some), np.iinfo(np.uint16).max, dtype=np.uint16)
            for one in turned:
                np.bitwise_xor(code, one, out=differing)
                np.bitwise_count(differing, out=counted)
                np.add.reduce(counted.reshape(-1, len(some)), axis=0, dtype=np.uint16, out=total)
                np.minimum(least, total, out=least)
            kept.append(some[self._may_reach(look, some, least, probe.usable, floor)])
        return _joined(kept)

    def _closest(self, probe: Turned, rows: Ints) -> tuple[Doubles, Ints]:
        """Return closeness and number of the best rotation, of codes in full and with both masks."""
        coder = self.coder
        code, mask = (self._gathered(each, rows, 1) for each in (self._codes, self._masks))
        both, differing = np.empty_like(code), np.empty_like(code)
        counted = np.empty(code.shape, dtype=np.uint8)
        parts = counted.reshape(coder.sectors, -1, len(rows))
        shape = len(probe.code), coder.sectors, len(rows)
        compared, differ = (np.empty(shape, dtype=np.uint16) for _ in range(2))
        for number in range(len(probe.code)):
            np.bitwise_and(mask, probe.mask[number, :, :, None], out=both)
            np.bitwise_xor(code, probe.code[number, :, :, None], out=differing)
            np.bitwise_and(differing, both, out=differing)
            for words, total in ((both, compared[number]), (differing, differ[number])):
                np.bitwise_count(words, out=counted)
                np.add.reduce(parts, axis=1, dtype=np.uint16, out=total)
        bits = _whole(coder, compared).sum(axis=1, dtype=np.int64)
        found = coders.closeness(coder, bits / 2 - _drifted(coder, compared / 2 - differ), bits)
        best = found.argmax(axis=0)
        return found[best, np.arange(len(rows))], best

    def _gathered(self, blocks: Sequence[Words], rows: Ints, columns: int) -> Words:
        """Return what rows hold, (every so many-th column, words a column, k) uint64."""
        shape = -(-self.coder.columns // columns), self.coder.words, len(rows)
        gathered = np.empty(shape, dtype=np.uint64)
        ends = np.searchsorted(rows, np.arange(len(blocks) + 1) * BLOCK)
        for block in np.flatnonzero(np.diff(ends)).tolist():
            some = slice(ends[block], ends[block + 1])
            gathered[..., some] = blocks[block][::columns].take(rows[some] - block * BLOCK, axis=2)
        return gathered

    def _next(self) -> int:
        """Return a row that was never used."""
        if self._used == len(self._codes) * BLOCK:
            shape = self.coder.columns, self.coder.words, BLOCK
            self._codes.append(np.zeros(shape, dtype=np.uint64))
            self._masks.append(np.zeros(shape, dtype=np.uint64))
            self._sketches.append(np.zeros((_sketch_words(self.coder), BLOCK), dtype=np.uint64))
        if self._used == len(self.subject):
            self.subject, self.enrolment, self._usable = (
                _longer(each) for each in (self.subject, self.enrolment, self._usable)
            )
        self._used += 1
        return self._used - 1


def _whole(coder: Coder, turned: NDArray[Any]) -> NDArray[Any]:
    """Return what belongs to the rotations of the whole, without the drift beyond both ends."""
    return turned[coder.drift : len(turned) - coder.drift]


def _drifted(coder: Coder, beyond: Doubles) -> Doubles:
    """Return by how many bits fewer than half differ, (rotations, k), each sector turned as suits it best.

    beyond   (rotations and the drift, sectors, k), the same of each sector under each rotation
    """
    best = _whole(coder, beyond)
    if coder.drift:
        aside = np.maximum(beyond[:-2], beyond[2:]) - coder.drift_cost
        best = np.maximum(best, aside)
    found: Doubles = best.sum(axis=1)
    return found


def _filled(iris: IrisCode, side: str) -> Words:
    """Return a code whose masked bits hold the pattern of its side, (columns, words a column) uint64."""
    pattern = _pattern(iris.coder, side)
    return iris.code.reshape(pattern.shape) | (pattern & ~iris.mask.reshape(pattern.shape))


@cache
def _pattern(coder: Coder, side: str) -> Words:
    """Return what masked bits hold, (columns, words a column) uint64, the same on every host.

    A probe has another than the gallery, for bits that are masked on both sides are to differ by chance too. Where a
    word has no bit both are 0.
    """
    cells = np.ones((coder.rows, coder.columns, coder.cell_bits), dtype=np.uint8)
    used = from_cells(coder, cells, cells).mask
    name = f"passerelle iris {coder.name} {coder.version} {side}".encode()
    drawn = np.frombuffer(shake_256(name).digest(used.nbytes), dtype="<u8")
    return (drawn.astype(np.uint64) & used).reshape(coder.columns, coder.words)


@cache
def _sketch_bits(coder: Coder) -> Ints:
    """Return which bits of a column are in a sketch: those of the first look's filters."""
    bits = np.arange(coder.rows * coder.cell_bits).reshape(coder.rows, coder.cell_bits)
    return bits[:, : coder.first.filters * PHASES].reshape(-1)


def _sketch_words(coder: Coder) -> int:
    columns = -(-coder.columns // coder.first.columns)
    return -(-columns * len(_sketch_bits(coder)) // WORD)


def _sketched(coder: Coder, codes: Words) -> Words:
    """Return the sketches of codes, (n, columns, words a column) → (n, words of a sketch) uint64."""
    some = np.ascontiguousarray(codes[:, :: coder.first.columns], dtype="<u8")
    bits = np.unpackbits(some.view(np.uint8), axis=2, bitorder="little")[..., _sketch_bits(coder)]
    flat = np.zeros((len(codes), _sketch_words(coder) * WORD), dtype=np.uint8)
    flat[:, : bits[0].size] = bits.reshape(len(codes), -1)
    packed: Words = np.packbits(flat, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    return packed


def _longer(array: NDArray[Any]) -> NDArray[Any]:
    """Return a longer array; a fresh one, for a search under way keeps that it began with."""
    more = max(FIRST_ROWS, len(array) // 4)
    return np.concatenate([array, np.zeros(more, dtype=array.dtype)])


def _pieces(rows: Ints, size: int) -> list[Ints]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _joined(some: Sequence[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, dtype=np.intp), *some])


def _spread(work: Callable[[Ints], T], pieces: Sequence[Ints], threads: int) -> Iterator[T]:
    """Yield what `work` makes of each piece, in their order, on so many threads."""
    if threads <= 1 or len(pieces) <= 1:
        yield from map(work, pieces)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, pieces)
