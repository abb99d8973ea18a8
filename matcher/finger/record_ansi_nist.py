"""ANSI/NIST-ITL transaction files: the minutiae of their Type-9 records → templates.

A file is a chain of logical records; Type-1 comes first and says what follows. Text records are fields
`T.NNN:` between separators and state their length in their first field; binary records begin with theirs.
Of all of them we read Type-1 and Type-9: the fields 9.126-9.137 (ANSI/NIST-ITL 1-2011, 8.9.5), and where a record
has none of them what `matcher.finger.record_type9` reads; the others are stepped over by their length. Type-2 holds descriptive text, names and dates of birth among it: a file
that has one is refused before anything else is looked at.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from matcher.finger import record_type9
from matcher.finger.record import (
    INCITS_UNITS,
    MOST_VIEWS,
    PPI,
    Frame,
    Raw,
    View,
    check_position,
    check_quality,
    to_minutiae,
)
from matcher.finger.template import MOST_MINUTIAE, PPCM, MalformedRecord

FS, GS, RS, US = b"\x1c", b"\x1d", b"\x1e", b"\x1f"  # end of record, field, subfield, item
MOST_RECORDS = 100  # logical records of a file; more is another file
MOST_DIGITS = 10
BINARY = frozenset({3, 4, 5, 6, 7, 8})  # record types that begin with a 32-bit length
TRANSACTION, TEXT, MINUTIAE = 1, 2, 9
INCHES, CENTIMETRES = 1, 2  # 9.130: what the pixel scale counts
FORMAT_OWNER = 27  # CBEFF: INCITS M1, the committee of INCITS 378
FORMAT_TYPES = (
    513,
    514,
    515,
)  # its finger minutiae records: plain, with private, with all extended data
M1 = frozenset(range(126, 151))  # the fields of an INCITS 378 block

_field = re.compile(rb"([0-9]{1,2})\.([0-9]{1,9}):")
_number = re.compile(rb"[0-9]{1,%d}" % MOST_DIGITS)

Field = tuple[int, bytes]  # where its content begins, and the content


class DescriptiveText(MalformedRecord):
    """The file holds a Type-2 record: text about a person has no place beside a print."""

    def __init__(self, offset: int) -> None:
        super().__init__("a Type-2 record: descriptive text does not belong here", offset)


@dataclass(frozen=True, slots=True)
class _Logical:
    """One logical record: its type and where it lies."""

    kind: int
    start: int
    end: int


def is_transaction(data: bytes) -> bool:
    """Return whether the bytes begin as a transaction file does."""
    found = _field.match(data)
    return found is not None and int(found[1]) == TRANSACTION and int(found[2]) == 1


def read(data: bytes) -> tuple[View, ...]:
    """Return the views of all Type-9 records, in order, rescaled to 197 pixels per centimetre.

    Raises DescriptiveText where there is a Type-2 record, MalformedRecord for anything else that the standard
    does not allow, for a Type-9 record with nothing but a vendor's features and for a file without a Type-9 record.
    """
    kinds = _contents(data)
    records = _walk(data, kinds)
    views = tuple(_view(data, each) for each in records if each.kind == MINUTIAE)
    if not views:
        raise MalformedRecord("no Type-9 record", len(data))
    return views


def _contents(data: bytes) -> list[int]:
    """Return the types of the records that follow, as field 1.003 lists them."""
    if not is_transaction(data):
        raise MalformedRecord("not a transaction file", 0)
    fields = _fields(data, _Logical(TRANSACTION, 0, _end(data, 0, TRANSACTION)))
    offset, listed = _only(fields, 3, 0)
    entries = [entry.split(US) for entry in listed.split(RS)]
    if not all(len(entry) == 2 for entry in entries):
        raise MalformedRecord("the file's contents are garbled", offset)
    numbers = [(_integer(kind, offset), _integer(idc, offset)) for kind, idc in entries]
    if numbers[0] != (TRANSACTION, len(numbers) - 1) or len(numbers) > MOST_RECORDS:
        raise MalformedRecord("the file's contents do not add up", offset)
    kinds = [kind for kind, _ in numbers[1:]]
    if TEXT in kinds:
        raise DescriptiveText(offset)
    if kinds.count(MINUTIAE) > MOST_VIEWS:
        raise MalformedRecord("more than ten Type-9 records", offset)
    return kinds


def _walk(data: bytes, kinds: list[int]) -> list[_Logical]:
    """Return the records after Type-1, each within the file, the last one ending with it."""
    at = _end(data, 0, TRANSACTION)
    records = []
    for kind in kinds:
        if data.startswith(b"2.", at):
            raise DescriptiveText(at)
        end = _end(data, at, kind)
        records.append(_Logical(kind, at, end))
        at = end
    if at != len(data):
        raise MalformedRecord("bytes follow the last record", at)
    return records


def _end(data: bytes, at: int, kind: int) -> int:
    """Return where a record ends, from the length that it states."""
    if kind in BINARY:
        if len(data) - at < 4:
            raise MalformedRecord("a record is cut short", at)
        (length,) = struct.unpack_from(">I", data, at)
        least = 4
    else:
        found = _field.match(data, at)
        if found is None or int(found[1]) != kind or int(found[2]) != 1:
            raise MalformedRecord("a record is not of the type that was announced", at)
        stop = data.find(GS, found.end(), found.end() + MOST_DIGITS + 1)
        if stop < 0:
            raise MalformedRecord("a record does not state its length", at)
        length = _integer(data[found.end() : stop], found.end())
        least = stop - at + 1
    if not least <= length <= len(data) - at:
        raise MalformedRecord("a record's length lies", at)
    if kind not in BINARY and data[at + length - 1] != FS[0]:
        raise MalformedRecord("a record does not end where it says", at + length - 1)
    return at + int(length)


def _fields(data: bytes, record: _Logical) -> dict[int, Field]:
    """Return the fields of a text record by number; one number twice is refused."""
    fields: dict[int, Field] = {}
    for start, stop in _spans(data, record):
        found = _field.match(data, start, stop)
        if found is None or int(found[1]) != record.kind:
            raise MalformedRecord("a field without its number", start)
        number = int(found[2])
        if number in fields:
            raise MalformedRecord("a field is given twice", start)
        fields[number] = (found.end(), data[found.end() : stop])
    return fields


def _spans(data: bytes, record: _Logical) -> Iterator[tuple[int, int]]:
    start, last = record.start, record.end - 1
    if FS in data[start:last]:
        raise MalformedRecord("a record ends within itself", start)
    while start < last:
        stop = data.find(GS, start, last)
        stop = last if stop < 0 else stop
        yield start, stop
        start = stop + 1


def _only(fields: dict[int, Field], number: int, at: int) -> Field:
    if number not in fields:
        raise MalformedRecord("a mandatory field is missing", at)
    return fields[number]


def _integer(text: bytes, offset: int) -> int:
    if _number.fullmatch(text) is None:
        raise MalformedRecord("not a number", offset)
    return int(text)


def _view(data: bytes, record: _Logical) -> View:
    """Return the view of a Type-9 record: of its INCITS 378 block, where it has one."""
    fields = _fields(data, record)
    if not fields.keys() & M1:
        impression = _integer(_only(fields, 3, record.start)[1], record.start)
        if impression > 255:
            raise MalformedRecord("no such impression", record.start)
        return record_type9.view(fields, impression, record.start)

    def items(number: int) -> tuple[int, list[bytes]]:
        offset, content = _only(fields, number, record.start)
        return offset, content.split(US)

    def number(field: int) -> int:
        offset, content = _only(fields, field, record.start)
        return _integer(content, offset)

    offset, stated = items(126)
    if len(stated) != 3 or _integer(stated[0], offset) != FORMAT_OWNER:
        raise MalformedRecord("minutiae of another owner's format", offset)
    if _integer(stated[1], offset) not in FORMAT_TYPES:
        raise MalformedRecord("minutiae of another owner's format", offset)
    impression, position = number(3), number(134)
    check_position(position, _only(fields, 134, record.start)[0])
    if impression > 255:
        raise MalformedRecord("no such impression", record.start)
    offset, stated = items(135)
    quality = check_quality(_integer(stated[0], offset), offset)
    frame = _frame(number(130), [number(each) for each in (128, 129, 131, 132)], offset)
    count = number(136)
    raw, offset = _minutiae(fields, count, record.start)
    return View(
        position, impression, quality, to_minutiae(raw, frame, INCITS_UNITS, offset, 0), frame
    )


def _frame(units: int, numbers: list[int], offset: int) -> Frame:
    width, height, x_scale, y_scale = numbers
    if units not in (INCHES, CENTIMETRES):
        raise MalformedRecord("the resolution has no unit", offset)
    # 500 ppi are 196.85 pixels per centimetre; the binary layouts round them to 197, so 197 are 500 ppi.
    by = PPCM / PPI if units == INCHES else 1.0
    frame = Frame(width, height, x_scale * by, y_scale * by)
    frame.check(offset)
    return frame


def _minutiae(fields: dict[int, Field], count: int, at: int) -> tuple[Raw, int]:
    """Return the minutiae of field 9.137: number, x, y, angle, kind, quality each."""
    offset, content = fields.get(137, (at, b""))
    rows = [each.split(US) for each in content.split(RS)] if content else []
    if count != len(rows) or count > MOST_MINUTIAE:
        raise MalformedRecord("another number of minutiae than is stated", offset)
    if any(len(row) != 6 for row in rows):
        raise MalformedRecord("a minutia with too few or too many items", offset)
    table = [[_integer(each, offset) for each in row] for row in rows]
    if [row[0] for row in table] != list(range(1, count + 1)):
        raise MalformedRecord("minutiae out of order", offset)
    numbers = np.array(table, dtype=np.int64).reshape(-1, 6)
    return Raw(numbers[:, 1:3], numbers[:, 3], numbers[:, 4], numbers[:, 5]), offset
