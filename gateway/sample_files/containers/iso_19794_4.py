"""Finger image records of ISO/IEC 19794-4:2005 and :2011 → the one image in each.

Magic `FIR`; "010" is the edition of 2005, "020" that of 2011. INCITS 381-2004 shares both with the first and has four
bytes more in its header: its lengths do not add up here, and it is refused.
"""

from __future__ import annotations

import struct

from gateway.domain.messages import Compression, Modality, RecordFormat
from gateway.sample_files.containers import codestream
from gateway.sample_files.containers.image import (
    Image,
    Quality,
    UnreadableImage,
    quality_of,
    square,
)
from gateway.sample_files.containers.iso_19794_1 import begun, representation_head

EIGHT_BITS = 8
_first = struct.Struct(">HIHHBBHHHHBBH")  # length (48 bits), device, level, fingers, units, …
_finger = struct.Struct(">IBBBBBHHB")  # length, position, views, view, quality, impression, w, h
_second = struct.Struct(">IHBB")  # length, representations, certification flag, positions
_view = struct.Struct(">BBBHHHHBBBHHI")  # position, number, units, …, depth, algorithm, impression
_extended = struct.Struct(">HI")  # kind and length of what may follow the picture

# 7.1.13 and 7.1.14: what lies behind the header. Bit packing has no meaning at 8 bits.
ALGORITHMS_FIRST = {
    0: Compression.NONE,
    2: Compression.WSQ,
    3: Compression.JPEG,
    4: Compression.JPEG_2000,
    5: Compression.PNG,
}
ALGORITHMS_SECOND = {  # table 6: 4 is lossy, 5 lossless
    0: Compression.NONE,
    2: Compression.WSQ,
    3: Compression.JPEG,
    4: Compression.JPEG_2000,
    5: Compression.JPEG_2000,
    6: Compression.PNG,
}


def read_first(data: bytes) -> Image:
    """Return the image of a record of 2005."""
    cursor = begun(data, RecordFormat.ISO_19794_4_2005)
    high, low, _, _, fingers, units, _, _, x_rate, y_rate, depth, algorithm, _ = cursor.take(
        _first, "the header"
    )
    if (high << 32 | low) != len(data):
        raise UnreadableImage("the length field disagrees with the length")
    if fingers != 1:
        raise UnreadableImage("a record of several fingers; one image a sample")
    length, position, views, _, quality, impression, width, height, _ = cursor.take(
        _finger, "the image's header"
    )
    if views != 1:
        raise UnreadableImage("a record of several views; one image a sample")
    size = length - _finger.size
    if size != cursor.end - cursor.at:
        raise UnreadableImage("the image's length disagrees with the record's")
    what = _What(position, impression, square(x_rate, y_rate, units), quality_of(quality))
    compression = _compression(ALGORITHMS_FIRST, algorithm, depth)
    start = cursor.at
    picture = cursor.octets(size, "the picture")
    return what.image(picture, start, compression, (width, height))


def read_second(data: bytes) -> Image:
    """Return the image of a record of 2011; what follows its picture (segments, comments) is bounded and not read.

    Anybody may write a comment there, so that a record with any such data describes the person (IRPR 315.38).
    """
    cursor = begun(data, RecordFormat.ISO_19794_4_2011)
    length, number, certified, positions = cursor.take(_second, "the header")
    if length != len(data):
        raise UnreadableImage("the length field disagrees with the length")
    if number != 1 or positions != 1:
        raise UnreadableImage("a record of several images; one image a sample")
    quality = representation_head(cursor, certified)
    position, _, units, _, _, x_rate, y_rate, depth, algorithm, impression, width, height, size = (
        cursor.take(_view, "the image's header")
    )
    what = _What(position, impression, square(x_rate, y_rate, units), quality)
    compression = _compression(ALGORITHMS_SECOND, algorithm, depth)
    start = cursor.at
    picture = cursor.octets(size, "the picture")
    describes = cursor.at < cursor.end
    while cursor.at < cursor.end:
        _, extent = cursor.take(_extended, "the extended data")
        if extent < _extended.size:
            raise UnreadableImage("extended data lie about their length")
        cursor.skip(extent - _extended.size, "the extended data")
    return what.image(picture, start, compression, (width, height), describes=describes)


class _What:
    """What a header says before its picture."""

    def __init__(
        self, position: int, impression: int, ppi: int, quality: tuple[Quality, ...]
    ) -> None:
        self.position, self.impression, self.ppi, self.quality = position, impression, ppi, quality

    def image(
        self,
        data: bytes,
        start: int,
        compression: Compression,
        size: tuple[int, int],
        *,
        describes: bool = False,
    ) -> Image:
        """Return the image, whose picture is as large as the header says."""
        if compression is Compression.NONE:
            picture = codestream.pixels(data, *size)
        else:
            picture = codestream.read_as(data, compression)
            codestream.demand_size(picture, *size)
        return Image(
            modality=Modality.FINGER,
            picture=picture,
            ppi=self.ppi,
            position=self.position,
            impression=self.impression,
            data=data,
            start=start,
            quality=self.quality,
            describes=describes,
        )


def _compression(table: dict[int, Compression], algorithm: int, depth: int) -> Compression:
    if algorithm not in table:
        raise UnreadableImage("a compression that is not read here", "compression")
    if depth != EIGHT_BITS:
        raise UnreadableImage("another depth than 8 bits")
    return table[algorithm]
