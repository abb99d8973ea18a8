"""Headers of pictures: WSQ, PNG, JPEG, JPEG 2000, PGM → size, channels and resolution; the whole chain of segments is walked.

Nothing is decompressed. A picture that is cut short, or that something follows, is refused before a decoder sees it.
Sources: IAFIS-IC-0110 (WSQ 3.1), ISO/IEC 15948 (PNG), ISO/IEC 10918-1 and JFIF 1.02, ISO/IEC 15444-1 annexes A and I.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from gateway.domain.messages import COMPRESSED, Compression, RecordFormat
from gateway.sample_files.containers.cursor import Cursor
from gateway.sample_files.containers.image import CM_PER_INCH, Picture, UnreadableImage
from gateway.sample_files.starts import octets_of, picture_format

(PNG_START,) = octets_of(RecordFormat.PNG)
J2K_START = b"\xff\x4f\xff\x51"  # SOC and SIZ: a codestream without boxes around it
INCHES_PER_METRE = 100 / CM_PER_INCH
EIGHT_BITS = 8
MOST_SEGMENTS = 10_000  # of one picture; a decoder's work must not grow by empty ones
MOST_TILES = 1_024  # of a JPEG 2000 picture; scanners write one

U16 = struct.Struct(">H")
_wsq_frame = struct.Struct(">BBHHBHBHBH")  # black, white, height, width, shift, scale, encoder, …
_ihdr = struct.Struct(">IIBBBBB")  # width, height, depth, colour, compression, filter, interlace
_phys = struct.Struct(">IIB")  # pixels per unit x, y; unit 1 = metre
_sof = struct.Struct(">BHHB")  # precision, height, width, components
_siz = struct.Struct(">HIIIIIIIIH")  # capabilities, X, Y, XO, YO, XT, YT, XTO, YTO, components
_box = struct.Struct(">I4s")
_resolution = struct.Struct(">HHHHbb")  # vertical and horizontal numerator, denominator; exponents
_nistcom_ppi = re.compile(rb"(?:^|\n)PPI (-?[0-9]{1,5})(?:\n|$)")
# Within coded data FF 00 is a byte, FF FF fills, and in JPEG restart markers lie between.
_wsq_marker = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_jpeg_marker = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_pgm = re.compile(rb"P5[ \t\r\n]++([0-9]{1,5}+)[ \t\r\n]++([0-9]{1,5}+)[ \t\r\n]++255[ \t\r\n]")


def detect(data: bytes) -> Compression | None:
    """Return the compression that the first bytes say; None where they say none that is read here."""
    form = picture_format(data)
    return None if form is None else COMPRESSED[form]


def read(data: bytes) -> Picture:
    """Return what a picture's own headers say; raise UnreadableImage for one that is cut short, followed, or unknown."""
    compression = detect(data)
    if compression is None:
        raise UnreadableImage("no picture that is read here", "compression")
    return _READERS[compression](data)


def read_as(data: bytes, compression: Compression) -> Picture:
    """Return the same, of a picture that a container says is so compressed; raise UnreadableImage where it is not."""
    if detect(data) is not compression:
        raise UnreadableImage("the picture is compressed otherwise than is said", "compression")
    return _READERS[compression](data)


def demand_size(picture: Picture, width: int, height: int) -> None:
    """Raise UnreadableImage unless a picture is as large as its container says."""
    for name, own, said in (("width", picture.width, width), ("height", picture.height, height)):
        if own != said:
            raise UnreadableImage(f"the picture has another {name} than its container says", name)


def pixels(data: bytes, width: int, height: int) -> Picture:
    """Return the picture that rows of bytes are; raise UnreadableImage where there are too few or too many."""
    if len(data) != width * height:
        raise UnreadableImage("another number of pixels than width and height make", "width")
    return Picture(Compression.NONE, width, height)


def pgm(data: bytes) -> tuple[Picture, bytes]:
    """Return the picture of a portable grey map, and its rows of bytes."""
    found = _pgm.match(data)
    if found is None:
        raise UnreadableImage("no grey map of 8 bits")
    rows = data[found.end() :]
    return pixels(rows, int(found[1]), int(found[2])), rows


