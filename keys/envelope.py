"""The envelope's arithmetic, suite 1: pad, commit, seal, open (protocol 2).

sealed = HPKE base mode (X-Wing, HKDF-SHA256, AES-256-GCM), one shot, to the recipient's key, with
`info` = PAE of the whole header: whoever changes one bit of the header changes the key, and nothing
opens. The salted commitment in the signed header binds the sender to the plaintext and supplies the
key commitment that AES-GCM lacks. The header's bytes are taken as received; nothing here parses them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from keys.errors import MalformedKey, OpenRefused, PayloadTooLarge
from keys.pae import key_id, pae
from keys.secret import handle

SUITE_1 = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

# Bytes of `padded`; HPKE does not hide length, these do. The last is for queries alone, which may carry images.
SIZE_CLASSES = (4096, 65536, 262144, 2097152)
LARGEST_BUT_QUERY = SIZE_CLASSES[-2]  # bytes; no answer, and no other request, is larger
SMALLEST_REQUEST_QUERY = 65536  # bytes; a query is never smaller, whatever fingers it carries
LENGTH_BYTES = 4  # u32be before the payload
SALT_BYTES = (
    32  # of the commitment; without it a guessed payload could be confirmed from the header
)
OVERHEAD = 1120 + 16  # bytes that HPKE adds: X-Wing encapsulation and AES-GCM tag
SEALED_SIZES = tuple(
    OVERHEAD + SALT_BYTES + size for size in SIZE_CLASSES
)  # bytes that a sealed payload can have
MLKEM768_PUBLIC_BYTES = 1184  # FIPS 203 table 3
PUBLIC_BYTES = MLKEM768_PUBLIC_BYTES + 32
SEED_BYTES = 32  # an X-Wing private key is its seed

HPKE_LABEL = b"passerelle/1/hpke"
COMMIT_LABEL = b"passerelle/1/commit"
TRANSCRIPT_LABEL = b"passerelle/1/env"

# A private X25519 value for detecting points of low order, whose product with any private value is zero;
# what it is does not matter, so it is public.
_LOW_ORDER_TEST = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"low order test").digest())


def expand(seed: bytes) -> MLKEM768X25519PrivateKey:
    """Return the library's key for a 32-byte X-Wing seed.

    SHAKE-256 stretches the seed to 96 bytes: ML-KEM's `d‖z` (64), then the X25519 private value
    (draft-connolly-cfrg-xwing-kem section 5.2). Raises ValueError on length.
    """
    mlkem, x25519 = _halves(seed)
    return MLKEM768X25519PrivateKey(mlkem, x25519)


def _halves(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(seed) != SEED_BYTES:
        raise ValueError("an X-Wing seed has 32 bytes")
    stretched = hashlib.shake_256(seed).digest(96)
    return (
        MLKEM768PrivateKey.from_seed_bytes(stretched[:64]),
        X25519PrivateKey.from_private_bytes(stretched[64:]),
    )


@handle
class OpeningKey:
    """An X-Wing private key; it opens what was sealed to its public half."""

    __slots__ = ("_private", "key_id", "public")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public: bytes = (
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        )
        self.key_id: bytes = key_id(self.public)

    @classmethod
    def generate(cls) -> OpeningKey:
        """Make a new key from the system's randomness; a reply key lives as long as this object."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> OpeningKey:
        """Make the key of a 32-byte X-Wing seed. Raises ValueError on length."""
        return cls(*_halves(seed))

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """Open `enc ‖ ct ‖ tag` of suite 1 under `info`. Raises OpenRefused, whatever was wrong."""
        try:
            return SUITE_1.decrypt(sealed, self._private, info)
        except InvalidTag:
            raise OpenRefused from None


