"""The threshold for the sum of several modalities' scores, from what each promises alone.

A person's fused score is the sum of the log10 likelihood ratios of the modalities that were searched and that the
person has; a modality that the person lacks adds 0, as evidence that was not given. The sum is a likelihood ratio
where the modalities err independently of each other, given that two people differ: a stated assumption (a twin, or
an error in a record, breaks it).

The threshold is that of whoever shares so many samples of just these modalities with the probe: of one the score at which it
keeps the promise by itself, of several the tail of their sum. Each modality's non-mated scores are bounded from above: by the cautious end of its
certificate where that knows their tail, and below it by what a likelihood ratio means: at most one in 10^x of those who are
not mates reaches 10^x, however they are distributed (Markov's inequality). Scores are rounded up to a grid, so that the sum's
tail is exact arithmetic on bounds, never below them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from matcher.calibration import LEAST_MATCH, Tail

STEP = 0.01  # log10; of the grid. A threshold is at most so much too high for each modality
BEYOND = 1e-4  # of the rate that is asked for: what of a tail may lie beyond the grid, and counts as above any score
LIKELIEST, CAUTIOUS = 1, 2  # of a tail's share; of its rate the cautious end is the first
KEPT = 512  # sums of tails that are not computed again, 20 KB each; ten fingers, a face and two eyes have 104 for one promise

Tails = tuple[
    Tail, ...
]  # of one modality, which bound a person's scores together: of several models or coders, of several numbers of samples
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FusedThreshold:
    """The least sum that keeps a promise, and LEAST_MATCH at least: log10 likelihood ratio.

    fpir_expected   share of searches without a mate that reach it, by the likeliest fits, if everybody has these modalities
    """

    score: float
    fpir_expected: float


def threshold(fpir: float, held: Sequence[Tails], people: int) -> FusedThreshold:
    """Return the least fused score that keeps false alarms at `fpir`, for whoever has all of some modalities.

    fpir     share of non-mated searches that may raise a candidate, 0 < fpir < 1
    held     tails of each of these modalities, of as many samples as the person shares with the probe
    people   all who are searched, whatever they share; 0 counts as 1

    Each of the people may err with probability fpir / people, whatever their own threshold (union bound), so that the
    promise holds for all of them together. Of one modality this is what `matcher.calibration.threshold` returns, to the bit.
    Raises ValueError outside these ranges and for no modality.
    """
    return _threshold(fpir, tuple(held), people)


@lru_cache(maxsize=KEPT)
def _threshold(fpir: float, held: tuple[Tails, ...], people: int) -> FusedThreshold:
    """Return `threshold`, once for each agreement, gallery and modalities: searches ask the same again and again."""
    if not 0 < fpir < 1 or people < 0 or not held or not all(held):
        raise ValueError("an FPIR lies between 0 and 1, and a modality has a tail")
    rate = fpir / max(1, people)
    if len(held) == 1:
        score = max(LEAST_MATCH, *(tail.score(rate) for tail in held[0]))
        errors = max(tail.errors(score)[LIKELIEST] for tail in held[0])
    else:
        decade = _decade(rate)
        first, survival = _sum(held, CAUTIOUS, decade)
        at = max(int(np.argmax(survival <= rate)), math.ceil(LEAST_MATCH / STEP) - first)
        score = (first + at) * STEP
        start, likeliest = _sum(held, LIKELIEST, decade)
        errors = float(likeliest[min(first + at - start, len(likeliest) - 1)])
    return FusedThreshold(score, min(1.0, max(1, people) * errors))


def _decade(rate: float) -> float:
    """Return a power of ten at or below a rate: neighbouring sizes of a gallery share their sums."""
    return float(10.0 ** math.floor(math.log10(rate)))


@lru_cache(maxsize=KEPT)
def _sum(some: tuple[Tails, ...], end: int, rate: float) -> tuple[int, Numbers]:
    """Return the tail of a sum: the first point of the grid, and the share at or above each point, descending."""
    first, total, beyond = 0, np.ones(1), 0.0
    for tails in some:
        start, mass, lost = _mass(tails, end, rate * BEYOND)
        first, total, beyond = first + start, np.convolve(total, mass), beyond + lost
    survival = np.cumsum(total[::-1])[::-1] + beyond
    survival.flags.writeable = False
    return first, survival


def _mass(tails: Tails, end: int, beyond: float) -> tuple[int, Numbers, float]:
    """Return how non-mated scores of one modality lie on the grid, rounded up: first point, shares, share beyond it."""
    first = math.floor(min(0.0, *(tail.level for tail in tails)) / STEP)
    last = max(math.ceil(_reach(tail, beyond) / STEP) for tail in tails)
    points = np.arange(first - 1, max(first, last) + 1, dtype=np.float64) * np.float64(STEP)
    share: Numbers = np.maximum.reduce([_share(tail, points, end) for tail in tails])
    share[0] = 1.0  # below every level, and below what says anything at all
    share = np.minimum.accumulate(np.minimum(share, 1.0))
    return first, share[:-1] - share[1:], float(share[-1])


def _share(tail: Tail, points: Numbers, end: int) -> Numbers:
    """Return the bound of the share at or above each point."""
    rate = tail.rate[0] if end == CAUTIOUS else tail.rate[end]
    above = points - tail.level
    known = tail.share[end] * np.exp(-rate * np.maximum(above, 0.0))
    body = np.maximum(np.power(10.0, -points), tail.share[end])
    found: Numbers = np.where(above >= 0, known, body)
    return found


def _reach(tail: Tail, share: float) -> float:
    """Return the score above which no more than a share lies, by the most cautious of the fits."""
    return tail.level + max(0.0, math.log(tail.share[CAUTIOUS] / share)) / tail.rate[0]
