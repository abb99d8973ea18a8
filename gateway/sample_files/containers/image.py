"""An image as its container states it, the picture in it still compressed; and the bounds of every image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.messages import POSITIONS, Compression, Modality

LEAST_SIDE = 32  # pixels; less holds no finger, face or eye
MOST_PIXELS: Mapping[Modality, int] = {
    # A finger of 2 by 2 inches at 2,000 ppi; a photograph of the larger cameras; the largest iris cameras.
    Modality.FINGER: 4_096 * 4_096,
    Modality.FACE: 6_144 * 6_144,
    Modality.IRIS: 4_096 * 4_096,
}
MOST_SIDE = 16_384  # pixels
LEAST_PPI, MOST_PPI = (
    200,
    4_000,
)  # as of records: coarser shows no ridges, no scanner resolves finer
MOST_QUALITY = 100  # ISO/IEC 29794-1; 254 and 255 say that none was computed
CM_PER_INCH = 2.54
EYES = POSITIONS[Modality.IRIS]


class UnreadableImage(ValueError):
    """A container or the picture in it breaks its standard or a bound of ours; the text holds nothing of either.

    element   which datum is wrong, where it is one that a sender declares beside the record: width, height, ppi,
    compression, position, impression or format; else empty
    """

    def __init__(self, why: str, element: str = "") -> None:
        super().__init__(why)
        self.element = element


@dataclass(frozen=True, slots=True)
class Quality:
    """What an algorithm thought of an image: 0–100, and whose algorithm it was (CBEFF numbers)."""

    score: int
    vendor: int = 0
    algorithm: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture's own headers say: pixels, channels (1 grey, 3 colour), pixels per inch (0 = not stated).

    compression   NONE = rows of bytes from the top, one byte a pixel
    """

    compression: Compression
    width: int
    height: int
    channels: int = 1
    ppi: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of one finger, face or eye.

    position     one of the modality's; 0 = not stated
    impression   of a finger (ANSI/NIST-ITL 14.003); 0 where it is not stated
    ppi          pixels per inch as stated; 0 = not stated
    data         the picture, as its compression keeps it
    start        where it begins in its record
    quality      what was stated of it
    describes    whether the container says more of the person than the picture: sex, height, colours
    """

    modality: Modality
    picture: Picture
    ppi: int
    position: int = 0
    impression: int = 0
    data: bytes = field(repr=False)
    start: int = 0
    quality: tuple[Quality, ...] = ()
    describes: bool = False

    def __post_init__(self) -> None:
        picture = self.picture
        check_size(picture.width, picture.height, self.modality)
        if self.modality is not Modality.FACE and picture.channels != 1:
            raise UnreadableImage("a picture in colour, where grey is read")
        if self.modality is Modality.FINGER and self.ppi:
            check_ppi(self.ppi)
        if self.position and self.position not in POSITIONS[self.modality]:
            raise UnreadableImage("not the position of one finger or eye", "position")


def check_size(width: int, height: int, modality: Modality) -> None:
    """Raise UnreadableImage for a picture without area, or larger than any of its kind."""
    for name, side in (("width", width), ("height", height)):
        if not LEAST_SIDE <= side <= MOST_SIDE:
            raise UnreadableImage(f"a {name} beyond {LEAST_SIDE} to {MOST_SIDE} pixels", name)
    if width * height > MOST_PIXELS[modality]:
        raise UnreadableImage(f"more pixels than any {modality.name.lower()} has", "width")


def check_ppi(ppi: int) -> None:
    """Raise UnreadableImage for a resolution that no scanner has."""
    if not LEAST_PPI <= ppi <= MOST_PPI:
        raise UnreadableImage("the resolution is zero or absurd", "ppi")


def per_inch(rate: int, units: int) -> int:
    """Return a sampling rate in pixels per inch; `units` 1 inch, 2 centimetre (ISO/IEC 19794-4, scale units)."""
    if units not in (1, 2):
        raise UnreadableImage("the resolution has no unit", "ppi")
    return round(rate * CM_PER_INCH) if units == 2 else rate


def square(horizontal: int, vertical: int, units: int) -> int:
    """Return the one resolution of both directions, pixels per inch; raise UnreadableImage where there are two, or none."""
    if horizontal != vertical:
        raise UnreadableImage("pixels that are not square", "ppi")
    ppi = per_inch(horizontal, units)
    check_ppi(ppi)
    return ppi


def quality_of(score: int, vendor: int = 0, algorithm: int = 0) -> tuple[Quality, ...]:
    """Return a stated quality, none where it says "not computed"; raise UnreadableImage beyond 0–100."""
    if score in (254, 255):
        return ()
    if score > MOST_QUALITY:
        raise UnreadableImage("a quality out of range")
    return (Quality(score, vendor, algorithm),)