@handle
class OpeningRing:
    """The X-Wing private keys of somebody who had several, one after the other; the newest is tried first."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[OpeningKey]) -> None:
        self._keys = tuple(keys)

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """Open what was sealed to any of them. Raises OpenRefused, whatever was wrong."""
        for key in self._keys:
            with suppress(OpenRefused):
                return key.decrypt(sealed, info)
        raise OpenRefused


class SealingKey:
    """An X-Wing public key: 1,216 bytes, ML-KEM-768 then X25519."""

    __slots__ = ("_public", "key_id", "public")

    def __init__(self, public: bytes) -> None:
        """Read a public key.

        Raises MalformedKey for a wrong length, coefficients that are not reduced, or an X25519 point
        of low order: a partner's reply key is checked here, not when the answer is being sealed.
        """
        if len(public) != PUBLIC_BYTES:
            raise MalformedKey(f"a sealing key has {PUBLIC_BYTES} bytes")
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(public[:MLKEM768_PUBLIC_BYTES])
            x25519 = X25519PublicKey.from_public_bytes(public[MLKEM768_PUBLIC_BYTES:])
            _LOW_ORDER_TEST.exchange(x25519)
        except ValueError:
            raise MalformedKey("these bytes are no sealing key of suite 1") from None
        self._public = MLKEM768X25519PublicKey(mlkem, x25519)
        self.public = public
        self.key_id = key_id(public)

    def __repr__(self) -> str:
        return f"SealingKey({self.key_id.hex()[:16]})"

    def encrypt(self, plaintext: bytes, info: bytes) -> bytes:
        """Seal with suite 1 under `info`; the result is 1,136 bytes longer than `plaintext`."""
        return SUITE_1.encrypt(plaintext, self._public, info)


@handle
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Packed:
    """A payload made ready for sealing: 32-byte salt, padded bytes of a size class, 32-byte commitment.

    Salt and padded are as secret as the payload; the commitment goes into the header.
    """

    salt: bytes
    padded: bytes
    commitment: bytes


def size_class(length: int, at_least: int = 0, *, at_most: int = LARGEST_BUT_QUERY) -> int:
    """Return the smallest size class, in bytes, that holds a payload of `length` bytes and has `at_least` bytes.

    at_most   bytes; the largest class allowed, which only a query may have above `LARGEST_BUT_QUERY`

    Raises PayloadTooLarge above that class.
    """
    needed = max(LENGTH_BYTES + length, at_least)
    size = next((size for size in SIZE_CLASSES if needed <= size <= at_most), None)
    if size is None:
        raise PayloadTooLarge(f"a payload has at most {at_most - LENGTH_BYTES} bytes")
    return size


def pack(
    payload: bytes,
    at_least: int = 0,
    salt: bytes | None = None,
    *,
    at_most: int = LARGEST_BUT_QUERY,
) -> Packed:
    """Pad `payload` to the smallest size class that holds it and `at_least` bytes, and commit to it.

    at_most   as of `size_class`

    padded = u32be(length) ‖ payload ‖ zeros. The salt is fresh unless given; give one only to rebuild a
    stored answer. Raises PayloadTooLarge above that class, ValueError for a salt not of 32 bytes.
    """
    size = size_class(len(payload), at_least, at_most=at_most)
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    if len(salt) != SALT_BYTES:
        raise ValueError("a commitment salt has 32 bytes")
    padded = (len(payload).to_bytes(LENGTH_BYTES, "big") + payload).ljust(size, b"\0")
    return Packed(salt, padded, _commitment(salt, padded))


def seal(packed: Packed, header: bytes, recipient: SealingKey) -> bytes:
    """Seal a packed payload to `recipient`; only the very same header bytes will open it again."""
    return recipient.encrypt(packed.salt + packed.padded, pae(HPKE_LABEL, header))


def open_sealed(sealed: bytes, header: bytes, commitment: bytes, key: OpeningKey) -> bytes:
    """Return the payload, or raise OpenRefused: one error for every fault, in this order.

    (1) the length is that of a size class, (2) HPKE opens under this header, (3) salt and padded bytes
    are those that the sender committed to, (4) the length fits and all padding is zero.
    """
    if len(sealed) not in SEALED_SIZES:  # (1)
        raise OpenRefused
    plaintext = key.decrypt(sealed, pae(HPKE_LABEL, header))  # (2)
    salt, padded = plaintext[:SALT_BYTES], plaintext[SALT_BYTES:]
    if not hmac.compare_digest(_commitment(salt, padded), commitment):  # (3)
        raise OpenRefused
    end = LENGTH_BYTES + int.from_bytes(padded[:LENGTH_BYTES], "big")  # (4)
    if end > len(padded) or padded.count(0, end) != len(padded) - end:
        raise OpenRefused
    return padded[LENGTH_BYTES:end]


def transcript(header: bytes, sealed: bytes) -> bytes:
    """Return T, the bytes that the composite signs: header and sealed as received (protocol 2)."""
    return pae(TRANSCRIPT_LABEL, header, sealed)


def transcript_hash(header: bytes, sealed: bytes) -> bytes:
    """Return SHA-256 of T, by which the ledger knows a message."""
    return hashlib.sha256(transcript(header, sealed)).digest()


def _commitment(salt: bytes, padded: bytes) -> bytes:
    return hashlib.sha256(pae(COMMIT_LABEL, salt, padded)).digest()
