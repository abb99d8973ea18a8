"""Faces: their records of feature vectors, the models that are known here, and their gallery in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from gateway.domain.messages import POSITIONS, UNSTATED, Modality, RecordFormat, Sample
from gateway.errors import (
    DeadlineTooShort,
    ElementInvalid,
    ElementsInconsistent,
    FormatUnsupported,
    RecordUnparseable,
)
from gateway.matching.calibrations import Calibrations, CalibrationsInForce, shipped
from gateway.matching.engine import (
    Deadline,
    Found,
    OpenedFile,
    OperatingPoint,
    Prepared,
    Probe,
    Scored,
    UnreadableSample,
)
from gateway.matching.gallery_engine import (
    GalleryEngine,
    UncalibratedRecord,
    demand_own,
    demand_ready,
    read_whole,
    timed,
)
from matcher.calibration import Certificate
from matcher.errors import MalformedRecord, SearchAbandoned
from matcher.face import probe as probes
from matcher.face import record as face_record
from matcher.face import synthetic
from matcher.face.gallery import Gallery
from matcher.face.gallery_block import Storage
from matcher.face.models import FaceModel
from matcher.face.template import FaceVector
from matcher.fusion import Tails

FORMATS = (RecordFormat.FACE_VECTOR,)
FACE = POSITIONS[Modality.FACE][0]  # a face has no position
NOT_OF_A_VECTOR = (
    "impression",
    "width",
    "height",
    "ppi",
)  # what no vector has, and nobody states of one
UNKNOWN_MODEL = "UNKNOWN_VALUE"  # the rule that an ElementInvalid names
TRIAL_PEOPLE = 4
REHEARSED_SEED = 512  # of the person who does not exist, whom rehearsals look for


class FaceProbe(Probe):
    """Faces of one person: their vectors, the models as they were when these were read, and what is searched once prepared."""

    __slots__ = ("models", "ready", "vectors")

    def __init__(self, vectors: Sequence[FaceVector], models: Mapping[str, FaceModel]) -> None:
        self.vectors = list(vectors)
        self.models = models
        self.ready: probes.Probe | None = None


class FaceEngine(GalleryEngine[Gallery]):
    """One gallery of faces in this process.

    calibrations   the models whose vectors are searched; None = those that are shipped
    storage        how the gallery keeps its numbers; quantised ones take half the memory
    """

    modality = Modality.FACE

    def __init__(
        self,
        calibrations: CalibrationsInForce | None = None,
        threads: int = 1,
        storage: Storage = Storage.FLOAT32,
    ) -> None:
        super().__init__()
        self._calibrations = calibrations or CalibrationsInForce()
        self._threads = threads
        self._storage = storage

    def _empty(self) -> Gallery:
        return Gallery(self._storage)

    def _held(self, samples: Sequence[Sample]) -> Sequence[FaceVector]:
        models = self._calibrations.current.faces
        return [_read_known(one.data, models) for one in samples]

    def read(self, samples: Mapping[str, Sample]) -> FaceProbe:
        """Read faces; raises also ElementInvalid for a model that has no calibration here."""
        models = self._calibrations.current.faces  # of this query, whatever is adopted meanwhile
        vectors = read_whole(samples, partial(_read_declared, models))
        return FaceProbe([vector for _, vector in vectors], models)

    def prepare(self, probe: Probe) -> Prepared:
        """Make the vectors one probe; a vector that could be read can be searched, and of none nothing is usable."""
        mine = demand_own(probe, FaceProbe)
        if not mine.vectors:  # an image gave no record; that is its own problem already
            return Prepared(())
        mine.ready = probes.Probe(tuple(mine.vectors), mine.models)
        return Prepared((FACE,))

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        """Return the best `limit` people of the whole gallery.

        The score has the union bound for a person's several faces in it, so that the threshold is that of one
        comparison, whoever is compared. Raises EngineUnavailable when not loaded, DeadlineTooShort when time runs out
        before the search is complete.
        """
        del point
        ready, gallery = demand_ready(demand_own(probe, FaceProbe).ready), self._loaded()
        if deadline() <= 0:
            raise DeadlineTooShort
        try:
            found = gallery.search(
                ready, limit, threads=self._threads, expired=lambda: deadline() <= 0
            )
        except SearchAbandoned:
            raise DeadlineTooShort from None
        certificates = _certificates(ready)
        ranked = zip(found.subject.tolist(), found.score.tolist(), strict=True)
        return Found(
            candidates=tuple(Scored(*each) for each in ranked),
            calibration="+".join(each.id for each in certificates),
            reckoned_by=f"{self._storage.value} vectors, numpy {np.__version__}",
            size=found.size,
            comparable=found.comparable,
            version=found.version,
            tails={1: tuple(each.tails[0] for each in certificates)},
        )

    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return the exact score of each of a few people who have a vector of the probe's models."""
        found = self._loaded().scores(demand_ready(demand_own(probe, FaceProbe).ready), subjects)
        return tuple(Scored(*each) for each in found.items())

    def count(self, probe: Probe) -> Mapping[str, int]:
        """Return how many records and vectors there are."""
        read = len(demand_own(probe, FaceProbe).vectors)
        return {"records": read, "vectors": read}

    def destroy(self, probe: Probe) -> Mapping[str, int]:
        """Overwrite vectors with zeros, in place, and drop them."""
        mine, counts = demand_own(probe, FaceProbe), self.count(probe)
        for vector in mine.vectors:
            vector.destroy()
        mine.vectors, mine.ready = [], None
        return counts

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of some searches takes, for the face of somebody who does not exist.

        The first ones, which still touch every page of the gallery, are not counted.
        """
        gallery, models = self._loaded(), self._calibrations.current.faces
        if not models:  # no calibration counts, as of texts that are not the adopted ones: nobody is searched by a face
            return (0.0,) * searches
        return timed(
            searches,
            lambda number: probes.Probe(
                tuple(_invented(model, number) for model in models.values()), models
            ),
            lambda each: gallery.search(each, 1, threads=self._threads),
        )

    def trial(self) -> tuple[tuple[int, float], ...]:
        """Return whom a search names, of one person who is enrolled and one who is not, by the models that are shipped."""
        models, gallery = shipped().faces, Gallery(self._storage)
        for seed in range(TRIAL_PEOPLE):
            gallery.add(seed, [synthetic.capture(synthetic.person(seed), 0, seed)])
        said: list[tuple[int, float]] = []
        for seed in (0, TRIAL_PEOPLE):
            asked = synthetic.capture(synthetic.person(seed), 1, seed)
            found = gallery.search(probes.Probe((asked,), models), TRIAL_PEOPLE)
            said += zip(found.subject.tolist(), found.score.tolist(), strict=True)
        return tuple(said)


def quantised_engine(calibrations: CalibrationsInForce) -> FaceEngine:
    """Return an engine whose gallery keeps 16 bits of each number."""
    return FaceEngine(calibrations, storage=Storage.INT16)


class FaceCodec:
    """Records of face vectors; files of them."""

    formats = FORMATS

    def sample(self, record: bytes, position: int, extractor: str) -> Sample:
        """Return the sample of a face, whose extractor is the record's model."""
        if position != FACE:
            raise UnreadableSample("a face has no position; leave it out or say 0")
        vector = _read(record)
        if extractor not in {UNSTATED, vector.model}:
            raise UnreadableSample(
                f"the record is of the model {vector.model}; say --extractor {vector.model}"
            )
        return Sample(
            modality=Modality.FACE,
            position=FACE,
            format=RecordFormat.FACE_VECTOR,
            extractor=vector.model,
            data=record,
        )

    def sample_to_enrol(
        self, record: bytes, position: int, extractor: str, calibrations: Calibrations
    ) -> Sample:
        """Return the sample of a face to enrol, if its model has a calibration here."""
        sample = self.sample(record, position, extractor)
        _read_known(record, calibrations.faces).destroy()
        return sample

    def open_file(self, octets: bytes) -> OpenedFile:
        """Return the one face of a file that is a record of a face vector."""
        _read(octets)
        return OpenedFile(((FACE, octets),))

    def compare(self, probe: Sample, record: Sample) -> Mapping[str, object]:
        """Return what an examiner can see of two vectors: of which models they are, and whether these meet.

        A vector has nothing that a person could look at, and a score is not shown (ADR 17): the pictures decide.
        """
        mine, theirs = (_read(each.data) for each in (probe, record))
        try:
            return {
                "probe": {"model": mine.model, "numbers": len(mine)},
                "record": {"model": theirs.model, "numbers": len(theirs)},
                "comparable": mine.model == theirs.model,
            }
        finally:
            mine.destroy()
            theirs.destroy()

    def tails(self, shared: int, calibrations: Calibrations) -> Tails:
        """Return the tails of every model that has a calibration; the score of several faces has the union bound in it."""
        del shared
        models = calibrations.faces.values()
        return tuple(each.calibration.certificate.tails[0] for each in models)


