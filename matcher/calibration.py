"""The threshold for a promised FPIR, and the certificate that says on what the promise rests.

A search makes one comparison with each of N people, so each may err with probability FPIR / N (union bound;
people need not be independent). That rate lies far beyond what public data can show, so the tail of the
non-mated scores is modelled: above a level that is often reached, the share of non-mated people at or above
a score falls exponentially. Level, share and rate were fitted for each number of samples used (fingers, eyes);
the file says on what data, and the interval says how far the fit may be off.

Each person is held against the threshold of as many samples as they share with the probe, whatever others share: the
bound is one of each person, so the promise holds in a gallery where people have one sample and ten.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

import numpy as np
from numpy.typing import ArrayLike, NDArray

CERTIFICATE_FILE = "certificate.json"
# log10 likelihood ratio; below it the evidence speaks against the person. Many samples together of somebody else hardly
# ever come near it, so that in a small gallery the promise alone would call a match what says no.
LEAST_MATCH = 0.0
RULE_OF_THREE = (
    3.0  # no error in n trials: at most 3 / n at 95 % (Jovanovic, Levy, Am. Stat. 51, 1997)
)


@dataclass(frozen=True, slots=True)
class Tail:
    """Non-mated people at or above score s, s >= level: share · exp(-rate · (s - level)).

    Each of share and rate as (least, likeliest, greatest) at 95 %.
    """

    samples: int
    level: float
    share: tuple[float, float, float]
    rate: tuple[float, float, float]

    def score(self, rate_of_error: float) -> float:
        """Return the score that non-mated people reach at most so often, at the cautious end."""
        return self.level + max(0.0, math.log(self.share[2] / rate_of_error)) / self.rate[0]

    def errors(self, score: float) -> tuple[float, float, float]:
        """Return the share of non-mated people at or above a score: least, likeliest, greatest."""
        above = score - self.level
        if above < 0:
            return (
                self.share[0],
                1.0,
                1.0,
            )  # the model says nothing of the body; err on the safe side
        return (
            self.share[0] * math.exp(-self.rate[2] * above),
            self.share[1] * math.exp(-self.rate[1] * above),
            self.share[2] * math.exp(-self.rate[0] * above),
        )


@dataclass(frozen=True, slots=True)
class Certificate:
    """The tails by number of samples used, from 1, and what they were fitted on.

    trials    non-mated comparisons of single samples that were seen
    data, split   in words
    digest    SHA-256 of the file, hexadecimal
    """

    tails: tuple[Tail, ...]
    trials: int
    data: str
    split: str
    version: str
    digest: str

    @property
    def certain(self) -> float:
        """The least rate of error that was seen rather than modelled (rule of three)."""
        return RULE_OF_THREE / self.trials

    @property
    def id(self) -> str:
        """Version and the digest's beginning, for the ledger."""
        return f"{self.version}-{self.digest[:16]}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least fused score that is a hit: what the promise asks for, and LEAST_MATCH at least.

    fpir_expected   share of non-mated searches that reach it, by the likeliest fit
    interval        the same, at the two ends of the fit's 95 % interval; the upper end is at most what was asked
    extrapolated    whether the rate lies beyond what was seen (rule of three), and rests on the tail's shape
    calibration_id  version and digest of the certificate, for the ledger
    """

    score: float
    fpir_expected: float
    interval: tuple[float, float]
    extrapolated: bool
    calibration_id: str


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """The FPIR of a score in a gallery of one size.

    fpir       share of searches without a mate that reach the score, by the likeliest fit
    interval   the same at the two ends of the fit's 95 % interval; below the tail its upper end is 1
    modelled   whether the rate of one comparison lies below what was seen (rule of three), so that the
               number rests on the tail's shape
    calibration_id  version and digest of the certificate, for the ledger
    """

    fpir: float
    interval: tuple[float, float]
    modelled: bool
    calibration_id: str


@cache
def default_certificate() -> Certificate:
    """Return the certificate of fingers that is shipped; a model's of faces or irises is in its calibration."""
    packed = (resources.files("matcher.finger") / CERTIFICATE_FILE).read_bytes()
    return load_certificate(json.loads(packed), sha256(packed).hexdigest())


def load_certificate(fitted: Mapping[str, object], digest: str) -> Certificate:
    """Return the certificate in a fitted mapping, as model fitting in `passerelle-exercises` makes it."""
    rows = fitted["tails"]
    if not isinstance(rows, list) or not rows:
        raise ValueError("a certificate has a tail for each number of samples")
    # Fingers' file has its own word for samples, and its digest is in ledgers.
    if [row.get("samples", row.get("fingers")) for row in rows] != list(range(1, len(rows) + 1)):
        raise ValueError(
            "a certificate has a tail for each number of samples, from 1, without a gap"
        )
    tails = tuple(
        Tail(number, float(row["level"]), _three(row["share"]), _three(row["rate"]))
        for number, row in enumerate(rows, 1)
    )
    data, split, version = (str(fitted[name]) for name in ("data", "split", "version"))
    return Certificate(tails, int(str(fitted["trials"])), data, split, version, digest)


