"""Image records say whose picture they hold, how large, how fine and how compressed; what contradicts itself is refused."""

from __future__ import annotations

import pytest

from gateway.domain.messages import Modality, Presence
from gateway.sample_files import ansi_nist, ansi_nist_images
from gateway.sample_files.ansi_nist import RS, US
from gateway.sample_files.ansi_nist_images import ImageRecord
from gateway.sample_files.errors import MalformedFile
from tests.ansi_nist_writer import image, print_image, transaction

WSQ, JPEG = b"\xff\xa0\xff\xa8" + bytes(9), b"\xff\xd8\xff\xe0" + bytes(9)
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(9)


def read(record: tuple[int, int, bytes], first: dict[int, bytes] | None = None) -> ImageRecord:
    head, found = ansi_nist.read(transaction(record, first=first or {}))
    return ansi_nist_images.read(found, head)


def test_a_type_4_record_says_it_in_eighteen_bytes() -> None:
    found = read(print_image(7, WSQ, size=(512, 480), compression=1))

    assert (found.modality, found.position, found.what) == (Modality.FINGER, 7, "left index")
    assert (found.impression, found.compression) == (1, "WSQ20")
    assert (found.width, found.height, found.ppi, found.depth) == (512, 480, 500, 8)
    assert found.data == WSQ


def test_the_scanners_own_resolution_is_that_of_type_1() -> None:
    """Field 1.011 is in pixels per millimetre: 39.37 are 1,000 pixels per inch."""
    picture = print_image(2, bytes(6), own_resolution=1)

    assert read(picture, {11: b"39.37"}).ppi == 1000
    assert read(picture, {11: b"00.00"}).ppi == 0
    with pytest.raises(MalformedFile, match="resolution"):
        read(picture, {11: b"nan"})


@pytest.mark.parametrize(
    ("unit", "scale", "ppi"), [(b"1", b"500", 500), (b"2", b"197", 500), (b"2", b"394", 1001), (b"0", b"1", 0)]
)  # fmt: skip
def test_the_unit_of_the_scale_is_heeded(unit: bytes, scale: bytes, ppi: int) -> None:
    assert read(image(14, 1, {8: unit, 9: scale, 10: scale})).ppi == ppi


@pytest.mark.parametrize(
    ("place", "position", "exchanged"),
    [(1, 1, True), (10, 10, True), (0, 0, True), (11, 1, True), (12, 6, True), (13, 0, False), (15, 0, False),
     (16, 0, False), (21, 0, False), (44, 0, False)],
)  # fmt: skip
def test_a_finger_is_told_from_several_and_from_a_palm(
    place: int, position: int, exchanged: bool
) -> None:
    for found in (
        read(image(14, 1, {13: b"%d" % place})),
        read(print_image(place, bytes(6))),
    ):
        assert found.position == position
        assert (found.modality is Modality.FINGER) == exchanged


def test_a_finger_that_may_be_one_of_several_is_not_named() -> None:
    assert read(image(14, 1, {13: RS.join([b"2", b"3"])})).position == 0


def test_faces_and_eyes_are_what_their_records_say() -> None:
    face = image(10, 1, {3: b"FACE", 11: b"JPEGB", 12: b"YCC", 24: b"80\x1f0000\x1f0", 999: JPEG})
    mark = image(10, 1, {3: b"TATTOO", 11: b"JPEGB", 12: b"YCC", 999: JPEG})
    eye = image(17, 1, {3: b"2", 11: b"JP2", 13: b"GRAY", 24: b"254\x1f0000\x1f0", 999: JP2})

    assert (read(face).modality, read(face).quality) == (Modality.FACE, 80)
    assert read(mark).modality is None
    assert (read(eye).modality, read(eye).position) == (Modality.IRIS, 2)
    assert (read(eye).what, read(eye).quality) == ("left eye", None)


def test_the_quality_of_a_print_follows_its_position() -> None:
    stated = US.join([b"2", b"77", b"0000", b"1"])

    assert read(image(14, 1, {24: stated})).quality == 77
    with pytest.raises(MalformedFile, match="quality"):
        read(image(14, 1, {24: b"2"}))


@pytest.mark.parametrize("kind", [13, 15, 19])
def test_latents_palms_and_feet_are_of_nothing_that_is_exchanged(kind: int) -> None:
    found = read(image(kind, 1, {13: b"21"}))

    assert found.modality is None
    assert found.what


@pytest.mark.parametrize(
    "record",
    [
        print_image(2, bytes(5)), print_image(2, bytes(7)), print_image(2, b""), print_image(2, bytes(6), size=(0, 3)),
        print_image(2, JPEG, compression=1), print_image(2, bytes(6), compression=7), print_image(99, bytes(6)),
        print_image(2, bytes(6), own_resolution=2), (4, 1, b"\0\0\0\x0c\x01" + bytes(7)),
        *(image(14, 1, changed) for changed in (
            {6: b"0"}, {7: b"65536"}, {8: b"3"}, {9: b"501"}, {9: b"9999", 10: b"9999"}, {11: b"GIF"}, {11: b"WSQ20"},
            {12: b"16"}, {13: b"99"}, {13: b""}, {13: RS.join([b"2"] * 7)}, {999: b""}, {999: bytes(12)}, {3: b"x"}, {6: b"-2"},
        )),
        image(17, 1, {3: b"3", 13: b"GRAY"}), image(10, 1, {3: b"FACE", 12: b"GRAY", 999: bytes(7)}),
    ],
    ids=str,
)  # fmt: skip
def test_what_contradicts_itself_is_refused(record: tuple[int, int, bytes]) -> None:
    with pytest.raises(MalformedFile):
        read(record)


@pytest.mark.parametrize("field", [3, 6, 7, 8, 9, 10, 11, 13, 999])
def test_a_mandatory_field_that_is_missing_is_named(field: int) -> None:
    kind, idc, data = image(14, 1, {})
    fields = {number: text for number, (_, text) in ansi_nist.read(transaction((kind, idc, data)))[1].fields.items()}  # fmt: skip
    less = ansi_nist.text_record(14, {each: text for each, text in fields.items() if each != field})

    with pytest.raises(MalformedFile, match=r"without an image|14.0"):
        read((14, 1, less))


def test_fingers_that_could_not_be_taken_are_named_with_the_reason() -> None:
    stated = RS.join([US.join([b"3", b"XX"]), US.join([b"7", b"UP"])])
    record = ansi_nist.read(transaction(image(14, 1, {18: stated})))[1]

    assert ansi_nist_images.missing(record) == ((3, Presence.AMPUTATED), (7, Presence.BANDAGED))
    assert ansi_nist_images.missing(ansi_nist.read(transaction(image(14, 1, {})))[1]) == ()
    for wrong in (
        RS.join([b"3\x1fXX"] * 11),
        b"3",
        b"0\x1fXX",
        b"11\x1fXX",
        b"3\x1fZZ",
        b"x\x1fXX",
    ):
        record = ansi_nist.read(transaction(image(14, 1, {18: wrong})))[1]
        with pytest.raises(MalformedFile):
            ansi_nist_images.missing(record)
