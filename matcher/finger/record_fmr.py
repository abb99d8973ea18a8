"""Finger minutiae records of ISO/IEC 19794-2:2005 and :2011 and INCITS 378-2004 and -2009 ⇄ templates.

Two and two share magic and version; only their lengths tell them apart, so these decide, strictly. One
cursor bounds every read by the view, the record and the buffer; extended data are skipped by their length and
never interpreted, nothing may trail.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matcher.errors import MalformedRecord
from matcher.finger.record import (
    ANGLE_UNITS,
    MOST_COORDINATE,
    MOST_POSITION,
    MOST_VIEWS,
    NOT_COMPUTED,
    Format,
    Frame,
    Raw,
    Record,
    View,
    check_position,
    check_quality,
    to_minutiae,
    to_raw,
)
from matcher.finger.template import MOST_MINUTIAE, PPCM, Minutiae

__all__ = [
    "MOST_POSITION",
    "Format",
    "Frame",
    "Placed",
    "Record",
    "View",
    "at_197",
    "detect",
    "detect_at",
    "read",
    "rows_of",
    "walk",
    "write",
]

MAGIC = b"FMR\0"
FIRST = b" 20\0"  # version of ISO 2005 and of INCITS 2004
SECOND = b"030\0"  # of ISO 2011 and of INCITS 2009
AMENDED = b"035\0"  # of INCITS 2009 with its amendment 1
LEAST_LENGTH = 21  # bytes; of the INCITS 2009 header, and no record is without a view
LEAST_REPRESENTATION = 34  # bytes; ISO/IEC 19794-2:2011, without minutiae
COMMON = struct.Struct(
    ">HHHHHBB"
)  # capture, width, height, X, Y, views, reserved; of the first editions
OWNER = struct.Struct(">HH")  # CBEFF owner and type; INCITS
INCITS2009 = struct.Struct(">BHBB")  # certification, device, views, reserved
ISO2011 = struct.Struct(">HB")  # representations, certification flag
VIEW = struct.Struct(">BBBB")  # position, number and impression, quality, count
VIEW2009 = struct.Struct(
    ">BBBBHHHHHHB"
)  # position, number, impression, quality, …, W, H, X, Y, count
CAPTURE2011 = struct.Struct(">I9sBHHB")  # length, date-time, technology, vendor, device, qualities
VIEW2011 = struct.Struct(">BBHHBHHBB")  # position, number, X, Y, impression, W, H, nibbles, count
QUALITY2011 = struct.Struct(">BHH")  # score, vendor, algorithm
CERTIFICATE2011 = 3  # bytes
LENGTH = struct.Struct(">H")  # of extended data
NO_DATE = b"\xff" * 9  # ISO/IEC 19794-1:2011: no date stated
UNKNOWN_OWNER = 0x0103  # CBEFF: vendor unknown; the 2009 edition has no zero
KIND_SHIFT = 14
MINUTIA = np.dtype([("x", ">u2"), ("y", ">u2"), ("angle", "u1"), ("quality", "u1")])
SHORT_MINUTIA = np.dtype([("x", ">u2"), ("y", ">u2"), ("angle", "u1")])


class _Cursor:
    """A place in bytes that never leaves its bounds."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def take(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """Return what a layout reads, and step over it."""
        self.skip(layout.size, what)
        return layout.unpack_from(self.data, self.at - layout.size)

    def skip(self, size: int, what: str) -> None:
        """Step over some bytes; raise MalformedRecord where so many are not left."""
        if self.end - self.at < size:
            raise MalformedRecord(f"{what} cut short", self.at)
        self.at += size

    def extended(self) -> None:
        """Step over extended data."""
        (size,) = self.take(LENGTH, "the minutiae are")
        self.skip(size, "the extended data are")


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a view lies in its record, and what it says before its minutiae.

    begin, end       bytes of the record that are the view, extended data and all
    minutiae, count  where its minutiae begin, and how many there are
    row              how one of them is laid out
    """

    position: int
    impression: int
    quality: int
    frame: Frame
    begin: int
    minutiae: int
    count: int
    row: np.dtype[Any]
    end: int


@dataclass(frozen=True, slots=True)
class _Fields:
    """What a view says before its minutiae."""

    position: int
    impression: int
    quality: int
    frame: Frame
    count: int


def detect(data: bytes) -> Format:
    """Return the format that magic, version and lengths say; raise MalformedRecord where none fits."""
    return detect_at(data)[0]


