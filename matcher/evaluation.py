"""How often the matcher errs, in the terms of ISO/IEC 19795-1: EER, FNMR at FMR, FNIR at FPIR, intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matcher.template import Floats


@dataclass(frozen=True, slots=True)
class Errors:
    """Verification errors as shares: EER as FVC defines it, and the least FNMR at FMR ≤ 1 %, 0.1 % and 0."""

    eer: float
    fnmr_100: float
    fnmr_1000: float
    fnmr_zero: float


def verification(mated: Floats, non_mated: Floats) -> Errors:
    """Return the errors of scores, higher = more alike; -inf stands for what could not be enrolled.

    Raises ValueError where one of the two is empty.
    """
    if not len(mated) or not len(non_mated):
        raise ValueError("errors need mated and non-mated scores")
    levels = np.unique(np.concatenate([mated, non_mated, [np.inf]]))
    missed = np.searchsorted(np.sort(mated), levels, side="left") / len(mated)
    raised = 1 - np.searchsorted(np.sort(non_mated), levels, side="left") / len(non_mated)
    return Errors(
        eer=_equal(missed, raised),
        fnmr_100=_least(missed, raised, 0.01),
        fnmr_1000=_least(missed, raised, 0.001),
        fnmr_zero=_least(missed, raised, 0.0),
    )


def identification(
    mate: Floats, best_other: Floats, without_mate: Floats, fpir: float
) -> tuple[float, float]:
    """Return (FNIR, level) at a false positive identification rate, rank 1; a hit lies above the level.

    mate, best_other   score of the mate and of the best other person, of each search with the mate enrolled
    without_mate       best score of each search without
    """
    falling = np.sort(without_mate)[::-1]
    raised = int(fpir * len(falling))  # searches that may be
    level = float(falling[raised]) if raised < len(falling) else -math.inf
    found = (mate > level) & (mate > best_other)
    return 1 - float(found.mean()), level


def interval(errors: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share; with no error its upper end is the rule of three's."""
    if trials <= 0:
        raise ValueError("an interval needs trials")
    if errors == 0:
        return 0.0, min(1.0, 3 / trials)
    z, share = 1.959964, errors / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = (
        z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / 2 / trials) ** 2)
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def _equal(missed: NDArray[np.float64], raised: NDArray[np.float64]) -> float:
    """Return the EER: at the crossing, the mean at the level where the two are nearer to each other."""
    cross = int(np.argmax(missed >= raised))
    near = (
        cross - 1
        if cross and _apart(missed, raised, cross - 1) < _apart(missed, raised, cross)
        else cross
    )
    return float(missed[near] + raised[near]) / 2


def _apart(missed: NDArray[np.float64], raised: NDArray[np.float64], at: int) -> float:
    return abs(float(missed[at] - raised[at]))


def _least(missed: NDArray[np.float64], raised: NDArray[np.float64], most: float) -> float:
    return float(missed[raised <= most].min())
