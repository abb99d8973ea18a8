"""ANSI/NIST-ITL transactions with exactly one image record: Type-4 or Type-14 of a finger, Type-10 of a face, 17 of an eye."""

from __future__ import annotations

from gateway.domain.messages import COMPRESSED, Compression, Modality
from gateway.sample_files import ansi_nist, ansi_nist_images, ansi_nist_text
from gateway.sample_files.containers import codestream
from gateway.sample_files.containers.image import Image, UnreadableImage, check_ppi, quality_of
from gateway.sample_files.errors import MalformedFile

# All but JPEG's lossless process, which no extractor here decodes.
COMPRESSIONS = {
    "NONE": Compression.NONE,
    **{
        name: COMPRESSED[form] for name, form in ansi_nist_images.FORMATS.items() if name != "JPEGL"
    },
}
EIGHT_BITS = 8


def read_finger(data: bytes) -> Image:
    """Return the one image of a transaction, of a finger."""
    return _read(Modality.FINGER, data)


def read_face(data: bytes) -> Image:
    """Return the one image of a transaction, of a face."""
    return _read(Modality.FACE, data)


def read_iris(data: bytes) -> Image:
    """Return the one image of a transaction, of an eye."""
    return _read(Modality.IRIS, data)


def _read(modality: Modality, data: bytes) -> Image:
    try:
        records = ansi_nist.read(data)
        pictured = [each for each in records if each.kind in ansi_nist_images.KINDS]
        if len(pictured) != 1:
            raise UnreadableImage("a transaction of several images, or of none; one image a sample")
        stated = ansi_nist_images.read(pictured[0], records[0])
        described = bool(ansi_nist_text.descriptive(records))
        # What describes the person is told as such, with its remedy; nobody looks into any other record.
        if not described and len(records) > len(("Type-1", "the image")):
            raise UnreadableImage("a transaction of more than Type-1 and one image")
    except MalformedFile as fault:
        raise UnreadableImage(str(fault)) from None
    if stated.modality is not modality:
        raise UnreadableImage(f"not a picture of modality {modality.name}", "format")
    compression = COMPRESSIONS.get(stated.compression)
    if compression is None:
        raise UnreadableImage("a compression that is not read here", "compression")
    if stated.depth not in (0, EIGHT_BITS) and modality is not Modality.FACE:
        raise UnreadableImage("another depth than 8 bits")
    if modality is Modality.FINGER:
        check_ppi(stated.ppi)
    if compression is Compression.NONE:
        picture = codestream.pixels(stated.data, stated.width, stated.height)
    else:
        picture = codestream.read_as(stated.data, compression)
        codestream.demand_size(picture, stated.width, stated.height)
    return Image(
        modality=modality,
        picture=picture,
        ppi=stated.ppi if modality is Modality.FINGER else 0,
        position=stated.position,
        impression=stated.impression,
        data=stated.data,
        quality=() if stated.quality is None else quality_of(stated.quality),
        describes=described,
    )
