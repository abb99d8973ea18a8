"""Pictures of faces and irises, from the container to the search: records say by what they are compared, answers who made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gateway.domain.messages import Modality, Outcome, ProblemCode, Sample
from gateway.ledger.exchange_facts import extraction_facts
from gateway.matching import images
from gateway.matching.calibrations import shipped
from gateway.matching.engine import Batch, OperatingPoint, Prepared
from gateway.matching.engines import Engines
from gateway.matching.face import FaceCodec
from gateway.matching.finger import FingerCodec
from gateway.matching.images import OwnImage
from gateway.matching.iris import IrisCodec
from gateway.matching.modality import codec_of
from matcher.face import record as face_record
from matcher.face import synthetic as faces
from matcher.face.template import FaceVector
from matcher.finger import synthetic as fingers
from matcher.iris import record as iris_record
from matcher.iris import synthetic as irises
from matcher.iris.coders import CODERS
from tests.gateway.matching.extracting import NAME, VERSION, Extracting, face_image, iris_image
from tests.gateway.matching.fake_faces import permit_faces

PEOPLE = 6
POINT = OperatingPoint(fpir=0.001)
CODER = next(iter(CODERS.values()))
FACE, IRIS, FINGER = Modality.FACE, Modality.IRIS, Modality.FINGER


def iris(seed: int, capture: int) -> bytes:
    return iris_record.write(1, irises.capture(irises.person(seed), 1, capture, CODER))


def stored(modality: Modality, seed: int, capture: int = 1) -> Sample:
    if modality is FACE:
        return FaceCodec().sample(faces.record(seed, capture), 0, "unstated")
    if modality is IRIS:
        return IrisCodec().sample(iris(seed, capture), 1, "unstated")
    made = fingers.impression(fingers.person(seed), 2, capture)
    return FingerCodec().sample(fingers.record(made, 2), 2, "test")


class Enrolled:
    """A gallery of synthetic people, by their seed."""

    @staticmethod
    def batches(modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        del shard, of
        yield [(seed, (stored(modality, seed),)) for seed in range(1, PEOPLE)]


def loaded(made: Mapping[Modality, bytes | None]) -> Engines:
    engines = Engines(Extracting(made))
    engines.load(Enrolled())
    return engines


def read(engines: Engines, *samples: Sample) -> Any:
    return engines.read({f"s[{at}]": each for at, each in enumerate(samples)})


@pytest.mark.parametrize(
    ("record", "image", "names"),
    [
        (faces.record(3, 2), face_image(), faces.MODEL),
        (iris(3, 2), iris_image(1), CODER.label),
    ],
    ids=["face", "iris"],
)
def test_an_image_becomes_a_record_that_names_what_it_is_compared_by(
    record: bytes, image: Sample, names: str
) -> None:
    modality = image.modality
    engines = loaded({modality: record})
    probes = read(engines, image)

    prepared = engines.prepare(probes)[modality]
    found = engines.search(probes, POINT, 3, lambda: 30.0)

    assert prepared.problems == ()
    assert [each.extractor for each in prepared.extracted.values()] == [names]
    assert prepared.extractor == f"{NAME}-{VERSION}"
    assert found.candidates[0].subject == 3
    assert found.candidates[0].score > found.threshold
    told = extraction_facts(
        [(each, prepared.extractor) for each in prepared.extracted.values()], []
    )
    assert told["extracted"] == f"{modality.name} {image.position} onnx-trial.1 record {names}"


@pytest.mark.parametrize(
    ("record", "image", "names"),
    [
        (faces.record(3, 2), face_image(), faces.MODEL),
        (iris(3, 2), iris_image(1), CODER.label),
    ],
    ids=["face", "iris"],
)
def test_an_image_is_enrolled_as_the_record_and_it_is_told_what_made_it(
    record: bytes, image: Sample, names: str
) -> None:
    own = OwnImage(image.data, image.modality, image.position)

    sample, extractor = images.to_enrol(
        own, Extracting({image.modality: record}), codec_of(image.modality), shipped()
    )

    assert (sample.data, sample.extractor, extractor) == (record, names, "onnx-trial.1")


@pytest.mark.parametrize("image", [face_image(), iris_image(1)], ids=["face", "iris"])
def test_an_image_without_a_record_leaves_good_fingers_to_be_searched(image: Sample) -> None:
    engines = loaded({image.modality: None})
    probes = read(engines, stored(FINGER, 3, capture=2), image)

    prepared = engines.prepare(probes)
    usable = {each: probes[each] for each, of in prepared.items() if of.usable}
    found = engines.search(usable, POINT, 3, lambda: 30.0)

    assert prepared[image.modality].usable == ()
    assert [each.code for each in prepared[image.modality].problems] == [
        ProblemCode.EXTRACTION_FAILED
    ]
    assert found.candidates[0].subject == 3
    assert engines.destroy(probes)[image.modality]["images"] == 1


@pytest.mark.parametrize("modality", [FINGER, FACE, IRIS])
def test_nothing_of_a_modality_is_nothing_usable_and_no_fault(modality: Modality) -> None:
    engine = loaded({}).by_modality[modality]

    assert engine.prepare(engine.read({})) == Prepared(())


def test_a_record_that_the_engine_refuses_is_an_image_that_gave_none() -> None:
    """The extractor's model has no calibration here: a fault of ours, and no element that was sent is invalid."""
    vector = faces.capture(faces.person(3), 1, 3).vector
    engines = loaded({FACE: face_record.write(FaceVector("unheard-of-1", vector))})
    probes = read(engines, stored(FACE, 3, capture=2), face_image())

    prepared = engines.prepare(probes)[FACE]

    assert prepared.usable == (0,)
    assert prepared.extracted == {}
    assert [each.code for each in prepared.problems] == [ProblemCode.EXTRACTION_FAILED]
    assert engines.search(probes, POINT, 1, lambda: 30.0).candidates[0].subject == 3
    assert engines.destroy(probes)[FACE] == {"images": 1, "records": 1, "vectors": 1}


def test_a_fault_while_records_are_read_leaves_what_was_there_to_be_destroyed_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines = loaded({FACE: faces.record(3, 2)})
    probes = read(engines, stored(FACE, 3), face_image())

    def fails(samples: Mapping[str, Sample]) -> None:
        raise MemoryError

    monkeypatch.setattr(engines.by_modality[FACE], "read", fails)
    with pytest.raises(MemoryError):
        engines.prepare(probes)

    assert engines.destroy(probes)[FACE] == {"images": 1, "records": 1, "vectors": 1}


def test_a_query_whose_image_gives_no_record_is_answered_by_its_fingers_or_as_too_poor(
    permitted: Any, serve: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    permit_faces(monkeypatch)
    with serve(*permitted) as pair:
        pair.serving.engines.images = Extracting({FACE: None})
        partner, matter = pair.partner(), people.matter(agreement=("au", 2))

        alone = partner.query([face_image()], **matter)
        beside = partner.query([*people.samples(1), face_image()], **matter)

    assert alone.outcome is Outcome.QUALITY_INSUFFICIENT
    assert beside.outcome is Outcome.MATCH
    for each in (alone, beside):
        assert [(one.modality, one.code) for one in each.result.problems] == [
            (FACE, ProblemCode.EXTRACTION_FAILED)
        ]
