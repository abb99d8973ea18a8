"""The second editions, ISO/IEC 19794-2:2011 and INCITS 378-2009: told apart by lengths, frames of their own."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import MalformedRecord
from matcher.finger import record_fmr, synthetic
from matcher.finger.record_fmr import Format, Frame, Record, View
from matcher.finger.template import Minutiae

ISO, INCITS = Format.ISO_19794_2_2011, Format.INCITS_378_2009
UNITS = {ISO: 256, INCITS: 180}


def finger(units: int = 180, quality: int = 70) -> Minutiae:
    rows = np.arange(4)
    angle = (rows * 7 * (2 * np.pi / units)).astype(np.float32)
    return Minutiae(
        np.stack([10 + 9 * rows, 20 + 5 * rows], axis=1), angle, rows % 3, [quality] * 4, 400, 500
    )


def iso(*bodies: bytes, certified: int = 0) -> bytes:
    """Return a record of ISO 2011 around representations, their lengths put right."""
    parts = [struct.pack(">I", len(body) + 4) + body for body in bodies]
    rest = struct.pack(">HB", len(bodies), certified) + b"".join(parts)
    return b"FMR\x00030\0" + struct.pack(">I", 12 + len(rest)) + rest


def representation(
    *, qualities: bytes = b"\0", certificates: bytes = b"", size: int = 6, tail: bytes = b"\0\0"
) -> bytes:
    """Return one representation less its length: one minutia, an ending at (100, 14), 112.5°, quality 90."""
    row = struct.pack(">HHBB", 1 << 14 | 100, 14, 80, 90)[:size]
    view = struct.pack(">BBHHBHHBB", 2, 0, 197, 197, 0, 300, 400, size << 4 | 1, 1)
    return b"\xff" * 9 + b"\0" * 5 + qualities + certificates + view + row + tail


@st.composite
def mixed(draw: st.DrawFn) -> Record:
    """Views of different sizes and resolutions in one record."""
    form = draw(st.sampled_from([ISO, INCITS]))
    views = []
    for _ in range(draw(st.integers(1, 4))):
        frame = Frame(
            draw(st.integers(50, 900)),
            draw(st.integers(50, 900)),
            *[draw(st.sampled_from([98, 197, 394]))] * 2,
        )
        places = st.tuples(st.integers(0, frame.width - 1), st.integers(0, frame.height - 1))
        xy = np.array(draw(st.lists(places, max_size=8)), dtype=float).reshape(-1, 2)
        count = len(xy)
        number = st.integers(0, UNITS[form] - 1)
        angle = np.array(draw(st.lists(number, min_size=count, max_size=count)))
        quality = draw(st.lists(st.integers(0, 100), min_size=count, max_size=count))
        made = Minutiae(
            xy * frame.scale,
            (angle * (2 * np.pi / UNITS[form])).astype(np.float32),
            np.arange(count) % 3,
            quality,
            *(np.array([frame.width, frame.height]) * frame.scale),
        )
        quality_of_view = draw(st.integers(0, 100))
        views.append(
            View(draw(st.integers(0, 10)), draw(st.integers(0, 29)), quality_of_view, made, frame)
        )
    first = views[0].frame or Frame(1, 1, 197, 197)
    return Record(
        form, first.width, first.height, int(first.x_ppcm), int(first.y_ppcm), tuple(views)
    )


@given(mixed())
def test_each_view_keeps_its_own_size_and_resolution(record: Record) -> None:
    again = record_fmr.read(record_fmr.write(record))

    assert (again.format, again.frame) == (record.format, record.frame)
    for one, other in zip(again.views, record.views, strict=True):
        assert replace(one, minutiae=other.minutiae) == other
        assert np.allclose(one.minutiae.xy, other.minutiae.xy, atol=1e-3)
        assert np.allclose(one.minutiae.angle, other.minutiae.angle, atol=1e-5)
        assert (one.minutiae.kind == other.minutiae.kind).all()
        assert (one.minutiae.quality == other.minutiae.quality).all()


def test_the_lengths_tell_the_two_apart_though_magic_and_version_are_one() -> None:
    for form in (ISO, INCITS):
        data = record_fmr.write(record_fmr.at_197(form, [View(2, 0, 60, finger())]))
        assert data[:8] == b"FMR\x00030\0"
        assert record_fmr.detect(data) is form


def test_the_amended_version_is_incits() -> None:
    data = record_fmr.write(record_fmr.at_197(INCITS, [View(2, 0, 60, finger())]))

    assert record_fmr.detect(data.replace(b"030\0", b"035\0")) is INCITS
    with pytest.raises(MalformedRecord, match="version"):
        record_fmr.detect(data.replace(b"030\0", b"031\0"))


def test_the_iso_angle_is_a_256th_and_the_incits_angle_two_degrees() -> None:
    view = record_fmr.read(iso(representation())).views[0]
    incits = bytearray(record_fmr.write(record_fmr.at_197(INCITS, [View(2, 0, 60, finger())])))
    incits[21 + 17 + 4] = 56

    assert math.degrees(view.minutiae.angle[0]) == pytest.approx(112.5, abs=1e-4)
    assert view.minutiae.xy.tolist() == [[100, 14]]
    assert (view.position, view.quality, view.minutiae.quality[0]) == (2, 0, 90)
    other = record_fmr.read(bytes(incits)).views[0].minutiae
    assert math.degrees(other.angle[0]) == pytest.approx(112.0, abs=1e-4)


def test_an_incits_angle_beyond_the_turn_is_refused() -> None:
    data = bytearray(record_fmr.write(record_fmr.at_197(INCITS, [View(2, 0, 60, finger())])))
    data[21 + 17 + 4] = 180

    with pytest.raises(MalformedRecord, match="angle"):
        record_fmr.read(bytes(data))


def test_minutiae_of_five_bytes_have_no_quality() -> None:
    short = record_fmr.read(iso(representation(size=5))).views[0]
    written = record_fmr.write(record_fmr.at_197(ISO, [View(2, 0, 0, finger(quality=0))]))

    assert short.minutiae.quality.tolist() == [0]
    assert len(written) == 15 + 34 + 4 * 5
    with pytest.raises(MalformedRecord, match="size of a minutia"):
        record_fmr.read(iso(representation().replace(b"\x61\x01", b"\x71\x01")))


def test_quality_blocks_and_certificates_are_stepped_over() -> None:
    blocks = b"\x02" + b"\x50\0\x01\0\x02" + b"\xff\0\x01\0\x02"
    plain = record_fmr.read(iso(representation(qualities=blocks))).views[0]
    certified = representation(qualities=blocks, certificates=b"\x02" + b"\x07" * 6)
    other = record_fmr.read(iso(certified, certified, certified=1)).views[1]

    assert plain.quality == other.quality == 80
    assert (plain.minutiae.xy == other.minutiae.xy).all()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (representation(qualities=b"\x01\x65\0\0\0\0"), "quality"),
        (representation(qualities=b"\xff"), "cut short"),
        (representation(tail=b"\0\x05abc"), "extended"),
        (representation(tail=b"\0\0abc"), "follow"),
        (representation(tail=b""), "cut short"),
    ],
)
def test_a_representation_is_bounded_by_its_own_length(body: bytes, reason: str) -> None:
    """A length that lies about one view never lets its reader into the next."""
    with pytest.raises(MalformedRecord, match=reason):
        record_fmr.read(iso(body + b"\0" * (max(0, 30 - len(body))), representation()))


def test_extended_data_are_skipped_by_length() -> None:
    data = record_fmr.read(iso(representation(tail=b"\0\x09" + b"\xff" * 9), representation()))

    assert len(data.views) == 2


@pytest.mark.parametrize("certified", [2, 128, 255])
def test_an_unknown_certification_flag_is_refused(certified: int) -> None:
    with pytest.raises(MalformedRecord, match="flag"):
        record_fmr.read(iso(representation(), certified=certified))


def test_views_of_one_finger_are_numbered() -> None:
    views = [View(2, 0, 50, finger()), View(3, 0, 50, finger()), View(2, 0, 50, finger())]

    data = record_fmr.write(record_fmr.at_197(INCITS, views))

    size = 17 + 4 * 6 + 2
    assert [data[21 + size * place + 1] for place in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("form", [ISO, INCITS])
def test_more_than_ten_views_are_refused_before_they_are_read(form: Format) -> None:
    data = bytearray(record_fmr.write(record_fmr.at_197(form, [View(0, 0, 0, finger())] * 10)))
    place = 13 if form is ISO else 19
    assert data[place] == 10
    data[place] = 11

    with pytest.raises(MalformedRecord):
        record_fmr.read(bytes(data))
    with pytest.raises(ValueError):
        record_fmr.write(record_fmr.at_197(form, [View(0, 0, 0, finger())] * 11))


@pytest.mark.parametrize("form", [ISO, INCITS])
def test_a_resolution_of_zero_or_absurd_is_refused(form: Format) -> None:
    data = record_fmr.write(record_fmr.at_197(form, [View(2, 0, 0, finger())]))
    places = [place for place in range(len(data) - 1) if data[place : place + 2] == b"\0\xc5"]
    assert len(places) >= 2

    for place in places[:2]:
        for absurd in (0, 1, 65535):
            changed = bytearray(data)
            struct.pack_into(">H", changed, place, absurd)
            with pytest.raises(MalformedRecord, match="resolution"):
                record_fmr.read(bytes(changed))


def test_an_image_of_absurd_size_is_malformed_and_not_a_fault_of_ours() -> None:
    data = bytearray(synthetic.record(finger(), 2))
    struct.pack_into(">HHHH", data, 14, 65535, 65535, 79, 79)

    with pytest.raises(MalformedRecord, match="larger"):
        record_fmr.read(bytes(data))


@pytest.mark.parametrize("form", [ISO, INCITS])
def test_swapped_endianness_is_refused(form: Format) -> None:
    data = bytearray(record_fmr.write(record_fmr.at_197(form, [View(2, 0, 0, finger())])))
    data[8:12] = data[8:12][::-1]

    with pytest.raises(MalformedRecord, match="length"):
        record_fmr.read(bytes(data))
