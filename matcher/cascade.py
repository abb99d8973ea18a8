"""A search in stages, each for fewer fingers and with more care; probes share the first pass.

1  local      every gallery finger of the same position: one matrix product a slot, running maxima
2  shortlist  the people whose fingers' local evidence is best, added over positions
3  alignment  their fingers in full
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

from matcher.alignment import Fingers, compare, join
from matcher.block import Rows, local_scores
from matcher.finger import Finger, Frame, Model, readings
from matcher.fusion import Likelihood, coarse_ratio, finger_ratio, fuse
from matcher.probe import Probe
from matcher.template import Floats, Ints

# --- constants of the cascade; its loss is measured by `tests/bench/speed.py` (docs/adr/0013).
ALIGNED_FINGERS = 128  # in full for one search
LEAST_SHORTLIST = (
    16  # people; several fingers' local evidence together ranks better than one finger's
)
ALIGNED_AT_ONCE = 32  # fingers; keeps the (b, h, n, l) arrays of the alignment in cache
MOST_COARSE = 1 << 24  # local ratios kept at once, 64 MB; larger batches are searched in parts
POSITIONS = 10

Task = TypeVar("Task")


class SearchAbandoned(RuntimeError):
    """The caller's patience ended before the search did; there is no partial answer."""


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """One finger of one probe: as stated, and what it may mean beside rows of a frame."""

    probe: int
    column: int
    position: int
    stated: Finger
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
                queries.append(_Query(number, column, position, finger, versions))
        return queries

    def _local(
        self, queries: Sequence[_Query], rows: dict[int, list[Rows]], coarse: Floats
    ) -> None:
        """Write the local stage's log10 ratios, (probes, people, fingers); nan where nothing was compared."""

        def visit(task: tuple[int, Rows]) -> None:
            position, block = task
            self._ask("time ran out in the local stage")
            unpacked, alive = block.unpacked(), block.alive
            for query in queries:
                if query.position == position:
                    scores = [local_scores(f, unpacked) for f in query.versions[block.frame]]
                    ratio = coarse_ratio(np.maximum.reduce(scores), self.likelihood)
                    coarse[query.probe, block.person[alive], query.column] = ratio[alive]

        self._each(visit, [(position, block) for position, each in rows.items() for block in each])

    def _aligned(
        self,
        probes: Sequence[Probe],
        queries: Sequence[_Query],
        rows: dict[int, list[Rows]],
        coarse: Floats,
    ) -> list[tuple[Ints, Floats]]:
        found = []
        seats = np.full(coarse.shape[:2], -1, dtype=np.int32)
        for number, probe in enumerate(probes):
            most = max(LEAST_SHORTLIST, ALIGNED_FINGERS // len(probe.fingers))
            most = most if self.shortlist is None else self.shortlist
            chosen = best_finite(fuse(coarse[number]), max(most, self.limit))
            seats[number, chosen] = np.arange(len(chosen))
            evidence = np.full((len(chosen), POSITIONS), np.nan, dtype=np.float32)
            found.append((chosen, evidence))

        def visit(task: tuple[_Query, Frame, Ints, Fingers]) -> None:
            query, frame, seat, some = task
            self._ask("time ran out in the alignment")
            ratios = [
                finger_ratio(compare(finger, some), self.likelihood)
                for finger in query.versions[frame]
            ]
            found[query.probe][1][seat, query.position - 1] = np.maximum.reduce(ratios)

        self._each(
            visit,
            (
                (query, frame, seat, some)
                for query in queries
                for frame, blocks in _by_frame(rows[query.position]).items()
                for seat, some in _few(blocks, seats[query.probe])
            ),
        )
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


def best_finite(score: Floats, number: int) -> Ints:
    """Return the places of the best finite scores, best first, ties by place."""
    finite = np.flatnonzero(np.isfinite(score))
    if len(finite) > number:
        part = np.argpartition(-score[finite], number - 1)[:number]
        finite = np.sort(finite[part])
    return finite[np.argsort(-score[finite], kind="stable")]


def _by_frame(blocks: Sequence[Rows]) -> dict[Frame, list[Rows]]:
    frames: dict[Frame, list[Rows]] = {}
    for block in blocks:
        frames.setdefault(block.frame, []).append(block)
    return frames


def _few(blocks: Sequence[Rows], seat: Ints) -> Iterator[tuple[Ints, Fingers]]:
    """Yield the seated people's fingers a few at a time, like sizes together, with their seats."""
    found = [
        (rows, here, seat[rows.person[here]])
        for rows in blocks
        for here in [np.flatnonzero(rows.alive & (seat[rows.person] >= 0))]
        if len(here)
    ]
    found.sort(key=lambda each: each[0].place.shape[1])
    queue: list[tuple[Rows, Ints, Ints]] = []
    for rows, here, seats in found:
        for start in range(0, len(here), ALIGNED_AT_ONCE):
            part = slice(start, start + ALIGNED_AT_ONCE)
            if sum(len(each[1]) for each in queue) + len(here[part]) > ALIGNED_AT_ONCE:
                yield _joined(queue)
                queue = []
            queue.append((rows, here[part], seats[part]))
    if queue:
        yield _joined(queue)


def _joined(queue: Sequence[tuple[Rows, Ints, Ints]]) -> tuple[Ints, Fingers]:
    seats = np.concatenate([seats for _, _, seats in queue])
    return seats, join([rows.fingers(here) for rows, here, _ in queue])
