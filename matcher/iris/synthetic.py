"""Irises of people who do not exist, several captures of each: for tests, the demo, benches and calibration.

An iris is a random texture; a coder's filters make codes of it as they would of a picture. A capture sees the
texture with noise over it, turned a little, part of it behind lids and reflections. All of it follows from seeds.
The numbers were counted on CASIA-IrisV1 (54 eyes, seven captures each, one log-Gabor filter, 20 × 240 cells):
docs/performance-card.md has both side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from matcher.iris.coders import MASEK, OPEN_IRIS, Coder
from matcher.iris.template import IrisCode, from_cells, mirrored

Complex = NDArray[np.complex128]
Doubles = NDArray[np.float64]

ROW_LIKENESS = (
    0.54  # correlation of the responses of neighbouring rows of 20; of rows k apart, its k-th power
)
COUNTED_ROWS = 20  # rows of the set that it was counted on
FALL = -0.5  # a texture's amplitude goes with this power of its angular frequency
TURN = 1.0  # columns of 240, spread of the rotation of one capture
LID_DEPTH = 0.9  # share of the rows that a lid hides at most, in its middle; from none on, any is alike likely
LID_WIDTH = (0.125, 0.025)  # of the circumference, half a lid: mean, spread
LIDS = (0.25, 0.75)  # of the circumference, where their middles are: upper and lower
SPOTS = 3.0  # reflections, mean number
SPOT = (0.15, 0.03)  # share of rows and of columns that a reflection hides
FRAGILE = 0.25  # a response part nearer to zero than this share of its spread is masked, where parts are masked singly
SIGNAL = (0.08, 0.92)  # least and greatest share of the iris in what is seen


@dataclass(frozen=True, slots=True)
class Build:
    """How much of what a capture shows is iris and not noise, as a share of the power: mean and spread."""

    signal: tuple[float, float]


AS_COUNTED: Final = Build((0.54, 0.20))
"""Mates differ in a third of their bits, as on CASIA-IrisV1 under the log-Gabor coder."""
CLEAR: Final = Build((0.85, 0.04))
"""Mates differ in a fifth: captures as a cooperative subject gives them; counted on no set."""


@dataclass(frozen=True, slots=True)
class Person:
    """Two eyes that follow from a seed."""

    seed: int
    build: Build = AS_COUNTED


def person(seed: int, build: Build = AS_COUNTED) -> Person:
    """Return the person of a seed."""
    return Person(seed, build)


def capture(
    whose: Person, eye: int, seed: int, coder: Coder = MASEK, *, mirror: bool = False
) -> IrisCode:
    """Return the code of one capture of a person's eye, 1 right or 2 left; mirrored, if so, as a picture may be."""
    if eye not in (1, 2):
        raise ValueError("an eye is 1, right, or 2, left")
    iris = _texture(np.random.default_rng([whose.seed, eye]), coder)
    rng = np.random.default_rng([whose.seed, eye, seed, 1])
    share = float(np.clip(rng.normal(*whose.build.signal), *SIGNAL))
    seen = np.sqrt(share) * iris + np.sqrt(1 - share) * _texture(rng, coder)
    frequency = np.arange(seen.shape[1])
    turned = rng.normal(0, TURN * coder.columns / 240)
    seen = seen * np.exp(-2j * np.pi * frequency * turned / coder.columns)
    mask = _visible(rng, coder)
    if mirror:  # column j of a mirrored picture shows what column `mirror` - j showed
        seen = np.conj(seen) * np.exp(-2j * np.pi * frequency * coder.mirror / coder.columns)
        mask = mask[:, (coder.mirror - np.arange(coder.columns)) % coder.columns]
    return _encoded(seen, mask, coder)


