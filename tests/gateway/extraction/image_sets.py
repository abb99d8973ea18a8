"""Folders of images of known people, as an evaluation reads them, and a service that makes of each what is named for it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from gateway.domain.messages import Modality
from gateway.extraction.extractor import Extracted
from gateway.extraction.frames import Task
from gateway.extraction.service import ExtractionFailed
from matcher.face import record, synthetic
from tests.gateway.extraction import image_files as files
from tests.gateway.extraction.children import SIDE, picture
from tests.gateway.extraction.offered import trial_extractor as orders
from tests.gateway.matching.extracting import Extracting

FINGERS, IMPRESSIONS = 3, 3
UNSAID = 0  # pixels per inch


def fir(
    order: int = orders.WELL,
    seed: int = 0,
    impression: int = 2,
    *,
    ppi: int = 500,
    side: int = SIDE,
) -> bytes:
    """An image of a finger that states its resolution, but for UNSAID."""
    drawn = picture(order, seed, 0, impression)
    if ppi == UNSAID:
        return files.finger_39794(b"P5\n%d %d\n255\n" % (SIDE, SIDE) + drawn, 0, rate=0)
    return files.fir_first(drawn, 0, (side, side), rate=(ppi, ppi))


def prints(folder: Path, **said: Any) -> Path:
    """Three fingers of three impressions each, as images."""
    folder.mkdir()
    for finger in range(FINGERS):
        for impression in range(IMPRESSIONS):
            image = fir(seed=100 * finger, impression=3 + impression, **said)
            (folder / f"{finger}_{impression}.fir").write_bytes(image)
    return folder


class Pictures(Extracting):
    """Makes of each picture the record whose place its width says; beyond them, and of None, it makes nothing."""

    def __init__(self, modality: Modality, records: Sequence[bytes | None]) -> None:
        super().__init__({modality: None})
        self.records = records

    def begin(self, modality: Modality, tasks: Sequence[Task]) -> tuple[Future[Extracted], ...]:
        del modality
        return tuple(self._made(task.picture.width - SIDE) for task in tasks)

    def _made(self, at: int) -> Future[Extracted]:
        begun: Future[Extracted] = Future()
        found = self.records[at] if at < len(self.records) else None
        if found is None:
            begun.set_exception(ExtractionFailed("NOTHING_FOUND"))
        else:
            begun.set_result(Extracted(found))
        return begun


def portraits(folder: Path, people: int, captures: int) -> tuple[Path, list[bytes]]:
    """Images of faces, <person>_<capture>, each person in a folder of their own, and the records of a model."""
    records = []
    for person in range(people):
        (folder / f"p{person}").mkdir()
        for capture in range(captures):
            seen = synthetic.capture(synthetic.person(person), capture, 1)
            image = files.jpeg(SIDE + len(records), SIDE)
            (folder / f"p{person}" / f"p{person}_{capture}.jpg").write_bytes(image)
            records.append(record.write(seen))
    return folder, records
