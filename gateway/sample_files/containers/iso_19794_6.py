"""Iris image records of ISO/IEC 19794-6:2005 ("010") and :2011 ("020") → the one image in each."""

from __future__ import annotations

import struct
from dataclasses import replace

from gateway.domain.messages import Compression, Modality, RecordFormat
from gateway.sample_files.containers import codestream
from gateway.sample_files.containers.image import EYES, Image, UnreadableImage, quality_of
from gateway.sample_files.containers.iso_19794_1 import begun, representation_head

HEADER_FIRST = 45  # bytes, as the header itself states
EIGHT_BITS = 8
# Raw grey, JPEG grey, JPEG 2000 grey (2005, table 3); raw, JPEG 2000, PNG (2011, table 4).
FORMATS_FIRST = {2: Compression.NONE, 6: Compression.JPEG, 14: Compression.JPEG_2000}
FORMATS_SECOND = {2: Compression.NONE, 10: Compression.JPEG_2000, 14: Compression.PNG}
_first = struct.Struct(">IHBHHHHHHBB16s")  # length, device, eyes, header, properties, …
_eye = struct.Struct(">BH")  # which, images
_taken = struct.Struct(">HBHHI")  # number, quality, rotation, uncertainty, length
_second = struct.Struct(">IHBB")  # length, representations, certification flag, eyes
_view = struct.Struct(">HBBBBHHB18sI")  # number, eye, type, format, properties, w, h, depth, …


def read_first(data: bytes) -> Image:
    """Return the image of a record of 2005."""
    cursor = begun(data, RecordFormat.ISO_19794_6_2005)
    length, _, eyes, header, _, _, form, width, height, depth, *_ = cursor.take(
        _first, "the header"
    )
    if length != len(data) or header != HEADER_FIRST:
        raise UnreadableImage("the length fields disagree with the length")
    eye, images = cursor.take(_eye, "the eye's header")
    if eyes != 1 or images != 1:
        raise UnreadableImage("a record of several images; one image a sample")
    _, quality, _, _, size = cursor.take(_taken, "the image's header")
    start = cursor.at
    picture = cursor.octets(size, "the picture")
    cursor.demand_end("the picture")
    said = (FORMATS_FIRST.get(form), width, height, depth or EIGHT_BITS)
    return replace(_of(picture, eye, said), start=start, quality=quality_of(quality))


def read_second(data: bytes) -> Image:
    """Return the image of a record of 2011."""
    cursor = begun(data, RecordFormat.ISO_19794_6_2011)
    length, number, certified, eyes = cursor.take(_second, "the header")
    if length != len(data):
        raise UnreadableImage("the length field disagrees with the length")
    if number != 1 or eyes > 1:
        raise UnreadableImage("a record of several images; one image a sample")
    quality = representation_head(cursor, certified)
    _, eye, _, form, _, width, height, depth, _, size = cursor.take(_view, "the image's header")
    start = cursor.at
    picture = cursor.octets(size, "the picture")
    cursor.demand_end("the picture")
    said = (FORMATS_SECOND.get(form), width, height, depth)
    return replace(_of(picture, eye, said), start=start, quality=quality)


def _of(
    data: bytes,
    eye: int,
    said: tuple[Compression | None, int, int, int],
) -> Image:
    compression, width, height, depth = said
    if compression is None:
        raise UnreadableImage("a compression that is not read here", "compression")
    if depth != EIGHT_BITS:
        raise UnreadableImage("another depth than 8 bits")
    if eye and eye not in EYES:
        raise UnreadableImage("no such eye", "position")
    if compression is Compression.NONE:
        picture = codestream.pixels(data, width, height)
    else:
        picture = codestream.read_as(data, compression)
        codestream.demand_size(picture, width, height)
    return Image(modality=Modality.IRIS, picture=picture, ppi=0, position=eye, data=data)
