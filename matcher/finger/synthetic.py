"""People who do not exist, several impressions of each finger: for tests, the demo, canaries, partners and measurements.

A finger is a ridge flow around a core (and a delta, and sometimes a second pair), and minutiae that lie in
it, no two too near. An impression turns and shifts it, stretches the skin, shows a part, misses some
minutiae, adds some that are not there, and blurs the rest. All of it follows from the seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from matcher.finger.probe import check_positions
from matcher.finger.record_fmr import Format, View, at_197, write
from matcher.finger.template import Floats, Minutiae

# --- statistics of the records in FVC2002 as an extractor of the field sees them (matching.md 1): 27 to 47
# --- minutiae a record, nearest neighbours 12 pixels and more apart.
WIDTH, HEIGHT = 360.0, 400.0  # pixels at 500 ppi; 18 × 20 mm
RADII = (165.0, 190.0)  # pixels; the fingertip is an ellipse
LEAST_MINUTIAE = 30  # on the whole fingertip; real ones have more
TURNED = 0.18  # radians, spread
SHIFTED = 16.0  # pixels, spread
STRETCH_REACH = 90.0  # pixels over which the distortion changes
CONFUSED = 0.15  # share whose kind it mistakes
LEAST_SHOWN, MOST_MISSED = 0.3, 0.7  # of the hardest captures
WHORLS = 0.35  # share of fingers with two cores and two deltas


@dataclass(frozen=True, slots=True)
class Build:
    """How minutiae lie on a fingertip: number (mean, spread), least distance in pixels, share of its radii."""

    minutiae: tuple[float, float]
    apart: float
    share: float


ROLLED = Build((52, 6), 13.0, 1.0)
# Counted on FVC2002 (two extractors, eight sets): 26-47 minutiae a record with a spread of 7-19, over boxes of
# 0.9-1.7 cm²; half of them 13-21 pixels from their nearest neighbour, one in twenty 5-8.
TOUCHED = Build((36, 10), 6.0, 0.68)


@dataclass(frozen=True, slots=True)
class Capture:
    """How well an impression is taken and read.

    shown      share of the fingertip's radii that it shows, around a middle with this spread in pixels: pressed
    stretched  pixels, spread of the smooth distortion
    placed     pixels, spread of a minutia's place; aimed: radians, of its direction
    missed     share of minutiae that an extractor misses; spurious: share that it invents
    """

    shown: float = 0.86
    pressed: float = 14.0
    stretched: float = 3.0
    placed: float = 1.6
    aimed: float = 0.09
    missed: float = 0.12
    spurious: float = 0.10


CAREFUL = Capture()
# What difficulty 1 adds to a careful capture.
HARDER = Capture(-0.22, 14.0, 2.5, 1.2, 0.09, 0.22, 0.30)
# Of the difficulty's logarithm: the middle, and the spreads over people and over impressions. With them the scores of
# mates fall as those of FVC2002 do, two extractors and four sensors together, or a little lower, and those of two
# fingers of a person correlate by 0.27, the upper end of what was estimated there (`tests/bench/dependence.py`).
DIFFICULTY = -1.85, 0.55, 0.8


def capture(difficulty: float) -> Capture:
    """Return the capture of a difficulty; 0 is a careful one."""
    made = {
        each.name: getattr(CAREFUL, each.name) + difficulty * getattr(HARDER, each.name)
        for each in fields(Capture)
    }
    made["shown"] = max(LEAST_SHOWN, made["shown"])
    made["missed"] = min(MOST_MISSED, made["missed"])
    return Capture(**made)


def field_capture(whose: Person, position: int, seed: int) -> Capture:
    """Return how an impression is taken where nobody chooses the good ones: some people's are worse than others'."""
    middle, people, impressions = DIFFICULTY
    person_is = np.random.default_rng([whose.seed, 0, 0, 2]).normal()
    this_is = np.random.default_rng([whose.seed, position, seed, 2]).normal()
    return capture(float(np.exp(middle + people * person_is + impressions * this_is)))


@dataclass(frozen=True, slots=True)
class Person:
    """Ten fingers that follow from a seed."""

    seed: int
    build: Build = ROLLED

    def finger(self, position: int) -> Minutiae:
        """Return the whole finger without any error, as no sensor ever sees it."""
        check_positions([position])
        rng = np.random.default_rng([self.seed, position])
        flow = _flow(rng)
        least = LEAST_MINUTIAE * self.build.share**2
        number = round(max(least, rng.normal(*self.build.minutiae)))
        xy = _scattered(rng, number, self.build)
        against = rng.random(len(xy)) < 0.5  # a ridge ends either way
        angle = flow.direction(xy) + np.pi * against + rng.normal(0, 0.05, len(xy))
        kind = np.where(rng.random(len(xy)) < 0.6, 1, 2)
        return _minutiae(xy, angle, kind, rng)


@dataclass(frozen=True, slots=True, eq=False)
class _Flow:
    """Ridge directions by the zero-pole model (Sherlock, Monro, Pattern Recognition 26(7), 1993)."""

    cores: Floats
    deltas: Floats
    base: float

    def direction(self, xy: Floats) -> Floats:
        total = np.full(len(xy), self.base)
        for points, sign in ((self.cores, 0.5), (self.deltas, -0.5)):
            for x, y in points:
                total += sign * np.arctan2(y - xy[:, 1], xy[:, 0] - x)
        return total


def person(seed: int, build: Build = ROLLED) -> Person:
    """Return the person of a seed."""
    return Person(seed, build)


def impression(whose: Person, position: int, seed: int, taken: Capture = CAREFUL) -> Minutiae:
    """Return one impression of a person's finger as an extractor would report it."""
    master = _master(whose, position)
    rng = np.random.default_rng([whose.seed, position, seed, 1])
    xy = master.xy.astype(np.float64)
    kept = rng.random(len(xy)) > taken.missed
    kept &= _inside(xy, rng.normal(0, taken.pressed, 2), taken.shown)
    xy = xy[kept] + _stretch(rng, xy[kept], taken.stretched)
    turn, shift = rng.normal(0, TURNED), rng.normal(0, SHIFTED, 2)
    xy = _turned(xy, turn) + shift + rng.normal(0, taken.placed, xy.shape)
    angle = master.angle[kept] + turn + rng.normal(0, taken.aimed, len(xy))
    kind = master.kind[kept].astype(np.int64)
    kind = np.where(rng.random(len(xy)) < CONFUSED, 3 - kind, kind)
    invented = _scattered(rng, max(1, round(taken.spurious * len(xy))), whose.build)
    xy = np.concatenate([xy, invented])
    angle = np.concatenate([angle, rng.uniform(0, 2 * np.pi, len(invented))])
    kind = np.concatenate([kind, rng.integers(1, 3, len(invented))])
    return _minutiae(xy, angle, kind, rng)


