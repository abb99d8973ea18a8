"""A search in stages, each for fewer fingers and with more care; probes share the first pass.

1  local      every gallery finger of the same position, of any for one whose position nobody knows: one matrix
              product a slot, running maxima
2  shortlist  the people whose fingers' local evidence is best, added over positions: by the support of their
              likeliest pairs after relaxation
3  alignment  the best few people's fingers in full
4  evidence   one log10 likelihood ratio a finger

A block is unpacked once for all probes of a batch; threads take blocks, then handfuls of fingers. A probe
whose picture may have been resized, or that of a row, is also compared as if it had been (`finger.readings`),
and the better of the two counts; so does the best of several impressions of a finger, of a probe's or a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import numpy as np

from matcher.errors import SearchAbandoned
from matcher.finger.alignment import Fingers, compare, greatest, support
from matcher.finger.constants import ABSENT, STRONGEST
from matcher.finger.descriptors import LEADING, Finger, Frame, Model, multiplier, readings
from matcher.finger.gallery_block import NOWHERE, Rows, fingers_of
from matcher.finger.probe import UNKNOWN_POSITION, Probe
from matcher.finger.score_fusion import Likelihood, coarse_ratio, finger_ratio, fuse
from matcher.finger.template import Floats, Ints

# --- constants of the cascade; its loss is measured by `tests/bench/speed.py` (docs/adr/0013).
SHORTLIST_FINGERS = 128  # at least, of one search
SHORTLIST_SHARE = 256  # one person in so many where that is more: who looks alike by chance grows with the gallery
LEAST_SHORTLIST = 16  # people; several fingers' local evidence ranks better than one finger's
FINALIST_FINGERS = 16  # aligned in full; of 988 accepted mates none had four other people before it
LEAST_FINALISTS = 8  # people
ASIDE = 2  # of the usual people, one in so many is looked at for a reading of a probe that it does not state
MOST_COARSE = 1 << 24  # local ratios kept at once, 64 MB; larger batches are searched in parts
DECIMALS = (
    3  # of a value by which a stage chooses; what the kernels of another processor change is less
)
POSITIONS = 10

Task = TypeVar("Task")


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """One impression of one finger of one probe: what it may mean beside rows of each frame."""

    probe: int
    column: int
    position: int
    versions: dict[Frame, tuple[Finger, ...]] = field(repr=False)

    def meets(self, position: int) -> bool:
        """Return whether it may be of the finger at a position."""
        return self.position in (UNKNOWN_POSITION, position)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Probes that share a pass, which are asides, impressions as queries, rows by position, the number of people."""

    probes: Sequence[Probe]
    aside: Sequence[bool]
    queries: Sequence[_Query]
    rows: dict[int, list[Rows]] = field(repr=False)
    people: int


@dataclass(frozen=True, slots=True)
class Placed:
    """One impression of a finger of one of some people: whose by number from 0, of which position, and where."""

    person: int
    position: int
    rows: Rows = field(repr=False)
    row: int


