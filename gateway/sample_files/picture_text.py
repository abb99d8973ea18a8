"""Text within pictures: what JPEG, JPEG 2000, PNG and WSQ have room for beside the picture, found without decoding a pixel.

Cameras write where and when and by whom, programs write a title, anybody may write a comment: ISO/IEC 10918-1 (APPn, COM), Exif,
ISO/IEC 15444-1 annexes A.9 and I (COM, xml and uuid boxes), ISO/IEC 15948 (tEXt, zTXt, iTXt, eXIf), IAFIS-IC-0110 (COM).
Denied by default: a segment, chunk or box that is not listed here as what a picture needs is taken for text about a person, and
what is listed has to be as its standard has it (`picture_headers`), and to stand as often. What no header shows is not found: coded
data, what follows the picture behind deflate, the pixels themselves. Of colour profiles those pass that `icc_profile` knows; one of PNG, which is deflated,
none: its sRGB chunk says the same, and nothing is inflated here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.domain.messages import RecordFormat
from gateway.sample_files import icc_profile, picture_headers
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.starts import picture_format

# JPEG segments that a picture needs: frames and tables, a scan, an interval of restarts. Of what else has a meaning DNL, DHP, EXP and
# JPG are needed by no picture that is read here, and are cut; the frames of other processes and DAC are refused.
_JPEG: Final = frozenset({*picture_headers.FRAMES, 0xC4, 0xDA, 0xDB, 0xDD})
_OTHER_PROCESSES: Final = frozenset({*range(0xC3, 0xD0)}) - {0xC4, 0xC8}
_NOT_AS_IT_SHOULD: Final = "a part of the picture's header that is not as its standard has it"
_MOST_SCANS: Final = 256  # of a picture, or blocks of one of WSQ; encoders write twelve, and three
# APPn that say how to read the pixels, by how they begin, and their bytes; Exif and XMP are APP1, IPTC is APP13.
_APPS: Final = MappingProxyType({0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)})
_JFIF: Final = 0xE0
_PROFILE, _PROFILE_START = 0xE2, b"ICC_PROFILE\0"  # then the number of the part, and of all parts
_MOST_PARTS: Final = 2  # those that pass fit into one
_PROFILE_HEAD: Final = len(_PROFILE_START) + 2
_WSQ: Final = frozenset(range(0xA2, 0xA7))  # SOF, SOB, DTT, DQT, DHT
_COMMENT: Final = MappingProxyType({"WSQ": 0xA8, "JPEG": 0xFE})
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER: Final = slice(16, 29)  # content of IHDR, the first chunk
_BOXES: Final = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"res "})
_SIGNATURE: Final = b"\r\n\x87\n"  # of a file of boxes
_BRANDS: Final = frozenset({b"jp2 ", b"jpx ", b"jpxb", b"J2P0", b"J2P1", bytes(4)})  # and a version
_ftyp: Final = struct.pack(">4sI4s", b"jp2 ", 0, b"jp2 ")
# The boxes of boxes, and what each of them needs (annex I.5.3); the lengths in bytes of those that have one.
_INNER: Final[Mapping[bytes, frozenset[bytes]]] = MappingProxyType(
    {
        b"jp2h": frozenset({b"ihdr", b"bpcc", b"colr", b"cdef", b"res "}),
        b"res ": frozenset({b"resc", b"resd"}),
    }
)
_FIXED: Final = MappingProxyType({b"ihdr": 14, b"resc": 10, b"resd": 10})
# The others' most, of pictures of four channels.
_MOST: Final = MappingProxyType({b"bpcc": 4, b"cdef": 26})
_PALETTES: Final = frozenset({b"pclr", b"cmap"})  # of pictures that are not read here
_MOST_COLOURS: Final = 4  # boxes that tell the colours, each in a way of its own
_ENUMERATED_SIZE, _MOST_BRANDS = 7, 8
_ENUMERATED, _RESTRICTED, _ANY_PROFILE = 1, 2, 3  # how a box tells the colours (I.5.3.3)
_COLOURS: Final = MappingProxyType({1: 17, 3: 16})  # channels → grey, sRGB
# What NIST's encoder writes into the comment of a WSQ picture, and nothing else (NBIS, nistcom).
_nistcom: Final = re.compile(
    rb"NIST_COM [0-9]{1,3}+(?:\n(?:(?:PIX_WIDTH|PIX_HEIGHT|PIX_DEPTH|PPI|LOSSY|WSQ_BITRATE|NUM_COMPONENTS|INTRLV"
    rb"|JPEG_QUALITY|JPEG_PREDICT) -?[0-9]{1,6}(?:\.[0-9]{1,8})?|HV_FACTORS [0-9,: ]{1,40}+"
    rb"|COLORSPACE (?:GRAY|RGB|YCbCr)|COMPRESSION (?:NONE|RAW|WSQ|JPEGB|JPEGL|JPEG2K)))*+\n?+\0?+"
)
# What encoders write of themselves into the comment of a JPEG 2000 picture. Blanks end it and stand within it: no repeat gives
# back what it took, or a comment of blanks is read once for each of them.
_encoder: Final = re.compile(
    rb"(?:(?:Created by OpenJPEG version |Kakadu-v?|Creator: JasPer Version )[0-9.]{1,12}"
    rb"|Kdu-Layer-Info: log_2\{Delta-D\((?:squared-error|MSE)\)/Delta-L\(bytes\)\}, L\(bytes\)[-+0-9.e,\n ]{0,2000}+|)[ \n\0]*+"
)
# In coded data FF 00 is a byte and FF FF fills; of JPEG, restart markers lie between.
_coded: Final = MappingProxyType(
    {
        "WSQ": re.compile(rb"\xff[^\x00\xff]", re.DOTALL),
        "JPEG": re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL),
    }
)
_J2K_MAIN: Final = frozenset(
    {0x51, 0x52, 0x53, *range(0x5C, 0x60)}
)  # SIZ, COD, COC, QCD, QCC, RGN, POC
# What a picture cannot be read without, and is needed by none that is read here: CAP, PPM, PPT, and those above within a tile.
_J2K_CODED: Final = frozenset({*_J2K_MAIN, 0x50, 0x60, 0x61})
_J2K_COMMENT: Final = 0x64
_OF_A_COMPONENT: Final = frozenset({0x53, 0x5D, 0x5E})
_SOT, _SOD = 0x90, 0x93  # a part of a tile begins, and its coded data do
_sot = struct.Struct(
    ">HHHIBB"
)  # marker, length, tile, size of the part from its marker, part, parts
_box = struct.Struct(">I4s")


@dataclass(frozen=True, slots=True)
class Written:
    """Something written in a picture: its name, and where it stands.

    instead  what stands there when it is taken out: nothing, blanks where a length around it has to stay, or the part that a
             picture needs
    """

    name: str
    start: int
    end: int
    instead: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        """Say it by its name, never with a value."""
        return self.name


def written(form: RecordFormat, data: bytes) -> tuple[Written, ...]:
    """Return what is written in a picture of one of `FINDERS`; raises MalformedFile for one whose parts do not join."""
    return tuple(sorted(FINDERS[form](data), key=lambda each: each.start))


def names(data: bytes) -> tuple[str, ...]:
    """Return the names of what is written in a picture; none for bytes that begin as no picture of `FINDERS`.

    Raises MalformedFile for one whose parts do not join: what cannot be looked through may hold text.
    """
    form = picture_format(data)
    return () if form is None else tuple(str(each) for each in written(form, data))


def stripped(form: RecordFormat, data: bytes) -> tuple[bytes, tuple[Written, ...]]:
    """Return a picture without what is written in it, and what that was; every other byte stays. Raises MalformedFile."""
    found = written(form, data)
    parts, at = [], 0
    for each in found:
        parts += [data[at : each.start], each.instead]
        at = each.end
    return b"".join([*parts, data[at:]]), found


class _Parts:
    """Parts of a header that have been seen, of which each stands once; a table of codes once before each coded data."""

    def __init__(self) -> None:
        self.seen, self.codes, self.scans = set[object](), set[object](), 0

    def demand(self, at: int, *parts: object, fits: bool = True) -> None:
        """Raise MalformedFile for a part that is not as it should be, or has been seen."""
        if not fits or not self.seen.isdisjoint(parts) or len({*parts}) < len(parts):
            raise MalformedFile(_NOT_AS_IT_SHOULD, at)
        self.seen.update(parts)

    def demand_codes(self, at: int, numbers: tuple[int, ...], *, fits: bool) -> None:
        """Raise the same for tables of codes."""
        if not fits or not self.codes.isdisjoint(numbers) or len({*numbers}) < len(numbers):
            raise MalformedFile(_NOT_AS_IT_SHOULD, at)
        self.codes.update(numbers)

    def coded(self, at: int, *, fits: bool) -> None:
        """Begin with new tables of codes, for coded data follow; raise MalformedFile where there are too many of those."""
        self.scans += 1
        self.demand(at, fits=fits and self.scans <= _MOST_SCANS)
        self.codes.clear()


def _jpeg(data: bytes) -> Iterator[Written]:
    profile, parts = list[tuple[int, int]](), _Parts()
    for marker, start, end in _segments(data, "JPEG", (0xD8, 0xD9, 0xDA)):
        if marker == _COMMENT["JPEG"]:
            yield Written("a comment (JPEG, COM)", start, end)
        elif marker == _PROFILE and data[start + 4 : end].startswith(_PROFILE_START):
            profile.append((start, end))
        elif 0xE0 <= marker <= 0xEF:
            yield from _app(data, start, end, parts)
        elif marker in _OTHER_PROCESSES:
            raise MalformedFile("a picture of a process of JPEG that is not read here", start)
        elif marker in _JPEG:
            _demand_jpeg(parts, marker, start, data[start + 4 : end])
        else:
            yield Written("bytes that are none of the picture's (JPEG)", start, end)
    if not _is_well_known(data, profile):
        for start, end in profile:
            yield Written("a colour profile (JPEG, APP2)", start, end)


def _demand_jpeg(parts: _Parts, marker: int, at: int, content: bytes) -> None:
    fits = picture_headers.is_jpeg(marker, content)
    if marker == 0xDA:
        parts.coded(at, fits=fits)
    elif marker == 0xC4:
        parts.demand_codes(at, picture_headers.tables(content), fits=fits)
    elif marker == 0xDB:
        numbers = ((marker, each) for each in picture_headers.quantised(content))
        parts.demand(at, *numbers, fits=fits)
    else:
        parts.demand(at, "frame" if marker in picture_headers.FRAMES else marker, fits=fits)


def _app(data: bytes, start: int, end: int, parts: _Parts) -> Iterator[Written]:
    """Yield a segment that a program wrote, unless it says how to read the pixels and nothing else."""
    marker, content = data[start + 1], data[start + 4 : end]
    begin, size = _APPS.get(marker, (b"", 0))
    name = f"what a camera or a program wrote (JPEG, APP{marker - 0xE0})"
    if not size or not content.startswith(begin) or len(content) < size or marker in parts.seen:
        yield Written(name, start, end)
        return
    parts.seen.add(marker)
    # JFIF ends with the size of a small picture, and that picture; nobody looks into it.
    needed = content[: size - 2] + bytes(2) if marker == _JFIF else content[:size]
    if content != needed:
        head = struct.pack(">BBH", 0xFF, marker, 2 + size)
        yield Written(name, start, end, head + needed)


def _is_well_known(data: bytes, parts: list[tuple[int, int]]) -> bool:
    """Return whether a profile in parts, which are numbered from 1, is whole and one that says nothing of its own."""
    if len(parts) > _MOST_PARTS:
        return False
    whole = b""
    for number, (start, end) in enumerate(parts, 1):
        content = start + 4 + _PROFILE_HEAD
        if data[content - 2 : content] != bytes([number, len(parts)]):
            return False
        whole += data[content:end]
    return not parts or icc_profile.is_well_known(whole)


def _wsq(data: bytes) -> Iterator[Written]:
    parts = _Parts()
    for marker, start, end in _segments(data, "WSQ", (0xA0, 0xA1, 0xA3)):
        content = data[start + 4 : end]
        if marker == _COMMENT["WSQ"]:
            if not _nistcom.fullmatch(content):
                yield Written("a comment (WSQ, COM)", start, end)
        elif marker not in _WSQ:
            yield Written("bytes that are none of the picture's (WSQ)", start, end)
        elif marker == 0xA3:
            parts.coded(start, fits=picture_headers.is_wsq(marker, content))
        elif marker == 0xA6:
            fits = picture_headers.is_wsq(marker, content)
            parts.demand_codes(start, picture_headers.tables(content), fits=fits)
        else:
            parts.demand(start, marker, fits=picture_headers.is_wsq(marker, content))


def _segments(
    data: bytes, kind: str, bounds: tuple[int, int, int]
) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of each segment; of what follows the picture 0 for a marker.

    bounds  markers of the start and the end of a picture, and of what coded data follow
    """
    begin, finish, coded = bounds
    if data[:2] != bytes([0xFF, begin]):
        raise MalformedFile("not a picture of this format", 0)
    at = 2
    while data[at : at + 2] != bytes([0xFF, finish]):
        if data[at : at + 1] != b"\xff":
            raise MalformedFile("a picture whose segments do not join", at)
        if data[at : at + 2] == b"\xff\xff":  # fill
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if not at + 4 <= end <= len(data):
            raise MalformedFile("a picture that is cut short", at)
        yield data[at + 1], at, end
        at = _after_coded(data, kind, end) if data[at + 1] == coded else end
    if at + 2 < len(data):
        yield 0, at + 2, len(data)


