from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.envelope import (
    HPKE_LABEL,
    OVERHEAD,
    PUBLIC_BYTES,
    SIZE_CLASSES,
    SMALLEST_REQUEST_QUERY,
    OpeningKey,
    Packed,
    SealingKey,
    expand,
    open_sealed,
    pack,
    seal,
    transcript,
    transcript_hash,
)
from keys.errors import MalformedKey, OpenRefused, PayloadTooLarge
from keys.pae import pae

KEY = OpeningKey.from_seed(bytes(range(32)))
PUBLIC = SealingKey(KEY.public)
HEADER = b"header bytes as received, " * 8
PACKED = pack(b"ten fingers")
SEALED = seal(PACKED, HEADER, PUBLIC)
ENC = 1120  # bytes of encapsulation before the ciphertext
LOW_ORDER = [  # points of order 1, 2, 4 and 8 on curve25519 (RFC 7748 section 6.1 asks for the check)
    bytes(32),
    b"\1" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


def flipped(octets: bytes, bit: int) -> bytes:
    at = bit // 8
    return octets[:at] + bytes([octets[at] ^ 1 << bit % 8]) + octets[at + 1 :]


def sealed_plaintext(plaintext: bytes, header: bytes = HEADER) -> bytes:
    """Seal what no honest sender packs."""
    return PUBLIC.encrypt(plaintext, pae(HPKE_LABEL, header))


def commitment(salt: bytes, padded: bytes) -> bytes:
    return hashlib.sha256(pae(b"passerelle/1/commit", salt, padded)).digest()


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_sealed_opens_under_the_same_header(payload: bytes, header: bytes) -> None:
    packed = pack(payload)

    assert open_sealed(seal(packed, header, PUBLIC), header, packed.commitment, KEY) == payload


def test_no_flipped_bit_of_the_header_opens() -> None:
    """Pitfalls 1 and 9 of keys.md 2.8."""
    for bit in range(8 * len(HEADER)):
        with pytest.raises(OpenRefused):
            open_sealed(SEALED, flipped(HEADER, bit), PACKED.commitment, KEY)


def test_no_flipped_byte_of_the_sealed_bytes_opens() -> None:
    """Every byte once, encapsulation, ciphertext and tag, each with another of its bits."""
    for at in range(len(SEALED)):
        with pytest.raises(OpenRefused):
            open_sealed(flipped(SEALED, 8 * at + at % 8), HEADER, PACKED.commitment, KEY)


@given(st.integers(0, 255))
def test_no_flipped_bit_of_the_commitment_opens(bit: int) -> None:
    with pytest.raises(OpenRefused):
        open_sealed(SEALED, HEADER, flipped(PACKED.commitment, bit), KEY)


@given(st.integers(0, len(SEALED) + 40))
def test_no_truncated_or_stretched_sealed_bytes_open(size: int) -> None:
    cut = SEALED[:size].ljust(size, b"\0")
    if cut != SEALED:
        with pytest.raises(OpenRefused):
            open_sealed(cut, HEADER, PACKED.commitment, KEY)


def test_another_recipient_cannot_open() -> None:
    with pytest.raises(OpenRefused):
        open_sealed(SEALED, HEADER, PACKED.commitment, OpeningKey.generate())


def test_an_all_zero_key_share_is_refused() -> None:
    """An X25519 share of zeros would make the secret known to all; ML-KEM's part stays as sent."""
    forged = SEALED[: ENC - 32] + bytes(32) + SEALED[ENC:]

    with pytest.raises(OpenRefused):
        open_sealed(forged, HEADER, PACKED.commitment, KEY)


@pytest.mark.parametrize(
    "padded",
    [
        (4093).to_bytes(4, "big").ljust(4096, b"\0"),  # a payload that ends beyond the padding
        b"\xff\xff\xff\xff".ljust(4096, b"\0"),
        b"\0\0\0\1xy".ljust(4096, b"\0"),  # something hidden in the padding
        b"\0\0\0\1x".ljust(4095, b"\0") + b"\1",
    ],
)
def test_false_padding_does_not_open(padded: bytes) -> None:
    salt = bytes(32)

    with pytest.raises(OpenRefused):
        open_sealed(sealed_plaintext(salt + padded), HEADER, commitment(salt, padded), KEY)


def test_a_length_between_the_classes_does_not_open() -> None:
    salt, padded = bytes(32), bytes(5000)

    with pytest.raises(OpenRefused):
        open_sealed(sealed_plaintext(salt + padded), HEADER, commitment(salt, padded), KEY)


def test_a_plaintext_other_than_the_committed_one_does_not_open() -> None:
    """The sender is bound to the plaintext: a second one under the same header is refused."""
    other = pack(b"other fingers", salt=PACKED.salt)

    with pytest.raises(OpenRefused):
        open_sealed(seal(other, HEADER, PUBLIC), HEADER, PACKED.commitment, KEY)


def test_every_refusal_reads_the_same_and_says_nothing_of_its_cause() -> None:
    attempts = [
        (b"", HEADER, PACKED.commitment),
        (flipped(SEALED, 9000), HEADER, PACKED.commitment),
        (SEALED, b"other", PACKED.commitment),
        (SEALED, HEADER, bytes(32)),
    ]
    refusals = []
    for sealed, header, committed in attempts:
        with pytest.raises(OpenRefused) as refused:
            open_sealed(sealed, header, committed, KEY)
        refusals.append(refused.value)

    assert len({str(refusal) for refusal in refusals}) == 1
    assert all(
        r.__cause__ is None and (r.__suppress_context__ or not r.__context__) for r in refusals
    )


@given(st.integers(0, 70000))
def test_length_tells_only_the_size_class(size: int) -> None:
    packed = pack(bytes(size))

    assert len(packed.padded) == next(c for c in SIZE_CLASSES if c >= size + 4)


def test_hit_and_no_hit_weigh_the_same() -> None:
    hit, miss = pack(b"x" * 3000, salt=bytes(32)), pack(b"", salt=bytes(32))

    assert len(seal(hit, HEADER, PUBLIC)) == len(seal(miss, HEADER, PUBLIC)) == 4096 + 32 + OVERHEAD


def test_a_query_is_never_in_the_smallest_class() -> None:
    assert len(pack(b"one finger", at_least=SMALLEST_REQUEST_QUERY).padded) == 65536


def test_what_fits_no_class_is_refused_before_sealing() -> None:
    assert len(pack(bytes(262140)).padded) == 262144
    for payload, least in ((bytes(262141), 0), (b"", 262145)):
        with pytest.raises(PayloadTooLarge, match="262140"):
            pack(payload, least)


def test_only_a_query_may_have_the_largest_class() -> None:
    """No answer grows into it, whatever it holds: whoever packs one would have to ask for it."""
    assert len(pack(bytes(262141), at_most=SIZE_CLASSES[-1]).padded) == 2097152
    assert len(pack(bytes(2097148), at_most=SIZE_CLASSES[-1]).padded) == 2097152
    with pytest.raises(PayloadTooLarge, match="2097148"):
        pack(bytes(2097149), at_most=SIZE_CLASSES[-1])


def test_a_salt_makes_equal_payloads_unlinkable() -> None:
    assert pack(b"same").commitment != pack(b"same").commitment
    assert pack(b"same", salt=bytes(32)).commitment == pack(b"same", salt=bytes(32)).commitment
    with pytest.raises(ValueError, match="32 bytes"):
        pack(b"same", salt=b"short")


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_reply_key_of_low_order_is_refused_before_the_answer_is_sealed(point: bytes) -> None:
    """The library would raise only when sealing, when the search is done and the probe is gone."""
    with pytest.raises(MalformedKey):
        SealingKey(KEY.public[:1184] + point)


@pytest.mark.parametrize(
    "public",
    [b"", bytes(1215), bytes(1217), b"\xff" * PUBLIC_BYTES, KEY.public[1184:] + KEY.public[:1184]],
)
def test_bytes_that_are_no_sealing_key_are_refused(public: bytes) -> None:
    """Coefficients above the modulus among them, and the two halves in the wrong order."""
    with pytest.raises(MalformedKey):
        SealingKey(public)


def test_the_public_half_names_the_key() -> None:
    assert (PUBLIC.key_id, len(KEY.public)) == (KEY.key_id, 1216)
    assert OpeningKey.generate().key_id != OpeningKey.generate().key_id


def test_a_seed_of_another_length_makes_no_key() -> None:
    for make in (OpeningKey.from_seed, expand):
        with pytest.raises(ValueError, match="32 bytes"):
            make(bytes(31))


def test_the_transcript_is_the_encoding_of_header_and_sealed() -> None:
    assert transcript(b"h", b"s") == pae(b"passerelle/1/env", b"h", b"s")
    assert transcript_hash(b"h", b"s") == hashlib.sha256(transcript(b"h", b"s")).digest()
    assert transcript(b"hs", b"") != transcript(b"h", b"s")


def test_a_packed_payload_shows_nothing() -> None:
    assert repr(pack(b"ten fingers")) == "<Packed>"
    assert isinstance(PACKED, Packed)
