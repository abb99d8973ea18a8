"""All enrolled people as arrays: added to and removed from at any time, searched block by block.

An empty or removed row belongs to nobody and is never in a shortlist. A search works on a snapshot; adding
and removing go on beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from matcher.finger.candidate_rows import best_finite
from matcher.finger.descriptors import CANVAS, UNKNOWN, Finger, Frame, Model, default_model
from matcher.finger.gallery_block import Block, Rows, slots_for
from matcher.finger.probe import NothingUsable, Probe, SampleFault, prepare
from matcher.finger.score_fusion import Likelihood, default_likelihood, fuse
from matcher.finger.search_cascade import Cascade, SearchAbandoned
from matcher.finger.subject_table import PeopleThen, Place, SubjectTable
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
    differ in their last digits; which of equals are kept does not (`matcher.ordering`).
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
