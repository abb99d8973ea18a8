"""Containers of images: each says what it says; what is cut, followed, or lies about its size is refused by name."""

from __future__ import annotations

import struct

import pytest

from gateway.domain.messages import COMPRESSED, Compression, Modality, RecordFormat
from gateway.sample_files import ansi_nist
from gateway.sample_files.containers import codestream, formats
from gateway.sample_files.containers.image import Image, UnreadableImage
from tests.gateway.extraction import image_files as files

FINGER, FACE, IRIS = Modality.FINGER, Modality.FACE, Modality.IRIS
F = RecordFormat
SIZE = (files.WIDTH, files.HEIGHT)
RAW = bytes(files.WIDTH * files.HEIGHT)

# Each reader with a file that it reads, and what the picture in it is.
GOOD = {
    "fir-2005-raw": (F.ISO_19794_4_2005, FINGER, files.fir_first(RAW, 0), Compression.NONE),
    "fir-2005-wsq": (F.ISO_19794_4_2005, FINGER, files.fir_first(files.wsq(), 2), Compression.WSQ),
    "fir-2005-png": (F.ISO_19794_4_2005, FINGER, files.fir_first(files.png(), 5), Compression.PNG),
    "fir-2011-jp2": (F.ISO_19794_4_2011, FINGER, files.fir_second(files.jp2(), 5), Compression.JPEG_2000),
    "fir-2011-png": (F.ISO_19794_4_2011, FINGER, files.fir_second(files.png(), 6), Compression.PNG),
    "39794-4-wsq": (F.ISO_39794_4, FINGER, files.finger_39794(files.wsq(), 1), Compression.WSQ),
    "39794-4-pgm": (
        F.ISO_39794_4,
        FINGER,
        files.finger_39794(b"P5\n%d %d\n255\n" % SIZE + RAW, 0),
        Compression.NONE,
    ),
    "type-4": (F.ANSI_NIST, FINGER, files.transaction(files.type_4(files.wsq(), 1)), Compression.WSQ),
    "type-4-raw": (F.ANSI_NIST, FINGER, files.transaction(files.type_4(RAW, 0)), Compression.NONE),
    "type-14": (F.ANSI_NIST, FINGER, files.transaction(files.type_14(files.png(), b"PNG")), Compression.PNG),
    "wsq": (F.WSQ, FINGER, files.wsq(), Compression.WSQ),
    "png": (F.PNG, FINGER, files.png(ppi=500), Compression.PNG),
    "jp2": (F.JPEG_2000, FINGER, files.jp2(), Compression.JPEG_2000),
    "j2k": (F.JPEG_2000, FACE, files.j2k(channels=3), Compression.JPEG_2000),
    "jpeg": (F.JPEG, FACE, files.jpeg(channels=3), Compression.JPEG),
    "fac-2005": (F.ISO_19794_5_2005, FACE, files.fac_first(files.jpeg(), 0, SIZE), Compression.JPEG),
    "fac-2011": (F.ISO_19794_5_2011, FACE, files.fac_second(files.jp2(), 2, SIZE), Compression.JPEG_2000),
    "39794-5": (F.ISO_39794_5, FACE, files.face_39794(files.jpeg(), 2, SIZE), Compression.JPEG),
    "iir-2005": (F.ISO_19794_6_2005, IRIS, files.iir_first(RAW, 2, SIZE), Compression.NONE),
    "iir-2011": (F.ISO_19794_6_2011, IRIS, files.iir_second(files.png(), 14, SIZE), Compression.PNG),
}  # fmt: skip


def read(name: str, data: bytes | None = None) -> Image:
    form, modality, good, _ = GOOD[name]
    return formats.read(good if data is None else data, form, modality)


@pytest.mark.parametrize("name", GOOD)
def test_an_image_is_what_its_container_says(name: str) -> None:
    form, modality, data, compression = GOOD[name]

    image = read(name)

    assert (image.modality, image.picture.compression) == (modality, compression)
    assert (image.picture.width, image.picture.height) == SIZE
    assert formats.detect(data) is form
    if form not in COMPRESSED and modality is FINGER:
        assert (image.position, image.ppi) == (2, 500)


