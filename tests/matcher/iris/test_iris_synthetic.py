"""Irises that do not exist: seeded, one by one, with the statistics that were counted on the public set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from matcher.iris import synthetic
from matcher.iris.code_table import CodeTable, turn
from matcher.iris.coders import MASEK, OPEN_IRIS, Coder
from matcher.iris.template import IrisCode, check, from_cells, to_cells

EYES = 24


def public(shared: Path) -> list[IrisCode]:
    arrays = np.load(shared / "data" / "iris" / "casia1.npz")
    shape = MASEK.rows, MASEK.columns, MASEK.cell_bits
    return [
        from_cells(MASEK, *(np.unpackbits(each, axis=1).reshape(shape) for each in pair))
        for pair in zip(arrays["code"][:112], arrays["mask"][:112], strict=True)
    ]


def invented() -> list[IrisCode]:
    return [
        synthetic.capture(synthetic.person(seed), 1, number)
        for seed in range(EYES)
        for number in range(4)
    ]


def likeness(codes: list[IrisCode], *, columns: int = 0, rows: int = 0) -> float:
    """Return how often, less how seldom, the real bits of two cells so far apart are equal."""
    total = compared = 0.0
    for iris in codes:
        code, mask = (each[..., 0].astype(np.int64) for each in to_cells(iris))
        sign = 2 * code - 1
        other, usable = (np.roll(each, columns, axis=1) for each in (sign, mask))
        kept = mask.shape[0] - rows
        both = mask[:kept] * usable[rows:]
        total += float((sign[:kept] * other[rows:] * both).sum())
        compared += float(both.sum())
    return total / compared


def closeness(codes: list[IrisCode]) -> np.ndarray:
    table = CodeTable(MASEK)
    for number, iris in enumerate(codes):
        table.put(iris, number, 1)
    return np.stack([table.compare(turn(iris), table.rows()).closeness for iris in codes])


@pytest.mark.parametrize("coder", [MASEK, OPEN_IRIS], ids=lambda each: each.name)
def test_a_capture_follows_from_its_seeds_and_is_a_code(coder: Coder) -> None:
    person = synthetic.person(3)
    first, again = (synthetic.capture(person, 2, 1, coder) for _ in range(2))
    other = synthetic.capture(person, 2, 2, coder)

    assert first.code.tolist() == again.code.tolist()
    assert first.code.tolist() != other.code.tolist()
    check(first)
    with pytest.raises(ValueError, match="right"):
        synthetic.capture(person, 0, 1, coder)


def test_bits_and_masks_are_alike_as_on_the_public_set(shared: Path) -> None:
    real, ours = public(shared), invented()
    for columns in (1, 2, 4, 8):
        assert likeness(ours, columns=columns) == pytest.approx(
            likeness(real, columns=columns), abs=0.06
        )
    for rows in (1, 2, 3):
        assert likeness(ours, rows=rows) == pytest.approx(likeness(real, rows=rows), abs=0.06)
    shares = [np.mean([each.usable for each in codes]) / MASEK.bits for codes in (real, ours)]
    assert shares[0] == pytest.approx(shares[1], abs=0.06)


def test_mates_and_others_are_as_far_apart_as_on_the_public_set(shared: Path) -> None:
    real, ours = public(shared)[:84], invented()[:48]
    told = []
    for codes, captures in ((real, 7), (ours, 4)):
        found, eye = closeness(codes), np.arange(len(codes)) // captures
        same = eye[:, None] == eye
        apart = ~np.eye(len(codes), dtype=bool)
        mates, others = found[same & apart], found[~same]
        told.append((mates.mean(), mates.std(), others.mean(), others.std()))
    (mean, spread, far, wide), mine = told
    assert mine[0] == pytest.approx(mean, abs=0.04)
    assert mine[1] == pytest.approx(spread, abs=0.03)
    assert mine[2] == pytest.approx(far, abs=0.01)
    assert mine[3] == pytest.approx(wide, abs=0.005)


def test_clear_captures_are_more_alike_than_counted_ones() -> None:
    def mean(build: synthetic.Build) -> float:
        people = [synthetic.person(seed, build) for seed in range(8)]
        codes = [synthetic.capture(who, 1, number) for who in people for number in (0, 1)]
        return float(closeness(codes)[np.arange(0, 16, 2), np.arange(1, 16, 2)].mean())

    assert mean(synthetic.CLEAR) > mean(synthetic.AS_COUNTED) + 0.05
