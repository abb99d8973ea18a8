"""A search in stages, each for fewer fingers and with more care; probes share the first pass.

1  local      every gallery finger of the same position, of any for one whose position nobody knows: one matrix
              product a slot, running maxima
2  shortlist  the people whose fingers' local evidence is best, added over positions: by the support of their
              likeliest pairs after relaxation
3  alignment  the best few people's fingers in full
4  evidence   one log10 likelihood ratio a finger

Who cannot reach a score that decides anything does not go on, but for the best few, who always do: so a search that
finds somebody takes about as long as one that does not.
A block is unpacked once for all probes of a batch; threads take blocks, then some pairs of fingers. A probe
whose picture may have been resized, or that of a row, is also compared as if it had been (`finger.readings`),
and the better of the two counts; so does the best of several impressions of a finger, of a probe's or a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from matcher.errors import SearchAbandoned
from matcher.finger.alignment import (
    Fingers,
    Probes,
    align,
    greatest,
    probes_of,
    support,
    width_for,
)
from matcher.finger.constants import ABSENT, STRONGEST
from matcher.finger.descriptors import LEADING, Finger, Frame, Model, multiplier, readings
from matcher.finger.gallery_block import MOST_ROWS, NOWHERE, Heads, Rows, fingers_of, heads_of
from matcher.finger.probe import UNKNOWN_POSITION, Probe
from matcher.finger.score_fusion import DEPENDENCE, Likelihood, coarse_ratio, finger_ratio, fuse
from matcher.finger.template import Bools, Floats, Ints

# --- constants of the cascade; its loss is measured by `tests/bench/speed.py` (docs/adr/0013).
SHORTLIST_FINGERS = 128  # at least, of one search
SHORTLIST_SHARE = 256  # one person in so many where that is more: who looks alike by chance grows with the gallery
LEAST_SHORTLIST = 16  # people; several fingers' local evidence ranks better than one finger's
FINALIST_FINGERS = 16  # aligned in full; of 988 accepted mates none had four other people before it
LEAST_FINALISTS = 8  # people
# Of a stage's people those go on who reach this, and in any case so many as are best.
LEAST_REACH = (
    -1.1
)  # local log10 ratio of all fingers; of 994 mates whom alignment accepts none has less
# But who has many fingers reaches less: a finger of somebody else comes to this on average (synthetic people, gallery of 60), and one
# person in a hundred to this more, times the root of the number of fingers.
TYPICAL_REACH, ABOVE_TYPICAL = -1.09, 0.75
LEAST_SUPPORT = 0.03  # of a finger, on average; likewise
LEAST_CHOSEN = 2  # people
FIRST_OF_EACH = (
    4  # people who share as many fingers: few who share three are not judged by many who share ten
)
ASIDE = 2  # of the usual people, one in so many is looked at for a reading of a probe that it does not state
MOST_COARSE = 1 << 24  # local ratios kept at once, 64 MB; larger batches are searched in parts
DECIMALS = (
    3  # of a value by which a stage chooses; what the kernels of another processor change is less
)
POSITIONS = 10

Task = TypeVar("Task")
Measure = Callable[[Probes, Fingers], Floats]


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
    out_of: int  # people: before a filter


@dataclass(frozen=True, slots=True)
class Placed:
    """One impression of a finger of one of some people: whose by number from 0, of which position, and where."""

    person: int
    position: int
    rows: Rows = field(repr=False)
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """A reading of a probe's finger and an enrolled impression that it is compared with, and where the result belongs."""

    finger: Finger
    placed: Placed
    probe: int
    column: int

    @property
    def widths(self) -> tuple[int, int]:
        """What both are padded to: a score is of these, whatever else is compared in the same arrays."""
        return width_for(len(self.finger)), width_for(int(self.placed.rows.count[self.placed.row]))


