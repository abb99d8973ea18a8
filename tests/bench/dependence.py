"""How much of a finger's score another finger of the same two people repeats: what FVC2002 can say of it.

python tests/bench/dependence.py FOLDER [--extractors secugen fingerjet]     FOLDER as in fvc.py

Nobody in FVC2002 has two fingers. People are composed of fingers of one set, so that sensor and extractor are shared, and
each with the same two impressions, so that session and condition are (displaced, turned, dry, wet). The correlation
of two fingers' scores over such people is what these causes make two fingers repeat. What one person's skin and
way of pressing add cannot be seen. Intervals: bootstrap over fingers.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from fit import read_sets

from gateway.exercises.evaluation import model_fitting
from matcher.finger.descriptors import default_model
from matcher.finger.score_fusion import DEPENDENCE, default_likelihood, fuse

BOOTSTRAPS = 400
TAIL = 0.001  # share of non-mated people above the score that is compared
DRAWN = 400_000


def tables(one: model_fitting.RecordSet) -> tuple[np.ndarray, np.ndarray]:
    """Return mated scores (fingers, pairs of impressions), non-mated ones (fingers, fingers, ordered pairs)."""
    compared = model_fitting.compare_all(one, default_model())
    score = model_fitting.ratios(compared, default_likelihood()).astype(float)
    first, second = np.triu_indices(len(one.minutiae), 1)
    fingers, mine = np.unique(one.finger, return_inverse=True)
    impressions, number = np.unique(one.impression, return_inverse=True)
    size = len(impressions)
    every = np.full((len(fingers), len(fingers), size, size), np.nan)
    every[mine[first], mine[second], number[first], number[second]] = score
    upper = np.triu_indices(size, 1)
    mated = np.stack([np.fmax(each, each.T)[upper] for each in every.diagonal().transpose(2, 0, 1)])
    others = np.fmax(every, every.transpose(1, 0, 3, 2))
    return mated, others.reshape(len(fingers), len(fingers), -1)


def mated_correlation(sets: list[np.ndarray], weights: list[np.ndarray], *, within: bool) -> float:
    """Return the correlation of two different fingers' mated scores in people of one set and pair of impressions."""
    whole = centre(sets, weights, within=within)
    together = pairs = square = number = 0.0
    for score, weight in zip(whole, weights, strict=True):
        known = ~np.isnan(score)
        value, each = np.where(known, score, 0) * weight[:, None], known * weight[:, None]
        together += (value.sum(axis=0) ** 2 - (value**2).sum(axis=0)).sum()
        pairs += (each.sum(axis=0) ** 2 - (each**2).sum(axis=0)).sum()
        square += (value * np.where(known, score, 0)).sum()
        number += each.sum()
    return together / pairs / (square / number)


def other_correlation(sets: list[np.ndarray], weights: list[np.ndarray], *, within: bool) -> float:
    """Return the same of non-mated scores: two pairs of fingers without a finger in common."""
    both = [np.triu(np.outer(weight, weight), 1)[:, :, None] for weight in weights]
    whole = centre(sets, both, within=within)
    together = pairs = square = number = 0.0
    for score, weight in zip(whole, both, strict=True):
        known = ~np.isnan(score) & (weight > 0)
        value, each = np.where(known, score, 0) * weight, known * weight
        together += disjoint(value)
        pairs += disjoint(each)
        square += (value * np.where(known, score, 0)).sum()
        number += each.sum()
    return together / pairs / (square / number)


def disjoint(value: np.ndarray) -> float:
    """Return the sum of products of all two pairs of fingers (f, f, groups) that share none."""
    sides = value.sum(axis=0) + value.sum(axis=1)
    products = value.sum(axis=(0, 1)) ** 2 - (sides**2).sum(axis=0) + (value**2).sum(axis=(0, 1))
    return float(products.sum())


def centre(sets: list[np.ndarray], weights: list[np.ndarray], *, within: bool) -> list[np.ndarray]:
    spread = [
        np.broadcast_to(w if w.ndim == s.ndim else w[:, None], s.shape)
        for s, w in zip(sets, weights, strict=True)
    ]
    known = [np.where(np.isnan(s), 0, w) for s, w in zip(sets, spread, strict=True)]
    sums = [float((np.nan_to_num(s) * w).sum()) for s, w in zip(sets, known, strict=True)]
    sizes = [float(w.sum()) for w in known]
    whole = sum(sums) / sum(sizes)
    return [s - (a / n if within else whole) for s, a, n in zip(sets, sums, sizes, strict=True)]


def level(sets: list[np.ndarray], fingers: int, rng: np.random.Generator, *, shared: bool) -> float:
    """Return the score that TAIL of non-mated people reach, whose fingers share the impressions, or only the set."""
    people = []
    for score in sets:
        rows = score[np.triu_indices(len(score), 1)]
        number = DRAWN // len(sets)
        pair = rng.integers(len(rows), size=(number, fingers))
        group = rng.integers(rows.shape[1], size=(number, 1 if shared else fingers))
        people.append(fuse(rows[pair, group].astype(np.float32)))
    return float(np.quantile(np.concatenate(people), 1 - TAIL))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extractors", nargs="+", default=["secugen", "fingerjet"])
    arguments = parser.parse_args()
    rng = np.random.default_rng(2002)
    found = [tables(one) for one in read_sets([arguments.folder], arguments.extractors)]
    say = sys.stdout.write
    for name, which, measure in (
        ("mated", 0, mated_correlation),
        ("non-mated", 1, other_correlation),
    ):
        sets = [each[which] for each in found]
        for within in (False, True):
            drawn = []
            for turn in range(BOOTSTRAPS + 1):
                count = [
                    rng.multinomial(len(s), [1 / len(s)] * len(s)) if turn else np.ones(len(s))
                    for s in sets
                ]
                drawn.append(measure(sets, [np.asarray(w, float) for w in count], within=within))
            low, high = np.quantile(drawn[1:], (0.025, 0.975))
            what = "condition alone" if within else "sensor, extractor and condition"
            say(f"{name:10} {what:32} {drawn[0]:6.3f}   {low:6.3f} to {high:6.3f}\n")
    others = [each[1] for each in found]
    for fingers in (2, 4, 10):
        apart, together = (level(others, fingers, rng, shared=each) for each in (False, True))
        say(
            f"{fingers:2} fingers: {TAIL:g} of non-mated people reach {apart:.2f}; of one condition {together:.2f}\n"
        )
    say(f"DEPENDENCE in use {DEPENDENCE}\n")


if __name__ == "__main__":
    main()
