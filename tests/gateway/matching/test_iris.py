"""Irises behind the port: what is read, what is searched, what is said of a probe that is not what it is stated to be."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.errors import (
    DeadlineTooShort,
    ElementsInconsistent,
    EngineUnavailable,
    FormatUnsupported,
    RecordUnparseable,
)
from gateway.matching import sample_files
from gateway.matching.calibrations import shipped
from gateway.matching.engine import (
    Batch,
    Change,
    EngineStatus,
    Found,
    OperatingPoint,
    UnreadableSample,
)
from gateway.matching.finger import FingerEngine
from gateway.matching.iris import IrisCodec, IrisEngine, IrisProbe
from gateway.matching.modality import codec_of
from matcher import calibration
from matcher.iris import record, synthetic
from matcher.iris.calibration import calibration_of
from matcher.iris.coders import MASEK, OPEN_IRIS, Coder
from matcher.iris.template import IrisCode, to_cells

PEOPLE = 10
POINT = OperatingPoint(fpir=0.001, review_fpir=0.01)


def capture(
    seed: int, eye: int, number: int = 0, coder: Coder = MASEK, *, mirror: bool = False
) -> IrisCode:
    person = synthetic.person(seed, synthetic.CLEAR)
    return synthetic.capture(person, eye, number, coder, mirror=mirror)


def sample(iris: IrisCode, eye: int) -> Sample:
    return IrisCodec().sample(record.write(eye, iris), eye, iris.coder.label)


def samples(seed: int, number: int = 0, coder: Coder = MASEK) -> tuple[Sample, ...]:
    return tuple(sample(capture(seed, eye, number, coder), eye) for eye in (1, 2))


class StoredSamples:
    """A source of one batch."""

    def __init__(self, people: Sequence[tuple[int, tuple[Sample, ...]]]) -> None:
        self._people = people

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        assert (modality, shard, of) == (Modality.IRIS, 0, 1)
        yield self._people


@pytest.fixture
def engine() -> IrisEngine:
    made = IrisEngine()
    made.load(StoredSamples([(100 + seed, samples(seed)) for seed in range(PEOPLE)]))
    return made


def read(engine: IrisEngine, some: Sequence[Sample]) -> IrisProbe:
    probe = engine.read({f"s[{at}]": each for at, each in enumerate(some)})
    engine.prepare(probe)
    return probe


def search(
    engine: IrisEngine,
    some: Sequence[Sample],
    deadline: Callable[[], float] = lambda: 10.0,
) -> Found:
    return engine.search(read(engine, some), POINT, 5, deadline)


def test_an_engine_that_is_not_loaded_answers_nothing() -> None:
    engine = IrisEngine()
    for attempt in (
        lambda: search(engine, samples(1)),
        lambda: engine.apply(Change(1)),
        lambda: engine.rehearse(1),
    ):
        with pytest.raises(EngineUnavailable):
            attempt()
    assert engine.status() == EngineStatus(loaded=False)


def test_who_is_enrolled_is_found_above_what_one_eye_must_show(engine: IrisEngine) -> None:
    found = search(engine, samples(3, 1))

    certificate = calibration_of(MASEK).certificate
    (best,) = found.candidates
    assert (best.subject, best.shared) == (103, 2)
    assert best.score > calibration.threshold(POINT.fpir, PEOPLE, 1, certificate).score
    assert (found.calibration, found.size, found.misread) == (certificate.id, PEOPLE, None)
    assert found.tails == {1: certificate.tails, 2: certificate.tails}
    assert search(engine, samples(77)).candidates == ()


def test_the_score_of_named_people_is_that_of_the_search(engine: IrisEngine) -> None:
    found = search(engine, samples(3, 1))

    other, same = engine.scores(read(engine, samples(3, 1)), [105, 103, 999])

    assert same == found.candidates[0]
    assert (other.subject, other.shared) == (105, 2)
    assert other.score < 0


@pytest.mark.parametrize("coder", [MASEK, OPEN_IRIS], ids=lambda each: each.name)
def test_a_mirrored_probe_is_told_from_one_of_nobody(coder: Coder) -> None:
    engine = IrisEngine()
    engine.load(StoredSamples([(100 + seed, samples(seed, coder=coder)) for seed in range(4)]))
    mirrored = [sample(capture(3, eye, 1, coder, mirror=True), eye) for eye in (1, 2)]

    found = search(engine, mirrored)

    assert found.candidates == ()
    assert found.misread is not None
    assert (found.misread.how, found.misread.subject) == ("MIRRORED", 103)
    nobody = [sample(capture(77, eye, 1, coder, mirror=True), eye) for eye in (1, 2)]
    assert search(engine, nobody).misread is None


def test_exchanged_eyes_are_told_and_not_matched(engine: IrisEngine) -> None:
    exchanged = [sample(capture(3, eye, 1), 3 - eye) for eye in (1, 2)]

    found = search(engine, exchanged)

    assert found.candidates == ()
    assert found.misread is not None
    assert (found.misread.how, found.misread.subject) == ("EXCHANGED", 103)
    both = [sample(capture(3, eye, 1, mirror=True), 3 - eye) for eye in (1, 2)]
    told = search(engine, both).misread
    assert told is not None
    assert told.how == "MIRRORED_AND_EXCHANGED"


def test_what_is_destroyed_is_counted_and_empty(engine: IrisEngine) -> None:
    """IRPR 315.43(2): before it was prepared, after it was searched, and a second time."""
    unprepared = engine.read({"a": samples(3)[0]})
    searched = read(engine, samples(3, 1))
    engine.search(searched, POINT, 1, lambda: 1.0)
    assert searched.ready is not None
    arrays = [iris.code for _, iris in searched.codes]
    arrays += [turned.code for _, turned in searched.ready.turned]
    assert all(array.any() for array in arrays)

    assert engine.destroy(unprepared) == {"records": 1, "codes": 1, "templates": 0}
    assert engine.destroy(searched) == {"records": 2, "codes": 2, "templates": 2}
    assert engine.destroy(searched) == {"records": 0, "codes": 0, "templates": 0}
    assert not any(array.any() for array in arrays)


def test_a_picture_of_an_iris_is_refused_with_the_reason(engine: IrisEngine) -> None:
    for form in (
        RecordFormat.ISO_19794_6_2005,
        RecordFormat.ISO_19794_6_2011,
        RecordFormat.ISO_39794_6,
    ):
        picture = replace(samples(1)[0], format=form, data=b"IIR\x00020\0")
        with pytest.raises(FormatUnsupported) as refused:
            engine.read({"s": picture})
        assert refused.value.metadata["element"] == "s.format"
        assert "extractor" in refused.value.metadata["why"]


@pytest.mark.parametrize(
    ("change", "element"),
    [
        ({"position": 2}, "s.position"),
        ({"extractor": "open-iris-v0.1"}, "s.extractor"),
        ({"width": 640}, "s.width"),
        ({"impression": 1}, "s.impression"),
    ],
)
def test_a_sample_that_is_not_what_it_is_said_to_be_is_refused(
    engine: IrisEngine, change: dict[str, object], element: str
) -> None:
    with pytest.raises(ElementsInconsistent) as refused:
        engine.read({"s": replace(samples(1)[0], **change)})
    assert refused.value.metadata["element"] == element


def test_one_malformed_record_among_two_leaves_nothing_read(engine: IrisEngine) -> None:
    right, left = samples(1)
    with pytest.raises(RecordUnparseable) as refused:
        engine.read({"a": right, "b": replace(left, data=left.data[:-1])})
    assert refused.value.metadata["element"] == "b.data"


def test_changes_are_followed_and_a_bad_one_changes_nothing(engine: IrisEngine) -> None:
    version = engine.status().version
    engine.apply(Change(103))
    assert engine.status() == EngineStatus(True, PEOPLE - 1, engine.status().version)
    assert search(engine, samples(3, 1)).candidates == ()
    engine.apply(Change(103, samples(3)))
    assert engine.status().version > version
    right = samples(3)[0]
    for bad in (replace(right, data=b"IRC\0"), replace(right, position=2)):
        with pytest.raises(ValueError, match=r"shorter|another eye"):
            engine.apply(Change(103, (bad,)))
    assert [each.subject for each in search(engine, samples(3, 1)).candidates] == [103]


def test_a_gallery_with_a_hole_is_not_loaded(engine: IrisEngine) -> None:
    torn = replace(samples(1)[0], data=b"IRC\0")
    with pytest.raises(EngineUnavailable):
        engine.load(StoredSamples([(1, samples(1)), (2, (torn,))]))
    assert not engine.status().loaded


def test_a_search_out_of_time_is_no_answer(engine: IrisEngine) -> None:
    with pytest.raises(DeadlineTooShort):
        search(engine, samples(3, 1), deadline=lambda: 0.0)
    left = iter([1.0] + 50 * [0.0])
    with pytest.raises(DeadlineTooShort):
        search(engine, samples(3, 1), deadline=lambda: next(left))


def test_a_rehearsal_takes_as_many_searches_as_were_asked_for(engine: IrisEngine) -> None:
    assert len(engine.rehearse(2)) == 2
    empty = IrisEngine()
    empty.load(StoredSamples([]))
    assert empty.rehearse(2) == (0.0, 0.0)


def test_a_probe_of_another_engine_is_nothing_to_read(engine: IrisEngine) -> None:
    other = FingerEngine().read({})
    with pytest.raises(TypeError, match="engine"):
        engine.prepare(other)
    with pytest.raises(TypeError, match="prepared"):
        engine.search(IrisProbe([], {}), POINT, 1, lambda: 1.0)


def test_the_codec_reads_records_and_says_what_is_wrong() -> None:
    codec = codec_of(Modality.IRIS)
    data = samples(1)[1].data

    assert codec.formats == (RecordFormat.IRIS_CODE,)
    assert codec.open_file(data).records == ((2, data),)
    assert codec.sample_to_enrol(data, 2, MASEK.label, shipped()).position == 2
    for position, extractor, said in (
        (1, MASEK.label, "eye 2"),
        (0, MASEK.label, "right"),
        (2, "x", "masek-1"),
    ):
        with pytest.raises(UnreadableSample, match=said):
            codec.sample(data, position, extractor)
    with pytest.raises(UnreadableSample, match="not the record"):
        codec.open_file(b"IIR\x00020\0" + bytes(40))
    tails = tuple(
        each for coder in (MASEK, OPEN_IRIS) for each in calibration_of(coder).certificate.tails
    )
    assert codec.tails(1, shipped()) == codec.tails(2, shipped()) == tails


def test_an_examiner_sees_no_score_but_whether_codes_can_be_compared() -> None:
    codec = IrisCodec()
    seen = codec.compare(sample(capture(1, 1), 1), sample(capture(1, 1, 1), 1))
    assert seen["comparable"]
    assert isinstance(seen["turn_degrees"], float)
    other = codec.compare(sample(capture(1, 1), 1), sample(capture(1, 1, 1, OPEN_IRIS), 1))
    assert not other["comparable"]
    assert not {"score", "distance", "closeness"} & set(seen)


def template(iris: IrisCode) -> dict[str, str]:
    """Return what `IrisTemplate.serialize` of open-iris 1.11 returns for a code."""
    shape = OPEN_IRIS.rows, OPEN_IRIS.columns, OPEN_IRIS.filters, 2
    packed = [np.packbits(each.reshape(shape).astype(bool)) for each in to_cells(iris)]
    code, mask = (base64.b64encode(each.tobytes()).decode() for each in packed)
    return {"iris_codes": code, "mask_codes": mask, "iris_code_version": "v0.1"}


def output(changes: object = None, eye: object = "left", **beside: object) -> bytes:
    said = {
        **template(capture(5, 2, coder=OPEN_IRIS)),
        **(changes if isinstance(changes, dict) else {}),
    }
    return json.dumps(
        {
            "error": None,
            "iris_template": said,
            "metadata": {"iris_version": "1.11.2", "eye_side": eye, **beside},
        }
    ).encode()


def test_what_open_iris_writes_is_imported() -> None:
    ((eye, data),) = IrisCodec().open_file(output()).records

    assert eye == 2
    read_back = record.read(data)
    wanted = capture(5, 2, coder=OPEN_IRIS)
    assert read_back.iris.code.tolist() == wanted.code.tolist()
    assert read_back.iris.mask.tolist() == wanted.mask.tolist()
    assert IrisCodec().sample_to_enrol(data, 2, OPEN_IRIS.label, shipped()).position == 2


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (json.dumps({"iris_codes": "", "mask_codes": ""}).encode(), "which eye"),
        (output(eye="middle"), "eye_side"),
        (output({"iris_code_version": "v9.9"}), "iris_code_version"),
        (output({"iris_codes": "AAAA"}), "16,384 bits"),
        (output({"iris_codes": "not base64!"}), "16,384 bits"),
        (output({"iris_codes": 7}), "16,384 bits"),
        (output({"weights": "AAAA"}), "has iris_codes"),
        (output({"mask_codes": base64.b64encode(bytes(2048)).decode()}), "too little"),
        (output()[:-1], "no JSON"),
        (b'{"iris_codes":' + b"[" * 2000, "within each other"),
        (b'{"iris_codes":"' + b"A" * (1 << 17) + b'"}', "longer than"),
    ],
)
def test_a_template_that_open_iris_does_not_write_is_refused(octets: bytes, said: str) -> None:
    with pytest.raises(UnreadableSample, match=said):
        IrisCodec().open_file(octets)


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (
            {"image_size": [640, 480], "image_id": None, "eye_centers": {"iris_center": [1.5, 2]}},
            (),
        ),
        ({"image_id": "ROE"}, ("image_id beside the template",)),
        ({"more": {"of": [1, ["ROE"]]}}, ("of beside the template",)),
        ({"JANE ROE": 1}, ("a text without a plain name beside the template",)),
        ({"iris_version": "JANE ROE"}, ("iris_version beside the template",)),
    ],
)
def test_text_beside_a_template_is_named_and_never_its_value(
    beside: dict[str, object], named: tuple[str, ...]
) -> None:
    assert sample_files.opened(output(**beside)).text == named


def test_a_file_of_an_operator_may_be_what_open_iris_wrote() -> None:
    found = sample_files.opened(output(eye="right"))

    (one,) = found.samples
    assert (one.modality, one.position, one.format) == (Modality.IRIS, 1, RecordFormat.IRIS_CODE)
    assert IrisCodec().sample(one.data, 1, OPEN_IRIS.label).extractor == OPEN_IRIS.label
