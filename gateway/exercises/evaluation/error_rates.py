"""How often the matcher errs, in the terms of ISO/IEC 19795-1, from a matrix of scores and who is whose.

Row i, column j is probe i against gallery record j; higher = more alike; nan = one of them could not be
enrolled, which counts as an error: such a pair scores below everything. Shares are fractions of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matcher.finger.template import Floats

DRAWS = 1000  # of a bootstrap; the ends of a 95 % interval then rest on 25 draws each
SEED = 19795  # of the draws: the same scores give the same interval
ENDS = (0.025, 0.975)
DET_POINTS = 400  # of a curve; more cannot be seen
FPIRS = (0.1, 0.01, 0.0)  # at which the FNIR is reported
RULE_OF_THREE = 3.0  # no error in n trials: at most 3 / n at 95 % (Jovanovic, Levy, 1997)

Protocol = Literal["all_pairs", "fvc"]
Ints = NDArray[np.intp]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Errors:
    """Verification errors as shares: EER as FVC defines it, and the least FNMR at FMR ≤ 1 %, 0.1 % and 0."""

    eer: float
    fnmr_100: float
    fnmr_1000: float
    fnmr_zero: float


ERRORS = ("eer", "fnmr_100", "fnmr_1000", "fnmr_zero")


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Mated and non-mated scores, each with the numbers of the fingers that it is of, for resampling.

    mated (m,), finger (m,); non_mated (k,), fingers (k, 2)
    """

    mated: Floats = field(repr=False)
    finger: Ints = field(repr=False)
    non_mated: Floats = field(repr=False)
    fingers: Ints = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether errors can be computed at all."""
        return bool(len(self.mated) and len(self.non_mated))


@dataclass(frozen=True, slots=True)
class Identified:
    """Searches of a closed gallery, one impression a finger, and the same searches with the mate held out.

    fnir   by FPIR: the level that so many held-out searches exceed, and the searches that miss their mate there
    rank_1   share of searches whose mate is first
    """

    gallery: int
    searches: int
    rank_1: float
    fnir: dict[float, float]


def compared(
    scores: Floats,
    finger: Ints,
    impression: Ints,
    *,
    protocol: Protocol = "all_pairs",
    gallery: tuple[Ints, Ints] | None = None,
) -> Comparisons:
    """Return the comparisons of a protocol.

    all_pairs   mated: all impressions i < j of one finger; non-mated: all records i < j of different fingers
    fvc         the same mated; non-mated: first impressions of different fingers only
    gallery     finger and impression of the columns, where they are other records than the rows': then all
                i, j count, but for the same impression of the same finger

    Two records of one impression are neither mated nor non-mated: they are one image.
    """
    other_finger, other_impression = (finger, impression) if gallery is None else gallery
    same = finger[:, None] == other_finger
    twin = same & (impression[:, None] == other_impression)
    once = np.triu(np.ones(scores.shape, dtype=bool), 1) if gallery is None else ~twin
    apart = ~same
    if protocol == "fvc":
        apart &= _first(finger, impression)[:, None] & _first(other_finger, other_impression)
    score = np.where(np.isnan(scores), -np.inf, scores)
    mated, non_mated = np.nonzero(same & ~twin & once), np.nonzero(apart & once)
    pairs = np.stack([finger[non_mated[0]], other_finger[non_mated[1]]], axis=1)
    return Comparisons(score[mated], finger[mated[0]], score[non_mated], pairs)


def pooled(parts: Sequence[Comparisons]) -> Comparisons:
    """Return the comparisons of several sets as one, under one threshold; fingers stay apart."""
    step = 1 + max(
        (int(each.max()) for p in parts for each in (p.finger, p.fingers) if each.size), default=0
    )
    return Comparisons(
        np.concatenate([part.mated for part in parts]),
        np.concatenate([part.finger + step * at for at, part in enumerate(parts)]),
        np.concatenate([part.non_mated for part in parts]),
        np.concatenate([part.fingers + step * at for at, part in enumerate(parts)]),
    )


def verification(mated: Floats, non_mated: Floats) -> Errors:
    """Return the errors of scores, higher = more alike; -inf stands for what could not be enrolled.

    Raises ValueError where one of the two is empty.
    """
    return _errors(*_rates(_Counted(mated, non_mated)))


def bootstrap(comparisons: Comparisons, draws: int = DRAWS) -> Doubles:
    """Return the errors of resampled fingers, (draws, 4) in the order of `ERRORS`.

    Fingers are drawn, not comparisons: those of one finger are not independent. A draw that leaves no mated
    or no non-mated pair is nan.
    """
    rng = np.random.default_rng(SEED)
    names, member = np.unique(comparisons.finger, return_inverse=True)
    everyone = np.union1d(names, comparisons.fingers)
    first, second = np.searchsorted(everyone, comparisons.fingers).T
    mine = np.searchsorted(everyone, names)[member]
    counted = _Counted(comparisons.mated, comparisons.non_mated)
    found = np.full((draws, len(ERRORS)), np.nan)
    for draw in range(draws):
        times = np.bincount(
            rng.integers(len(everyone), size=len(everyone)), minlength=len(everyone)
        )
        weights = times[mine], times[first] * times[second]
        if weights[0].any() and weights[1].any():
            errors = _errors(*_rates(counted, weights))
            found[draw] = [getattr(errors, name) for name in ERRORS]
    return found


def ends(draws: Doubles) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each error from the rows of `bootstrap`, or of a mean of several."""
    low, high = np.nanquantile(draws, ENDS, axis=0)
    return {
        name: (float(one), float(other)) for name, one, other in zip(ERRORS, low, high, strict=True)
    }


