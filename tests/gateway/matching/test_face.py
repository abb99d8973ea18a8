"""The engine of faces keeps the port's promises, and refuses what is not a vector of a model that is known here."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.errors import (
    DeadlineTooShort,
    ElementInvalid,
    ElementsInconsistent,
    EngineUnavailable,
    FormatUnsupported,
    InvalidArgument,
    RecordUnparseable,
)
from gateway.matching.calibrations import Calibration, CalibrationsInForce, shipped
from gateway.matching.engine import (
    Batch,
    Change,
    Engine,
    EngineStatus,
    Found,
    OperatingPoint,
    Prepared,
    UnreadableSample,
)
from gateway.matching.engines import Engines
from gateway.matching.face import FaceCodec, FaceEngine, FaceProbe
from gateway.matching.finger import FingerProbe
from matcher import calibration
from matcher.face import record, synthetic
from matcher.face.gallery_block import Storage
from matcher.face.models import shipped_models
from matcher.face.template import FaceVector
from tests.matcher.face.vectors import model as model_of
from tests.matcher.face.vectors import unit

PEOPLE = 20
POINT = OperatingPoint(fpir=0.001, review_fpir=0.01)
CERTIFICATE = shipped_models()[synthetic.MODEL].calibration.certificate
ELEMENT = "biometrics.samples[0]"


def sample(seed: int, number: int = 1) -> Sample:
    return FaceCodec().sample(synthetic.record(seed, number), 0, synthetic.MODEL)


class Stored:
    """A source of batches of six, which may fail half way."""

    def __init__(
        self, people: Sequence[tuple[int, Sequence[Sample]]], *, torn: bool = False
    ) -> None:
        self._people, self._torn = people, torn

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        assert (shard, of) == (0, 1)
        if modality is not Modality.FACE:
            return
        for start in range(0, len(self._people), 6):
            yield self._people[start : start + 6]
        if self._torn:
            raise OSError("the disk is gone")


@pytest.fixture(params=list(Storage), ids=lambda each: each.value)
def engine(request: pytest.FixtureRequest) -> FaceEngine:
    made = FaceEngine(storage=request.param)
    made.load(Stored([(100 + seed, [sample(seed)]) for seed in range(PEOPLE)]))
    return made


def search(
    engine: Engine, one: Sample, limit: int = 5, deadline: Callable[[], float] = lambda: 10.0
) -> Found:
    probe = engine.read({ELEMENT: one})
    assert engine.prepare(probe) == Prepared((0,))
    return engine.search(probe, POINT, limit, deadline)


def test_an_engine_that_is_not_loaded_answers_nothing() -> None:
    engine: Engine = FaceEngine()

    with pytest.raises(EngineUnavailable):
        search(engine, sample(1))
    with pytest.raises(EngineUnavailable):
        engine.apply(Change(1))
    with pytest.raises(EngineUnavailable):
        engine.rehearse(1)
    assert engine.status() == EngineStatus(loaded=False, size=0)


def test_a_loaded_engine_finds_who_is_enrolled_above_the_threshold(engine: FaceEngine) -> None:
    found = search(engine, sample(3))
    limit = calibration.threshold(POINT.fpir, PEOPLE, 1, CERTIFICATE)

    best, second, *_ = found.candidates
    assert best.subject == 103
    assert second.score < limit.score < best.score
    assert (best.shared, found.calibration) == (1, CERTIFICATE.id)
    assert (found.size, found.version) == (PEOPLE, engine.status().version)
    assert found.tails == {1: FaceCodec().tails(1, shipped())} == {1: CERTIFICATE.tails}


def test_the_scores_of_named_people_are_those_of_the_search(engine: FaceEngine) -> None:
    probe = engine.read({ELEMENT: sample(3, 2)})
    engine.prepare(probe)
    found = engine.search(probe, POINT, PEOPLE, lambda: 10.0)

    named = [each.subject for each in found.candidates]
    assert engine.scores(probe, named) == found.candidates
    assert engine.scores(probe, [7, 8]) == ()


def test_what_is_destroyed_is_counted_and_empty(engine: FaceEngine) -> None:
    """IRPR 315.43(2): before it was prepared, after it was searched, and a second time."""
    unprepared, searched = (engine.read({ELEMENT: sample(3)}) for _ in range(2))
    engine.prepare(searched)
    engine.search(searched, POINT, 1, lambda: 1.0)
    arrays = [each.vector for probe in (unprepared, searched) for each in probe.vectors]
    assert all(array.any() for array in arrays)

    assert engine.destroy(unprepared) == {"records": 1, "vectors": 1}
    assert engine.destroy(searched) == {"records": 1, "vectors": 1}
    assert engine.destroy(searched) == {"records": 0, "vectors": 0}
    assert not any(array.any() for array in arrays)


def test_a_change_is_seen_at_once_and_twice_is_once(engine: FaceEngine) -> None:
    version = engine.status().version
    for _ in range(2):
        engine.apply(Change(103, (sample(60),)))
    assert search(engine, sample(60)).candidates[0].subject == 103
    engine.apply(Change(103))

    assert engine.status().size == PEOPLE - 1
    assert engine.status().version > version
    assert 103 not in [each.subject for each in search(engine, sample(60), PEOPLE).candidates]
    with pytest.raises(ValueError):
        engine.apply(Change(104, (replace(sample(4), data=b"none"),)))
    assert search(engine, sample(4)).candidates[0].subject == 104


@pytest.mark.parametrize("fault", ["torn", "unreadable", "another model", "no sample"])
def test_a_gallery_with_a_hole_is_not_loaded(fault: str) -> None:
    stranger = record.write(FaceVector("unknown-7", np.full(512, 512**-0.5)))
    people: dict[str, list[Sample]] = {
        "unreadable": [replace(sample(9), data=b"FVC\0")],
        "another model": [replace(sample(9), data=stranger, extractor="unknown-7")],
        "no sample": [],
    }
    source = Stored([(1, [sample(1)]), (2, people.get(fault, [sample(2)]))], torn=fault == "torn")
    engine = FaceEngine()
    with pytest.raises((EngineUnavailable, OSError)):
        engine.load(source)

    assert not engine.status().loaded


def test_time_that_ran_out_is_no_answer(engine: FaceEngine) -> None:
    with pytest.raises(DeadlineTooShort):
        search(engine, sample(1), deadline=lambda: 0.0)


def test_a_rehearsal_looks_for_somebody_who_is_not_there(engine: FaceEngine) -> None:
    assert len(engine.rehearse(3)) == 3


def changed(place: int, layout: str, *values: Any) -> bytes:
    data = bytearray(synthetic.record(1, 1))
    struct.pack_into(layout, data, place, *values)
    return bytes(data)


FIRST = len(synthetic.record(1, 1)) - 4 * synthetic.DIMENSION
OTHER = record.write(FaceVector("unknown-7", np.full(512, 512**-0.5)))
SHORT = record.write(FaceVector(synthetic.MODEL, np.full(64, 64**-0.5)))


@pytest.mark.parametrize(
    ("change", "refusal", "element"),
    [
        ({"format": RecordFormat.ISO_19794_2_2005}, FormatUnsupported, "format"),
        ({"format": RecordFormat.JPEG}, FormatUnsupported, "format"),
        ({"data": b"\0" * 64}, RecordUnparseable, "data"),
        ({"data": changed(FIRST, ">f", float("nan"))}, RecordUnparseable, "data"),
        ({"data": changed(FIRST, ">f", float("inf"))}, RecordUnparseable, "data"),
        ({"data": changed(FIRST, ">f", 0.9)}, RecordUnparseable, "data"),
        ({"extractor": "facenet512-2"}, ElementsInconsistent, "extractor"),
        ({"data": OTHER}, ElementsInconsistent, "extractor"),
        ({"data": OTHER, "extractor": "unknown-7"}, ElementInvalid, "extractor"),
        ({"data": SHORT}, ElementsInconsistent, "data"),
        ({"impression": 1}, ElementsInconsistent, "impression"),
        ({"width": 300}, ElementsInconsistent, "width"),
        ({"ppi": 500}, ElementsInconsistent, "ppi"),
    ],
)
def test_what_is_no_vector_of_a_known_model_is_refused_by_its_element(
    change: dict[str, Any], refusal: type[InvalidArgument], element: str
) -> None:
    with pytest.raises(refusal) as refused:
        FaceEngine().read({ELEMENT: replace(sample(1), **change)})

    assert refused.value.metadata["element"] == f"{ELEMENT}.{element}"


def test_one_bad_record_leaves_nothing_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"a": sample(1), "b": replace(sample(2), data=b"")}
    read: list[FaceVector] = []
    reader = record.read
    monkeypatch.setattr(record, "read", lambda data: read.append(one := reader(data)) or one)
    with pytest.raises(RecordUnparseable):
        FaceEngine().read(asked)

    (first,) = read
    assert not first.vector.any()


def test_a_file_is_enrolled_only_as_what_it_is() -> None:
    codec, data = FaceCodec(), synthetic.record(1, 1)

    assert codec.open_file(data).records == ((0, data),)
    assert codec.sample_to_enrol(data, 0, synthetic.MODEL, shipped()) == sample(1)
    for bad, reason in (
        (lambda: codec.sample(data, 1, synthetic.MODEL), "no position"),
        (lambda: codec.sample(data, 0, "faces-1"), "say --extractor facenet512"),
        (lambda: codec.sample_to_enrol(OTHER, 0, "unknown-7", shipped()), "no calibration"),
        (lambda: codec.sample_to_enrol(SHORT, 0, synthetic.MODEL, shipped()), "512 numbers"),
        (lambda: codec.open_file(data[:-1]), "length"),
    ):
        with pytest.raises(UnreadableSample, match=reason):
            bad()


def test_an_examiner_sees_models_and_no_score() -> None:
    seen = FaceCodec().compare(sample(1), sample(1, 2))

    assert seen == {
        "probe": {"model": "facenet512", "numbers": 512},
        "record": {"model": "facenet512", "numbers": 512},
        "comparable": True,
    }


def test_another_engines_probe_is_not_read_nor_one_that_was_not_prepared(
    engine: FaceEngine,
) -> None:
    with pytest.raises(TypeError, match="goes back"):
        engine.prepare(FingerProbe([]))
    with pytest.raises(TypeError, match="prepared"):
        engine.scores(FaceProbe([], {}), [103])


def test_an_operator_may_have_faces_held_in_fewer_bits() -> None:
    def held(engines: Engines) -> int:
        engines.load(Stored([(1, [sample(1)])]))
        gallery = engines.by_modality[Modality.FACE]._gallery  # type: ignore[attr-defined]
        return int(gallery.nbytes)

    assert held(Engines(quantised=frozenset({Modality.FACE}))) < 0.6 * held(Engines())


def test_vectors_of_a_model_that_nobody_here_has_can_be_compared_with_nobody() -> None:
    model = model_of("model-2", 32)
    also = Calibration(Modality.FACE, model.calibration, model.dimension)
    engine = FaceEngine(CalibrationsInForce(shipped().replaced([also])))
    engine.load(Stored([(100 + seed, [sample(seed)]) for seed in range(3)]))
    vector = unit(np.random.default_rng(5), 1, 32)[0]
    strange = FaceCodec().sample(record.write(FaceVector(model.name, vector)), 0, model.name)

    found, other = search(engine, sample(1, 2)), search(engine, strange)

    assert (found.size, found.comparable) == (3, 3)
    assert (other.size, other.comparable, other.candidates) == (3, 0, ())
