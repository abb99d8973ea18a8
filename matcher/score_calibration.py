"""From the raw score of one model or coder to a log10 likelihood ratio, and the fit of it.

A raw score is higher the more alike two samples are: a cosine, or 0.5 less a normalised Hamming distance. What it is
worth depends on the model that made it. A calibration is fitted for one model from mated and non-mated scores and is a
strictly rising line of three pieces:

below the bend   the straight line of a logistic fit: what the body of both kinds of scores says
above the bend   the slope at which the tail of the non-mated scores falls, where that is lower; few or none were seen
                 here, so the tail is modelled as exponential (`matcher.calibration`)
at the ends      level: no comparison excludes or supports more than the data can tell

Who was compared several times, with several samples of either side, has the best of these scores less the union
bound: the best of k non-mated scores reaches a level at most k times as often as one does.

Logistic fit of likelihood ratios: Brümmer, du Preez, Application-independent evaluation of speaker detection, 2006.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matcher.calibration import RULE_OF_THREE, Certificate, load_certificate, price

EDGE_SLOPE = 1e-3  # log10 ratio a unit of raw score beyond both ends: too little to matter, and equals stay apart
LEAST_PEOPLE = 10  # with mated scores; a fit to fewer describes them and nobody else
LEAST_NON_MATED = 1000  # scores
TAIL_SHARE = 1e-3  # of non-mated scores lie above the bend, where there are enough of them
TAIL_COUNT = 50  # scores that lie there at least
EXTRAPOLATED = (
    4.0  # decades of FMR beyond the rarest that was seen; further the tail's shape is a belief
)
BOOTSTRAPS = 300  # of share and rate of the tail
RIDGE = 1e-3  # of the logistic fit; keeps the slope finite where mates and others do not overlap
NEWTON_STEPS = 60
LONGEST_STEP = 2.0  # of a weight in one step, lest the first ones overshoot
MOST_WORDS = 400  # characters of what a calibration says of its data

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCalibration:
    """What the raw scores of one model are worth.

    model         name of the model or coder and its version, as its records state it
    raw, ratio    (k,) float64, strictly rising: the corners of the line
    certificate   the tails of the ratio for the promise of an FPIR, what was fitted on, and the file's digest
    """

    model: str
    raw: Doubles = field(repr=False)
    ratio: Doubles = field(repr=False)
    certificate: Certificate

    def ratios(self, raw: ArrayLike, compared: ArrayLike = 1) -> Doubles:
        """Return log10 likelihood ratios of raw scores, each the best of so many comparisons of two people.

        Of two raw scores the higher has the higher ratio, always.
        """
        score = np.asarray(raw, dtype=np.float64)
        within = np.interp(score, self.raw, self.ratio)
        beyond = score - np.clip(score, self.raw[0], self.raw[-1])
        found: Doubles = within + EDGE_SLOPE * beyond - self.penalty(compared)
        return found

    def least(self, ratio: ArrayLike, compared: ArrayLike = 1) -> Doubles:
        """Return raw scores below which no comparison has so high a ratio: the inverse of `ratios`."""
        wanted = np.asarray(ratio, dtype=np.float64) + self.penalty(compared)
        within = np.interp(wanted, self.ratio, self.raw)
        beyond = wanted - np.clip(wanted, self.ratio[0], self.ratio[-1])
        found: Doubles = within + beyond / EDGE_SLOPE
        return found

    def penalty(self, compared: ArrayLike) -> Doubles:
        """Return what the best of so many comparisons loses (union bound), in log10 units.

        It is not less than the tail of this fit demands at the cautious end of its interval.
        """
        tail = price(compared, 1, self.certificate)
        found: Doubles = np.maximum(np.log10(np.asarray(compared, dtype=np.float64)), tail)
        return found


def load_calibration(fitted: Mapping[str, Any], digest: str) -> ScoreCalibration:
    """Return the calibration in a mapping, as `fit` makes it and `document` names it; digest: SHA-256 of the file.

    Raises ValueError for anything else.
    """
    try:
        corners = np.array(fitted["line"], dtype=np.float64)
        words = [fitted[name] for name in ("version", "model", "data", "split", "date", "code")]
        certificate = load_certificate(fitted, digest)
    except (KeyError, TypeError, AttributeError) as fault:
        raise ValueError("not a calibration of scores: a part is missing") from fault
    if not all(isinstance(word, str) and 0 < len(word) <= MOST_WORDS for word in words):
        raise ValueError("a calibration names version, model, data, split, date and code")
    if corners.ndim != 2 or corners.shape[1:] != (2,) or len(corners) < 2:
        raise ValueError("a calibration's line is a list of pairs: raw score and log10 ratio")
    rising = np.isfinite(corners).all() and (np.diff(corners, axis=0) > 0).all()
    finite = all(
        math.isfinite(each)
        for tail in certificate.tails
        for each in (tail.level, *tail.share, *tail.rate)
    )
    if not (rising and finite and certificate.trials > 0):
        raise ValueError("a calibration's line rises, and its numbers are numbers")
    return ScoreCalibration(str(fitted["model"]), corners[:, 0], corners[:, 1], certificate)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Raw scores of known people, to fit or judge a calibration with.

    mated (m,) float64, person (m,): whose each is
    non_mated (k,) float64, people (k, 2): whose each is
    """

    mated: Doubles = field(repr=False)
    person: NDArray[np.intp] = field(repr=False)
    non_mated: Doubles = field(repr=False)
    people: NDArray[np.intp] = field(repr=False)

    def of(self, chosen: Sequence[int] | NDArray[np.intp]) -> Scores:
        """Return the scores that are of these people alone: a split by person."""
        mine, both = np.isin(self.person, chosen), np.isin(self.people, chosen).all(axis=1)
        return Scores(self.mated[mine], self.person[mine], self.non_mated[both], self.people[both])


