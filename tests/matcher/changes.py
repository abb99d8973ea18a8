"""What another extractor may do to a record, and no extractor here does; what is random is drawn from `rng`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from matcher.finger.template import Minutiae

Change = Callable[[Minutiae, np.random.Generator], Minutiae]


def made(of: Minutiae, xy: np.ndarray, angle: np.ndarray, rows: np.ndarray | slice) -> Minutiae:
    inside = np.clip(xy, 0, [of.width - 0.1, of.height - 0.1])
    turned = (angle % (2 * np.pi) * 0.9999999).astype(np.float32)
    return Minutiae(inside, turned, of.kind[rows], of.quality[rows], of.width, of.height)


def sparser(of: Minutiae, rng: np.random.Generator) -> Minutiae:
    kept = rng.random(len(of)) > 0.2
    return made(of, of.xy[kept], of.angle[kept], kept)


def denser(of: Minutiae, rng: np.random.Generator) -> Minutiae:
    rows = np.r_[np.arange(len(of)), rng.integers(len(of), size=len(of) // 4)]
    noise = np.arange(len(rows)) >= len(of)
    xy = of.xy[rows] + noise[:, None] * rng.normal(0, 25, (len(rows), 2))
    return made(of, xy, of.angle[rows] + noise * rng.normal(0, 0.5, len(rows)), rows)


def unsteady(of: Minutiae, rng: np.random.Generator) -> Minutiae:
    xy = of.xy + rng.normal(0, 3, of.xy.shape)
    return made(of, xy, of.angle + rng.normal(0, np.radians(8), len(of)), slice(None))


def against_the_ridge(of: Minutiae, rng: np.random.Generator) -> Minutiae:
    return made(of, of.xy, of.angle + np.pi * (rng.random(len(of)) < 0.1), slice(None))


def further_along(of: Minutiae, _: np.random.Generator) -> Minutiae:
    ahead = np.stack([np.cos(of.angle), -np.sin(of.angle)], axis=1)
    return made(of, of.xy + 3 * ahead, of.angle, slice(None))


def of_other_sides(of: Minutiae, _: np.random.Generator) -> Minutiae:
    return resized(of, of.width * 1.2, of.height)


def upside_down(of: Minutiae, _: np.random.Generator) -> Minutiae:
    return made(of, np.array([of.width, of.height]) - of.xy, of.angle + np.pi, slice(None))


def resized(of: Minutiae, width: float, height: float) -> Minutiae:
    across, down = width / of.width, height / of.height
    angle = np.arctan2(np.sin(of.angle) * down, np.cos(of.angle) * across)
    turned = (angle % (2 * np.pi) * 0.9999999).astype(np.float32)
    xy = np.minimum(of.xy * [across, down], [width - 0.1, height - 0.1])
    return Minutiae(xy, turned, of.kind, of.quality, width, height)


def all_at_once(of: Minutiae, rng: np.random.Generator) -> Minutiae:
    for change in (sparser, denser, unsteady, against_the_ridge, further_along):
        of = change(of, rng)
    return of


def another_convention(of: Minutiae, _: np.random.Generator) -> Minutiae:
    return made(of, of.xy, of.angle + np.pi, slice(None))


CHANGES: dict[str, Change] = {
    "none": lambda of, _: of,
    "a fifth of the minutiae absent": sparser,
    "a quarter more, invented": denser,
    "3 pixels and 8° unsteady": unsteady,
    "a tenth of the directions turned about": against_the_ridge,
    "3 pixels further along the direction": further_along,
    "these five together": all_at_once,
    "upside down": upside_down,
    "a fifth wider": of_other_sides,
    "0.85 wide, 1.15 high": lambda of, _: resized(of, of.width * 0.85, of.height * 1.15),
    "a fifth smaller: a wrong resolution": lambda of, _: resized(
        of, of.width * 0.8, of.height * 0.8
    ),
    "resized to 300 x 400": lambda of, _: resized(of, 300, 400),
    "resized to 320 x 480": lambda of, _: resized(of, 320, 480),
    "all directions turned about": another_convention,
}
