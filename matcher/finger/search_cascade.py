"""A search in stages, each for fewer fingers and with more care; probes share the first pass.

1  local      every gallery finger of the same position: one matrix product a slot, running maxima
2  shortlist  the people whose fingers' local evidence is best, added over positions: by the support of their
              likeliest pairs after relaxation
3  alignment  the best few people's fingers in full
4  evidence   one log10 likelihood ratio a finger

A block is unpacked once for all probes of a batch; threads take blocks, then handfuls of fingers. A probe
whose picture may have been resized, or that of a row, is also compared as if it had been (`finger.readings`),
and the better of the two counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from matcher.finger.alignment import Fingers, compare, support
from matcher.finger.candidate_rows import Picked, best_finite, crowds, supported
from matcher.finger.descriptors import Finger, Frame, Model, readings
from matcher.finger.gallery_block import Rows, fingers_of
from matcher.finger.local_similarity import LocalSimilarity
from matcher.finger.probe import Probe
from matcher.finger.score_fusion import Likelihood, coarse_ratio, finger_ratio, fuse
from matcher.finger.template import Floats, Ints

# --- constants of the cascade; its loss is measured by `tests/bench/speed.py` (docs/adr/0013).
SHORTLIST_FINGERS = 128  # at least, of one search
SHORTLIST_SHARE = 256  # one person in so many where that is more: who looks alike by chance grows with the gallery
LEAST_SHORTLIST = 16  # people; several fingers' local evidence ranks better than one finger's
FINALIST_FINGERS = 16  # aligned in full; of 988 accepted mates none had four other people before it
LEAST_FINALISTS = 8  # people
MOST_COARSE = 1 << 24  # local ratios kept at once, 64 MB; larger batches are searched in parts
DECIMALS = (
    3  # of a value by which a stage chooses; what the kernels of another processor change is less
)
POSITIONS = 10

Task = TypeVar("Task")


class SearchAbandoned(RuntimeError):
    """The caller's patience ended before the search did; there is no partial answer."""


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """One finger of one probe: what it may mean beside rows of each frame."""

    probe: int
    column: int
    position: int
    versions: dict[Frame, tuple[Finger, ...]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cascade:
    """What a search needs besides probes and rows."""

    model: Model
    likelihood: Likelihood
    threads: int
    expired: Callable[[], bool]
    limit: int
    shortlist: int | None

    def search(
        self,
        probes: Sequence[Probe],
        rows: dict[int, list[Rows]],
        people: int,
    ) -> Iterator[tuple[Ints, Floats]]:
        """Yield for each probe the person numbers of its shortlist and their ratios by position (k, 10)."""
        widest = max((len(probe.fingers) for probe in probes), default=1)
        at_once = max(1, MOST_COARSE // max(1, people * widest))
        for start in range(0, len(probes), at_once):
            some = probes[start : start + at_once]
            queries = self._queries(some, rows)
            coarse = np.full((len(some), people, widest), np.nan, dtype=np.float32)
            self._local(queries, rows, coarse)
            yield from self._aligned(some, queries, rows, coarse)

    def _queries(self, probes: Sequence[Probe], rows: dict[int, list[Rows]]) -> list[_Query]:
        queries = []
        for number, probe in enumerate(probes):
            for column, (position, finger) in enumerate(probe.fingers):
                frames = {block.frame for block in rows[position]}
                versions = {frame: readings(finger, frame, self.model) for frame in frames}
                queries.append(_Query(number, column, position, versions))
        return queries

    def _local(
        self, queries: Sequence[_Query], rows: dict[int, list[Rows]], coarse: Floats
    ) -> None:
        """Write the local stage's log10 ratios, (probes, people, fingers); nan where nothing was compared."""
        asking: dict[tuple[int, Frame], tuple[list[_Query], LocalSimilarity]] = {}
        for position, blocks in rows.items():
            for frame in {block.frame for block in blocks}:
                here = [query for query in queries if query.position == position]
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
                coarse[query.probe, person, query.column] = np.maximum.reduce(versions)[alive]

        self._each(visit, [(position, block) for position, each in rows.items() for block in each])

    def _aligned(
        self,
        probes: Sequence[Probe],
        queries: Sequence[_Query],
        rows: dict[int, list[Rows]],
        coarse: Floats,
    ) -> list[tuple[Ints, Floats]]:
        people = coarse.shape[1]
        chosen = []
        for probe, ratios in zip(probes, coarse, strict=True):
            fingers = max(SHORTLIST_FINGERS, people // SHORTLIST_SHARE)
            most = max(LEAST_SHORTLIST, fingers // len(probe.fingers))
            most = most if self.shortlist is None else self.shortlist
            chosen.append(_likeliest(fuse(ratios), max(most, self.limit)))
        if self.shortlist is None:
            values = self._compared(queries, rows, chosen, people, support)
            for number, probe in enumerate(probes):
                most = max(LEAST_FINALISTS, FINALIST_FINGERS // len(probe.fingers), self.limit)
                best = _likeliest(supported(values[number]), most)
                chosen[number] = chosen[number][best]
        ratios = self._compared(queries, rows, chosen, people, self._ratio)
        return list(zip(chosen, ratios, strict=True))

    def _ratio(self, finger: Finger, some: Fingers) -> Floats:
        return finger_ratio(compare(finger, some), self.likelihood)

    def _compared(
        self,
        queries: Sequence[_Query],
        rows: dict[int, list[Rows]],
        chosen: Sequence[Ints],
        people: int,
        measure: Callable[[Finger, Fingers], Floats],
    ) -> list[Floats]:
        """Return a measure of each probe's chosen people by position, (k, 10); nan where nothing was compared."""
        found = [np.full((len(each), POSITIONS), np.nan, dtype=np.float32) for each in chosen]

        def visit(task: tuple[_Query, Frame, Ints, Picked]) -> None:
            query, frame, seat, picked = task
            self._ask("time ran out in the alignment")
            some = fingers_of(picked)
            values = [measure(finger, some) for finger in query.versions[frame]]
            found[query.probe][seat, query.position - 1] = np.maximum.reduce(values)

        self._each(visit, _handfuls(queries, rows, chosen, people))
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
    queries: Sequence[_Query], rows: dict[int, list[Rows]], chosen: Sequence[Ints], people: int
) -> Iterator[tuple[_Query, Frame, Ints, Picked]]:
    """Yield each query with a few of the fingers that its probe's people have at its position."""
    frames = {position: crowds(blocks) for position, blocks in rows.items()}
    seats = np.full(people + 1, -1, dtype=np.intp)  # the last is nobody's
    for query in queries:
        people_here = chosen[query.probe]
        seats[people_here] = np.arange(len(people_here))
        for frame, crowd in frames[query.position].items():
            for seat, picked in crowd.few(seats):
                yield query, frame, seat, picked
        seats[people_here] = -1
