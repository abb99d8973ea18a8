"""Whether what a picture's headers hold is as their standards have it: ISO/IEC 10918-1, 15444-1 and 15948, IAFIS-IC-0110.

A table is a place for words where nobody looks whether it is one. Denied by default: what is not listed here is none of a
header, and each entry says how long it is and which values it may have. What stays free says no sentence: the quantisers of a
table, the sides of a picture. Coded data are not looked through; nothing is decoded and nothing inflated here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

# ISO/IEC 10918-1, table B.2 to B.7, for eight bits a sample.
FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # sequential, extended, progressive; Huffman
_DHT, _SOS, _DQT, _DRI = 0xC4, 0xDA, 0xDB, 0xDD
_QUANTISERS, _MOST_CHANNELS, _MOST_TABLES = 64, 4, 4
_LAST_COEFFICIENT, _MOST_SHIFT = 63, 13
_DC, _AC = 0, 1
_MOST_DC, _MOST_AC = 11, 10  # bits of a difference, and of a coefficient
_WIDTHS: Final = 16  # lengths in bits that a code may have

# IAFIS-IC-0110, and the lengths that NIST's encoder writes.
_W_SOF, _W_SOB, _W_DTT, _W_DQT, _W_DHT = 0xA2, 0xA3, 0xA4, 0xA5, 0xA6
_SUBBANDS, _MOST_DIGITS, _MOST_TAPS, _MOST_WSQ_TABLES = 64, 20, 32, 8

# ISO/IEC 15444-1, annex A.
_SIZ, _COD, _COC, _QCD, _QCC, _RGN, _POC = 0x51, 0x52, 0x53, 0x5C, 0x5D, 0x5E, 0x5F
_MOST_LEVELS, _MOST_PROGRESSIONS = 32, 32

_WIDE: Final = 2  # bytes of a sample of PNG, whatever its depth
# What a chunk of a colour type holds: samples of tRNS, sBIT and bKGD (15948, 11.3).
_CHANNELS: Final = MappingProxyType({0: 1, 2: 3, 3: 3, 4: 2, 6: 4})
PALETTE: Final = 3  # colour type
_DEPTHS: Final = frozenset({1, 2, 4, 8, 16})
_UNIT, _MOST_GAMMA, _MOST_PER_METRE = 100_000, 1_000_000, 10_000_000
_IHDR: Final = struct.Struct(">IIBBBBB")


def is_jpeg(marker: int, content: bytes) -> bool:
    """Return whether a segment of JPEG (its content, without its length) is one that a picture of eight bits needs."""
    check = _JPEG.get(marker)
    return check is not None and bool(content) and check(content)


def is_wsq(marker: int, content: bytes) -> bool:
    """Return the same of a segment of WSQ."""
    check = _WSQ.get(marker)
    return check is not None and bool(content) and check(content)


def is_jpeg_2000(marker: int, content: bytes) -> bool:
    """Return the same of a segment of the main header of JPEG 2000, of which those that only save time are not needed."""
    check = _JPEG_2000.get(marker)
    return check is not None and bool(content) and check(content)


def tables(content: bytes) -> tuple[int, ...]:
    """Return the numbers of the Huffman tables of a segment, of JPEG or WSQ; () where they do not fill it."""
    return tuple(number for number, _ in _huffman(content))


def quantised(content: bytes) -> tuple[int, ...]:
    """Return the numbers of the tables of quantisers of a JPEG segment; () where they do not fill it."""
    found, at = list[int](), 0
    while at < len(content):
        wide, number = divmod(content[at], 16)
        at += 1 + _QUANTISERS * (wide + 1)
        if wide > 1 or number >= _MOST_TABLES or at > len(content):
            return ()
        found.append(number)
    return tuple(found)


def is_png_header(content: bytes) -> bool:
    """Return whether the content of IHDR is one."""
    if len(content) != _IHDR.size:
        return False
    _, _, depth, colour, packing, filtering, interlaced = _IHDR.unpack(content)
    return (
        depth in _DEPTHS
        and colour in _CHANNELS
        and (packing, filtering) == (0, 0)
        and interlaced <= 1
    )


def is_png(kind: bytes, content: bytes, header: bytes) -> bool:
    """Return whether a chunk is one that says how to read the pixels of a picture with this IHDR; IDAT is not asked about."""
    check = _PNG.get(kind)
    return check is not None and check(content, header[9], header[8])


def _is_frame(content: bytes) -> bool:
    channels = content[5] if len(content) > 5 else 0
    return (
        1 <= channels <= _MOST_CHANNELS
        and len(content) == 6 + 3 * channels
        and all(1 <= each >> 4 <= 4 and 1 <= each & 15 <= 4 for each in content[7::3])
        and all(each < _MOST_TABLES for each in content[8::3])
    )


def _is_scan(content: bytes) -> bool:
    channels = content[0]
    if not 1 <= channels <= _MOST_CHANNELS or len(content) != 4 + 2 * channels:
        return False
    first, last, shifts = content[-3:]
    return (
        all(max(each >> 4, each & 15) < _MOST_TABLES for each in content[2:-3:2])
        and first <= last <= _LAST_COEFFICIENT
        and max(shifts >> 4, shifts & 15) <= _MOST_SHIFT
    )


def _huffman(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and values of each table; nothing where they do not fill their segment."""
    found, at = list[tuple[int, bytes]](), 0
    while at < len(content):
        values = at + 1 + _WIDTHS
        end = values + sum(content[at + 1 : values])
        if end > len(content):
            return
        found.append((content[at], content[values:end]))
        at = end
    yield from found


