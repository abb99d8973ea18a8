"""ICC profiles of pictures (ICC.1:2010 = ISO 15076-1, and version 2): which of them are of a well-known colour space and no more.

A profile has room for text, in eight tags and behind each of them, and what programs write there leads to a person: systems name
the profile of a display as its owner named it. Denied by default: a profile passes where every byte is accounted for, its tags
are those that describe a colour space, their numbers are such, and each text is one that makers of well-known profiles wrote.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

MOST_BYTES: Final = 65_536  # the best known profile has 3144
MOST_TAGS: Final = 32
HEADER: Final = 128  # bytes (7.2)
_entry = struct.Struct(">4sII")  # signature, offset, size (7.3)
# Texts of profiles that were seen whole: sRGB by Hewlett-Packard, Little CMS, GIMP; Display P3 and Adobe RGB.
_texts: Final = re.compile(
    r"sRGB IEC61966-2\.1|Copyright \(c\) 1998 Hewlett-Packard Company|IEC http://www\.iec\.ch"
    r"|IEC 61966-2\.1 Default RGB colour space - sRGB|Reference Viewing Condition in IEC61966-2\.1"
    r"|sRGB built-in|Gray built-in|No copyright, use freely|GIMP built-in sRGB|GIMP|sRGB|Public Domain"
    r"|Display P3|Adobe RGB \(1998\)|Copyright (?:1999 Adobe Systems Incorporated|Apple Inc\., (?:19|20)[0-9]{2})"
)
# Codes of four letters: programs, makers, models and platforms.
_CODES: Final = frozenset(
    {bytes(4), b"ADBE", b"APPL", b"HP  ", b"IEC ", b"Lino", b"MSFT", b"appl", b"lcms", b"none", b"sRGB"}
)  # fmt: skip
_CLASSES: Final = frozenset({b"mntr", b"scnr", b"spac"})
_SPACES: Final = frozenset({b"RGB ", b"GRAY"})
_CONNECTION: Final = frozenset({b"XYZ ", b"Lab "})
_D50: Final = bytes.fromhex("0000f6d6000100000000d32d")  # of the connection space, by definition
_TECHNOLOGIES: Final = frozenset({bytes(4), b"CRT ", b"LCD ", b"dcam", b"fscn"})
# Header: creation date as six numbers, flags, attributes (their first half is a vendor's), intent.
_DATE, _FLAGS, _ATTRIBUTES, _INTENT, _ILLUMINANT, _CREATOR, _DIGEST, _RESERVED = 24, 44, 56, 64, 68, 80, 84, 100  # fmt: skip


def is_well_known(profile: bytes) -> bool:
    """Return whether a profile says what a well-known one says, and no byte more; False for anything that is none."""
    try:
        return (
            HEADER + 4 <= len(profile) <= MOST_BYTES
            and _is_plain_header(profile)
            and _are_plain_tags(profile)
        )
    except (struct.error, UnicodeDecodeError):  # it ends within a field, or a text is none
        return False


def _is_plain_header(profile: bytes) -> bool:
    (size,) = struct.unpack_from(">I", profile)
    codes = (profile[at : at + 4] for at in (4, 40, 48, 52, _CREATOR))
    year, month, day, hour, minute, second = struct.unpack_from(">6H", profile, _DATE)
    flags, _, _, vendor, attributes, intent = struct.unpack_from(">6I", profile, _FLAGS)
    return (
        size == len(profile)
        and profile[36:40] == b"acsp"
        and all(each in _CODES for each in codes)
        and profile[8] in (2, 4)
        and profile[10:12] == bytes(2)
        and (profile[12:16], profile[16:20], profile[20:24]) in _SORTS
        and (year == 0 or 1990 <= year < 2100)
        and max(month - 12, day - 31, hour - 23, minute - 59, second - 59) <= 0
        and (flags <= 3 and vendor == 0 and attributes <= 15 and intent <= 3)
        and profile[_ILLUMINANT:_CREATOR] == _D50
        and profile[_DIGEST:_RESERVED] in (bytes(16), _digest(profile))
        and not any(profile[_RESERVED:HEADER])
    )


def _digest(profile: bytes) -> bytes:
    """Return the identity of a profile: MD5 over it with flags, intent and identity zero (7.2.18); not used for security."""
    zeroed = bytearray(profile)
    for at, end in ((_FLAGS, _FLAGS + 4), (_INTENT, _ILLUMINANT), (_DIGEST, _RESERVED)):
        zeroed[at:end] = bytes(end - at)
    return hashlib.md5(zeroed, usedforsecurity=False).digest()


def _are_plain_tags(profile: bytes) -> bool:
    (count,) = struct.unpack_from(">I", profile, HEADER)
    if not 0 < count <= MOST_TAGS:
        return False
    table = [
        _entry.unpack_from(profile, HEADER + 4 + number * _entry.size) for number in range(count)
    ]
    if len({name for name, _, _ in table}) < count:  # a name that stands again has room for words
        return False
    return not any(_unread(profile, table)) and all(
        _is_plain_tag(name, profile[at : at + size]) for name, at, size in table
    )


def _unread(profile: bytes, table: list[tuple[bytes, int, int]]) -> Iterator[int]:
    """Yield the bytes that belong to no tag; tags may share their content."""
    end = HEADER + 4 + len(table) * _entry.size
    for _, at, size in sorted(table, key=lambda each: each[1]):
        yield from profile[end:at]
        end = max(end, at + size)
    yield from profile[end:]


def _is_plain_tag(name: bytes, content: bytes) -> bool:
    kind = content[:4]
    if kind not in _TAGS.get(name, ()) or any(content[4:8]):
        return False
    if kind == b"XYZ ":  # of a luminance in candela, of all else relative to white
        return _are_fixed(content[8:], 3, _MOST_CANDELA if name == b"lumi" else _MOST_FIXED)
    return _KINDS[kind](content)


def _is_text(content: bytes) -> bool:
    return _is_known(content[8:].rstrip(b"\0").decode("ascii"))


def _is_description(content: bytes) -> bool:
    """Return the same of a description of version 2: ASCII, then Unicode, then a Macintosh's script, each with its length."""
    (size,) = struct.unpack_from(">I", content, 8)
    at = 12 + size
    _, letters = struct.unpack_from(">II", content, at)
    script = at + 8 + 2 * letters
    _, used = struct.unpack_from(">HB", content, script)
    texts = (
        content[12:at].rstrip(b"\0").decode("ascii"),
        content[at + 8 : script].decode("utf-16-be").rstrip("\0"),
        content[script + 3 : script + 3 + used].rstrip(b"\0").decode("ascii"),
    )
    codes = content[at : at + 4] + content[script : script + 2]
    rest = content[script + 3 + used :]
    return not any(codes) and not any(rest) and all(map(_is_known, filter(None, texts)))


