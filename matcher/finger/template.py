"""Templates: frozen arrays whose shape, type and unit are stated and checked once, when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

PPCM = 197  # pixels per centimetre that all templates are scaled to; 500 ppi (ISO/IEC 19794-2:2005, 7.3.8)
MOST_MINUTIAE = 255  # in one view; the count is one byte (ISO/IEC 19794-2:2005, 7.4.1.5)
MOST_PIXELS = (
    1 << 17
)  # a side of an image; 14-bit coordinates at the least resolution that we accept
BEST_QUALITY = 100  # 0 = unknown (ISO/IEC 19794-2:2005, 7.4.2.5)
TURN = np.float32(2 * np.pi)

Floats = NDArray[np.floating[Any]]  # float32 wherever arrays are kept
Bytes = NDArray[np.uint8]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Minutiae:
    """The minutiae of one view of one finger, at 197 pixels per centimetre.

    xy        (m, 2) float32, pixels; x to the right, y downwards, origin at the top left
    angle     (m,) float32, radians in [0, 2π), counter-clockwise from east
    kind      (m,) uint8; 1 ridge ending, 2 bifurcation, 0 other
    quality   (m,) uint8; 1-100, 0 unknown
    width, height   pixels of the image

    The arrays are copies of what is given and read-only. Raises ValueError where a rule is broken.
    """

    xy: Floats = field(repr=False)
    angle: Floats = field(repr=False)
    kind: Bytes = field(repr=False)
    quality: Bytes = field(repr=False)
    width: float
    height: float

    def __post_init__(self) -> None:
        xy = np.array(self.xy, dtype=np.float32).reshape(-1, 2)
        angle = np.array(self.angle, dtype=np.float32).reshape(-1)
        kind = np.array(self.kind, dtype=np.uint8).reshape(-1)
        quality = np.array(self.quality, dtype=np.uint8).reshape(-1)
        _check(xy, angle, kind, quality, (self.width, self.height))
        for name, array in (("xy", xy), ("angle", angle), ("kind", kind), ("quality", quality)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.xy)

    def destroy(self) -> None:
        """Overwrite the arrays with zeros, in place; the template is of no use afterwards."""
        erase(self.xy, self.angle, self.kind, self.quality)


def erase(*arrays: Floats | Bytes) -> None:
    """Overwrite arrays that we own with zeros, read-only ones too."""
    for array in arrays:
        array.flags.writeable = True
        array.fill(0)
        array.flags.writeable = False


def _check(
    xy: Floats, angle: Floats, kind: Bytes, quality: Bytes, size: tuple[float, float]
) -> None:
    count = len(xy)
    if not len(angle) == len(kind) == len(quality) == count:
        raise ValueError("the arrays of a template must have one entry for each minutia")
    if count > MOST_MINUTIAE:
        raise ValueError("a view holds at most 255 minutiae")
    if not all(0 < side <= MOST_PIXELS for side in size):
        raise ValueError("an image has a width and a height")
    if not (np.isfinite(xy).all() and np.isfinite(angle).all()):
        raise ValueError("coordinates and angles must be numbers")
    if count and not ((xy >= 0) & (xy < np.array(size, dtype=np.float32))).all():
        raise ValueError("a minutia lies outside the image")
    if not ((angle >= 0) & (angle < TURN)).all():
        raise ValueError("an angle lies outside [0, 2π)")
    if (kind > 2).any() or (quality > BEST_QUALITY).any():
        raise ValueError("a minutia has an unknown kind or quality")
