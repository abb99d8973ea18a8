"""Text within records of minutiae: their extended data, which anybody may write and no reader here needs.

ISO/IEC 19794-2 and INCITS 378 define three kinds of it: ridge counts, cores and deltas, quality by zones; any other is a vendor's
own. Denied by default: extended data of another kind, or whose parts do not join, are taken for text about a person.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gateway.domain.messages import RecordFormat
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import MINUTIAE

STANDARD_KINDS: Final = frozenset({1, 2, 3})  # ridge counts, cores and deltas, quality by zones
_owner = struct.Struct(">HH")  # CBEFF owner and type; INCITS
_common = struct.Struct(">HHHHHBB")  # capture, W, H, X, Y, views, reserved; the first editions
_incits_2009 = struct.Struct(">BHBB")  # certification, device, views, reserved
_iso_2011 = struct.Struct(">HB")  # representations, certification flag
_view_first = struct.Struct(">BBBB")  # position, number and impression, quality, count
_view_2009 = struct.Struct(">BBBBHHHHHHB")  # …, count
_capture = struct.Struct(">I9sBHHB")  # length, date-time, technology, vendor, device, qualities
_view_2011 = struct.Struct(">BBHHBHHBB")  # …, size of a minutia in the high nibble, count
_QUALITY, _CERTIFICATE, _MINUTIA = 5, 3, 6  # bytes of one
_LENGTH_AT = 8  # where the record's length stands
_block = struct.Struct(">HH")  # kind, and length with this header
_size = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class _Extended:
    """Extended data of one view, without their length field; `whole` = where the length of what holds them stands, or None."""

    start: int
    end: int
    whole: int | None = None


class _Walk:
    """A place in a record that never leaves it."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        start = self.at
        self.skip(layout.size)
        return layout.unpack_from(self.data, start)

    def skip(self, size: int) -> None:
        if len(self.data) - self.at < size:
            raise MalformedFile("a record that is cut short", self.at)
        self.at += size

    def extended(self, whole: int | None = None) -> _Extended:
        """Return the extended data that follow minutiae, and step over them."""
        (size,) = self.take(_size)
        self.skip(size)
        return _Extended(self.at - size, self.at, whole)

    def head_2011(self, certified: int) -> None:
        """Step over what each representation of an ISO record of 2011 begins with."""
        qualities = self.take(_capture)[-1]
        self.skip(qualities * _QUALITY)
        if certified:
            self.skip(1)
            self.skip(self.data[self.at - 1] * _CERTIFICATE)


def names(form: RecordFormat, data: bytes) -> tuple[str, ...]:
    """Return the names of extended data that are text about a person; raises MalformedFile for a record that is none of `FORMATS`."""
    found = [name for each in _places(form, data) for name in _private(data[each.start : each.end])]
    return tuple(dict.fromkeys(found))


def stripped(form: RecordFormat, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a record of minutiae without extended data, and the names of those that are text; the same bytes where none is.

    All other bytes stay but the lengths. Raises MalformedFile.
    """
    removed = names(form, data)
    if not removed:
        return data, ()
    record = bytearray(data)
    for each in reversed(_places(form, data)):
        gone = each.end - each.start
        del record[each.start : each.end]
        _size.pack_into(record, each.start - _size.size, 0)
        if each.whole is not None:
            (length,) = struct.unpack_from(">I", record, each.whole)
            struct.pack_into(">I", record, each.whole, length - gone)
    at, layout = _LENGTH_AT, ">I"
    if form is RecordFormat.INCITS_378_2004:
        short = any(data[_LENGTH_AT : _LENGTH_AT + 2])
        at, layout = (_LENGTH_AT, ">H") if short else (_LENGTH_AT + 2, ">I")
    struct.pack_into(layout, record, at, len(record))
    return bytes(record), removed


def _places(form: RecordFormat, data: bytes) -> list[_Extended]:
    version = data[len(MINUTIAE) : _LENGTH_AT]
    if not data.startswith(MINUTIAE) or version not in _VERSIONS[form]:
        raise MalformedFile("not a record of this edition", 0)
    walk = _Walk(data, _LENGTH_AT + 4)
    found = list(_WALKS[form](walk))
    if walk.at != len(data):
        raise MalformedFile("bytes follow a record's last view", walk.at)
    return found


def _iso_2005_views(walk: _Walk) -> Iterator[_Extended]:
    *_, views, _ = walk.take(_common)
    for _ in range(views):
        *_, count = walk.take(_view_first)
        walk.skip(count * _MINUTIA)
        yield walk.extended()


def _incits_2004_views(walk: _Walk) -> Iterator[_Extended]:
    # The length has 2 bytes, or 6 of which the first two are zero.
    walk.at = _LENGTH_AT + (2 if any(walk.data[_LENGTH_AT : _LENGTH_AT + 2]) else 6)
    walk.take(_owner)
    yield from _iso_2005_views(walk)


def _incits_2009_views(walk: _Walk) -> Iterator[_Extended]:
    walk.take(_owner)
    *_, views, _ = walk.take(_incits_2009)
    for _ in range(views):
        *_, count = walk.take(_view_2009)
        walk.skip(count * _MINUTIA)
        yield walk.extended()


def _iso_2011_views(walk: _Walk) -> Iterator[_Extended]:
    views, certified = walk.take(_iso_2011)
    for _ in range(views):
        start = walk.at
        walk.head_2011(certified)
        *_, nibbles, count = walk.take(_view_2011)
        walk.skip(count * (nibbles >> 4))
        yield walk.extended(start)


def _private(extended: bytes) -> Iterator[str]:
    """Yield the names of blocks that no standard defines."""
    at = 0
    while at < len(extended):
        kind, length = (
            _block.unpack_from(extended, at) if len(extended) - at >= _block.size else (0, 0)
        )
        if not _block.size <= length <= len(extended) - at:
            yield "extended data whose parts do not join"
            return
        if kind not in STANDARD_KINDS:
            yield f"extended data of a vendor's own kind {kind}"
        at += length


_WALKS: Final[Mapping[RecordFormat, Callable[[_Walk], Iterator[_Extended]]]] = MappingProxyType(
    {
        RecordFormat.ISO_19794_2_2005: _iso_2005_views,
        RecordFormat.INCITS_378_2004: _incits_2004_views,
        RecordFormat.ISO_19794_2_2011: _iso_2011_views,
        RecordFormat.INCITS_378_2009: _incits_2009_views,
    }
)
_VERSIONS: Final[Mapping[RecordFormat, tuple[bytes, ...]]] = MappingProxyType(
    {
        RecordFormat.ISO_19794_2_2005: (b" 20\0",),
        RecordFormat.INCITS_378_2004: (b" 20\0",),
        RecordFormat.ISO_19794_2_2011: (b"030\0",),
        RecordFormat.INCITS_378_2009: (b"030\0", b"035\0"),
    }
)
FORMATS: Final = frozenset(_WALKS)
