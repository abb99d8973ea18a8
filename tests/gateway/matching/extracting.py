"""A service of extractors for tests of faces and irises: what it makes of a picture is said beforehand, and no pixel is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from gateway.domain.messages import Compression, Modality, RecordFormat, Sample
from gateway.extraction.child_process import Offer
from gateway.extraction.extractor import Extracted
from gateway.extraction.frames import Task
from gateway.extraction.service import ExtractionFailed, ExtractionService
from gateway.sample_files.containers import formats
from tests.gateway.extraction import image_files as files

NAME, VERSION = "onnx", "trial.1"  # together as the extractor of faces that is shipped calls itself
SIDE = 100
IRIS_PICTURE = bytes(SIDE * SIDE)


class Extracting(ExtractionService):
    """Makes of every picture of a modality the record that is named for it; of None it makes nothing."""

    def __init__(self, made: Mapping[Modality, bytes | None]) -> None:
        super().__init__()
        self.made = made

    def offer(self, modality: Modality) -> Offer | None:
        return Offer(NAME, VERSION, tuple(Compression)) if modality in self.made else None

    def formats(self, modality: Modality) -> tuple[RecordFormat, ...]:
        return formats.formats_of(modality) if modality in self.made else ()

    def begin(self, modality: Modality, tasks: Sequence[Task]) -> tuple[Future[Extracted], ...]:
        return tuple(self._begun(modality) for _ in tasks)

    def _begun(self, modality: Modality) -> Future[Extracted]:
        begun: Future[Extracted] = Future()
        record = self.made[modality]
        if record is None:
            begun.set_exception(ExtractionFailed("NOTHING_FOUND"))
        else:
            begun.set_result(Extracted(record))
        return begun


def face_image() -> Sample:
    return Sample(
        modality=Modality.FACE,
        position=0,
        format=RecordFormat.JPEG,
        extractor="unstated",
        data=files.jpeg(),
        compression=Compression.JPEG,
    )


def iris_image(eye: int) -> Sample:
    return Sample(
        modality=Modality.IRIS,
        position=eye,
        format=RecordFormat.ISO_19794_6_2011,
        extractor="unstated",
        data=files.iir_second(IRIS_PICTURE, 2, (SIDE, SIDE), eye=eye),
    )
