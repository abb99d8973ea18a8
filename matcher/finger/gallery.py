"""All enrolled people as arrays: added to and removed from at any time, searched block by block.

An empty or removed row belongs to nobody and is never in a shortlist. A search works on a snapshot; adding
and removing go on beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.finger.descriptors import CANVAS, UNKNOWN, Finger, Frame, Model, default_model
from matcher.finger.gallery_block import Block, Rows, slots_for
from matcher.finger.probe import NothingUsable, Probe, SampleFault, prepare
from matcher.finger.score_fusion import Likelihood, default_likelihood, fuse
from matcher.finger.search_cascade import Cascade, SearchAbandoned, best_finite
from matcher.finger.template import Bools, Floats, Ints, Minutiae

LEAST_TO_COMPACT = 1024  # wiped rows; fewer are not worth moving the others
MOST_FRAMES = 16  # sizes of pictures that have blocks of their own; each may cost a resized canvas one more pass

FILE_DIGITS = 16  # hexadecimal, of a file's SHA-256: enough to tell two of ours apart

Subjects = NDArray[np.uint64]


__all__ = [
    "AlreadyEnrolled",
    "Candidates",
    "Gallery",
    "SearchAbandoned",
    "UnknownSubject",
    "reckoned_by",
]


class AlreadyEnrolled(ValueError):
    """The subject is in the gallery; remove it first."""


class UnknownSubject(KeyError):
    """No such subject in the gallery."""


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


@cache
def reckoned_by() -> str:
    """Return what scores depend on beside prints and gallery: fitted files, libraries and the processor's kernels.

    A sum of products is rounded in the order in which these kernels add, so that the scores of two machines may
    differ in their last digits; which of equals are kept does not (`alignment.greatest`).
    """
    built = np.show_config(mode="dicts")
    blas, simd = built["Build Dependencies"]["blas"], built["SIMD Extensions"]
    kernels = "+".join(
        [*simd.get("baseline", ()), *simd.get("found", ())]
    )  # numpy leaves empty lists out
    model, likelihood = default_model().digest, default_likelihood().digest
    return (
        f"model {model[:FILE_DIGITS]}, likelihood {likelihood[:FILE_DIGITS]}, numpy {np.__version__},"
        f" {blas['name']} {blas['version']}, {kernels}"
    )


class Gallery:
    """People and their fingers; thread-safe. A search sees the gallery as it stood when it began.

    `version` grows by one with each change.
    """

    def __init__(self, model: Model | None = None, likelihood: Likelihood | None = None) -> None:
        self._model = default_model() if model is None else model
        self._likelihood = default_likelihood() if likelihood is None else likelihood
        self._lock = RLock()
        self._blocks: list[Block] = []
        self._open: dict[tuple[int, int, Frame], int] = {}  # the block of a kind that is not full
        self._frames: set[Frame] = set()
        self._people = SubjectTable()
        self._wiped = 0
        self._version = 0

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, subject: int) -> bool:
        return subject in self._people

    @property
    def fingers(self) -> int:
        """How many fingers are enrolled."""
        with self._lock:
            return self._people.fingers

    @property
    def nbytes(self) -> int:
        """Bytes of the fingers' arrays."""
        with self._lock:
            return sum(block.nbytes for block in self._blocks)

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
            if subject in self._people:
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
            if subject in self._people:
                self.remove(subject)
            return self.add(subject, fingers) if fingers else ()

    def remove(self, subject: int) -> None:
        """Remove a person and overwrite the fingers' arrays; raises UnknownSubject."""
        with self._lock:
            places = self._people.remove(subject)
            if places is None:
                raise UnknownSubject("no such subject in the gallery")
            for block, row in places:
                self._blocks[block].wipe(row)
            self._version += 1
            self._wiped += len(places)
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

        `expired` is asked between blocks; once it says yes, SearchAbandoned is raised. `shortlist` is how many
        people are aligned in full, at least `limit`; at the gallery's size the search is exhaustive. None: the
        stages of `matcher.finger.search_cascade`, by which about 16 fingers are. Raises NothingUsable for a probe without a usable finger: poor quality is never a "no
        match".
        """
        (found,) = self.search_many(
            [probe], limit, threads=threads, shortlist=shortlist, expired=expired
        )
        return found

    def search_many(
        self,
        probes: Sequence[Probe],
        limit: int = 10,
        *,
        threads: int = 1,
        shortlist: int | None = None,
        expired: Callable[[], bool] = lambda: False,
    ) -> list[Candidates]:
        """Return what `search` returns for each probe; they share one pass over the gallery."""
        for probe in probes:
            if not probe.fingers:
                raise NothingUsable(probe.faults)
        with self._lock:
            people, rows = self._people.now(), self._snapshot(probes)
            size, version = len(self._people), self._version
        cascade = Cascade(self._model, self._likelihood, max(1, threads), expired, limit, shortlist)
        found = []
        for chosen, evidence in cascade.search(probes, rows, people.number):
            score = np.where(self._still_here(people, chosen), fuse(evidence), np.float32(-np.inf))
            order = best_finite(score, limit)
            subjects = people.subjects[chosen[order]]
            found.append(Candidates(subjects, score[order], evidence[order], size, version))
        return found

    def scores(self, probe: Probe, subjects: Sequence[int]) -> dict[int, float]:
        """Return the fused log10 ratio of each subject who has a finger of the probe's positions, aligned in full.

        Raises NothingUsable for a probe without a usable finger.
        """
        if not probe.fingers:
            raise NothingUsable(probe.faults)
        with self._lock:
            people, rows = self._people.now(), self._snapshot([probe])
            here = [subject for subject in dict.fromkeys(subjects) if subject in self._people]
            chosen = np.array([self._people.number_of(each) for each in here], dtype=np.intp)
        cascade = Cascade(self._model, self._likelihood, 1, lambda: False, len(here), len(here))
        score = fuse(cascade.ratios(probe, rows, people.number, chosen))
        score = np.where(self._still_here(people, chosen), score, np.float32(-np.inf))
        found = zip(here, score.tolist(), strict=True)
        return {subject: ratio for subject, ratio in found if np.isfinite(ratio)}

    def _still_here(self, people: PeopleThen, chosen: Ints) -> Bools:
        """Return which of the chosen were not removed meanwhile; a row wiped under the search says nothing."""
        with self._lock:
            enrolments = [
                self._people.enrolment(int(subject)) for subject in people.subjects[chosen]
            ]
        here: Bools = np.array(enrolments, dtype=np.int64) == people.enrolments[chosen]
        return here

    def _settle(self, subject: int, enrolment: int, fingers: Sequence[tuple[int, Finger]]) -> None:
        person = self._people.next_number
        places = [self._place(position, person, finger) for position, finger in fingers]
        self._people.add(subject, enrolment, places)

    def _place(self, position: int, person: int, finger: Finger) -> Place:
        number = self._room(position, slots_for(len(finger)), self._frame(finger))
        return number, self._blocks[number].append(person, finger)

    def _frame(self, finger: Finger) -> Frame:
        """Return the frame of the finger's block; beyond the first few sizes all but the canvas share one.

        It says nothing, and whoever is there is compared as stated.
        """
        if finger.frame in {*self._frames, CANVAS} or len(self._frames) < MOST_FRAMES:
            self._frames.add(finger.frame)
            return finger.frame
        return UNKNOWN

    def _room(self, position: int, slots: int, frame: Frame) -> int:
        """Return the number of a block that has room for one more row."""
        number = self._open.get((position, slots, frame))
        if number is None or self._blocks[number].full:
            number = self._open[position, slots, frame] = len(self._blocks)
            self._blocks.append(Block(slots, self._model.size, frame, position))
        return number

    def _snapshot(self, probes: Sequence[Probe]) -> dict[int, list[Rows]]:
        wanted = {position for probe in probes for position, _ in probe.fingers}
        rows: dict[int, list[Rows]] = {position: [] for position in wanted}
        for block in self._blocks:
            if block.position in wanted:
                rows[block.position].append(block.rows())
        return rows

    def _compact(self) -> None:
        """Move all rows to fresh blocks, without the wiped ones; searches under way keep the old blocks.

        Nothing is given up before all have moved: where memory ends, the gallery is as it was.
        """
        fresh = Gallery(self._model, self._likelihood)
        for subject in self._people:
            person = fresh._people.next_number
            places = []
            for number, row in self._people.places(subject):
                block = self._blocks[number]
                room = fresh._room(block.position, block.slots, block.frame)
                places.append((room, fresh._blocks[room].adopt(person, block, row)))
            fresh._people.add(subject, self._people.enrolment(subject), places)
        self._people, self._blocks, self._open = fresh._people, fresh._blocks, fresh._open
        self._frames = {block.frame for block in fresh._blocks}
        self._wiped = 0


# Who is in a gallery and where each person's fingers lie: rows of two tables, no object a person.
#
# A person's number is never used again; whoever was removed keeps a row that nobody points to until the gallery
# is compacted.

Table = NDArray[np.void]
Place = tuple[int, int]  # number of the block, row in it

PERSON: Any = [("subject", "<u8"), ("enrolment", "<i8"), ("first", "<u4"), ("fingers", "u1")]
PLACE: Any = [("block", "<u4"), ("row", "<u2")]
FIRST_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class PeopleThen:
    """Subject and enrolment by person number, (p,), as they stood at one moment."""

    subjects: NDArray[np.uint64] = field(repr=False)
    enrolments: NDArray[np.int64] = field(repr=False)

    @property
    def number(self) -> int:
        """How many numbers were given."""
        return len(self.subjects)


class SubjectTable:
    """Person numbers by subject; subject, enrolment and fingers by person number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._people: Table = np.zeros(FIRST_ROWS, dtype=PERSON)
        self._places: Table = np.zeros(FIRST_ROWS, dtype=PLACE)
        self._used = self._placed = 0
        self._fingers = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, subject: int) -> bool:
        return subject in self._numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    @property
    def fingers(self) -> int:
        """How many fingers the people have who are here."""
        return self._fingers

    @property
    def next_number(self) -> int:
        """The number of the person who is added next."""
        return self._used

    def add(self, subject: int, enrolment: int, places: Sequence[Place]) -> None:
        """Write down a person who is not here."""
        self._people = _with_room(self._people, self._used + 1)
        self._places = _with_room(self._places, self._placed + len(places))
        self._people[self._used] = subject, enrolment, self._placed, len(places)
        for place in places:
            self._places[self._placed] = place
            self._placed += 1
        self._numbers[subject] = self._used
        self._used += 1
        self._fingers += len(places)

    def remove(self, subject: int) -> tuple[Place, ...] | None:
        """Forget a person and return where the fingers were; None for one who is not here."""
        places = self.places(subject) if subject in self else None
        if places is not None:
            del self._numbers[subject]
            self._fingers -= len(places)
        return places

    def places(self, subject: int) -> tuple[Place, ...]:
        """Return where a person's fingers are."""
        row = self._people[self._numbers[subject]]
        first = int(row["first"])
        return tuple(
            (int(each["block"]), int(each["row"]))
            for each in self._places[first : first + int(row["fingers"])]
        )

    def number_of(self, subject: int) -> int:
        """Return the number of a person who is here."""
        return self._numbers[subject]

    def enrolment(self, subject: int) -> int:
        """Return a person's enrolment, or 0 for one who is not here."""
        number = self._numbers.get(subject)
        return 0 if number is None else int(self._people[number]["enrolment"])

    def now(self) -> PeopleThen:
        """Return the people as they stand, numbers of removed ones among them."""
        people = self._people[: self._used]
        return PeopleThen(people["subject"], people["enrolment"])


def _with_room(table: Table, rows: int) -> Table:
    """Return a table of at least so many rows; a fresh one, for a search under way keeps that it began with."""
    if rows <= len(table):
        return table
    more = max(rows - len(table), len(table) // 8, FIRST_ROWS)
    return np.concatenate([table, np.zeros(more, dtype=table.dtype)])
