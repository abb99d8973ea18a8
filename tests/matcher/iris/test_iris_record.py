"""The record of an iris code: what is written is read, and whatever is not said in so many bytes is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from matcher.errors import MalformedRecord
from matcher.iris import coders, record, synthetic
from matcher.iris.coders import MASEK, OPEN_IRIS, Coder
from matcher.iris.template import IrisCode, from_cells, mirrored, to_cells

CODERS = [MASEK, OPEN_IRIS]
GRID = record.HEAD.size + len("masek1")
PLANES = GRID + record.GRID.size


def iris(coder: Coder = MASEK, seed: int = 1) -> IrisCode:
    return synthetic.capture(synthetic.person(seed), 1, 0, coder)


def planes(code: float | np.ndarray, mask: float | np.ndarray) -> bytes:
    """Return the record of a code and mask that are written whatever they say."""
    shape = MASEK.rows, MASEK.columns, MASEK.cell_bits
    whole = [np.broadcast_to(np.asarray(each, dtype=bool), shape) for each in (code, mask)]
    return record.write(1, from_cells(MASEK, *whole))


@pytest.mark.parametrize("coder", CODERS, ids=lambda each: each.name)
@pytest.mark.parametrize("eye", [1, 2])
def test_what_is_written_is_read(coder: Coder, eye: int) -> None:
    written = iris(coder)

    read = record.read(record.write(eye, written))

    assert (read.eye, read.iris.coder) == (eye, coder)
    assert read.iris.code.tolist() == written.code.tolist()
    assert read.iris.mask.tolist() == written.mask.tolist()
    assert record.write(eye, read.iris) == record.write(eye, written)


def test_real_and_imaginary_parts_are_masked_singly() -> None:
    code, mask = to_cells(iris(OPEN_IRIS))
    assert (mask[..., 0] != mask[..., 1]).any()

    read = record.read(record.write(1, from_cells(OPEN_IRIS, code, mask)))

    assert (to_cells(read.iris)[1] == mask).all()


def test_the_codes_of_the_public_set_are_read_back(shared: Path) -> None:
    arrays = np.load(shared / "data" / "iris" / "casia1.npz")
    for packed, usable in zip(arrays["code"][:40], arrays["mask"][:40], strict=True):
        cells = [
            np.unpackbits(each, axis=1).reshape(MASEK.rows, MASEK.columns, MASEK.cell_bits)
            for each in (packed, usable)
        ]
        data = record.write(2, from_cells(MASEK, *cells))
        assert data[PLANES:] == (packed & usable).tobytes() + usable.tobytes()
        assert (to_cells(record.read(data).iris)[1] == cells[1]).all()


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (lambda _: b"", "shorter than the header"),
        (lambda d: d[:16], "length is not"),
        (lambda d: d[:-1], "length is not"),
        (lambda d: d + b"\0", "length is not"),
        (lambda d: b"FMR\0" + d[4:], "not the record"),
        (lambda d: d[:4] + b"020\0" + d[8:], "version"),
        (lambda d: d[:12] + b"\0" + d[13:], "neither right nor left"),
        (lambda d: d[:12] + b"\3" + d[13:], "neither right nor left"),
        (lambda d: d[:13] + b"\0" + d[14:], "1 to 48"),
        (lambda d: d[:13] + b"\xff" + d[14:], "1 to 48"),
        (lambda d: d.replace(b"masek", b"m sek"), "1 to 48"),
        (lambda d: d.replace(b"masek1", b"masek2"), "not known"),
        (lambda d: d[:GRID] + struct.pack(">HHBB", 20, 65535, 1, 2) + d[PLANES:], "grid is not"),
        (lambda d: d[:GRID] + struct.pack(">HHBB", 0, 0, 0, 0) + d[PLANES:], "grid is not"),
        (lambda _: bytes(1 << 20), "longer than"),
    ],
)
def test_a_record_that_lies_is_refused(attack: object, reason: str) -> None:
    assert callable(attack)
    with pytest.raises(MalformedRecord, match=reason):
        record.read(attack(record.write(1, iris())))


@pytest.mark.parametrize("cut", range(0, 2427, 61))
def test_a_record_that_is_cut_short_with_a_length_that_fits_is_refused(cut: int) -> None:
    data = record.write(1, iris())[:cut]
    if len(data) >= 12:
        data = data[:8] + struct.pack(">I", len(data)) + data[12:]

    with pytest.raises(MalformedRecord):
        record.read(data)


def test_a_mask_that_leaves_all_but_nothing_is_refused() -> None:
    code, mask = to_cells(iris())
    mask[5:] = 0
    with pytest.raises(MalformedRecord, match="too little"):
        record.read(planes(code, mask))
    with pytest.raises(MalformedRecord, match="too little"):
        record.read(planes(code, 0))


def test_a_code_of_one_value_is_refused() -> None:
    """All ones would be alike with all ones, whoever's they are; so would one part of all cells."""
    code, mask = to_cells(iris())
    one_part = code.copy()
    one_part[..., 1] = 1
    for said in (np.ones_like(code), np.zeros_like(code), one_part):
        with pytest.raises(MalformedRecord, match="one value"):
            record.read(planes(said, mask))


