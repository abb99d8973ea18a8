from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.data_encryption import TAG_BYTES, DataKey, DataRing, tag_of
from keys.errors import KeyNotUsable, OpenRefused

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


@dataclass
class HeldKeys:
    """A keyset's data keys, the primary first."""

    keys: list[DataKey]

    def data(self) -> DataKey:
        if not self.keys:
            raise KeyNotUsable("none is ACTIVE")
        return self.keys[0]

    def data_keys(self) -> list[DataKey]:
        return self.keys


def test_a_ring_seals_with_its_primary_and_opens_what_earlier_keys_sealed() -> None:
    held = HeldKeys([KEY])
    ring = DataRing(held)
    old = ring.seal(b"record", b"row 7")
    held.keys.insert(0, DataKey.generate())
    new = ring.seal(b"record", b"row 7")

    assert [ring.open(each, b"row 7") for each in (old, new, BLOB)] == [b"record"] * 3
    assert old[:TAG_BYTES] == tag_of(KEY.key_id)
    assert new[:TAG_BYTES] == tag_of(held.keys[0].key_id)
    with pytest.raises(OpenRefused):
        KEY.open(new[TAG_BYTES:], b"row 7")


def test_what_a_key_sealed_does_not_open_once_it_is_gone() -> None:
    held = HeldKeys([DataKey.generate(), KEY])
    ring = DataRing(held)
    tagged = tag_of(KEY.key_id) + BLOB
    assert ring.open(tagged, b"row 7") == b"record"

    held.keys.pop()

    for blob in (BLOB, tagged, b"", BLOB[:TAG_BYTES]):
        with pytest.raises(OpenRefused):
            ring.open(blob, b"row 7")


def test_a_record_under_another_keys_tag_is_refused() -> None:
    other = DataKey.generate()
    ring = DataRing(HeldKeys([other, KEY]))

    with pytest.raises(OpenRefused):
        ring.open(tag_of(other.key_id) + BLOB, b"row 7")
    with pytest.raises(OpenRefused):
        ring.open(BLOB, b"row 8")


def test_a_ring_without_an_active_key_seals_nothing() -> None:
    ring = DataRing(HeldKeys([]))

    with pytest.raises(KeyNotUsable):
        ring.seal(b"record", b"row 7")
