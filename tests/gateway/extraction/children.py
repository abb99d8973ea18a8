"""Child processes of the extractor for tests, and pictures that tell it what to do."""

from __future__ import annotations

from gateway.domain.messages import Compression, Modality
from gateway.extraction.child_process import ChildSettings
from gateway.extraction.containers.image import Picture
from gateway.extraction.extractor import Extracted
from gateway.extraction.frames import Task
from gateway.extraction.service import ExtractionService
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


def task(order: int = orders.WELL, seed: int = 0) -> Task:
    data = bytearray(SIDE * SIDE)
    data[0], data[1] = order, seed
    return Task(Picture(Compression.NONE, SIDE, SIDE), 500, 2, bytes(data))


def ask(service: ExtractionService, order: int = orders.WELL, seed: int = 0) -> Extracted:
    return service.extract(Modality.FINGER, task(order, seed), PATIENT)
