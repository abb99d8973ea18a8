"""Records: what the standards say is read exactly, and nothing else is read at all."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import MalformedRecord
from matcher.finger import record_fmr, synthetic
from matcher.finger.record_fmr import Format, Record, View
from matcher.finger.template import Minutiae

UNITS = {form: 256 if form.name.startswith("ISO") else 180 for form in Format}
FORMATS = tuple(Format)
FIRST = (Format.ISO_19794_2_2005, Format.INCITS_378_2004)


def minutiae(rows: list[tuple[int, int, int, int, int]], units: int = 256) -> Minutiae:
    """Return minutiae of rows x, y, angle in units, kind, quality, in an image of 400 × 500."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    angle = (table[:, 2] * (2 * np.pi / units)).astype(np.float32)
    return Minutiae(table[:, :2], angle, table[:, 3], table[:, 4], 400.0, 500.0)


def small(form: Format, views: int = 1, count: int = 3) -> bytes:
    rows = [(10 + 7 * k, 20 + 11 * k, 3 * k, k % 3, 10 * k) for k in range(count)]
    view = View(2, 0, 60, minutiae(rows, UNITS[form]))
    return record_fmr.write(Record(form, 400, 500, 197, 197, (view,) * views))


def same(one: Record, other: Record) -> bool:
    return (
        (one.format, one.width, one.height, one.x_ppcm, one.y_ppcm)
        == (other.format, other.width, other.height, other.x_ppcm, other.y_ppcm)
        and len(one.views) == len(other.views)
        and all(
            (a.position, a.impression, a.quality) == (b.position, b.impression, b.quality)
            and np.allclose(a.minutiae.xy, b.minutiae.xy, atol=1e-3)
            and np.allclose(a.minutiae.angle, b.minutiae.angle, atol=1e-5)
            and (a.minutiae.kind == b.minutiae.kind).all()
            and (a.minutiae.quality == b.minutiae.quality).all()
            for a, b in zip(one.views, other.views, strict=True)
        )
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    form = draw(st.sampled_from(FORMATS))
    ppcm = draw(st.sampled_from([98, 197, 224, 394]))
    width, height = draw(st.integers(1, 2000)), draw(st.integers(1, 2000))
    row = st.tuples(
        st.integers(0, width - 1),
        st.integers(0, height - 1),
        st.integers(0, UNITS[form] - 1),
        st.integers(0, 2),
        st.integers(0, 100),
    )
    views = []
    for _ in range(draw(st.integers(1, 3))):
        table = np.array(draw(st.lists(row, max_size=20)), dtype=np.int64).reshape(-1, 5)
        scale = 197 / ppcm
        made = Minutiae(
            table[:, :2] * scale,
            (table[:, 2] * (2 * np.pi / UNITS[form])).astype(np.float32),
            table[:, 3],
            table[:, 4],
            width * scale,
            height * scale,
        )
        position, impression = draw(st.integers(0, 10)), draw(st.integers(0, 15))
        views.append(View(position, impression, draw(st.integers(0, 100)), made))
    return Record(form, width, height, ppcm, ppcm, tuple(views))


@given(records())
def test_what_is_written_is_read_again(record: Record) -> None:
    data = record_fmr.write(record)

    assert record_fmr.detect(data) is record.format
    assert same(record_fmr.read(data), record)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_malformed(data: bytes) -> None:
    for prefix in (b"", b"FMR\0 20\0", b"FMR\0 20\0" + struct.pack(">I", len(data) + 12)):
        with suppress(MalformedRecord):
            record_fmr.read(prefix + data)


@pytest.mark.parametrize("form", FORMATS)
def test_every_truncation_is_refused(form: Format) -> None:
    data = small(form, views=2)

    for size in range(len(data)):
        with pytest.raises(MalformedRecord):
            record_fmr.read(data[:size])


@pytest.mark.parametrize("form", FORMATS)
def test_every_byte_flip_is_malformed_or_another_valid_record(form: Format) -> None:
    data = small(form, views=2, count=1)
    before = record_fmr.read(data)

    refused = 0
    for place in range(len(data)):
        for flip in range(1, 256):
            changed = bytearray(data)
            changed[place] ^= flip
            try:
                after = record_fmr.read(bytes(changed))
            except MalformedRecord:
                refused += 1
            else:
                assert after.format is before.format
                assert len(after.views) == len(before.views)
    assert refused > len(data) * 255 / 4


@pytest.mark.parametrize("form", FORMATS)
def test_trailing_bytes_are_refused_whatever_the_length_field_says(form: Format) -> None:
    data = small(form)
    longer = bytearray(data + b"\0")
    struct.pack_into(">H" if form is Format.INCITS_378_2004 else ">I", longer, 8, len(longer))

    with pytest.raises(MalformedRecord):
        record_fmr.read(data + b"\0")
    with pytest.raises(MalformedRecord):
        record_fmr.read(bytes(longer))


def test_the_angle_byte_proves_the_unit() -> None:
    """NIST's test records hold one minutia in both formats: byte 80 in ISO, byte 56 in INCITS (protocol 11)."""
    row = struct.pack(">HHBB", 1 << 14 | 100, 14, 80, 90)
    body = struct.pack(">BBBB", 1, 0, 0, 1) + row + b"\0\0"
    size = struct.pack(">HHHHBB", 500, 500, 197, 197, 1, 0)
    iso = b"FMR\0 20\0" + struct.pack(">IH", 24 + len(body), 0) + size + body
    body = body.replace(bytes([80, 90]), bytes([56, 90]))
    incits = b"FMR\0 20\0" + struct.pack(">HHHH", 26 + len(body), 51, 9, 0) + size + body

    (one,), (other,) = record_fmr.read(iso).views, record_fmr.read(incits).views

    assert math.degrees(one.minutiae.angle[0]) == pytest.approx(112.5, abs=1e-4)
    assert math.degrees(other.minutiae.angle[0]) == pytest.approx(112.0, abs=1e-4)
    for view in (one, other):
        assert view.minutiae.xy.tolist() == [[100, 14]]
        assert (view.minutiae.kind[0], view.minutiae.quality[0]) == (1, 90)


@pytest.mark.parametrize("angle", [180, 255])
def test_an_incits_angle_beyond_the_turn_is_refused(angle: int) -> None:
    data = bytearray(small(Format.INCITS_378_2004))
    data[26 + 4 + 4] = angle

    with pytest.raises(MalformedRecord, match="angle"):
        record_fmr.read(bytes(data))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 255])
