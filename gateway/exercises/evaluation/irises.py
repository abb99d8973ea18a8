"""Iris codes with whose each is, of a file or of images → every pair's closeness.

The file is a NumPy archive: `code` and `mask` (n, rows, bytes) uint8, bits packed along the last axis, 1 = usable; `eye`
(n,) whole numbers; `shape` (rows, bits a row), which tells the coder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.errors import UserError
from gateway.exercises.evaluation.faces import archive, spread, whose
from gateway.exercises.evaluation.labelled_set import LabelledSet
from matcher.errors import MalformedRecord
from matcher.face.template import Floats
from matcher.iris import record
from matcher.iris.calibration import calibration_of
from matcher.iris.code_table import CodeTable, turn
from matcher.iris.coders import CODERS, EYES, Coder
from matcher.iris.template import IrisCode, check, from_cells

if TYPE_CHECKING:
    from gateway.exercises.evaluation.images import Made

MOST_SAMPLES = 5_000  # every pair is compared in full


def read_set(path: Path) -> LabelledSet:
    """Return the codes of a file, compared each with each in full; eyes are its people.

    Raises UserError for a file that is not such an archive, or whose codes all are refused. Pickles are never opened.
    """
    arrays = archive(path, ("code", "mask", "eye", "shape"))
    eye, coder = arrays["eye"], _coder(path, arrays["shape"])
    if not 0 < len(eye) <= MOST_SAMPLES or eye.ndim != 1 or eye.dtype.kind not in "iu":
        raise UserError(f"{path}: eye is a whole number each, of 1 to {MOST_SAMPLES} codes")
    codes = _codes(path, arrays, coder)
    kept, refused = [], []
    for row, iris in enumerate(codes):
        try:
            check(iris)
            kept.append(row)
        except MalformedRecord as fault:
            refused.append((row, fault.reason))
    if not kept:
        raise UserError(f"{path}: none of the codes can be used: {refused[0][1]}")
    return LabelledSet(
        name=path.stem,
        model=coder.label,
        label=eye[kept].astype(np.intp),
        score=_closeness([codes[row] for row in kept], coder),
        refused=tuple(refused),
        known=calibration_of(coder),
        together=len(EYES),
    )


def of_images(name: str, made: Sequence[Made]) -> LabelledSet:
    """Return images of irises as the codes that were made of them, compared each with each in full; eyes are its people.

    Raises UserError where there is no code, or they are by several coders.
    """
    read = [None if each.record is None else record.read(each.record).iris for each in made]
    rows = [row for row, each in enumerate(read) if each is not None]
    codes = [each for each in read if each is not None]
    coders = {each.coder.label: each.coder for each in codes}
    if len(coders) != 1:
        several = ", ".join(sorted(coders)) or "none"
        raise UserError(f"{name}: codes of one coder are compared, not of {several}")
    ((label, coder),) = coders.items()
    return LabelledSet(
        name=name,
        model=label,
        label=whose(made),
        score=spread(_closeness(codes, coder), rows, len(made)),
        refused=(),
        known=calibration_of(coder),
        together=len(EYES),
        files=tuple(each.specimen.name for each in made),
    )


def _coder(path: Path, shape: Any) -> Coder:  # noqa: ANN401 - an array of somebody's file
    """Return the one coder whose codes have so many rows and bits a row."""
    stated = shape.tolist() if shape.shape == (2,) else None
    for coder in CODERS.values():
        if stated == [coder.rows, coder.columns * coder.cell_bits]:
            return coder
    known = ", ".join(f"{c.label} {c.rows} × {c.columns * c.cell_bits}" for c in CODERS.values())
    raise UserError(f"{path}: shape is that of no coder known here ({known})")


def _codes(path: Path, arrays: dict[str, Any], coder: Coder) -> list[IrisCode]:
    size = len(arrays["eye"]), coder.rows, coder.columns * coder.cell_bits // 8
    planes = arrays["code"], arrays["mask"]
    if any(each.shape != size or each.dtype != np.uint8 for each in planes):
        raise UserError(
            f"{path}: code and mask are uint8 of the shape {size}, bits packed along the last axis"
        )
    cells = coder.rows, coder.columns, coder.cell_bits
    return [
        from_cells(coder, *(np.unpackbits(each, axis=1).reshape(cells) for each in pair))
        for pair in zip(*planes, strict=True)
    ]


def _closeness(codes: list[IrisCode], coder: Coder) -> Floats:
    """Return 0.5 less the normalised distance, (n, n) float32, of row as probe; nan where too little is common."""
    table = CodeTable(coder)
    for row, iris in enumerate(codes):
        table.put(iris, row, 1)
    found = np.stack([table.compare(turn(iris), table.rows()).closeness for iris in codes])
    return np.where(np.isfinite(found), found, np.nan).astype(np.float32)
