"""Fit the matcher's data files from records of known fingers; `tests/bench/fit.py` is the command.

Four files: the descriptor's projection, the centroids of person codes, the likelihood's weights, the certificate of the tail. Weights that
are judged were always fitted on other sensors, and where there are several extractors on records of others too;
the shipped weights are fitted on all of them. The tail is fitted on scores of the left-out kind, and on pairs
across databases, whose non-mated pairs no fit has seen.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from matcher.finger.alignment import Evidence, Fingers, compare, gather
from matcher.finger.descriptors import (
    LEADING,
    Finger,
    Model,
    describe,
    load_model,
    raw_descriptors,
    readings,
)
from matcher.finger.person_code import CENTROIDS
from matcher.finger.score_fusion import (
    Likelihood,
    features,
    finger_ratio,
    fuse,
    load_likelihood,
    raw_ratio,
)
from matcher.finger.template import Bools, Floats, Minutiae

DESCRIPTOR_SIZE = 80  # numbers; in four bits each, what lets a finger stay below 2 kB
MATED_SHARE = (
    0.1  # weight of the mated in the fit: errors at low false match rates count, not those at equal
)
CODEBOOK_SEED, CODEBOOK_STEPS = 0, 12  # of k-means
RIDGE = 1.0  # of the logistic fit, on standardised features
NEWTON_STEPS = 60
LONGEST_STEP = 2.0  # of a weight in one step, lest the first ones overshoot
BEND_SHARE = 0.01  # of non-mated pairs lie above the bend
TAIL_SHARE = 0.01  # of non-mated people lie above the tail's level
RESAMPLED = 400_000  # chimeric non-mated people per number of fingers
BOOTSTRAPS = 300
COLUMNS = tuple(each.name for each in fields(Evidence))

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordSet:
    """Records of one sensor by one extractor; finger and impression (r,) number them within the sensor.

    An extractor's name is `family` or `family-variant`: another format or setting is no other extractor.
    """

    extractor: str
    sensor: str
    finger: NDArray[np.intp]
    impression: NDArray[np.intp]
    minutiae: tuple[Minutiae, ...] = field(repr=False)

    @property
    def family(self) -> str:
        """The extractor, whatever its settings."""
        return self.extractor.partition("-")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """All pairs of one set: evidence, whether mated, and the number of the pair of fingers."""

    evidence: Evidence = field(repr=False)
    mated: Bools = field(repr=False)
    cluster: NDArray[np.intp] = field(repr=False)


def fit_descriptor(minutiae: Sequence[Minutiae], size: int = DESCRIPTOR_SIZE) -> bytes:
    """Return the .npz of mean and whitening projection of all descriptors, of which `load_model` reads."""
    raw = np.concatenate([_raw(each) for each in minutiae]).astype(np.float64)
    mean = raw.mean(axis=0)
    variance, directions = np.linalg.eigh(np.cov((raw - mean).T))
    leading = np.argsort(-variance, kind="stable")[:size]
    projection = directions[:, leading] / np.sqrt(variance[leading])
    packed = io.BytesIO()
    np.savez(packed, mean=mean.astype(np.float32), projection=projection.astype(np.float32))
    return packed.getvalue()


def fit_codebook(minutiae: Sequence[Minutiae], model: Model) -> bytes:
    """Return the .npz of the centroids of all descriptors' leading numbers (k-means), of which `load_codebook` reads."""
    heads = np.concatenate([describe(each, model).vectors[:, :LEADING] for each in minutiae])
    rng = np.random.default_rng(CODEBOOK_SEED)
    centroids = heads[rng.choice(len(heads), CENTROIDS, replace=False)].copy()
    for _ in range(CODEBOOK_STEPS):
        nearest = (heads @ centroids.T - (centroids * centroids).sum(axis=1) / 2).argmax(axis=1)
        for at in np.unique(nearest):
            centroids[at] = heads[nearest == at].mean(axis=0)
    packed = io.BytesIO()
    np.savez(packed, centroids=centroids, model=np.array(model.digest))
    return packed.getvalue()


def _raw(minutiae: Minutiae) -> Floats:
    place = (minutiae.xy[:, 0] - 1j * minutiae.xy[:, 1]).astype(np.complex64)
    return raw_descriptors(place, np.exp(1j * minutiae.angle).astype(np.complex64))


def compare_all(records: RecordSet, model: Model) -> Compared:
    """Return every pair i < j of a set."""
    fingers = [describe(each, model) for each in records.minutiae]
    gallery = gather(fingers)
    rows = [
        _row(fingers[first], gallery, np.arange(first + 1, len(fingers)))
        for first in range(len(fingers) - 1)
    ]
    first, second = np.triu_indices(len(fingers), 1)
    one, other = records.finger[first], records.finger[second]
    return Compared(_concatenate(rows), one == other, one * 1000 + other)


