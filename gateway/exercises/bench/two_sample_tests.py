"""Whether two samples of times can be distinguished: two tests that ask for no shape.

Kolmogorov and Smirnov's looks at the whole distribution, Mann and Whitney's at which sample tends to be
larger; answers leave on a beat, so times come in few clusters and many are tied, for which the first
is conservative and the second corrected. The smaller p-value counts, doubled (Bonferroni).

Sources: N. Smirnov, Ann. Math. Statist. 19 (1948) 279, with Stephens' correction of the effective number
(J. R. Statist. Soc. B 32 (1970) 115); H. Mann, D. Whitney, Ann. Math. Statist. 18 (1947) 50.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TERMS = 100  # of Kolmogorov's series; it converges after a handful unless the statistic is tiny
Z_95 = 1.959964  # standard normal deviate of a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Difference:
    """What two samples show of a difference.

    auc        share of pairs in which the second is larger, ties half; 0.5 = no tendency
    auc_95     its 95 % interval under no difference, around auc
    ks, p      largest distance of the two distributions; p-value of both tests together
    """

    auc: float
    auc_95: tuple[float, float]
    ks: float
    p: float
    sizes: tuple[int, int]

    def told_apart(self, level: float) -> bool:
        """Return whether the samples differ at this level of significance."""
        return self.p < level


def compare(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare two samples; raises ValueError for fewer than two values in either."""
    a, b = (np.sort(np.asarray(each, dtype=np.float64)) for each in (first, second))
    if min(len(a), len(b)) < 2:
        raise ValueError("two values at least on either side")
    ks = _ks(a, b)
    auc, spread = _auc(a, b)
    p_ks = _kolmogorov(ks, len(a), len(b))
    p_auc = math.erfc(abs(auc - 0.5) / spread / math.sqrt(2)) if spread else 1.0
    half = Z_95 * spread
    return Difference(
        auc=auc,
        auc_95=(max(0.0, auc - half), min(1.0, auc + half)),
        ks=ks,
        p=min(1.0, 2 * min(p_ks, p_auc)),
        sizes=(len(a), len(b)),
    )


def _ks(a: Floats, b: Floats) -> float:
    values = np.concatenate([a, b])
    below_a = np.searchsorted(a, values, side="right") / len(a)
    below_b = np.searchsorted(b, values, side="right") / len(b)
    return float(np.abs(below_a - below_b).max())


def _kolmogorov(distance: float, n: int, m: int) -> float:
    effective = math.sqrt(n * m / (n + m))
    at = (effective + 0.12 + 0.11 / effective) * distance
    if at < 0.2:
        return 1.0
    signs = (1 if k % 2 else -1 for k in range(1, TERMS))
    terms = (2 * sign * math.exp(-2 * k * k * at * at) for k, sign in enumerate(signs, 1))
    return min(1.0, max(0.0, sum(terms)))


def _auc(a: Floats, b: Floats) -> tuple[float, float]:
    """Return the share of pairs in which b is larger, and its spread under no difference."""
    n, m = len(a), len(b)
    larger = np.searchsorted(a, b, side="left").sum()
    tied = np.searchsorted(a, b, side="right").sum() - larger
    _, counts = np.unique(np.concatenate([a, b]), return_counts=True)
    total = n + m
    ties = float((counts.astype(np.float64) ** 3 - counts).sum()) / (total * (total - 1))
    variance = max(0.0, (total + 1 - ties) / (12 * n * m))
    return float(larger + tied / 2) / (n * m), math.sqrt(variance)
