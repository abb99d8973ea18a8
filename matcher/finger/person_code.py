"""A finger as a code of fixed length, and which people's codes are most like a probe's: a filter before the cascade.

Each minutia's leading numbers go to the nearest of some fitted centroids, and to the second one too where it is nearly as
near; the sum of what is left of them at a centroid becomes one bit a number, which half of the numbers exceed (after
Jégou, Douze, Schmid, Pérez, CVPR 2010, VLAD). A centroid that no minutia is near to has the word 0: half of the bits of any
other word differ from it, as of a word that says nothing. A word is scanned by one exclusive or and one count of bits.

Who shares fewer than LEAST_SHARED coded fingers with the probe is always kept: fewer do not rank well enough.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.errors import SearchAbandoned
from matcher.finger.alignment import greatest
from matcher.finger.descriptors import LEADING, Finger, Model
from matcher.finger.template import Floats, Ints

CODEBOOK_FILE = "person_code.npz"
CENTROIDS = 32
NEARLY = 0.1  # of likeness less half the centroid's square: the second centroid counts too
HALF = LEADING // 2  # bits of a word that are set, and that differ from an unrelated one
POSITIONS = 10
LEAST_SHARED = 10  # fingers; by nine a code may leave out mates of two extractors (docs/adr/0082)
LEAST_PEOPLE = 4096  # of a gallery; fewer are searched as soon without a filter
LEAST_KEPT, KEPT_SHARE = 256, 1024  # people, and one in so many beside them
MOST_ROWS = 1024  # of a part; words of one finger stay in a core's second cache
FIRST_ROWS = 16  # a part grows by this or by a quarter until it is full

Words = NDArray[np.uint64]
Masks = NDArray[np.uint32]
Positions = NDArray[np.uint16]
Coded = Sequence[tuple[int, Finger]]


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """The fitted centroids (CENTROIDS, LEADING) float32, for descriptors of which model, and the file's SHA-256."""

    centroids: Floats = field(repr=False)
    model: str
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class PersonCode:
    """Words (POSITIONS, CENTROIDS), centroids with a minutia as bits (POSITIONS,), coded positions as bits."""

    words: Words = field(repr=False)
    occupied: Masks = field(repr=False)
    positions: int


@cache
def default_codebook() -> Codebook:
    """Return the centroids that are shipped beside this module."""
    return load_codebook((resources.files("matcher.finger") / CODEBOOK_FILE).read_bytes())


def load_codebook(packed: bytes) -> Codebook:
    """Return the centroids in the bytes of an .npz file; pickles are refused, and other shapes, with ValueError."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        centroids = np.asarray(arrays["centroids"], dtype=np.float32)
        model = str(arrays["model"])
    if centroids.shape != (CENTROIDS, LEADING):
        raise ValueError("these centroids belong to another version of the code")
    return Codebook(centroids, model, sha256(packed).hexdigest())


def coded(fingers: Coded, book: Codebook) -> PersonCode | None:
    """Return the code of a person or probe; None where a position is unknown, one comes twice, or they are too few."""
    positions = [position for position, _ in fingers]
    if len(fingers) < LEAST_SHARED or 0 in positions or len(set(positions)) < len(positions):
        return None
    words = np.zeros((POSITIONS, CENTROIDS), dtype=np.uint64)
    occupied = np.zeros(POSITIONS, dtype=np.uint32)
    for position, finger in fingers:
        words[position - 1], occupied[position - 1] = _finger(finger.vectors, book.centroids)
    return PersonCode(words, occupied, sum(1 << (position - 1) for position in positions))


def _finger(vectors: Floats, centroids: Floats) -> tuple[Words, int]:
    head = vectors[:, :LEADING]
    likeness = head @ centroids.T - (centroids * centroids).sum(axis=1) / 2
    second, first = np.argsort(likeness, axis=1, kind="stable")[:, -2:].T
    each = np.arange(len(head))
    belongs = np.zeros(likeness.shape, dtype=np.float32)
    belongs[each, first] = 1
    near = likeness[each, first] - likeness[each, second] < NEARLY
    belongs[each[near], second[near]] = 1
    number = belongs.sum(axis=0)
    left = belongs.T @ head - number[:, None] * centroids
    above = np.argsort(left, axis=1, kind="stable")[:, HALF:]
    bits = np.zeros(left.shape, dtype=np.uint8)
    np.put_along_axis(bits, above, 1, axis=1)
    bits[number == 0] = 0
    words = np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)
    return words, sum(1 << int(at) for at in np.flatnonzero(number))


def kept_of(people: int) -> int:
    """Return how many coded people of a gallery go on to the cascade."""
    return LEAST_KEPT + people // KEPT_SHARE


class _Part:
    """Codes of MOST_ROWS people, by number: words (POSITIONS, CENTROIDS, r), occupied (POSITIONS, r), positions (r,).

    No positions: the person has no code, or is nobody.
    """

    def __init__(self) -> None:
        self.words: Words = np.zeros((POSITIONS, CENTROIDS, 0), dtype=np.uint64)
        self.occupied: Masks = np.zeros((POSITIONS, 0), dtype=np.uint32)
        self.positions: Positions = np.zeros(0, dtype=np.uint16)

    def reach(self, rows: int) -> None:
        """Have room for so many rows; a search under way keeps the arrays that it began with."""
        more = rows - len(self.positions)
        if more > 0:
            more = min(
                max(more, FIRST_ROWS, len(self.positions) // 4), MOST_ROWS - len(self.positions)
            )
            self.words, self.occupied, self.positions = (
                _longer(each, more) for each in (self.words, self.occupied, self.positions)
            )


class PersonCodes:
    """Codes by person number. Not thread-safe: the gallery's lock is around changes and `now`."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(
            each.nbytes for one in self._parts for each in (one.words, one.occupied, one.positions)
        )

    def put(self, person: int, code: PersonCode | None) -> None:
        """Write a person's code, if there is one."""
        if code is None:
            return
        part, row = divmod(person, MOST_ROWS)
        while len(self._parts) <= part:
            self._parts.append(_Part())
        at = self._parts[part]
        at.reach(row + 1)
        at.words[:, :, row], at.occupied[:, row] = code.words, code.occupied
        at.positions[row] = code.positions

    def get(self, person: int) -> PersonCode | None:
        """Return a person's code, if there is one."""
        part, row = divmod(person, MOST_ROWS)
        if part >= len(self._parts) or row >= len(self._parts[part].positions):
            return None
        at = self._parts[part]
        positions = int(at.positions[row])
        if not positions:
            return None
        return PersonCode(at.words[:, :, row].copy(), at.occupied[:, row].copy(), positions)

    def wipe(self, person: int) -> None:
        """Overwrite a person's code with zeros."""
        part, row = divmod(person, MOST_ROWS)
        if part < len(self._parts) and row < len(self._parts[part].positions):
            at = self._parts[part]
            at.words[:, :, row], at.occupied[:, row], at.positions[row] = 0, 0, 0

    def now(self) -> CodesThen:
        """Return the codes as they stand: views, of which rows may be wiped later."""
        return CodesThen(tuple((part.words, part.occupied, part.positions) for part in self._parts))