def read(data: bytes) -> Record:
    """Return the record that `data` are, all of them, rescaled to 197 pixels per centimetre.

    Raises MalformedRecord for anything that the standard does not allow, for a resolution of 0 or beyond
    200-4,000 ppi, for a minutia outside the image, for a record without a view, and for trailing bytes.
    """
    form, offset = detect_at(data)
    placed = walk(data, form, offset)
    if placed[-1].end != len(data):
        raise MalformedRecord("bytes follow the last view", placed[-1].end)
    views = [_view(data, each, form) for each in placed]
    first = placed[0].frame
    x_ppcm, y_ppcm = int(first.x_ppcm), int(first.y_ppcm)
    return Record(form, first.width, first.height, x_ppcm, y_ppcm, tuple(views))


def walk(data: bytes, form: Format, offset: int) -> tuple[Placed, ...]:
    """Return where the views of a record of that format lie, whatever length it states; `offset` follows that field.

    Raises MalformedRecord where a header breaks the standard or something is cut short. Minutiae are not looked at,
    nor what follows the last view.
    """
    return tuple(_WALKERS[form](_Cursor(data, offset), form))


def rows_of(data: bytes, placed: Placed) -> np.ndarray[Any, Any]:
    """Return the minutiae of a view as they are laid out, fields x, y, angle and, where stated, quality; read-only."""
    return np.frombuffer(data, dtype=placed.row, count=placed.count, offset=placed.minutiae)


def write(record: Record) -> bytes:
    """Return the bytes of a record, of which `read` makes the same record again.

    Coordinates are rounded to whole pixels of the view's frame, angles to the format's unit. Raises
    ValueError for what the format cannot hold.
    """
    if not 1 <= len(record.views) <= MOST_VIEWS:
        raise ValueError("a record holds one to ten views")
    seen: Counter[int] = Counter()
    parts = []
    for view in record.views:
        parts.append(_WRITERS[record.format](view, record, seen[view.position]))
        seen[view.position] += 1
    return _with_header(record, b"".join(parts))


def at_197(form: Format, views: Sequence[View]) -> Record:
    """Return the views as a record of any format at 197 pixels per centimetre, as wide as the widest."""
    width = max((int(np.ceil(view.minutiae.width)) for view in views), default=1)
    height = max((int(np.ceil(view.minutiae.height)) for view in views), default=1)
    plain = tuple(View(v.position, v.impression, v.quality, v.minutiae) for v in views)
    return Record(form, width, height, PPCM, PPCM, plain)


def detect_at(data: bytes) -> tuple[Format, int]:
    """Return the format as `detect` does, and the offset of what follows the length field."""
    size = len(data)
    if size < LEAST_LENGTH:
        raise MalformedRecord("shorter than any header", size)
    if data[:4] != MAGIC:
        raise MalformedRecord("not a finger minutiae record", 0)
    version = data[4:8]
    short, first, long = (
        struct.unpack_from(code, data, at)[0] for code, at in ((">H", 8), (">I", 8), (">I", 10))
    )
    if version == FIRST:
        if first == size:
            return Format.ISO_19794_2_2005, 12
        if short == size:
            return Format.INCITS_378_2004, 10
        if short == 0 and long == size:
            return Format.INCITS_378_2004, 14
    elif version not in (SECOND, AMENDED):
        raise MalformedRecord("a version of the format that is not read here", 4)
    elif first == size:
        iso = version == SECOND and _sums_up(data)
        return (Format.ISO_19794_2_2011 if iso else Format.INCITS_378_2009), 12
    raise MalformedRecord("the length field disagrees with the length", 8)


def _sums_up(data: bytes) -> bool:
    """Return whether the representations of ISO 2011 would end where the record ends."""
    (number,) = struct.unpack_from(">H", data, 12)
    at = 15
    for _ in range(min(number, MOST_VIEWS + 1)):
        if len(data) - at < LEAST_REPRESENTATION:
            return False
        (length,) = struct.unpack_from(">I", data, at)
        if length < LEAST_REPRESENTATION:
            return False
        at += length
    return bool(number) and at == len(data)