def _after_coded(data: bytes, kind: str, at: int) -> int:
    """Return where coded data that begin at `at` end: at the next marker."""
    follows = _coded[kind].search(data, at)
    if follows is None:
        raise MalformedFile("a picture that is cut short", at)
    return follows.start()


def _png(data: bytes) -> Iterator[Written]:
    if not data.startswith(_PNG_START):
        raise MalformedFile("not a picture of this format", 0)
    header = data[_PNG_HEADER]
    if data[8:16] != _box.pack(len(header), b"IHDR") or not picture_headers.is_png_header(header):
        raise MalformedFile(_NOT_AS_IT_SHOULD, 8)
    at, seen = _PNG_HEADER.stop + 4, {b"IHDR"}
    while b"IEND" not in seen:
        if len(data) - at < 12:
            raise MalformedFile("a picture that is cut short", at)
        length, kind = _box.unpack_from(data, at)
        end = at + 12 + length
        if end > len(data):
            raise MalformedFile("a picture that is cut short", at)
        if kind != b"IDAT":
            fits = picture_headers.is_png(kind, data[at + 8 : end - 4], header)
            if kind in seen or not fits:
                yield _cut_chunk(kind, at, end, header)
            seen.add(kind)
        at = end
    if at < len(data):
        yield Written("bytes behind the picture (PNG)", at, len(data))


