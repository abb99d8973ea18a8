"""Images among samples: refused by the element before anything is recorded, searched as the records that they become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.messages import Compression, Modality, ProblemCode, RecordFormat, Sample
from gateway.errors import (
    BiographicInQuery,
    DeadlineTooShort,
    ElementInvalid,
    ElementMissing,
    ElementsInconsistent,
    EngineUnavailable,
    FormatUnsupported,
    InvalidArgument,
    RecordUnparseable,
)
from gateway.extraction.service import ExtractionService
from gateway.matching.engine import Batch, OperatingPoint
from gateway.matching.engines import Engines
from gateway.matching.finger import FingerCodec
from matcher.finger import synthetic
from tests.gateway.extraction import image_files as files
from tests.gateway.extraction.children import SIDE, image, picture, trial
from tests.gateway.extraction.offered import trial_extractor as orders

PEOPLE = 6
POINT = OperatingPoint(fpir=0.001)
RAW = picture()
F = RecordFormat


class Enrolled:
    """A gallery of synthetic people, by their seed."""

    @staticmethod
    def batches(modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        del shard, of
        if modality is not Modality.FINGER:
            return
        yield [(seed, (record(seed, 2, 1), record(seed, 7, 1))) for seed in range(1, PEOPLE)]


def record(seed: int, position: int, impression: int = 2) -> Sample:
    made = synthetic.impression(synthetic.person(seed), position, impression)
    return FingerCodec().sample(synthetic.record(made, position), position, "test")


@pytest.fixture(scope="module")
def engines(service: ExtractionService) -> Engines:
    made = Engines(service)
    made.load(Enrolled())
    return made


def read(engines: Engines, *samples: Sample) -> Any:
    return engines.read({f"s[{at}]": each for at, each in enumerate(samples)})


def test_an_image_is_searched_as_the_record_that_it_becomes(engines: Engines) -> None:
    probes = read(engines, image(seed=3))

    prepared = engines.prepare(probes)[Modality.FINGER]
    found = engines.search(probes, POINT, 3, lambda: 30.0)

    assert found.candidates[0].subject == 3
    assert found.candidates[0].score > found.threshold
    (made,) = prepared.extracted.values()
    assert (made.extractor, made.quality, made.quality_algorithm) == ("trial-1", 80, "NFIQ2")


def test_an_image_and_a_record_are_searched_together(engines: Engines) -> None:
    probes = read(engines, image(seed=3), record(3, 7))

    prepared = engines.prepare(probes)[Modality.FINGER]

    assert prepared.usable == (2, 7)
    assert engines.destroy(probes)[Modality.FINGER] == {"images": 1, "records": 2, "minutiae": 2, "templates": 2}  # fmt: skip
    assert engines.destroy(probes)[Modality.FINGER]["images"] == 0


@pytest.mark.parametrize("order", [orders.NOTHING, orders.DIE])
def test_an_image_without_a_record_is_a_problem_of_that_sample_and_the_others_are_searched(
    engines: Engines, order: int
) -> None:
    probes = read(engines, image(order, 3), record(3, 7))

    prepared = engines.prepare(probes)[Modality.FINGER]

    assert prepared.usable == (7,)
    assert [(each.position, each.code) for each in prepared.problems] == [(2, ProblemCode.EXTRACTION_FAILED)]  # fmt: skip
    assert engines.search(probes, POINT, 1, lambda: 30.0).candidates[0].subject == 3


def test_what_is_not_extracted_at_all_leaves_nothing_usable(engines: Engines) -> None:
    """Then nothing is searched, and what was not searched is never NO_MATCH."""
    prepared = engines.prepare(read(engines, image(orders.NOTHING)))[Modality.FINGER]

    assert prepared.usable == ()
    assert len(prepared.problems) == 1


def test_time_that_ends_before_the_records_are_made_searches_nothing(engines: Engines) -> None:
    with pytest.raises(DeadlineTooShort):
        engines.prepare(read(engines, image(orders.HANG)), lambda: 0.05)


def test_without_an_extractor_images_are_unsupported_and_not_listed(engines: Engines) -> None:
    plain = Engines()

    with pytest.raises(FormatUnsupported) as refused:
        read(plain, image())

    assert refused.value.metadata["element"] == "s[0].format"
    assert F.ISO_19794_4_2011 not in plain.formats()
    assert F.ISO_19794_4_2011 in engines.formats()


def test_a_service_that_has_ended_makes_no_match_of_it(paths: tuple[str, ...]) -> None:
    service = ExtractionService((trial(paths),))
    engines = Engines(service)
    probes = read(engines, image())
    service.close()

    with pytest.raises(EngineUnavailable):
        engines.prepare(probes)


def test_an_image_that_comes_while_the_gateway_stops_is_asked_for_again_and_not_unsupported(
    paths: tuple[str, ...],
) -> None:
    """FORMAT_UNSUPPORTED would be the last word of a message; whoever is told to come again is answered after the start."""
    service = ExtractionService((trial(paths),))
    engines = Engines(service)
    listed = engines.formats()
    service.close()

    assert engines.formats() == listed
    with pytest.raises(EngineUnavailable, match="stopping"):
        engines.prepare(read(engines, image()))
    assert service.processes() == ()


def fir(**other: Any) -> bytes:
    size = other.pop("size", (SIDE, SIDE))
    return files.fir_second(RAW, 0, size, **other)


@pytest.mark.parametrize(
    ("changes", "refusal", "element"),
    [
        ({"width": SIDE + 1}, ElementsInconsistent, "width"),
        ({"height": SIDE - 1}, ElementsInconsistent, "height"),
        ({"ppi": 1_000}, ElementsInconsistent, "ppi"),
        ({"compression": Compression.WSQ}, ElementsInconsistent, "compression"),
        ({"position": 7}, ElementsInconsistent, "position"),
        ({"impression": 0}, ElementsInconsistent, "impression"),
        ({"format": F.ISO_19794_4_2005}, ElementsInconsistent, "format"),
        ({"format": F.WSQ}, FormatUnsupported, "format"),
        ({"format": F.ISO_39794_6}, FormatUnsupported, "format"),
        ({"modality": Modality.FACE, "position": 0}, FormatUnsupported, "format"),
        ({"data": b""}, ElementsInconsistent, "format"),
        ({"data": fir()[:-1]}, RecordUnparseable, "data"),
        ({"data": fir() + b"\0"}, RecordUnparseable, "data"),
        ({"data": fir(size=(SIDE, SIDE + 1))}, RecordUnparseable, "width"),
        ({"data": fir(size=(60_000, 60_000))}, RecordUnparseable, "width"),
        ({"data": fir(rate=(0, 0))}, RecordUnparseable, "ppi"),
        ({"data": fir(number=2)}, RecordUnparseable, "data"),
        ({"data": files.finger_39794(b"P5\n100 100\n255\n" + RAW, 0, rate=0), "format": F.ISO_39794_4, "impression": 0}, ElementMissing, "ppi"),
        ({"data": files.finger_39794(b"P5\n100 100\n255\n" + RAW, 0, rate=0), "format": F.ISO_39794_4, "impression": 0, "ppi": 9_999}, ElementInvalid, "ppi"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_what_was_declared_is_refused_by_the_element(
    engines: Engines, changes: dict[str, Any], refusal: type[InvalidArgument], element: str
) -> None:
    with pytest.raises(refusal) as refused:
        read(engines, replace(image(), **changes))

    assert refused.value.metadata["element"] == f"s[0].{element}"


def test_an_image_with_text_about_the_person_in_its_container_is_biographic(
    engines: Engines,
) -> None:
    data = files.transaction(
        files.type_14(RAW, b"NONE", f6=b"100", f7=b"100", f20=b"a comment of somebody")
    )

    with pytest.raises(BiographicInQuery):
        read(engines, image(format=F.ANSI_NIST, data=data, impression=0))
