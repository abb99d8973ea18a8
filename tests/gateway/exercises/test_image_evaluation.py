"""Images of known people are evaluated through an extractor's child processes; each failure is counted under its own name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gateway.domain.messages import Compression, Modality
from gateway.errors import UserError
from gateway.exercises.evaluation import evaluate, faces, irises, labelled_set
from gateway.exercises.evaluation.files import Specimen
from gateway.exercises.evaluation.images import ImageReader, Made
from gateway.extraction.service import ExtractionService
from matcher.face import record as face_record
from matcher.face import synthetic as face
from matcher.finger import synthetic
from matcher.iris import record as iris_record
from matcher.iris import synthetic as iris
from matcher.iris.coders import MASEK, OPEN_IRIS
from tests.gateway.extraction import image_files as files
from tests.gateway.extraction.children import SIDE, trial
from tests.gateway.extraction.conftest import paths as installed
from tests.gateway.extraction.conftest import service as processes
from tests.gateway.extraction.image_sets import UNSAID, Pictures, fir, portraits, prints
from tests.gateway.extraction.offered import trial_extractor as orders

paths, service = installed, processes  # the fixtures, of the extractor for tests


@pytest.fixture
def reader(service: ExtractionService) -> ImageReader:
    return ImageReader(service, Modality.FINGER)


def read(reader: ImageReader, place: Path) -> tuple[Made, ...]:
    found = reader.find(place)
    assert found is not None
    return reader.records(found, lambda _: None)


def extracted(service: ExtractionService) -> int:
    return sum(service.counts()[Modality.FINGER].values())


# What fails on the way to a record: what a file holds for it, and what is said of it.
FAILURES = {
    "nothing": (fir(orders.NOTHING), "(nothing found)"),
    "raises": (fir(orders.RAISE), "(failed)"),
    "dies": (fir(orders.DIE), "(crashed)"),
    "hangs": (fir(orders.HANG), "(hung)"),
    "garbage": (fir(orders.GARBAGE), "(crashed)"),
    "other": (fir(orders.OTHER), "what the extractor made is no record"),
    "truncated": (fir()[:-1], "a record of finger images: "),
    "lying": (fir(side=SIDE - 1), "another number of pixels than width and height make"),
    "immense": (
        files.fir_first(files.png(16_000, 16_000, rows=b""), 5, (16_000, 16_000)),
        "more pixels than any finger has",
    ),
    "text": (b"no image at all", "a file of plain text, no file of samples"),
    "face": (files.fac_first(files.jpeg(), 0), "not an image of modality FINGER"),
    "empty": (b"", "the file is empty"),
}


def test_failures_to_extract_and_to_enrol_are_apart_and_both_count_as_misses(
    reader: ImageReader, tmp_path: Path
) -> None:
    folder = prints(tmp_path / "prints")
    (folder / "0_2.fir").write_bytes(fir(orders.NOTHING))
    (folder / "1_2.fir").write_bytes(fir(orders.POOR))

    made = read(reader, folder)
    side = evaluate.of_images(made, ())
    (judged,) = evaluate.judge(side, side, evaluate.score_all(side, side, lambda _: None))

    assert [each.specimen.name for each in made] == [each.name for each in specimens(side)]
    assert [each["file"] for each in reader.told(made)["not_extracted"]] == ["0_2.fir"]
    assert [each["file"] for each in evaluate.failures(side)] == ["1_2.fir"]
    assert (judged.figures["not_extracted"], judged.figures["not_enrolled"]) == (1, 1)
    # Each is in two of the nine mated pairs: they miss at every threshold.
    assert judged.figures["all_pairs"]["mated"] == 9
    assert judged.figures["all_pairs"]["fnmr_100"] == pytest.approx(4 / 9)
    assert judged.figures["identification"]["fnir_at_fpir"]["0.1"] >= 2 / 6


def specimens(side: evaluate.Side) -> list[Specimen]:
    return [each.specimen for each in side.records]


def test_a_hostile_picture_or_a_failing_extractor_is_counted_and_named_and_the_others_are_as_alone(
    reader: ImageReader, tmp_path: Path
) -> None:
    good = prints(tmp_path / "good")
    alone = {each.specimen.name: each.record for each in read(reader, good)}
    for name, (octets, _) in FAILURES.items():
        (good / f"{name}_1.fir").write_bytes(octets)

    made = {each.specimen.name: each for each in read(reader, good)}

    assert {name: made[name].record for name in alone} == alone
    for name, (_, why) in FAILURES.items():
        failed = made[f"{name}_1.fir"]
        assert failed.record is None
        assert why in failed.reason
    told = reader.told(tuple(made.values()))
    assert (told["extractor"], told["version"], told["images"]) == ("trial", "1", 9 + len(FAILURES))
    assert told["failure_to_extract"] == pytest.approx(len(FAILURES) / (9 + len(FAILURES)))


def test_a_record_is_what_the_extractor_made_of_the_picture(
    reader: ImageReader, tmp_path: Path
) -> None:
    folder = prints(tmp_path / "prints")

    side = evaluate.of_images(read(reader, folder), ())

    expected = synthetic.impression(synthetic.person(200), 2, 4)
    minutiae = side.records[-2].minutiae
    assert minutiae is not None
    assert len(minutiae) == len(expected)
    assert evaluate.formats(side) == {"ISO_19794_4_2005": 9}


def test_images_and_records_in_one_folder_are_refused_before_anything_is_extracted(
    reader: ImageReader, service: ExtractionService, tmp_path: Path
) -> None:
    folder = prints(tmp_path / "prints")
    minutiae = synthetic.impression(synthetic.person(1), 1, 1)
    (folder / "9_1.iso").write_bytes(synthetic.record(minutiae, 1))
    before = extracted(service)

    with pytest.raises(UserError, match=r"holds images and records, 0_0\.fir and 9_1\.iso"):
        reader.find(folder)

    assert extracted(service) == before


def test_a_folder_of_records_is_known_for_one(reader: ImageReader, tmp_path: Path) -> None:
    minutiae = synthetic.impression(synthetic.person(1), 1, 1)
    (tmp_path / "1_1.iso").write_bytes(synthetic.record(minutiae, 1))

    assert reader.find(tmp_path) is None


@pytest.mark.parametrize(
    ("stated", "said", "used"), [(569, 0, 569), (UNSAID, 1000, 1000), (569, 570, 570)]
)
def test_a_picture_is_extracted_at_its_own_resolution_or_at_the_one_that_is_said(
    service: ExtractionService, tmp_path: Path, stated: int, said: int, used: int
) -> None:
    (tmp_path / "1_1.fir").write_bytes(fir(ppi=stated))
    reader = ImageReader(service, Modality.FINGER, said)

    made = read(reader, tmp_path)

    assert made[0].record is not None
    assert reader.told(made)["ppi"] == {str(used): 1}


@pytest.mark.parametrize(
    ("stated", "said", "why"),
    [
        (UNSAID, 0, "1_1.fir: the file does not say its resolution; say it by --ppi"),
        (569, 500, "1_1.fir: the file says 569 pixels per inch, you say 500"),
        (UNSAID, 10, "images of fingers have 200 to 4000"),
    ],
)
def test_a_resolution_that_is_not_settled_stops_before_anything_is_extracted(
    service: ExtractionService, tmp_path: Path, stated: int, said: int, why: str
) -> None:
    (tmp_path / "1_1.fir").write_bytes(fir(ppi=stated))
    before = extracted(service)

    with pytest.raises(UserError, match=why):
        ImageReader(service, Modality.FINGER, said).find(tmp_path)

    assert extracted(service) == before


def test_a_compression_without_a_decoder_is_no_failure_of_the_picture(
    reader: ImageReader, tmp_path: Path
) -> None:
    (tmp_path / "1_1.wsq").write_bytes(files.wsq())
    wrapped = tmp_path / "wrapped"
    wrapped.mkdir()
    (wrapped / "1_1.fir").write_bytes(files.fir_first(files.wsq(), 2))
    if Compression.WSQ in reader.offer.compressions:
        pytest.skip("needs an environment without wsq")

    for place in (tmp_path, wrapped):
        with pytest.raises(UserError, match=r"no decoder of WSQ is installed here.*pip install"):
            reader.find(place)


def test_an_extractor_that_cannot_be_had_any_more_ends_it_and_says_how_far_it_came(
    paths: tuple[str, ...], tmp_path: Path
) -> None:
    started = ExtractionService((trial(paths),), waiting=8)
    reader = ImageReader(started, Modality.FINGER)
    found = reader.find(prints(tmp_path / "prints"))
    assert found is not None

    with pytest.raises(UserError, match="1 images were extracted, then"):
        reader.records(found, lambda _: started.close())


def test_images_of_faces_are_compared_with_all_others_and_a_failure_is_a_miss(
    tmp_path: Path,
) -> None:
    folder, records = portraits(tmp_path, people=3, captures=2)
    reader = ImageReader(Pictures(Modality.FACE, [*records[:-1], None]), Modality.FACE)

    made = read(reader, folder)
    some = faces.of_images("crowd", made)
    figures, pairs = labelled_set.judged(some, some.known)

    assert (figures["records"], figures["people"]) == (6, 3)
    assert (len(pairs.mated), len(pairs.non_mated)) == (3, 12)
    assert figures["all_pairs"]["fnmr_100"] >= 1 / 3
    assert np.isneginf(pairs.mated).sum() == 1
    assert [each["file"] for each in reader.told(made)["not_extracted"]] == ["p2/p2_1.jpg"]
    assert some.files[-1] == "p2/p2_1.jpg"


def made_of(records: Sequence[bytes | None]) -> tuple[Made, ...]:
    return tuple(
        Made(
            Specimen(Path("-"), f"{at // 2}_{at % 2}", "s", str(at // 2), str(at % 2)),
            "PNG",
            record,
        )
        for at, record in enumerate(records)
    )


def test_vectors_of_two_models_and_codes_of_two_coders_never_meet() -> None:
    one, other = (face.capture(face.person(seed), 1, 1) for seed in (1, 2))
    renamed = type(other)("another", other.vector)
    codes = [
        iris_record.write(1, iris.capture(iris.person(1), 1, 1, coder))
        for coder in (MASEK, OPEN_IRIS)
    ]

    with pytest.raises(UserError, match="vectors of one model are compared, not of another of 512"):
        faces.of_images("two", made_of([face_record.write(one), face_record.write(renamed)]))
    with pytest.raises(UserError, match=f"not of {MASEK.label}, {OPEN_IRIS.label}"):
        irises.of_images("two", made_of(codes))
    with pytest.raises(UserError, match="not of none"):
        irises.of_images("none", made_of([None, None]))


def test_images_of_irises_are_compared_by_eye() -> None:
    records: list[bytes | None] = [
        iris_record.write(1, iris.capture(iris.person(seed, iris.CLEAR), 1, number))
        for seed in range(3)
        for number in range(2)
    ]

    some = irises.of_images("eyes", made_of([*records[:-1], None]))
    _, pairs = labelled_set.judged(some, some.known)

    assert some.model == MASEK.label
    assert (len(pairs.mated), len(pairs.non_mated)) == (3, 12)
    assert np.isneginf(pairs.mated).sum() == 1
    assert np.sort(pairs.mated)[1:].min() > pairs.non_mated[np.isfinite(pairs.non_mated)].max()
