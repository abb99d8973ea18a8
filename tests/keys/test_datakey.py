from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.datakey import DataKey
from keys.errors import OpenRefused

KEY = DataKey.from_seed(bytes(range(32)))
BLOB = KEY.seal(b"record", b"row 7")


def test_what_is_sealed_opens_under_the_same_row() -> None:
    assert len(BLOB) == len(b"record") + 28
    assert DataKey.from_seed(bytes(range(32))).open(BLOB, b"row 7") == b"record"


@given(st.integers(0, 8 * len(BLOB) - 1))
def test_no_flipped_bit_opens(bit: int) -> None:
    altered = bytearray(BLOB)
    altered[bit // 8] ^= 1 << bit % 8

    with pytest.raises(OpenRefused):
        KEY.open(bytes(altered), b"row 7")


def test_a_record_moved_to_another_row_does_not_open() -> None:
    with pytest.raises(OpenRefused):
        KEY.open(BLOB, b"row 8")


def test_no_truncation_opens() -> None:
    for size in range(len(BLOB)):
        with pytest.raises(OpenRefused):
            KEY.open(BLOB[:size], b"row 7")


def test_another_key_does_not_open() -> None:
    other = DataKey.generate()

    assert other.key_id != KEY.key_id
    with pytest.raises(OpenRefused):
        other.open(BLOB, b"row 7")


def test_the_name_of_a_key_does_not_open_what_the_key_sealed() -> None:
    """`public` is stored in clear: it must not be the key, nor a seed of it."""
    with pytest.raises(OpenRefused):
        DataKey.from_seed(KEY.public).open(BLOB, b"row 7")
    with pytest.raises(OpenRefused):
        DataKey(KEY.public, KEY.public).open(BLOB, b"row 7")


def test_a_seed_of_another_length_makes_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        DataKey.from_seed(bytes(31))
