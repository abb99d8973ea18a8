"""Finger minutiae records: ISO/IEC 19794-2:2005 and INCITS 378-2004 ⇄ templates, through one bounded cursor.

The two share magic and version; only the length field tells them apart, so it decides, strictly. Every read
is bounded by the buffer, extended data are skipped by their length and never interpreted, nothing may trail.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from matcher.template import BEST_QUALITY, MOST_MINUTIAE, PPCM, TURN, MalformedRecord, Minutiae

MAGIC = b"FMR\0"
VERSION = b" 20\0"  # of both standards
MOST_VIEWS = 10  # one for each finger; more is refused before anything is allocated
MOST_POSITION = 10  # ISO/IEC 19794-2:2005, table 2; 0 = unknown
LEAST_PPCM = 79  # 200 ppi: under it ridges are less than four pixels apart, and minutiae are noise
MOST_PPCM = 1575  # 4,000 ppi: no finger scanner resolves more
NOT_COMPUTED = (254, 255)  # quality "not computed", of the later editions; met in older records too
COORDINATE_BITS = 14
MOST_COORDINATE = (1 << COORDINATE_BITS) - 1

ISO_HEADER = struct.Struct(">4s4sIHHHHHBB")  # 7.3
INCITS_SHORT = struct.Struct(">4s4sH")
INCITS_LONG = struct.Struct(">4s4sHI")
INCITS_REST = struct.Struct(
    ">HHHHHHHBB"
)  # owner, type, capture, width, height, X, Y, views, reserved
VIEW_HEADER = struct.Struct(">BBBB")
MINUTIA = np.dtype([("x", ">u2"), ("y", ">u2"), ("angle", "u1"), ("quality", "u1")])


class Format(IntEnum):
    """The layout of a record; the numbers are those of the wire."""

    ISO_19794_2_2005 = 1
    INCITS_378_2004 = 2


ANGLE_UNITS = {Format.ISO_19794_2_2005: 256, Format.INCITS_378_2004: 180}  # of a full turn


@dataclass(frozen=True, slots=True)
class View:
    """One view of one finger: position 0-10 (0 = unknown), impression 0-15, quality 0-100 (0 = unknown)."""

    position: int
    impression: int
    quality: int
    minutiae: Minutiae


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: size in its own pixels, resolution in pixels per centimetre, its views in order."""

    format: Format
    width: int
    height: int
    x_ppcm: int
    y_ppcm: int
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """What the header says, and where the first view begins."""

    format: Format
    width: int
    height: int
    x_ppcm: int
    y_ppcm: int
    views: int
    offset: int


def detect(data: bytes) -> Format:
    """Return the format that the magic and the length field say; raise MalformedRecord where none fits."""
    return _detect(data)[0]


def read(data: bytes) -> Record:
    """Return the record that `data` are, all of them, rescaled to 197 pixels per centimetre.

    Raises MalformedRecord for anything that the standard does not allow, for a resolution of 0 or beyond
    200-4,000 ppi, for a minutia outside the image, for a record without a view, and for trailing bytes.
    """
    layout = _header(data)
    views, offset = [], layout.offset
    for _ in range(layout.views):
        view, offset = _view(data, offset, layout)
        views.append(view)
    if offset != len(data):
        raise MalformedRecord("bytes follow the last view", offset)
    return Record(
        layout.format, layout.width, layout.height, layout.x_ppcm, layout.y_ppcm, tuple(views)
    )


def write(record: Record) -> bytes:
    """Return the bytes of a record, of which `read` makes the same record again.

    Coordinates are rounded to whole pixels of the record, angles to the format's unit. Raises ValueError
    for what the format cannot hold.
    """
    if not 1 <= len(record.views) <= MOST_VIEWS:
        raise ValueError("a record holds one to ten views")
    body = b"".join(_view_bytes(view, record) for view in record.views)
    tail = (record.width, record.height, record.x_ppcm, record.y_ppcm, len(record.views), 0)
    if record.format is Format.ISO_19794_2_2005:
        return ISO_HEADER.pack(MAGIC, VERSION, ISO_HEADER.size + len(body), 0, *tail) + body
    rest = INCITS_REST.pack(0, 0, 0, *tail) + body
    size = INCITS_SHORT.size + len(rest)
    if size <= 0xFFFF:
        return INCITS_SHORT.pack(MAGIC, VERSION, size) + rest
    return INCITS_LONG.pack(MAGIC, VERSION, 0, INCITS_LONG.size + len(rest)) + rest


def write_iso2005(views: Sequence[View]) -> bytes:
    """Return the views as one ISO/IEC 19794-2:2005 record at 197 pixels per centimetre."""
    return write(_at_197(Format.ISO_19794_2_2005, views))


def write_incits2004(views: Sequence[View]) -> bytes:
    """Return the views as one INCITS 378-2004 record at 197 pixels per centimetre."""
    return write(_at_197(Format.INCITS_378_2004, views))


def _at_197(layout: Format, views: Sequence[View]) -> Record:
    width = max((int(np.ceil(view.minutiae.width)) for view in views), default=1)
    height = max((int(np.ceil(view.minutiae.height)) for view in views), default=1)
    return Record(layout, width, height, PPCM, PPCM, tuple(views))


def _detect(data: bytes) -> tuple[Format, int]:
    """Return the format and the offset of what follows the length field."""
    if len(data) < ISO_HEADER.size:
        raise MalformedRecord("shorter than any header", len(data))
    if data[:4] != MAGIC:
        raise MalformedRecord("not a finger minutiae record", 0)
    if data[4:8] != VERSION:
        raise MalformedRecord("a version of the format that is not read here", 4)
    size = len(data)
    short, long = struct.unpack_from(">H", data, 8)[0], struct.unpack_from(">I", data, 10)[0]
    if struct.unpack_from(">I", data, 8)[0] == size:
        return Format.ISO_19794_2_2005, 12
    if short == size:
        return Format.INCITS_378_2004, INCITS_SHORT.size
    if short == 0 and long == size:
        return Format.INCITS_378_2004, INCITS_LONG.size
    raise MalformedRecord("the length field disagrees with the length", 8)