def compare_across(
    one: RecordSet, other: RecordSet, model: Model, likelihood: Likelihood | None = None
) -> Compared:
    """Return every pair of records of two sets, each by the reading that is the likelier.

    Without a likelihood a picture that may have been resized is taken to have been. Fingers of one number are
    mated where the sensor is the same; two records of one impression are left out.
    """
    fingers = [describe(each, model) for each in other.minutiae]
    side, fitted = (fingers, gather(fingers)), (model, likelihood)
    rows, pairs, allowed = [], [], ~twins(one, other)
    for at, minutiae in enumerate(one.minutiae):
        columns = np.flatnonzero(allowed[at])
        rows.append(_across(describe(minutiae, model), side, columns, fitted))
        pairs.append(np.stack([np.full(len(columns), one.finger[at]), other.finger[columns]]))
    mine, theirs = np.concatenate(pairs, axis=1)
    mated = (mine == theirs) & (one.sensor == other.sensor)
    return Compared(_concatenate(rows), mated, mine * 1000 + theirs)


def twins(one: RecordSet, other: RecordSet) -> Bools:
    """Return which records of two sets are of one impression, (r, s)."""
    same = one.finger[:, None] == other.finger
    same &= one.impression[:, None] == other.impression
    both: Bools = same & (one.sensor == other.sensor)
    return both


def _across(
    probe: Finger,
    side: tuple[Sequence[Finger], Fingers],
    rows: NDArray[np.intp],
    fitted: tuple[Model, Likelihood | None],
) -> Evidence:
    fingers, gallery = side
    model, likelihood = fitted
    frames = [fingers[row].frame for row in rows]
    parts, order = [], []
    for frame in dict.fromkeys(frames):
        some = rows[[each == frame for each in frames]]
        read = [_row(each, gallery, some) for each in readings(probe, frame, model)]
        parts.append(read[-1] if likelihood is None else _likeliest(read, likelihood))
        order.append(some)
    return _take(_concatenate(parts), np.argsort(np.concatenate(order), kind="stable"))


def _likeliest(read: Sequence[Evidence], likelihood: Likelihood) -> Evidence:
    best = np.argmax([raw_ratio(each, likelihood) for each in read], axis=0)
    columns = (np.choose(best, [getattr(each, name) for each in read]) for name in COLUMNS)
    return Evidence(*columns)


def _row(probe: Finger, gallery: Fingers, rows: NDArray[np.intp], chunk: int = 16) -> Evidence:
    """Return one finger against some rows, a few at a time and like sizes together."""
    order = rows[np.argsort(gallery.count[rows], kind="stable")]
    parts = []
    for start in range(0, len(order), chunk):
        some = order[start : start + chunk]
        slots = int(gallery.count[some].max())
        parts.append(
            compare(
                probe,
                Fingers(
                    gallery.vectors[some, :slots],
                    gallery.place[some, :slots],
                    gallery.heading[some, :slots],
                    gallery.count[some],
                ),
            )
        )
    back = np.empty(len(rows), dtype=np.intp)
    back[np.searchsorted(rows, order)] = np.arange(len(rows))
    return _take(_concatenate(parts), back)


