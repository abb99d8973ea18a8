"""Data keys: AES-256-GCM over records at rest, one key that seals and those before it that still open."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.errors import OpenRefused
from keys.pae import key_id
from keys.secret import handle

SEED_BYTES = 32
NONCE_BYTES = (
    12  # random; SP 800-38D allows 2³² messages under one key, a year of records is far fewer
)
TAG_BYTES = 8  # of the key's id, in front of what a ring seals; 2⁻⁶⁴ that a nonce looks like one
KEY_LABEL = b"passerelle/1/data key"
NAME_LABEL = b"passerelle/1/data name"


@handle
class DataKey:
    """A key for records at rest, made from a 32-byte seed.

    A symmetric key has no public half to be named by, and a key must not serve two purposes. HKDF
    therefore makes two independent values of the seed: the AES key, and a `public` name of 32 bytes
    from which nothing about the key follows and which gives the key id.
    """

    __slots__ = ("_aead", "key_id", "public")

    def __init__(self, key: bytes, name: bytes) -> None:
        self._aead = AESGCM(key)
        self.public = name
        self.key_id: bytes = key_id(name)

    @classmethod
    def generate(cls) -> DataKey:
        """Make a new key from the system's randomness; it is gone with this object."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> DataKey:
        """Make the key of a 32-byte seed. Raises ValueError on length."""
        if len(seed) != SEED_BYTES:
            raise ValueError("a data key's seed has 32 bytes")
        return cls(_derived(seed, KEY_LABEL), _derived(seed, NAME_LABEL))

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Return nonce (12) ‖ ciphertext ‖ tag (16), bound to `aad`: 28 bytes more than the plaintext."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plaintext, aad)

    def open(self, blob: bytes, aad: bytes) -> bytes:
        """Return the plaintext. Raises OpenRefused, whatever was wrong."""
        try:
            return self._aead.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):  # ValueError: a blob shorter than a nonce
            raise OpenRefused from None


class Holder(Protocol):
    """Who holds data keys; a keyset does, and `KeysetInForce`, which is never the same for long."""

    def data(self) -> DataKey:
        """Return the key that seals. Raises KeyNotUsable where none is ACTIVE."""
        ...

    def data_keys(self) -> Sequence[DataKey]:
        """Return every key that still opens, the one that seals first."""
        ...


@handle
class DataRing:
    """The data keys of a gateway that is open: the primary seals, each that is still kept opens.

    What it seals begins with the tag of its key, so that opening takes one try whichever key it was, and a
    key's records can be counted before it is destroyed. What a lone `DataKey` sealed has no tag and opens too.
    """

    __slots__ = ("_holder",)

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Return tag (8) ‖ what the primary makes of it. Raises KeyNotUsable where none is ACTIVE."""
        key = self._holder.data()
        return tag_of(key.key_id) + key.seal(plaintext, aad)

    def open(self, blob: bytes, aad: bytes) -> bytes:
        """Return the plaintext. Raises OpenRefused, whatever was wrong."""
        keys = self._holder.data_keys()
        tag, sealed = blob[:TAG_BYTES], blob[TAG_BYTES:]
        named = [(key, sealed) for key in keys if tag_of(key.key_id) == tag]
        for key, octets in (*named, *((key, blob) for key in keys)):
            with suppress(OpenRefused):
                return key.open(octets, aad)
        raise OpenRefused


def tag_of(kid: bytes) -> bytes:
    """Return what begins everything that a ring seals with the key of that id."""
    return kid[:TAG_BYTES]


def _derived(seed: bytes, label: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=label).derive(seed)
