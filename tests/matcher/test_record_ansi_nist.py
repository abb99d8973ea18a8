"""Type-9 records of transactions: the INCITS 378 block read exactly, lies refused."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sample_files import ansi_nist
from gateway.sample_files.errors import MalformedFile
from matcher.errors import MalformedRecord
from matcher.finger import record_ansi_nist, synthetic
from matcher.finger.record_fmr import Frame, View
from matcher.finger.template import Minutiae
from tests import ansi_nist_writer
from tests.ansi_nist_writer import Header

HEADER = Header("SRE", "20260301", "CAN", "AUS", "T-17")
FS, GS, RS, US = "\x1c", "\x1d", "\x1e", "\x1f"


def text(kind: int, fields: dict[int, str]) -> bytes:
    """Return a logical record of fields, its length put right."""
    rest = "".join(f"{GS}{kind}.{number:03d}:{value}" for number, value in fields.items()) + FS
    head = f"{kind}.001:"
    length = len(head) + len(rest)
    length += len(str(length + len(str(length))))
    return f"{head}{length}{rest}".encode()


def block(**changed: str | None) -> dict[int, str]:
    """Return the fields of a Type-9 record with two minutiae; `f137="…"` changes one, None leaves it out."""
    fields = {
        2: "00", 3: "0", 4: "U", 126: US.join(["27", "513", "0"]), 127: US.join(["NONE", "0"]),
        128: "400", 129: "500", 130: "1", 131: "500", 132: "500", 133: "0", 134: "2",
        135: US.join(["80", "0", "0"]), 136: "2",
        137: RS.join([US.join(["1", "100", "14", "56", "1", "90"]), US.join(["2", "7", "8", "9", "2", "0"])]),
    }  # fmt: skip
    for name, value in changed.items():
        if value is None:
            del fields[int(name[1:])]
        else:
            fields[int(name[1:])] = value
    return fields


def file(*records: tuple[int, bytes]) -> bytes:
    """Return a transaction file of records and their types."""
    listed = [f"1{US}{len(records)}"] + [
        f"{kind}{US}{n:02d}" for n, (kind, _) in enumerate(records)
    ]
    first = {2: "0500", 3: RS.join(listed), 4: "SRE"}
    return text(1, first) + b"".join(record for _, record in records)


def read(data: bytes) -> tuple[View, ...]:
    """Return the views of the Type-9 records of a file, as a gateway has them."""
    records = (each for each in ansi_nist.read(data) if each.kind == 9)
    return tuple(record_ansi_nist.view(each.fields, each.start) for each in records)


def small(**changed: str | None) -> bytes:
    return file((9, text(9, block(**changed))))


def test_pixels_units_and_origin_are_those_of_incits() -> None:
    (view,) = read(small())

    minutiae = view.minutiae
    assert minutiae.xy.tolist() == [[100, 14], [7, 8]]
    assert math.degrees(minutiae.angle[0]) == pytest.approx(112.0, abs=1e-4)
    assert (minutiae.kind.tolist(), minutiae.quality.tolist()) == ([1, 2], [90, 0])
    assert (view.position, view.quality, minutiae.width, minutiae.height) == (2, 80, 400, 500)


@pytest.mark.parametrize(
    ("unit", "scale", "by"), [("1", "500", 1), ("1", "1000", 0.5), ("2", "197", 1), ("2", "394", 0.5)]
)  # fmt: skip
def test_the_unit_of_the_scale_is_heeded(unit: str, scale: str, by: float) -> None:
    (view,) = read(small(f130=unit, f131=scale, f132=scale))

    assert view.minutiae.xy == pytest.approx(np.array([[100, 14], [7, 8]]) * by)


@st.composite
def views(draw: st.DrawFn) -> View:
    ppi = draw(st.sampled_from([250, 300, 500, 1000]))
    frame = Frame(draw(st.integers(1, 900)), draw(st.integers(1, 900)), *[ppi * 197 / 500] * 2)
    places = st.tuples(
        st.integers(0, frame.width - 1),
        st.integers(0, frame.height - 1),
        st.integers(0, 179),
        st.integers(0, 2),
        st.integers(0, 100),
    )
    table = np.array(draw(st.lists(places, max_size=12)), dtype=np.int64).reshape(-1, 5)
    made = Minutiae(
        table[:, :2] * frame.scale,
        (table[:, 2] * (2 * np.pi / 180)).astype(np.float32),
        table[:, 3],
        table[:, 4],
        *(np.array([frame.width, frame.height]) * frame.scale),
    )
    return View(draw(st.integers(0, 10)), draw(st.integers(0, 29)), draw(st.integers(0, 100)), made, frame)  # fmt: skip


@given(st.lists(views(), min_size=1, max_size=3))
def test_what_is_written_is_read_again(given_views: list[View]) -> None:
    data = ansi_nist_writer.write(given_views, HEADER)
    again = read(data)

    for one, other in zip(again, given_views, strict=True):
        assert (one.position, one.impression, one.quality) == (
            other.position, other.impression, other.quality,
        )  # fmt: skip
        assert np.allclose(one.minutiae.xy, other.minutiae.xy, atol=1e-2)
        assert np.allclose(one.minutiae.angle, other.minutiae.angle, atol=1e-5)
        assert (one.minutiae.kind == other.minutiae.kind).all()
        assert (one.minutiae.quality == other.minutiae.quality).all()


@pytest.mark.parametrize(
    "changed",
    [
        {f"f{number}": None} for number in (3, 126, 128, 129, 130, 131, 132, 134, 135, 136, 137)
    ]
    + [
        {"f126": US.join(["49", "513", "0"])}, {"f126": US.join(["27", "9", "0"])}, {"f126": "27"},
        {"f128": "0"}, {"f128": "100"}, {"f128": "9999999999"}, {"f129": "14"}, {"f130": "0"},
        {"f130": "3"}, {"f131": "0"}, {"f131": "99999"}, {"f131": "-5"}, {"f131": "5e2"},
        {"f134": "11"}, {"f134": ""}, {"f135": "101"}, {"f136": "3"}, {"f136": "1"}, {"f3": "256"},
        {"f137": ""}, {"f137": US.join(["1", "1", "1", "1", "1"])},
        {"f136": "1", "f137": US.join(["2", "1", "1", "1", "1", "1"])},
        {"f136": "1", "f137": US.join(["1", "1", "1", "180", "1", "1"])},
        {"f136": "1", "f137": US.join(["1", "1", "1", "1", "3", "1"])},
        {"f136": "1", "f137": US.join(["1", "1", "1", "1", "1", "101"])},
        {"f136": "1", "f137": US.join(["1", "١", "1", "1", "1", "1"])},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_standard_has_no_meaning_for_is_refused(changed: dict[str, str | None]) -> None:
    with pytest.raises((MalformedFile, MalformedRecord)):
        read(small(**changed))


def test_more_minutiae_than_a_view_holds_are_refused() -> None:
    rows = RS.join(US.join([str(n), "1", "1", "1", "1", "1"]) for n in range(1, 257))

    with pytest.raises((MalformedFile, MalformedRecord)):
        read(small(f136="256", f137=rows))


def test_every_truncation_is_refused() -> None:
    data = small()

    for size in range(len(data)):
        with pytest.raises((MalformedFile, MalformedRecord)):
            read(data[:size])


def test_every_byte_flip_is_malformed_or_another_valid_file() -> None:
    data = small()

    refused = 0
    for place in range(len(data)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            changed = bytearray(data)
            changed[place] ^= flip
            try:
                (view,) = read(bytes(changed))
            except (MalformedFile, MalformedRecord):
                refused += 1
            else:
                assert len(view.minutiae) == 2
    assert refused > len(data) * 9 / 4


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 40))
def test_any_bytes_in_the_middle_are_malformed_or_read(junk: bytes, place: int, gone: int) -> None:
    data = small()

    with suppress(MalformedFile, MalformedRecord):
        read(data[:place] + junk + data[place + gone :])


def test_a_writer_refuses_what_the_format_cannot_hold() -> None:
    view = View(2, 0, 80, synthetic.impression(synthetic.person(1), 2, 1))

    for bad in ((), (view,) * 11, (View(11, 0, 0, view.minutiae),)):
        with pytest.raises(ValueError):
            ansi_nist_writer.write(bad, HEADER)
    with pytest.raises(ValueError, match="ASCII"):
        ansi_nist_writer.write([view], Header("SRE", "2026", "C\x1dN", "AUS", "T"))
