"""A face as one model describes it: a unit vector and the model's name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.finger.template import erase

LEAST_DIMENSION = 32  # fewer numbers do not tell people apart
MOST_DIMENSION = 4096  # of any model that is in use
NORM_TOLERANCE = 1e-3  # of the length; what storage in half precision costs a vector of 512 numbers stays below it
ROUNDING = 2.0**-22  # of the length of a unit vector of float32
MODEL_NAME = re.compile(r"[A-Za-z0-9._-]{1,48}")
SMALLEST = np.float32(
    np.finfo(np.float32).tiny
)  # numbers below are subnormal, and slow; they say nothing

Floats = NDArray[np.floating[Any]]  # float32 wherever arrays are kept


class VectorRefused(ValueError):
    """Numbers are no face vector; the text says why and holds none of them."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceVector:
    """What a model made of one picture of a face.

    model   name and version of the model, as its records and its calibration state it
    vector  (d,) float32 of unit length, read-only; a copy of what is given

    Raises VectorRefused for a name or dimension that none has, for numbers that are not finite, and for a length that
    is not 1 within NORM_TOLERANCE: whoever sends raw outputs of a network has not said what they are. Within the
    tolerance the length is made 1, lest rounding at the sender's moves a score.
    """

    model: str
    vector: Floats = field(repr=False)

    def __post_init__(self) -> None:
        given = np.array(self.vector, dtype=np.float32)
        if not MODEL_NAME.fullmatch(self.model):
            raise VectorRefused("a model's name is 1 to 48 of A-Z a-z 0-9 . _ -")
        if given.ndim != 1 or not LEAST_DIMENSION <= len(given) <= MOST_DIMENSION:
            raise VectorRefused(f"a vector has {LEAST_DIMENSION} to {MOST_DIMENSION} numbers")
        if not np.isfinite(given).all():
            raise VectorRefused("a number of the vector is not finite")
        wide = given.astype(np.float64)
        length = float(np.sqrt(np.add.reduce(wide * wide)))
        if not length:
            raise VectorRefused("the vector is zero")
        if abs(length - 1) > NORM_TOLERANCE:
            raise VectorRefused("the vector is not of unit length")
        if abs(length - 1) > ROUNDING:  # so that a vector that was read once is read again as it is
            given[:] = wide / length
        given[np.abs(given) < SMALLEST] = 0
        given.flags.writeable = False
        object.__setattr__(self, "vector", given)

    def __len__(self) -> int:
        return len(self.vector)

    def destroy(self) -> None:
        """Overwrite the vector with zeros, in place; it is of no use afterwards."""
        erase(self.vector)
