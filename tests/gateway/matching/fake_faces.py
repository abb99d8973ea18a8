"""Faces for tests: vectors of three numbers, enough to be told apart, and nothing that a real codec would read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.domain.messages import Modality, Problem, ProblemCode, RecordFormat, Sample
from gateway.errors import EngineUnavailable, RecordUnparseable
from gateway.law import regulation
from gateway.ledger.entry import EntryType
from gateway.matching.calibrations import Calibrations, CalibrationsInForce
from gateway.matching.engine import (
    Batch,
    Change,
    Deadline,
    EngineStatus,
    Found,
    OpenedFile,
    OperatingPoint,
    Prepared,
    Probe,
    Scored,
    Source,
    UnreadableSample,
)
from matcher.calibration import Tail
from matcher.fusion import Tails

MAGIC, LENGTH = b"FVC\0", 16  # as the library looks at what is sent
ANN, BOB, NOBODY = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
BLURRED = (0.0, 0.0, 0.0)  # a face in which nothing is to be seen
TAIL = Tail(1, -2.0, (0.01, 0.01, 0.01), (2.5, 2.5, 2.5))  # of whoever is somebody else


def record(vector: tuple[float, ...]) -> bytes:
    return MAGIC + np.array(vector, dtype="<f4").tobytes()


def face(vector: tuple[float, ...]) -> Sample:
    return FaceCodec().sample(record(vector), 0, "faces-1")


class FaceCodec:
    """Records of three numbers."""

    formats = (RecordFormat.FACE_VECTOR,)

    def sample(self, record: bytes, position: int, extractor: str) -> Sample:
        if record[:4] != MAGIC or position:
            raise UnreadableSample("no face")
        form = RecordFormat.FACE_VECTOR
        return Sample(
            modality=Modality.FACE, position=0, format=form, extractor=extractor, data=record
        )

    def sample_to_enrol(
        self, record: bytes, position: int, extractor: str, calibrations: Calibrations
    ) -> Sample:
        del calibrations
        return self.sample(record, position, extractor)

    def open_file(self, octets: bytes) -> OpenedFile:
        return OpenedFile(((0, octets),))

    def compare(self, probe: Sample, record: Sample) -> Mapping[str, object]:
        return {"same": probe.data == record.data}

    def tails(self, shared: int, calibrations: Calibrations) -> Tails:
        del shared, calibrations
        return (TAIL,)


class FaceProbe(Probe):
    def __init__(self, vectors: list[np.ndarray]) -> None:
        self.vectors = vectors


class FaceEngine:
    """Cosines with everybody."""

    modality = Modality.FACE

    def __init__(self, calibrations: CalibrationsInForce) -> None:
        del calibrations
        self.people: dict[int, np.ndarray] | None = None
        self.version = 0
        self.destroyed: list[np.ndarray] = []

    def load(self, source: Source) -> None:
        self.people = {
            subject: _vector(samples[0])
            for batch in source.batches(self.modality, 0, 1)
            for subject, samples in batch
        }

    def apply(self, change: Change) -> None:
        if self.people is None:
            raise EngineUnavailable
        self.version += 1
        self.people.pop(change.subject, None)
        for sample in change.samples:
            self.people[change.subject] = _vector(sample)

    def read(self, samples: Mapping[str, Sample]) -> Probe:
        for element, sample in samples.items():
            if sample.data[:4] != MAGIC or len(sample.data) != LENGTH:
                raise RecordUnparseable(element=f"{element}.data")
        return FaceProbe([_vector(each) for each in samples.values()])

    def prepare(self, probe: Probe) -> Prepared:
        usable = [vector for vector in self._own(probe).vectors if vector.any()]
        problem = Problem(0, ProblemCode.QUALITY_TOO_LOW)
        return Prepared((0,)) if usable else Prepared((), (problem,))

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        del point, deadline
        scores = self._said(probe, list(self.people or ()))
        size = len(scores)
        return Found(
            candidates=tuple(sorted(scores, key=lambda each: -each.score)[:limit]),
            calibration="faces-1",
            reckoned_by="numpy",
            size=size,
            comparable=size,
            version=self.version,
            tails={1: (TAIL,)},
        )

    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        return self._said(probe, subjects)

    def _said(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        (vector,) = self._own(probe).vectors
        if self.people is None:
            raise EngineUnavailable
        return tuple(
            Scored(who, 12.0 * float(vector @ self.people[who]) - 4.0)
            for who in subjects
            if who in self.people
        )

    def destroy(self, probe: Probe) -> Mapping[str, int]:
        vectors = self._own(probe).vectors
        for vector in vectors:
            vector.fill(0)
        self.destroyed += vectors
        return {"vectors": len(vectors)}

    def rehearse(self, searches: int) -> tuple[float, ...]:
        return (0.001,) * searches

    def status(self) -> EngineStatus:
        return EngineStatus(self.people is not None, len(self.people or ()), self.version)

    @staticmethod
    def _own(probe: Probe) -> FaceProbe:
        assert isinstance(probe, FaceProbe)
        return probe


def _vector(sample: Sample) -> np.ndarray:
    return np.frombuffer(sample.data[4:], dtype="<f4").copy()


class Nobody:
    """A source without anybody."""

    def batches(self, *_: object) -> Iterator[Batch]:
        return iter(())


def permit_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Division 3 permit faces."""
    both = frozenset({Modality.FINGER, Modality.FACE})
    monkeypatch.setitem(regulation.BOUNDS, 3, replace(regulation.BOUNDS[3], modalities=both))


def facts(committed: list[Any], kind: EntryType) -> Mapping[str, str]:
    (leaf,) = [each for each in committed if each.frame.type is kind]
    return leaf.detail
