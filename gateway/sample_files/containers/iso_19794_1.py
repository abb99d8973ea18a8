"""What image records of ISO/IEC 19794 begin with; of the second edition each representation: capture, quality, certificates."""

from __future__ import annotations

import struct

from gateway.domain.messages import RecordFormat
from gateway.sample_files.containers.cursor import Cursor
from gateway.sample_files.containers.image import Quality, UnreadableImage, quality_of
from gateway.sample_files.starts import octets_of

_head = struct.Struct(">I9sBHHB")  # length, capture time, technology, vendor, type, qualities
_quality = struct.Struct(">BHH")  # score, vendor, algorithm
CERTIFICATE = 3  # bytes


def begun(data: bytes, form: RecordFormat) -> Cursor:
    """Return a place behind what a record of an edition begins with; raise UnreadableImage where it does not."""
    (start,) = octets_of(form)
    if not data.startswith(start):
        raise UnreadableImage("not an image record of this edition", "format")
    return Cursor(data, len(start))


def representation_head(
    cursor: Cursor, certified: int, *, alone: bool = True
) -> tuple[Quality, ...]:
    """Return the stated qualities of a representation, and step over them.

    certified   the record's certification flag; 0 and 1 are all that there is
    alone       whether it has to reach to the end of its record
    """
    if certified > 1:
        raise UnreadableImage("no such certification flag")
    start = cursor.at
    length, *_, number = cursor.take(_head, "the representation")
    if alone and length != cursor.end - start:
        raise UnreadableImage("the representation's length disagrees with the record's")
    found: tuple[Quality, ...] = ()
    for _ in range(number):
        score, vendor, algorithm = cursor.take(_quality, "the quality blocks")
        found += quality_of(score, vendor, algorithm)
    if certified:
        (count,) = cursor.octets(1, "the certificates")
        cursor.skip(count * CERTIFICATE, "the certificates")
    return found
