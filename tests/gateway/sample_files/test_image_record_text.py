"""Text within a record of an image is found by whoever sends it, and cut from the record where its lengths can be put right."""

from __future__ import annotations

import struct

import pytest

from gateway.domain.messages import Modality, RecordFormat
from gateway.matching.sample_files import opened
from gateway.sample_files import image_record_text
from gateway.sample_files.containers import formats
from gateway.sample_files.errors import MalformedFile
from gateway.sample_files.image_record_text import DESCRIBES, stripped
from gateway.sample_files.sample_text import text_in
from tests.gateway.extraction import image_files as files

F = RecordFormat
FINGER, FACE, IRIS = Modality.FINGER, Modality.FACE, Modality.IRIS
SIZE = (files.WIDTH, files.HEIGHT)
RAW = bytes(files.WIDTH * files.HEIGHT)


def commented(picture: bytes) -> bytes:
    """Return a picture of JPEG or WSQ with a comment behind its start."""
    marker = 0xA8 if picture.startswith(b"\xff\xa0") else 0xFE
    return picture[:2] + struct.pack(">BBH", 0xFF, marker, 300) + b"ROE".ljust(298) + picture[2:]


def authored(picture: bytes) -> bytes:
    """Return a PNG picture with a text chunk behind its header."""
    return picture[:33] + files.chunk(b"tEXt", b"Author\0ROE") + picture[33:]


WSQ, PNG, JPEG = files.wsq(), files.png(), files.jpeg()
# Of each container a record with text in its picture, and the same without.
IN_PICTURES = {
    F.ISO_19794_4_2005: (files.fir_first(commented(WSQ), 2), files.fir_first(WSQ, 2)),
    F.ISO_19794_4_2011: (files.fir_second(authored(PNG), 6), files.fir_second(PNG, 6)),
    F.ISO_39794_4: (files.finger_39794(commented(WSQ), 1), files.finger_39794(WSQ, 1)),
    F.ISO_19794_5_2005: (files.fac_first(commented(JPEG), 0, SIZE), files.fac_first(JPEG, 0, SIZE)),
    F.ISO_19794_5_2011: (files.fac_second(commented(JPEG), 0, SIZE), files.fac_second(JPEG, 0, SIZE)),
    F.ISO_39794_5: (files.face_39794(commented(JPEG), 2, SIZE), files.face_39794(JPEG, 2, SIZE)),
    F.ISO_19794_6_2005: (files.iir_first(commented(JPEG), 6, SIZE), files.iir_first(JPEG, 6, SIZE)),
    F.ISO_19794_6_2011: (files.iir_second(authored(PNG), 14, SIZE), files.iir_second(PNG, 14, SIZE)),
}  # fmt: skip


def test_every_container_of_an_image_is_looked_into() -> None:
    assert set(IN_PICTURES) == set(formats.RECORDS) == image_record_text.FORMATS


@pytest.mark.parametrize("form", IN_PICTURES)
def test_text_in_the_picture_within_a_record_is_named_and_cut(form: RecordFormat) -> None:
    written, clean = IN_PICTURES[form]

    octets, removed = stripped(form, written)

    assert text_in(form, written) == opened(written).text == removed
    assert len(removed) == 1
    assert "ROE" not in removed[0]
    assert octets == clean
    assert text_in(form, clean) == ()
    assert stripped(form, clean) == (clean, ())


@pytest.mark.parametrize("form", IN_PICTURES)
def test_a_record_of_an_image_that_is_not_read_never_leaves(form: RecordFormat) -> None:
    _, clean = IN_PICTURES[form]

    for broken in (clean[:-1], clean + b"ROE", b"ROE" + clean):
        with pytest.raises(MalformedFile):
            text_in(form, broken)


@pytest.mark.parametrize("picture", [(commented(WSQ), WSQ, 2), (RAW, RAW, 0)], ids=["WSQ", "raw"])
def test_what_follows_the_picture_of_a_finger_is_cut(picture: tuple[bytes, bytes, int]) -> None:
    written, clean, algorithm = picture
    data = files.fir_second(written, algorithm, extended=b"\0\3\0\0\0\x09ROE")

    octets, removed = stripped(F.ISO_19794_4_2011, data)

    assert text_in(F.ISO_19794_4_2011, data) == removed
    assert removed[0] == DESCRIBES
    assert octets == files.fir_second(clean, algorithm)


