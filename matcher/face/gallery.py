"""All enrolled faces as arrays: added to and removed from at any time, searched exactly.

A person has one vector or several, of one model or several; vectors of two models never meet. A person's score is the
best of the comparisons with the probe's vectors, as a log10 likelihood ratio by the calibration that the probe has of the
model, less the union bound for so many comparisons. A search works on a snapshot; adding and removing go on beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from matcher.errors import AlreadyEnrolled, UnknownSubject
from matcher.face.gallery_block import (
    LEAST_SAMPLED,
    MOST_SAMPLED,
    Basis,
    Block,
    Doubles,
    Ints,
    Rows,
    Storage,
    basis_of,
)
from matcher.face.models import FaceModel
from matcher.face.probe import Probe, check_faces
from matcher.face.search import Best, Meetings, Question, Search
from matcher.face.template import FaceVector, Floats
from matcher.subject_table import PeopleThen, SubjectTable

LEAST_TO_COMPACT = 1024  # wiped rows; fewer are not worth moving the others

Subjects = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best people of a search, best first; equals in the order of their subject numbers.

    subject (k,) uint64; score (k,) float32, log10 likelihood ratio, descending
    size, version   people in the gallery that was searched, and its version
    comparable      how many of them have a vector of a model of the probe's, of the model that most have
    """

    subject: Subjects = field(repr=False)
    score: Floats = field(repr=False)
    size: int
    version: int
    comparable: int

    def __len__(self) -> int:
        return len(self.subject)


