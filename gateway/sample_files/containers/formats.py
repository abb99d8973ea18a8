"""Which reader a format of images has, and which format bytes are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.domain.messages import COMPRESSED, TEMPLATES, Compression, Modality, RecordFormat
from gateway.sample_files import ansi_nist as transactions
from gateway.sample_files import picture_text
from gateway.sample_files.containers import (
    ansi_nist,
    codestream,
    iso_19794_4,
    iso_19794_5,
    iso_19794_6,
    iso_39794,
)
from gateway.sample_files.containers.image import Image, UnreadableImage
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import picture_format, start_of

LEAST_STATED = 200  # pixels per inch; programs write 72, 96 or 150 where nobody measured anything

Reader = Callable[[bytes], Image]

CONTAINERS: Mapping[Modality, Mapping[RecordFormat, Reader]] = {
    Modality.FINGER: {
        RecordFormat.ISO_19794_4_2005: iso_19794_4.read_first,
        RecordFormat.ISO_19794_4_2011: iso_19794_4.read_second,
        RecordFormat.ISO_39794_4: iso_39794.read_finger,
        RecordFormat.ANSI_NIST: ansi_nist.read_finger,
    },
    Modality.FACE: {
        RecordFormat.ISO_19794_5_2005: iso_19794_5.read_first,
        RecordFormat.ISO_19794_5_2011: iso_19794_5.read_second,
        RecordFormat.ISO_39794_5: iso_39794.read_face,
        RecordFormat.ANSI_NIST: ansi_nist.read_face,
    },
    Modality.IRIS: {
        RecordFormat.ISO_19794_6_2005: iso_19794_6.read_first,
        RecordFormat.ISO_19794_6_2011: iso_19794_6.read_second,
        RecordFormat.ANSI_NIST: ansi_nist.read_iris,
    },
}
# Records of one image, each of which is of one modality.
RECORDS: Mapping[RecordFormat, Reader] = {
    form: reader
    for readers in CONTAINERS.values()
    for form, reader in readers.items()
    if form is not RecordFormat.ANSI_NIST
}
# Bare pictures say nothing of the sample but their size, and of fingers sometimes their resolution.
BARE_OF: Mapping[Modality, tuple[RecordFormat, ...]] = {
    Modality.FINGER: tuple(COMPRESSED),
    Modality.FACE: (RecordFormat.PNG, RecordFormat.JPEG_2000, RecordFormat.JPEG),
    Modality.IRIS: (),
}


def formats_of(modality: Modality) -> tuple[RecordFormat, ...]:
    """Return the formats of images that are read of a modality, in the order of their numbers."""
    return tuple(sorted({*CONTAINERS[modality], *BARE_OF[modality]}))


def read(data: bytes, form: RecordFormat, modality: Modality) -> Image:
    """Return the image that bytes of a format hold; it describes the person also where something is written in the picture.

    Raises UnreadableImage, which names the element where one of those is wrong that a sender declares beside it: for a
    format that is not read of this modality, for one that breaks its standard, and beyond the bounds of `image`.
    """
    if form in BARE_OF[modality]:
        picture = codestream.read_as(data, COMPRESSED[form])
        image = Image(
            modality=modality, picture=picture, ppi=_ppi(picture.ppi, modality), data=data
        )
    else:
        reader = CONTAINERS[modality].get(form)
        if reader is None:
            raise UnreadableImage("not a format of images that is read here", "format")
        image = reader(data)
    return replace(image, describes=image.describes or _is_written_in(image))


def _is_written_in(image: Image) -> bool:
    """Return whether a picture holds more than itself: Exif and comments may say as much of a person as a record's fields.

    Raises UnreadableImage for a picture whose parts are read in one way here and in another there: what is not found is denied.
    """
    form = picture_format(image.data)
    if image.picture.compression is Compression.NONE or form is None:
        return False
    try:
        return bool(picture_text.written(form, image.data))
    except MalformedFile as fault:
        raise UnreadableImage(fault.reason) from None


def detect(data: bytes) -> RecordFormat | None:
    """Return the format that the first bytes say; None where they are no image that is read here."""
    if transactions.is_transaction(data):
        return RecordFormat.ANSI_NIST
    start = start_of(data)
    return None if start is None or start.format in TEMPLATES else start.format


def _ppi(stated: int, modality: Modality) -> int:
    """Return the resolution that a bare picture of a finger states; screens' resolutions in it say nothing of a finger."""
    if modality is not Modality.FINGER or stated < LEAST_STATED:
        return 0
    return stated