def _walk_first(cursor: _Cursor, form: Format) -> list[Placed]:
    """Return the views of an ISO 2005 or INCITS 2004 record: one frame for all, said in the header."""
    if form is Format.INCITS_378_2004:
        cursor.take(OWNER, "the header is")
    _, width, height, x_ppcm, y_ppcm, number, _ = cursor.take(COMMON, "the header is")
    frame = Frame(width, height, x_ppcm, y_ppcm)
    frame.check(cursor.at - 10)
    views = []
    for _ in range(_lawful(number, cursor.at - 2)):
        at = cursor.at
        position, mixed, quality, count = cursor.take(VIEW, "a view is")
        check_position(position, at)
        quality = check_quality(quality, at + 2)
        fields = _Fields(position, mixed & 0x0F, quality, frame, count)
        views.append(_placed(cursor, fields, at))
    return views


def _walk_incits2009(cursor: _Cursor, _form: Format) -> list[Placed]:
    cursor.take(OWNER, "the header is")
    _, _, number, _ = cursor.take(INCITS2009, "the header is")
    views = []
    for _ in range(_lawful(number, cursor.at - 2)):
        at = cursor.at
        position, _, impression, quality, _, _, *frame, count = cursor.take(VIEW2009, "a view is")
        check_position(position, at)
        quality = check_quality(quality, at + 3)
        fields = _Fields(position, impression, quality, Frame(*frame), count)
        fields.frame.check(at + 8)
        views.append(_placed(cursor, fields, at))
    return views


def _walk_iso2011(cursor: _Cursor, _form: Format) -> list[Placed]:
    number, certified = cursor.take(ISO2011, "the header is")
    if certified > 1:
        raise MalformedRecord("no such certification flag", cursor.at - 1)
    return [_representation(cursor, certified) for _ in range(_lawful(number, cursor.at - 3))]


def _representation(record: _Cursor, certified: int) -> Placed:
    start = record.at
    length = record.take(CAPTURE2011, "a view is")[0]
    record.at = start
    record.skip(length, "a view is")
    cursor = _Cursor(record.data, start, record.at)
    qualities = cursor.take(CAPTURE2011, "a view is")[-1]
    # The first quality block speaks; further ones are other algorithms' opinions of the same image.
    quality = check_quality(cursor.data[cursor.at], cursor.at) if qualities else 0
    cursor.skip(qualities * QUALITY2011.size, "the quality blocks are")
    if certified:
        cursor.skip(1, "the certificates are")
        cursor.skip(cursor.data[cursor.at - 1] * CERTIFICATE2011, "the certificates are")
    at = cursor.at
    position, _, x_ppcm, y_ppcm, impression, width, height, nibbles, count = cursor.take(
        VIEW2011, "a view is"
    )
    check_position(position, at)
    if nibbles >> 4 not in (5, 6):
        raise MalformedRecord("no such size of a minutia", cursor.at - 2)
    frame = Frame(width, height, x_ppcm, y_ppcm)
    frame.check(at + 2)
    fields = _Fields(position, impression, quality, frame, count)
    view = _placed(cursor, fields, start, MINUTIA if nibbles >> 4 == 6 else SHORT_MINUTIA)
    if cursor.at != cursor.end:
        raise MalformedRecord("bytes follow the extended data of a view", cursor.at)
    return view


_WALKERS = {
    Format.ISO_19794_2_2005: _walk_first,
    Format.INCITS_378_2004: _walk_first,
    Format.INCITS_378_2009: _walk_incits2009,
    Format.ISO_19794_2_2011: _walk_iso2011,
}


def _lawful(views: int, offset: int) -> int:
    if not 1 <= views <= MOST_VIEWS:
        raise MalformedRecord("a record holds one to ten views", offset)
    return views


def _placed(cursor: _Cursor, fields: _Fields, begin: int, row: np.dtype[Any] = MINUTIA) -> Placed:
    """Step over the minutiae and extended data of a view; return where it lies."""
    start = cursor.at
    cursor.skip(fields.count * row.itemsize, "the minutiae are")
    cursor.extended()
    return Placed(
        position=fields.position,
        impression=fields.impression,
        quality=fields.quality,
        frame=fields.frame,
        begin=begin,
        minutiae=start,
        count=fields.count,
        row=row,
        end=cursor.at,
    )


def _view(data: bytes, placed: Placed, form: Format) -> View:
    rows = rows_of(data, placed)
    x, y = rows["x"].astype(np.int64), rows["y"].astype(np.int64)
    zero = np.zeros(len(rows), dtype=np.int64)
    raw = Raw(
        # The two bits above y are reserved: the standards have readers pass over them.
        np.stack([x & MOST_COORDINATE, y & MOST_COORDINATE], axis=1),
        rows["angle"].astype(np.int64),
        x >> KIND_SHIFT,
        rows["quality"].astype(np.int64) if placed.row is MINUTIA else zero,
    )
    units = ANGLE_UNITS[form]
    minutiae = to_minutiae(raw, placed.frame, units, placed.minutiae, placed.row.itemsize)
    return View(placed.position, placed.impression, placed.quality, minutiae, placed.frame)


