"""How files begin that are records of one sample, or are taken for one: what they are, by their first bytes.

The one table of signatures: readers and looks for text ask here which format bytes are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.domain.messages import COMPRESSED, Modality, RecordFormat


@dataclass(frozen=True, slots=True)
class Start:
    """What a file is that begins so, in words.

    format    None = of a kind that is not read here, or of minutiae, whose edition its reader tells
    modality  None = the file does not say, or is no sample
    """

    octets: bytes
    words: str
    format: RecordFormat | None = None
    modality: Modality | None = None


MINUTIAE: Final = b"FMR\0"
_PRINT, _FACE, _IRIS = "a record of finger images", "a face record", "an iris record"
_BLOCK: Final = "an image record of ISO/IEC 39794"
STARTS: Final = (
    Start(MINUTIAE, "a finger minutiae record", None, Modality.FINGER),
    Start(b"FIR\x00010\0", _PRINT, RecordFormat.ISO_19794_4_2005, Modality.FINGER),
    Start(b"FIR\x00020\0", _PRINT, RecordFormat.ISO_19794_4_2011, Modality.FINGER),
    Start(b"FIR\0", _PRINT, None, Modality.FINGER),
    Start(b"FAC\x00010\0", _FACE, RecordFormat.ISO_19794_5_2005, Modality.FACE),
    Start(b"FAC\x00030\0", _FACE, RecordFormat.ISO_19794_5_2011, Modality.FACE),
    Start(b"FAC\0", _FACE, None, Modality.FACE),
    Start(b"IIR\x00010\0", _IRIS, RecordFormat.ISO_19794_6_2005, Modality.IRIS),
    Start(b"IIR\x00020\0", _IRIS, RecordFormat.ISO_19794_6_2011, Modality.IRIS),
    Start(b"IIR\0", _IRIS, None, Modality.IRIS),
    Start(b"FVC\0", "the record of a face vector", RecordFormat.FACE_VECTOR, Modality.FACE),
    Start(b"IRC\0", "the record of an iris code", RecordFormat.IRIS_CODE, Modality.IRIS),
    Start(b"\xff\xa0", "a WSQ picture", RecordFormat.WSQ, Modality.FINGER),
    Start(b"\xff\xd8\xff", "a JPEG picture", RecordFormat.JPEG),
    Start(b"\x89PNG\r\n\x1a\n", "a PNG picture", RecordFormat.PNG),
    Start(b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture", RecordFormat.JPEG_2000),
    Start(b"\xff\x4f\xff\x51", "a JPEG 2000 picture", RecordFormat.JPEG_2000),
    Start(b"BM", "a BMP picture"),
    Start(b"II*\0", "a TIFF picture"),
    Start(b"MM\0*", "a TIFF picture"),
    Start(b"GIF8", "a GIF picture"),
    Start(b"PK\x03\x04", "a ZIP archive"),
    Start(b"%PDF", "a PDF document"),
    Start(b"<", "a file of XML that is no BIR"),
    Start(b"{", "a file of JSON"),
    Start(b"\x64", _BLOCK, RecordFormat.ISO_39794_4, Modality.FINGER),
    Start(b"\x65", _BLOCK, RecordFormat.ISO_39794_5, Modality.FACE),
)  # fmt: skip


_PLAIN: Final = Start(b"", "a file of plain text")
_text: Final = re.compile(rb"[\t\n\r -~]{8,}")


def start_of(data: bytes) -> Start | None:
    """Return what a file is by its first bytes; None where these are of nothing that is known."""
    found = next((each for each in STARTS if data.startswith(each.octets)), None)
    if found is None or (
        len(found.octets) == 1 and found.format is not None
    ):  # a letter, of a text too
        return _PLAIN if _text.fullmatch(data[:200]) else found
    return found


def picture_format(data: bytes) -> RecordFormat | None:
    """Return which picture bytes begin as; None where they are none, or of a kind that is not read here."""
    start = start_of(data)
    return start.format if start is not None and start.format in COMPRESSED else None


def octets_of(form: RecordFormat) -> tuple[bytes, ...]:
    """Return how files of a format may begin."""
    return tuple(each.octets for each in STARTS if each.format is form)
