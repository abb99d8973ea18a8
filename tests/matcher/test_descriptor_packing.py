"""Four bits a number keep what a likeness needs, and nothing else is assumed about a finger."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.finger import descriptors
from matcher.finger.descriptors import LEADING, leading, multiplier, pack, unpack


def unit(rows: int, size: int = 80, seed: int = 1) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_number_takes_half_a_byte_and_comes_back_to_half_a_step() -> None:
    vectors = unit(200)

    packed = pack(vectors)
    back = unpack(packed)

    assert packed.dtype == np.uint8
    assert packed.shape == (200, 40)
    inside = np.abs(vectors) < descriptors.MIDDLE_LEVEL * descriptors.level_step(80)
    assert np.abs(back - vectors)[inside].max() <= descriptors.level_step(80) / 2 + 1e-6
    assert pack(back).tolist() == packed.tolist()


def test_the_likeness_of_two_vectors_survives_packing() -> None:
    one, other = unit(300, seed=1), unit(300, seed=2)

    error = (one * unpack(pack(other))).sum(axis=1) - (one * other).sum(axis=1)

    assert error.std() < 0.02
    assert np.abs(error).max() < 0.08


def test_one_product_gives_the_likeness_by_the_leading_numbers() -> None:
    probe, rows = unit(20, seed=3), pack(unit(50, seed=4))

    unpacked = leading(rows.T, np.empty((LEADING, 50), dtype=np.uint8)).astype(np.float32)
    weight, offset = multiplier(probe)

    straight = probe[:, :LEADING] @ unpack(rows)[:, :LEADING].T
    assert weight @ unpacked + offset == pytest.approx(straight, abs=1e-5)


def test_numbers_beyond_the_steps_are_held_at_the_last() -> None:
    far = np.zeros((1, 80), dtype=np.float32)
    far[0, :2] = 1.0, -1.0

    assert np.abs(unpack(pack(far))).max() == pytest.approx(
        descriptors.MIDDLE_LEVEL * descriptors.level_step(80)
    )
