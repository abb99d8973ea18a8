"""Faces of people who do not exist, as vectors; the same numbers give the same face, on any day.

A vector is the mean face, a person's own offset and a capture's noise, along orthonormal directions, made unit. How
much each direction holds, how much of that differs between captures of one person, and how unequal captures are was
read off a real set; a test keeps spectrum and scores near it where the set is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.face import record as face_record
from matcher.face.template import FaceVector, Floats

MODEL = "facenet512"  # whose statistics these are, so that its calibration holds for them
DIMENSION = 512
PEOPLE_AT_ONCE = 2048
GROUPS = 24  # of people who look alike
GROUPS_SEED = 24
DIRECTIONS_SEED = 512  # of the directions, which a gallery does not know beforehand


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What vectors of a model are like.

    mean     energy of the mean face, of 1
    energy   (k,) of each direction, over people and captures; the rest of 1
    within   (k,) share of it that differs between captures of one person
    spread   of the logarithm of a capture's noise: some pictures are worse than others
    alike    share of a person's own energy that all people of their group have in common: the rest of the non-mated
             tail, for people who look alike are more than chance alone has
    """

    mean: float
    energy: NDArray[np.float64] = field(repr=False)
    within: NDArray[np.float64] = field(repr=False)
    spread: float
    alike: float


def _falling(directions: int, scale: float, mean: float) -> NDArray[np.float64]:
    energy = np.exp(-np.arange(directions) / scale)
    found: NDArray[np.float64] = energy * ((1 - mean) / energy.sum())
    return found


FACENET = Statistics(
    mean=0.058,
    energy=_falling(49, 20.0, 0.058),
    within=np.linspace(0.16, 0.72, 49),
    spread=0.45,
    alike=0.3,
)
FULL_RANK = Statistics(  # the hardest case of a search: no direction holds more than another
    mean=0.0,
    energy=np.full(DIMENSION - 1, 1 / (DIMENSION - 1)),
    within=np.full(DIMENSION - 1, 0.3),
    spread=0.3,
    alike=0.0,
)


def person(seed: int, like: Statistics = FACENET) -> Floats:
    """Return a person's own offset along the directions, (k,)."""
    offset: Floats = _offsets(np.random.default_rng((seed, 1)), 1, like)[0]
    return offset


def capture(offset: Floats, number: int, seed: int, like: Statistics = FACENET) -> FaceVector:
    """Return one capture of the person of a seed, whose offset is given."""
    rng = np.random.default_rng((seed, 2, number))
    return FaceVector(MODEL, _captured(offset[None], rng, like)[0])


def record(seed: int, number: int) -> bytes:
    """Return the record of one capture of the person of a seed."""
    return face_record.write(capture(person(seed), number, seed))


def crowd(seed: int, people: int, like: Statistics = FACENET) -> Iterator[Floats]:
    """Yield one capture of each of so many people, (n, 512) float32 unit vectors, some at a time."""
    for start in range(0, people, PEOPLE_AT_ONCE):
        number = min(PEOPLE_AT_ONCE, people - start)
        rng = np.random.default_rng((seed, 3, start))
        yield _captured(_offsets(rng, number, like), rng, like)


def _offsets(rng: np.random.Generator, people: int, like: Statistics) -> Floats:
    offsets = rng.standard_normal((people, len(like.energy)), dtype=np.float32)
    offsets *= np.float32(np.sqrt(1 - like.alike))
    group = _groups(len(like.energy))[rng.integers(GROUPS, size=people)]
    offsets += np.float32(np.sqrt(like.alike)) * group
    offsets *= np.sqrt(like.energy * (1 - like.within)).astype(np.float32)
    return offsets


def _captured(offsets: Floats, rng: np.random.Generator, like: Statistics) -> Floats:
    """Return a capture of each of some people, (n, 512) float32 unit vectors."""
    shape = offsets.shape
    noise = rng.standard_normal(shape, dtype=np.float32)
    noise *= np.sqrt(like.energy * like.within).astype(np.float32)
    noise *= np.exp(like.spread * rng.standard_normal((shape[0], 1), dtype=np.float32))
    along = np.concatenate([np.full((shape[0], 1), np.sqrt(like.mean)), offsets + noise], axis=1)
    vectors = along.astype(np.float32) @ _directions(shape[1] + 1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = vectors
    return found


@cache
def _groups(directions: int) -> NDArray[Any]:
    """Return what the people of each group have in common, (GROUPS, directions) float32."""
    rng = np.random.default_rng(GROUPS_SEED)
    found: NDArray[Any] = rng.standard_normal((GROUPS, directions), dtype=np.float32)
    return found


@cache
def _directions(number: int) -> NDArray[Any]:
    """Return so many orthonormal directions, (number, 512) float32; the first is the mean face's."""
    drawn = np.random.default_rng(DIRECTIONS_SEED).standard_normal((DIMENSION, number))
    return np.ascontiguousarray(np.linalg.qr(drawn)[0].T, dtype=np.float32)
