"""ANSI/NIST-ITL transaction files (1-2011, update 2013) ⇄ their logical records.

A file is a chain of logical records; Type-1 comes first and its field 1.003 says what follows: type and IDC of each.
Text records are fields `T.NNN:` between separators and state their length in their first field; binary records (types 3
to 8) begin with theirs. Field 999 of types 10 and higher is data as they are, separators among them, and ends its record.
Every record is read whole; what its content means is for others.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from gateway.sample_files.errors import MalformedFile

FS, GS, RS, US = b"\x1c", b"\x1d", b"\x1e", b"\x1f"  # end of record, field, subfield, item
MOST_RECORDS = 100  # logical records of a file, Type-1 among them; an IDC has two digits
MOST_FIELDS = 2_000  # of one record; field numbers end at 999, and those of a domain's own at 9999
MOST_DIGITS = 10
BINARY = frozenset({3, 4, 5, 6, 7, 8})  # record types that begin with a 32-bit length
TRANSACTION, TEXT, MINUTIAE = 1, 2, 9  # record types
LENGTH, IDC, CONTENTS, DATA = 1, 2, 3, 999  # fields: x.001, x.002, 1.003, x.999
BINARY_HEADER = struct.Struct(">IB")  # length and IDC

_READING = frozenset({2, 5, 11, 12, 15})  # of Type-1: version, date, resolutions, character set
# What the mandatory fields of Type-1 say where a file is of no case: kind of transaction, agencies, control number (8.1).
UNSAID: Final[Mapping[int, bytes]] = MappingProxyType(
    {4: b"OTHER", 7: b"NONE", 8: b"NONE", 9: b"NONE"}
)
_field = re.compile(rb"([0-9]{1,2})\.([0-9]{1,9}):")
_number = re.compile(rb"[0-9]{1,%d}" % MOST_DIGITS)

Field = tuple[int, bytes]  # where its content begins in the file, and the content
Fields = Mapping[int, Field]  # by number


@dataclass(frozen=True, slots=True)
class LogicalRecord:
    """One logical record as it stands in the file.

    kind    its type, 1 to 99
    idc     what Type-1 calls it by; two records of one image share it
    start   where it begins in the file
    data    all its bytes
    fields  of a text record, by number, in their order; none of a binary one
    listed  type and IDC as field 1.003 spells them; empty for Type-1 itself
    """

    kind: int
    idc: int
    start: int
    data: bytes = field(repr=False)
    fields: Fields = field(repr=False)
    listed: bytes = field(default=b"", repr=False)


def is_transaction(data: bytes) -> bool:
    """Return whether the bytes begin as a transaction file does."""
    found = _field.match(data)
    return found is not None and int(found[1]) == TRANSACTION and int(found[2]) == LENGTH


def read(data: bytes) -> tuple[LogicalRecord, ...]:
    """Return the logical records of a file, Type-1 first, in the order of field 1.003.

    Raises MalformedFile for a file that is cut short, whose contents are not those that 1.003 counts and lists, for a
    record whose length or IDC is another than stated, a field that is given twice, and bytes behind the last record.
    """
    if not is_transaction(data):
        raise MalformedFile("not a transaction file", 0)
    first = _record(data, 0, TRANSACTION, 0)
    records, at = [first], len(first.data)
    for kind, idc, listed in _contents(first):
        record = _record(data, at, kind, idc)
        _demand_idc(record)
        records.append(replace(record, listed=listed))
        at += len(record.data)
    if at != len(data):
        raise MalformedFile("bytes follow the last record that Type-1 lists", at)
    return tuple(records)


def write(
    first: LogicalRecord, others: Iterable[LogicalRecord], without: Iterable[int] = ()
) -> bytes:
    """Return a file of some records as they were read: of Type-1 field 1.003 and its length are written anew, and no more.

    without   fields of Type-1 that are left out; a mandatory one says nothing instead
    """
    kept = tuple(others)
    head, *_ = first.fields[CONTENTS][1].split(US)
    contents = RS.join([head + US + b"%d" % len(kept), *(each.listed for each in kept)])
    changes = {**{each: UNSAID.get(each) for each in without}, CONTENTS: contents}
    return edited(first, changes) + b"".join(each.data for each in kept)


def edited(record: LogicalRecord, changes: Mapping[int, bytes | None]) -> bytes:
    """Return a text record with other content in some fields, or without them (None); of the rest each byte but its length."""
    parts, end = [], 0
    for named, (at, content) in record.fields.items():
        begin, place = end, at - record.start
        end = place + len(content) + len(GS)
        changed = changes.get(named, content)
        if changed is not None:
            parts.append((record.data[begin:place], changed))
    (head, _), *rest = parts
    body = b"".join(GS + name + content for name, content in rest) + FS
    return head + b"%d" % _whole(len(head) + len(body)) + body


def alone(first: LogicalRecord, record: LogicalRecord) -> bytes:
    """Return a file of one record, to be sent or kept apart: Type-1 says no more than what reading the record takes.

    Its version, date, resolutions and character set stay; agencies and control numbers, which lead to a case, do not.
    """
    contents = b"1" + US + b"1" + RS + b"%d" % record.kind + US + b"%02d" % record.idc
    fields = {2: b"", CONTENTS: contents, 5: b"", **UNSAID}
    kept = {each: content for each, (_, content) in first.fields.items() if each in _READING}
    return text_record(TRANSACTION, dict(sorted({**fields, **kept}.items()))) + record.data


def text_record(kind: int, fields: Mapping[int, bytes]) -> bytes:
    """Return a text record of fields in their order, its length first; a length that is among them is passed over."""
    stated = ((number, content) for number, content in fields.items() if number != LENGTH)
    rest = b"".join(GS + b"%d.%03d:" % (kind, number) + content for number, content in stated) + FS
    head = b"%d.001:" % kind
    return head + b"%d" % _whole(len(head) + len(rest)) + rest


def _whole(size: int) -> int:
    """Return the length of a record of so many bytes and the digits of its length, which it counts too."""
    digits = 1
    while len(str(size + digits)) > digits:
        digits += 1
    return size + digits


def number(text: bytes, offset: int) -> int:
    """Return a whole number of at most ten digits; raises MalformedFile."""
    if _number.fullmatch(text) is None:
        raise MalformedFile("not a number", offset)
    return int(text)


def _contents(first: LogicalRecord) -> list[tuple[int, int, bytes]]:
    """Return type and IDC of the records that follow, as field 1.003 lists them, and as it spells them."""
    if CONTENTS not in first.fields:
        raise MalformedFile("Type-1 does not say what the file holds (field 1.003)", 0)
    offset, listed = first.fields[CONTENTS]
    if listed.count(RS) >= MOST_RECORDS:
        raise MalformedFile(f"a file of more than {MOST_RECORDS} records", offset)
    spelt = listed.split(RS)
    entries = [entry.split(US) for entry in spelt]
    if not all(len(entry) == 2 for entry in entries):
        raise MalformedFile("the file's contents are garbled (field 1.003)", offset)
    numbers = [(number(kind, offset), number(idc, offset)) for kind, idc in entries]
    if numbers[0] != (TRANSACTION, len(numbers) - 1):
        raise MalformedFile(
            "the file counts another number of records than it lists (1.003)", offset
        )
    if any(kind == TRANSACTION or not 0 <= idc < MOST_RECORDS for kind, idc in numbers[1:]):
        raise MalformedFile("the file's contents are garbled (field 1.003)", offset)
    return [(*each, entry) for each, entry in zip(numbers[1:], spelt[1:], strict=True)]


def _record(data: bytes, at: int, kind: int, idc: int) -> LogicalRecord:
    end = _end(data, at, kind)
    fields = {} if kind in BINARY else _fields(data, at, end, kind)
    return LogicalRecord(kind, idc, at, data[at:end], fields)


def _demand_idc(record: LogicalRecord) -> None:
    """Raise MalformedFile unless a record calls itself what Type-1 calls it."""
    if record.kind in BINARY:
        stated, offset = record.data[4], record.start + 4
    elif IDC not in record.fields:
        raise MalformedFile("a record does not state its IDC", record.start)
    else:
        offset, text = record.fields[IDC]
        stated = number(text, offset)
    if stated != record.idc:
        raise MalformedFile("a record's IDC is another than Type-1 lists", offset)


def _end(data: bytes, at: int, kind: int) -> int:
    """Return where a record ends, from the length that it states."""
    if kind in BINARY:
        if len(data) - at < BINARY_HEADER.size:
            raise MalformedFile("a record is cut short", at)
        length, _ = BINARY_HEADER.unpack_from(data, at)
        least = BINARY_HEADER.size
    else:
        found = _field.match(data, at)
        if at == len(data):
            raise MalformedFile("the file holds fewer records than Type-1 lists", at)
        if found is None or int(found[1]) != kind or int(found[2]) != LENGTH:
            raise MalformedFile("a record is not of the type that was announced", at)
        stop = data.find(GS, found.end(), found.end() + MOST_DIGITS + 1)
        if stop < 0:
            raise MalformedFile("a record does not state its length", at)
        length = number(data[found.end() : stop], found.end())
        least = stop - at + 1
    if length > len(data) - at:
        raise MalformedFile("a record is cut short, or its length lies", at)
    if length < least:
        raise MalformedFile("a record's length lies", at)
    if kind not in BINARY and data[at + length - 1] != FS[0]:
        raise MalformedFile("a record does not end where it says", at + length - 1)
    return at + int(length)


def _fields(data: bytes, at: int, end: int, kind: int) -> dict[int, Field]:
    """Return the fields of a text record by number; one number twice is refused."""
    fields: dict[int, Field] = {}
    for start, stop in _spans(data, at, end - 1, kind):
        found = _field.match(data, start, stop)
        if found is None or int(found[1]) != kind:
            raise MalformedFile("a field without its number", start)
        named = int(found[2])
        if named in fields:
            raise MalformedFile("a field is given twice", start)
        if len(fields) >= MOST_FIELDS:
            raise MalformedFile(f"a record of more than {MOST_FIELDS} fields", start)
        fields[named] = (found.end(), data[found.end() : stop])
    return fields


def _spans(data: bytes, start: int, last: int, kind: int) -> Iterator[tuple[int, int]]:
    """Yield where each field begins and ends; field 999 reaches to the end of its record, whatever it holds."""
    while start < last:
        found = _field.match(data, start, last)
        if found is not None and int(found[2]) == DATA and kind > MINUTIAE:
            stop = last
        else:
            stop = data.find(GS, start, last)
            stop = last if stop < 0 else stop
            if data.find(FS, start, stop) >= 0:
                raise MalformedFile("a record ends within itself", start)
        yield start, stop
        start = stop + 1