@dataclass(frozen=True, slots=True)
class Cascade:
    """What a search needs besides probes and rows."""

    model: Model
    likelihood: Likelihood
    threads: int
    expired: Callable[[], bool]
    limit: int
    shortlist: int | None
    # A person may have rows in several blocks, and a finger several impressions: the best counts, whoever is first.
    _best: Lock = field(default_factory=Lock, repr=False)

    def search(
        self,
        probes: Sequence[tuple[Probe, bool]],
        rows: dict[int, list[Rows]],
        people: int,
    ) -> Iterator[tuple[Ints, Floats]]:
        """Yield for each probe the person numbers of its shortlist and the ratios of its f fingers with theirs, (k, f, 10).

        nan where nothing was compared. With each probe stands whether it is read otherwise than stated, for which fewer
        people are looked at closely.
        """
        widest = max((len(probe.usable) for probe, _ in probes), default=1)
        at_once = max(1, MOST_COARSE // max(1, people * widest))
        for start in range(0, len(probes), at_once):
            some = [probe for probe, _ in probes[start : start + at_once]]
            aside = [each for _, each in probes[start : start + at_once]]
            batch = _Batch(some, aside, self._queries(some, rows), rows, people)
            coarse = np.full((len(some), people, widest), np.nan, dtype=np.float32)
            self._local(batch, coarse)
            yield from self._aligned(batch, coarse)

    def all_pairs(self, probe: Probe, people: int, placed: Sequence[Placed]) -> Floats:
        """Return the ratios of each finger of a probe with each of some people's, aligned in full, (k, f, 10).

        people   how many, k
        placed   each impression of their fingers
        """
        found = np.full((people, len(probe.usable), POSITIONS), np.nan, dtype=np.float32)
        groups = [
            (frame, some, fingers_of([(each.rows, each.row) for each in some]))
            for frame in dict.fromkeys(each.rows.frame for each in placed)
            for some in _alike([each for each in placed if each.rows.frame == frame])
        ]
        for column, (_, finger) in zip(probe.columns, probe.fingers, strict=True):
            for frame, some, fingers in groups:
                self._ask("time ran out in the alignment")
                read = [self._ratio(each, fingers) for each in readings(finger, frame, self.model)]
                for each, value in zip(some, np.maximum.reduce(read), strict=True):
                    here = found[each.person, column]
                    here[each.position - 1] = np.fmax(here[each.position - 1], value)
        return found

    def _queries(self, probes: Sequence[Probe], rows: dict[int, list[Rows]]) -> list[_Query]:
        queries = []
        for number, probe in enumerate(probes):
            for column, (position, finger) in zip(probe.columns, probe.fingers, strict=True):
                wanted = rows if position == UNKNOWN_POSITION else (position,)
                frames = {block.frame for each in wanted for block in rows[each]}
                versions = {frame: readings(finger, frame, self.model) for frame in frames}
                queries.append(_Query(number, column, position, versions))
        return queries

    def _local(self, batch: _Batch, coarse: Floats) -> None:
        """Write the local stage's log10 ratios, (probes, people, fingers); nan where nothing was compared.

        Of a finger of unknown position, the best over all positions: two of them may claim one finger here.
        """
        asking: dict[tuple[int, Frame], tuple[list[_Query], LocalSimilarity]] = {}
        for position, blocks in batch.rows.items():
            for frame in {block.frame for block in blocks}:
                here = [query for query in batch.queries if query.meets(position)]
                fingers = [finger for query in here for finger in query.versions[frame]]
                asking[position, frame] = here, LocalSimilarity(fingers)

        def visit(task: tuple[int, Rows]) -> None:
            position, block = task
            self._ask("time ran out in the local stage")
            here, glance = asking[position, block.frame]
            ratios = iter(coarse_ratio(glance.scores(block), self.likelihood))
            alive, person = block.alive, block.person[block.alive]
            for query in here:
                versions = [next(ratios) for _ in query.versions[block.frame]]
                values = np.maximum.reduce(versions)[alive]
                with self._best:
                    before = coarse[query.probe, person, query.column]
                    coarse[query.probe, person, query.column] = np.fmax(before, values)

        held = batch.rows.items()
        self._each(visit, [(position, block) for position, each in held for block in each])

    def _aligned(self, batch: _Batch, coarse: Floats) -> list[tuple[Ints, Floats]]:
        chosen = []
        for probe, aside, ratios in zip(batch.probes, batch.aside, coarse, strict=True):
            fingers = max(SHORTLIST_FINGERS, batch.people // SHORTLIST_SHARE)
            most = max(LEAST_SHORTLIST, fingers // len(probe.usable))
            chosen.append(_likeliest(fuse(ratios), self._number(most, self.shortlist, aside=aside)))
        if self.shortlist is None:
            values = self._compared(batch, chosen, support)
            for number, probe in enumerate(batch.probes):
                most = max(LEAST_FINALISTS, FINALIST_FINGERS // len(probe.usable))
                total = supported(np.fmax.reduce(values[number], axis=2))
                best = _likeliest(total, self._number(most, None, aside=batch.aside[number]))
                chosen[number] = chosen[number][best]
        ratios = self._compared(batch, chosen, self._ratio)
        return list(zip(chosen, ratios, strict=True))

    def _number(self, most: int, shortlist: int | None, *, aside: bool) -> int:
        """Return how many people a stage passes on: so many as the caller says, or as is usual."""
        if shortlist is not None:
            return max(shortlist, self.limit)
        return most // ASIDE if aside else max(most, self.limit)

    def _ratio(self, finger: Finger, some: Fingers) -> Floats:
        return finger_ratio(compare(finger, some), self.likelihood)

    def _compared(
        self,
        batch: _Batch,
        chosen: Sequence[Ints],
        measure: Callable[[Finger, Fingers], Floats],
    ) -> list[Floats]:
        """Return a measure of each probe's fingers and its chosen people's, (k, f, 10); nan where nothing was compared."""
        found = [
            np.full((len(each), len(probe.usable), POSITIONS), np.nan, dtype=np.float32)
            for probe, each in zip(batch.probes, chosen, strict=True)
        ]

        def visit(task: tuple[_Query, int, Frame, Ints, Picked]) -> None:
            query, position, frame, seat, picked = task
            self._ask("time ran out in the alignment")
            some = fingers_of(picked)
            values = np.maximum.reduce([measure(each, some) for each in query.versions[frame]])
            here = found[query.probe][:, query.column, position - 1]
            with self._best:
                here[seat] = np.fmax(here[seat], values)

        self._each(visit, _handfuls(batch, chosen))
        return found

    def _each(self, visit: Callable[[Task], None], tasks: Iterable[Task]) -> None:
        if self.threads == 1:
            for task in tasks:
                visit(task)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(visit, tasks))

    def _ask(self, reason: str) -> None:
        if self.expired():
            raise SearchAbandoned(reason)


def _likeliest(values: Floats, number: int) -> Ints:
    """Return the places of the greatest values in rising order: of equals, the first remain the first to the end.

    Values that differ by less than a stage means are equals: a processor's own rounding must not choose.
    """
    return np.sort(best_finite(np.round(values, DECIMALS), number))


def _handfuls(
    batch: _Batch, chosen: Sequence[Ints]
) -> Iterator[tuple[_Query, int, Frame, Ints, Picked]]:
    """Yield each query with a few of the fingers that its probe's people have where it may be of, and that position."""
    crowded = {position: crowds(blocks) for position, blocks in batch.rows.items()}
    seats = np.full(batch.people + 1, -1, dtype=np.intp)  # the last is nobody's
    for query in batch.queries:
        people_here = chosen[query.probe]
        seats[people_here] = np.arange(len(people_here))
        for position in (each for each in crowded if query.meets(each)):
            for (frame, _), crowd in crowded[position].items():
                for seat, picked in crowd.few(seats):
                    yield query, position, frame, seat, picked
        seats[people_here] = -1


def _alike(placed: Sequence[Placed]) -> Iterator[Sequence[Placed]]:
    """Yield a few at a time, those of like numbers of minutiae together."""
    order = sorted(placed, key=lambda each: each.rows.place.shape[1])
    for start in range(0, len(order), ALIGNED_AT_ONCE):
        yield order[start : start + ALIGNED_AT_ONCE]


# Rows of many blocks as one list, out of which a few are taken for a closer look.

ALIGNED_AT_ONCE = 32  # fingers; keeps the (b, h, n, l) arrays of the alignment in cache
LEAST_TYPICAL = 8  # people compared at one position, whose median is then that of other people

Picked = list[tuple[Rows, int]]  # block and row


class CandidateRows:
    """The fingers of one position whose pictures are of one size, those of like numbers of minutiae together.

    Of each person at most one: further impressions are in lists of their own.
    """

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


def crowds(blocks: Sequence[Rows]) -> dict[tuple[Frame, int], CandidateRows]:
    """Return the crowds of one position by the size of their pictures and the number of the impression."""
    alike: dict[tuple[Frame, int], list[Rows]] = {}
    for rows in blocks:
        alike.setdefault((rows.frame, rows.impression), []).append(rows)
    return {kind: CandidateRows(each) for kind, each in alike.items()}


def best_finite(score: Floats, number: int) -> Ints:
    """Return the places of the best finite scores, best first, ties by place."""
    finite = np.flatnonzero(np.isfinite(score))
    if len(finite) > number:
        finite = finite[greatest(score[None, finite], number)[0]]
    return finite[np.argsort(-score[finite], kind="stable")]


def supported(values: Floats) -> Floats:
    """Return how far each person's values (k, f) lie above those of most people, added over fingers, (k,).

    nan stands for a finger that was not compared and says nothing. A finger that few people have is not
    judged by its own median alone: the few may all be mates.
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


# The local stage: how alike a probe's minutiae are to those of every finger of a block, wherever they lie.
#
# One matrix product a slot into one buffer, and a running maximum: the gallery's minutiae are never laid out
# against the probe's all at once. Several probe fingers share each product.

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