def test_none_and_255_minutiae_are_read(form: Format, count: int) -> None:
    data = small(form, count=min(count, 3)) if count < 4 else None
    if data is None:
        rows = [(k, k, k % 180, 1, 0) for k in range(count)]
        view = View(0, 0, 0, minutiae(rows, UNITS[form]))
        data = record_fmr.write(Record(form, 400, 500, 197, 197, (view,)))

    assert len(record_fmr.read(data).views[0].minutiae) == count


def test_a_long_incits_record_is_detected() -> None:
    data = small(Format.INCITS_378_2004)
    long = data[:8] + struct.pack(">HI", 0, len(data) + 4) + data[10:]

    assert record_fmr.detect(long) is Format.INCITS_378_2004
    assert same(record_fmr.read(long), record_fmr.read(data))


def test_a_wrong_length_is_neither_format() -> None:
    data = small(Format.ISO_19794_2_2005)

    with pytest.raises(MalformedRecord, match="length"):
        record_fmr.detect(data[:8] + struct.pack(">I", len(data) + 1) + data[12:])


@pytest.mark.parametrize("form", FIRST)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_resolution_of_zero_is_refused(form: Format, axis: int) -> None:
    header = 24 if form is Format.ISO_19794_2_2005 else 26
    for absurd in (0, 1, 65535):
        data = bytearray(small(form))
        struct.pack_into(">H", data, header - 6 + 2 * axis, absurd)
        with pytest.raises(MalformedRecord, match="resolution"):
            record_fmr.read(bytes(data))


def test_another_resolution_is_scaled_to_500_ppi() -> None:
    """Mixed resolutions returned the wrong person elsewhere (neilharan/openafis issue 5)."""
    data = bytearray(small(Format.ISO_19794_2_2005))
    struct.pack_into(">HH", data, 18, 394, 394)
    before = record_fmr.read(small(Format.ISO_19794_2_2005)).views[0].minutiae

    after = record_fmr.read(bytes(data)).views[0].minutiae

    assert after.xy == pytest.approx(before.xy / 2)
    assert (after.angle == before.angle).all()
    assert (after.width, after.height) == (200, 250)


