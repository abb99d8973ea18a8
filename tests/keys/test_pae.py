from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from keys.pae import key_id, pae

parts = st.lists(st.binary(max_size=40), max_size=5)


def test_the_encoding_is_the_one_of_the_protocol() -> None:
    """protocol.md 2: u32be(n), then for each part u64be(length) and its bytes."""
    assert pae() == bytes(4)
    assert pae(b"") == bytes.fromhex("00000001") + bytes(8)
    assert pae(b"ab", b"c") == bytes.fromhex("00000002") + bytes(7) + b"\2ab" + bytes(7) + b"\1c"


@given(parts, parts)
def test_no_two_lists_of_parts_share_an_encoding(one: list[bytes], other: list[bytes]) -> None:
    assert (pae(*one) == pae(*other)) == (one == other)


def test_a_boundary_cannot_move_between_header_and_sealed() -> None:
    assert pae(b"header", b"sealed") != pae(b"headers", b"ealed")


def test_a_key_id_depends_on_the_suite_and_every_bit_of_the_key() -> None:
    public = bytes(32)

    assert key_id(public) == hashlib.sha256(pae(b"passerelle/1/kid", b"\0\0\0\1", public)).digest()
    assert len({key_id(public), key_id(public, suite=2), key_id(bytes(31) + b"\1")}) == 3