def det(mated: Floats, non_mated: Floats) -> tuple[Doubles, Doubles]:
    """Return the (FMR, FNMR) of a DET curve, FMR falling; at most so many points as can be seen."""
    missed, raised = _rates(_Counted(mated, non_mated))
    moved = np.flatnonzero(np.diff(missed, prepend=-1) + np.abs(np.diff(raised, prepend=2)))
    if len(moved) > DET_POINTS:
        moved = moved[np.unique(np.linspace(0, len(moved) - 1, DET_POINTS).round().astype(int))]
    return raised[moved], missed[moved]


def searched(
    scores: Floats,
    finger: Ints,
    impression: Ints,
    gallery: tuple[Ints, Ints] | None = None,
) -> Identified | None:
    """Return how searches fare: gallery = each finger's first impression, probes = the others.

    None where there is nobody to search for, or only one finger.
    """
    other_finger, other_impression = (finger, impression) if gallery is None else gallery
    columns = np.flatnonzero(_first(other_finger, other_impression))
    rows = np.flatnonzero(~_first(finger, impression) & np.isin(finger, other_finger[columns]))
    if not len(rows) or len(columns) < 2:
        return None
    score = np.where(np.isnan(scores), -np.inf, scores)[np.ix_(rows, columns)]
    own = finger[rows][:, None] == other_finger[columns]
    mate = np.where(own, score, -np.inf).max(axis=1)
    best = np.where(own, -np.inf, score).max(axis=1)
    return Identified(
        gallery=len(columns),
        searches=len(rows),
        rank_1=float((mate > best).mean()),
        fnir={fpir: identification(mate, best, best, fpir)[0] for fpir in FPIRS},
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
        return 0.0, min(1.0, RULE_OF_THREE / trials)
    z, share = 1.959964, errors / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = (
        z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / 2 / trials) ** 2)
    )
    return max(0.0, middle - half), min(1.0, middle + half)


class _Counted:
    """Scores sorted into their distinct levels once, to be counted under many weights."""

    def __init__(self, mated: Floats, non_mated: Floats) -> None:
        if not len(mated) or not len(non_mated):
            raise ValueError("errors need mated and non-mated scores")
        levels = np.unique(np.concatenate([mated, non_mated, [np.inf]]))
        self.levels = len(levels)
        self.mated = np.searchsorted(levels, mated)
        self.non_mated = np.searchsorted(levels, non_mated)


def _rates(
    counted: _Counted, weights: tuple[NDArray[Any], NDArray[Any]] | None = None
) -> tuple[Doubles, Doubles]:
    """Return FNMR and FMR at each level: mated scores below it, non-mated scores at or above it."""
    mine, others = (None, None) if weights is None else weights
    mated = np.bincount(counted.mated, mine, counted.levels)
    non_mated = np.bincount(counted.non_mated, others, counted.levels)
    missed = (np.cumsum(mated) - mated) / mated.sum()
    raised = 1 - (np.cumsum(non_mated) - non_mated) / non_mated.sum()
    return missed, np.where(raised < 1e-12, 0.0, raised)


def _errors(missed: Doubles, raised: Doubles) -> Errors:
    return Errors(
        eer=_equal(missed, raised),
        fnmr_100=_least(missed, raised, 0.01),
        fnmr_1000=_least(missed, raised, 0.001),
        fnmr_zero=_least(missed, raised, 0.0),
    )


def _equal(missed: Doubles, raised: Doubles) -> float:
    """Return the EER: of the two levels around the crossing, the mean at the one where the sum is less.

    Maio, Maltoni, Cappelli, Wayman, Jain: FVC2000, IEEE TPAMI 24(3), 2002, section 3.
    """
    cross = int(np.argmax(missed >= raised))
    before = max(0, cross - 1)
    total = missed + raised
    near = before if total[before] <= total[cross] else cross
    return float(total[near]) / 2


def _least(missed: Doubles, raised: Doubles, most: float) -> float:
    return float(missed[raised <= most].min())


def _first(finger: Ints, impression: Ints) -> NDArray[np.bool_]:
    """Return which records are the first impression of their finger, one a finger."""
    order = np.lexsort((np.arange(len(finger)), impression, finger))
    chosen = np.zeros(len(finger), dtype=bool)
    chosen[order[np.unique(finger[order], return_index=True)[1]]] = True
    return chosen