@lru_cache(maxsize=64)
def _master(whose: Person, position: int) -> Minutiae:
    """Return the whole finger, which all impressions of it are taken from; nobody writes to it."""
    return whose.finger(position)


def record(minutiae: Minutiae, position: int, form: int = Format.ISO_19794_2_2005) -> bytes:
    """Return minutiae as the record of one finger; position 0 = unknown."""
    return write(at_197(Format(form), (View(position, 0, 80, minutiae),)))


def _flow(rng: np.random.Generator) -> _Flow:
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    number = 2 if rng.random() < WHORLS else 1
    side = rng.choice([-1.0, 1.0])
    cores = middle + rng.normal(0, 14, (number, 2)) + [[0, -25], [0, 25]][:number]
    deltas = np.array([[side * 110, 120], [-side * 110, 120]])[:number]
    deltas = middle + deltas + rng.normal(0, 20, deltas.shape)
    # Far from all cores and deltas of equal number, ridges run level.
    return _Flow(cores, deltas, float(rng.normal(0, 0.08)))


def _scattered(rng: np.random.Generator, number: int, build: Build) -> Floats:
    """Return up to `number` places on the fingertip, none nearer to another than the least distance."""
    drawn = rng.uniform(0, 1, (number * 6, 2)) * [WIDTH, HEIGHT]
    drawn = drawn[_inside(drawn, np.zeros(2), build.share)]
    x, y = drawn.T
    taken = np.hypot(x[:, None] - x, y[:, None] - y) < build.apart
    free = np.ones(len(drawn), dtype=bool)
    kept: list[int] = []
    place = 0
    while len(kept) < number and place < len(drawn) and free[place:].any():
        place += int(free[place:].argmax())
        kept.append(place)
        free &= ~taken[place]
    scattered: Floats = drawn[kept]
    return scattered


def _inside(xy: Floats, shift: Floats, share: float) -> np.ndarray:
    middle = np.array([WIDTH / 2, HEIGHT / 2]) + shift
    inside: np.ndarray = (((xy - middle) / (np.array(RADII) * share)) ** 2).sum(axis=1) <= 1
    return inside


def _stretch(rng: np.random.Generator, xy: Floats, spread: float) -> Floats:
    """Return a smooth random displacement: a few bumps of Gaussian shape."""
    centres = rng.uniform(0, 1, (6, 2)) * [WIDTH, HEIGHT]
    pushes = rng.normal(0, spread, (6, 2))
    square = ((xy[:, None] - centres) ** 2).sum(axis=2)
    pushed: Floats = np.exp(-square / (2 * STRETCH_REACH**2)) @ pushes
    return pushed


def _turned(xy: Floats, turn: float) -> Floats:
    """Return places turned counter-clockwise about the middle; y grows downwards."""
    middle = np.array([WIDTH / 2, HEIGHT / 2])
    cos, sin = np.cos(turn), np.sin(turn)
    turned: Floats = (xy - middle) @ np.array([[cos, -sin], [sin, cos]]) + middle
    return turned


def _minutiae(xy: Floats, angle: Floats, kind: np.ndarray, rng: np.random.Generator) -> Minutiae:
    """Return whole pixels and whole angle units, as records hold them, of what lies inside the image."""
    xy = np.rint(xy)
    inside = ((xy >= 0) & (xy < [WIDTH, HEIGHT])).all(axis=1)
    units = np.rint(angle[inside] * (256 / (2 * np.pi))) % 256
    radians = (units * (2 * np.pi / 256)).astype(np.float32)
    quality = np.clip(np.rint(rng.normal(70, 12, inside.sum())), 1, 100)
    return Minutiae(xy[inside], radians, kind[inside], quality, WIDTH, HEIGHT)
