"""Face image records of ISO/IEC 19794-5:2005 ("010") and :2011 ("030") → the one image in each."""

from __future__ import annotations

import struct
from dataclasses import replace

from gateway.domain.messages import Compression, Modality, RecordFormat
from gateway.sample_files.containers import codestream
from gateway.sample_files.containers.image import Image, UnreadableImage
from gateway.sample_files.containers.iso_19794_1 import begun, representation_head

MOST_POINTS = 128  # MPEG-4 has 84, this standard adds those of eyes and nostrils
KINDS = {0: Compression.JPEG, 1: Compression.JPEG_2000}  # image data type
KINDS_SECOND = {**KINDS, 2: Compression.JPEG_2000}  # 1 lossy, 2 lossless
POINT_KINDS, POINT_KINDS_SECOND = range(1, 2), range(3)  # MPEG-4's; in 2011 others of faces too
_header = struct.Struct(">IH")  # length, images
_header_second = struct.Struct(">IHBH")  # length, representations, certification, order in time
_facial = struct.Struct(">IHBBB3sH6s")  # length, points, sex, eyes, hair, properties, expression …
_facial_second = struct.Struct(">HBBBB3sH6s")  # points, sex, eyes, hair, height, properties …
_image = struct.Struct(">BBHHBBHH")  # kind, data type, width, height, colours, source, device …
_image_second = struct.Struct(">BBHHBHBB")  # kind, data type, width, height, rate, processing …
_point = struct.Struct(
    ">BBHHH"
)  # kind, code, x, y; nothing, or depth of a shape in three dimensions
_size = struct.Struct(">I")


def read_first(data: bytes) -> Image:
    """Return the image of a record of 2005."""
    cursor = begun(data, RecordFormat.ISO_19794_5_2005)
    length, number = cursor.take(_header, "the header")
    _demand_one(data, length, number)
    face = cursor.at
    extent, points, sex, eyes, hair, *_ = cursor.take(_facial, "the face's block")
    if extent != cursor.end - face:
        raise UnreadableImage("the face's length disagrees with the record's")
    _demand_few(points)
    marked = [cursor.take(_point, "the feature points") for _ in range(points)]
    _, kind, width, height, *_ = cursor.take(_image, "the image's block")
    start = cursor.at
    picture = cursor.octets(cursor.end - start, "the picture")
    image = _of(picture, KINDS.get(kind), (width, height))
    return replace(
        image,
        start=start,
        describes=bool(sex or eyes or hair) or not _are_points(marked, image, POINT_KINDS),
    )


def read_second(data: bytes) -> Image:
    """Return the image of a record of 2011; a shape in three dimensions is refused with what else follows the picture."""
    cursor = begun(data, RecordFormat.ISO_19794_5_2011)
    length, number, certified, _ = cursor.take(_header_second, "the header")
    _demand_one(data, length, number)
    quality = representation_head(cursor, certified)
    points, *person, _, _, _ = cursor.take(_facial_second, "the face's block")
    _demand_few(points)
    marked = [cursor.take(_point, "the landmarks") for _ in range(points)]
    _, kind, width, height, *_ = cursor.take(_image_second, "the image's block")
    (size,) = cursor.take(_size, "the picture")
    start = cursor.at
    picture = cursor.octets(size, "the picture")
    cursor.demand_end("the picture")
    image = _of(picture, KINDS_SECOND.get(kind), (width, height))
    return replace(
        image,
        start=start,
        describes=any(person) or not _are_points(marked, image, POINT_KINDS_SECOND),
        quality=quality,
    )


def _are_points(points: list[tuple[int, ...]], image: Image, kinds: range) -> bool:
    """Return whether points are such: each once, of a known kind, within the picture and flat; words are not."""
    picture = image.picture
    return (
        len({each[:2] for each in points}) == len(points)
        and all(kind in kinds and rest == 0 for kind, _, _, _, rest in points)
        and all(x <= picture.width and y <= picture.height for _, _, x, y, _ in points)
    )


def _demand_few(points: int) -> None:
    if points > MOST_POINTS:
        raise UnreadableImage("more points of a face than the standard has")


def _demand_one(data: bytes, length: int, number: int) -> None:
    if length != len(data):
        raise UnreadableImage("the length field disagrees with the length")
    if number != 1:
        raise UnreadableImage("a record of several images; one image a sample")


def _of(data: bytes, compression: Compression | None, size: tuple[int, int]) -> Image:
    if compression is None:
        raise UnreadableImage("a compression that is not read here", "compression")
    picture = codestream.read_as(data, compression)
    if size != (0, 0):  # 0 = not stated
        codestream.demand_size(picture, *size)
    return Image(
        modality=Modality.FACE,
        picture=picture,
        ppi=0,  # how large a head is says nothing here; a model is given the picture as it is
        data=data,
    )
