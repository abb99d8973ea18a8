"""What a record of minutiae holds, whatever its layout: views, frames, and raw numbers ⇄ templates.

Resolution, angle unit and origin are converted here and nowhere else. All layouts that we read have their
origin at the top left, x to the right, y downwards, and angles counter-clockwise from east.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.errors import MalformedRecord
from matcher.finger.template import BEST_QUALITY, MOST_PIXELS, PPCM, TURN, Minutiae

MOST_VIEWS = 10  # one for each finger; more is refused before anything is allocated
MOST_POSITION = 10  # ISO/IEC 19794-2:2005, table 2; 0 = unknown
LEAST_PPCM = 79  # 200 ppi: under it ridges are less than four pixels apart, and minutiae are noise
MOST_PPCM = 1575  # 4,000 ppi: no finger scanner resolves more
NOT_COMPUTED = (254, 255)  # quality "not computed", of the later editions; met in older records too
PPI = 500  # what 197 pixels per centimetre stand for; layouts that count inches are read by it
MOST_COORDINATE = (1 << 14) - 1  # of every layout; coordinates have 14 bits


class Format(IntEnum):
    """The layout of a record; the numbers are those of the wire."""

    ISO_19794_2_2005 = 1
    INCITS_378_2004 = 2
    ISO_19794_2_2011 = 3
    INCITS_378_2009 = 4


ISO_UNITS = 256  # of a full turn
INCITS_UNITS = 180  # 2 degrees each
ANGLE_UNITS = {
    Format.ISO_19794_2_2005: ISO_UNITS,
    Format.INCITS_378_2004: INCITS_UNITS,
    Format.ISO_19794_2_2011: ISO_UNITS,
    Format.INCITS_378_2009: INCITS_UNITS,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """The image of a view: size in its own pixels, and its pixels per centimetre, where 197 are 500 ppi."""

    width: int
    height: int
    x_ppcm: float
    y_ppcm: float

    @property
    def scale(self) -> NDArray[np.float64]:
        """What its pixels are multiplied by to be those of a template, (x, y)."""
        return np.array([PPCM / self.x_ppcm, PPCM / self.y_ppcm])

    def check(self, offset: int) -> None:
        """Raise MalformedRecord for an image without area or a resolution beyond 200-4,000 ppi."""
        if not self.width or not self.height:
            raise MalformedRecord("an image without area", offset)
        if not all(LEAST_PPCM <= each <= MOST_PPCM for each in (self.x_ppcm, self.y_ppcm)):
            raise MalformedRecord("the resolution is zero or absurd", offset)
        if (np.array([self.width, self.height]) * self.scale > MOST_PIXELS).any():
            raise MalformedRecord("an image larger than any finger's", offset)


@dataclass(frozen=True, slots=True)
class View:
    """One view of one finger: position 0-10 (0 = unknown), impression, quality 0-100 (0 = unknown).

    frame   what its image was, where the layout says it for each view; None = as the record's
    """

    position: int
    impression: int
    quality: int
    minutiae: Minutiae
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: size in its own pixels, resolution in pixels per centimetre, its views in order.

    Where each view has a frame of its own, size and resolution are those of the first.
    """

    format: Format
    width: int
    height: int
    x_ppcm: int
    y_ppcm: int
    views: tuple[View, ...]

    @property
    def frame(self) -> Frame:
        """The image of the views that state none of their own."""
        return Frame(self.width, self.height, self.x_ppcm, self.y_ppcm)


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Minutiae in the numbers of a layout: whole pixels of the frame, whole angle units.

    xy (m, 2); angle, kind, quality (m,); all int64
    """

    xy: NDArray[np.int64]
    angle: NDArray[np.int64]
    kind: NDArray[np.int64]
    quality: NDArray[np.int64]


def to_minutiae(raw: Raw, frame: Frame, units: int, start: int, step: int) -> Minutiae:
    """Return the template of raw minutiae, at 197 pixels per centimetre.

    Raises MalformedRecord for what no layout allows, at byte `start` + `step` a minutia.
    """
    quality = known_quality(raw.quality)
    for bad, reason in (
        (raw.kind > 2, "a minutia of unknown kind"),
        ((raw.xy >= (frame.width, frame.height)).any(axis=1), "a minutia outside the image"),
        (raw.angle >= units, "an angle beyond the full turn"),
        (quality > BEST_QUALITY, "minutia quality out of range"),
    ):
        if bad.any():
            raise MalformedRecord(reason, start + step * int(bad.argmax()))
    scale = frame.scale
    size = np.array([frame.width, frame.height]) * scale
    angle = raw.angle * (2 * np.pi / units)
    return Minutiae(
        xy=(raw.xy * scale).astype(np.float32),
        angle=_turned(angle, scale).astype(np.float32),
        kind=raw.kind.astype(np.uint8),
        quality=quality.astype(np.uint8),
        width=float(size[0]),
        height=float(size[1]),
    )


def to_raw(minutiae: Minutiae, frame: Frame, units: int) -> Raw:
    """Return a template in whole pixels of a frame and whole units; raise ValueError where it lies outside."""
    last = np.minimum(np.array([frame.width, frame.height]) - 1, MOST_COORDINATE)
    xy = np.rint(minutiae.xy.astype(np.float64) / frame.scale)
    if (xy > last + 1).any():
        raise ValueError("a minutia lies outside the record's image")
    xy = np.minimum(xy, last)  # rounding may step over the edge, by one
    angle = _turned(minutiae.angle.astype(np.float64), 1 / frame.scale)
    return Raw(
        xy.astype(np.int64),
        np.rint(angle * (units / (2 * np.pi))).astype(np.int64) % units,
        minutiae.kind.astype(np.int64),
        minutiae.quality.astype(np.int64),
    )


def known_quality(quality: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return qualities with "not computed" as 0, unknown."""
    first, second = (quality == each for each in NOT_COMPUTED)
    return np.where(first | second, 0, quality)


def check_position(position: int, offset: int) -> None:
    """Raise MalformedRecord unless a position is a finger's or unknown."""
    if position > MOST_POSITION:
        raise MalformedRecord("no such finger position", offset)


def check_quality(quality: int, offset: int) -> int:
    """Return the quality of a view, 0 = unknown; raise MalformedRecord out of range."""
    if quality in NOT_COMPUTED:
        return 0
    if quality > BEST_QUALITY:
        raise MalformedRecord("finger quality out of range", offset)
    return quality


def _turned(angle: NDArray[Any], scale: NDArray[np.float64]) -> NDArray[Any]:
    """Return the angles after scaling; they change only where X and Y resolutions differ."""
    if scale[0] == scale[1]:
        return angle
    turned = np.arctan2(np.sin(angle) * scale[1], np.cos(angle) * scale[0]) % (2 * np.pi)
    return np.where(turned.astype(np.float32) >= TURN, 0.0, turned)