def _wsq(data: bytes) -> Picture:
    cursor, frame, ppi, begun = Cursor(data, 2), None, 0, False
    for _ in range(MOST_SEGMENTS):
        (marker,) = cursor.take(U16, "the picture")
        if marker == 0xFFA1:  # end of image
            cursor.demand_end("the picture")
            if frame is None or not begun:
                raise UnreadableImage("a picture without its frame or its blocks")
            return Picture(Compression.WSQ, frame[3], frame[2], 1, ppi)
        if marker not in (0xFFA2, 0xFFA3, 0xFFA4, 0xFFA5, 0xFFA6, 0xFFA8):
            raise UnreadableImage("an unknown marker in the picture")
        body = _segment(cursor)
        if marker == 0xFFA2:
            if frame is not None or len(body) != _wsq_frame.size:
                raise UnreadableImage("the picture's frame is garbled")
            frame = _wsq_frame.unpack(body)
        elif marker == 0xFFA8:
            said = _nistcom_ppi.search(body)
            ppi = max(0, int(said[1])) if said else ppi
        elif marker == 0xFFA3:
            begun = True
            _entropy(cursor, _wsq_marker)
    raise UnreadableImage("more segments than a picture has")


def _jpeg(data: bytes) -> Picture:
    cursor, frame, ppi, begun = Cursor(data, 2), None, 0, False
    for _ in range(MOST_SEGMENTS):
        (marker,) = cursor.take(U16, "the picture")
        if marker == 0xFFD9:
            cursor.demand_end("the picture")
            if frame is None or not begun:
                raise UnreadableImage("a picture without its frame or its scan")
            _, height, width, channels = frame
            return Picture(Compression.JPEG, width, height, channels, ppi)
        if marker < 0xFFC0 or marker in (0xFFD8, 0xFFFF) or 0xFFD0 <= marker <= 0xFFD7:
            raise UnreadableImage("an unknown marker in the picture")
        body = _segment(cursor)
        if marker in (0xFFC0, 0xFFC1, 0xFFC2):
            if frame is not None:
                raise UnreadableImage("a picture of two frames")
            frame = _jpeg_frame(body)
        elif 0xFFC3 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            raise UnreadableImage("a process of JPEG that is not read here", "compression")
        elif marker == 0xFFE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            ppi = _jfif_ppi(body)
        elif marker == 0xFFDA:
            begun = True
            _entropy(cursor, _jpeg_marker)
    raise UnreadableImage("more segments than a picture has")


def _jpeg_frame(body: bytes) -> tuple[int, int, int, int]:
    if len(body) < _sof.size:
        raise UnreadableImage("the picture's frame is cut short")
    precision, height, width, channels = _sof.unpack_from(body)
    if precision != EIGHT_BITS or channels not in (1, 3):
        raise UnreadableImage("another depth or other colours than are read here")
    return precision, height, width, channels


def _jfif_ppi(body: bytes) -> int:
    units, x, y = struct.unpack_from(">BHH", body, 7)
    if units not in (1, 2) or x != y:
        return 0
    return round(x * CM_PER_INCH) if units == 2 else int(x)


def _png(data: bytes) -> Picture:
    header, ppi, drawn = None, 0, False
    for number, (kind, body) in enumerate(_chunks(data)):
        if (kind == b"IHDR") is not (number == 0):
            raise UnreadableImage("the picture does not begin with its header")
        if kind == b"IHDR":
            header = _png_header(body)
        elif kind == b"pHYs" and len(body) == _phys.size:
            x, y, unit = _phys.unpack(body)
            ppi = round(x / INCHES_PER_METRE) if unit == 1 and x == y else 0
        elif kind == b"IDAT":
            drawn = True
    if header is None or not drawn:
        raise UnreadableImage("a picture without its header or its data")
    width, height, channels = header
    return Picture(Compression.PNG, width, height, channels, ppi)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk, the last one IEND; raise UnreadableImage where a checksum does not fit."""
    cursor = Cursor(data, len(PNG_START))
    for _ in range(MOST_SEGMENTS):
        size, kind = cursor.take(_box, "the picture")
        body = cursor.octets(size, "the picture")
        (stated,) = struct.unpack(">I", cursor.octets(4, "the picture"))
        if zlib.crc32(body, zlib.crc32(kind)) != stated:
            raise UnreadableImage("a checksum in the picture does not fit")
        yield kind, body
        if kind == b"IEND":
            cursor.demand_end("the picture")
            return
    raise UnreadableImage("more segments than a picture has")


def _png_header(body: bytes) -> tuple[int, int, int]:
    if len(body) != _ihdr.size:
        raise UnreadableImage("the picture's header is garbled")
    width, height, depth, colour, *rest = _ihdr.unpack(body)
    if depth != EIGHT_BITS or colour not in (0, 2) or rest[:2] != [0, 0] or rest[2] > 1:
        raise UnreadableImage("another depth or other colours than are read here")
    return width, height, 3 if colour == 2 else 1


def _jpeg_2000(data: bytes) -> Picture:
    if data.startswith(J2K_START):
        return _j2k(data, 0)
    cursor, picture, ppi, announced = Cursor(data), None, 0, None
    for kind, body in _boxes(cursor):
        if kind == b"jp2h":
            announced, ppi = _jp2_header(body)
        elif kind == b"jp2c":
            if picture is not None or announced is None:
                raise UnreadableImage("a picture of two codestreams, or without its header")
            picture = _j2k(body, ppi)
    if picture is None or announced != (picture.height, picture.width, picture.channels):
        raise UnreadableImage("the picture is not as large as its own header says", "width")
    return picture


def _boxes(cursor: Cursor) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each box; a length of 0 reaches to the end."""
    for _ in range(MOST_SEGMENTS):
        if cursor.at == cursor.end:
            return
        size, kind = cursor.take(_box, "the picture")
        if size == 0:
            size = cursor.end - cursor.at + _box.size
        if size < _box.size:  # 1 would say a length of 64 bits, of which no record has room
            raise UnreadableImage("a box of the picture lies about its length")
        yield kind, cursor.octets(size - _box.size, "the picture")
    raise UnreadableImage("more segments than a picture has")


