"""Text within records of images: ISO/IEC 19794-4, -5 and -6, 39794-4 and -5.

What a record says of the person (sex, colours, height, extended data, fields that are not known), and what is written in the
picture within it. Each record is read as the gateway reads it, so that what is not found here is not found there either.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.domain.messages import COMPRESSED, Compression, Modality, RecordFormat
from gateway.sample_files import picture_text
from gateway.sample_files.containers import der, formats
from gateway.sample_files.containers.image import Image, UnreadableImage
from gateway.sample_files.errors import MalformedFile

DESCRIBES: Final = "what the record says of the person beside the picture: sex, colours, height, a name or a comment"
_length = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Where a record of a fixed layout states its length, and the lengths of what the picture lies in.

    before   whether the picture's own length stands right before it
    """

    places: tuple[int, ...]
    before: bool = True


_LENGTHS: Final[Mapping[RecordFormat, _Lengths]] = MappingProxyType(
    {
        RecordFormat.ISO_19794_4_2005: _Lengths((10, 32), before=False),  # low half of 48 bits
        RecordFormat.ISO_19794_4_2011: _Lengths((8, 16)),
        RecordFormat.ISO_19794_5_2005: _Lengths((8, 14), before=False),
        RecordFormat.ISO_19794_5_2011: _Lengths((8, 17)),
        RecordFormat.ISO_19794_6_2005: _Lengths((8,)),
        RecordFormat.ISO_19794_6_2011: _Lengths((8, 16)),
    }
)
FORMATS: Final = frozenset({*_LENGTHS, RecordFormat.ISO_39794_4, RecordFormat.ISO_39794_5})


def names(form: RecordFormat, data: bytes) -> tuple[str, ...]:
    """Return the names of what in a record of `FORMATS` is text about a person.

    Raises MalformedFile for a record that is not read here: nobody knows what it holds.
    """
    image = read(form, data)
    said = (DESCRIBES,) if image.describes else ()
    if image.picture.compression is Compression.NONE:
        return said
    return (*said, *map(str, picture_text.written(_picture_form(image), image.data)))


def read(form: RecordFormat, data: bytes) -> Image:
    """Return the image of a record of `FORMATS`; raises MalformedFile."""
    try:
        return formats.RECORDS[form](data)
    except UnreadableImage as fault:
        raise MalformedFile(str(fault), 0) from None


def stripped(form: RecordFormat, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a record without what is written in its picture and behind it, and what that was; lengths are put right.

    Of a record that describes a face the picture is returned, for a face needs nothing of the record around it. What a
    record of ISO/IEC 39794-4 says of the person beside the picture stays, and is not named. Raises MalformedFile.
    """
    image = read(form, data)
    picture, written = image.data, tuple[str, ...]()
    if image.picture.compression is not Compression.NONE:
        picture, found = picture_text.stripped(_picture_form(image), image.data)
        written = tuple(str(each) for each in found)
    if form is RecordFormat.ISO_19794_4_2011 and image.describes:  # extended data, and nothing else
        written = (DESCRIBES, *written)
    # Text beside the picture of a finger of 39794-4 stays where nothing is cut: whoever asks again is told of it.
    if not written and (not image.describes or form is RecordFormat.ISO_39794_4):
        return data, ()
    if image.describes and image.modality is Modality.FACE:
        return picture, (DESCRIBES, *written, "the record around the picture")
    if form not in _LENGTHS:
        return _replaced(data, image.start, picture), written
    record = bytearray(data[: image.start] + picture)
    lengths = _LENGTHS[form]
    for at in lengths.places:
        (stated,) = _length.unpack_from(record, at)
        _length.pack_into(record, at, stated - len(data) + len(record))
    if lengths.before:
        _length.pack_into(record, image.start - _length.size, len(picture))
    return bytes(record), written


def _replaced(data: bytes, start: int, picture: bytes) -> bytes:
    try:
        return der.replaced(data, start, picture)
    except UnreadableImage as fault:
        raise MalformedFile(str(fault), 0) from None


def _picture_form(image: Image) -> RecordFormat:
    """Return the format of a compressed picture, which its reader found to begin as it should."""
    return next(form for form, each in COMPRESSED.items() if each is image.picture.compression)
