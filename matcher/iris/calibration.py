"""What closeness is worth: the calibration that is shipped for each coder, how an own one is read, what scores depend on.

How a distance is normalised is a property of the coder and no part of its calibration: of a coder that is not known here
no calibration means anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np

from matcher.iris.coders import CODERS, EYES, Coder
from matcher.score_calibration import ScoreCalibration, load_calibration

FILE_DIGITS = 16  # hexadecimal, of a file's SHA-256: enough to tell two of ours apart


@cache
def calibration_of(coder: Coder) -> ScoreCalibration:
    """Return the calibration that is shipped for a coder, `<name>-<version>.json` beside this module."""
    packed = (resources.files("matcher.iris") / f"{coder.label}.json").read_bytes()
    return load_calibration(json.loads(packed), sha256(packed).hexdigest())


@cache
def shipped_calibrations() -> Mapping[str, ScoreCalibration]:
    """Return the calibrations that are shipped, by the coder's label."""
    return MappingProxyType({each.label: calibration_of(each) for each in CODERS.values()})


def load_coder_calibration(fitted: Mapping[str, Any], digest: str) -> ScoreCalibration:
    """Return the calibration of a coder in a file's mapping; digest: SHA-256 of the file, hexadecimal.

    Raises ValueError where it is no calibration, is of a coder that is not known here, or does not say what two eyes
    together are worth.
    """
    calibration = load_calibration(fitted, digest)
    labels = [each.label for each in CODERS.values()]
    if calibration.model not in labels:
        raise ValueError(
            "no coder of irises of that name is known here, nor how its distances are normalised; known are"
            f" {', '.join(labels)} (a model of faces states its dimension)"
        )
    if len(calibration.certificate.tails) != len(EYES):
        raise ValueError("a calibration of a coder of irises has two tails: of one eye, and of two")
    return calibration


def reckoned_by(calibrations: Mapping[str, ScoreCalibration]) -> str:
    """Return what scores depend on beside codes and gallery: the calibrations, and numpy's square root."""
    digests = (
        f"{label} {each.certificate.digest[:FILE_DIGITS]}" for label, each in calibrations.items()
    )
    return f"{', '.join(digests)}, numpy {np.__version__}"
