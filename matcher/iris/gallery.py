"""All enrolled people by their irises: added to and removed from at any time, searched eye by eye.

Right is compared with right and left with left, and only codes of one coder. A person's score is the sum of the log10
likelihood ratios of both eyes; an eye that is missing on either side says nothing. A search works on the gallery as it
stands while it goes on; whoever is removed or enrolled again meanwhile is not in its answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from matcher.errors import AlreadyEnrolled, UnknownSubject
from matcher.iris.code_table import CodeTable, Doubles, Turned
from matcher.iris.coders import EYES, Coder
from matcher.iris.probe import Probe, check_eyes
from matcher.iris.template import IrisCode

MOST_CODES = 8  # of one person: each is compared with each of the probe, and costs the union bound

Subjects = NDArray[np.uint64]
Ints = NDArray[np.intp]
Key = tuple[str, int]  # the coder's label and the eye
Place = tuple[Key, int]  # a row of that table


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best people of a search, best first, equals by subject number; and what each eye said.

    subject (k,) uint64; score (k,) float64, log10 likelihood ratio, descending
    evidence (k, 2) float64, the ratio of the right and of the left eye; nan = not compared
    size, version   people in the gallery that was searched, and its version
    comparable      how many of them have a code of an eye of the probe's by its coder, of the eye and coder that most have
    """

    subject: Subjects = field(repr=False)
    score: Doubles = field(repr=False)
    evidence: Doubles = field(repr=False)
    size: int
    version: int
    comparable: int

    def __len__(self) -> int:
        return len(self.subject)

    @property
    def shared(self) -> Ints:
        """How many eyes of each were compared, (k,)."""
        return _shared(self.evidence)


@dataclass(frozen=True, slots=True)
class _Person:
    enrolment: int
    places: tuple[Place, ...]