@dataclass(frozen=True, slots=True, eq=False)
class CodesThen:
    """Parts of codes as they stood at one moment."""

    parts: tuple[tuple[Words, Masks, Positions], ...] = field(repr=False)

    def likeness(
        self, probe: PersonCode, people: int, threads: int, expired: Callable[[], bool]
    ) -> Floats:
        """Return how alike people's codes are to the probe's, (people,) float32; inf = must be kept.

        It is how many more bits agree than of an unrelated code, over the root of the words that both have.
        Raises SearchAbandoned once `expired` says so.
        """
        found = np.full(people, np.inf, dtype=np.float32)

        def visit(number: int) -> None:
            if expired():
                raise SearchAbandoned("time ran out among the codes")
            words, occupied, positions = self.parts[number]
            start = number * MOST_ROWS
            rows = min(len(positions), people - start)
            alike = _alike(probe, words[..., :rows], occupied[:, :rows])
            shared = np.bitwise_count(positions[:rows] & np.uint16(probe.positions))
            found[start : start + rows] = np.where(shared < LEAST_SHARED, np.inf, alike)

        numbers = range(min(len(self.parts), -(-people // MOST_ROWS)))
        if threads == 1:
            for number in numbers:
                visit(number)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(visit, numbers))
        return found


def best_alike(likeness: Floats, here: NDArray[np.bool_], most: int) -> Ints:
    """Return the numbers, ascending, of those who must be kept and of the `most` best others, of people who are here."""
    must = np.flatnonzero(here & np.isinf(likeness))
    others = np.flatnonzero(here & np.isfinite(likeness))
    if len(others) > most:
        others = others[greatest(likeness[None, others], most)[0]]
    return np.sort(np.concatenate([must, others]))


def book_for(model: Model) -> Codebook | None:
    """Return the shipped centroids where they are of this model's descriptors."""
    book = default_codebook()
    return book if book.model == model.digest else None


def _alike(probe: PersonCode, words: Words, occupied: Masks) -> Floats:
    rows = words.shape[2]
    agree = np.zeros(rows, dtype=np.int32)
    both = np.zeros(rows, dtype=np.int32)
    for at in range(POSITIONS):
        mask = probe.occupied[at]
        if not mask:
            continue
        own = np.flatnonzero(probe.words[at])
        differ = np.take(words[at], own, axis=0)
        differ ^= probe.words[at, own][:, None]
        agree += HALF * len(own) - np.bitwise_count(differ).sum(axis=0, dtype=np.int32)
        both += np.bitwise_count(occupied[at] & mask)
    alike: Floats = agree / np.sqrt(np.maximum(both, 1), dtype=np.float32)
    return alike.astype(np.float32)


def _longer(array: NDArray[Any], more: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((*array.shape[:-1], more), dtype=array.dtype)], axis=-1)
