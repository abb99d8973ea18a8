"""Minutiae → fixed-length local descriptors: what the neighbourhood of each minutia looks like, turned to it.

Around a minutia, in the frame of its own direction, lie cells over place and relative direction; neighbours
fill them, as in the minutia cylinder-code (Cappelli, Ferrara, Maltoni, IEEE TPAMI 32(12), 2010). We keep real
values, let each cell saturate, and whiten: a projection fitted on real fingers turns similarity into one dot
product of unit vectors.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.finger.template import Bytes, Floats, Ints, Minutiae, erase

# --- constants of the descriptor; all chosen by local-only error on FVC2002 with the projection fitted on
# --- the other databases (matching.md 4), none of them critical within ±20 %.
RADIUS = 70.0  # pixels; a cylinder's reach, about eight ridges
GRID = 8  # cells across the cylinder; those whose centre lies within the radius count
SECTORS = 6  # cells over relative direction
SPREAD = 28 / 3  # pixels; how far a neighbour's place blurs, of TPAMI 2010
TURN_SPREAD = 0.8  # radians; how far a neighbour's direction blurs
SATURATION = (
    3.0  # a cell is full after about a third of a neighbour: presence counts, crowding does not
)
LEAST_POWER = -35.0  # exp(-35) stands for nothing
MODEL_FILE = "descriptor.npz"
CANVAS = (
    300,
    400,
)  # pixels. Some extractors resize every picture to one canvas and state 500 ppi all the
# same: what such a record calls a pixel is one of unknown and unequal sides (matching.md 1, SecuGen).
MOST_COMPARED = 120  # minutiae; FVC2002's fingers show 108 at most, and time grows with the square
ODD = 0.04  # share by which two sizes may differ and still be one
DOUBT = 0.5  # log10; three of four pictures of the canvas's size were resized: a guess, for real sensors of
# that size exist (docs/adr/0013 has the errors for others)

Frame = tuple[int, int]  # width and height of the picture, pixels at 500 ppi; (0, 0) = unknown
UNKNOWN: Frame = (0, 0)

Complexes = NDArray[np.complexfloating[Any, Any]]  # complex64 wherever arrays are kept


STEPS = ((np.arange(GRID) - (GRID - 1) / 2) * (2 * RADIUS / GRID)).astype(np.float32)
INSIDE = np.flatnonzero(np.hypot(STEPS[:, None], STEPS).ravel() <= RADIUS)  # of the square of cells
DIRECTIONS = ((np.arange(SECTORS) + 0.5) * (2 * np.pi / SECTORS)).astype(np.float32)
RAW_SIZE = len(INSIDE) * SECTORS


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The fitted part of the descriptor: subtract `mean`, multiply by `projection`, make unit length.

    mean (RAW_SIZE,), projection (RAW_SIZE, d) float32; digest: SHA-256 of the file, hexadecimal
    """

    mean: Floats = field(repr=False)
    projection: Floats = field(repr=False)
    digest: str

    @property
    def size(self) -> int:
        """Numbers in a descriptor."""
        return int(self.projection.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Finger:
    """One finger ready to be compared.

    place    (m,) complex64, pixels at 500 ppi, x to the right and y *upwards*
    heading  (m,) complex64 of unit length, exp(i · angle)
    vectors  (m, d) float32, unit rows
    frame    the picture's size as stated
    scale    by how much the other finger is made wider and higher when it meets this one
    doubt    log10 units that this reading of a record is the less likely to be the right one
    """

    place: Complexes = field(repr=False)
    heading: Complexes = field(repr=False)
    vectors: Floats = field(repr=False)
    frame: Frame = UNKNOWN
    scale: tuple[float, float] = (1.0, 1.0)
    doubt: float = 0.0

    def __len__(self) -> int:
        return len(self.place)

    def destroy(self) -> None:
        """Overwrite the arrays with zeros, in place."""
        for array in (self.place, self.heading):
            erase(array.view(np.float32))
        erase(self.vectors)


@cache
def default_model() -> Model:
    """Return the model that is shipped beside this module."""
    packed = (resources.files("matcher.finger") / MODEL_FILE).read_bytes()
    return load_model(packed)


def load_model(packed: bytes) -> Model:
    """Return the model in the bytes of an .npz file; pickles in it are refused by numpy with ValueError."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        mean = np.asarray(arrays["mean"], dtype=np.float32)
        projection = np.asarray(arrays["projection"], dtype=np.float32)
    if mean.shape != (RAW_SIZE,) or projection.shape[0] != RAW_SIZE:
        raise ValueError("this descriptor model belongs to another version of the code")
    return Model(mean, projection, sha256(packed).hexdigest())


def describe(minutiae: Minutiae, model: Model) -> Finger:
    """Return a finger ready to be compared; minutiae at one place and of one direction count once."""
    place, heading = _complex(minutiae)
    frame = max(1, round(minutiae.width)), max(1, round(minutiae.height))
    return Finger(place, heading, _vectors(place, heading, model), frame)


def readings(finger: Finger, frame: Frame, model: Model) -> tuple[Finger, ...]:
    """Return what a record may mean beside records of `frame`: itself, and where it is a question a second.

    It is one where one of the two frames is the canvas that some extractors resize every picture to and the
    other is not: then the two records may be of one picture size after all. Their surroundings are compared
    as the gallery's are, their places always in the picture that was not resized.
    """
    if UNKNOWN in (finger.frame, frame) or (finger.frame == CANVAS) == (frame == CANVAS):
        return (finger,)
    across, down = frame[0] / finger.frame[0], frame[1] / finger.frame[1]
    if max(abs(across - 1), abs(down - 1)) < ODD:
        return (finger,)
    place = resized(finger.place, across, down)
    heading = resized(finger.heading, across, down)
    heading /= np.abs(heading)
    vectors = _vectors(place, heading, model)
    if finger.frame == CANVAS:
        other = Finger(place, heading, vectors, frame)
    else:
        other = replace(finger, vectors=vectors, scale=(1 / across, 1 / down))
    return replace(finger, doubt=DOUBT), other


def _vectors(place: Complexes, heading: Complexes, model: Model) -> Floats:
    vectors = (raw_descriptors(place, heading) - model.mean) @ model.projection
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / np.maximum(length, np.float32(1e-6))
    return unit


def resized(values: Complexes, across: float | Floats, down: float | Floats) -> Complexes:
    """Return places or directions of a picture made wider and higher; directions lose their length."""
    right, up = values.real * np.float32(across), values.imag * np.float32(down)
    scaled: Complexes = right + 1j * up
    return scaled.astype(np.complex64)


def raw_descriptors(place: Complexes, heading: Complexes) -> Floats:
    """Return the cells of each minutia's cylinder before whitening, (m, RAW_SIZE) float32 in [0, 1)."""
    count = len(place)
    around = (place[None, :] - place[:, None]) * heading.conj()[:, None]
    # Neighbours come last, by the dozen: along a shorter axis numpy is several times as slow.
    across, along = (
        _bell(each[:, None] - STEPS[:, None], SPREAD) for each in (around.real, around.imag)
    )
    angle = np.angle(heading).astype(np.float32)
    apart = (angle[None, :] - angle[:, None])[:, None] - DIRECTIONS[:, None]
    apart -= np.rint(apart / np.float32(2 * np.pi)) * np.float32(2 * np.pi)
    facing = _bell(apart, TURN_SPREAD)
    facing[np.arange(count), :, np.arange(count)] = 0  # a minutia is not its own neighbour
    # A cell's bell is one across times one along: rows first, so that no array is over cells and directions.
    beside = (across[:, :, None] * facing[:, None]).reshape(count, GRID * SECTORS, count)
    filled = np.matmul(along, np.ascontiguousarray(beside.swapaxes(1, 2))).reshape(
        count, GRID * GRID, SECTORS
    )[:, INSIDE]
    cells: Floats = 1 - np.exp(filled * np.float32(-SATURATION))
    return cells.reshape(count, RAW_SIZE).astype(np.float32)


def _bell(away: Floats, spread: float) -> Floats:
    power = away * away * np.float32(-0.5 / spread**2)
    # Smaller numbers are denormal in a product of two, ten times as slow, and nothing beside a neighbour.
    bell: Floats = np.exp(np.maximum(power, np.float32(LEAST_POWER), out=power), out=power)
    return bell


def distinct(minutiae: Minutiae) -> NDArray[np.intp]:
    """Return the rows that `describe` keeps, in order: the first of each place and direction.

    Beyond MOST_COMPARED those of the best stated quality, and of like quality the nearest to the middle.
    """
    first = first_of_equals(minutiae.xy[:, 0], minutiae.xy[:, 1], minutiae.angle)
    if len(first) > MOST_COMPARED:
        xy = minutiae.xy[first]
        away = np.hypot(*(xy - np.median(xy, axis=0)).T)
        order = np.lexsort((away, -minutiae.quality[first].astype(np.intp)))
        first = first[order[:MOST_COMPARED]]
    return np.sort(first)


def first_of_equals(*columns: Floats) -> Ints:
    """Return the first row of each that differs from all others, by rising values of the columns (m,), first column first."""
    order = np.lexsort(columns[::-1])
    differs = np.zeros(len(order), dtype=bool)
    differs[:1] = True
    for each in columns:
        rising = each[order]
        differs[1:] |= rising[1:] != rising[:-1]
    first: Ints = order[differs]
    return first


def _complex(minutiae: Minutiae) -> tuple[Complexes, Complexes]:
    kept = distinct(minutiae)
    xy, angle = minutiae.xy[kept], minutiae.angle[kept]
    return (xy[:, 0] - 1j * xy[:, 1]).astype(np.complex64), np.exp(1j * angle).astype(np.complex64)


# Descriptors in four bits a number: an eighth of their size, and no measurable loss of accuracy.
#
# A number of a unit vector of d numbers is about normal with spread 1/√d; sixteen even steps keep it with an
# error of an eighth of that spread, so that a likeness of two vectors errs by about 0.01 (Max, IRE Trans. Inf.
# Theory 6(1), 1960). Two numbers share a byte. The first LEADING numbers are the first bytes: low halves, then
# high halves, so that a search unpacks them with two masks and no shift.

LEADING = 64  # numbers that the local stage looks at; the second look takes all
LEVELS = 16
LEVEL_WIDTH = 0.3352  # spreads between two steps; the best for a normal number (Max 1960, table I)
MIDDLE_LEVEL = (LEVELS - 1) / 2
LOW, HIGH = 0x0F, 0xF0


def level_step(size: int) -> float:
    """Return the distance between two steps for vectors of `size` numbers."""
    return LEVEL_WIDTH / float(np.sqrt(size))


def pack(vectors: Floats) -> Bytes:
    """Return unit rows (m, d) as bytes (m, d / 2); d is even and at least LEADING."""
    levels = np.rint(vectors / np.float32(level_step(vectors.shape[1])) + np.float32(MIDDLE_LEVEL))
    codes = np.clip(levels, 0, LEVELS - 1).astype(np.uint8)
    packed = [low | high << 4 for low, high in _halves(codes)]
    return np.concatenate(packed, axis=1)


def unpack(packed: Bytes) -> Floats:
    """Return the vectors (…, d) float32 of bytes (…, d / 2)."""
    parts = []
    for some in (packed[..., : LEADING // 2], packed[..., LEADING // 2 :]):
        parts += [some & LOW, some >> 4]
    codes = np.concatenate(parts, axis=-1)
    vectors: Floats = (codes.astype(np.float32) - np.float32(MIDDLE_LEVEL)) * np.float32(
        level_step(codes.shape[-1])
    )
    return vectors


def leading(packed: Bytes, out: Bytes) -> Bytes:
    """Return the leading numbers of bytes (d / 2, …) in `out` (LEADING, …), as `multiplier` wants them."""
    half = LEADING // 2
    np.bitwise_and(packed[:half], LOW, out=out[:half])
    np.bitwise_and(packed[:half], HIGH, out=out[half:])
    return out


def multiplier(vectors: Floats) -> tuple[Floats, Floats]:
    """Return (m, LEADING) and (m, 1): likeness to a row = its leading numbers times the one plus the other."""
    head = vectors[:, :LEADING] * np.float32(level_step(vectors.shape[1]))
    offset: Floats = head.sum(axis=1, keepdims=True) * np.float32(-MIDDLE_LEVEL)
    head[:, LEADING // 2 :] /= LEVELS
    return head, offset


def _halves(codes: Bytes) -> list[tuple[Bytes, Bytes]]:
    parts = (codes[:, :LEADING], codes[:, LEADING:])
    return [(each[:, : each.shape[1] // 2], each[:, each.shape[1] // 2 :]) for each in parts]