def _is_localised(content: bytes) -> bool:
    """Return the same of a text of version 4, in one language."""
    number, width, language, size, at = struct.unpack_from(">II4sII", content, 8)
    return (
        (number, width, at) == (1, 12, 28)
        and language in (b"enUS", b"en\0\0")
        and not any(content[at + size :])
        and _is_known(content[at : at + size].decode("utf-16-be").rstrip("\0"))
    )


def _is_known(text: str) -> bool:
    return _texts.fullmatch(text) is not None


def _is_curve(content: bytes) -> bool:
    """Return whether a curve has as many points as it says, and rises: text does not."""
    (count,) = struct.unpack_from(">I", content, 8)
    points = struct.unpack_from(f">{min(count, MOST_BYTES)}H", content, 12)
    return not any(content[12 + 2 * count :]) and list(points) == sorted(points)


def _is_formula(content: bytes) -> bool:
    """Return whether a curve is one of the formulas of 10.16, and nothing follows its parameters."""
    (which,) = struct.unpack_from(">H", content, 8)
    return which < len(_PARAMETERS) and _are_fixed(content[12:], _PARAMETERS[which])


def _are_fixed(content: bytes, count: int, most: int = 4) -> bool:
    """Return whether content is so many numbers of 16 bits and a fraction of 16, none of which is beyond `most`."""
    return len(content) == 4 * count and all(
        abs(each) <= most << 16 for (each,) in struct.iter_unpack(">i", content)
    )


def _is_matrix(content: bytes) -> bool:
    return _are_fixed(content[8:], 9)


def _are_phosphors(content: bytes) -> bool:
    """Return whether content is three channels, a number of known phosphors, and their places in the plane of colours."""
    channels, known = struct.unpack_from(">HH", content, 8)
    return channels == 3 and known <= _MOST_PHOSPHORS and _are_fixed(content[12:], 6, 1)


def _is_viewing(content: bytes) -> bool:
    """Return whether content is the light and what is around, in candela, and a number of a known light."""
    return _are_fixed(content[8:32], 6, _MOST_CANDELA) and _is_number(content[32:], _MOST_LIGHTS)


def _is_measurement(content: bytes) -> bool:
    """Return whether content is observer, backing, geometry, flare from 0 to 1, and light."""
    return (
        _is_number(content[8:12], 2)
        and _are_fixed(content[12:24], 3)
        and _is_number(content[24:28], 2)
        and _is_number(content[28:32], 1 << 16)
        and _is_number(content[32:], _MOST_LIGHTS)
    )


def _is_number(content: bytes, most: int) -> bool:
    return len(content) == 4 and int.from_bytes(content, "big") <= most


def _is_technology(content: bytes) -> bool:
    return content[8:] in _TECHNOLOGIES


_SORTS: Final = frozenset((a, b, c) for a in _CLASSES for b in _SPACES for c in _CONNECTION)
_PARAMETERS: Final = (1, 3, 4, 5, 7)  # of each formula
_KINDS: Final[Mapping[bytes, Callable[[bytes], bool]]] = MappingProxyType(
    {
        b"text": _is_text,
        b"desc": _is_description,
        b"mluc": _is_localised,
        b"curv": _is_curve,
        b"para": _is_formula,
        b"sig ": _is_technology,
        b"sf32": _is_matrix,
        b"chrm": _are_phosphors,
        b"view": _is_viewing,
        b"meas": _is_measurement,
    }
)
_MOST_FIXED, _MOST_CANDELA = 4, 1_000  # of relative colours; per square metre
_MOST_PHOSPHORS, _MOST_LIGHTS = 4, 8  # enumerations of 10.2 and 10.14
_TEXTS: Final = (b"text", b"desc", b"mluc")
_CURVES: Final = (b"curv", b"para")
_TAGS: Final[Mapping[bytes, tuple[bytes, ...]]] = MappingProxyType(
    {
        **dict.fromkeys((b"desc", b"cprt", b"dmnd", b"dmdd", b"vued"), _TEXTS),
        **dict.fromkeys((b"wtpt", b"bkpt", b"rXYZ", b"gXYZ", b"bXYZ", b"lumi"), (b"XYZ ",)),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC", b"kTRC"), _CURVES),
        b"chad": (b"sf32",),
        b"chrm": (b"chrm",),
        b"view": (b"view",),
        b"meas": (b"meas",),
        b"tech": (b"sig ",),
    }
)
