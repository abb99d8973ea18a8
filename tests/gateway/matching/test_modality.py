"""A second modality has its place everywhere: enrolled, stored, loaded, searched, decided, destroyed and recorded.

Faces here are vectors of three numbers: enough to be told apart, and nothing that a real codec would read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gateway.client import Refused
from gateway.domain.messages import Modality, Outcome, RecordFormat, Sample
from gateway.errors import EngineUnavailable, RecordUnparseable
from gateway.law import regulation
from gateway.ledger.entry import EntryType
from gateway.matching import modality
from gateway.matching.engine import (
    Change,
    Deadline,
    EngineStatus,
    Found,
    OpenedFile,
    OperatingPoint,
    Prepared,
    Probe,
    Source,
    UnreadableSample,
)
from gateway.matching.modality import Engines, Implementation, codec_of
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people import subjects
from gateway.subjects.enrolment import Row

ANN, BOB, NOBODY = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
THRESHOLD = 0.5


def record(vector: tuple[float, ...]) -> bytes:
    return b"FACE" + np.array(vector, dtype="<f4").tobytes()


def face(vector: tuple[float, ...]) -> Sample:
    return FaceCodec().sample(record(vector), 0, "faces-1")


class FaceCodec:
    """Records of three numbers."""

    formats = (RecordFormat.FACE_VECTOR,)

    def sample(self, record: bytes, position: int, extractor: str) -> Sample:
        if record[:4] != b"FACE" or position:
            raise UnreadableSample("no face")
        form = RecordFormat.FACE_VECTOR
        return Sample(
            modality=Modality.FACE, position=0, format=form, extractor=extractor, data=record
        )

    sample_to_enrol = sample

    def open_file(self, octets: bytes) -> OpenedFile:
        return OpenedFile(((0, octets),))

    def compare(self, probe: Sample, record: Sample) -> Mapping[str, object]:
        return {"same": probe.data == record.data}

    def threshold(self, fpir: float, size: int, usable: int) -> float:
        del fpir, size, usable
        return THRESHOLD


class FaceProbe(Probe):
    def __init__(self, vectors: list[np.ndarray]) -> None:
        self.vectors = vectors


class FaceEngine:
    """Cosines with everybody."""

    modality = Modality.FACE

    def __init__(self) -> None:
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
            if sample.data[:4] != b"FACE":
                raise RecordUnparseable(element=f"{element}.data")
        return FaceProbe([_vector(each) for each in samples.values()])

    def prepare(self, probe: Probe) -> Prepared:
        return Prepared((0,) if self._own(probe).vectors else ())

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        del point, deadline
        (vector,) = self._own(probe).vectors
        if self.people is None:
            raise EngineUnavailable
        scores = [(subject, float(vector @ each)) for subject, each in self.people.items()]
        return Found(
            candidates=tuple(sorted(scores, key=lambda each: -each[1])[:limit]),
            threshold=THRESHOLD,
            floor=None,
            fpir_expected=0.001,
            calibration="faces-1",
            reckoned_by="numpy",
            size=len(scores),
            version=self.version,
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


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have faces read and searched, and be what a query of Division 3 may carry."""
    table = {**modality.TABLE, Modality.FACE: Implementation(FaceCodec(), FaceEngine)}
    monkeypatch.setattr(modality, "TABLE", MappingProxyType(table))
    permit_faces(monkeypatch)


def permit_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Division 3 permit faces."""
    both = frozenset({Modality.FINGER, Modality.FACE})
    monkeypatch.setitem(regulation.BOUNDS, 3, replace(regulation.BOUNDS[3], modalities=both))


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the entries that are committed from now on, with the facts that are then sealed."""
    found: list[Any] = []
    commit = Sequencer.commit

    def watched(sequencer: Sequencer, leaves: Any, *rest: Any, **named: Any) -> Any:
        found.extend(leaves)
        return commit(sequencer, leaves, *rest, **named)

    monkeypatch.setattr(Sequencer, "commit", watched)
    return found


def facts(committed: list[Any], kind: EntryType) -> Mapping[str, str]:
    (leaf,) = [each for each in committed if each.frame.type is kind]
    return leaf.detail