def _jp2_header(body: bytes) -> tuple[tuple[int, int, int] | None, int]:
    """Return height, width and channels of a JP2 header, and pixels per inch."""
    announced, ppi = None, 0
    for kind, inner in _boxes(Cursor(body)):
        if kind == b"ihdr" and len(inner) == 14:
            announced = struct.unpack_from(">IIH", inner)
        elif kind == b"res ":
            ppi = _jp2_ppi(inner)
    return announced, ppi


def _jp2_ppi(body: bytes) -> int:
    """Return the capture resolution, or where there is none the display's; 0 where neither is stated or they differ."""
    stated = {
        kind: _resolution.unpack(inner)
        for kind, inner in _boxes(Cursor(body))
        if kind in (b"resc", b"resd") and len(inner) == _resolution.size
    }
    found = stated.get(b"resc") or stated.get(b"resd")
    if found is None:
        return 0
    v_over, v_under, h_over, h_under, v_tens, h_tens = found
    if not v_under or not h_under or max(abs(v_tens), abs(h_tens)) > 9:
        return 0
    vertical, horizontal = v_over / v_under * 10.0**v_tens, h_over / h_under * 10.0**h_tens
    ppi = round(horizontal / INCHES_PER_METRE)
    return ppi if round(vertical / INCHES_PER_METRE) == ppi <= 65_535 else 0


def _j2k(data: bytes, ppi: int) -> Picture:
    """Return what the main header of a codestream says; it must end with its end marker."""
    cursor = Cursor(data, 4)
    if not data.startswith(J2K_START) or not data.endswith(b"\xff\xd9"):
        raise UnreadableImage("the picture is cut short, or bytes follow it")
    body = _segment(cursor)
    if len(body) < _siz.size:
        raise UnreadableImage("the picture's header is cut short")
    _, x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0, channels = _siz.unpack_from(body)
    components = body[_siz.size :]
    if channels not in (1, 3) or components != bytes([EIGHT_BITS - 1, 1, 1]) * channels:
        raise UnreadableImage("another depth or other colours than are read here")
    if not (tile_x and tile_y) or x <= x0 or y <= y0 or tile_x0 > x0 or tile_y0 > y0:
        raise UnreadableImage("the picture's header is garbled")
    tiles = -(-(x - tile_x0) // tile_x) * -(-(y - tile_y0) // tile_y)
    if tiles > MOST_TILES:
        raise UnreadableImage("a picture of more tiles than any scanner writes")
    return Picture(Compression.JPEG_2000, x - x0, y - y0, channels, ppi)


def _segment(cursor: Cursor) -> bytes:
    """Return the content of a marker segment, whose length counts itself, and step over it."""
    (size,) = cursor.take(U16, "the picture")
    if size < U16.size:
        raise UnreadableImage("a segment of the picture lies about its length")
    return cursor.octets(size - U16.size, "the picture")


def _entropy(cursor: Cursor, after: re.Pattern[bytes]) -> None:
    """Step over coded data to the next marker, which `after` finds."""
    found = after.search(cursor.data, cursor.at, cursor.end)
    if found is None:
        raise UnreadableImage("the picture is cut short")
    cursor.at = found.start()


_READERS = {
    Compression.WSQ: _wsq,
    Compression.PNG: _png,
    Compression.JPEG: _jpeg,
    Compression.JPEG_2000: _jpeg_2000,
}
