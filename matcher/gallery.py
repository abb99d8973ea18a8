"""All enrolled people as arrays: added to and removed from at any time, searched block by block.

1  snapshot   the blocks of the probe's positions, as they stand; adding goes on beside the search
2  local      every gallery finger of the same position: one matrix product a slot, running maxima
3  shortlist  the people whose fingers' local evidence is best, added over positions
4  alignment  their fingers in full
5  evidence   one log10 likelihood ratio a finger, fused by position; the best people leave

A slot that holds no minutia carries a constant that no likeness undercuts, so padding never wins; an empty
or removed row belongs to nobody and is never in a shortlist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from matcher.alignment import ABSENT, STRONGEST, Bools, Fingers, compare, join
from matcher.block import Block, Rows, slots_for
from matcher.finger import Finger, Model, default_model
from matcher.fusion import Likelihood, coarse_ratio, default_likelihood, finger_ratio, fuse
from matcher.probe import NothingUsable, Probe, SampleFault, prepare
from matcher.template import Floats, Minutiae

ALIGNED_FINGERS = (
    128  # in full for one search. Of FVC2002 mates that exhaustive scoring accepts at FPIR 1e-4 and
)
# N = 10,000, local likeness ranks 99.95 % within the best 128 there; none fell below the best 5 %.
LEAST_SHORTLIST = (
    16  # people; several fingers' local evidence together ranks better than one finger's
)
ALIGNED_AT_ONCE = 16  # fingers; keeps the (b, h, n, l) arrays of the alignment in cache
POSITIONS = 10
LEAST_TO_COMPACT = 1024  # wiped rows; fewer are not worth moving the others

Subjects = NDArray[np.uint64]


class AlreadyEnrolled(ValueError):
    """The subject is in the gallery; remove it first."""


class UnknownSubject(KeyError):
    """No such subject in the gallery."""


class SearchAbandoned(RuntimeError):
    """The caller's patience ended before the search did; there is no partial answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best people of a search, best first, and what each finger said.

    subject (k,) uint64; score (k,) float32, fused log10 likelihood ratio, descending
    evidence (k, 10) float32, log10 ratio of position column + 1; nan = not compared
    size, version   people in the gallery that was searched, and its version
    """

    subject: Subjects = field(repr=False)
    score: Floats = field(repr=False)
    evidence: Floats = field(repr=False)
    size: int
    version: int

    def __len__(self) -> int:
        return len(self.subject)


@dataclass(frozen=True, slots=True)
class _Home:
    """Where a person's fingers are: position, block, row; enrolment is the gallery's version then."""

    enrolment: int
    places: list[tuple[int, Block, int]]


@dataclass(frozen=True, slots=True, eq=False)
class _PeopleThen:
    """Subject and enrolment by person number, as they stood at one moment."""

    subjects: Subjects
    enrolments: NDArray[np.int64]

    @property
    def number(self) -> int:
        return len(self.subjects)


class _People:
    """Subject and enrolment by person number; a number is never used again."""

    def __init__(self) -> None:
        self._used = 0
        self._subjects = np.zeros(64, dtype=np.uint64)
        self._enrolments = np.zeros(64, dtype=np.int64)

    def append(self, subject: int, enrolment: int) -> int:
        """Return the number of a new person."""
        if self._used == len(self._subjects):
            # Fresh arrays: a search under way keeps those it began with.
            self._subjects = np.concatenate([self._subjects, np.zeros_like(self._subjects)])
            self._enrolments = np.concatenate([self._enrolments, np.zeros_like(self._enrolments)])
        self._subjects[self._used] = subject
        self._enrolments[self._used] = enrolment
        self._used += 1
        return self._used - 1

    def now(self) -> _PeopleThen:
        """Return the people as they stand."""
        return _PeopleThen(self._subjects[: self._used], self._enrolments[: self._used])


class Gallery:
    """People and their fingers; thread-safe. A search sees the gallery as it stood when it began.

    `version` grows by one with each change.
    """

    def __init__(self, model: Model | None = None, likelihood: Likelihood | None = None) -> None:
        self._model = default_model() if model is None else model
        self._likelihood = default_likelihood() if likelihood is None else likelihood
        self._lock = RLock()
        self._blocks: dict[tuple[int, int], list[Block]] = {}
        self._homes: dict[int, _Home] = {}
        self._people = _People()
        self._wiped = 0
        self._version = 0

    def __len__(self) -> int:
        return len(self._homes)

    def __contains__(self, subject: int) -> bool:
        return subject in self._homes

    @property
    def fingers(self) -> int:
        """How many fingers are enrolled."""
        with self._lock:
            return sum(len(home.places) for home in self._homes.values())

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    def add(self, subject: int, fingers: Sequence[tuple[int, Minutiae]]) -> tuple[SampleFault, ...]:
        """Enrol a person and return the faults of the fingers that were left out.

        Raises AlreadyEnrolled, NothingUsable where no finger is good enough, ValueError for positions
        outside 1-10 or given twice or a subject that is not an unsigned 64-bit number.
        """
        if not 0 <= subject < 1 << 64:
            raise ValueError("a subject is an unsigned 64-bit number")
        probe = prepare(fingers, self._model)
        if not probe.fingers:
            raise NothingUsable(probe.faults)
        with self._lock:
            if subject in self._homes:
                raise AlreadyEnrolled("remove the subject before enrolling it again")
            self._version += 1
            self._settle(subject, self._version, probe.fingers)
        return probe.faults

    def replace(
        self, subject: int, fingers: Sequence[tuple[int, Minutiae]]
    ) -> tuple[SampleFault, ...]:
        """Make a person's fingers these, whether enrolled before or not; none = the person is removed.

        Raises as `add` does, with the old fingers still in place.
        """
        probe = prepare(fingers, self._model)
        if fingers and not probe.fingers:
            raise NothingUsable(probe.faults)
        with self._lock:
            if subject in self._homes:
                self.remove(subject)
            return self.add(subject, fingers) if fingers else ()

    def remove(self, subject: int) -> None:
        """Remove a person and overwrite the fingers' arrays; raises UnknownSubject."""
        with self._lock:
            home = self._homes.pop(subject, None)
            if home is None:
                raise UnknownSubject("no such subject in the gallery")
            for _, block, row in home.places:
                block.wipe(row)
            self._version += 1
            self._wiped += len(home.places)
            if self._wiped > max(LEAST_TO_COMPACT, self.fingers):
                self._compact()

    def search(
        self,
        probe: Probe,
        limit: int = 10,
        *,
        threads: int = 1,
        shortlist: int | None = None,
        expired: Callable[[], bool] = lambda: False,
    ) -> Candidates:
        """Return the `limit` people likeliest to be the probe's, compared finger by finger of one position.

        `expired` is asked between blocks; once it says yes, SearchAbandoned is raised. `shortlist` bounds the
        people that are aligned in full (None: so that about 128 fingers are); at the gallery's size the search
        is exhaustive. Raises NothingUsable for a probe without a usable finger: poor quality is never a "no
        match".
        """
        if not probe.fingers:
            raise NothingUsable(probe.faults)
        with self._lock:
            people, homes = self._people.now(), self._snapshot(probe)
            size, version = len(self._homes), self._version
        coarse = self._local(homes, people.number, max(1, threads), expired)
        if shortlist is None:
            shortlist = max(LEAST_SHORTLIST, ALIGNED_FINGERS // len(probe.fingers))
        chosen = _top(fuse(coarse), max(shortlist, limit))
        evidence = np.full((len(chosen), POSITIONS), np.nan, dtype=np.float32)
        seat = np.full(people.number, -1, dtype=np.intp)
        seat[chosen] = np.arange(len(chosen))
        for position, finger, blocks in homes:
            for seats, some in _few(blocks, seat):
                if expired():
                    raise SearchAbandoned("time ran out in the alignment")
                ratio = finger_ratio(compare(finger, some), self._likelihood)
                evidence[seats, position - 1] = ratio
        score = np.where(self._still_here(people, chosen), fuse(evidence), np.float32(-np.inf))
        order = _top(score, limit)
        subjects = people.subjects[chosen[order]]
        return Candidates(subjects, score[order], evidence[order], size, version)

    def _still_here(self, people: _PeopleThen, chosen: NDArray[np.intp]) -> Bools:
        """Return which of the chosen were not removed meanwhile; a row wiped under the search says nothing."""
        with self._lock:
            enrolments = [
                home.enrolment if (home := self._homes.get(int(subject))) else 0
                for subject in people.subjects[chosen]
            ]
        here: Bools = np.array(enrolments, dtype=np.int64) == people.enrolments[chosen]
        return here

    def _settle(self, subject: int, enrolment: int, fingers: Sequence[tuple[int, Finger]]) -> None:
        person = self._people.append(subject, enrolment)
        places = [
            (position, *self._place(position, person, finger)) for position, finger in fingers
        ]
        self._homes[subject] = _Home(enrolment, places)

    def _place(self, position: int, person: int, finger: Finger) -> tuple[Block, int]:
        slots = slots_for(len(finger))
        blocks = self._blocks.setdefault((position, slots), [])
        if not blocks or blocks[-1].full:
            blocks.append(Block(slots, self._model.size))
        return blocks[-1], blocks[-1].append(person, finger)

    def _snapshot(self, probe: Probe) -> list[tuple[int, Finger, list[Rows]]]:
        return [
            (position, finger, [block.rows() for block in blocks])
            for position, finger in probe.fingers
            for blocks in [
                [b for key, each in self._blocks.items() if key[0] == position for b in each]
            ]
        ]

    def _local(
        self,
        homes: list[tuple[int, Finger, list[Rows]]],
        people: int,
        threads: int,
        expired: Callable[[], bool],
    ) -> Floats:
        """Return the local stage's log10 ratios, (people, 10); nan where nothing was compared."""
        coarse = np.full((people, POSITIONS), np.nan, dtype=np.float32)

        def visit(task: tuple[int, Finger, Rows]) -> None:
            position, finger, rows = task
            if expired():
                raise SearchAbandoned("time ran out in the local stage")
            ratio = coarse_ratio(local_scores(finger, rows), self._likelihood)
            coarse[rows.person[rows.alive], position - 1] = ratio[rows.alive]

        tasks = [(position, finger, rows) for position, finger, each in homes for rows in each]
        if threads == 1:
            for task in tasks:
                visit(task)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(visit, tasks))
        return coarse

    def _compact(self) -> None:
        """Move all rows to fresh blocks, without the wiped ones; searches under way keep the old blocks."""
        homes, self._homes, self._blocks = self._homes, {}, {}
        self._people, self._wiped = _People(), 0
        for subject, home in homes.items():
            fingers = [(position, block.finger(row)) for position, block, row in home.places]
            self._settle(subject, home.enrolment, fingers)