@pytest.mark.parametrize("name", GOOD)
def test_no_container_is_read_that_was_cut_anywhere_or_that_something_follows(name: str) -> None:
    data = GOOD[name][2]
    # Every place in what headers there are; pictures of bytes are the same all through.
    places = {*range(min(len(data), 400)), *range(max(0, len(data) - 40), len(data))}

    for place in places:
        with pytest.raises(UnreadableImage):
            read(name, data[:place])
    with pytest.raises(UnreadableImage):
        read(name, data + b"\0")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("fir-2005-raw", files.fir_first(RAW, 0, (files.WIDTH, files.HEIGHT + 1))),
        ("fir-2005-wsq", files.fir_first(files.wsq(), 2, (files.HEIGHT, files.WIDTH))),
        ("fir-2011-jp2", files.fir_second(files.jp2(), 5, (1_000, files.HEIGHT))),
        ("fac-2005", files.fac_first(files.jpeg(), 0, (1, 1))),
        ("fac-2011", files.fac_second(files.jp2(), 2, (1, 1))),
        ("39794-5", files.face_39794(files.jpeg(), 2, (1, 1))),
        ("iir-2005", files.iir_first(RAW, 2, (10, 10))),
        ("iir-2011", files.iir_second(files.png(), 14, (10, 10))),
        ("jp2", files.jp2().replace(struct.pack(">IIH", *reversed(SIZE), 1), b"\0\0\1\0" * 2 + b"\0\1")),
    ],
)  # fmt: skip
def test_a_container_that_lies_about_its_pictures_size_is_refused_by_that_name(
    name: str, data: bytes
) -> None:
    with pytest.raises(UnreadableImage) as refused:
        read(name, data)

    assert refused.value.element in ("width", "height")


HUGE = 100_000


@pytest.mark.parametrize(
    ("form", "modality", "data"),
    [
        (F.PNG, FINGER, files.png(HUGE, HUGE, rows=b"")),
        (F.PNG, FINGER, files.png(4_097, 4_096, rows=b"")),
        (F.JPEG_2000, FACE, files.j2k(HUGE, HUGE)),
        (F.JPEG, FACE, files.jpeg(65_535, 65_535)),
        (F.WSQ, FINGER, files.wsq(65_535, 65_535)),
        (F.ISO_19794_4_2005, FINGER, files.fir_first(files.wsq(9_000, 9_000), 2, (9_000, 9_000))),
        (F.PNG, FINGER, files.png(1, 1)),
        (F.WSQ, FINGER, files.wsq(0, 0)),
    ],
)
def test_a_picture_that_states_more_pixels_than_any_finger_or_face_has_is_refused_by_its_header(
    form: RecordFormat, modality: Modality, data: bytes
) -> None:
    """The files are a few hundred bytes; nothing in them is decompressed."""
    with pytest.raises(UnreadableImage) as refused:
        formats.read(data, form, modality)

    assert refused.value.element in ("width", "height")


@pytest.mark.parametrize(
    "data",
    [
        files.fir_first(files.wsq(), 2, rate=(0, 0)),
        files.fir_first(files.wsq(), 2, rate=(60_000, 60_000)),
        files.fir_first(files.wsq(), 2, rate=(500, 1_000)),
        files.fir_first(files.wsq(), 2, units=3),
        files.fir_second(files.wsq(), 2, rate=(72, 72)),
        files.finger_39794(files.wsq(), 1, rate=5),
    ],
)
def test_a_resolution_that_is_zero_absurd_or_without_a_unit_is_refused_by_name(data: bytes) -> None:
    form = formats.detect(data)
    assert form is not None

    with pytest.raises(UnreadableImage) as refused:
        formats.read(data, form, FINGER)

    assert refused.value.element == "ppi"


@pytest.mark.parametrize(
    ("rate", "units", "ppi"), [(197, 2, 500), (394, 2, 1_001), (224, 2, 569), (1_000, 1, 1_000)]
)
def test_resolution_is_honoured_by_inch_and_by_centimetre(rate: int, units: int, ppi: int) -> None:
    data = files.fir_second(files.wsq(), 2, rate=(rate, rate), units=units)

    assert formats.read(data, F.ISO_19794_4_2011, FINGER).ppi == ppi


@pytest.mark.parametrize(
    ("form", "data", "ppi"),
    [
        (F.PNG, files.png(ppi=569), 569),
        (F.PNG, files.png(ppi=96), 0),
        (F.JPEG_2000, files.jp2(ppi=1_000), 1_001),
        (F.JPEG, files.jpeg(ppi=500), 500),
        (F.WSQ, files.wsq(comment=b"NIST_COM 2\nPPI 1000\n"), 1_000),
        (F.WSQ, files.wsq(comment=b"NIST_COM 2\nPPI -1\n"), 0),
    ],
)
def test_a_bare_picture_states_a_fingers_resolution_or_none(
    form: RecordFormat, data: bytes, ppi: int
) -> None:
    """Programs write 72 or 96 where nobody measured anything: that says nothing of a finger."""
    assert formats.read(data, form, FINGER).ppi == ppi


