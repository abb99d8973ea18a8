"""Image records of ANSI/NIST-ITL transactions: whose picture, how large, how fine, how compressed; never a pixel of it.

Type-4 states this in eighteen bytes before its data, Types 10, 13, 14, 15, 17 and 19 in fields (ANSI/NIST-ITL 1-2011:
update 2013, clauses 8.4, 8.10, 8.13-8.15, 8.17, 8.19).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.domain.messages import POSITIONS, Modality, Presence, RecordFormat
from gateway.sample_files.ansi_nist import DATA, RS, US, Field, LogicalRecord, number
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import picture_format

GREY, FACE, LATENT, FINGER, PALM, IRIS, SOLE = 4, 10, 13, 14, 15, 17, 19  # record types
KINDS: Final = frozenset({GREY, FACE, LATENT, FINGER, PALM, IRIS, SOLE})
# Length, IDC, impression, six positions, whose resolution, width, height, compression (8.4).
HEADER: Final = struct.Struct(">IBB6sBHHB")
UNUSED_POSITION: Final = 255
MOST_PLACES: Final = 6  # that a print may be of (14.013)
LEAST_PPI: Final = (
    500  # of Type-4: 19.69 pixels per millimetre, where the record does not say the scanner's own
)
MILLIMETRES: Final = 25.4  # of an inch
INCHES, CENTIMETRES = 1, 2  # x.008: what the pixel scale counts; 0 = nothing, it is an aspect ratio
MOST_PIXELS: Final = 65_535  # of a side
MOST_PPI: Final = 4_000
COMPRESSION: Final = 11  # x.011 of records of fields
NATIVE_RESOLUTION: Final = 11  # 1.011 NSR, pixels per millimetre
COMPRESSIONS: Final = (
    "NONE",
    "WSQ20",
    "JPEGB",
    "JPEGL",
    "JP2",
    "JP2L",
    "PNG",
)  # by their number in Type-4
# What the data of each are that has a format of its own.
FORMATS: Final[Mapping[str, RecordFormat]] = MappingProxyType(
    {
        "WSQ20": RecordFormat.WSQ,
        "JPEGB": RecordFormat.JPEG,
        "JPEGL": RecordFormat.JPEG,
        "JP2": RecordFormat.JPEG_2000,
        "JP2L": RecordFormat.JPEG_2000,
        "PNG": RecordFormat.PNG,
    }
)
PLAIN_THUMBS: Final = MappingProxyType(
    {11: 1, 12: 6}
)  # positions of flat thumbs, and whose they are
POSITION: Final = 13  # 14.013
AMPUTATED: Final = 18  # 14.018: fingers that could not be taken
_ABSENT: Final = MappingProxyType({b"XX": Presence.AMPUTATED, b"UP": Presence.BANDAGED})
MOST_QUALITY: Final = 100  # x.024; 254 = not computed, 255 = failed
FINGERS: Final = (
    "a finger that is not named",
    *("right thumb", "right index", "right middle", "right ring", "right little"),
    *("left thumb", "left index", "left middle", "left ring", "left little"),
)  # by position
EYES: Final = ("an eye that is not named", "right eye", "left eye")  # by position, 17.003
_fraction: Final = re.compile(rb"[0-9]{1,3}(\.[0-9]{1,4})?")
_OTHERS = {LATENT: "a latent print", PALM: "a palm print", SOLE: "a print of a foot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """What an image record states of its picture.

    modality       FINGER, FACE or IRIS; None: a picture of what is not exchanged, or of several fingers
    what           what is on the picture, in words
    position       finger 1-10, face 0, eye 1-2 (1 = right); 0 of a finger or an eye = not said
    plain          whether it is one of the two thumbs that a ten-print card shows once more, plain (positions 11 and 12)
    impression     how the finger was taken (table 11); 0 of others
    compression    one of `COMPRESSIONS`
    width, height  pixels
    ppi            pixels per inch across; 0 = not stated
    depth          bits a pixel; 0 = not stated
    quality        0-100; None = not stated, or not computed
    data           the picture as it is compressed
    """

    modality: Modality | None
    what: str
    position: int = 0
    plain: bool = False
    impression: int = 0
    compression: str
    width: int
    height: int
    ppi: int = 0
    depth: int = 0
    quality: int | None = None
    data: bytes = field(repr=False)


def read(record: LogicalRecord, first: LogicalRecord) -> ImageRecord:
    """Return what an image record of one of `KINDS` states; `first` is Type-1 of its file.

    Raises MalformedFile for a size of nothing, data that do not begin as their compression does, or of another length
    than the size says where they are not compressed, and a resolution that no scanner has.
    """
    image = _of_type_4(record, first) if record.kind == GREY else _of_fields(record)
    if not 0 < image.width <= MOST_PIXELS or not 0 < image.height <= MOST_PIXELS:
        raise MalformedFile("an image without a size", record.start)
    if image.ppi > MOST_PPI:
        raise MalformedFile("an image of an absurd resolution", record.start)
    if not image.data:
        raise MalformedFile("an image record without an image", record.start)
    if image.compression == "NONE":
        pixels, bits = image.width * image.height, 8 * len(image.data)
        if bits != pixels * image.depth if image.depth else bits % (8 * pixels):
            raise MalformedFile("an image of another size than its record states", record.start)
    elif picture_format(image.data) is not FORMATS[image.compression]:
        raise MalformedFile("an image of another compression than is stated", record.start)
    return image


def missing(record: LogicalRecord) -> tuple[tuple[int, Presence], ...]:
    """Return the fingers that an image record says could not be taken, and why (14.018); raises MalformedFile."""
    if record.kind != FINGER or AMPUTATED not in record.fields:
        return ()
    at, text = record.fields[AMPUTATED]
    if text.count(RS) >= len(POSITIONS[Modality.FINGER]):
        raise MalformedFile("more fingers that could not be taken than anybody has", at)
    found = []
    for each in text.split(RS):
        place, _, code = each.partition(US)
        why = _ABSENT.get(code.strip().upper())
        position = _number(place, at)
        if why is None or not 0 < position < len(FINGERS):
            raise MalformedFile("no finger, or no reason why it could not be taken", at)
        found.append((position, why))
    return tuple(found)


def _of_type_4(record: LogicalRecord, first: LogicalRecord) -> ImageRecord:
    if len(record.data) < HEADER.size:
        raise MalformedFile("a record is cut short", record.start)
    _, _, impression, places, own, width, height, compression = HEADER.unpack_from(record.data)
    if compression >= len(COMPRESSIONS) or own > 1:
        raise MalformedFile("no such compression or resolution", record.start)
    ppi = LEAST_PPI
    if own:
        at, text = first.fields.get(NATIVE_RESOLUTION, (0, b"0"))
        ppi = round(_decimal(text, at) * MILLIMETRES)
    stated = [each for each in places if each != UNUSED_POSITION]
    modality, what, position = _finger(stated, record.start)
    return ImageRecord(
        modality=modality,
        what=what,
        position=position,
        plain=_is_plain_thumb(stated),
        impression=impression,
        compression=COMPRESSIONS[compression],
        width=width,
        height=height,
        ppi=ppi,
        depth=8,
        data=record.data[HEADER.size :],
    )


def _of_fields(record: LogicalRecord) -> ImageRecord:
    at, text = _field(record, COMPRESSION)
    compression = text.strip().upper().decode("ascii", "replace")
    if compression not in COMPRESSIONS:
        raise MalformedFile("no such compression", at)
    unit, across, down = (_stated(record, each) for each in (8, 9, 10))
    if unit not in (0, INCHES, CENTIMETRES) or (unit and across != down):
        raise MalformedFile("no such unit of a resolution, or another down than across", at)
    modality, what, position = _whose(record)
    return ImageRecord(
        modality=modality,
        what=what,
        position=position,
        plain=record.kind == FINGER and _is_plain_thumb(_places(record)),
        impression=_stated(record, 3) if record.kind == FINGER else 0,
        compression=compression,
        width=_stated(record, 6),
        height=_stated(record, 7),
        ppi=0 if not unit else across if unit == INCHES else round(across * MILLIMETRES / 10),
        depth=_stated(record, 12, b"0") if record.kind != FACE else 0,
        quality=_quality(record),
        data=record.fields[DATA][1] if DATA in record.fields else b"",
    )


def _whose(record: LogicalRecord) -> tuple[Modality | None, str, int]:
    """Return of which modality a picture is, what is on it, and its position; no modality of what is not exchanged."""
    if record.kind == FINGER:
        return _finger(_places(record), record.fields[POSITION][0])
    if record.kind == IRIS:
        eye = _stated(record, 3)
        if eye not in (0, *POSITIONS[Modality.IRIS]):
            raise MalformedFile("no such eye", record.start)
        return Modality.IRIS, EYES[eye], eye
    if record.kind == FACE:
        _, kind = _field(record, 3)
        named = kind.strip().upper() == b"FACE"
        return (Modality.FACE, "a face", 0) if named else (None, "a scar, mark or tattoo", 0)
    return None, _OTHERS[record.kind], 0


def _places(record: LogicalRecord) -> list[int]:
    """Return the positions that a finger of Type-14 may have."""
    at, text = _field(record, POSITION)
    if text.count(RS) >= MOST_PLACES:
        raise MalformedFile(f"more than {MOST_PLACES} positions that a finger may have", at)
    return [_number(each.split(US)[0], at) for each in text.split(RS)]


def _is_plain_thumb(places: list[int]) -> bool:
    return len(places) == 1 and places[0] in PLAIN_THUMBS


def _finger(places: list[int], at: int) -> tuple[Modality | None, str, int]:
    """Return the same of a finger, from the positions that may be its own (table 12)."""
    if len(places) != 1:
        return Modality.FINGER, FINGERS[0], 0
    (place,) = places
    place = PLAIN_THUMBS.get(place, place)
    if place < len(FINGERS):
        return Modality.FINGER, FINGERS[place], place
    if place in (13, 14, 15) or 40 <= place <= 50:
        return None, "several fingers on one picture", 0
    if place in (16, 17, 18, 19):
        return None, "an extra finger, or a part of one that is not named", 0
    if 20 <= place <= 86:
        return None, "a print of a palm or a foot", 0
    raise MalformedFile("no such finger position", at)


def _quality(record: LogicalRecord) -> int | None:
    """Return the quality by the algorithm that is named first; of prints it follows the position (14.024, 10.024, 17.024)."""
    if 24 not in record.fields:
        return None
    at, text = record.fields[24]
    items = text.split(RS)[0].split(US)
    place = 0 if record.kind in (FACE, IRIS) else 1
    if len(items) <= place:
        raise MalformedFile("a quality without a value", at)
    value = _number(items[place], at)
    return value if value <= MOST_QUALITY else None


def _field(record: LogicalRecord, named: int, default: bytes | None = None) -> Field:
    if named in record.fields:
        return record.fields[named]
    if default is None:
        raise MalformedFile(
            f"a mandatory field is missing: {record.kind}.{named:03d}", record.start
        )
    return record.start, default


def _stated(record: LogicalRecord, named: int, default: bytes | None = None) -> int:
    at, text = _field(record, named, default)
    return _number(text, at)


def _number(text: bytes, at: int) -> int:
    return number(text.strip(), at)


def _decimal(text: bytes, at: int) -> float:
    if not _fraction.fullmatch(text):
        raise MalformedFile("not a resolution", at)
    return float(text)