def local_scores(finger: Finger, rows: Rows) -> Floats:
    """Return the mean likeness of the probe's twelve best minutiae to each row, (rows,) float32.

    One matrix product a slot into one buffer, and a running maximum: the gallery's minutiae are never laid
    out against the probe's all at once.
    """
    count = rows.vectors.shape[2]
    probe = np.ones((len(finger), rows.vectors.shape[1]), dtype=np.float32)
    probe[:, :-1] = finger.vectors
    best = np.full((len(finger), count), ABSENT, dtype=np.float32)
    product = np.empty_like(best)
    for slot in rows.vectors:
        np.matmul(probe, slot, out=product)
        np.maximum(best, product, out=best)
    number = min(STRONGEST, len(finger))
    best.partition(len(finger) - number, axis=0)
    mean: Floats = best[len(finger) - number :].mean(axis=0)
    return mean


def _few(
    blocks: Sequence[Rows], seat: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], Fingers]]:
    """Yield the seated people's fingers a few at a time, like sizes together, with their seats."""
    found = [
        (rows, here, seat[rows.person[here]])
        for rows in blocks
        for here in [np.flatnonzero(rows.alive & (seat[rows.person] >= 0))]
        if len(here)
    ]
    found.sort(key=lambda each: each[0].place.shape[1])
    queue: list[tuple[Rows, NDArray[np.intp], NDArray[np.intp]]] = []
    for rows, here, seats in found:
        for start in range(0, len(here), ALIGNED_AT_ONCE):
            part = slice(start, start + ALIGNED_AT_ONCE)
            if sum(len(each[1]) for each in queue) + len(here[part]) > ALIGNED_AT_ONCE:
                yield _joined(queue)
                queue = []
            queue.append((rows, here[part], seats[part]))
    if queue:
        yield _joined(queue)


def _joined(
    queue: Sequence[tuple[Rows, NDArray[np.intp], NDArray[np.intp]]],
) -> tuple[NDArray[np.intp], Fingers]:
    seats = np.concatenate([seats for _, _, seats in queue])
    return seats, join([rows.fingers(here) for rows, here, _ in queue])


def _top(score: Floats, number: int) -> NDArray[np.intp]:
    """Return the places of the best finite scores, best first, ties by place."""
    finite = np.flatnonzero(np.isfinite(score))
    if len(finite) > number:
        part = np.argpartition(-score[finite], number - 1)[:number]
        finite = np.sort(finite[part])
    return finite[np.argsort(-score[finite], kind="stable")]
