"""Files of images, made by hand: pictures that are right in every header, and containers around them."""

from __future__ import annotations

import struct
import zlib

from gateway.sample_files import ansi_nist

WIDTH, HEIGHT = 320, 400


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    colour: int = 0,
    depth: int = 8,
    ppi: int = 0,
    rows: bytes | None = None,
) -> bytes:
    """A picture that a decoder reads, unless `rows` are given."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    if rows is None:
        line = bytes(column * 7 % 256 for column in range(width * (3 if colour == 2 else 1)))
        rows = (b"\0" + line) * height
    physical = chunk(b"pHYs", struct.pack(">IIB", *[round(ppi / 0.0254)] * 2, 1)) if ppi else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + physical
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, len(body) + 2) + body


def wsq(
    width: int = WIDTH, height: int = HEIGHT, *, comment: bytes = b"NIST_COM 1\nPPI 500\n"
) -> bytes:
    """The headers of a picture; what stands for coded data is none that a decoder reads."""
    frame = struct.pack(">BBHHBHBHBH", 0, 255, height, width, 0, 1, 0, 1, 0, 1)
    return (
        b"\xff\xa0"
        + segment(0xFFA8, comment)
        + segment(0xFFA4, bytes([3, 2]) + bytes(6 * 3))
        + segment(0xFFA2, frame)
        + segment(0xFFA3, b"\0")
        + b"coded\xff\0data"
        + b"\xff\xa1"
    )


def jpeg(width: int = WIDTH, height: int = HEIGHT, *, channels: int = 1, ppi: int = 0) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, channels) + bytes([1, 0x11, 0]) * channels
    return (
        b"\xff\xd8"
        + segment(0xFFE0, b"JFIF\0\1\2" + struct.pack(">BHHBB", 1 if ppi else 0, ppi, ppi, 0, 0))
        + segment(0xFFC0, frame)
        + segment(0xFFDA, bytes([channels, *[1, 0] * channels, 0, 63, 0]))
        + b"coded\xff\0data\xff\xd0more"
        + b"\xff\xd9"
    )


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def j2k(width: int = WIDTH, height: int = HEIGHT, *, channels: int = 1, tile: int = 0) -> bytes:
    size = (tile or width, tile or height)
    body = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, *size, 0, 0, channels)
    main = b"\xff\x4f" + segment(0xFF51, body + b"\x07\1\1" * channels)
    return main + segment(0xFF90, bytes(8)) + b"\xff\x93tiles\xff\xd9"


def jp2(width: int = WIDTH, height: int = HEIGHT, *, channels: int = 1, ppi: int = 0) -> bytes:
    header = box(b"ihdr", struct.pack(">IIHBBBB", height, width, channels, 7, 7, 0, 0))
    if ppi:
        rate = round(ppi / 2.54)
        header += box(b"res ", box(b"resc", struct.pack(">HHHHbb", rate, 1, rate, 1, 2, 2)))
    return (
        b"\0\0\0\x0cjP  \r\n\x87\n"
        + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
        + box(b"jp2h", header)
        + box(b"jp2c", j2k(width, height, channels=channels))
    )


def fir_first(
    picture: bytes,
    algorithm: int,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    *,
    position: int = 2,
    rate: tuple[int, int] = (500, 500),
    units: int = 1,
    fingers: int = 1,
) -> bytes:
    finger = struct.pack(">IBBBBBHHB", 14 + len(picture), position, 1, 1, 80, 0, *size, 0)
    rest = struct.pack(">HHBBHHHHBBH", 0, 31, fingers, units, *rate, *rate, 8, algorithm, 0)
    body = rest + finger + picture
    return b"FIR\x00010\0" + struct.pack(">HI", 0, 14 + len(body)) + body


def fir_second(
    picture: bytes,
    algorithm: int,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    *,
    position: int = 2,
    rate: tuple[int, int] = (500, 500),
    units: int = 1,
    extended: bytes = b"",
    number: int = 1,
) -> bytes:
    view = struct.pack(
        ">BBBHHHHBBBHHI", position, 0, units, *rate, *rate, 8, algorithm, 1, *size, len(picture)
    )
    view = representation(view + picture + extended)
    return b"FIR\x00020\0" + struct.pack(">IHBB", 16 + len(view), number, 0, 1) + view


def representation(rest: bytes) -> bytes:
    """What the second edition begins each representation with, one quality block among it."""
    quality = struct.pack(">BHH", 70, 1, 2)
    length = 19 + len(quality) + len(rest)
    return struct.pack(">I9sBHHB", length, b"\xff" * 9, 0, 0, 0, 1) + quality + rest


def fac_first(picture: bytes, kind: int, size: tuple[int, int] = (0, 0), *, sex: int = 0) -> bytes:
    points = struct.pack(">BBHHH", 1, 33, 10, 10, 0)
    image = struct.pack(">BBHHBBHH", 1, kind, *size, 1, 2, 0, 0)
    length = 20 + len(points) + len(image) + len(picture)
    facial = struct.pack(">IHBBB3sH6s", length, 1, sex, 0, 0, bytes(3), 0, bytes(6))
    body = facial + points + image + picture
    return b"FAC\x00010\0" + struct.pack(">IH", 14 + len(body), 1) + body


def fac_second(
    picture: bytes, kind: int, size: tuple[int, int] = (0, 0), *, height: int = 0
) -> bytes:
    facial = struct.pack(">HBBBB3sH6s", 0, 0, 0, 0, height, bytes(3), 0, bytes(6))
    image = struct.pack(">BBHHBHBB", 1, kind, *size, 0, 0, 0, 1)
    view = representation(facial + image + struct.pack(">I", len(picture)) + picture)
    return b"FAC\x00030\0" + struct.pack(">IHBH", 17 + len(view), 1, 0, 0) + view


def iir_first(picture: bytes, form: int, size: tuple[int, int], *, eye: int = 1) -> bytes:
    taken = struct.pack(">BHHBHHI", eye, 1, 1, 90, 0, 0, len(picture))
    length = 45 + len(taken) + len(picture)
    header = struct.pack(">IHBHHHHHHBB16s", length, 0, 1, 45, 0, 0, form, *size, 8, 0, bytes(16))
    return b"IIR\x00010\0" + header + taken + picture


def iir_second(picture: bytes, form: int, size: tuple[int, int], *, eye: int = 2) -> bytes:
    view = struct.pack(">HBBBBHHB18sI", 1, eye, 1, form, 0, *size, 8, bytes(18), len(picture))
    view = representation(view + picture)
    return b"IIR\x00020\0" + struct.pack(">IHBB", 16 + len(view), 1, 0, 1) + view


def tlv(identifier: int, *content: bytes) -> bytes:
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([identifier, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([identifier, 0x80 | size]) + len(body).to_bytes(size, "big") + body


def integer(identifier: int, value: int) -> bytes:
    return tlv(identifier, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def code(number: int, value: int) -> bytes:
    """A choice of a code or an extension, under its own number."""
    return tlv(0xA0 | number, tlv(0x80, bytes([value])))


VERSION = tlv(0xA0, tlv(0x80, b"\x03"), tlv(0x81, b"\x07\xe3"))


def finger_39794(
    picture: bytes, form: int, *, position: int = 2, rate: int = 500, more: bytes = b""
) -> bytes:
    sampled = tlv(0xA7, integer(0x80, rate), tlv(0x81, b"\0")) if rate else b""
    block = code(0, position) + code(1, 0) + code(2, form) + tlv(0x83, picture) + sampled + more
    return tlv(0x64, VERSION, tlv(0xA1, tlv(0x30, block)))


def face_39794(
    picture: bytes, form: int, size: tuple[int, int] | None = None, *, more: bytes = b""
) -> bytes:
    extent = b""
    if size is not None:
        numbers = (integer(0x80 | at, side) for at, side in enumerate(size))
        extent = tlv(0xA7, *numbers)
    flat = tlv(0xA0, tlv(0x80, picture), tlv(0xA1, code(0, form), extent))
    block = tlv(0x80, b"\x01") + tlv(0xA1, tlv(0xA0, flat)) + more
    return tlv(0x65, VERSION, tlv(0xA1, tlv(0x30, block)))


def transaction(*others: bytes, native: bytes = b"19.69") -> bytes:
    """A transaction of these records, each numbered by its place."""
    kinds = [int(each.split(b".")[0]) if each[:1].isdigit() else 4 for each in others]
    listed = [b"1\x1f%d" % len(others)]
    listed += [b"%d\x1f%02d" % (kind, place) for place, kind in enumerate(kinds)]
    fields = {2: b"0500", 5: b"20260301", 11: native, **ansi_nist.UNSAID}
    first = ansi_nist.text_record(1, {**fields, 3: b"\x1e".join(listed)})
    return first + b"".join(others)


def type_4(picture: bytes, algorithm: int, *, own: int = 0, position: int = 2) -> bytes:
    places = bytes([position]) + b"\xff" * 5
    header = struct.pack(
        ">IBB6sBHHB", 18 + len(picture), 0, 0, places, own, WIDTH, HEIGHT, algorithm
    )
    return header + picture


def type_14(picture: bytes, algorithm: bytes, **more: bytes) -> bytes:
    fields = {2: b"00", 3: b"0", 4: b"AUS", 5: b"20260301", 6: b"%d" % WIDTH, 7: b"%d" % HEIGHT}
    fields |= {8: b"1", 9: b"500", 10: b"500", 11: algorithm, 12: b"8", 13: b"2"}
    fields |= {int(name[1:]): text for name, text in more.items()} | {999: picture}
    return ansi_nist.text_record(14, fields)
