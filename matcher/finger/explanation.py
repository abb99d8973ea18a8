"""Why two fingers scored as they did: which minutiae agreed, and what each stage gave to the ratio."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from matcher.finger.alignment import align, gather, repeated
from matcher.finger.descriptors import Finger, Model, default_model, readings
from matcher.finger.score_fusion import (
    FEATURE_NAMES,
    Likelihood,
    default_likelihood,
    features,
    finger_ratio,
    weighed,
)
from matcher.finger.template import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One comparison taken apart.

    pairs          (k, 2) rows of probe and gallery finger that were paired, the closest first; a finger's
                   rows are the minutiae that `finger.distinct` keeps
    closeness      (k,) float32 in (0, 1]: how near the two lie and face after the probe was moved
    likeness       (k,) float32 in [-1, 1]: how alike their surroundings are
    moved          (n, 2) float32 pixels, x to the right and y downwards: where each probe minutia comes to
                   lie in the gallery finger's image
    resized        by how much the probe's picture was taken to be wider and higher, (1, 1) = as stated
    turn           radians counter-clockwise, and
    shift          pixels (x to the right, y downwards) after turning about the image's top left corner; what
                   the skin's stretching adds is in `moved` alone. Both in the picture that was not resized
    features       what the likelihood weighs, by name
    contributions  log10 units that each feature adds to `bias`; the sum is bent at the tail and bounded
    local          mean likeness of the best minutiae, before any alignment
    llr            log10 likelihood ratio of the comparison
    """

    pairs: Ints = field(repr=False)
    closeness: Floats = field(repr=False)
    likeness: Floats = field(repr=False)
    moved: Floats = field(repr=False)
    resized: tuple[float, float]
    turn: float
    shift: tuple[float, float]
    features: dict[str, float]
    contributions: dict[str, float]
    bias: float
    local: float
    llr: float


def explain(
    probe: Finger,
    gallery: Finger,
    likelihood: Likelihood | None = None,
    model: Model | None = None,
) -> Explanation:
    """Return why two fingers score as they do; the ratio is the one that a search would give."""
    used = default_likelihood() if likelihood is None else likelihood
    mate = gather([gallery])
    versions = readings(probe, gallery.frame, default_model() if model is None else model)
    found, *others = (align(repeated(version, 1), mate) for version in versions)
    resized = (1.0, 1.0)
    for again in others:
        if finger_ratio(again.evidence, used)[0] > finger_ratio(found.evidence, used)[0]:
            found = again
            resized = gallery.frame[0] / probe.frame[0], gallery.frame[1] / probe.frame[1]
    close, moved = found.close[0], found.moved[0, : len(probe)]
    mine = np.flatnonzero(close > 0)
    mine = mine[np.argsort(-close[mine], kind="stable")]
    theirs = found.mate[0, mine]
    parts, bias = weighed(found.evidence, used)
    return Explanation(
        pairs=np.column_stack([mine, theirs]),
        closeness=close[mine],
        likeness=found.similarity[0, mine, theirs],
        moved=np.column_stack([moved.real, -moved.imag]),
        resized=resized,
        turn=float(np.angle(found.turn[0])),
        shift=(float(found.shift[0].real), -float(found.shift[0].imag)),
        features=_named(features(found.evidence)[0]),
        contributions=_named(parts[0]),
        bias=float(bias[0]),
        local=float(found.evidence.local[0]),
        llr=float(finger_ratio(found.evidence, used)[0]),
    )


def _named(values: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(FEATURE_NAMES, values, strict=True)}