def fit(scores: Scores, rng: np.random.Generator) -> dict[str, Any]:
    """Return line, tail and counts fitted on scores; `document` names them, `load_calibration` reads them.

    Each person has the same weight in the body, however often they were captured. The intervals of the tail are
    bootstraps over people, not over comparisons. Raises ValueError for too few scores, scores that are not numbers
    and mates that do not score higher.
    """
    mated, non_mated = scores.mated, scores.non_mated
    people = np.unique(scores.person)
    if len(people) < LEAST_PEOPLE or len(non_mated) < LEAST_NON_MATED:
        raise ValueError(
            f"a calibration needs mated scores of {LEAST_PEOPLE} people and {LEAST_NON_MATED} non-mated scores"
        )
    if not (np.isfinite(mated).all() and np.isfinite(non_mated).all()):
        raise ValueError("a score is not a number")
    share = max(TAIL_SHARE, TAIL_COUNT / len(non_mated))
    tail = _tail(scores, share, rng)
    line = _line(scores)
    if line[1] <= 0:
        raise ValueError("mates do not score higher than others: nothing can be fitted")
    least = math.log10(RULE_OF_THREE / len(people))
    reach = tail.bend + (
        math.log(share * len(non_mated) / RULE_OF_THREE) + EXTRAPOLATED * math.log(10)
    ) / float(tail.rate[1])
    at, level, rise = _corner(tail, line, reach)
    if not least < level:
        raise ValueError("others score as high as mates: nothing can be fitted")
    fallen = np.exp(-tail.rate[::-1] * (at - tail.bend))
    return {
        "line": [
            [at + (least - level) / line[1], least],
            [at, level],
            [reach, level + rise * (reach - at)],
        ],
        "trials": len(non_mated),
        "mated": len(mated),
        "people": len(people),
        "tails": [
            {
                "samples": 1,
                "level": level,
                "share": (tail.share * fallen).tolist(),
                "rate": (tail.rate / rise).tolist(),
            }
        ],
    }


def document(fitted: Mapping[str, Any], **named: str) -> dict[str, Any]:
    """Return what a calibration's file holds: version, model, data, split, date, code, then what was fitted.

    Raises ValueError, as `load_calibration` does, for a name that is missing.
    """
    whole = {**named, **fitted}
    load_calibration(whole, "")
    return whole


