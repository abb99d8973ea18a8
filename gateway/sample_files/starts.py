"""How files begin that are records of one sample, or are taken for one: what they are, by their first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.domain.messages import Modality, RecordFormat


@dataclass(frozen=True, slots=True)
class Start:
    """What a file is that begins so, in words.

    format    of a picture alone and of a record of our own; None = of another kind, whose edition its reader tells
    modality  None = the file does not say, or is no sample
    """

    octets: bytes
    words: str
    format: RecordFormat | None = None
    modality: Modality | None = None


STARTS: Final = (
    Start(b"FMR\0", "a finger minutiae record", None, Modality.FINGER),
    Start(b"FIR\0", "a record of finger images", None, Modality.FINGER),
    Start(b"FAC\0", "a face record", None, Modality.FACE),
    Start(b"IIR\0", "an iris record", None, Modality.IRIS),
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
)  # fmt: skip


_PLAIN: Final = Start(b"", "a file of plain text")
_text: Final = re.compile(rb"[\t\n\r -~]{8,}")


def start_of(data: bytes) -> Start | None:
    """Return what a file is by its first bytes; None where these are of nothing that is known."""
    found = next((each for each in STARTS if data.startswith(each.octets)), None)
    return _PLAIN if found is None and _text.fullmatch(data[:200]) else found