def _cut_chunk(kind: bytes, at: int, end: int, header: bytes) -> Written:
    """Return a chunk that the picture does not need; raise MalformedFile for one that it cannot be read without."""
    if kind in (b"IHDR", b"IEND") or (kind == b"PLTE" and header[9] == picture_headers.PALETTE):
        raise MalformedFile(_NOT_AS_IT_SHOULD, at)
    name = kind.decode() if kind.isalpha() else "of no plain name"
    return Written(f"a chunk {name} (PNG)", at, end)


def _jpeg_2000(data: bytes) -> Iterator[Written]:
    if data.startswith(b"\xff\x4f"):
        yield from _codestream(data, 0)
        return
    pictured, parts = False, _Parts()
    for kind, start, inside, end in _boxes(data, 0, len(data)):
        if kind in _INNER:
            parts.demand(start, kind)
            yield from _inner(data, kind, inside, end)
        elif kind == b"jp2c":
            pictured = True
            yield from _codestream(data[inside:end], inside)
        elif kind == b"ftyp" and not _is_brands(data[inside:end]):
            yield Written(_box_name(kind), start, end, _boxed(kind, _ftyp))
        elif kind not in _BOXES or (kind == b"jP  " and data[inside:end] != _SIGNATURE):
            yield Written(_box_name(kind), start, end)
    if not pictured:
        raise MalformedFile("a picture that is cut short", len(data))