Places = Callable[[Ints], Sequence[Placed]]  # the impressions of people by their numbers


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
        places: Places,
        *,
        out_of: int = 0,
    ) -> Iterator[tuple[Ints, Floats]]:
        """Yield for each probe the person numbers of its shortlist and the ratios of its f fingers with theirs, (k, f, 10).

        nan where nothing was compared. Where the rows are a filter's, `out_of` is how many people it chose from. With each probe stands whether it is read otherwise than stated, for which fewer
        people are looked at closely.
        """
        widest = max((len(probe.usable) for probe, _ in probes), default=1)
        at_once = max(1, MOST_COARSE // max(1, people * widest))
        for start in range(0, len(probes), at_once):
            some = [probe for probe, _ in probes[start : start + at_once]]
            aside = [each for _, each in probes[start : start + at_once]]
            queries = self._queries(some, rows)
            batch = _Batch(some, aside, queries, rows, people, max(people, out_of))
            coarse = np.full((len(some), people, widest), np.nan, dtype=np.float32)
            self._local(batch, coarse)
            yield from self._aligned(batch, coarse, places)

    def all_pairs(
        self,
        probes: Sequence[Probe],
        placed: Sequence[Sequence[Placed]],
        known: Sequence[Floats],
    ) -> None:
        """Align each finger of each probe in full with each of its people's, but where the ratio is known already.

        placed  each impression of the people's fingers, probe by probe
        known   (k, f, 10) ratios of a probe's f fingers with those of its k people; nan, where there are none yet, is
                overwritten
        """
        queries = []
        for number, (probe, theirs) in enumerate(zip(probes, placed, strict=True)):
            frames = dict.fromkeys(each.rows.frame for each in theirs)
            for column, (_, finger) in zip(probe.columns, probe.fingers, strict=True):
                versions = self._versions(finger, frames)
                queries.append(_Query(number, column, UNKNOWN_POSITION, versions))
        wanted = [np.isnan(each) for each in known]
        pairs = (
            each
            for each in _pairs(queries, placed)
            if wanted[each.probe][each.placed.person, each.column, each.placed.position - 1]
        )
        self._compare(pairs, self._ratio, known)

    def _versions(self, finger: Finger, frames: Iterable[Frame]) -> dict[Frame, tuple[Finger, ...]]:
        return {frame: readings(finger, frame, self.model) for frame in frames}

    def _queries(self, probes: Sequence[Probe], rows: dict[int, list[Rows]]) -> list[_Query]:
        queries = []
        for number, probe in enumerate(probes):
            for column, (position, finger) in zip(probe.columns, probe.fingers, strict=True):
                wanted = rows if position == UNKNOWN_POSITION else (position,)
                frames = {block.frame for each in wanted for block in rows[each]}
                queries.append(_Query(number, column, position, self._versions(finger, frames)))
        return queries

    def _local(self, batch: _Batch, coarse: Floats) -> None:
        """Write the local stage's log10 ratios, (probes, people, fingers); nan where nothing was compared.

        Of a finger of unknown position, the best over all positions: two of them may claim one finger here.
        """
        tasks: list[tuple[Sequence[_Query], LocalSimilarity, Sequence[Rows]]] = []
        for position, blocks in batch.rows.items():
            here = [query for query in batch.queries if query.meets(position)]
            for frame in {block.frame for block in blocks} if here else ():
                fingers = [finger for query in here for finger in query.versions[frame]]
                glance = LocalSimilarity(fingers)
                some = [block for block in blocks if block.frame == frame]
                tasks += [(here, glance, few) for few in _few_rows(some)]

        def visit(task: tuple[Sequence[_Query], LocalSimilarity, Sequence[Rows]]) -> None:
            here, glance, blocks = task
            self._ask("time ran out in the local stage")
            heads = heads_of(blocks)
            alive = heads.person >= 0
            person = heads.person[alive]
            ratios = iter(coarse_ratio(glance.scores(heads)[:, alive], self.likelihood))
            for query in here:
                versions = [next(ratios) for _ in query.versions[blocks[0].frame]]
                values = np.maximum.reduce(versions)
                with self._best:
                    before = coarse[query.probe, person, query.column]
                    coarse[query.probe, person, query.column] = np.fmax(before, values)

        self._each(visit, tasks)

    def _aligned(self, batch: _Batch, coarse: Floats, places: Places) -> list[tuple[Ints, Floats]]:
        chosen = []
        for probe, aside, ratios in zip(batch.probes, batch.aside, coarse, strict=True):
            fingers = max(SHORTLIST_FINGERS, batch.out_of // SHORTLIST_SHARE)
            most = max(LEAST_SHORTLIST, fingers // len(probe.usable))
            value = np.round(fuse(ratios), DECIMALS)
            shared = np.count_nonzero(~np.isnan(ratios), axis=1)
            able = value >= least_reach(shared)
            best = self._chosen(ranked(value, shared), able, most, aside=aside)
            if self.shortlist is None:
                best = np.union1d(best, first_of_each(value, shared, able))
            chosen.append(best)
        if self.shortlist is None:
            values = self._compared(batch, chosen, places, support)
            for number, probe in enumerate(batch.probes):
                most = max(LEAST_FINALISTS, FINALIST_FINGERS // len(probe.usable))
                best = np.fmax.reduce(values[number], axis=2)
                compared = np.count_nonzero(~np.isnan(best), axis=1)
                able = np.round(np.nansum(best, axis=1), DECIMALS) >= LEAST_SUPPORT * compared
                total = np.round(supported(best), DECIMALS)
                few = self._chosen(total, able, most, aside=batch.aside[number])
                chosen[number] = chosen[number][few]
        ratios = self._compared(batch, chosen, places, self._ratio)
        return list(zip(chosen, ratios, strict=True))

    def _chosen(self, values: Floats, able: Bools, most: int, *, aside: bool) -> Ints:
        """Return who goes on to the next stage: whoever is able, within bounds, or so many as the caller says.

        In rising order; of equals the first. Values come rounded to what a stage means: a processor's own rounding must
        not choose.
        """
        if self.shortlist is not None:
            return np.sort(best_finite(values, max(self.shortlist, self.limit)))
        share = ASIDE if aside else 1
        best = best_finite(values, max(most, self.limit) // share)
        goes_on = able[best]
        goes_on[: LEAST_CHOSEN // share] = True
        return np.sort(best[goes_on])

    def _ratio(self, probes: Probes, some: Fingers) -> Floats:
        return finger_ratio(align(probes, some).evidence, self.likelihood)

    def _compared(
        self, batch: _Batch, chosen: Sequence[Ints], places: Places, measure: Measure
    ) -> list[Floats]:
        """Return a measure of each probe's fingers and its chosen people's, (k, f, 10); nan where nothing was compared."""
        found = [
            np.full((len(each), len(probe.usable), POSITIONS), np.nan, dtype=np.float32)
            for probe, each in zip(batch.probes, chosen, strict=True)
        ]
        self._compare(_pairs(batch.queries, [places(each) for each in chosen]), measure, found)
        return found

    def _compare(self, pairs: Iterable[_Pair], measure: Measure, found: Sequence[Floats]) -> None:
        """Write a measure of each pair where it belongs; of several readings and impressions the best counts."""

        def visit(some: Sequence[_Pair]) -> None:
            self._ask("time ran out in the alignment")
            mine, theirs = some[0].widths
            fingers = fingers_of([(each.placed.rows, each.placed.row) for each in some], theirs)
            values = measure(probes_of([each.finger for each in some], mine), fingers)
            with self._best:
                for each, value in zip(some, values.tolist(), strict=True):
                    here = found[each.probe][each.placed.person, each.column]
                    at = each.placed.position - 1
                    if not here[at] >= value:
                        here[at] = value

        self._each(visit, _alike(pairs))

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


def _few_rows(blocks: Sequence[Rows]) -> Iterator[Sequence[Rows]]:
    """Yield blocks, several at a time where they have few rows; a person has one row of one impression in all of them.

    Blocks of few rows cost more to begin with than to multiply with, so that some empty slots are the lesser price.
    """
    falling = sorted(blocks, key=lambda block: (block.impression, -len(block.packed)))
    some: list[Rows] = []
    rows = empty = 0
    for block in falling:
        rows += len(block.person)
        if some:
            empty += (len(some[0].packed) - len(block.packed)) * len(block.person)
            alike = some[0].impression == block.impression
            if not alike or rows > MOST_ROWS or empty > MOST_EMPTY:
                yield some
                some, rows, empty = [], len(block.person), 0
        some.append(block)
    if some:
        yield some


def _pairs(queries: Sequence[_Query], placed: Sequence[Sequence[Placed]]) -> Iterator[_Pair]:
    """Yield each reading of each query with each impression of its probe's people that it may be of."""
    for query in queries:
        for each in placed[query.probe]:
            if query.meets(each.position):
                for finger in query.versions[each.rows.frame]:
                    yield _Pair(finger, each, query.probe, query.column)


def _alike(pairs: Iterable[_Pair]) -> Iterator[Sequence[_Pair]]:
    """Yield a few pairs at a time, all of the same widths: as many as keep the arrays of an alignment in cache."""
    alike: dict[tuple[int, int], list[_Pair]] = {}
    for each in pairs:
        alike.setdefault(each.widths, []).append(each)
    for (mine, theirs), some in alike.items():
        at_once = max(1, MOST_COMPARED_SLOTS // (mine * theirs))
        for start in range(0, len(some), at_once):
            yield some[start : start + at_once]


MOST_COMPARED_SLOTS = (
    1 << 17
)  # of a probe's minutia and a gallery's; (b, h, n, l) numbers stay in cache
LEAST_TYPICAL = 8  # people compared at one position, whose median is then that of other people


def least_reach(shared: Ints) -> Floats:
    """Return which local log10 ratio of all fingers people must reach to go on, by how many fingers they share, (k,)."""
    fingers = np.maximum(shared, 1)
    above = TYPICAL_REACH * fingers + ABOVE_TYPICAL * np.sqrt(fingers)
    return np.minimum(LEAST_REACH, above / (1 + (fingers - 1) * DEPENDENCE))


def ranked(values: Floats, shared: Ints) -> Floats:
    """Return values by which people who share one finger and ten are ranked, (k,): each among those who share as many.

    Ten fingers of somebody else come to much less than one, so that by the values themselves whoever shares one would crowd
    out a mate whose ten fingers are poor. Of the same share of their like, who has more comes first.
    """
    finite = np.isfinite(values)
    numbers = np.unique(shared[finite])
    if len(numbers) <= 1:
        return values
    above = np.zeros(len(values))
    for number in numbers:
        like = np.flatnonzero(finite & (shared == number))
        rising = np.sort(values[like])
        above[like] = 1 - np.searchsorted(rising, values[like], side="right") / len(like)
    order = np.lexsort((-values, above))
    place = np.full(len(values), -np.inf)
    place[order] = -np.arange(len(values))
    place[~finite] = -np.inf
    return place


def first_of_each(values: Floats, shared: Ints, able: Bools) -> Ints:
    """Return the places of the few best of those who share as many fingers, of each number of fingers, who are able."""
    numbers = np.unique(shared[able])
    likes = (np.flatnonzero(able & (shared == number)) for number in numbers)
    first = [like[best_finite(values[like], FIRST_OF_EACH)] for like in likes]
    return np.concatenate([np.zeros(0, dtype=np.intp), *first])


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
    compared = ~np.isnan(values)
    every = values[compared]
    for column in np.flatnonzero(compared.any(axis=0)):
        here = compared[:, column]
        theirs = values[here, column]
        typical = _median(theirs)
        if len(theirs) < LEAST_TYPICAL:
            typical = min(typical, _median(every))
        total[here] += theirs - typical
    return total


def _median(values: Floats) -> np.floating[Any]:
    """Return the median of a few values, as `numpy.median` does at a fifth of the calls."""
    rising = np.sort(values)
    middle: np.floating[Any] = (rising[(len(rising) - 1) // 2] + rising[len(rising) // 2]) / 2
    return middle


# The local stage: how alike a probe's minutiae are to those of every finger of a block, wherever they lie.
#
# Matrix products into one buffer, and a running maximum: the gallery's minutiae are never laid out against the
# probe's all at once. Several probe fingers share each product, and several slots of a block with few rows.

MOST_STACKED = 288  # minutiae; product and maximum of a block stay in a core's second cache
MOST_PRODUCT = MOST_STACKED * 512  # numbers
MOST_EMPTY = 256  # slots; so many take about as long as to begin with another product
EVEN = 4  # minutiae; a product of one, two or three fewer takes longer than this


class LocalSimilarity:
    """Probe fingers that meet blocks together."""

    def __init__(self, fingers: Sequence[Finger]) -> None:
        self._number = len(fingers)
        stacks: list[list[Finger]] = []
        size = MOST_STACKED
        for finger in fingers:
            if size + len(finger) > MOST_STACKED:
                stacks.append([])
                size = 0
            stacks[-1].append(finger)
            size += len(finger)
        self._stacks = [_Stack(some) for some in stacks]

    def scores(self, rows: Heads) -> Floats:
        """Return the mean likeness of each finger's twelve best minutiae to each row, (fingers, r) float32.

        A row without any minutia gets ABSENT.
        """
        number = len(rows.count)
        best = [np.full((len(each.probe), number), NOWHERE, np.float32) for each in self._stacks]
        largest = max(len(each) for each in best)
        for some in rows.slots(max(1, MOST_PRODUCT // (largest * number))):
            flat = some.reshape(len(some), -1)
            for stack, mine in zip(self._stacks, best, strict=True):
                found = np.matmul(stack.probe, flat).reshape(len(mine), -1, number)
                np.maximum(mine, _greatest_of_slots(found), out=mine)
        parts = [stack.scores(mine) for stack, mine in zip(self._stacks, best, strict=True)]
        return np.concatenate(parts) if parts else np.empty((0, number), dtype=np.float32)


def _greatest_of_slots(found: Floats) -> Floats:
    """Return the greatest of each row's slots, (m, s, r) → (m, r), by halves: rows may be few; `found` is overwritten."""
    slots = found.shape[1]
    while slots > 1:
        half = slots // 2
        np.maximum(found[:, :half], found[:, slots - half : slots], out=found[:, :half])
        slots -= half
    return found[:, 0]


class _Stack:
    """Fingers whose minutiae share a product: probe (m, LEADING + 1), a multiple of EVEN of them."""

    def __init__(self, fingers: Sequence[Finger]) -> None:
        weights, self._offsets = zip(*(multiplier(each.vectors) for each in fingers), strict=True)
        size = sum(len(each) for each in weights)
        self.probe = np.zeros((size + -size % EVEN, LEADING + 1), dtype=np.float32)
        np.concatenate(weights, out=self.probe[:size, :LEADING])
        self.probe[:size, LEADING] = 1

    def scores(self, best: Floats) -> Floats:
        """Return the mean of each finger's twelve best minutiae, of the likeness less the offset of each; `best` is overwritten."""
        scores = np.empty((len(self._offsets), best.shape[1]), dtype=np.float32)
        start = 0
        for row, offset in enumerate(self._offsets):
            mine = best[start : start + len(offset)]
            mine += offset
            np.maximum(mine, ABSENT, out=mine)
            number = min(STRONGEST, len(offset))
            mine.partition(len(offset) - number, axis=0)
            scores[row] = mine[len(offset) - number :].sum(axis=0) / np.float32(number)
            start += len(offset)
        return scores
