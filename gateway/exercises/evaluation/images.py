"""Images of known people → records, made as a gateway makes them: by an extractor, in its child processes alone.

A folder holds images or records, never both. First every file is looked at, by its headers: what whoever asks has to mend
(a resolution that nobody says, a mixture) stops everything before an hour of extraction. Then records are made; an image
that gives none is a failure to extract, which is named and counts as a miss.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from gateway.config import Extraction
from gateway.domain.messages import COMPRESSED, POSITIONS, TEMPLATES, UNSTATED, Modality
from gateway.errors import UserError
from gateway.exercises.evaluation.files import Found, Specimen, find, octets_of
from gateway.extraction.child_process import ExtractorUnavailable, Offer
from gateway.extraction.extractor import INSTALL, Extracted
from gateway.extraction.service import ExtractionFailed, ExtractionService
from gateway.matching import sample_files
from gateway.matching.engine import UnreadableSample
from gateway.matching.images import OwnImage, ResolutionUnsettled, task_of_own
from gateway.matching.modality import codec_of
from gateway.matching.sample_files import FoundSample
from gateway.server.image_extraction import started
from gateway.user_files import FileRefused

MOST_BYTES = 1 << 24  # of a file, as where it is enrolled
MOST_PROCESSES = 8  # each holds 0.3 GB, and 0.3 to 1 GB for the picture that it has
AHEAD = 2  # pictures of each process that are read before it wants them
UNREADABLE = "UNREADABLE"  # format of a file that is no image of the modality

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What became of one image.

    form    the file's format; UNREADABLE where it is no image of the modality
    ppi     pixels per inch that it was extracted at; 0 = not of a finger, or not extracted
    record  strictly as the modality's codec reads it; None = failure to extract, and `reason` says why
    """

    specimen: Specimen
    form: str
    record: bytes | None = field(default=None, repr=False)
    reason: str = ""
    ppi: int = 0


@dataclass(frozen=True, slots=True)
class ImageReader:
    """An extractor at work, and what whoever asks says of the images.

    ppi     pixels per inch of pictures of fingers that do not say it; 0 = all say it
    ahead   pictures that wait for it at once
    """

    service: ExtractionService = field(repr=False)
    modality: Modality
    ppi: int = 0
    ahead: int = AHEAD

    @property
    def offer(self) -> Offer:
        """Which extractor it is, by name and version."""
        offer = self.service.offer(self.modality)
        if offer is None:
            raise AssertionError  # it was started for this modality
        return offer

    def find(self, place: Path) -> Found | None:
        """Return the images of a folder or a manifest, none extracted yet; None where it holds records.

        Raises UserError for a place of both, for an image whose resolution is not settled, and for one whose compression is
        not decoded here. A file that is neither, or breaks its format, is among the images: extraction fails on it.
        """
        found = find(place)
        image = record = ""
        for each in found.specimens:
            try:
                sample = _sample(each, self.modality)
            except (FileRefused, UnreadableSample):
                continue
            if sample.format in TEMPLATES:
                record = record or each.name
            else:
                image = image or each.name
                self._demand_readable(each.name, sample)
            if image and record:
                raise UserError(
                    f"{place}: holds images and records, {image} and {record}: evaluate them apart"
                )
        return None if record else found

    def records(self, found: Found, advance: Advance) -> tuple[Made, ...]:
        """Return what became of each image, in their order; raises UserError where the extractor cannot be had any more."""
        made = list[Made]()
        waiting = deque[tuple[Made, int, Future[Extracted] | None]]()
        try:
            for each in found.specimens:
                waiting.append(self._begun(each))
                if len(waiting) >= self.ahead:
                    made.append(self._ended(*waiting.popleft()))
                    advance(1)
            while waiting:
                made.append(self._ended(*waiting.popleft()))
                advance(1)
        except ExtractorUnavailable as fault:
            raise UserError(f"{len(made)} images were extracted, then: {fault}") from None
        return tuple(made)

    def told(self, made: Sequence[Made]) -> dict[str, Any]:
        """Return what is said of an extraction beside the figures: by what, at which resolutions, and the failures."""
        failed = [
            {"file": each.specimen.name, "reason": each.reason}
            for each in made
            if each.record is None
        ]
        rates = Counter(each.ppi for each in made if each.ppi)
        return {
            "extractor": self.offer.name,
            "version": self.offer.version,
            "images": len(made),
            "failure_to_extract": len(failed) / len(made),
            "not_extracted": failed,
            "ppi": {str(ppi): number for ppi, number in sorted(rates.items())},
        }

    def _demand_readable(self, name: str, sample: FoundSample) -> None:
        """Raise UserError for an image that only whoever asks can make readable; one that is broken is no such image."""
        bare = COMPRESSED.get(sample.format)
        if bare is not None and bare not in self.offer.compressions:
            _refuse_compression(name, bare.name)
        try:
            task = task_of_own(self._image(sample), self.service)
        except ResolutionUnsettled as fault:
            raise UserError(f"{name}: {fault}") from None
        except UnreadableSample:
            return
        if task.picture.compression not in self.offer.compressions:
            _refuse_compression(name, task.picture.compression.name)

    def _image(self, sample: FoundSample) -> OwnImage:
        position = sample.position or POSITIONS[self.modality][0]  # which one does not matter here
        return OwnImage(sample.data, self.modality, position, self.ppi)

    def _begun(self, specimen: Specimen) -> tuple[Made, int, Future[Extracted] | None]:
        """Queue an image; return what is known of it so far, its position, and its record to come, if one is to be tried."""
        form = UNREADABLE
        try:
            sample = _sample(specimen, self.modality)
            form, image = sample.format.name, self._image(sample)
            task = task_of_own(image, self.service)
        except (FileRefused, UnreadableSample) as fault:
            return Made(specimen, form, reason=str(fault)), 0, None
        (awaited,) = self.service.begin(self.modality, [task])
        return Made(specimen, form, ppi=task.ppi), task.position, awaited

    def _ended(self, begun: Made, position: int, awaited: Future[Extracted] | None) -> Made:
        """Return what became of an image that was queued."""
        if awaited is None:
            return begun
        specimen, form = begun.specimen, begun.form
        try:
            record = self.service.finish(awaited).record
            # Strictly: it came from a process that had a stranger's picture.
            codec_of(self.modality).sample(record, position, UNSTATED)
        except ExtractionFailed as fault:
            why = fault.reason.lower().replace("_", " ")
            return Made(specimen, form, reason=f"no features could be extracted ({why})")
        except UnreadableSample as fault:
            return Made(specimen, form, reason=f"what the extractor made is no record: {fault}")
        return Made(specimen, form, record, ppi=begun.ppi)