def tails_for(shared: int, certificate: Certificate | None = None) -> tuple[Tail, ...]:
    """Return the tails that bound whoever shares so many samples with the probe: of that number and of each greater one.

    Fits of neighbouring numbers cross: without the greater ones, one more sample could ask for a higher score. Raises
    ValueError for fewer than one sample and for more than were fitted.
    """
    held = default_certificate() if certificate is None else certificate
    if not 1 <= shared <= len(held.tails):
        raise ValueError("samples that are shared are 1 to as many as were fitted")
    return held.tails[shared - 1 :]


def threshold(
    fpir: float, size: int, shared: int, certificate: Certificate | None = None
) -> Threshold:
    """Return the least score that keeps false alarms at `fpir` in a gallery of `size` people.

    fpir     share of non-mated searches that may raise a candidate, 0 < fpir < 1
    size     people enrolled; 0 counts as 1
    shared   samples that the person shares with the probe, from 1 to as many as the certificate has tails
    certificate  None = that of fingers

    Whoever shares more has no higher threshold. It is recalibrated by calling again when the gallery has grown.
    Raises ValueError outside these ranges.
    """
    held = default_certificate() if certificate is None else certificate
    if not 0 < fpir < 1 or size < 0:
        raise ValueError("an FPIR lies between 0 and 1, a size is not negative")
    people = max(1, size)
    level = max(LEAST_MATCH, *(tail.score(fpir / people) for tail in tails_for(shared, held)))
    found = score(level, size, shared, held)
    return Threshold(
        score=level,
        fpir_expected=found.fpir,
        interval=found.interval,
        extrapolated=fpir / people < held.certain,
        calibration_id=found.calibration_id,
    )


def price(
    ways: ArrayLike, shared: ArrayLike, certificate: Certificate | None = None
) -> NDArray[np.float64]:
    """Return by how much a score must exceed the threshold that was the best of so many ways, each not below one.

    ways, shared   of each person: in how many ways they were compared, by how many shared samples; 0 counts as 1

    Each way may err at its part of the rate alone (union bound), which the tail of so many samples reaches this much
    higher.
    """
    held = default_certificate() if certificate is None else certificate
    rates = np.array([tail.rate[0] for tail in held.tails])
    at = np.maximum(np.asarray(shared, dtype=np.intp), 1) - 1
    dearer: NDArray[np.float64] = np.log(np.asarray(ways, dtype=np.float64)) / rates[at]
    return dearer


def rarity(
    scores: ArrayLike, shared: ArrayLike, certificate: Certificate | None = None
) -> NDArray[np.float64]:
    """Return how rare scores are of non-mated people who share so many samples: minus ln of the share that reaches them.

    scores, shared   of each person: log10 likelihood ratio; number of shared samples, 0 counts as 1

    At the cautious ends of the fits. A score reaches `threshold` where its rarity reaches -ln(fpir / size), whatever
    the two are, and the score LEAST_MATCH; so this orders people of whom each is held against a threshold of their own, and the best of them is
    the last to be no match as the promise grows stricter. Below the tails it orders and means no share.
    """
    held = default_certificate() if certificate is None else certificate
    level, share, rate = np.array([(t.level, t.share[2], t.rate[0]) for t in held.tails]).T
    at = np.maximum(np.asarray(shared, dtype=np.intp), 1) - 1
    each = (np.asarray(scores, dtype=np.float64)[..., None] - level) * rate - np.log(share)
    bounds = np.where(np.arange(len(level)) >= at[..., None], each, np.inf)
    found: NDArray[np.float64] = bounds.min(axis=-1)
    return found


def score(
    value: float, size: int, shared: int, certificate: Certificate | None = None
) -> FalseAlarms:
    """Return how often a search without a mate reaches a fused score in a gallery of `size` people who share so much.

    size and shared as in `threshold`, whose inverse this is at the upper end of the interval.
    """
    held = default_certificate() if certificate is None else certificate
    if size < 0 or math.isnan(value):
        raise ValueError("a score is a number, a size is not negative")
    people = max(1, size)
    bounds = [tail.errors(value) for tail in tails_for(shared, held)]
    errors = [max(each) for each in zip(*bounds, strict=True)]
    least, likeliest, greatest = (min(1.0, people * each) for each in errors)
    return FalseAlarms(
        fpir=likeliest,
        interval=(least, greatest),
        modelled=errors[1] < held.certain,
        calibration_id=held.id,
    )


def _three(values: list[float]) -> tuple[float, float, float]:
    least, likeliest, greatest = (float(value) for value in values)
    if not 0 < least <= likeliest <= greatest:
        raise ValueError("an interval's ends are out of order")
    return least, likeliest, greatest
