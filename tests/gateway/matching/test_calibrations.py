"""A calibration decides who is a hit: a file that is none is refused with the reason, and a query keeps to the one it began with."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gateway.domain.messages import Modality
from gateway.errors import ElementInvalid, EngineUnavailable, UserError
from gateway.matching import calibrations
from gateway.matching.calibrations import MOST_BYTES, CalibrationsInForce, shipped
from gateway.matching.engine import Found, OperatingPoint, UnreadableSample
from gateway.matching.face import FaceCodec, FaceEngine
from gateway.matching.iris import IrisCodec, IrisEngine
from gateway.operations.calibrations import LONGEST
from matcher import fusion
from matcher.face import record
from matcher.iris import record as iris_record
from matcher.iris import synthetic
from matcher.iris.coders import MASEK
from tests.gateway.matching.test_face import Stored
from tests.gateway.matching.test_iris import StoredSamples
from tests.gateway.own_calibrations import face_file, iris_file, read, text_of
from tests.matcher.face.vectors import face, unit

POINT = OperatingPoint(0.01)


def changed(text: str, **others: Any) -> str:
    return json.dumps({**json.loads(text), **others})


def without(text: str, name: str) -> str:
    return json.dumps({key: each for key, each in json.loads(text).items() if key != name})


def two_tails(text: str) -> list[Any]:
    (tail,) = json.loads(text)["tails"]
    return [tail, {**tail, "samples": 2}]


FACE, IRIS = face_file(), iris_file()
FINGERS = json.dumps({"version": "x", "data": "x", "split": "x", "trials": 10_000, "tails": []})


def test_what_is_shipped_reads_as_itself() -> None:
    """So that it can be adopted again, in place of an own one."""
    for one in shipped().each():
        again = calibrations.read(calibrations.shipped_text(one))
        assert (again.id, again.modality, again.dimension) == (one.id, one.modality, one.dimension)
    assert LONGEST == MOST_BYTES  # what an operation takes is what is read


def test_the_cosine_that_a_hit_needs_is_one_that_there_is() -> None:
    """Beyond the end of its line a calibration tells scores apart and means nothing: no comparison gets there."""
    one = shipped().of("facenet512")
    assert one is not None
    few, many = (one.raw(one.threshold(0.01, people)) for people in (100, 10**8))
    assert few is not None
    assert 0.5 < few < 1
    assert many is None


def test_a_hit_that_needs_more_than_a_cosine_of_one_is_said_to_be_out_of_reach() -> None:
    """The shipped line goes on beyond it, where no two vectors are."""
    one = shipped().of("facenet512")
    assert one is not None
    raw, ratio = one.scores.raw[-1], one.scores.ratio[-1]

    assert raw > 1
    assert one.raw(ratio) is None
    assert one.raw(float(one.scores.ratios(1.0)) - 0.01) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rate", [0.2, 50])
def test_by_the_flattest_and_the_steepest_tail_that_is_taken_several_modalities_have_a_threshold(
    rate: float,
) -> None:
    tail = {"samples": 1, "level": -20.0, "share": [1e-300, 0.5, 1], "rate": [rate] * 3}
    one = read(changed(FACE, tails=[tail]))
    iris = shipped().of("masek-1")
    assert iris is not None

    held = [each.scores.certificate.tails for each in (one, iris)]
    assert 0 <= fusion.threshold(0.001, held, 10**8).score < 200


def test_a_file_of_a_face_model_or_an_iris_coder_is_read() -> None:
    assert (read(FACE).modality, read(FACE).model, read(FACE).dimension) == (
        Modality.FACE,
        "model-1",
        64,
    )
    assert (read(IRIS).modality, read(IRIS).model, read(IRIS).dimension) == (
        Modality.IRIS,
        "masek-1",
        0,
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "not an object"),
        (FINGERS, "names no model"),
        (changed(FACE, model=["model-1", "model-2"]), "more than one"),
        (FACE.replace('"model":', '"model": "model-2", "model":'), "twice"),
        (changed(FACE, threshold=0.1), "names that no calibration has, 'threshold'"),
        (changed(FACE, padding="x" * MOST_BYTES), "longer"),
        (changed(FACE, version="a, b+c"), "version"),
        (changed(FACE, version=7), "version"),
        (changed(FACE, model="model 1"), "name"),
        (changed(FACE, line=[[0, 0]]), "line"),
        (changed(FACE, line=[[0.1, 2.0], [0.7, 1.0]]), "rises"),
        (changed(FACE, line=FACE), "pairs of numbers"),
        (changed(FACE, line=[["0.1", 1.0], [0.7, 2.0]]), "pairs of numbers"),
        (changed(FACE, line=[]), "pairs"),
        (FACE.replace("0.15", "NaN"), "a number"),
        (FACE.replace("0.15", "1e999"), "number"),
        (without(FACE, "data"), "missing"),
        (changed(FACE, data="a\x1b[2Jb"), "printable"),
        (changed(FACE, trials=10), "trials is a whole number of at least 1000"),
        (changed(FACE, people=True), "people"),
        (changed(FACE, mated=2), "mated"),
        (changed(FACE, dimension=4), "dimension"),
        (changed(FACE, dimension="64"), "dimension"),
        (changed(FACE, tails=two_tails(FACE)), "one tail"),
        (FACE.replace("[0.01, 0.01, 0.01]", "[0.01, 0.01, 1.5]"), "at most 1"),
        (FACE.replace("[2.3, 2.4, 2.5]", "[2.5, 2.4, 2.3]"), "order"),
        (FACE.replace("[2.3, 2.4, 2.5]", "[0.1, 2.4, 2.5]"), "rate lies within 0.2 and 50"),
        (FACE.replace("[2.3, 2.4, 2.5]", "[2.3, 2.4, 51]"), "rate lies within 0.2 and 50"),
        (FACE.replace('"level": 0.0', '"level": -21'), "levels of tails lie within -20 and 20"),
        (changed(FACE, line=[[0.15, -21], [1.0, 6.0]]), "ratios .* lie within -20 and 20"),
        (changed(FACE, line=[[0.15, -1.5], [1.0, 20.5]]), "ratios .* lie within -20 and 20"),
        (changed(FACE, line=[[-1.0, 5.0], [1.0, 12.0]]), "unrelated samples come to"),
        (changed(FACE, line=[[-0.9, -0.1], [1.0, 6.0]]), "unrelated samples come to"),
        (changed(FACE, trials=10**16), "trials is at most 1e.15"),
        (FACE.replace("[2.3, 2.4, 2.5]", "[2.3, 2.4]"), "three numbers"),
        (changed(FACE, tails=[3]), "tails are objects"),
        (changed(FACE, tails=[]), "a tail for each"),
        (without(FACE, "dimension"), "no coder of irises of that name.*normalised.*masek-1"),
        (iris_file("masek-2"), "no coder of irises"),
        (changed(IRIS, dimension=512), "a coder of irises has this name"),
        (changed(IRIS, tails=json.loads(IRIS)["tails"][:1]), "two tails"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"no calibration: .*(?:{reason})"):
        read(text)


def test_a_model_is_enrolled_and_searched_once_it_has_a_calibration() -> None:
    octets = record.write(face(unit(np.random.default_rng(1), 1)[0]))
    in_force, codec = CalibrationsInForce(), FaceCodec()
    engine = FaceEngine(in_force)
    sample = codec.sample(octets, 0, "model-1")
    engine.load(Stored([]))
    with pytest.raises(UnreadableSample, match=r"no calibration of model-1.*calibrations"):
        codec.sample_to_enrol(octets, 0, "model-1", in_force.current)
    with pytest.raises(ElementInvalid):
        engine.read({"s": sample})

    in_force.current = shipped().replaced([read(FACE)])

    assert codec.sample_to_enrol(octets, 0, "model-1", in_force.current) == sample
    assert len(engine.read({"s": sample}).vectors) == 1


def test_a_gallery_of_a_model_without_a_calibration_is_not_loaded_and_the_model_is_named() -> None:
    octets = record.write(face(unit(np.random.default_rng(1), 1)[0]))
    stored = Stored([(1, [FaceCodec().sample(octets, 0, "model-1")])])

    with pytest.raises(EngineUnavailable, match="no calibration of model-1"):
        FaceEngine().load(stored)


def test_an_iris_of_a_coder_whose_calibration_does_not_count_is_refused() -> None:
    code = synthetic.capture(synthetic.person(1), 1, 0, MASEK)
    sample = IrisCodec().sample(iris_record.write(1, code), 1, MASEK.label)
    lost = CalibrationsInForce(shipped().replaced([], without=[MASEK.label]))

    with pytest.raises(ElementInvalid):
        IrisEngine(lost).read({"s": sample})
    with pytest.raises(UnreadableSample, match="no calibration of masek-1"):
        IrisCodec().sample_to_enrol(sample.data, 1, MASEK.label, lost.current)
    with pytest.raises(EngineUnavailable, match="no calibration of masek-1"):
        IrisEngine(lost).load(StoredSamples([(1, (sample,))]))


def least(found: Found) -> float:
    """Return the score of a match by one sample."""
    return fusion.threshold(POINT.fpir, [found.tails[1]], found.size).score


def face_query() -> tuple[Any, Any, Any, str]:
    rng = np.random.default_rng(3)
    octets = [record.write(face(each)) for each in unit(rng, 5)]
    samples = [FaceCodec().sample(each, 0, "model-1") for each in octets]
    in_force = CalibrationsInForce(shipped().replaced([read(FACE)]))
    tail = {"samples": 1, "level": 0.5, "share": [0.02, 0.02, 0.02], "rate": [2.4, 2.5, 2.6]}
    line = [[0.15, -1.5], [0.7, 2.0], [1.0, 3.0]]
    other = face_file(version="model-1-other", line=line, tails=[tail])
    return FaceEngine(in_force), in_force, samples, other


def iris_query() -> tuple[Any, Any, Any, str]:
    codes = [synthetic.capture(synthetic.person(seed), 1, 0, MASEK) for seed in range(5)]
    samples = [IrisCodec().sample(iris_record.write(1, each), 1, MASEK.label) for each in codes]
    in_force = CalibrationsInForce()
    return IrisEngine(in_force), in_force, samples, iris_file()


@pytest.mark.parametrize("query", [face_query, iris_query])
def test_a_query_ends_by_the_calibration_it_began_with_and_the_next_is_by_the_new_one(
    query: Any,
) -> None:
    """Scores, the tails that thresholds rest on and what the ledger states are of one calibration."""
    engine, in_force, samples, text = query()
    source = Stored if engine.modality is Modality.FACE else StoredSamples
    engine.load(source([(number, (each,)) for number, each in enumerate(samples)]))
    before, after = (engine.read({"s": samples[2]}) for _ in range(2))
    old = in_force.current
    engine.prepare(before)
    alone = engine.search(before, POINT, 1, lambda: 60.0)

    in_force.current = old.replaced([read(text)])
    engine.prepare(after)  # read before, prepared after: it began before
    under_way = engine.search(after, POINT, 1, lambda: 60.0)
    named = engine.scores(before, [2])
    later = engine.read({"s": samples[2]})
    engine.prepare(later)
    new = engine.search(later, POINT, 1, lambda: 60.0)

    assert under_way == alone
    assert [each.subject for each in named] == [2]
    assert named[0].score == pytest.approx(alone.candidates[0].score, rel=1e-6)
    assert new.calibration == read(text).id != alone.calibration
    assert new.candidates[0].subject == 2
    assert new.candidates[0].score != pytest.approx(alone.candidates[0].score, rel=0.1)
    assert least(new) != least(alone)


def test_the_text_of_each_that_is_shipped_can_be_had() -> None:
    assert json.loads(text_of("open-iris-v0.1"))["model"] == "open-iris-v0.1"


def test_a_gateway_without_any_calibration_of_faces_can_still_start() -> None:
    """All that counted may be altered or lost; then no face is searched, and everything else goes on."""
    none = CalibrationsInForce(shipped().replaced((), ["facenet512"]))
    engine = FaceEngine(none)
    engine.load(Stored([]))

    assert engine.rehearse(2) == (0.0, 0.0)
