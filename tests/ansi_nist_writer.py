"""Writes ANSI/NIST-ITL transaction files of Type-9 records, as other makers do: what `gateway.matching.sample_files` reads."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from gateway.sample_files import ansi_nist
from gateway.sample_files.ansi_nist import MINUTIAE, RS, TRANSACTION, US, text_record
from matcher.finger.record import INCITS_UNITS, MOST_VIEWS, PPI, Frame, View, to_raw
from matcher.finger.record_ansi_nist import CENTIMETRES, FORMAT_OWNER, FORMAT_TYPES, INCHES
from matcher.finger.template import PPCM

VERSION = b"0500"  # ANSI/NIST-ITL 1-2011
NO_FIELDS: Mapping[int, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Header:
    """What a transaction says of itself: type, date YYYYMMDD, destination, origin, control number."""

    kind: str
    date: str
    destination: str
    origin: str
    control: str


def write(views: Sequence[View], header: Header) -> bytes:
    """Return a transaction file of one Type-9 record a view, of which `sample_files` makes the same views again.

    A view without a frame is written at 500 ppi. Raises ValueError for what the format cannot hold.
    """
    if not 1 <= len(views) <= MOST_VIEWS:
        raise ValueError("a record holds one to ten views")
    stated = (header.kind, header.date, header.destination, header.origin, header.control)
    if not all(re.fullmatch(r"[ -~]{1,40}", each) for each in stated):
        raise ValueError("a header holds printable ASCII")
    contents = [b"1" + US + b"%d" % len(views)]
    contents += [b"9" + US + b"%02d" % number for number in range(len(views))]
    kind, date, destination, origin, control = (each.encode() for each in stated)
    first = [(2, VERSION), (3, RS.join(contents)), (4, kind), (5, date), (7, destination)]
    first += [(8, origin), (9, control), (11, b"00.00"), (12, b"00.00")]  # no images
    parts = [text_record(TRANSACTION, dict(first))]
    parts += [
        text_record(MINUTIAE, dict(_fields_of(view, number))) for number, view in enumerate(views)
    ]
    return b"".join(parts)


def _fields_of(view: View, number: int) -> list[tuple[int, bytes]]:
    if not 0 <= view.position <= 10 or not 0 <= view.impression <= 255:
        raise ValueError("the format cannot hold this view")
    sides = (int(np.ceil(view.minutiae.width)), int(np.ceil(view.minutiae.height)))
    frame = view.frame or Frame(*sides, PPCM, PPCM)
    raw = to_raw(view.minutiae, frame, INCITS_UNITS)
    rows = np.column_stack([np.arange(1, len(view.minutiae) + 1), raw.xy, raw.angle])
    rows = np.column_stack([rows, raw.kind, raw.quality])
    scale = _scale(frame)
    said = [(2, b"%02d" % number), (3, b"%d" % view.impression), (4, b"U")]
    said += [(126, US.join([b"%d" % FORMAT_OWNER, b"%d" % FORMAT_TYPES[0], b"0"]))]
    said += [(127, b"NONE" + US + b"0"), (128, b"%d" % frame.width), (129, b"%d" % frame.height)]
    said += [(130, b"%d" % scale[0]), (131, b"%d" % scale[1]), (132, b"%d" % scale[2])]
    said += [(133, b"0"), (134, b"%d" % view.position)]
    said += [(135, US.join([b"%d" % (view.quality or 254), b"0", b"0"]))]
    said += [(136, b"%d" % len(rows))]
    if len(rows):
        said += [(137, RS.join(US.join(b"%d" % each for each in row) for row in rows.tolist()))]
    return said


def _scale(frame: Frame) -> tuple[int, int, int]:
    """Return the unit and the scales of a frame: pixels per inch where these are whole numbers."""
    inches = tuple(each * PPI / PPCM for each in (frame.x_ppcm, frame.y_ppcm))
    if all(abs(each - round(each)) < 1e-6 for each in inches):
        return INCHES, round(inches[0]), round(inches[1])
    return CENTIMETRES, round(frame.x_ppcm), round(frame.y_ppcm)


HEADER = Header("SRE", "20260301", "CAN", "AUS", "T-17")


def type_9(views: Sequence[View]) -> list[tuple[int, int, bytes]]:
    """Return the Type-9 records of views, each with its type and IDC, the first of which is 0."""
    records = ansi_nist.read(write(views, HEADER))[1:]
    return [(each.kind, each.idc, each.data) for each in records]


def binary_record(kind: int, idc: int, rest: bytes) -> bytes:
    """Return a record of types 3 to 8: its length, its IDC, and what follows them."""
    return struct.pack(">IB", 5 + len(rest), idc) + rest


def transaction(*records: tuple[int, int, bytes], first: Mapping[int, bytes] = NO_FIELDS) -> bytes:
    """Return a file of records, each with its type and IDC; `first` holds further fields of Type-1."""
    listed = [b"1" + US + b"%d" % len(records)]
    listed += [b"%d" % kind + US + b"%02d" % idc for kind, idc, _ in records]
    said = {2: VERSION, 3: RS.join(listed), 4: b"OTHER", 11: b"19.69", 12: b"19.69", **first}
    return text_record(TRANSACTION, said) + b"".join(data for _, _, data in records)


def print_image(
    position: int,
    data: bytes,
    *,
    idc: int = 1,
    size: tuple[int, int] = (2, 3),
    compression: int = 0,
    own_resolution: int = 0,
) -> tuple[int, int, bytes]:
    """Return a Type-4 record of a finger, with its type and IDC; impression 1 (rolled, live)."""
    places = bytes([position, *[255] * 5])
    header = struct.pack(">B6sBHHB", 1, places, own_resolution, *size, compression)
    return 4, idc, binary_record(4, idc, header + data)


def image(kind: int, idc: int, fields: Mapping[int, bytes]) -> tuple[int, int, bytes]:
    """Return an image record of fields, with its type and IDC: 2 × 3 pixels of 8 bits, uncompressed, at 500 ppi."""
    said = {2: b"%02d" % idc, 3: b"1", 4: b"CAN", 5: b"20260301", 6: b"2", 7: b"3", 8: b"1"}
    said |= {9: b"500", 10: b"500", 11: b"NONE", 12: b"8", 13: b"2", 999: bytes(6)}
    changed = said | dict(fields)
    return kind, idc, text_record(kind, dict(sorted(changed.items())))