def _with_header(record: Record, body: bytes) -> bytes:
    number = len(record.views)
    tail = COMMON.pack(0, record.width, record.height, record.x_ppcm, record.y_ppcm, number, 0)
    if record.format is Format.ISO_19794_2_2005:
        return _framed(FIRST, tail + body)
    if record.format is Format.ISO_19794_2_2011:
        return _framed(SECOND, ISO2011.pack(number, 0) + body)
    if record.format is Format.INCITS_378_2009:
        owner = OWNER.pack(UNKNOWN_OWNER, 0)
        return _framed(SECOND, owner + INCITS2009.pack(0, 0, number, 0) + body)
    rest = OWNER.pack(0, 0) + tail + body
    if 10 + len(rest) > 0xFFFF:
        return MAGIC + FIRST + struct.pack(">HI", 0, 14 + len(rest)) + rest
    return MAGIC + FIRST + struct.pack(">H", 10 + len(rest)) + rest


def _framed(version: bytes, rest: bytes) -> bytes:
    return MAGIC + version + struct.pack(">I", 12 + len(rest)) + rest


def _write_first(view: View, record: Record, number: int) -> bytes:
    if not 0 <= view.impression < 16:
        raise ValueError("the format cannot hold this impression")
    rows = _rows(view.minutiae, record.frame, record.format)
    mixed = number << 4 | view.impression
    header = VIEW.pack(_position(view), mixed, view.quality, len(rows))
    return header + rows.tobytes() + LENGTH.pack(0)


def _write_incits2009(view: View, record: Record, number: int) -> bytes:
    frame = view.frame or record.frame
    rows = _rows(view.minutiae, frame, record.format)
    quality = view.quality or NOT_COMPUTED[0]
    said = (_position(view), number, view.impression, quality, UNKNOWN_OWNER, 0, *_numbers(frame))
    return VIEW2009.pack(*said, len(rows)) + rows.tobytes() + LENGTH.pack(0)


def _write_iso2011(view: View, record: Record, number: int) -> bytes:
    frame = view.frame or record.frame
    rows = _rows(view.minutiae, frame, record.format)
    if not view.minutiae.quality.any():
        rows = rows[["x", "y", "angle"]].astype(SHORT_MINUTIA)
    width, height, x_ppcm, y_ppcm = _numbers(frame)
    nibbles = rows.dtype.itemsize << 4
    said = (_position(view), number, x_ppcm, y_ppcm, view.impression, width, height, nibbles)
    quality = QUALITY2011.pack(view.quality, 0, 0) if view.quality else b""
    body = quality + VIEW2011.pack(*said, len(rows)) + rows.tobytes() + LENGTH.pack(0)
    length = CAPTURE2011.size + len(body)
    return CAPTURE2011.pack(length, NO_DATE, 0, 0, 0, len(quality) // QUALITY2011.size) + body


_WRITERS = {
    Format.ISO_19794_2_2005: _write_first,
    Format.INCITS_378_2004: _write_first,
    Format.INCITS_378_2009: _write_incits2009,
    Format.ISO_19794_2_2011: _write_iso2011,
}


def _numbers(frame: Frame) -> tuple[int, int, int, int]:
    return frame.width, frame.height, int(frame.x_ppcm), int(frame.y_ppcm)


def _position(view: View) -> int:
    if not 0 <= view.position <= MOST_POSITION or not 0 <= view.impression <= 255:
        raise ValueError("the format cannot hold this view")
    return view.position


def _rows(minutiae: Minutiae, frame: Frame, form: Format) -> np.ndarray[Any, Any]:
    if len(minutiae) > MOST_MINUTIAE:
        raise ValueError("the format cannot hold this view")
    raw = to_raw(minutiae, frame, ANGLE_UNITS[form])
    rows = np.zeros(len(minutiae), dtype=MINUTIA)
    rows["x"] = raw.kind << KIND_SHIFT | raw.xy[:, 0]
    rows["y"] = raw.xy[:, 1]
    rows["angle"] = raw.angle
    first = form in (Format.ISO_19794_2_2005, Format.INCITS_378_2004)
    rows["quality"] = raw.quality if first else np.where(raw.quality, raw.quality, NOT_COMPUTED[0])
    return rows
