"""The tail of the sum of two eyes of somebody who is not the probe's, from the fit of one.

One eye is taken to say nothing of the other: irises of one person are no more alike than those of two (Daugman,
Downing, Epigenetic randomness, complexity and singularity of human iris patterns, Proc. R. Soc. B 268, 2001). No set at
hand says which eyes are one person's, so that this was not measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from matcher import score_calibration

Doubles = NDArray[np.float64]

STEP: Final = 0.02  # log10 units of the grid on which the ratios of two eyes are added
POINTS: Final = 1 << 13  # of it; a quarter lies below the level of one eye's tail
SHARES: Final = (1e-3, 1e-7)  # of non-mated sums, between which the rate is read
UNNAMED: Final = dict.fromkeys(("version", "model", "data", "split", "date", "code"), "-")


def tail(fitted: Mapping[str, Any], non_mated: Doubles) -> dict[str, Any]:
    """Return the tail of two eyes as a calibration's file holds it.

    fitted      what `matcher.score_calibration.fit` made of one eye
    non_mated   (k,) the raw scores that it was fitted to

    The body is that of the scores, the tail that of the fit, at each end of its interval; they are put on a grid and
    added by convolution.
    """
    one = fitted["tails"][0]
    level = float(one["level"])
    ratio = score_calibration.load_calibration({**fitted, **UNNAMED}, "").ratios(non_mated)
    edges: Doubles = level + STEP * (np.arange(POINTS, dtype=np.float64) - POINTS // 4)
    body = np.histogram(ratio[ratio < level], bins=edges)[0] / max(1, int((ratio < level).sum()))
    at = 2 * edges[0] + STEP * np.arange(2 * (POINTS - 1))
    # The least share goes with the greatest rate: fewest errors on one side, most on the other.
    survival = [
        _survival(body, edges - level, share, rate)
        for share, rate in zip(one["share"], reversed(one["rate"]), strict=True)
    ]
    rates = [_rate(at, each) for each in survival]
    place = int(np.argmax(survival[1] <= SHARES[0]))
    return {
        "samples": 2,
        "level": float(at[place]),
        "share": sorted(float(each[place]) for each in survival),
        "rate": sorted(rates),
    }


def _survival(body: Doubles, above: Doubles, share: float, rate: float) -> Doubles:
    """Return the share of sums at or above each point of the grid of two."""
    beyond = np.where(above >= 0, share * np.exp(-rate * np.maximum(above, 0.0)), share)
    mass = body * (1 - share) - np.diff(beyond)
    size = 2 * len(mass)
    both = np.fft.irfft(np.fft.rfft(mass, size) ** 2, size).clip(0.0)
    found: Doubles = np.cumsum(both[::-1])[::-1]
    return found


def _rate(at: Doubles, survival: Doubles) -> float:
    near, far = (float(at[int(np.argmax(survival <= share))]) for share in SHARES)
    return float(np.log(SHARES[0] / SHARES[1]) / (far - near))
