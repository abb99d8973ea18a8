"""Images among samples: held to their containers when they arrive, made into records when they are searched or enrolled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import groupby

from gateway.domain.messages import (
    COMPRESSED,
    TEMPLATES,
    UNSTATED,
    Modality,
    Problem,
    ProblemCode,
    RecordFormat,
    Sample,
)
from gateway.errors import (
    BiographicInQuery,
    DeadlineTooShort,
    ElementInvalid,
    ElementMissing,
    ElementsInconsistent,
    EngineUnavailable,
    FormatUnsupported,
    RecordUnparseable,
)
from gateway.extraction.child_process import ExtractorUnavailable
from gateway.extraction.extractor import UNSTATED_QUALITY, Extracted
from gateway.extraction.frames import Task, task_of
from gateway.extraction.service import ExtractionFailed, ExtractionService, OutOfTime
from gateway.matching.calibrations import Calibrations
from gateway.matching.engine import Codec, Deadline, UnreadableSample
from gateway.sample_files.containers import formats
from gateway.sample_files.containers.image import (
    LEAST_PPI,
    MOST_PPI,
    Image,
    UnreadableImage,
)

PPI_TOLERANCE = 1  # pixels per inch; whole pixels per centimetre cannot say more
QUALITY_ALGORITHM = "NFIQ2"  # of fingers: the terms of ISO/IEC 29794-4
UNREADABLE = "UNREADABLE"  # of an extraction: what came back is no record


class ResolutionUnsettled(UnreadableSample):
    """An image of ours whose resolution its file does not say, or says otherwise than whoever names the file."""


@dataclass(frozen=True, slots=True)
class PendingImage:
    """An image of a query, held to its container: the element that holds it, the sample, and what is to be decoded."""

    element: str
    sample: Sample
    task: Task = field(repr=False)


Begun = tuple[PendingImage, Future[Extracted]]


@dataclass(frozen=True, slots=True)
class Records:
    """What became of images: the records by the element of each, and a problem for each image that gave none.

    extractor   what made them, by name and version; a record of a face or an iris names its own model or coder beside it
    """

    made: Mapping[str, Sample]
    problems: tuple[Problem, ...]
    extractor: str = ""


@dataclass(frozen=True, slots=True)
class OwnImage:
    """An image of ours: of what it is, and pixels per inch as whoever names it says; 0 = the file says it itself."""

    octets: bytes = field(repr=False)
    modality: Modality
    position: int
    ppi: int = 0


def is_image(sample: Sample) -> bool:
    """Return whether a sample is an image, whose features have to be found first."""
    return sample.format not in TEMPLATES


def admit(element: str, sample: Sample, service: ExtractionService) -> PendingImage:
    """Return an image that a partner sent, held to what was declared of it; no pixel of it is decoded.

    Raises FormatUnsupported where no extractor here reads it, RecordUnparseable for a container that breaks its standard
    or a bound, ElementsInconsistent for one that is not what was declared, ElementMissing for a finger of no stated
    resolution, BiographicInQuery for one that describes the person; each names the element.
    """
    if sample.format not in service.formats(sample.modality):
        why = f"no extractor here reads images of {sample.modality.name} in this format"
        raise FormatUnsupported(element=f"{element}.format", why=why)
    try:
        image = formats.read(sample.data, sample.format, sample.modality)
    except UnreadableImage as fault:
        if fault.element == "format":
            raise ElementsInconsistent(element=f"{element}.format") from None
        wrong = f"{element}.{fault.element or 'data'}"
        raise RecordUnparseable(element=wrong, why=str(fault)) from None
    # Text in the container, or in the picture within it (IRPR 315.38).
    if image.describes:
        raise BiographicInQuery(element=f"{element}.data")
    _require_agreement(element, sample, image)
    ppi = _resolution(element, sample, image)
    return PendingImage(element, sample, task_of(image, sample.position, ppi))


def begin(images: Sequence[PendingImage], service: ExtractionService) -> tuple[Begun, ...]:
    """Queue images, all at once, so that they are extracted at the same time as far as there are processes for it.

    Raises nothing: that no extractor can be had is what `extract` finds.
    """
    begun = list[Begun]()
    for modality, group in groupby(images, lambda each: each.sample.modality):
        own = tuple(group)
        try:
            awaited = service.begin(modality, [each.task for each in own])
        except ExtractorUnavailable as fault:
            awaited = tuple(_failed(fault) for _ in own)
        begun += zip(own, awaited, strict=True)
    return tuple(begun)


def _failed(fault: Exception) -> Future[Extracted]:
    awaited: Future[Extracted] = Future()
    awaited.set_exception(
        type(fault)(str(fault))
    )  # what was raised holds frames, and with them pictures
    return awaited


def extract(
    begun: Sequence[Begun], service: ExtractionService, codec: Codec, deadline: Deadline
) -> Records:
    """Return the records of images that were queued.

    Raises EngineUnavailable where no extractor can be had now, DeadlineTooShort where time runs out: then nothing was
    searched. An image that gives no record is a problem of that sample.
    """
    made, problems, extractor = dict[str, Sample](), list[Problem](), ""
    try:
        for each, awaited in begun:
            try:
                found = service.finish(awaited, deadline())
                extractor = _extractor(each.sample.modality, service)
                made[each.element] = _record(
                    each.sample.modality, each.sample.position, found, extractor, codec
                )
            except (ExtractionFailed, UnreadableSample):
                at, modality = each.sample.position, each.sample.modality
                problems.append(Problem(at, ProblemCode.EXTRACTION_FAILED, modality=modality))
    except ExtractorUnavailable as fault:
        raise EngineUnavailable(str(fault)) from None
    except OutOfTime:
        raise DeadlineTooShort from None
    return Records(made, tuple(problems), extractor)


def to_enrol(
    image: OwnImage, service: ExtractionService, codec: Codec, calibrations: Calibrations
) -> tuple[Sample, str]:
    """Return the sample that an image of ours becomes when its person is enrolled, and what made it.

    The image itself is kept nowhere. Raises UnreadableSample, with the reason, for an image that cannot be read or gives no record good enough.
    """
    modality, position = image.modality, image.position
    task = task_of_own(image, service)
    try:
        found = service.extract(modality, task)
        extractor = _extractor(modality, service)
        sample = _record(modality, position, found, extractor, codec)
        codec.sample_to_enrol(sample.data, position, sample.extractor, calibrations)
    except ExtractionFailed as fault:
        why = fault.reason.lower().replace("_", " ")
        raise UnreadableSample(f"no features could be extracted from the image ({why})") from None
    except ExtractorUnavailable as fault:
        raise UnreadableSample(str(fault)) from None
    return sample, extractor


def task_of_own(image: OwnImage, service: ExtractionService) -> Task:
    """Return what is to be decoded of an image of ours, its container read and held to what is said of it; no pixel is decoded.

    Raises UnreadableSample, with the reason; its kind ResolutionUnsettled where whoever names the file has to say more.
    """
    modality = image.modality
    form, word = formats.detect(image.octets), modality.name.lower()
    if form is None or form not in service.formats(modality):
        name = "an image" if form is None else form.name
        raise UnreadableSample(
            f"{name}: no extractor of modality {modality.name} reads it here  → extraction.{word} in the settings"
        )
    return task_of(*_opened(image, form))


def to_ask(image: OwnImage, extractor: str) -> Sample:
    """Return the sample that a partner is asked about with an image of ours: what its headers state is declared.

    Raises UnreadableSample, with the reason.
    """
    form = formats.detect(image.octets)
    if form is None or form not in formats.formats_of(image.modality):
        raise UnreadableSample(f"no image of modality {image.modality.name} that is known here")
    found, position, ppi = _opened(image, form)
    return Sample(
        modality=image.modality,
        position=position,
        format=form,
        extractor=extractor,
        data=image.octets,
        impression=found.impression,
        width=found.picture.width,
        height=found.picture.height,
        ppi=ppi,
        compression=found.picture.compression,
    )


def _opened(image: OwnImage, form: RecordFormat) -> tuple[Image, int, int]:
    """Return an image of ours, its position and its resolution, held to what is said of it."""
    modality, position, ppi = image.modality, image.position, image.ppi
    try:
        found = formats.read(image.octets, form, modality)
    except UnreadableImage as fault:
        raise UnreadableSample(str(fault)) from None
    if found.position not in (0, position):
        word = modality.name.lower()
        raise UnreadableSample(f"the image says {word} {found.position}, you say {position}")
    if modality is Modality.FINGER and ppi and not LEAST_PPI <= ppi <= MOST_PPI:
        # An absurd one would have the extractor scale the picture to any size.
        raise ResolutionUnsettled(
            f"you say {ppi} pixels per inch; images of fingers have {LEAST_PPI} to {MOST_PPI}"
        )
    if modality is Modality.FINGER and not (ppi or found.ppi):
        raise ResolutionUnsettled("the file does not say its resolution; say it by --ppi")
    if ppi and found.ppi and abs(ppi - found.ppi) > PPI_TOLERANCE:
        raise ResolutionUnsettled(f"the file says {found.ppi} pixels per inch, you say {ppi}")
    return found, position, ppi or found.ppi


def _extractor(modality: Modality, service: ExtractionService) -> str:
    """Return the name and version of what makes records of a modality; raises ExtractorUnavailable."""
    offer = service.offer(modality)
    if offer is None:
        raise ExtractorUnavailable(f"no extractor of modality {modality.name} is configured")
    return offer.extractor


def _record(
    modality: Modality, position: int, found: Extracted, extractor: str, codec: Codec
) -> Sample:
    """Return the sample of an extracted record, read by its codec; raises UnreadableSample for what is no record of it."""
    sample = codec.sample(found.record, position, UNSTATED)
    if sample.extractor == UNSTATED:
        # Minutiae do not say what made them. Vectors and codes name the model or coder by which they are compared,
        # whatever program ran it.
        sample = replace(sample, extractor=extractor)
    if found.quality == UNSTATED_QUALITY:
        return sample
    algorithm = QUALITY_ALGORITHM if modality is Modality.FINGER else ""
    return replace(sample, quality=found.quality, quality_algorithm=algorithm)


def _require_agreement(element: str, sample: Sample, image: Image) -> None:
    """Raise ElementsInconsistent where an image is not what its sender declared."""
    picture = image.picture
    stated: list[tuple[str, int, int]] = [
        ("compression", sample.compression, picture.compression),
        ("width", sample.width, picture.width),
        ("height", sample.height, picture.height),
    ]
    if image.position:
        stated.append(("position", sample.position, image.position))
    if sample.modality is Modality.FINGER and sample.format not in COMPRESSED:
        stated.append(("impression", sample.impression, image.impression))
    for name, declared, own in stated:
        unsaid = name in ("width", "height") and not declared
        if declared != own and not unsaid:
            raise ElementsInconsistent(element=f"{element}.{name}")


def _resolution(element: str, sample: Sample, image: Image) -> int:
    """Return the resolution of a finger's image, declared or stated; 0 of other images."""
    if sample.modality is not Modality.FINGER:
        return 0
    if not sample.ppi and (sample.format in COMPRESSED or not image.ppi):
        raise ElementMissing(element=f"{element}.ppi")  # a bare picture's own is a program's guess
    ppi = sample.ppi or image.ppi
    if not LEAST_PPI <= ppi <= MOST_PPI:
        raise ElementInvalid(element=f"{element}.ppi")
    if image.ppi and abs(ppi - image.ppi) > PPI_TOLERANCE:
        raise ElementsInconsistent(element=f"{element}.ppi")
    return ppi


def formats_read(service: ExtractionService) -> tuple[RecordFormat, ...]:
    """Return the formats of images that are read here, of every modality."""
    return tuple(sorted({form for modality in Modality for form in service.formats(modality)}))