def _concatenate(parts: Sequence[Evidence]) -> Evidence:
    return Evidence(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


def _take(evidence: Evidence, rows: NDArray[np.intp] | Bools) -> Evidence:
    return Evidence(*(getattr(evidence, name)[rows] for name in COLUMNS))


def fit_likelihood(training: Sequence[Compared], tail: Doubles | None = None) -> dict[str, object]:
    """Return fitted weights, as `load_likelihood` reads them.

    tail   raw ratios of non-mated pairs that the weights have not seen; None = those of the training
    """
    columns = np.concatenate([features(each.evidence) for each in training]).astype(np.float64)
    mated = np.concatenate([each.mated for each in training])
    local = np.concatenate([each.evidence.local for each in training]).astype(np.float64)
    mean, scale = columns.mean(axis=0), columns.std(axis=0)
    fit = _logistic((columns - mean) / scale, mated) / np.log(10)
    coarse = _logistic(local[:, None], mated) / np.log(10)
    raw = fit[0] + (columns - mean) / scale @ fit[1:]
    bend, level, slope = _bend(raw[~mated] if tail is None else tail, raw[mated])
    return {
        "mean": mean.tolist(),
        "scale": scale.tolist(),
        "weights": fit[1:].tolist(),
        "bias": float(fit[0]),
        "bend": bend,
        "level": level,
        "slope": slope,
        "coarse": coarse.tolist(),
    }


def compare_sets(sets: Sequence[RecordSet], model: Model) -> list[Compared]:
    """Return the pairs within each set, and those of one sensor across every two extractors."""
    compared = [compare_all(each, model) for each in sets]
    for at, one in enumerate(sets):
        here = [each for each in sets[at + 1 :] if each.sensor == one.sensor]
        compared += [compare_across(one, other, model) for other in here]
    return compared


def left_out(
    sets: Sequence[RecordSet], sensor: str, family: str | None = None
) -> tuple[Model, Likelihood]:
    """Return model and likelihood fitted on all sensors but one, and on all extractors but one where it is named.

    What they judge is then new to them in both. Raises ValueError where nothing is left to fit.
    """
    others = [each for each in sets if each.sensor != sensor and each.family != family]
    if not others:
        raise ValueError("no other sensor by another extractor: name more folders of records")
    model = load_model(fit_descriptor([m for each in others for m in each.minutiae]))
    return model, load_likelihood(fit_likelihood(compare_sets(others, model)), "")


def ratios(compared: Compared, likelihood: Likelihood, *, raw: bool = False) -> Floats:
    """Return the finger ratios of a comparison, or those before the tail is bent."""
    return (raw_ratio if raw else finger_ratio)(compared.evidence, likelihood)


def fit_certificate(
    non_mated: Sequence[tuple[Floats, NDArray[np.intp]]], rng: np.random.Generator
) -> dict[str, object]:
    """Return the tails for one to ten fingers from non-mated finger ratios and their clusters.

    Each part is one pair of sets. A person's fingers are drawn within one part, so that sensor and extractor
    are shared as they are in life. Intervals are bootstraps over pairs of fingers, not over comparisons.
    """
    trials = sum(len(part) for part, _ in non_mated)
    single = np.concatenate([part for part, _ in non_mated])
    level = float(np.quantile(single, 1 - TAIL_SHARE))
    spread = _spread(non_mated, level, rng)
    tails = [_tail(_people(non_mated, number, rng), number, spread) for number in range(1, 11)]
    return {"trials": trials, "tails": tails}


def _people(
    parts: Sequence[tuple[Floats, NDArray[np.intp]]], number: int, rng: np.random.Generator
) -> Floats:
    shares = np.array([len(part) for part, _ in parts], dtype=np.float64)
    people = []
    for (part, _), share in zip(parts, shares / shares.sum(), strict=True):
        drawn = rng.integers(len(part), size=(int(RESAMPLED * share), number))
        people.append(fuse(part[drawn]))
    return np.concatenate(people)


def _tail(fused: Floats, number: int, spread: tuple[Doubles, Doubles]) -> dict[str, object]:
    level = float(np.quantile(fused, 1 - TAIL_SHARE))
    rate = 1 / float((fused[fused > level] - level).mean())
    share, rates = spread
    return {
        "fingers": number,
        "level": level,
        "share": (TAIL_SHARE * share).tolist(),
        "rate": (rate * rates).tolist(),
    }


def _spread(
    parts: Sequence[tuple[Floats, NDArray[np.intp]]], level: float, rng: np.random.Generator
) -> tuple[Doubles, Doubles]:
    """Return the 95 % intervals of share and rate relative to their estimates, (3,) each."""
    cluster = np.concatenate([c + 10**6 * at for at, (_, c) in enumerate(parts)])
    value = np.concatenate([part for part, _ in parts])
    names, member = np.unique(cluster, return_inverse=True)
    above = value > level
    sizes = np.bincount(member, minlength=len(names)).astype(np.float64)
    hits = np.bincount(member, above, len(names))
    excess = np.bincount(member, np.where(above, value - level, 0), len(names))
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=BOOTSTRAPS)
    drawn = drawn[drawn @ hits > 0]  # a draw without any tail has no rate
    share = (drawn @ hits) / (drawn @ sizes) / (hits.sum() / sizes.sum())
    rate = (drawn @ hits) / (drawn @ excess) / (hits.sum() / excess.sum())
    ends = (0.025, 0.975)
    low, high = np.quantile(share, ends)
    slow, fast = np.quantile(rate, ends)
    return np.array([min(low, 1), 1, max(high, 1)]), np.array([min(slow, 1), 1, max(fast, 1)])


def _bend(non_mated: Doubles, mated: Doubles) -> tuple[float, float, float]:
    """Return where the logistic ratio is bent, the ratio there, and its slope beyond.

    Beyond the bend the density of non-mated scores falls exponentially, and that of mated scores is nearly
    flat; so the log ratio of the two is a straight line.
    """
    bend = float(np.quantile(non_mated, 1 - BEND_SHARE))
    rate = 1 / float((non_mated[non_mated > bend] - bend).mean())
    above = mated[mated > bend]
    density = len(above) / len(mated) / (2 * float(np.median(above) - bend))
    return bend, float(np.log10(density / (BEND_SHARE * rate))), rate / float(np.log(10))


def _logistic(columns: Doubles, mated: Bools) -> Doubles:
    """Return intercept and weights of a ridge logistic fit; the classes' weights are taken out again."""
    design = np.column_stack([np.ones(len(columns)), columns])
    share = np.where(mated, MATED_SHARE / mated.sum(), (1 - MATED_SHARE) / (~mated).sum())
    share *= len(mated)
    prior = np.log(MATED_SHARE / (1 - MATED_SHARE))
    penalty = np.eye(design.shape[1]) * RIDGE
    penalty[0, 0] = 0
    weights = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        odds = np.clip(design @ weights, -40, 40)
        chance = 1 / (1 + np.exp(-odds))
        slope = design.T @ (share * (chance - mated)) + penalty @ weights
        curve = (design.T * (share * chance * (1 - chance))) @ design + penalty
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(weights)), slope)
        weights -= step * min(1, LONGEST_STEP / np.abs(step).max())
    weights[0] -= prior
    return weights
