"""The threshold for the sum of several modalities' scores, from what each promises alone.

A person's fused score is the sum of the log10 likelihood ratios of the modalities that were searched and that the
person has; a modality that the person lacks adds 0, as evidence that was not given. The sum is a likelihood ratio
where the modalities err independently of each other, given that two people differ: a stated assumption (a twin, or
an error in a record, breaks it).

The promise must hold for whoever has all of the modalities and for whoever has some. So the threshold is the largest
over all sets of modalities that a person may have: for a set of one the score at which that modality keeps the
promise, for a set of several the tail of the sum. Each modality's non-mated scores are bounded from above at the
cautious end of its certificate: below the level from which its tail is known, everybody counts as standing at that
level. Scores are rounded up to a grid, so that the sum's tail is exact arithmetic on bounds, never below the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from matcher.calibration import Tail

STEP = 0.01  # log10; of the grid. A threshold is at most so much too high for each modality
BEYOND = 1e-4  # of the rate that is asked for: what of a tail may lie beyond the grid, and counts as above any score
LIKELIEST, CAUTIOUS = 1, 2  # of what `Tail.errors` returns
KEPT = 64  # sums of tails that are not computed again; sets of modalities, by how many fingers are usable

Tails = tuple[
    Tail, ...
]  # of one modality: one for each number of samples that a person may share with the probe
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Searched:
    """One modality of a search: how many people have it, and the tails of their scores where they are not mates."""

    size: int
    tails: Tails


@dataclass(frozen=True, slots=True)
class FusedThreshold:
    """The least sum that keeps a promise.

    score          log10 likelihood ratio
    fpir_expected  share of searches without a mate that reach it, by the likeliest fits
    size           for how many people it holds
    """

    score: float
    fpir_expected: float
    size: int


def threshold(fpir: float, searched: Sequence[Searched]) -> FusedThreshold:
    """Return the least fused score that keeps false alarms at `fpir` in the galleries together.

    fpir   share of non-mated searches that may raise a candidate, 0 < fpir < 1

    Each of the people may err, by the union bound; who is in how many galleries is not asked, so they are counted once
    in each. A gallery without people adds nothing. Of one modality this is what `matcher.calibration.threshold`
    returns, to the bit. Raises ValueError outside these ranges and for nothing searched.
    """
    if (
        not 0 < fpir < 1
        or not searched
        or any(each.size < 0 or not each.tails for each in searched)
    ):
        raise ValueError("an FPIR lies between 0 and 1, and a modality has a size and a tail")
    people = max(1, sum(each.size for each in searched))
    held = [each.tails for each in searched if each.size] or [searched[0].tails]
    rate = fpir / people
    score = max(_least(some, rate) for some in _sets(held))
    errors = max(_errors(some, score, rate) for some in _sets(held))
    return FusedThreshold(score, min(1.0, people * errors), people)


def _sets(held: Sequence[Tails]) -> Iterator[tuple[Tails, ...]]:
    """Yield every set of modalities that a person may have."""
    for number in range(1, len(held) + 1):
        yield from combinations(held, number)


def _least(some: tuple[Tails, ...], rate: float) -> float:
    """Return the score that who has these modalities and is not a mate reaches at most so often."""
    if len(some) == 1:
        return max(tail.score(rate) for tail in some[0])
    first, survival = _sum(some, CAUTIOUS, _decade(rate))
    return (first + int(np.argmax(survival <= rate))) * STEP


def _errors(some: tuple[Tails, ...], score: float, rate: float) -> float:
    """Return how often who has these modalities and is not a mate reaches a score, by the likeliest fits."""
    if len(some) == 1:
        return max(tail.errors(score)[LIKELIEST] for tail in some[0])
    first, survival = _sum(some, LIKELIEST, _decade(rate))
    at = (
        math.floor(score / STEP + 1e-9) - first
    )  # a score of the grid is not pushed below it by its own rounding
    return float(survival[min(max(at, 0), len(survival) - 1)])


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
    first = math.floor(min(tail.level for tail in tails) / STEP)
    last = max(math.ceil(_reach(tail, beyond) / STEP) for tail in tails)
    points = np.arange(first - 1, max(first, last) + 1) * STEP
    share = np.array([max(tail.errors(float(at))[end] for tail in tails) for at in points])
    share = np.minimum.accumulate(np.minimum(share, 1.0))
    return first, share[:-1] - share[1:], float(share[-1])


def _reach(tail: Tail, share: float) -> float:
    """Return the score above which no more than a share lies, by the most cautious of the fits."""
    return tail.level + max(0.0, math.log(tail.share[CAUTIOUS] / share)) / tail.rate[0]