def _certificates(ready: probes.Probe) -> list[Certificate]:
    """Return the certificates of a probe's models, by name."""
    models = sorted({face.model for face in ready.vectors})
    return [ready.models[name].calibration.certificate for name in models]


def _read_declared(models: Mapping[str, FaceModel], sample: Sample, element: str) -> FaceVector:
    """Return the vector of a sample whose record says what its sender declared of it."""
    if sample.format not in FORMATS:
        raise FormatUnsupported(element=f"{element}.format")
    try:
        vector = face_record.read(sample.data)
    except MalformedRecord as fault:
        raise RecordUnparseable(element=f"{element}.data", why=str(fault)) from fault
    if vector.model != sample.extractor:
        raise ElementsInconsistent(element=f"{element}.extractor")
    for name in NOT_OF_A_VECTOR:
        if getattr(sample, name):
            raise ElementsInconsistent(element=f"{element}.{name}")
    model = models.get(vector.model)
    if model is None:  # its cosine would be a number that means nothing
        raise ElementInvalid(element=f"{element}.extractor", rule=UNKNOWN_MODEL)
    if len(vector) != model.dimension:
        raise ElementsInconsistent(element=f"{element}.data")
    return vector


def _read_known(record: bytes, models: Mapping[str, FaceModel]) -> FaceVector:
    """Return the vector of a record whose model has a calibration; raises UnreadableSample."""
    vector = _read(record)
    model = models.get(vector.model)
    if model is None:
        raise UncalibratedRecord(vector.model)
    if len(vector) != model.dimension:
        raise UnreadableSample(f"vectors of {model.name} have {model.dimension} numbers")
    return vector


def _read(record: bytes) -> FaceVector:
    try:
        return face_record.read(record)
    except MalformedRecord as fault:
        raise UnreadableSample(str(fault)) from None


def _invented(model: FaceModel, number: int) -> FaceVector:
    """Return a face of nobody: by statistics where the model's are known, else the hardest for a search."""
    if model.name == synthetic.MODEL:
        return synthetic.capture(synthetic.person(REHEARSED_SEED), number, REHEARSED_SEED)
    drawn = np.random.default_rng((REHEARSED_SEED, number)).standard_normal(model.dimension)
    return FaceVector(model.name, drawn / np.linalg.norm(drawn))
