"""Which reader a file of labelled samples has, by modality; fingers are read as folders of records (`files`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.exercises.evaluation import faces, irises
from gateway.exercises.evaluation.labelled_set import LabelledSet

READERS: Mapping[str, Callable[[Path], LabelledSet]] = {
    "face": faces.read_set,
    "iris": irises.read_set,
}
