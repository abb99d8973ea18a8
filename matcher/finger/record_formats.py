"""Any file of minutiae that we read → the record of each finger in it, as every strict reader reads it.

A file is what an operator has: a record of one of the four binary layouts, repaired where that is safe
(`matcher.finger.record_repair`) and split where it holds several fingers. What comes from a partner is never read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from matcher.finger import record_fmr, record_repair
from matcher.finger.record import Format, View
from matcher.finger.template import MalformedRecord

NIBBLE = 15  # the highest impression type that the first editions of the standards can state

# How files begin that are taken for records: what they are is said, not that they are none.
_others = (
    (b"FIR\0", "a record of finger images"),
    (b"FAC\0", "a face record"),
    (b"IIR\0", "an iris record"),
    (b"\xff\xa0", "a WSQ picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"\0\0\0\x0cjP", "a JPEG 2000 picture"),
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"<", "a file of XML"),
    (b"{", "a file of JSON"),
)


@dataclass(frozen=True, slots=True)
class Print:
    """One finger of a file: its record and the position that it states, 0 = none; `view` is what the record says."""

    position: int
    record: bytes = field(repr=False)
    view: View = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a file holds: the name of its format, its fingers in order, and what was repaired to read them."""

    form: str
    prints: tuple[Print, ...]
    repairs: tuple[str, ...] = ()


def opened(data: bytes) -> Opened:
    """Return the fingers of a file.

    Raises MalformedRecord, which says what the file is where that is known.
    """
    mended = (
        record_repair.mend(data)
        if data[: len(record_fmr.MAGIC)] == record_fmr.MAGIC
        else _refused(data)
    )
    prints = tuple(_print(*each) for each in record_repair.split(mended.record))
    return Opened(record_fmr.detect(mended.record).name, prints, mended.repairs)


def of_view(view: View) -> Print:
    """Return a view that no record holds, of a transaction, as a record: at 197 pixels per centimetre, in the finest angles."""
    form = Format.ISO_19794_2_2005 if view.impression <= NIBBLE else Format.ISO_19794_2_2011
    return _print(view.position, record_fmr.write(record_fmr.at_197(form, (view,))))


def _print(position: int, record: bytes) -> Print:
    return Print(position, record, record_fmr.read(record).views[0])


def _refused(data: bytes) -> record_repair.Mended:
    kind = next((name for start, name in _others if data.startswith(start)), None)
    if not data:
        raise MalformedRecord("the file is empty", 0)
    if kind is None:
        raise MalformedRecord("not a finger minutiae record", 0)
    raise MalformedRecord(f"{kind}, not a finger minutiae record", 0)
