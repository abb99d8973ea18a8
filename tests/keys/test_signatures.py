from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import MalformedKey, SignatureRefused
from keys.signatures import (
    PUBLIC_BYTES,
    REQUEST,
    RESPONSE,
    SIGNATURE_BYTES,
    LogKey,
    SigningKey,
    VerifyingKey,
    verify_ed25519,
    verify_mldsa44,
)

MESSAGE = b"the transcript"
KEY = SigningKey.from_seed(bytes(range(64)))
PUBLIC = VerifyingKey(KEY.public)
SIGNATURE = KEY.sign(MESSAGE, REQUEST)
LOG = LogKey.from_seed(bytes(range(64)))


def flipped(octets: bytes, bit: int) -> bytes:
    at = bit // 8
    return octets[:at] + bytes([octets[at] ^ 1 << bit % 8]) + octets[at + 1 :]


def test_what_is_signed_verifies_under_the_same_context() -> None:
    assert (len(KEY.public), len(SIGNATURE)) == (PUBLIC_BYTES, SIGNATURE_BYTES) == (1984, 3373)
    assert PUBLIC.key_id == KEY.key_id

    PUBLIC.verify(SIGNATURE, MESSAGE, REQUEST)


def test_a_request_signature_is_no_response_signature() -> None:
    for context in (RESPONSE, b"", REQUEST + b"/admin-proposal"):
        with pytest.raises(SignatureRefused):
            PUBLIC.verify(SIGNATURE, MESSAGE, context)


def test_no_flipped_byte_of_a_signature_verifies() -> None:
    """keys.md 2.8, pitfall 9: every byte, one of its bits; the rest below."""
    for at in range(SIGNATURE_BYTES):
        with pytest.raises(SignatureRefused):
            PUBLIC.verify(flipped(SIGNATURE, 8 * at + at % 8), MESSAGE, REQUEST)


@given(st.integers(0, 8 * SIGNATURE_BYTES - 1))
def test_no_flipped_bit_of_a_signature_verifies(bit: int) -> None:
    with pytest.raises(SignatureRefused):
        PUBLIC.verify(flipped(SIGNATURE, bit), MESSAGE, REQUEST)


@given(st.integers(0, 8 * len(MESSAGE) - 1))
def test_no_flipped_bit_of_a_message_verifies(bit: int) -> None:
    with pytest.raises(SignatureRefused):
        PUBLIC.verify(SIGNATURE, flipped(MESSAGE, bit), REQUEST)


@given(st.integers(0, 8 * PUBLIC_BYTES - 1))
def test_no_other_key_verifies(bit: int) -> None:
    with pytest.raises((SignatureRefused, MalformedKey)):
        VerifyingKey(flipped(KEY.public, bit)).verify(SIGNATURE, MESSAGE, REQUEST)


@pytest.mark.parametrize("half", ["ml-dsa", "ed25519"])
def test_one_good_half_is_no_signature(half: str) -> None:
    """Both must verify: a thief of one component forges nothing."""
    thief = SigningKey.from_seed(bytes(64)).sign(MESSAGE, REQUEST)
    mixed = (
        thief[:3309] + SIGNATURE[3309:] if half == "ed25519" else SIGNATURE[:3309] + thief[3309:]
    )

    with pytest.raises(SignatureRefused):
        PUBLIC.verify(mixed, MESSAGE, REQUEST)


@pytest.mark.parametrize(
    "signature", [b"", SIGNATURE[:-1], SIGNATURE + b"\0", SIGNATURE[3309:] + SIGNATURE[:3309]]
)
def test_a_signature_of_another_shape_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureRefused):
        PUBLIC.verify(signature, MESSAGE, REQUEST)


def test_every_refusal_reads_the_same() -> None:
    texts = set()
    for forged in (b"", flipped(SIGNATURE, 0), flipped(SIGNATURE, 8 * 3309)):
        with pytest.raises(SignatureRefused) as refused:
            PUBLIC.verify(forged, MESSAGE, REQUEST)
        texts.add(str(refused.value))

    assert len(texts) == 1


def test_signing_is_hedged_so_signatures_are_never_compared() -> None:
    assert KEY.sign(MESSAGE, REQUEST) != KEY.sign(MESSAGE, REQUEST)


def test_a_context_has_at_most_255_bytes() -> None:
    PUBLIC.verify(KEY.sign(MESSAGE, bytes(255)), MESSAGE, bytes(255))
    with pytest.raises(ValueError, match="255"):
        KEY.sign(MESSAGE, bytes(256))


@pytest.mark.parametrize("size", [0, 1983, 1985])
def test_a_public_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedKey):
        VerifyingKey(bytes(size))


def test_seeds_of_another_length_make_no_key() -> None:
    for make in (SigningKey.from_seed, LogKey.from_seed):
        with pytest.raises(ValueError, match="64 bytes"):
            make(bytes(63))


def test_generated_keys_differ() -> None:
    assert SigningKey.generate().key_id != SigningKey.generate().key_id
    assert LogKey.generate().key_id != LogKey.generate().key_id


def test_a_log_key_signs_both_lines_of_a_checkpoint() -> None:
    assert (len(LOG.ed25519_public), len(LOG.mldsa44_public)) == (32, 1312)
    ed25519, mldsa = LOG.sign_ed25519(MESSAGE), LOG.sign_mldsa44(MESSAGE)

    assert verify_ed25519(LOG.ed25519_public, ed25519, MESSAGE)
    assert verify_mldsa44(LOG.mldsa44_public, mldsa, MESSAGE)
    assert (len(ed25519), len(mldsa)) == (64, 2420)


@given(st.integers(0, 8 * 64 - 1))
def test_no_flipped_bit_of_a_checkpoint_signature_verifies(bit: int) -> None:
    assert not verify_ed25519(LOG.ed25519_public, flipped(LOG.sign_ed25519(MESSAGE), bit), MESSAGE)
    assert not verify_mldsa44(LOG.mldsa44_public, flipped(LOG.sign_mldsa44(MESSAGE), bit), MESSAGE)


def test_bytes_that_are_no_key_verify_nothing() -> None:
    assert not verify_ed25519(bytes(31), bytes(64), MESSAGE)
    assert not verify_mldsa44(bytes(31), bytes(2420), MESSAGE)
    assert not verify_mldsa44(LOG.mldsa44_public, b"", MESSAGE)
