"""Which reader labelled samples have, by modality, of a file or of images; fingers are read as folders of records (`files`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.exercises.evaluation import faces, irises
from gateway.exercises.evaluation.labelled_set import LabelledSet

if TYPE_CHECKING:
    from gateway.exercises.evaluation.images import Made


@dataclass(frozen=True, slots=True)
class SetReader:
    """How samples of a modality become a set: of a file, of images that records were made of; and how many may be."""

    file: Callable[[Path], LabelledSet]
    images: Callable[[str, Sequence[Made]], LabelledSet]
    most: int


READERS: Mapping[str, SetReader] = {
    "face": SetReader(faces.read_set, faces.of_images, faces.MOST_SAMPLES),
    "iris": SetReader(irises.read_set, irises.of_images, irises.MOST_SAMPLES),
}