def test_a_face_that_is_described_is_its_picture_alone() -> None:
    octets, removed = stripped(F.ISO_19794_5_2005, files.fac_first(commented(JPEG), 0, SIZE, sex=2))

    assert octets == JPEG
    assert removed == (DESCRIBES, "a comment (JPEG, COM)", "the record around the picture")


def test_what_a_finger_block_says_beside_its_picture_stays_and_is_still_named() -> None:
    """It cannot be cut without writing the block anew, so that the command refuses to pass it for one without text."""
    data = files.finger_39794(commented(WSQ), 1, more=files.tlv(0x8F, b"ROE"))

    octets, removed = stripped(F.ISO_39794_4, data)

    assert removed == ("a comment (WSQ, COM)",)
    assert text_in(F.ISO_39794_4, octets) == (DESCRIBES,)


def pointed(points: bytes) -> bytes:
    """Return a record of a face with these feature points."""
    data = files.fac_first(JPEG, 0, SIZE)
    more, count = len(points) - 8, len(points) // 8
    head = struct.pack(">IHIH", len(data) + more, 1, len(data) - 14 + more, count)
    return data[:8] + head + data[20:34] + points + data[42:]


@pytest.mark.parametrize(
    "points",
    [
        b"ROE born in 1970",
        struct.pack(">BBHHH", 1, 33, 10, 10, 0) * 2,
        struct.pack(">BBHHH", 1, 33, 10, 10, 7),
        struct.pack(">BBHHH", 1, 33, files.WIDTH + 1, 10, 0),
    ],
)
def test_points_of_a_face_that_are_none_are_text(points: bytes) -> None:
    octets, removed = stripped(F.ISO_19794_5_2005, pointed(points))

    assert text_in(F.ISO_19794_5_2005, pointed(points)) == (DESCRIBES,)
    assert (octets, removed[0]) == (JPEG, DESCRIBES)


def test_points_of_a_face_are_no_text_and_are_not_without_end() -> None:
    points = [struct.pack(">BBHHH", 1, code, code, code, 0) for code in range(129)]

    assert text_in(F.ISO_19794_5_2005, pointed(b"".join(points[:128]))) == ()
    with pytest.raises(MalformedFile):
        text_in(F.ISO_19794_5_2005, pointed(b"".join(points)))


def test_a_number_of_a_finger_block_is_short_and_there_are_not_many() -> None:
    numbers = [
        files.tlv(0x80, b"\x07\xea"),
        files.tlv(0x81, b"\0\xff\xff"),
        files.tlv(0x80, b"ROE born"),
    ]
    many = files.tlv(0xA9, *[files.tlv(0xA0, numbers[0] * 200)] * 6)

    assert (
        text_in(F.ISO_39794_4, files.finger_39794(WSQ, 1, more=files.tlv(0xA9, *numbers[:2]))) == ()
    )
    for more in (files.tlv(0xA9, numbers[2]), many):
        assert text_in(F.ISO_39794_4, files.finger_39794(WSQ, 1, more=more)) == (DESCRIBES,)


def test_what_is_said_beside_a_grey_map_is_named_and_the_record_is_left_as_it_is() -> None:
    """A grey map begins with its own header, so that no element of the record begins where its pixels do."""
    grey = b"P5\n%d %d\n255\n" % SIZE + RAW
    data = files.finger_39794(grey, 0, more=files.tlv(0x8F, b"ROE"))

    assert stripped(F.ISO_39794_4, data) == (data, ())
    assert text_in(F.ISO_39794_4, data) == (DESCRIBES,)


@pytest.mark.parametrize("form", [F.FACE_VECTOR, F.IRIS_CODE, F.WSQ, F.JPEG, F.PNG, F.JPEG_2000])
def test_bytes_that_are_not_of_the_format_that_is_said_never_leave(form: RecordFormat) -> None:
    with pytest.raises(MalformedFile):
        text_in(form, b"ROE born in 1970")