@cache
def _shape(coder: Coder) -> tuple[Doubles, Doubles, Doubles]:
    """Return the rows' mixing matrix (r, r), the texture's amplitudes (k,) and the filters (filters, k)."""
    frequency = np.arange(coder.columns // 2 + 1) / coder.columns  # cycles a column
    likeness = ROW_LIKENESS ** (COUNTED_ROWS / coder.rows)
    apart = np.abs(np.subtract.outer(np.arange(coder.rows), np.arange(coder.rows)))
    mixing = np.linalg.cholesky(likeness**apart)
    amplitude = np.where(frequency > 0, np.maximum(frequency, 1e-9) ** FALL, 0.0)
    filters = FILTERS[coder.name](np.maximum(frequency, 1e-9)) * (frequency > 0)
    return mixing, amplitude, filters


def _log_gabor(frequency: Doubles) -> Doubles:
    """Return Masek's one filter: wavelength 18 of 240 columns, bandwidth σ/f 0.5."""
    found: Doubles = np.exp(-(np.log(frequency * 18) ** 2) / (2 * np.log(0.5) ** 2))[None]
    return found


def _gabors(frequency: Doubles) -> Doubles:
    """Return open-iris' two: wavelengths 28 and 8, spreads 7 and 2, of 512 angular pixels that 256 columns sample."""
    found: Doubles = np.stack(
        [
            np.exp(-((frequency - 2 / length) ** 2) * 2 * (np.pi * spread / 2) ** 2)
            for length, spread in ((28, 7), (8, 2))
        ]
    )
    return found


FILTERS: Final[dict[str, Callable[[Doubles], Doubles]]] = {
    MASEK.name: _log_gabor,
    OPEN_IRIS.name: _gabors,
}


def _texture(rng: np.random.Generator, coder: Coder) -> Complex:
    """Return the spectrum of a texture, (rows, k): its columns' frequencies from none to the half."""
    mixing, amplitude, _ = _shape(coder)
    drawn = rng.standard_normal((2, coder.rows, len(amplitude)))
    found: Complex = mixing @ (drawn[0] + 1j * drawn[1]) * amplitude
    return found


def _encoded(seen: Complex, mask: NDArray[np.bool_], coder: Coder) -> IrisCode:
    _, _, filters = _shape(coder)
    whole = np.zeros((coder.filters, coder.rows, coder.columns), dtype=np.complex128)
    whole[..., : seen.shape[1]] = filters[:, None] * seen
    response = np.fft.ifft(whole, axis=2).transpose(1, 2, 0)  # (rows, columns, filters)
    parts = np.stack([response.real, response.imag], axis=3)
    usable: NDArray[Any] = np.broadcast_to(mask[..., None, None], parts.shape)
    if (
        coder is OPEN_IRIS
    ):  # it masks real and imaginary parts singly, each where its sign is by chance
        usable = usable & (np.abs(parts) >= FRAGILE * parts.std(axis=(0, 1)))
    shape = coder.rows, coder.columns, coder.cell_bits
    return from_cells(coder, (parts > 0).reshape(shape), usable.reshape(shape))


def _visible(rng: np.random.Generator, coder: Coder) -> NDArray[np.bool_]:
    """Return where lids and reflections leave the iris to be seen, (rows, columns)."""
    row = (np.arange(coder.rows)[:, None] + 0.5) / coder.rows
    column = np.arange(coder.columns)[None] / coder.columns
    seen = np.ones((coder.rows, coder.columns), dtype=bool)
    for middle in LIDS:
        depth, width = rng.uniform(0, LID_DEPTH), max(0.02, rng.normal(*LID_WIDTH))
        away = (column - middle + 0.5) % 1 - 0.5
        seen &= row < 1 - depth * np.maximum(0, 1 - (away / width) ** 2)
    for _ in range(rng.poisson(SPOTS)):
        y, x = rng.uniform(0, 1, 2)
        away = (column - x + 0.5) % 1 - 0.5
        seen &= ((row - y) / SPOT[0]) ** 2 + (away / SPOT[1]) ** 2 > rng.uniform(0.1, 1)
    return seen


__all__ = ["AS_COUNTED", "CLEAR", "Build", "Person", "capture", "mirrored", "person"]
