"""Samples → a prepared probe, or which finger is too poor to search and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from matcher.errors import MalformedRecord
from matcher.finger.descriptors import (
    Finger,
    Model,
    default_model,
    describe,
    distinct,
    first_of_equals,
)
from matcher.finger.record_fmr import MOST_POSITION, read
from matcher.finger.template import PPCM, Minutiae

# What is refused here is what would score beyond what it shows. Stated quality is on a scale of the extractor's own and
# decides nothing: a record with few minutiae reaches a low score and no more, as `tests/bench/sparse.py` measures.
LEAST_MINUTIAE = 4  # distinct; with three any two fingers agree
LEAST_AREA = 0.15  # square centimetres that minutiae span where they are many; a fingertip shows two to three
AREA_EACH = 0.003  # of it for each minutia where they are few; ridges are half a millimetre apart
MOST_SPAN = 7.0  # centimetres between minutiae; a finger is shorter, so such a resolution is wrong
# What is crowded or runs all one way meets whatever else does by chance: two such records of two people would
# score like one finger. Of 958 records of FVC2002 none reaches any of these bounds.
CROWDED = 14.0, 0.50  # pixels, radians: how near is a neighbour that may be mistaken for a minutia
MOST_CROWDED = 2.5  # such neighbours of a minutia, in the mean (FVC2002: 2.31 at most)
QUARTER_CROWDED = 1.1  # of the least crowded quarter of the minutiae (1.05)
MOST_PARALLEL = 0.95  # length of the mean direction (0.81)
MANY = 12  # minutiae; fewer may all point one way by chance, if they stand apart
APART = 0.02  # square centimetres for each of them

UNKNOWN_POSITION = 0  # of a probe's finger of which nobody says which it is (ANSI/NIST-ITL 14.013)
MOST_IMPRESSIONS = (
    4  # of one finger, of a probe as of an enrolled person; each more costs accuracy of the others
)
MOST_FINGERS = 10

FaultCode = Literal["TOO_FEW_MINUTIAE", "AREA_TOO_SMALL", "QUALITY_TOO_LOW"]


class PositionMismatch(ValueError):
    """A record names another finger than the one it was declared to be."""


class NothingUsable(ValueError):
    """No finger is good enough to be searched or enrolled; `faults` has one for each that was given."""

    def __init__(self, faults: tuple[SampleFault, ...]) -> None:
        super().__init__("no finger is good enough: capture again")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class FingerSample:
    """One record of one finger and its declared position, 1-10; 0 = nobody knows."""

    position: int
    record: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SampleFault:
    """A finger that is too poor, and in what."""

    position: int
    code: FaultCode


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """The usable impressions of one person's fingers, ready to be compared with many, and the faults of the others.

    fingers   position and template of each impression, ascending. Those of one known position are of one finger;
              each of an unknown one, 0, is a finger of its own.
    """

    fingers: tuple[tuple[int, Finger], ...] = field(repr=False)
    faults: tuple[SampleFault, ...]

    @property
    def usable(self) -> tuple[int, ...]:
        """The position of each finger that can be searched, ascending: one for all impressions of it."""
        return tuple(distinct_fingers([position for position, _ in self.fingers]))

    @property
    def columns(self) -> tuple[int, ...]:
        """Which of the fingers in `usable` each impression is of."""
        known = {position: at for at, position in enumerate(self.usable) if position}
        return tuple(known.get(position, at) for at, (position, _) in enumerate(self.fingers))

    def destroy(self) -> None:
        """Overwrite every array of the probe with zeros, in place."""
        for _, finger in self.fingers:
            finger.destroy()


def prepare(fingers: Sequence[tuple[int, Minutiae]], model: Model | None = None) -> Probe:
    """Return the probe of one person's fingers; poor ones become faults.

    Raises ValueError for a position outside 0-10, one known position given more than MOST_IMPRESSIONS times, or
    more than ten fingers.
    """
    positions = [position for position, _ in fingers]
    check_positions([each for each in positions if each != UNKNOWN_POSITION])
    if len(distinct_fingers(positions)) > MOST_FINGERS:
        raise ValueError("a person has at most ten fingers")
    used = default_model() if model is None else model
    ready, faults = [], []
    for position, minutiae in sorted(fingers, key=lambda each: each[0]):
        code = assess(minutiae)
        if code is None:
            ready.append((position, describe(minutiae, used)))
        else:
            faults.append(SampleFault(position, code))
    return Probe(tuple(ready), tuple(faults))


def assess(minutiae: Minutiae) -> FaultCode | None:
    """Return why a finger is too poor to be searched or enrolled, or None; judged is what would be compared."""
    kept = distinct(minutiae)
    xy = minutiae.xy[kept]
    places = xy[first_of_equals(xy[:, 0], xy[:, 1])]
    if len(places) < LEAST_MINUTIAE:
        return "TOO_FEW_MINUTIAE"
    area = _spanned(places)
    if area < min(LEAST_AREA, AREA_EACH * len(places)):
        return "AREA_TOO_SMALL"
    too_long = np.ptp(places, axis=0).max() > MOST_SPAN * PPCM
    if too_long or _like_anything(xy, np.exp(1j * minutiae.angle[kept]), area):
        return "QUALITY_TOO_LOW"
    return None


def read_sample(sample: FingerSample) -> Minutiae:
    """Return the one view of a sample's record.

    A record's position 0, unknown, gives way to the declared one. Raises MalformedRecord for a record that
    breaks its standard or holds several views, PositionMismatch for any other position.
    """
    record = read(sample.record)
    if len(record.views) != 1:
        raise MalformedRecord("more than one view of a finger", 0)
    view = record.views[0]
    if view.position not in (UNKNOWN_POSITION, sample.position):
        raise PositionMismatch("the record names another finger than was declared")
    return view.minutiae


def check_positions(positions: Sequence[int]) -> None:
    """Raise ValueError unless each position is one of 1-10 and given at most MOST_IMPRESSIONS times."""
    if not all(1 <= position <= MOST_POSITION for position in positions):
        raise ValueError("a finger position is one of 1 to 10")
    if any(count > MOST_IMPRESSIONS for count in Counter(positions).values()):
        raise ValueError(f"more than {MOST_IMPRESSIONS} impressions of one finger")


def distinct_fingers(positions: Iterable[int]) -> list[int]:
    """Return the position of each finger, ascending: a known one once, an unknown one each time."""
    given = sorted(positions)
    unknown = given.count(UNKNOWN_POSITION)
    return [*given[:unknown], *dict.fromkeys(given[unknown:])]


def _like_anything(xy: np.ndarray, heading: np.ndarray, area: float) -> bool:
    """Return whether minutiae stand so close, or point so much one way, that any like record would match."""
    apart = len(xy) < MANY and area >= min(LEAST_AREA, APART * len(xy))
    if abs(heading.mean()) > MOST_PARALLEL and not apart:
        return True
    x, y = (each[:, None] - each for each in xy.T)
    square = x * x + y * y
    turned = 1 - (heading[:, None] * heading.conj()).real
    near = np.exp(-square / (2 * CROWDED[0] ** 2) - turned / CROWDED[1] ** 2)
    crowd = near.sum(axis=1) - 1  # but for itself
    at = (len(crowd) - 1) / 4
    below, above = np.sort(crowd)[[math.floor(at), math.ceil(at)]]
    quarter = below + (above - below) * (at % 1)
    return bool(crowd.mean() > MOST_CROWDED or quarter > QUARTER_CROWDED)


def _spanned(places: np.ndarray) -> float:
    """Return the area of the box along the principal axes of the minutiae, in square centimetres."""
    centred = places.astype(np.float64) - places.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    return float(np.prod(np.ptp(centred @ axes.T, axis=0))) / PPCM**2