def test_oblong_pixels_turn_the_angles_too() -> None:
    data = bytearray(small(Format.ISO_19794_2_2005))
    data[24 + 4 + 4] = 32  # 45 degrees
    struct.pack_into(">HH", data, 18, 197, 394)

    after = record_fmr.read(bytes(data)).views[0].minutiae

    assert math.degrees(after.angle[0]) == pytest.approx(math.degrees(math.atan(0.5)), abs=1e-4)


@pytest.mark.parametrize("form", FIRST)
@pytest.mark.parametrize(("offset", "value"), [(0, 400), (2, 500)])
def test_a_minutia_outside_the_image_is_refused(form: Format, offset: int, value: int) -> None:
    header = 24 if form is Format.ISO_19794_2_2005 else 26
    data = bytearray(small(form))
    struct.pack_into(">H", data, header + 4 + offset, value)

    with pytest.raises(MalformedRecord, match="outside"):
        record_fmr.read(bytes(data))


def test_extended_data_are_bounded_and_skipped() -> None:
    data = small(Format.ISO_19794_2_2005)
    block = b"\xff" * 37
    longer = data[:-2] + struct.pack(">H", len(block)) + block
    longer = longer[:8] + struct.pack(">I", len(longer)) + longer[12:]
    liar = longer[: -len(block) - 2] + struct.pack(">H", len(block) + 1) + block

    assert same(record_fmr.read(longer), record_fmr.read(data))
    with pytest.raises(MalformedRecord, match="extended"):
        record_fmr.read(liar)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (22, 0, "views"),
        (22, 11, "views"),
        (24, 11, "position"),
        (26, 101, "quality"),
        (28, 0xC0, "kind"),
        (33, 101, "quality"),
        (14, 0, None),
    ],
)
def test_what_the_standard_has_no_meaning_for_is_refused(
    offset: int, value: int, reason: str | None
) -> None:
    data = bytearray(small(Format.ISO_19794_2_2005))
    data[offset] = value
    if reason is None:
        data[offset + 1] = 0

    with pytest.raises(MalformedRecord, match=reason):
        record_fmr.read(bytes(data))


def test_a_fault_never_repeats_what_it_read() -> None:
    with pytest.raises(MalformedRecord) as caught:
        record_fmr.read(b"Jane Doe, born 1970-01-01, case 12345")

    assert "Jane" not in str(caught.value)


def test_a_writer_refuses_what_the_format_cannot_hold() -> None:
    view = View(0, 0, 0, minutiae([(390, 490, 0, 1, 0)]))

    for bad in (
        Record(Format.ISO_19794_2_2005, 400, 500, 197, 197, ()),
        Record(Format.ISO_19794_2_2005, 400, 500, 197, 197, (view,) * 11),
        Record(Format.ISO_19794_2_2005, 100, 100, 197, 197, (view,)),
        Record(Format.ISO_19794_2_2005, 400, 500, 197, 197, (View(11, 0, 0, view.minutiae),)),
    ):
        with pytest.raises(ValueError):
            record_fmr.write(bad)


@pytest.mark.parametrize("form", FORMATS)
def test_views_are_written_at_500_ppi(form: Format) -> None:
    finger = synthetic.impression(synthetic.person(1), 2, 1)

    record = record_fmr.read(synthetic.record(finger, 2, form))

    assert (record.format, record.x_ppcm, record.views[0].position) == (form, 197, 2)
    assert (record.views[0].minutiae.xy == finger.xy).all()


def test_every_real_record_is_read(shared: Path) -> None:
    paths = sorted((shared / "data" / "fingerprint").rglob("*_*.*"))

    for path in paths:
        record = record_fmr.read(path.read_bytes())
        assert [view.position for view in record.views] == [0]
        assert record.format == (2 if path.suffix == ".ansi" else 1)
        assert same(record_fmr.read(record_fmr.write(record)), record)
    assert len(paths) == 958


def test_both_formats_of_one_extraction_agree(shared: Path) -> None:
    """FingerJet wrote the same minutiae twice; angles differ by rounding to 2° and 360/256° alone."""
    folder = shared / "data" / "fingerprint" / "fvc2002"
    for iso in sorted((folder / "fingerjet").rglob("*.iso")):
        ansi = folder / "fingerjet-ansi" / iso.parent.name / f"{iso.stem}.ansi"
        one, other = (record_fmr.read(path.read_bytes()).views[0].minutiae for path in (iso, ansi))
        apart = np.abs(np.angle(np.exp(1j * (one.angle - other.angle).astype(np.float64))))
        assert (one.xy == other.xy).all()
        assert np.degrees(apart).max() <= 2.5