@pytest.mark.parametrize(
    ("form", "modality", "data"),
    [
        (F.ISO_19794_4_2005, FINGER, files.fir_first(files.png(), 2)),
        (F.ISO_19794_4_2005, FINGER, files.fir_first(files.wsq(), 1)),
        (F.ISO_19794_4_2011, FINGER, files.fir_second(files.wsq(), 9)),
        (F.ISO_39794_4, FINGER, files.finger_39794(files.wsq(), 4)),
        (F.PNG, FINGER, files.jpeg()),
        (F.JPEG, FINGER, b"GIF89a" + bytes(600)),
    ],
)
def test_a_picture_compressed_otherwise_than_is_said_is_refused_by_that_name(
    form: RecordFormat, modality: Modality, data: bytes
) -> None:
    with pytest.raises(UnreadableImage) as refused:
        formats.read(data, form, modality)

    assert refused.value.element == "compression"


@pytest.mark.parametrize(
    ("form", "modality", "data"),
    [
        (F.ISO_19794_4_2005, FINGER, files.fir_first(files.wsq(), 2, fingers=2)),
        (F.ISO_19794_4_2011, FINGER, files.fir_second(files.wsq(), 2, number=2)),
        (F.ISO_19794_4_2005, FINGER, files.fir_first(files.wsq(), 2, position=13)),  # four fingers
        (F.ISO_19794_6_2011, IRIS, files.iir_second(files.png(), 14, SIZE, eye=3)),
        (F.PNG, FINGER, files.png(colour=2)),
        (F.PNG, FINGER, files.png(depth=16)),
        (F.JPEG_2000, FINGER, files.j2k(tile=1)),  # 128,000 tiles
        (F.ISO_19794_4_2011, FINGER, files.fir_second(files.wsq(), 2, extended=b"\0\1\0\0\0\5")),
        (F.ISO_39794_4, FINGER, files.finger_39794(files.wsq(), 1).replace(b"\x80\1\3", b"\x80\1\4", 1)),
        (F.ISO_39794_4, FINGER, files.finger_39794(files.wsq(), 1).replace(b"\xa1\3\x80", b"\xa0\3\x80", 1)),
        (F.ISO_39794_6, IRIS, b""),
        (F.ISO_19794_4_2005, FACE, files.fir_first(files.wsq(), 2)),
    ],
)  # fmt: skip
def test_what_is_not_one_image_of_one_finger_face_or_eye_is_refused(
    form: RecordFormat, modality: Modality, data: bytes
) -> None:
    with pytest.raises(UnreadableImage):
        formats.read(data, form, modality)


def test_a_damaged_checksum_in_a_picture_is_seen_before_any_decoder() -> None:
    data = bytearray(files.png())
    data[60] ^= 1

    with pytest.raises(UnreadableImage, match="checksum"):
        codestream.read(bytes(data))


@pytest.mark.parametrize("kind", [b"\0\1", b"\0\3", b"\xff\0"])
def test_extended_data_after_a_picture_are_bounded_and_describe_the_person(kind: bytes) -> None:
    data = files.fir_second(files.wsq(), 2, extended=kind + b"\0\0\0\x09ROE" + b"\xff\0\0\0\0\6")

    image = formats.read(data, F.ISO_19794_4_2011, FINGER)

    assert image.picture.width == files.WIDTH
    assert image.describes
    plain = files.fir_second(files.wsq(), 2)
    assert not formats.read(plain, F.ISO_19794_4_2011, FINGER).describes


@pytest.mark.parametrize(
    ("form", "data"),
    [
        (F.ISO_19794_5_2005, files.fac_first(files.jpeg(), 0, SIZE, sex=1)),
        (F.ISO_19794_5_2011, files.fac_second(files.jp2(), 1, SIZE, height=180)),
        (F.ISO_39794_5, files.face_39794(files.jpeg(), 2, more=files.tlv(0xA8))),
    ],
)
def test_a_face_beside_which_the_person_is_described_says_so(
    form: RecordFormat, data: bytes
) -> None:
    assert formats.read(data, form, FACE).describes


TEXT = b"words about somebody"


