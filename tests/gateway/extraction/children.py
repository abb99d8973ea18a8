"""Child processes of the extractor for tests, and pictures that tell it what to do."""

from __future__ import annotations

from typing import Any

from gateway.domain.messages import Compression, Modality, RecordFormat, Sample
from gateway.extraction.child_process import ChildSettings
from gateway.extraction.extractor import Extracted
from gateway.extraction.frames import Task
from gateway.extraction.service import ExtractionService
from gateway.sample_files.containers.image import Picture
from tests.gateway.extraction import image_files as files
from tests.gateway.extraction.offered import trial_extractor as orders

MEMORY = 1 << 31  # bytes
SECONDS = 1
SIDE = 100
PATIENT = 30.0  # seconds


def trial(paths: tuple[str, ...], **options: str) -> ChildSettings:
    return ChildSettings(
        modality=Modality.FINGER,
        extractor="trial",
        options=options,
        memory=MEMORY,
        seconds=SECONDS,
        paths=paths,
    )


def picture(order: int = orders.WELL, seed: int = 0, finger: int = 0, impression: int = 0) -> bytes:
    """A picture that tells the extractor what to do, whose finger it is, which one if nobody says it, and which impression."""
    data = bytearray(SIDE * SIDE)
    data[:4] = order, seed, finger, impression
    return bytes(data)


def image(order: int = orders.WELL, seed: int = 0, position: int = 2, **other: Any) -> Sample:
    """The sample of a finger whose picture stands uncompressed in a record of ISO/IEC 19794-4:2011.

    other   fields of the sample; `finger` and `print` are those of the picture
    """
    drawn = picture(order, seed, other.pop("finger", 0), other.pop("print", 0))
    data = files.fir_second(drawn, 0, (SIDE, SIDE), position=position)
    stated: dict[str, Any] = {
        "modality": Modality.FINGER,
        "position": position,
        "format": RecordFormat.ISO_19794_4_2011,
        "extractor": "unstated",
        "impression": 1,
        "data": data,
    }
    return Sample(**{**stated, **other})


def task(order: int = orders.WELL, seed: int = 0) -> Task:
    return Task(Picture(Compression.NONE, SIDE, SIDE), 500, 2, picture(order, seed))


def ask(service: ExtractionService, order: int = orders.WELL, seed: int = 0) -> Extracted:
    return service.extract(Modality.FINGER, task(order, seed), PATIENT)