@contextmanager
def image_reader(
    modality: Modality,
    extractor: str,
    *,
    ppi: int = 0,
    card: Path | None = None,
    processes: int = 1,
) -> Iterator[ImageReader]:
    """Start an extractor by its name, in child processes such as a gateway's, and end them.

    card   of the model of faces, where the extractor takes one

    Raises UserError, which says which extractors there are, or what is missing.
    """
    number = min(processes, MOST_PROCESSES)
    named: dict[str, Any] = {modality.name.lower(): extractor}
    if card is not None:
        named["face_card"] = card.absolute()
    try:
        settings = Extraction(**named, processes=number, waiting=AHEAD * number)
    except ValueError:
        raise UserError(f"{extractor!r} is no name of an extractor: A-Z a-z 0-9 . _ -") from None
    try:
        service = started(settings)
    except ExtractorUnavailable as fault:
        raise UserError(str(fault)) from None
    try:
        yield ImageReader(service, modality, ppi, AHEAD * number)
    finally:
        service.close()


def _sample(specimen: Specimen, modality: Modality) -> FoundSample:
    """Return the one sample of a modality in a file, image or record; raises FileRefused or UnreadableSample."""
    found = sample_files.opened(octets_of(specimen, MOST_BYTES))
    mine = [each for each in found.samples if each.modality in (None, modality)]
    if found.unread and not mine:
        raise UnreadableSample(str(found.unread[0]))
    if not mine:
        raise UnreadableSample(f"{found.kind}, not an image of modality {modality.name}")
    if len(mine) != 1:
        raise UnreadableSample(f"holds {len(mine)} samples; one capture a file")
    return mine[0]


def _refuse_compression(name: str, compression: str) -> NoReturn:
    """Raise UserError: that no decoder is installed is no fault of a picture, and says nothing of a matcher."""
    raise UserError(
        f"{name}: no decoder of {compression} is installed here; the extra `images` has one: {INSTALL}"
    )