@pytest.mark.parametrize(
    ("more", "describes"),
    [
        (b"", False),
        (files.tlv(0xA9, files.integer(0x80, 300)), False),
        (files.tlv(0xAE, files.tlv(0xA0, files.integer(0x80, 1))), False),
        (files.tlv(0xAE, files.tlv(0xA0, files.tlv(0x80, TEXT))), True),
        (files.tlv(0xAE, files.tlv(0x30, files.integer(0x80, 1) * 250) * 20), True),
        (files.tlv(0xAF, files.tlv(0x1A, TEXT)), True),
        (files.tlv(0xB0, files.integer(0x80, 1)), True),
        (files.tlv(0x9E, TEXT), True),
    ],
    ids=[
        "plain",
        "rotation",
        "numbers",
        "text in a known field",
        "too many",
        "comment",
        "vendor",
        "unknown",
    ],
)
def test_a_finger_beside_which_there_is_more_than_numbers_says_so(
    more: bytes, describes: bool
) -> None:
    data = files.finger_39794(files.wsq(), 1, more=more)

    assert formats.read(data, F.ISO_39794_4, FINGER).describes is describes


@pytest.mark.parametrize(
    ("more", "describes"),
    [
        (b"", False),
        (files.tlv(0xA2, files.integer(0x80, 2026), files.integer(0x81, 3)), False),
        (files.tlv(0xA9, files.tlv(0x30, files.integer(0x80, 1))), False),
        (files.tlv(0xA9, files.tlv(0x30, files.tlv(0x80, TEXT))), True),
        (files.tlv(0xAA, files.integer(0x80, 1)), True),
        (files.tlv(0x9E, TEXT), True),
    ],
    ids=["plain", "time", "landmark", "text in a known field", "unknown", "text"],
)
def test_a_face_beside_which_there_is_more_than_numbers_says_so(
    more: bytes, describes: bool
) -> None:
    data = files.face_39794(files.jpeg(), 2, SIZE, more=more)

    assert formats.read(data, F.ISO_39794_5, FACE).describes is describes


@pytest.mark.parametrize(
    ("data", "describes"),
    [
        (files.transaction(files.type_14(files.wsq(), b"WSQ20")), False),
        (files.transaction(files.type_14(files.wsq(), b"WSQ20", f20=b"a comment")), True),
        (files.transaction(files.type_14(files.wsq(), b"WSQ20"), ansi_nist.text_record(2, {2: b"01", 18: b"X"})), True),
    ],
)  # fmt: skip
def test_a_transaction_with_text_about_a_person_beside_its_picture_says_so(
    data: bytes, describes: bool
) -> None:
    assert formats.read(data, F.ANSI_NIST, FINGER).describes is describes


@pytest.mark.parametrize(
    ("data", "element"),
    [
        (files.transaction(files.type_4(files.wsq(), 1), files.type_4(files.wsq(), 1).replace(b"\0\0\2", b"\1\0\2", 1)), ""),
        (files.transaction(files.type_14(files.wsq(), b"WSQ20"), ansi_nist.text_record(9, {2: b"01"})), ""),
        (files.transaction(files.type_14(files.wsq(8, 8), b"WSQ20")), "width"),
        (files.transaction(files.type_14(files.wsq(), b"WSQ20", f9=b"5", f10=b"5")), "ppi"),
        (files.transaction(files.type_14(files.wsq(), b"WSQ20", f8=b"0")), "ppi"),
        (files.transaction(files.type_14(files.jpeg(), b"JPEGL")), "compression"),
        (files.transaction(files.type_14(files.wsq(), b"WSQ20", f13=b"13")), "format"),
    ],
)  # fmt: skip
def test_a_transaction_whose_one_image_cannot_be_read_is_refused_by_the_element(
    data: bytes, element: str
) -> None:
    with pytest.raises(UnreadableImage) as refused:
        formats.read(data, F.ANSI_NIST, FINGER)

    assert refused.value.element == element


def test_the_scanners_own_resolution_of_type_4_is_honoured() -> None:
    data = files.transaction(files.type_4(files.wsq(), 1, own=1), native=b"22.40")

    assert formats.read(data, F.ANSI_NIST, FINGER).ppi == 569


@pytest.mark.parametrize(
    ("form", "modality", "data"),
    [
        (F.JPEG, FACE, files.jpeg()[:2] + b"\xff\xfe\0\5ROE" + files.jpeg()[2:]),
        (F.WSQ, FINGER, files.wsq(comment=b"ROE")),
        (F.ISO_19794_4_2005, FINGER, files.fir_first(files.wsq(comment=b"ROE"), 2)),
    ],
)
def test_what_is_written_in_a_picture_describes_the_person(
    form: F, modality: Modality, data: bytes
) -> None:
    assert formats.read(data, form, modality).describes


def test_a_picture_in_which_text_could_not_be_looked_for_is_refused() -> None:
    """A walk over its parts that ends early would find nothing: what is not found is denied."""
    unlike = files.j2k().replace(b"\xff\x90", b"RO")

    with pytest.raises(UnreadableImage, match="do not join"):
        formats.read(unlike, F.JPEG_2000, FACE)
