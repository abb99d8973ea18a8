"""Invented faces are the same on any day, people stay apart, and a crowd streams."""

from __future__ import annotations

import numpy as np

from matcher.face import record, synthetic
from matcher.face.gallery_block import basis_of


def test_the_same_numbers_give_the_same_face() -> None:
    assert synthetic.record(7, 2) == synthetic.record(7, 2)
    assert synthetic.record(7, 2) != synthetic.record(7, 3)
    assert record.read(synthetic.record(7, 2)).model == synthetic.MODEL


def test_a_crowd_is_the_same_whatever_is_taken_of_it_and_has_the_stated_energy() -> None:
    one = np.concatenate(list(synthetic.crowd(3, 3000)))
    first = next(iter(synthetic.crowd(3, 5000)))

    assert (one[: len(first)] == first).all()
    assert np.abs(np.linalg.norm(one, axis=1) - 1).max() < 1e-6
    energy = np.linalg.eigvalsh(one.T @ one / len(one))[::-1]
    assert energy[:50].sum() > 0.9999
    assert 0.05 < energy[0] < 0.12
    found = basis_of(one)
    assert found is not None
    assert found.directions.shape[1] < 50
    hard = np.concatenate(list(synthetic.crowd(3, 1500, synthetic.FULL_RANK)))
    assert basis_of(hard) is None
