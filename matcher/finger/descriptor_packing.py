"""Descriptors in four bits a number: an eighth of their size, and no measurable loss of accuracy.

A number of a unit vector of d numbers is about normal with spread 1/√d; sixteen even steps keep it with an
error of an eighth of that spread, so that a likeness of two vectors errs by about 0.01 (Max, IRE Trans. Inf.
Theory 6(1), 1960). Two numbers share a byte. The first LEADING numbers are the first bytes: low halves, then
high halves, so that a search unpacks them with two masks and no shift.
"""

from __future__ import annotations

import numpy as np

from matcher.finger.template import Bytes, Floats

LEADING = 64  # numbers that the local stage looks at; the second look takes all
STEPS = 16
WIDTH = 0.3352  # spreads between two steps; the best for a normal number (Max 1960, table I)
MIDDLE = (STEPS - 1) / 2
LOW, HIGH = 0x0F, 0xF0


def step(size: int) -> float:
    """Return the distance between two steps for vectors of `size` numbers."""
    return WIDTH / float(np.sqrt(size))


def pack(vectors: Floats) -> Bytes:
    """Return unit rows (m, d) as bytes (m, d / 2); d is even and at least LEADING."""
    levels = np.rint(vectors / np.float32(step(vectors.shape[1])) + np.float32(MIDDLE))
    codes = np.clip(levels, 0, STEPS - 1).astype(np.uint8)
    packed = [low | high << 4 for low, high in _halves(codes)]
    return np.concatenate(packed, axis=1)


def unpack(packed: Bytes) -> Floats:
    """Return the vectors (…, d) float32 of bytes (…, d / 2)."""
    parts = []
    for some in (packed[..., : LEADING // 2], packed[..., LEADING // 2 :]):
        parts += [some & LOW, some >> 4]
    codes = np.concatenate(parts, axis=-1)
    vectors: Floats = (codes.astype(np.float32) - np.float32(MIDDLE)) * np.float32(
        step(codes.shape[-1])
    )
    return vectors


def leading(packed: Bytes, out: Bytes) -> Bytes:
    """Return the leading numbers of bytes (…, d / 2, r) in `out` (…, LEADING, r), as `multiplier` wants them."""
    half = LEADING // 2
    np.bitwise_and(packed[..., :half, :], LOW, out=out[..., :half, :])
    np.bitwise_and(packed[..., :half, :], HIGH, out=out[..., half:, :])
    return out


def multiplier(vectors: Floats) -> tuple[Floats, Floats]:
    """Return (m, LEADING) and (m, 1): likeness to a row = its leading numbers times the one plus the other."""
    head = vectors[:, :LEADING] * np.float32(step(vectors.shape[1]))
    offset: Floats = head.sum(axis=1, keepdims=True) * np.float32(-MIDDLE)
    head[:, LEADING // 2 :] /= STEPS
    return head, offset


def _halves(codes: Bytes) -> list[tuple[Bytes, Bytes]]:
    parts = (codes[:, :LEADING], codes[:, LEADING:])
    return [(each[:, : each.shape[1] // 2], each[:, each.shape[1] // 2 :]) for each in parts]
