"""What a record of features is, for whoever looks at a file of them: of a vector in words, of an iris code its bits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gateway.domain.messages import RecordFormat
from gateway.matching.engine import UnreadableSample
from matcher.errors import MalformedRecord
from matcher.face import record as face_record
from matcher.iris import record as iris_record
from matcher.iris.template import to_cells

MASKED, ZERO, ONE = ".", "0", "1"


@dataclass(frozen=True, slots=True)
class Features:
    """What a record holds, in words; of a code its bits too.

    rows   one text for each row of bits, from the pupil outwards, a cell's bits in rows below each other; each character a
           column: `ONE`, `ZERO` or `MASKED`
    """

    words: str
    rows: tuple[str, ...] = field(default=(), repr=False)


def features_of(form: RecordFormat, data: bytes) -> Features | None:
    """Return what a record of features holds; None for a format that has none of these. Raises UnreadableSample."""
    try:
        if form is RecordFormat.FACE_VECTOR:
            return _face(data)
        return _iris(data) if form is RecordFormat.IRIS_CODE else None
    except MalformedRecord as fault:
        raise UnreadableSample(str(fault)) from None


def _face(data: bytes) -> Features:
    face = face_record.read(data)
    return Features(f"{len(face)} numbers of the model {face.model}")


def _iris(data: bytes) -> Features:
    iris = iris_record.read(data).iris
    coder = iris.coder
    code, mask = to_cells(iris)
    shown = np.where(mask == 1, np.where(code == 1, ONE, ZERO), MASKED)
    lines = shown.transpose(0, 2, 1).reshape(coder.rows * coder.cell_bits, coder.columns)
    words = (
        f"{coder.rows} × {coder.columns} cells of {coder.cell_bits} bits by the coder {coder.name} {coder.version},"
        f" {iris.usable / coder.bits:.0%} of them usable"
    )
    return Features(words, tuple("".join(line) for line in lines.tolist()))
