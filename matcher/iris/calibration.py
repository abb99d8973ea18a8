"""What closeness is worth: the calibration that is shipped for each coder, and what scores depend on."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from importlib import resources

import numpy as np

from matcher.iris.coders import CODERS, Coder
from matcher.score_calibration import ScoreCalibration, load_calibration

FILE_DIGITS = 16  # hexadecimal, of a file's SHA-256: enough to tell two of ours apart


@cache
def calibration_of(coder: Coder) -> ScoreCalibration:
    """Return the calibration that is shipped for a coder, `<name>-<version>.json` beside this module."""
    packed = (resources.files("matcher.iris") / f"{coder.label}.json").read_bytes()
    return load_calibration(json.loads(packed), sha256(packed).hexdigest())


@cache
def reckoned_by() -> str:
    """Return what scores depend on beside codes and gallery: the calibrations, and numpy's square root."""
    digests = (
        f"{each.label} {calibration_of(each).certificate.digest[:FILE_DIGITS]}"
        for each in CODERS.values()
    )
    return f"{', '.join(digests)}, numpy {np.__version__}"