def _is_huffman(content: bytes) -> bool:
    found = list(_huffman(content))
    return bool(found) and all(
        number >> 4 in (_DC, _AC)
        and number & 15 < _MOST_TABLES
        and len(set(values)) == len(values)  # a value has one code: words repeat their letters
        and all(_is_symbol(number >> 4, each) for each in values)
        for number, values in found
    )


def _is_symbol(kind: int, value: int) -> bool:
    return value <= _MOST_DC if kind == _DC else value & 15 <= _MOST_AC


def _is_wsq_huffman(content: bytes) -> bool:
    found = list(_huffman(content))
    return bool(found) and all(
        number < _MOST_WSQ_TABLES and len(set(values)) == len(values) for number, values in found
    )


def _is_transform(content: bytes) -> bool:
    """Return whether a segment holds the halves of two filters: of each tap sign, decimal places, and a number of 32 bits."""
    if len(content) < 2 or max(content[:2]) > _MOST_TAPS:
        return False
    taps = sum((each + 1) // 2 for each in content[:2])
    return (
        len(content) == 2 + 6 * taps
        and all(each <= 1 for each in content[2::6])
        and all(each <= _MOST_DIGITS for each in content[3::6])
    )


def _are_bins(content: bytes) -> bool:
    """Return whether a segment holds the centre of the bins, and widths of two bins for each subband."""
    return len(content) == 3 + 6 * _SUBBANDS and all(each <= _MOST_DIGITS for each in content[0::3])


def _is_size(content: bytes) -> bool:
    channels = int.from_bytes(content[34:36], "big")
    return 1 <= channels <= _MOST_CHANNELS and len(content) == 36 + 3 * channels


def _is_style(content: bytes) -> bool:
    """Return whether a segment is COD: style, order, layers, transform of colours, and how each component is coded."""
    return len(content) >= 10 and content[1] <= 4 and content[4] <= 1 and _is_coding(content[0], content[5:])  # fmt: skip


def _is_coding(style: int, content: bytes) -> bool:
    levels, *rest = content[:5]
    precincts = levels + 1 if style & 1 else 0
    return (
        style <= 7
        and levels <= _MOST_LEVELS
        and len(content) == 5 + precincts
        and all(each <= most for each, most in zip(rest, (8, 8, 63, 1), strict=True))
    )


def _is_component_style(content: bytes) -> bool:
    return len(content) >= 7 and content[0] < _MOST_CHANNELS and _is_coding(content[1], content[2:])


def _is_quantisation(content: bytes) -> bool:
    """Return whether steps are as many as subbands of some number of levels; derived from one, one is enough."""
    style, size = content[0] & 31, len(content) - 1
    if style == 1:
        return size == 2
    width = 1 if style == 0 else 2
    return style <= 2 and size % width == 0 and size // width in _STEPS


def _is_component_quantisation(content: bytes) -> bool:
    return len(content) >= 2 and content[0] < _MOST_CHANNELS and _is_quantisation(content[1:])


def _is_region(content: bytes) -> bool:
    return len(content) == 3 and content[0] < _MOST_CHANNELS and content[1] == 0


def _are_progressions(content: bytes) -> bool:
    """Return whether a segment is POC: resolution and component, layer, resolution and component where it ends, order."""
    return (
        len(content) % 7 == 0
        and len(content) <= 7 * _MOST_PROGRESSIONS
        and all(
            max(content[at], content[at + 4]) <= _MOST_LEVELS + 1
            and content[at + 1] < _MOST_CHANNELS
            and content[at + 6] <= 4
            for at in range(0, len(content), 7)
        )
    )


def _numbers(content: bytes, count: int, most: int, width: int = 4) -> bool:
    """Return whether content is so many numbers of so many bytes, none of which is more than `most`."""
    return len(content) == count * width and all(
        int.from_bytes(content[at : at + width], "big") <= most
        for at in range(0, len(content), width)
    )


def _is_palette(content: bytes, colour: int, depth: int) -> bool:
    return colour == PALETTE and len(content) % 3 == 0 and 0 < len(content) <= 3 << min(depth, 8)


def _is_transparency(content: bytes, colour: int, depth: int) -> bool:
    if colour == PALETTE:
        return len(content) <= 1 << min(depth, 8)
    return colour in (0, 2) and _numbers(content, _CHANNELS[colour], (1 << depth) - 1, _WIDE)


def _is_background(content: bytes, colour: int, depth: int) -> bool:
    if colour == PALETTE:
        return len(content) == 1
    return _numbers(content, 3 if colour & 2 else 1, (1 << depth) - 1, _WIDE)


def _is_time(content: bytes, *_: int) -> bool:
    if len(content) != 7:
        return False
    year, rest = int.from_bytes(content[:2], "big"), content[2:]
    return year < 2100 and all(a <= b for a, b in zip(rest, (12, 31, 23, 59, 60), strict=True))


_STEPS: Final = frozenset(3 * levels + 1 for levels in range(_MOST_LEVELS + 1))
_JPEG: Final[Mapping[int, Callable[[bytes], bool]]] = MappingProxyType(
    {
        **dict.fromkeys(FRAMES, _is_frame),
        _DHT: _is_huffman,
        _SOS: _is_scan,
        _DQT: lambda content: bool(quantised(content)),
        _DRI: lambda content: len(content) == 2,
    }
)
_WSQ: Final[Mapping[int, Callable[[bytes], bool]]] = MappingProxyType(
    {
        _W_SOF: lambda content: len(content) == 15,
        _W_SOB: lambda content: len(content) == 1 and content[0] < _MOST_WSQ_TABLES,
        _W_DTT: _is_transform,
        _W_DQT: _are_bins,
        _W_DHT: _is_wsq_huffman,
    }
)
_JPEG_2000: Final[Mapping[int, Callable[[bytes], bool]]] = MappingProxyType(
    {
        _SIZ: _is_size,
        _COD: _is_style,
        _COC: _is_component_style,
        _QCD: _is_quantisation,
        _QCC: _is_component_quantisation,
        _RGN: _is_region,
        _POC: _are_progressions,
    }
)
_PNG: Final[Mapping[bytes, Callable[[bytes, int, int], bool]]] = MappingProxyType(
    {
        b"PLTE": _is_palette,
        b"IEND": lambda content, *_: not content,
        b"tRNS": _is_transparency,
        b"bKGD": _is_background,
        b"cHRM": lambda content, *_: _numbers(content, 8, _UNIT),
        b"gAMA": lambda content, *_: _numbers(content, 1, _MOST_GAMMA),
        b"sBIT": lambda content, colour, _: _numbers(content, _CHANNELS[colour], 16, 1),
        b"sRGB": lambda content, *_: _numbers(content, 1, 3, 1),
        b"pHYs": lambda content, *_: (
            _numbers(content[:8], 2, _MOST_PER_METRE) and content[8:] in (b"\0", b"\1")
        ),
        b"tIME": _is_time,
    }
)
