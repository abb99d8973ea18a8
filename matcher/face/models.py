"""The models whose vectors are compared here: the dimension of each, and what its cosines are worth.

A model without a calibration has no place here: its cosine would be a number that means nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

from matcher.face.template import LEAST_DIMENSION, MODEL_NAME, MOST_DIMENSION
from matcher.score_calibration import ScoreCalibration, load_calibration

SUFFIX = ".json"


class UnknownModel(ValueError):
    """No calibration of this model is known here."""


@dataclass(frozen=True, slots=True)
class FaceModel:
    """A model: how many numbers its vectors have, and its calibration."""

    dimension: int
    calibration: ScoreCalibration = field(repr=False)

    @property
    def name(self) -> str:
        """Name and version, as records state it."""
        return self.calibration.model


@cache
def shipped_models() -> Mapping[str, FaceModel]:
    """Return the models whose calibrations are shipped beside this module, by name."""
    folder = resources.files("matcher.face")
    files = sorted(
        (one for one in folder.iterdir() if one.name.endswith(SUFFIX)), key=lambda f: f.name
    )
    read = [(packed := one.read_bytes(), sha256(packed).hexdigest()) for one in files]
    models = [load_model(json.loads(packed), digest) for packed, digest in read]
    return {model.name: model for model in models}


def load_model(fitted: Mapping[str, Any], digest: str) -> FaceModel:
    """Return the model of a calibration's file; digest: SHA-256 of the file, hexadecimal.

    Raises ValueError where it is no calibration of a model of faces.
    """
    calibration = load_calibration(fitted, digest)
    dimension = fitted.get("dimension")
    if type(dimension) is not int or not LEAST_DIMENSION <= dimension <= MOST_DIMENSION:
        raise ValueError(
            f"a model of faces has a dimension of {LEAST_DIMENSION} to {MOST_DIMENSION}"
        )
    if not MODEL_NAME.fullmatch(calibration.model):
        raise ValueError("a model's name is 1 to 48 of A-Z a-z 0-9 . _ -")
    return FaceModel(dimension, calibration)