def _boxes(data: bytes, at: int, last: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield of each box its kind, where it begins, where its content begins, and where it ends."""
    while at < last:
        if last - at < _box.size:
            raise MalformedFile("a picture that is cut short", at)
        length, kind = _box.unpack_from(data, at)
        head = _box.size
        if length == 1:
            head += 8
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        end = last if length == 0 else at + length
        if not at + head <= end <= last:
            raise MalformedFile("a picture whose boxes do not join", at)
        yield kind, at, at + head, end
        at = end


def _inner(data: bytes, around: bytes, first: int, last: int) -> Iterator[Written]:
    """Yield of the boxes within one what the picture does not need: kind and content, so that all lengths stay true."""
    channels, colours, parts = 0, 0, _Parts()
    for kind, start, inside, end in _boxes(data, first, last):
        if kind in _PALETTES:
            raise MalformedFile("a picture with a palette, which is not read here", start)
        if kind in _INNER[around] and kind != b"colr":
            parts.demand(start, kind)
        if inside - start != _box.size:  # a length of 64 bits, of which no header has need
            raise MalformedFile("a picture whose boxes do not join", start)
        if kind in _INNER and kind in _INNER[around]:
            yield from _inner(data, kind, inside, end)
        elif kind == b"colr":
            colours += 1
            parts.demand(start, fits=colours <= _MOST_COLOURS)
            yield from _colours(data, start, end, channels)
        elif kind in _INNER[around]:
            size = end - inside
            if size != _FIXED.get(kind, size) or size > _MOST.get(kind, size):
                raise MalformedFile(
                    "a box of the picture that is not as long as it has to be", start
                )
            channels = (
                int.from_bytes(data[inside + 8 : inside + 10], "big")
                if kind == b"ihdr"
                else channels
            )
        elif data[start + 4 : end].strip(b" "):
            yield Written(_box_name(kind), start + 4, end, b" " * (end - start - 4))


def _colours(data: bytes, start: int, end: int, channels: int) -> Iterator[Written]:
    """Yield a box that tells the colours by more than a number or a well-known profile; instead of it such a number stands."""
    inside = start + _box.size
    method = data[inside] if inside < end else 0
    # A number of a colour space has one byte, and precedence and approximation are small.
    if (
        method == _ENUMERATED
        and end - inside == _ENUMERATED_SIZE
        and max(data[inside + 1 : end - 1]) <= 4
    ):
        return
    if method in (_RESTRICTED, _ANY_PROFILE) and icc_profile.is_well_known(data[inside + 3 : end]):
        return
    told = _boxed(b"colr", struct.pack(">BbBI", _ENUMERATED, 0, 0, _COLOURS.get(channels, 0)))
    rest = end - start - len(told) - _box.size
    if rest < 0 or channels not in _COLOURS:
        raise MalformedFile("a picture whose colours are told in a way that is not known", start)
    yield Written(
        "a colour profile (JPEG 2000, colr)", start, end, told + _boxed(b" " * 4, b" " * rest)
    )


def _is_brands(content: bytes) -> bool:
    """Return whether a file's type is said by codes of the standard, of which there are few."""
    codes = [content[at : at + 4] for at in range(0, len(content), 4)]
    return len(codes) <= _MOST_BRANDS and _BRANDS.issuperset(codes)


def _boxed(kind: bytes, content: bytes) -> bytes:
    return _box.pack(_box.size + len(content), kind) + content


def _box_name(kind: bytes) -> str:
    name = kind.decode().strip() if kind.strip().isalnum() else "of no plain name"
    return f"a box {name} (JPEG 2000)"


def _codestream(data: bytes, offset: int) -> Iterator[Written]:
    """Yield the comments of a codestream's main header and of the header of each part of a tile."""
    at = yield from _header(data, 2, offset, (_SOT, _J2K_MAIN))
    while data[at : at + 2] != b"\xff\xd9":
        if data[at : at + 2] != bytes([0xFF, _SOT]) or len(data) - at < _sot.size:
            raise MalformedFile("a picture whose segments do not join", offset + at)
        _, length, _, size, _, _ = _sot.unpack_from(data, at)
        begin = yield from _header(data, at + _sot.size, offset, (_SOD, frozenset()))
        # A size of 0 reaches to the end mark; no coded data hold its two bytes.
        end = at + size if size else data.find(b"\xff\xd9", begin)
        if length != _sot.size - 2 or not begin < end <= len(data) - 2:
            raise MalformedFile("a picture that is cut short", offset + at)
        at = end
    if at + 2 != len(data):
        raise MalformedFile("bytes follow the picture", offset + at)


def _header(
    data: bytes, at: int, offset: int, what: tuple[int, frozenset[int]]
) -> Generator[Written, None, int]:
    """Yield the comments of a header of a codestream; return where the marker stands that ends it.

    what  that marker, and those that the header needs
    """
    last, needed = what
    parts = _Parts()
    while True:
        if len(data) - at < 4 or data[at] != 0xFF:
            raise MalformedFile("a picture whose segments do not join", offset + at)
        marker = data[at + 1]
        if marker == last:
            return at
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if not at + 4 <= end <= len(data):
            raise MalformedFile("a picture that is cut short", offset + at)
        content = data[at + 4 : end]
        if marker in needed:
            part = content[:1] if marker in _OF_A_COMPONENT else b""
            fits = picture_headers.is_jpeg_2000(marker, content)
            parts.demand(offset + at, (marker, part), fits=fits)
        elif marker in _J2K_CODED or len(content) < 2:
            raise MalformedFile(_NOT_AS_IT_SHOULD, offset + at)
        # Two bytes say whether the content is text; an encoder's name is none about a person.
        elif marker != _J2K_COMMENT or not _encoder.fullmatch(content[2:]):
            yield _blanked(marker, content, offset + at)
        at = end


def _blanked(marker: int, content: bytes, at: int) -> Written:
    """Return a segment that no decoder needs; a comment of blanks stands instead of it, so that all lengths stay true."""
    end, blanks = at + 4 + len(content), b" " * (len(content) - 2)
    if marker == _J2K_COMMENT:
        return Written("a comment (JPEG 2000, COM)", at + 6, end, blanks)
    head = struct.pack(">BBHH", 0xFF, _J2K_COMMENT, 2 + len(content), 1)
    return Written(f"a segment {marker:X} (JPEG 2000)", at, end, head + blanks)


FINDERS: Final[Mapping[RecordFormat, Callable[[bytes], Iterator[Written]]]] = MappingProxyType(
    {
        RecordFormat.JPEG: _jpeg,
        RecordFormat.WSQ: _wsq,
        RecordFormat.PNG: _png,
        RecordFormat.JPEG_2000: _jpeg_2000,
    }
)