class _ModelRows:
    """What the gallery holds of one model."""

    def __init__(self) -> None:
        self.blocks: list[int] = []  # their numbers in the gallery
        self.basis: Basis | None = None
        self.rows = 0  # written, removed ones among them
        self.rows_then = 0  # when the basis was found
        self.people = 0  # who have a vector of it now
        self.held: NDArray[np.uint8] = np.zeros(64, dtype=np.uint8)  # vectors by person number

    def count(self, person: int) -> None:
        """Count one more vector of a person."""
        if person >= len(self.held):
            more = np.zeros(max(person + 1 - len(self.held), len(self.held) // 4), dtype=np.uint8)
            self.held = np.concatenate([self.held, more])
        self.held[person] += 1


class Gallery:
    """People and their faces; thread-safe. A search sees the gallery as it stood when it began.

    `version` grows by one with each change.
    """

    def __init__(self, storage: Storage = Storage.FLOAT32) -> None:
        self._storage = storage
        self._lock = RLock()
        self._blocks: list[Block] = []
        self._by_model: dict[str, _ModelRows] = {}
        self._people = SubjectTable()
        self._wiped = 0
        self._version = 0

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, subject: int) -> bool:
        return subject in self._people

    @property
    def faces(self) -> int:
        """How many vectors are enrolled."""
        with self._lock:
            return self._people.samples

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors' arrays."""
        with self._lock:
            return sum(block.nbytes for block in self._blocks)

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    def add(self, subject: int, faces: Sequence[FaceVector]) -> None:
        """Enrol a person.

        Raises AlreadyEnrolled, NothingUsable for no face, ValueError for a dimension that is not that of the model's
        other vectors, for more faces than MOST_VECTORS and for a subject that is not an unsigned 64-bit number. Which
        models have a calibration is no matter of a gallery: who enrols looks.
        """
        if not 0 <= subject < 1 << 64:
            raise ValueError("a subject is an unsigned 64-bit number")
        with self._lock:
            self._check(faces)
            if subject in self._people:
                raise AlreadyEnrolled("remove the subject before enrolling it again")
            self._version += 1
            self._settle(subject, faces)
            self._renew()

    def replace(self, subject: int, faces: Sequence[FaceVector]) -> None:
        """Make a person's faces these, whether enrolled before or not; none = the person is removed.

        Raises as `add` does, with the old faces still in place.
        """
        with self._lock:
            if faces:
                self._check(faces)
            if subject in self._people:
                self.remove(subject)
            if faces:
                self.add(subject, faces)

    def remove(self, subject: int) -> None:
        """Remove a person and overwrite the vectors; raises UnknownSubject."""
        with self._lock:
            places = self._people.remove(subject)
            if places is None:
                raise UnknownSubject("no such subject in the gallery")
            for block, row in places:
                self._blocks[block].wipe(row)
            for own in self._by_model.values():
                own.people -= any(block in own.blocks for block, _ in places)
            self._version += 1
            self._wiped += len(places)
            if self._wiped > max(LEAST_TO_COMPACT, self.faces):
                self._compact()

    def search(
        self,
        probe: Probe,
        limit: int = 10,
        *,
        threads: int = 1,
        expired: Callable[[], bool] = lambda: False,
    ) -> Candidates:
        """Return the `limit` people likeliest to be the probe's, of all who have a vector of one of its models.

        The answer is that of comparing everybody, and bit for bit the same for a probe alone or in a batch and for
        any number of threads. `expired` is asked between blocks; once it says yes, SearchAbandoned is raised. Raises
        ValueError for a dimension that is not that of the model's vectors here.
        """
        (found,) = self.search_many([probe], limit, threads=threads, expired=expired)
        return found

    def search_many(
        self,
        probes: Sequence[Probe],
        limit: int = 10,
        *,
        threads: int = 1,
        expired: Callable[[], bool] = lambda: False,
    ) -> list[Candidates]:
        """Return what `search` returns for each probe; they share one pass over the gallery.

        Raises ValueError also for probes that have two calibrations of one model.
        """
        known = _known(probes)
        models = sorted(known)
        with self._lock:
            for probe in probes:
                self._check(probe.vectors)
            people = self._people.now()
            by_model = {model: self._by_model.get(model, _ModelRows()) for model in models}
            rows = {
                model: [self._blocks[number].rows() for number in own.blocks]
                for model, own in by_model.items()
            }
            bases = {model: own.basis for model, own in by_model.items()}
            held = {model: own.people for model, own in by_model.items()}
            size, version = len(self._people), self._version
        asked = np.array([[len(probe.of(model)) for model in models] for probe in probes])
        meetings = Meetings(asked, tuple(own.held for own in by_model.values()))
        best = Best(len(probes), max(1, limit))
        for model in models:
            question = _question(probes, known[model], meetings)
            Search(question, bases[model], max(1, threads), expired).run(rows[model], best)
        return [
            self._candidates(
                best.of(number),
                people,
                limit,
                (size, version, max(held[face.model] for face in probe.vectors)),
            )
            for number, probe in enumerate(probes)
        ]

    def scores(self, probe: Probe, subjects: Sequence[int]) -> dict[int, float]:
        """Return the exact score of each of some people for a probe, as `search` would state it.

        Nothing is said of whoever is not here or has no vector of the probe's models. Raises as `search` does.
        """
        models = sorted({face.model for face in probe.vectors})
        found = {}
        with self._lock:
            self._check(probe.vectors)
            for subject in dict.fromkeys(subjects):
                if subject in self._people:
                    score = self._score(probe, models, self._people.places(subject))
                    if score is not None:
                        found[subject] = score
        return found

    def _score(
        self, probe: Probe, models: Sequence[str], places: Sequence[tuple[int, int]]
    ) -> float | None:
        cosines: list[tuple[str, Floats]] = []
        for model in models:
            vectors = np.stack([face.vector for face in probe.of(model)])
            columns = np.arange(len(vectors))
            for number, row in places:
                if number in self._by_model.get(model, _ModelRows()).blocks:
                    rows = np.full(len(vectors), row)
                    block = self._blocks[number].rows()
                    cosines.append((model, block.exact(rows, vectors, columns)))
        compared = sum(len(each) for _, each in cosines)
        ratios = [
            float(probe.models[model].calibration.ratios(each, compared).max())
            for model, each in cosines
        ]
        return float(np.float32(max(ratios))) if ratios else None

    def _check(self, faces: Sequence[FaceVector]) -> None:
        """Raise ValueError for faces that cannot lie beside, or be compared with, those that are here."""
        check_faces(faces)
        held = self._by_model.items()
        dimension = {
            name: self._blocks[own.blocks[0]].dimension for name, own in held if own.blocks
        }
        for face in faces:
            if len(face) != dimension.setdefault(face.model, len(face)):
                raise ValueError("the vector's dimension is not its model's")

    def _candidates(
        self,
        best: tuple[Ints, Doubles],
        people: PeopleThen,
        limit: int,
        state: tuple[int, int, int],
    ) -> Candidates:
        """Return the best who were not removed meanwhile; a row wiped under the search says nothing."""
        person, ratio = best
        subject = people.subjects[person]
        with self._lock:
            now = [self._people.enrolment(int(each)) for each in subject]
        here = np.array(now, dtype=np.int64) == people.enrolments[person]
        subject, ratio = subject[here], ratio[here]
        order: Ints = np.lexsort((subject, -ratio))[:limit]
        return Candidates(subject[order], ratio[order].astype(np.float32), *state)

    def _settle(self, subject: int, faces: Sequence[FaceVector]) -> None:
        person = self._people.next_number
        places = []
        for face in faces:
            own, number = self._room(face.model, len(face))
            places.append((number, self._blocks[number].append(person, face.vector)))
            own.count(person)
            own.rows += 1
        for model in {face.model for face in faces}:
            self._by_model[model].people += 1
        self._people.add(subject, self._version, places)

    def _room(self, model: str, dimension: int) -> tuple[_ModelRows, int]:
        """Return what is held of a model, and the number of a block that has room for one more row."""
        own = self._by_model.setdefault(model, _ModelRows())
        if not own.blocks or self._blocks[own.blocks[-1]].full:
            own.blocks.append(len(self._blocks))
            self._blocks.append(Block(dimension, self._storage, own.basis))
        return own, own.blocks[-1]

    def _renew(self) -> None:
        """Find the directions of the first look again where a model's vectors have doubled since."""
        for own in self._by_model.values():
            if own.rows >= max(LEAST_SAMPLED, 2 * own.rows_then):
                held = [self._blocks[number] for number in own.blocks]
                own.basis, own.rows_then = basis_of(_sample(held, own.rows)), own.rows
                for block in held:
                    block.look_along(own.basis)

    def _compact(self) -> None:
        """Move all rows to fresh blocks, without the wiped ones; searches under way keep the old blocks.

        Nothing is given up before all have moved: where memory ends, the gallery is as it was.
        """
        fresh = Gallery(self._storage)
        model_of = {n: model for model, own in self._by_model.items() for n in own.blocks}
        for model, own in self._by_model.items():
            fresh._by_model[model] = kept = _ModelRows()
            kept.basis, kept.rows_then, kept.people = own.basis, own.rows_then, own.people
        for subject in self._people:
            person, places = fresh._people.next_number, []
            for number, row in self._people.places(subject):
                block = self._blocks[number]
                own, room = fresh._room(model_of[number], block.dimension)
                places.append((room, fresh._blocks[room].adopt(person, block, row)))
                own.count(person)
                own.rows += 1
            fresh._people.add(subject, self._people.enrolment(subject), places)
        self._people, self._blocks, self._by_model = fresh._people, fresh._blocks, fresh._by_model
        self._wiped = 0


def _known(probes: Sequence[Probe]) -> dict[str, FaceModel]:
    """Return the models of some probes, by name; raises ValueError where two probes have different calibrations of one."""
    known: dict[str, FaceModel] = {}
    for probe in probes:
        for face in probe.vectors:
            model = probe.models[face.model]
            if known.setdefault(face.model, model) is not model:
                raise ValueError(
                    "probes that are searched together have one calibration of a model"
                )
    return known


def _question(probes: Sequence[Probe], model: FaceModel, meetings: Meetings) -> Question:
    faces = [(number, face) for number, probe in enumerate(probes) for face in probe.of(model.name)]
    return Question(
        np.stack([face.vector for _, face in faces]),
        np.array([number for number, _ in faces], dtype=np.intp),
        model.calibration,
        meetings,
    )


def _sample(blocks: Sequence[Block], rows: int) -> Floats:
    """Return so many vectors of some blocks as directions are found from, evenly."""
    step = max(1, rows // MOST_SAMPLED)
    parts: list[Floats] = []
    for block in blocks:
        held: Rows = block.rows()
        some = held.vectors(0, len(held))[held.person >= 0]
        parts.append(some[::step])
    return np.concatenate(parts)
