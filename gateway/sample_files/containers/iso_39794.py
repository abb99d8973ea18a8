"""Image blocks of ISO/IEC 39794-4:2019 (fingers) and -5:2019 (faces), ASN.1 DER → the one image in each.

The tags were taken from the public modules ISO-IEC-39794-4-ed-1 and -5-ed-1 as readers of travel documents quote them;
part 6 (irises) was not at hand in public, and is not read. What the blocks say beside the image is numbers, which are
bounded and not read; anything else, and any field that is not known here, is taken for text about a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain.messages import Compression, Modality
from gateway.sample_files.containers import codestream, der
from gateway.sample_files.containers.der import Element
from gateway.sample_files.containers.image import Image, UnreadableImage, check_ppi, per_inch

GENERATION = 3  # of the formats: 19794:2005 was the first, :2011 the second
FINGER, FACE = (der.APPLICATION | der.CONSTRUCTED | each for each in (4, 5))
UNITS = {0: 1, 1: 2}  # unitDimension inch, cm → scale units of the earlier editions

# Finger: pgm 0, wsq 1, jpeg2000Lossy 2, jpeg2000Lossless 3, png 4. Face: jpeg 2, jpeg2000Lossy 3, jpeg2000Lossless 4.
FINGER_FORMATS = {
    1: Compression.WSQ,
    2: Compression.JPEG_2000,
    3: Compression.JPEG_2000,
    4: Compression.PNG,
}
FACE_FORMATS = {2: Compression.JPEG, 3: Compression.JPEG_2000, 4: Compression.JPEG_2000}
GREY_MAP = 0
POSITION, IMPRESSION, FORMAT, DATA, RATE = 0, 1, 2, 3, 7  # of a finger's representation
REPRESENTATION = 1  # of a face's representation
SIZE = 7  # of a face's image information

# The fields that hold numbers alone. Of a finger not comments (15) and what vendors add (16); of a face not who it is of (8).
BLOCK_FIELDS = frozenset({0, 1})
FINGER_FIELDS = frozenset(range(15))
FACE_FIELDS = frozenset({*range(8), 9})
FLAT_FIELDS, INFORMATION_FIELDS = frozenset(range(3)), frozenset(range(11))
MOST_NUMBERS = (
    1_024  # elements beside the image; a hundred landmarks with their coordinates have fewer
)
MOST_BYTES = 4  # of a number, a code or a truth; a sign and 16 bits need three


def read_finger(data: bytes) -> Image:
    """Return the image of a finger image data block; without a sampling rate its resolution is not stated."""
    block, fields = _representation(data, FINGER)
    code = _code(_field(fields, FORMAT))
    element = _field(fields, DATA)
    octets, start = element.octets, element.start
    if code == GREY_MAP:
        picture, octets = codestream.pgm(octets)
        start = element.end - len(octets)
    elif code in FINGER_FORMATS:
        picture = codestream.read_as(octets, FINGER_FORMATS[code])
    else:
        raise UnreadableImage("a compression that is not read here", "compression")
    return Image(
        modality=Modality.FINGER,
        picture=picture,
        ppi=_ppi(fields[RATE]) if RATE in fields else 0,
        position=_code(_field(fields, POSITION)),
        impression=_code(_field(fields, IMPRESSION)),
        data=octets,
        start=start,
        describes=_beyond(block, BLOCK_FIELDS)
        or _beyond(fields, FINGER_FIELDS)
        or _texts([block[0], *(each for number, each in fields.items() if number != DATA)]),
    )


def read_face(data: bytes) -> Image:
    """Return the image of a face image data block; a shape in three dimensions is refused."""
    block, fields = _representation(data, FACE)
    choice = _field(fields, REPRESENTATION).fields()  # base or extension
    kind = _field(choice, 0).fields()  # of two dimensions or three
    flat = _field(kind, 0).fields()
    element, information = _field(flat, 0), _field(flat, 1).fields()
    octets, start = element.octets, element.start
    code = _code(_field(information, 0))
    if code not in FACE_FORMATS:
        raise UnreadableImage("a compression that is not read here", "compression")
    picture = codestream.read_as(octets, FACE_FORMATS[code])
    if SIZE in information:
        size = information[SIZE].fields()
        width, height = (_field(size, each).integer() for each in (0, 1))
        codestream.demand_size(picture, width, height)
    return Image(
        modality=Modality.FACE,
        picture=picture,
        ppi=0,
        data=octets,
        start=start,
        describes=_beyond(block, BLOCK_FIELDS)
        or _beyond(fields, FACE_FIELDS)
        or len(choice) + len(kind) != 2
        or _beyond(flat, FLAT_FIELDS)
        or _beyond(information, INFORMATION_FIELDS)
        or _texts(
            [
                block[0],
                *(each for number, each in fields.items() if number != REPRESENTATION),
                *(each for number, each in flat.items() if number != 0),
            ]
        ),
    )


def _beyond(fields: Mapping[int, Element], known: frozenset[int]) -> bool:
    """Return whether there are others than the known fields."""
    return not fields.keys() <= known


def _texts(elements: Sequence[Element]) -> bool:
    """Return whether there is anything in elements but numbers, of which each has at most `MOST_BYTES`."""
    waiting, seen = list(elements), 0
    while waiting:
        each, seen = waiting.pop(), seen + 1
        if seen > MOST_NUMBERS:
            return True
        if each.identifier & der.CONSTRUCTED:
            waiting += each.elements()
        elif each.end - each.start > MOST_BYTES:
            return True
    return False


def _representation(
    data: bytes, identifier: int
) -> tuple[Mapping[int, Element], Mapping[int, Element]]:
    """Return the fields of a data block of this generation, and those of the one representation in it."""
    block = der.whole(data)
    if block.identifier != identifier:
        raise UnreadableImage("not an image block of this part of the standard", "format")
    fields = block.fields()
    if _field(_field(fields, 0).fields(), 0).integer() != GENERATION:
        raise UnreadableImage("another generation than the third", "format")
    representations = _field(fields, 1).elements()
    if len(representations) != 1 or representations[0].identifier != der.SEQUENCE:
        raise UnreadableImage("a record of several images; one image a sample")
    return fields, representations[0].fields()


def _field(fields: Mapping[int, Element], number: int) -> Element:
    if number not in fields:
        raise UnreadableImage("the record lacks what its standard demands")
    return fields[number]


def _code(choice: Element) -> int:
    """Return a code: itself, or the one that an extension names to fall back on."""
    fields = choice.fields()
    if len(fields) != 1:
        raise UnreadableImage("a code of the record is garbled")
    if 0 in fields:
        return fields[0].integer()
    return _field(_field(fields, 1).fields(), 0).integer()


def _ppi(block: Element) -> int:
    fields = block.fields()
    unit = UNITS.get(_field(fields, 1).integer(), 0)
    ppi = per_inch(_field(fields, 0).integer(), unit)
    check_ppi(ppi)
    return ppi
