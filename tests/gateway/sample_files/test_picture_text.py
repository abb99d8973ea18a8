"""What is written in pictures beside the picture is found by its name and taken out, and no pixel is decoded for it."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import RecordFormat
from gateway.sample_files import ansi_nist, ansi_nist_text, picture_text, starts
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.picture_text import FINDERS, names, stripped, written
from gateway.sample_files.sample_text import text_in
from tests.ansi_nist_writer import image, print_image, transaction
from tests.gateway.sample_files.test_icc_profile import profile, text

IHDR = bytes(8) + b"\0\1" + bytes(4)  # of one channel
GREY = b"\1\0\0" + struct.pack(">I", 17)
FRAME = b"\x08\0\x10\0\x10\1\1\x11\0"  # SOF of 16 x 16, grey
SCAN = b"\1\1\0\0\x3f\0"
CODES = b"\0" + b"\0\2" + bytes(14) + b"\4\5"  # DHT: two codes of two bits
PNG_HEADER = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
J2K_SIZE = bytes(34) + b"\0\1" + b"\7\1\1"
JFIF = b"JFIF\0\1\2\1" + bytes(6)
ADOBE = b"Adobe" + bytes(7)
NAMED = profile({b"desc": text(b"ROE's display")})
NIST = b"NIST_COM 3\nPIX_WIDTH 388\nPPI 500\nCOMPRESSION WSQ"


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def jpeg(*more: bytes, behind: bytes = b"") -> bytes:
    """Return the segments of a picture whose coded data hold a stuffed byte and a restart marker."""
    head = b"\xff\xd8" + segment(0xE0, JFIF) + b"".join(more) + segment(0xDB, bytes(65))
    scan = segment(0xDA, SCAN) + b"\x12\xff\x00\x34\xff\xd0\x56"
    return head + segment(0xC0, FRAME) + scan + segment(0xC4, CODES) + scan + b"\xff\xd9" + behind


def icc(octets: bytes, part: int = 1, parts: int = 1) -> bytes:
    """Return a segment of a JPEG picture that holds a part of a colour profile."""
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([part, parts]) + octets)


def told(octets: bytes) -> bytes:
    """Return a box that tells the colours of a JPEG 2000 picture by a profile."""
    return box(b"colr", b"\2\0\0" + octets)


def wsq(*more: bytes, behind: bytes = b"") -> bytes:
    coded = segment(0xA3, b"\0") + b"\x12\xff\x00\x34"
    return (
        b"\xff\xa0"
        + b"".join(more)
        + segment(0xA2, bytes(15))
        + coded
        + coded
        + b"\xff\xa1"
        + behind
    )


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I4s", len(content), kind)
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(*more: bytes, behind: bytes = b"") -> bytes:
    parts = [chunk(b"IHDR", PNG_HEADER), *more, chunk(b"IDAT", bytes(9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + behind


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def j2k(*more: bytes, tiles: bytes = b"") -> bytes:
    return (
        b"\xff\x4f"
        + segment(0x51, J2K_SIZE)
        + b"".join(more)
        + segment(0x52, bytes(10))
        + tile_part()
        + tiles
        + tile_part(last=True)
        + b"\xff\xd9"
    )


def tile_part(*more: bytes, last: bool = False) -> bytes:
    """Return a part of a tile; the last one leaves its size open."""
    rest = b"".join(more) + b"\xff\x93coded\xff\x12"
    return struct.pack(">HHHIBB", 0xFF90, 10, 0, 0 if last else 12 + len(rest), 0, 1) + rest


def jp2(
    *more: bytes,
    codestream: bytes = b"",
    header: bytes = b"",
    resolution: bytes = b"",
    colours: bytes = b"",
    brands: bytes = b"jp2 \0\0\0\0jp2 ",
) -> bytes:
    inner = box(b"ihdr", IHDR) + (colours or box(b"colr", GREY)) + header
    inner += box(b"res ", box(b"resc", bytes(10)) + resolution)
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", brands) + box(b"jp2h", inner)
    return start + b"".join(more) + box(b"jp2c", codestream or j2k())


def parted(*more: bytes) -> bytes:
    """Return a picture with more in the header of its second part of a tile."""
    return jp2(codestream=j2k(tiles=tile_part(*more)))


PLAIN = {
    RecordFormat.JPEG: jpeg(icc(profile()), segment(0xEE, ADOBE)),
    RecordFormat.WSQ: wsq(segment(0xA8, NIST)),
    RecordFormat.PNG: png(chunk(b"pHYs", bytes(9))),
    RecordFormat.JPEG_2000: jp2(
        codestream=j2k(segment(0x64, b"\0\1Created by OpenJPEG version 2.5.0"))
    ),
}
WRITTEN = [
    (RecordFormat.JPEG, jpeg(segment(0xFE, b"ROE")), jpeg(), "comment"),
    (RecordFormat.JPEG, jpeg(segment(0xE1, b"Exif\0\0ROE")), jpeg(), "APP1"),
    (RecordFormat.JPEG, jpeg(segment(0xED, b"Photoshop 3.0\0ROE")), jpeg(), "APP13"),
    (RecordFormat.JPEG, jpeg(segment(0xE0, b"ROE")), jpeg(), "APP0"),
    (RecordFormat.JPEG, jpeg(segment(0xE2, b"ROE")), jpeg(), "APP2"),
    (RecordFormat.JPEG, jpeg(icc(NAMED)), jpeg(), "colour profile"),
    (RecordFormat.JPEG, jpeg(icc(NAMED[:99], 1, 2), icc(NAMED[99:], 2, 2)), jpeg(), "colour profile"),
    (RecordFormat.JPEG, jpeg(icc(profile()), icc(b"ROE", 2)), jpeg(), "colour profile"),
    (RecordFormat.JPEG, jpeg(segment(0xEE, ADOBE + b"ROE")), jpeg(segment(0xEE, ADOBE)), "APP14"),
    (RecordFormat.JPEG, jpeg(segment(0xE0, b"JFXX\0\x10ROE")), jpeg(), "APP0"),
    (RecordFormat.JPEG, jpeg().replace(segment(0xE0, JFIF), segment(0xE0, JFIF[:-2] + b"\1\1ROE")), jpeg(), "APP0"),
    (RecordFormat.JPEG, jpeg(behind=b"ROE"), jpeg(), "none of the picture's"),
    (RecordFormat.WSQ, wsq(segment(0xA8, b"ROE")), wsq(), "comment"),
    (RecordFormat.WSQ, wsq(segment(0xA8, NIST + b"\nNAME ROE")), wsq(), "comment"),
    (RecordFormat.WSQ, wsq(segment(0xA8, NIST + b"\nCOLORSPACE ROE")), wsq(), "comment"),
    (RecordFormat.WSQ, wsq(behind=b"ROE"), wsq(), "none of the picture's"),
    (RecordFormat.PNG, png(chunk(b"tEXt", b"Author\0ROE")), png(), "tEXt"),
    (RecordFormat.PNG, png(chunk(b"eXIf", b"ROE"), chunk(b"zTXt", b"x\0\0")), png(), "eXIf"),
    (RecordFormat.PNG, png(chunk(b"roEs", b"ROE")), png(), "roEs"),
    (RecordFormat.PNG, png(chunk(b"iCCP", b"ROE\0\0")), png(), "iCCP"),
    (RecordFormat.PNG, png(chunk(b"gAMA", b"\0\0\1\1ROE")), png(), "gAMA"),
    (RecordFormat.PNG, png(chunk(b"PLTE", b"ROE")), png(), "PLTE"),
    (RecordFormat.PNG, png(behind=b"ROE"), png(), "behind"),
    (RecordFormat.PNG, png(chunk(b"gAMA", b"ROE ")), png(), "gAMA"),
    (RecordFormat.PNG, png(chunk(b"cHRM", b"ROE " * 8)), png(), "cHRM"),
    (RecordFormat.PNG, png(chunk(b"bKGD", b"RO")), png(), "bKGD"),
    (RecordFormat.PNG, png(chunk(b"bKGD", b"\0\1"), chunk(b"bKGD", b"\0\1")), png(chunk(b"bKGD", b"\0\1")), "bKGD"),
    (RecordFormat.PNG, png(chunk(b"tRNS", b"ROE born in 1970")), png(), "tRNS"),
    (RecordFormat.PNG, png(chunk(b"tIME", b"ROEROE ")), png(), "tIME"),
    *((RecordFormat.JPEG, jpeg(segment(marker, b"ROE")), jpeg(), "none of the picture's") for marker in (0xC8, 0xDC, 0xDE, 0xDF)),
    (RecordFormat.JPEG, jpeg(segment(0xE0, b"JFIF\0ROE is 28")), jpeg(), "APP0"),
    (RecordFormat.WSQ, wsq(segment(0xA7, b"ROE")), wsq(), "none of the picture's"),
    *((RecordFormat.JPEG_2000, j2k(segment(marker, b"ROE")), j2k(segment(0x64, b"\0\1 ")), f"{marker:X}") for marker in (0x54, 0x56, 0x59, 0x5A, 0x63)),
    (RecordFormat.JPEG_2000, parted(segment(0x58, b"ROE")), parted(segment(0x64, b"\0\1 ")), "58"),
    (RecordFormat.JPEG_2000, jp2(box(b"xml ", b"<ROE/>")), jp2(), "xml"),
    (RecordFormat.JPEG_2000, jp2(box(b"uuid", b"ROE")), jp2(), "uuid"),
    (RecordFormat.JPEG_2000, jp2(codestream=j2k(segment(0x64, b"\0\1ROE"))), jp2(codestream=j2k(segment(0x64, b"\0\1   "))), "COM"),
    (RecordFormat.JPEG_2000, jp2(codestream=j2k(segment(0x64, b"\0\1Kakadu-v5.2ROE"))), jp2(codestream=j2k(segment(0x64, b"\0\1" + b" " * 14))), "COM"),
    (RecordFormat.JPEG_2000, jp2(colours=told(NAMED)), jp2(colours=box(b"colr", GREY) + box(b"    ", b" " * (len(NAMED) - 12))), "colour profile"),
    (RecordFormat.JPEG_2000, jp2(brands=b"jp2 \0\0\0\0ROE "), jp2(), "ftyp"),
    (RecordFormat.JPEG_2000, jp2(box(b"jP  ", b"ROE ")), jp2(), "jP"),
    (RecordFormat.JPEG_2000, jp2(header=box(b"xml ", b"<ROE/>")), jp2(header=box(b"    ", b"      ")), "xml"),
    (RecordFormat.JPEG_2000, jp2(header=box(b"asoc", b"")), jp2(header=box(b"    ", b"")), "a box"),
    (RecordFormat.JPEG_2000, jp2(resolution=box(b"uuid", b"ROE")), jp2(resolution=box(b"    ", b"   ")), "uuid"),
    (RecordFormat.JPEG_2000, parted(segment(0x64, b"\0\1ROE")), parted(segment(0x64, b"\0\1   ")), "COM"),
    (RecordFormat.JPEG_2000, j2k(segment(0x64, b"\0\0ROE")), j2k(segment(0x64, b"\0\0   ")), "COM"),
]  # fmt: skip


@pytest.mark.parametrize("form", FINDERS)
def test_a_picture_alone_holds_nothing_that_is_written(form: RecordFormat) -> None:
    assert written(form, PLAIN[form]) == ()
    assert stripped(form, PLAIN[form]) == (PLAIN[form], ())
    assert text_in(form, PLAIN[form]) == ()


@pytest.mark.parametrize(("form", "data", "clean", "name"), WRITTEN, ids=range(len(WRITTEN)))
def test_what_is_written_is_named_and_cut_and_every_other_byte_stays(
    form: RecordFormat, data: bytes, clean: bytes, name: str
) -> None:
    octets, found = stripped(form, data)

    assert name in str(found[0])
    assert "ROE" not in str(found)
    assert text_in(form, data) == tuple(str(each) for each in found)
    assert octets == clean
    assert written(form, octets) == ()


@pytest.mark.parametrize(
    "data",
    [
        jpeg(icc(profile()[:99], 1, 2), icc(profile()[99:], 2, 2)),
        jp2(colours=told(profile())),
        png(chunk(b"sRGB", b"\0"), chunk(b"gAMA", bytes(4))),
    ],
)
def test_a_well_known_colour_profile_is_no_text(data: bytes) -> None:
    assert names(data) == ()


@pytest.mark.parametrize("form", FINDERS)
def test_a_picture_that_is_cut_short_is_refused(form: RecordFormat) -> None:
    data = PLAIN[form]

    for size in range(len(data)):
        with pytest.raises(MalformedFile):
            written(form, data[:size])


@given(st.sampled_from(sorted(FINDERS)), st.binary(max_size=30), st.integers(0, 300), st.integers(0, 30))  # fmt: skip
def test_any_bytes_in_the_middle_are_malformed_or_stripped_clean(
    form: RecordFormat, junk: bytes, place: int, gone: int
) -> None:
    data = PLAIN[form][:place] + junk + PLAIN[form][place + gone :]

    with suppress(MalformedFile):
        octets, _ = stripped(form, data)
        assert written(form, octets) == ()
    with suppress(MalformedFile):
        names(data)


def test_a_comment_in_the_picture_of_a_transaction_is_found_and_taken_out() -> None:
    named, clean = wsq(segment(0xA8, b"ROE")), wsq()
    fine = {11: b"WSQ20", 996: b"0123", 999: named}
    whole = transaction(print_image(2, named, compression=1), image(14, 2, fine))

    octets, removed = ansi_nist_text.stripped(whole)

    assert [str(each) for each in removed] == [
        "a comment (WSQ, COM) in record Type-4",
        "a comment (WSQ, COM) in record Type-14",
    ]
    assert text_in(RecordFormat.ANSI_NIST, whole) == tuple(str(each) for each in removed)
    # The hash was that of the picture with its comment.
    assert octets == transaction(
        print_image(2, clean, compression=1), image(14, 2, {11: b"WSQ20", 999: clean})
    )
    assert ansi_nist_text.descriptive(ansi_nist.read(octets)) == ()


def test_a_comment_of_words_that_could_be_read_in_many_ways_is_looked_at_once() -> None:
    words = NIST + b"\nPPI 1 PPI 1 PPI 1" * 400 + b"\x01"

    assert names(wsq(segment(0xA8, words))) == ("a comment (WSQ, COM)",)
    assert names(wsq(segment(0xA8, NIST + b"\n\0"))) == ()


def test_a_comment_of_an_encoder_gives_back_nothing_that_it_took() -> None:
    """Blanks may stand in its numbers and behind them: one way to read each, or a long comment is read over and over."""
    assert "{0,2000}+" in picture_text._encoder.pattern.decode()
    table = b"Kdu-Layer-Info: log_2{Delta-D(MSE)/Delta-L(bytes)}, L(bytes)\n-192.0, 3.4e+03\n"

    assert names(j2k(segment(0x64, b"\0\1" + table + b" " * 3_000 + b"\0"))) == ()
    assert names(j2k(segment(0x64, b"\0\1" + table + b" " * 3_000 + b"ROE"))) == (
        "a comment (JPEG 2000, COM)",
    )


def test_bytes_that_are_no_picture_have_no_names() -> None:
    assert names(b"hello") == ()
    assert starts.picture_format(b"%PDF") is None
    with pytest.raises(MalformedFile):  # it may hold text that nobody can find
        names(jpeg()[:20])


@pytest.mark.parametrize("end", [-2, 60])
def test_a_picture_cut_short_within_a_transaction_is_refused_by_its_record(end: int) -> None:
    picture = jpeg(segment(0xFE, b"ROE"))[:end]
    data = transaction(image(10, 1, {3: b"FACE", 11: b"JPEGB", 999: picture}))

    for reading in (ansi_nist_text.stripped, lambda octets: text_in(RecordFormat.ANSI_NIST, octets)):  # fmt: skip
        with pytest.raises(MalformedFile, match="record Type-10 with IDC 1"):
            reading(data)


def test_pixels_that_begin_as_a_picture_does_are_pixels() -> None:
    pixels = b"\xff\xd8\xff\xe0" + bytes(2)
    data = transaction(print_image(2, pixels, idc=1), image(14, 2, {999: pixels}))

    assert ansi_nist_text.stripped(data) == (data, ())


@pytest.mark.parametrize(
    "data",
    [
        j2k() + b"ROE\xff\xd9",
        j2k().replace(b"\xff\x90\0\x0a", b"\xff\x90\0\x0b", 1),
        j2k().replace(struct.pack(">I", len(tile_part())), struct.pack(">I", 2), 1),
        jp2(colours=box(b"colr", b"\4\0\0ROE")),
        jp2(header=box(b"cdef", b"ROE born in 1970" * 2)),
        jp2().replace(box(b"ihdr", IHDR), box(b"ihdr", b"ROE born in 1970")),
        jp2(header=struct.pack(">I4sQ", 1, b"xml ", 16)),
    ],
)
def test_a_jpeg_2000_picture_whose_parts_do_not_join_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedFile):
        written(RecordFormat.JPEG_2000, data)


@pytest.mark.parametrize(
    ("form", "data"),
    [
        *((RecordFormat.JPEG, jpeg(segment(marker, b"ROE born in 1970" * 5))) for marker in (0xC3, 0xC4, 0xCC, 0xDB, 0xDD)),
        (RecordFormat.JPEG, jpeg(segment(0xC0, FRAME))),
        (RecordFormat.JPEG, jpeg(segment(0xDB, b"\0" + b"ROE " * 16))),  # a table that stands twice
        (RecordFormat.JPEG, jpeg(segment(0xDD, b"RO"), segment(0xDD, b"E "))),
        (RecordFormat.JPEG, jpeg(segment(0xC4, CODES), segment(0xC4, CODES))),
        (RecordFormat.JPEG, jpeg(segment(0xC4, b"\x10\6" + bytes(15) + b"LETTER"))),  # a value has one code
        *((RecordFormat.WSQ, wsq(segment(marker, b"ROE born in 1970"))) for marker in (0xA2, 0xA4, 0xA5, 0xA6)),
        (RecordFormat.WSQ, wsq(segment(0xA2, bytes(15)))),
        *((RecordFormat.JPEG_2000, j2k(segment(marker, b"ROE born in 1970"))) for marker in (0x50, 0x51, 0x52, 0x53, 0x5C, 0x5D, 0x5E, 0x5F, 0x60)),
        *((RecordFormat.JPEG_2000, parted(segment(marker, b"ROE born in 1970"))) for marker in (0x52, 0x5C, 0x61)),
        *((RecordFormat.JPEG_2000, jp2(header=box(kind, b"ROE"))) for kind in (b"pclr", b"cmap")),
        (RecordFormat.JPEG_2000, jp2(resolution=box(b"resc", b"ROE is 28 "))),
        (RecordFormat.JPEG_2000, jp2(box(b"res ", b""), box(b"res ", b""))),
        (RecordFormat.JPEG_2000, jp2(colours=box(b"colr", b"\1\0\0ROE "))),
        (RecordFormat.PNG, png(chunk(b"IHDR", PNG_HEADER))),
        (RecordFormat.PNG, png().replace(PNG_HEADER, b"ROE born 1970")),
    ],
)  # fmt: skip
def test_words_where_a_header_has_its_numbers_are_refused(form: RecordFormat, data: bytes) -> None:
    with pytest.raises(MalformedFile):
        written(form, data)


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (RecordFormat.JPEG, jpeg(segment(0xDD, b"\0\4"), segment(0xDB, b"\1" + bytes(64)))),
        (RecordFormat.JPEG, jpeg(segment(0xC4, b"\x10\2" + bytes(15) + b"\xf0\x21"))),
        (RecordFormat.WSQ, wsq(segment(0xA4, b"\3\2" + bytes(18)), segment(0xA5, bytes(387)))),
        (RecordFormat.WSQ, wsq(segment(0xA6, b"\1\2" + bytes(15) + b"\1\2"))),
        (RecordFormat.JPEG_2000, j2k(segment(0x5C, b"\x40" + bytes(16)), segment(0x5D, b"\0\x40" + bytes(4)))),
        (RecordFormat.JPEG_2000, j2k(segment(0x5F, bytes(14)), segment(0x5E, bytes(3)))),
        (RecordFormat.PNG, png(chunk(b"tRNS", b"\0\1"), chunk(b"cHRM", bytes(32)), chunk(b"sBIT", b"\x08"))),
        (RecordFormat.PNG, png(chunk(b"tIME", b"\x07\xea\x0c\1\2\3\4"), chunk(b"gAMA", struct.pack(">I", 45_455)))),
    ],
)  # fmt: skip
def test_tables_of_a_header_are_no_text(form: RecordFormat, data: bytes) -> None:
    assert written(form, data) == ()
