"""A file of face vectors with whose each is → every pair's cosine.

The file is a NumPy archive: `vectors` (n, d) of floating point, `person` (n,) whole numbers, `model` a name.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gateway.errors import UserError
from gateway.exercises.evaluation.labelled_set import LabelledSet
from gateway.matching.face_models import known_models
from matcher.face.template import FaceVector, Floats, VectorRefused

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
    known = known_models().get(model)
    return LabelledSet(
        name=path.stem,
        model=model,
        label=person[rows].astype(np.intp),
        score=_cosines(np.stack(kept)),
        refused=tuple(refused),
        known=None if known is None else known.calibration,
        needs={"dimension": vectors.shape[1]},
    )


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
