"""Type-9 records of ANSI/NIST-ITL transactions: their fields → views.

The fields 9.126-9.137 are an INCITS 378 block (ANSI/NIST-ITL 1-2011, 8.9.5); where a record has none of them,
`matcher.finger.record_type9` reads it. Files are split into records by `gateway.sample_files.ansi_nist`.
"""

from __future__ import annotations

import re

import numpy as np

from matcher.errors import MalformedRecord
from matcher.finger import record_type9
from matcher.finger.record import (
    INCITS_UNITS,
    PPI,
    Frame,
    Raw,
    View,
    check_position,
    check_quality,
    to_minutiae,
)
from matcher.finger.record_type9 import MARKED, OLD_MINUTIAE, RS, US, Field, Fields
from matcher.finger.template import MOST_MINUTIAE, PPCM

INCHES, CENTIMETRES = 1, 2  # 9.130: what the pixel scale counts
FORMAT_OWNER = 27  # CBEFF: INCITS M1, the committee of INCITS 378
FORMAT_TYPES = (
    513,
    514,
    515,
)  # its finger minutiae records: plain, with private, with all extended data
M1 = frozenset(range(126, 151))  # the fields of an INCITS 378 block

_number = re.compile(rb"[0-9]{1,10}")


def is_read(fields: Fields) -> bool:
    """Return whether a record holds minutiae of a kind that is read; the features of a vendor alone are not."""
    return bool(fields.keys() & (M1 | {MARKED, OLD_MINUTIAE}))


def view(fields: Fields, at: int) -> View:
    """Return the view of a Type-9 record that begins at byte `at`, rescaled to 197 pixels per centimetre.

    Raises MalformedRecord for anything that the standard does not allow, and for a record with nothing but a vendor's
    features, which it names.
    """
    if not fields.keys() & M1:
        impression = _integer(_only(fields, 3, at)[1], at)
        if impression > 255:
            raise MalformedRecord("no such impression", at)
        return record_type9.view(fields, impression, at)

    def items(number: int) -> tuple[int, list[bytes]]:
        offset, content = _only(fields, number, at)
        return offset, content.split(US)

    def number(field: int) -> int:
        offset, content = _only(fields, field, at)
        return _integer(content, offset)

    offset, stated = items(126)
    if len(stated) != 3 or _integer(stated[0], offset) != FORMAT_OWNER:
        raise MalformedRecord("minutiae of another owner's format", offset)
    if _integer(stated[1], offset) not in FORMAT_TYPES:
        raise MalformedRecord("minutiae of another owner's format", offset)
    impression, position = number(3), number(134)
    check_position(position, _only(fields, 134, at)[0])
    if impression > 255:
        raise MalformedRecord("no such impression", at)
    offset, stated = items(135)
    quality = check_quality(_integer(stated[0], offset), offset)
    frame = _frame(number(130), [number(each) for each in (128, 129, 131, 132)], offset)
    count = number(136)
    raw, offset = _minutiae(fields, count, at)
    return View(
        position, impression, quality, to_minutiae(raw, frame, INCITS_UNITS, offset, 0), frame
    )


def _only(fields: Fields, number: int, at: int) -> Field:
    if number not in fields:
        raise MalformedRecord("a mandatory field is missing", at)
    return fields[number]


def _integer(text: bytes, offset: int) -> int:
    if _number.fullmatch(text) is None:
        raise MalformedRecord("not a number", offset)
    return int(text)


def _frame(units: int, numbers: list[int], offset: int) -> Frame:
    width, height, x_scale, y_scale = numbers
    if units not in (INCHES, CENTIMETRES):
        raise MalformedRecord("the resolution has no unit", offset)
    # 500 ppi are 196.85 pixels per centimetre; the binary layouts round them to 197, so 197 are 500 ppi.
    by = PPCM / PPI if units == INCHES else 1.0
    frame = Frame(width, height, x_scale * by, y_scale * by)
    frame.check(offset)
    return frame


def _minutiae(fields: Fields, count: int, at: int) -> tuple[Raw, int]:
    """Return the minutiae of field 9.137: number, x, y, angle, kind, quality each."""
    offset, content = fields.get(137, (at, b""))
    # One more than may be is split off, so that a long field takes no more memory than a record does.
    rows = [each.split(US, 6) for each in content.split(RS, MOST_MINUTIAE)] if content else []
    if count != len(rows) or count > MOST_MINUTIAE:
        raise MalformedRecord("another number of minutiae than is stated", offset)
    if any(len(row) != 6 for row in rows):
        raise MalformedRecord("a minutia with too few or too many items", offset)
    table = [[_integer(each, offset) for each in row] for row in rows]
    if [row[0] for row in table] != list(range(1, count + 1)):
        raise MalformedRecord("minutiae out of order", offset)
    numbers = np.array(table, dtype=np.int64).reshape(-1, 6)
    return Raw(numbers[:, 1:3], numbers[:, 3], numbers[:, 4], numbers[:, 5]), offset