def _header(data: bytes) -> _Layout:
    form, offset = _detect(data)
    if form is Format.ISO_19794_2_2005:
        width, height, x_ppcm, y_ppcm, views, _ = ISO_HEADER.unpack_from(data)[4:]
        end = ISO_HEADER.size
    else:
        end = offset + INCITS_REST.size
        if len(data) < end:
            raise MalformedRecord("the header is cut short", len(data))
        width, height, x_ppcm, y_ppcm, views, _ = INCITS_REST.unpack_from(data, offset)[3:]
    if not width or not height:
        raise MalformedRecord("an image without area", end - 10)
    if not (LEAST_PPCM <= x_ppcm <= MOST_PPCM and LEAST_PPCM <= y_ppcm <= MOST_PPCM):
        raise MalformedRecord("the resolution is zero or absurd", end - 6)
    if not 1 <= views <= MOST_VIEWS:
        raise MalformedRecord("a record holds one to ten views", end - 2)
    return _Layout(form, width, height, x_ppcm, y_ppcm, views, end)


def _view(data: bytes, offset: int, layout: _Layout) -> tuple[View, int]:
    if len(data) - offset < VIEW_HEADER.size:
        raise MalformedRecord("a view is cut short", offset)
    position, mixed, quality, count = VIEW_HEADER.unpack_from(data, offset)
    if position > MOST_POSITION:
        raise MalformedRecord("no such finger position", offset)
    if quality in NOT_COMPUTED:
        quality = 0
    if quality > BEST_QUALITY:
        raise MalformedRecord("finger quality out of range", offset + 2)
    start = offset + VIEW_HEADER.size
    end = start + count * MINUTIA.itemsize
    if len(data) - end < 2:
        raise MalformedRecord("the minutiae are cut short", start)
    minutiae = _minutiae(data, start, count, layout)
    extended = struct.unpack_from(">H", data, end)[0]
    if len(data) - end - 2 < extended:
        raise MalformedRecord("the extended data are cut short", end)
    return View(position, mixed & 0x0F, quality, minutiae), end + 2 + extended


def _minutiae(data: bytes, start: int, count: int, layout: _Layout) -> Minutiae:
    rows = np.frombuffer(data, dtype=MINUTIA, count=count, offset=start)
    kind = (rows["x"] >> COORDINATE_BITS).astype(np.uint8)
    # The two bits above y are reserved: the standards have readers pass over them.
    xy = np.stack([rows["x"] & MOST_COORDINATE, rows["y"] & MOST_COORDINATE], axis=1)
    quality = np.where(np.isin(rows["quality"], NOT_COMPUTED), 0, rows["quality"])
    units = ANGLE_UNITS[layout.format]
    for bad, reason in (
        (kind > 2, "a minutia of unknown kind"),
        ((xy >= (layout.width, layout.height)).any(axis=1), "a minutia outside the image"),
        (rows["angle"] >= units, "an angle beyond the full turn"),
        (quality > BEST_QUALITY, "minutia quality out of range"),
    ):
        if bad.any():
            raise MalformedRecord(reason, start + MINUTIA.itemsize * int(bad.argmax()))
    scale = np.array([PPCM / layout.x_ppcm, PPCM / layout.y_ppcm])
    angle = rows["angle"].astype(np.float64) * (2 * np.pi / units)
    size = np.array([layout.width, layout.height]) * scale
    return Minutiae(
        xy=(xy * scale).astype(np.float32),
        angle=_turned(angle, scale).astype(np.float32),
        kind=kind,
        quality=quality.astype(np.uint8),
        width=float(size[0]),
        height=float(size[1]),
    )


def _turned(angle: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the angles after scaling; they change only where X and Y resolutions differ."""
    if scale[0] == scale[1]:
        return angle
    turned = np.arctan2(np.sin(angle) * scale[1], np.cos(angle) * scale[0]) % (2 * np.pi)
    return np.where(turned.astype(np.float32) >= TURN, 0.0, turned)


def _view_bytes(view: View, record: Record) -> bytes:
    minutiae, units = view.minutiae, ANGLE_UNITS[record.format]
    if len(minutiae) > MOST_MINUTIAE or not 0 <= view.position <= MOST_POSITION:
        raise ValueError("the format cannot hold this view")
    scale = np.array([PPCM / record.x_ppcm, PPCM / record.y_ppcm])
    rows = np.zeros(len(minutiae), dtype=MINUTIA)
    last = np.minimum(np.array([record.width, record.height]) - 1, MOST_COORDINATE)
    xy = np.rint(minutiae.xy.astype(np.float64) / scale)
    if (xy > last + 1).any():
        raise ValueError("a minutia lies outside the record's image")
    xy = np.minimum(xy, last).astype(np.uint16)  # rounding may step over the edge, by one
    angle = _turned(minutiae.angle.astype(np.float64), 1 / scale)
    rows["x"] = minutiae.kind.astype(np.uint16) << COORDINATE_BITS | xy[:, 0]
    rows["y"] = xy[:, 1]
    rows["angle"] = np.rint(angle * (units / (2 * np.pi))).astype(np.int64) % units
    rows["quality"] = minutiae.quality
    header = VIEW_HEADER.pack(view.position, view.impression & 0x0F, view.quality, len(rows))
    return header + rows.tobytes() + b"\0\0"