def test_nothing_hides_under_a_mask() -> None:
    data = bytearray(record.write(1, iris()))
    size = (len(data) - PLANES) // 2
    hidden = next(at for at in range(PLANES, PLANES + size) if data[at + size] != 0xFF)
    data[hidden] |= ~data[hidden + size] & 0xFF

    with pytest.raises(MalformedRecord, match="under the mask"):
        record.read(bytes(data))


def test_an_eye_that_is_neither_is_not_written() -> None:
    with pytest.raises(ValueError, match="right"):
        record.write(0, iris())


def test_a_refusal_says_nothing_of_what_the_record_holds() -> None:
    data = record.write(1, iris()).replace(b"masek1", b"secret")

    with pytest.raises(MalformedRecord) as refused:
        record.read(data)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("coder", CODERS, ids=lambda each: each.name)
def test_a_mirrored_picture_gives_the_mirrored_code(coder: Coder) -> None:
    """The filters' response to a reversed texture, bit by bit, against what `mirrored` makes of the code."""
    person = synthetic.person(4)
    seen = synthetic.capture(person, 1, 0, coder)
    reversed_ = synthetic.capture(person, 1, 0, coder, mirror=True)

    found = mirrored(seen)

    assert found.code.tolist() == reversed_.code.tolist()
    assert found.mask.tolist() == reversed_.mask.tolist()
    assert mirrored(found).code.tolist() == seen.code.tolist()


@pytest.mark.parametrize("coder", CODERS, ids=lambda each: each.name)
def test_a_coder_says_how_its_codes_are_compared(coder: Coder) -> None:
    assert coders.any_coder(coder.name, coder.version) is coder
    assert coders.any_coder(coder.name, "0") is None
    assert len(coder.rotations) == 31
    assert coder.bits == coder.rows * coder.columns * coder.cell_bits


def test_a_distance_is_read_as_its_coder_does() -> None:
    """Daugman's root of the compared bits for one, open-iris' linear form for the other."""
    assert coders.closeness(MASEK, 2000, 7066) == pytest.approx(0.5 - 2000 / 7066)
    halved = 0.5 - coders.closeness(MASEK, 500, 7066 // 4)
    assert halved == pytest.approx(0.5 - (0.5 - 500 / 1766) * (1766 / 7066) ** 0.5)
    open_iris = 0.5 - coders.closeness(OPEN_IRIS, 3000, 10_000)
    assert open_iris == pytest.approx(0.45 - (0.45 - 0.3) * (0.00005 * 10_000 + 0.5))
    assert coders.closeness(OPEN_IRIS, 0, 100) == -np.inf
