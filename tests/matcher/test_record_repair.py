"""Records as other makers leave them: three slips are repaired and told, nothing of another finger is taken in."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import MalformedRecord
from matcher.finger import record_fmr, record_repair, synthetic
from matcher.finger.record_fmr import Format, View
from matcher.finger.record_repair import mend
from matcher.finger.template import Minutiae

FINGERS = {at: synthetic.impression(synthetic.person(7), at, 1) for at in (2, 7)}
LENGTHS = {
    Format.ISO_19794_2_2005: (8, ">I"),
    Format.INCITS_378_2004: (8, ">H"),
    Format.ISO_19794_2_2011: (8, ">I"),
    Format.INCITS_378_2009: (8, ">I"),
}
FIRST = (Format.ISO_19794_2_2005, Format.INCITS_378_2004)


def record(form: Format, *positions: int, impression: int = 0) -> bytes:
    views = [View(at, impression, 80, FINGERS[at]) for at in positions or (2,)]
    return record_fmr.write(record_fmr.at_197(form, views))


def stating(form: Format, data: bytes, length: int) -> bytes:
    at, layout = LENGTHS[form]
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, length)
    return bytes(changed)


def long(data: bytes) -> bytes:
    """Return an INCITS 378-2004 record with the long spelling of its length."""
    return data[:8] + struct.pack(">HI", 0, len(data) + 4) + data[10:]


@pytest.mark.parametrize("form", Format)
def test_a_whole_record_is_left_as_it_is(form: Format) -> None:
    assert mend(record(form)) == record_repair.Mended(record(form), ())


def test_a_record_too_long_for_its_length_field_is_refused() -> None:
    """INCITS 378-2004 has two bytes for it; what ends past 65,535 cannot be put right."""
    data = record(Format.INCITS_378_2004)
    views = (1 << 16) // (len(data) - 26) + 1
    many = bytearray(data[:26] + data[26:] * min(views, 255))
    many[22] = min(views, 255)

    with pytest.raises(MalformedRecord):
        mend(stating(Format.INCITS_378_2004, bytes(many), 65_535))


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("zeros", [1, 2, 166, 4000])
def test_zero_bytes_behind_a_record_are_cut_off_and_told(form: Format, zeros: int) -> None:
    """A sensor's buffer, written whole: SecuGen's has 400 bytes."""
    data = record(form)

    for padded in (data + bytes(zeros), stating(form, data + bytes(zeros), len(data) + zeros)):
        mended = mend(padded)
        assert mended.record == data
        assert f"{zeros} zero bytes" in mended.repairs[0]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("slip", [-1, 1])
def test_a_length_that_is_one_off_is_put_right_and_told(form: Format, slip: int) -> None:
    data = record(form)

    mended = mend(stating(form, data, len(data) + slip))

    assert mended.record == data
    assert str(len(data)) in mended.repairs[0]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("slip", [-2, 2, 50])
def test_a_length_that_is_further_off_is_refused(form: Format, slip: int) -> None:
    data = record(form)

    with pytest.raises(MalformedRecord):
        mend(stating(form, data, len(data) + slip))


def test_the_long_length_of_incits_2004_is_repaired_as_the_short_one() -> None:
    data = long(record(Format.INCITS_378_2004))
    slipped = data[:10] + struct.pack(">I", len(data) - 1) + data[14:]

    assert mend(slipped + bytes(9)).record == data


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("behind", [b"\1", bytes(100) + b"\x80" + bytes(20), bytes(5) + b"\xff"])
def test_bytes_behind_a_record_that_are_not_zero_are_another_fingers(
    form: Format, behind: bytes
) -> None:
    """stale_tail: minutiae of the finger before, left in the buffer."""
    with pytest.raises(MalformedRecord, match="another finger's"):
        mend(record(form) + behind)


@pytest.mark.parametrize("form", Format)
def test_what_else_is_wrong_with_a_padded_record_is_the_reason(form: Format) -> None:
    """Zero bytes are repaired, so of them nothing is said; a minutia far outside is what is wrong."""
    data = bytearray(record(form))
    (placed,) = record_fmr.walk(bytes(data), form, record_fmr.detect_at(bytes(data))[1])
    struct.pack_into(">H", data, placed.minutiae, 0x4FFF)

    with pytest.raises(MalformedRecord, match="a minutia outside the image"):
        mend(bytes(data) + bytes(30))


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_minutia_on_the_edge_is_moved_in_by_one_and_told(form: Format, axis: int) -> None:
    """Where a width is the largest coordinate, and not one more."""
    data = bytearray(record(form))
    (placed,) = record_fmr.walk(bytes(data), form, record_fmr.detect_at(bytes(data))[1])
    at = placed.minutiae + 2 * axis
    side = (placed.frame.width, placed.frame.height)[axis]
    bits = data[at] & 0xC0
    struct.pack_into(">H", data, at, bits << 8 | side)

    mended = mend(bytes(data))

    assert record_fmr.read(mended.record).views[0].minutiae.xy[0, axis] == side - 1
    assert mended.repairs == ("minutiae on the edge of the image moved in by one pixel: 1",)
    kinds = FINGERS[2].kind
    assert (record_fmr.read(mended.record).views[0].minutiae.kind == kinds).all()
    struct.pack_into(">H", data, at, bits << 8 | side + 1)
    with pytest.raises(MalformedRecord, match="outside"):
        mend(bytes(data))


@pytest.mark.parametrize("form", Format)
def test_several_fingers_become_a_record_each(form: Format) -> None:
    """As PIV cards hold two (SP 800-76), and annex B.2 of INCITS 378 shows."""
    impression = 1 if form in FIRST else 29
    whole = record(form, 7, 2, impression=impression)

    parts = record_repair.split(whole)

    assert [position for position, _ in parts] == [7, 2]
    for position, part in parts:
        read = record_fmr.read(part)
        assert read.format is form
        (view,) = read.views
        assert (view.position, view.impression) == (position, impression)
        assert (view.minutiae.xy == FINGERS[position].xy).all()
        assert record_repair.split(part) == ((position, part),)


def test_extended_data_go_with_their_view() -> None:
    data = record(Format.ISO_19794_2_2005, 7, 2)
    first = 24 + 4 + 6 * len(FINGERS[7])
    extended = data[:first] + b"\0\6\0\1\0\6ab" + data[first + 2 :]
    whole = stating(Format.ISO_19794_2_2005, extended, len(extended))

    parts = dict(record_repair.split(whole))

    assert b"ab" in parts[7]
    assert b"ab" not in parts[2]


@pytest.mark.parametrize("positions", [(2, 2), (7, 0), (0, 0)])
def test_several_views_of_one_finger_or_of_none_are_not_split(positions: tuple[int, ...]) -> None:
    views = [View(at, 0, 80, FINGERS[2]) for at in positions]

    with pytest.raises(MalformedRecord, match="holds 2 views"):
        record_repair.split(record_fmr.write(record_fmr.at_197(Format.ISO_19794_2_2005, views)))


@given(st.sampled_from(Format), st.integers(0, 40), st.integers(-1, 1), st.data())
def test_what_is_mended_is_read_strictly_and_mended_again_stays(
    form: Format, zeros: int, slip: int, draw: st.DataObject
) -> None:
    count = draw.draw(st.integers(1, 20))
    rng = np.random.default_rng(draw.draw(st.integers(0, 2**32 - 1)))
    made = Minutiae(
        rng.integers(0, [300, 400], (count, 2)),
        rng.uniform(0, 6.2, count),
        rng.integers(0, 3, count),
        rng.integers(1, 100, count),
        300,
        400,
    )
    data = record_fmr.write(record_fmr.at_197(form, [View(2, 0, 0, made)]))

    mended = mend(stating(form, data, len(data) + slip) + bytes(zeros))

    assert mended.record == data
    assert mend(mended.record).repairs == ()


def _strict(data: bytes) -> object:
    return record_fmr.read(data)


@pytest.mark.parametrize("reader", [_strict, record_fmr.detect])
def test_the_reader_of_the_wire_repairs_nothing(reader: Callable[[bytes], object]) -> None:
    data = record(Format.ISO_19794_2_2005)

    for slipped in (data + b"\0", stating(Format.ISO_19794_2_2005, data, len(data) - 1)):
        with pytest.raises(MalformedRecord):
            reader(slipped)
