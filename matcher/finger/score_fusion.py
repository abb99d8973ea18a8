"""What the stages saw → one log10 likelihood ratio a finger, and fingers of one person added with care.

The score of a finger says how many times likelier its evidence is if both prints are of one finger than if
they are not, as a power of ten: 0 says nothing, 3 a thousand times. Its weights were fitted by
the model fitting of `passerelle-exercises`; the file that holds them names data, split and code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import resources

import numpy as np

from matcher.finger.alignment import Evidence
from matcher.finger.template import Floats

LIKELIHOOD_FILE = "likelihood.json"
LEAST_RATIO = (
    -1.5
)  # log10; about 3 % of mated pairs share too little to be seen, so no finger excludes more
FEATURE_NAMES = ("likeness", "closeness", "paired", "expected", "turned")
FEATURES = len(FEATURE_NAMES)
TURN_SPREAD = (
    0.44  # radians, 25°; fingers of one person lie on sensors within 45° of each other (FVC2002)
)
TURNED_ANYHOW = (
    0.1  # share of mated pairs for which any turn is as likely, so that no turn excludes
)
MOST_RATIO = 12.0  # log10; our data cannot tell a million million from more
# Share of a finger's evidence that another finger of the same two people repeats; ten fingers count as 4.3. Of people
# composed of FVC2002's fingers (`tests/bench/dependence.py`), sensor, extractor and condition make scores of two fingers
# correlate by 0.03 (0.00 to 0.07 at 95 %) where they are no mates, and by 0.17 (0.07 to 0.27) where they are. Nobody there has
# two fingers: what one person's skin adds is not known, and stands within this number for those who are no mates.
DEPENDENCE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Likelihood:
    """Fitted weights: log10 ratio = slope · (features · weights + bias), bent once at the tail.

    mean, scale, weights (5,): of `features`; bias in log10 units
    bend, level, slope: beyond `bend` the ratio rises from `level` with `slope`
    coarse: (offset, slope) of the ratio that the local stage alone gives
    digest: SHA-256 of the file, hexadecimal
    """

    mean: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    weights: Floats = field(repr=False)
    bias: float
    bend: float
    level: float
    slope: float
    coarse: tuple[float, float]
    digest: str


@cache
def default_likelihood() -> Likelihood:
    """Return the weights that are shipped beside this module."""
    packed = (resources.files("matcher.finger") / LIKELIHOOD_FILE).read_bytes()
    return load_likelihood(json.loads(packed), sha256(packed).hexdigest())


def load_likelihood(fitted: Mapping[str, object], digest: str) -> Likelihood:
    """Return the weights in a fitted mapping, as model fitting in `passerelle-exercises` makes it."""
    numbers = {name: np.asarray(fitted[name], dtype=np.float64) for name in _FITTED}
    if any(numbers[name].shape != (FEATURES,) for name in ("mean", "scale", "weights")):
        raise ValueError("this likelihood belongs to another version of the code")
    mean, scale, weights = (
        numbers[name].astype(np.float32) for name in ("mean", "scale", "weights")
    )
    bias, bend, level, slope = (float(numbers[n]) for n in ("bias", "bend", "level", "slope"))
    coarse = float(numbers["coarse"][0]), float(numbers["coarse"][1])
    return Likelihood(mean, scale, weights, bias, bend, level, slope, coarse, digest)


_FITTED = ("mean", "scale", "weights", "bias", "bend", "level", "slope", "coarse")


def features(evidence: Evidence) -> Floats:
    """Return what the likelihood weighs, (b, 5) float32.

    Each paired minutia speaks for one finger by its likeness and closeness, each that the sparser finger
    shows in the overlap against it, for the other one's may be the extractor's alone; what is paired counts
    the more the more of the overlap it is; and a turn speaks by its log10 likelihood beside no turn.
    """
    paired = evidence.likeness * evidence.closeness / evidence.overlap
    upright = np.exp((evidence.turned - 1) * np.float32(TURN_SPREAD**-2))
    turned = np.log10((1 - TURNED_ANYHOW) * upright + TURNED_ANYHOW)
    columns: Sequence[Floats] = (
        evidence.likeness,
        evidence.closeness,
        paired,
        evidence.expected,
        turned,
    )
    return np.stack(columns, axis=1).astype(np.float32)


def weighed(evidence: Evidence, likelihood: Likelihood) -> tuple[Floats, Floats]:
    """Return what each feature adds to the logistic score in log10 units, (b, 5), and what each begins with."""
    share = likelihood.weights / likelihood.scale
    parts: Floats = features(evidence) * share
    start: Floats = np.float32(likelihood.bias - float(likelihood.mean @ share)) - evidence.doubt
    return parts, start


def raw_ratio(evidence: Evidence, likelihood: Likelihood) -> Floats:
    """Return the logistic score in log10 units, (b,), before its tail is bent to what was measured."""
    parts, start = weighed(evidence, likelihood)
    raw: Floats = (parts.sum(axis=1) + start).astype(np.float32)
    return raw


def bend(raw: Floats, likelihood: Likelihood) -> Floats:
    """Return raw ratios with their tail bent to what was measured, within the bounds of one finger."""
    above = raw - np.float32(likelihood.bend)
    bent = np.where(above > 0, above * np.float32(likelihood.slope), above)
    bent += np.float32(likelihood.level)
    return np.clip(bent, LEAST_RATIO, MOST_RATIO).astype(np.float32)


def finger_ratio(evidence: Evidence, likelihood: Likelihood) -> Floats:
    """Return the log10 likelihood ratio of each finger comparison, (b,) float32."""
    return bend(raw_ratio(evidence, likelihood), likelihood)


def coarse_ratio(local: Floats, likelihood: Likelihood) -> Floats:
    """Return the log10 ratio that the local stage alone supports; it ranks, it never decides.

    It nears its least value smoothly, so that the order of unlike fingers is kept.
    """
    offset, slope = likelihood.coarse
    ratio = np.minimum(local * np.float32(slope) + np.float32(offset), np.float32(MOST_RATIO))
    above: Floats = np.log10(1 + np.power(np.float32(10), ratio - np.float32(LEAST_RATIO)))
    return above + np.float32(LEAST_RATIO)


def fuse(ratios: Floats) -> Floats:
    """Return the log10 ratio of people from those of their fingers, (p, 10) → (p,) float32.

    nan stands for a finger that was not compared and says nothing. Of k fingers' evidence, k equally
    dependent votes, k / (1 + (k - 1) · DEPENDENCE) count. A person without any compared finger gets -inf.
    """
    compared = ~np.isnan(ratios)
    number = compared.sum(axis=1)
    total = np.where(compared, ratios, 0).sum(axis=1)
    fused = total / (1 + np.maximum(number - 1, 0) * DEPENDENCE)
    return np.where(number > 0, fused, -np.inf).astype(np.float32)
