"""The data key: AES-256-GCM over records at rest."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.errors import OpenRefused
from keys.handle import handle
from keys.pae import key_id

SEED_BYTES = 32
NONCE_BYTES = (
    12  # random; SP 800-38D allows 2³² messages under one key, a year of records is far fewer
)
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


def _derived(seed: bytes, label: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=label).derive(seed)
