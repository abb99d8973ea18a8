"""Face vectors with whose each is, of a file or of images → every pair's cosine.

The file is a NumPy archive: `vectors` (n, d) of floating point, `person` (n,) whole numbers, `model` a name.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.errors import UserError
from gateway.exercises.evaluation.files import numbered
from gateway.exercises.evaluation.labelled_set import Ints, LabelledSet
from matcher.face import record
from matcher.face.models import shipped_models
from matcher.face.template import FaceVector, Floats, VectorRefused

if TYPE_CHECKING:
    from gateway.exercises.evaluation.images import Made

MOST_SAMPLES = 10_000  # the matrix of more would not fit in memory
MOST_BYTES = 1 << 31  # of an array, unpacked


def read_set(path: Path) -> LabelledSet:
    """Return the vectors of a file, compared each with each.

    Raises UserError for a file that is not such an archive, or whose vectors all are refused. Pickles are never opened.
    """
    arrays = archive(path, ("vectors", "person", "model"))
    vectors, person = arrays["vectors"], arrays["person"]
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or person.shape != vectors.shape[:1]:
        raise UserError(f"{path}: needs vectors (n, d) of floating point and person (n,)")
    if person.dtype.kind not in "iu" or len(person) > MOST_SAMPLES:
        raise UserError(f"{path}: person is a whole number each, of at most {MOST_SAMPLES} samples")
    model = str(arrays["model"])
    kept, rows, refused = [], [], []
    for row, vector in enumerate(vectors):
        try:
            kept.append(FaceVector(model, vector).vector)
            rows.append(row)
        except VectorRefused as fault:
            refused.append((row, str(fault)))
    if not kept:
        raise UserError(
            f"{path}: none of the vectors can be used: {refused[0][1] if refused else 'it has none'}"
        )
    known = shipped_models().get(model)
    return LabelledSet(
        name=path.stem,
        model=model,
        label=person[rows].astype(np.intp),
        score=_cosines(np.stack(kept)),
        refused=tuple(refused),
        known=None if known is None else known.calibration,
        needs={"dimension": vectors.shape[1]},
    )


def of_images(name: str, made: Sequence[Made]) -> LabelledSet:
    """Return images of faces as the vectors that were made of them, compared each with each.

    Raises UserError where there is no vector, or they are of several models.
    """
    read = [None if each.record is None else record.read(each.record) for each in made]
    rows = [row for row, each in enumerate(read) if each is not None]
    vectors = [each for each in read if each is not None]
    shapes = sorted({(each.model, len(each)) for each in vectors})
    if len(shapes) != 1:
        several = ", ".join(f"{model} of {numbers} numbers" for model, numbers in shapes)
        raise UserError(f"{name}: vectors of one model are compared, not of {several or 'none'}")
    ((model, dimension),) = shapes
    known = shipped_models().get(model)
    return LabelledSet(
        name=name,
        model=model,
        label=whose(made),
        score=spread(_cosines(np.stack([each.vector for each in vectors])), rows, len(made)),
        refused=(),
        known=known.calibration if known is not None and known.dimension == dimension else None,
        needs={"dimension": dimension},
        files=tuple(each.specimen.name for each in made),
    )


def whose(made: Sequence[Made]) -> Ints:
    """Return whose each image is, by set and name, as numbers in natural order, (n,)."""
    names = [f"{each.specimen.set}/{each.specimen.finger}" for each in made]
    return numbered(names)[0]


def spread(score: Floats, rows: Sequence[int], size: int) -> Floats:
    """Return scores between some rows of so many, (size, size) float32; those of the others are nan."""
    wide: Floats = np.full((size, size), np.nan, dtype=np.float32)
    wide[np.ix_(rows, rows)] = score
    return wide


def archive(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Return arrays of a NumPy archive by name; raises UserError where it is none, lacks one or one is too large."""
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as members:
            # Anything but an archive numpy would try to understand as something else; a size is known before it unpacks.
            if sum(each.file_size for each in members.infolist()) > MOST_BYTES:
                raise UserError(f"{path}: holds more than {MOST_BYTES} bytes")
            stream.seek(0)
            arrays = np.load(stream, allow_pickle=False)
            return {name: arrays[name] for name in names}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise UserError(f"{path}: not a NumPy archive with the arrays {', '.join(names)}") from None


def _cosines(vectors: Floats) -> Floats:
    """Return all products, summed in float64 and rounded once, (n, n) float32."""
    wide = vectors.astype(np.float64)
    found: Floats = (wide @ wide.T).astype(np.float32)
    return found
