"""A record of a face vector is read strictly: what breaks a rule is refused, and what is read is one unit vector."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matcher.errors import MalformedRecord
from matcher.face import record
from matcher.face.template import FaceVector, VectorRefused

rng = np.random.default_rng(5)
VECTOR = rng.standard_normal(40)
FACE = FaceVector("model-1", VECTOR / np.linalg.norm(VECTOR))
RECORD = record.write(FACE)
NUMBERS = record.HEAD.size + len("model-1") + record.SHAPE.size


def with_numbers(change: Callable[[np.ndarray], object]) -> bytes:
    numbers = np.frombuffer(RECORD[NUMBERS:], dtype=">f4").copy()
    change(numbers)
    return RECORD[:NUMBERS] + numbers.tobytes()


def test_a_record_comes_back_as_it_was_and_is_written_the_same_again() -> None:
    again = record.read(RECORD)

    assert again.model == "model-1"
    assert (again.vector == FACE.vector).all()
    assert again.vector.dtype == np.float32
    assert not again.vector.flags.writeable
    assert record.write(again) == RECORD


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than the header"),
        (RECORD[:12], "shorter than the header"),
        (RECORD[:-1], "stated length"),
        (RECORD + b"\0", "stated length"),
        (b"FMR\0" + RECORD[4:], "not the record"),
        (RECORD[:4] + b"020\0" + RECORD[8:], "version"),
        (RECORD[:12] + b"\0" + RECORD[13:], "name"),
        (RECORD[:13] + b"model 1" + RECORD[20:], "name"),
        (RECORD[:13] + b"model\xff1" + RECORD[20:], "name"),
        (RECORD[: NUMBERS - 3] + struct.pack(">HB", 39, 1) + RECORD[NUMBERS:], "as many"),
        (RECORD[: NUMBERS - 3] + struct.pack(">HB", 41, 1) + RECORD[NUMBERS:], "as many"),
        (RECORD[: NUMBERS - 3] + struct.pack(">HB", 0, 1) + RECORD[NUMBERS:], "dimension"),
        (RECORD[: NUMBERS - 3] + struct.pack(">HB", 65535, 1) + RECORD[NUMBERS:], "dimension"),
        (RECORD[: NUMBERS - 3] + struct.pack(">HB", 40, 2) + RECORD[NUMBERS:], "element type"),
        (with_numbers(lambda n: n.fill(0)), "zero"),
        (with_numbers(lambda n: n.__setitem__(7, np.nan)), "not finite"),
        (with_numbers(lambda n: n.__setitem__(7, np.inf)), "not finite"),
        (with_numbers(lambda n: n.__imul__(1.01)), "unit length"),
        (with_numbers(lambda n: n.__imul__(3e38)), "not finite|unit length"),
        (RECORD + bytes(1 << 20), "longer than any"),
    ],
)
def test_what_breaks_the_layout_is_refused_and_says_how(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecord, match=reason):
        record.read(data)


def test_each_truncation_and_each_flipped_byte_is_a_record_or_malformed() -> None:
    for place in range(len(RECORD)):
        for data in (
            RECORD[:place],
            RECORD[:place] + bytes([RECORD[place] ^ 0xFF]) + RECORD[place + 1 :],
        ):
            try:
                found = record.read(data)
            except MalformedRecord:
                continue
            assert abs(float(np.linalg.norm(found.vector)) - 1) < 1e-6


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_be_malformed(data: bytes) -> None:
    with suppress(MalformedRecord):
        record.read(data)


def test_a_length_that_half_precision_cost_is_made_one_and_read_again_as_it_is() -> None:
    half = (VECTOR / np.linalg.norm(VECTOR)).astype(np.float16).astype(np.float32)
    once = FaceVector("model-1", half)

    assert abs(float(np.linalg.norm(once.vector.astype(np.float64))) - 1) < 1e-7
    assert (FaceVector("model-1", once.vector).vector == once.vector).all()


@pytest.mark.parametrize("size", [31, 4097])
def test_a_dimension_that_no_model_has_is_refused(size: int) -> None:
    with pytest.raises(VectorRefused):
        FaceVector("model-1", np.full(size, size**-0.5))


def test_a_destroyed_vector_holds_nothing() -> None:
    face = record.read(RECORD)
    face.destroy()

    assert not face.vector.any()
    assert "vector" not in repr(face)