def cost(calibration: ScoreCalibration, scores: Scores) -> float:
    """Return Cllr, the cost of likelihood ratios in bits: 0 is perfect, 1 is no better than saying nothing.

    Brümmer, du Preez 2006, equation 17; each score has the same weight.
    """
    mated, others = (calibration.ratios(each) for each in (scores.mated, scores.non_mated))
    bits = np.log2(1 + 10**-mated).mean() + np.log2(1 + 10**others).mean()
    return float(bits) / 2


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """Non-mated scores above the bend: share · exp(-rate · (raw - bend)), (3,) each: least, likeliest, greatest.

    density   of mated scores there, a unit of raw score, taken to be flat up to twice their median
    """

    bend: float
    share: Doubles
    rate: Doubles
    density: float


def _tail(scores: Scores, share: float, rng: np.random.Generator) -> _Tail:
    bend = float(np.quantile(scores.non_mated, 1 - share))
    above, mates = scores.non_mated > bend, scores.mated[scores.mated > bend]
    if not above.any() or not len(mates):
        raise ValueError("mates do not score higher than others: nothing can be fitted")
    rate = 1 / float((scores.non_mated[above] - bend).mean())
    shares, rates = _spread(scores, bend, rng)
    flat = len(mates) / len(scores.mated) / (2 * float(np.median(mates) - bend))
    return _Tail(bend, share * shares, rate * rates, flat)


def _corner(tail: _Tail, line: tuple[float, float], reach: float) -> tuple[float, float, float]:
    """Return where the line of the body gives way to that of the tail: raw score, ratio, and the slope beyond.

    Of the two the lower counts: the body's line says nothing of what was never seen, and the tail's overrates what lies
    between both kinds of scores.
    """
    steep = float(tail.rate[1]) / math.log(10)
    modelled = math.log10(tail.density / float(tail.share[1] * tail.rate[1]))
    offset, slope = line
    fitted = offset + slope * tail.bend
    if fitted >= modelled:
        return tail.bend, modelled, steep
    if slope > steep:
        crossing = tail.bend + (modelled - fitted) / (slope - steep)
        if crossing < reach:
            return crossing, offset + slope * crossing, steep
    return tail.bend, fitted, slope


def _line(scores: Scores) -> tuple[float, float]:
    """Return offset and slope of the logistic fit in log10 units, both kinds of scores weighing the same."""
    _, member, times = np.unique(scores.person, return_inverse=True, return_counts=True)
    mated = 1 / times[member]
    weight = np.concatenate(
        [mated / mated.sum() / 2, np.full(len(scores.non_mated), 0.5 / len(scores.non_mated))]
    )
    value = np.concatenate([scores.mated, scores.non_mated])
    middle, scale = float(value @ weight), float(np.std(value)) or 1.0
    design = np.column_stack([np.ones(len(value)), (value - middle) / scale])
    penalty = np.diag([0.0, RIDGE])
    same = np.arange(len(value)) < len(scores.mated)
    weights = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -40, 40)))
        slope = design.T @ (weight * (chance - same)) + penalty @ weights
        curve = (design.T * (weight * chance * (1 - chance))) @ design + penalty
        step = np.linalg.solve(curve + 1e-9 * np.eye(2), slope)
        weights -= step * min(1, LONGEST_STEP / max(np.abs(step).max(), 1e-12))
    offset, slope = weights / math.log(10)
    return float(offset - slope * middle / scale), float(slope / scale)


def _spread(scores: Scores, bend: float, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Return the 95 % intervals of share and rate relative to their estimates, (3,) each.

    People are drawn; a pair counts as often as both of its people were.
    """
    names, both = np.unique(scores.people, return_inverse=True)
    first, second = both.reshape(-1, 2).T
    above = scores.non_mated > bend
    excess, drawn = scores.non_mated[above] - bend, []
    for _ in range(BOOTSTRAPS):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        weight = (times[first] * times[second]).astype(np.float64)
        if weight[above].any():
            drawn.append(
                (weight[above].sum() / weight.sum(), weight[above].sum() / (weight[above] @ excess))
            )
    share, rate = np.array(drawn).reshape(-1, 2).T
    return _relative(share, float(above.mean())), _relative(rate, 1 / float(excess.mean()))


def _relative(drawn: Doubles, estimate: float) -> Doubles:
    low, high = np.quantile(drawn / estimate, (0.025, 0.975))
    return np.array([min(low, 1.0), 1.0, max(high, 1.0)])