@pytest.fixture
def permitted(homes: tuple[Path, Path], agree: Callable[[Path, str, str], None]) -> Any:
    """Have the agreement permit faces too."""
    text = (homes[0] / "agreements" / "au.toml").read_text()
    for old, new in (
        ("[modalities]\n", '[modalities]\nFACE = "IRPR 315.38"\n'),
        ("version = 1", "version = 2"),
        ("in_force = 2026-01-01", "in_force = 2026-02-01"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    agree(homes[0], "au-2.toml", text)
    return homes


@pytest.fixture
def enrolled(permitted: Any, faces: None, people: Any, secret: Any) -> Iterator[Any]:
    """Have a person enrolled by fingers and face, and another by face alone."""
    del faces
    with Gateway.open(permitted[0], secret) as gateway:
        (status,) = {row.status for row in people.rows(50)}
        row = Row("a", "P-50", 0, "faces-1", record(ANN), status, modality=Modality.FACE)
        report = gateway.subjects.registry.enrol(
            [*people.rows(50), row, replace(row, subject="P-51", data=record(BOB))]
        )
        assert (report.enrolled, report.bad) == (4, [])
        again = gateway.subjects.registry.enrol([row, replace(row, data=record(BOB))])
        assert (again.unchanged, [each.reason for each in again.bad]) == (
            1,
            ["face 0 of this subject has another record"],
        )
    return permitted


def test_a_face_is_enrolled_stored_searched_decided_destroyed_and_recorded(
    enrolled: Any, serve: Any, people: Any, committed: Any
) -> None:
    with serve(*enrolled) as pair:
        engine = pair.serving.engines.by_modality[Modality.FACE]
        assert engine.status().size == 2
        assert pair.serving.engines.by_modality[Modality.FINGER].status().size == 6
        partner = pair.partner()
        committed.clear()

        answer = partner.query([face(ANN)], **people.matter(agreement=("au", 2)))

        assert answer.outcome is Outcome.MATCH
        asked = facts(committed, EntryType.REQUEST)
        assert (asked["modality"], asked["positions"]) == ("FACE", "0")
        assert facts(committed, EntryType.DESTRUCTION) == {
            "destroyed": "vectors=1",
            "modality": "FACE",
        }
        found = facts(committed, EntryType.RESPONSE)
        assert (found["scores"], found["calibration"]) == ("1.0", "faces-1")
        assert engine.destroyed
        assert not any(vector.any() for vector in engine.destroyed)
        assert (
            partner.query([face(NOBODY)], **people.matter(agreement=("au", 2))).outcome
            is Outcome.NO_MATCH
        )
        by_finger = partner.query(people.samples(50), **people.matter(agreement=("au", 2)))
        assert by_finger.outcome is Outcome.MATCH
    assert self_check.verify_ledger(enrolled[0]).ok


def test_the_entry_of_an_enrolment_names_the_modality_of_each_sample(
    permitted: Any, faces: None, people: Any, secret: Any, committed: Any
) -> None:
    """Fingers alone are recorded as they always were: without a word about it."""
    del faces
    with Gateway.open(permitted[0], secret) as gateway:
        committed.clear()
        first = people.rows(50)[0]
        gateway.subjects.registry.enrol([first])
        assert "modality" not in facts(committed, EntryType.ENROLLED)
        committed.clear()
        both = replace(people.rows(50)[1], subject="P-52")
        row = Row("a", "P-52", 0, "faces-1", record(ANN), modality=Modality.FACE)

        gateway.subjects.registry.enrol([both, row])

    told = facts(committed, EntryType.ENROLLED)
    assert (told["modality"], told["positions"]) == ("FINGER,FACE", f"{both.position},0")


def test_who_is_removed_or_changed_is_so_in_every_gallery(enrolled: Any, serve: Any) -> None:
    with serve(*enrolled) as pair:
        engines = pair.serving.engines
        with pair.gateway.database.reader() as reader:
            subject = subjects.find(reader, "P-50")
        assert subject is not None
        engines.apply(Change(subject, (face(BOB),)))

        assert engines.by_modality[Modality.FACE].status().size == 2
        assert engines.by_modality[Modality.FINGER].status().size == 5
        engines.apply(Change(subject))
        assert engines.by_modality[Modality.FACE].status().size == 1


def test_a_query_of_two_modalities_is_refused_and_not_searched_by_one(
    enrolled: Any, serve: Any, people: Any
) -> None:
    """Half of a search is no search: until scores of two modalities are fused, nobody may take it for one."""
    with serve(*enrolled) as pair, pytest.raises(Refused) as refused:
        pair.partner().query([*people.samples(50), face(ANN)], **people.matter(agreement=("au", 2)))

    assert refused.value.reason == "RECORD_UNPARSEABLE"


def test_a_modality_that_nothing_here_reads_is_refused_by_its_element(
    permitted: Any, serve: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit_faces(monkeypatch)
    with serve(*permitted) as pair, pytest.raises(Refused) as refused:
        pair.partner().query([face(ANN)], **people.matter(agreement=("au", 2)))

    assert refused.value.reason == "RECORD_UNPARSEABLE"
    assert refused.value.metadata["element"] == "biometrics.samples[0].modality"
    with pytest.raises(UnreadableSample, match="FACE"):
        codec_of(Modality.FACE)


def test_nothing_is_answered_until_every_gallery_is_loaded(faces: None) -> None:
    """A gateway that has loaded fingers alone would answer by face from nobody."""
    del faces
    engines = Engines()
    engines.load(_Nobody())
    engines.demand_loaded()

    engine = engines.by_modality[Modality.FACE]
    assert isinstance(engine, FaceEngine)
    engine.people = None
    with pytest.raises(EngineUnavailable):
        engines.demand_loaded()


def test_the_floor_of_the_response_time_is_that_of_the_slowest_engine(faces: None) -> None:
    del faces
    engines = Engines()
    engines.load(_Nobody())

    taken = engines.rehearse(2)

    assert len(taken) == 2
    assert all(seconds >= 0.001 for seconds in taken)


class _Nobody:
    def batches(self, *_: object) -> Iterator[Any]:
        return iter(())