class Gallery:
    """People and their irises; thread-safe. `version` grows by one with each change."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._tables: dict[Key, CodeTable] = {}
        self._people: dict[int, _Person] = {}
        self._held: Counter[Key] = Counter()  # people who have a code by a coder of an eye
        self._version = 0

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, subject: int) -> bool:
        return subject in self._people

    @property
    def irises(self) -> int:
        """How many codes are enrolled."""
        with self._lock:
            return sum(len(table) for table in self._tables.values())

    @property
    def coders(self) -> tuple[Coder, ...]:
        """The coders of which there are codes, by label."""
        with self._lock:
            held = {table.coder.label: table.coder for table in self._tables.values() if len(table)}
        return tuple(held[label] for label in sorted(held))

    @property
    def nbytes(self) -> int:
        """Bytes of the codes' arrays."""
        with self._lock:
            return sum(table.nbytes for table in self._tables.values())

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    def add(self, subject: int, eyes: Sequence[tuple[int, IrisCode]]) -> None:
        """Enrol a person by the codes of one eye or both, several of an eye if so.

        Raises AlreadyEnrolled, and ValueError for no code or more than MOST_CODES, for an eye that is neither 1 nor 2
        and for a subject that is not an unsigned 64-bit number.
        """
        _check(subject, eyes)
        with self._lock:
            if subject in self._people:
                raise AlreadyEnrolled("remove the subject before enrolling it again")
            self._version += 1
            places = []
            for eye, iris in eyes:
                key = iris.coder.label, eye
                table = self._tables.setdefault(key, CodeTable(iris.coder))
                places.append((key, table.put(iris, subject, self._version)))
            self._people[subject] = _Person(self._version, tuple(places))
            self._held.update({key for key, _ in places})

    def replace(self, subject: int, eyes: Sequence[tuple[int, IrisCode]]) -> None:
        """Make a person's codes these, whether enrolled before or not; none = the person is removed.

        Raises as `add` does, with the old codes still in place.
        """
        if eyes:
            _check(subject, eyes)
        with self._lock:
            if subject in self._people:
                self.remove(subject)
            if eyes:
                self.add(subject, eyes)

    def remove(self, subject: int) -> None:
        """Remove a person and overwrite the codes' arrays; raises UnknownSubject."""
        with self._lock:
            person = self._people.pop(subject, None)
            if person is None:
                raise UnknownSubject("no such subject in the gallery")
            for key, row in person.places:
                self._tables[key].wipe(row)
            self._held.subtract({key for key, _ in person.places})
            self._version += 1

    def search(
        self,
        probe: Probe,
        limit: int = 10,
        *,
        floor: float | None = None,
        threads: int = 1,
        expired: Callable[[], bool] = lambda: False,
    ) -> Candidates:
        """Return the `limit` people likeliest to be the probe's.

        floor   whoever reaches this score is found and nobody else, as by comparing everybody in full; who is far below
                it is given up early. None: everybody is compared in full, which is the specification.
        `expired` is asked now and then; once it says yes, SearchAbandoned is raised.
        """
        with self._lock:
            tables, size, version = dict(self._tables), len(self._people), self._version
            comparable = max(
                (self._held[turned.coder.label, eye] for eye, turned in probe.turned), default=0
            )
            everybody = None if floor is not None else sorted(self._people)
        if floor is None:
            subjects = np.array(everybody, dtype=np.uint64)
        else:
            subjects = self._near(probe, tables, floor, threads, expired)
        score, evidence = self._scored(probe, subjects, threads, expired)
        if floor is not None:
            score = np.where(score >= floor, score, -np.inf)
        order = np.lexsort((subjects, -score))
        order = order[score[order] > -np.inf][:limit]
        return Candidates(subjects[order], score[order], evidence[order], size, version, comparable)

    def scores(self, probe: Probe, subjects: Iterable[int]) -> tuple[Doubles, Ints]:
        """Return what the probe says of named people, (k,) log10 likelihood ratios, and by how many eyes, (k,).

        nan and 0 for one who is not here, or of whom no eye by the same coder is: it says nothing of them.
        """
        named = np.fromiter(subjects, dtype=np.uint64)
        score, evidence = self._scored(probe, named, 1, lambda: False)
        here = score > -np.inf
        return np.where(here, score, np.nan), np.where(here, _shared(evidence), 0)

    def _near(
        self,
        probe: Probe,
        tables: dict[Key, CodeTable],
        floor: float,
        threads: int,
        expired: Callable[[], bool],
    ) -> Subjects:
        """Return the subjects who may reach the floor, ascending.

        Whoever reaches it by the sum of so many eyes reaches its share of it by one of them.
        """
        one_eye = min(floor, floor / max(1, len(probe.positions)))
        found = [np.zeros(0, dtype=np.uint64)]
        for eye, turned in probe.turned:
            table = tables.get((turned.coder.label, eye))
            if table is not None:
                least = float(probe.calibrations[turned.coder.label].least(one_eye))
                rows = table.near(turned, least, threads=threads, expired=expired)
                found.append(table.subject[rows])
        return np.unique(np.concatenate(found))

    def _scored(
        self, probe: Probe, subjects: Subjects, threads: int, expired: Callable[[], bool]
    ) -> tuple[Doubles, Doubles]:
        """Return score and evidence of subjects, compared in full; -inf where nothing was."""
        with self._lock:
            people = [self._people.get(int(each)) for each in subjects]
            tables = dict(self._tables)
        evidence = np.full((len(subjects), len(EYES)), np.nan)
        for eye in probe.positions:
            mine = [turned for side, turned in probe.turned if side == eye]
            raw = [
                self._closest(turned, eye, people, tables, threads=threads, expired=expired)
                for turned in mine
            ]
            evidence[:, eye - 1] = _ratio(probe, mine, raw)
        with self._lock:  # a row that was wiped or used again meanwhile says nothing
            still = [
                person is not None and self._people.get(int(each)) is person
                for each, person in zip(subjects, people, strict=True)
            ]
        compared = ~np.isnan(evidence).all(axis=1) & np.array(still, dtype=bool)
        return np.where(compared, np.nansum(evidence, axis=1), -np.inf), evidence

    def _closest(
        self,
        turned: Turned,
        eye: int,
        people: Sequence[_Person | None],
        tables: dict[Key, CodeTable],
        *,
        threads: int,
        expired: Callable[[], bool],
    ) -> tuple[Doubles, Doubles]:
        """Return the greatest closeness of one code to each person's of that eye, and how many were compared."""
        key = turned.coder.label, eye
        own = sorted(
            (row, at)
            for at, person in enumerate(people)
            for home, row in (person.places if person else ())
            if home == key
        )
        closeness, number = np.full(len(people), -np.inf), np.zeros(len(people))
        if own:
            row, at = np.array(own, dtype=np.intp).T
            found = tables[key].compare(turned, row, threads=threads, expired=expired)
            np.maximum.at(closeness, at, found.closeness)
            np.add.at(number, at, found.closeness > -np.inf)
        return closeness, number


def _ratio(
    probe: Probe, mine: Sequence[Turned], found: Sequence[tuple[Doubles, Doubles]]
) -> Doubles:
    """Return the log10 likelihood ratio of one eye: of the best of its comparisons; nan = none."""
    compared = np.sum([number for _, number in found], axis=0)
    best = np.full(len(compared), -np.inf)
    for turned, (closeness, _) in zip(mine, found, strict=True):
        seen = closeness > -np.inf
        calibration = probe.calibrations[turned.coder.label]
        ratio = calibration.ratios(np.where(seen, closeness, 0.0), np.maximum(compared, 1))
        best = np.maximum(best, np.where(seen, ratio, -np.inf))
    return np.where(best > -np.inf, best, np.nan)


def _shared(evidence: Doubles) -> Ints:
    number: Ints = np.count_nonzero(~np.isnan(evidence), axis=1)
    return number


def _check(subject: int, eyes: Sequence[tuple[int, IrisCode]]) -> None:
    if not 0 <= subject < 1 << 64:
        raise ValueError("a subject is an unsigned 64-bit number")
    if not 1 <= len(eyes) <= MOST_CODES:
        raise ValueError(f"a person has 1 to {MOST_CODES} codes of irises")
    check_eyes(eye for eye, _ in eyes)
