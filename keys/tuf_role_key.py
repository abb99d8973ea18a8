"""The pair that signs one role of our directory: Ed25519 and ML-DSA-65, side by side.

A role asks for both signatures, so that a break of lattices or of curves alone forges nothing. This is not
the composite of messages: there the halves are bound to each other, here TUF counts them one by one, and a
key that does one never does the other (lamps-wg issues 208 and 278).
"""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from keys.pae import key_id
from keys.secret import handle

SEED_BYTES = 64  # two raw seeds of 32: Ed25519, then ML-DSA-65
HALF_BYTES = 32
ED25519_PUBLIC_BYTES = 32


@handle
class DirectoryKey:
    """The private halves; `public` is the Ed25519 key (32 bytes), then the ML-DSA-65 key (1,952)."""

    __slots__ = ("_ed25519", "_mldsa", "ed25519_public", "key_id", "mldsa65_public", "public")

    def __init__(self, ed25519: Ed25519PrivateKey, mldsa: MLDSA65PrivateKey) -> None:
        self._ed25519 = ed25519
        self._mldsa = mldsa
        self.ed25519_public: bytes = ed25519.public_key().public_bytes_raw()
        self.mldsa65_public: bytes = mldsa.public_key().public_bytes_raw()
        self.public: bytes = self.ed25519_public + self.mldsa65_public
        self.key_id: bytes = key_id(self.public)

    @classmethod
    def generate(cls) -> DirectoryKey:
        """Make a new pair from the system's randomness."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> DirectoryKey:
        """Make the pair of a 64-byte seed. Raises ValueError on length."""
        if len(seed) != SEED_BYTES:
            raise ValueError("a directory seed has 64 bytes: two of 32")
        return cls(
            Ed25519PrivateKey.from_private_bytes(seed[:HALF_BYTES]),
            MLDSA65PrivateKey.from_seed_bytes(seed[HALF_BYTES:]),
        )

    def sign_ed25519(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        return self._ed25519.sign(message)

    def sign_mldsa65(self, message: bytes) -> bytes:
        """Return the 3,309-byte ML-DSA-65 signature of `message`, empty context."""
        return self._mldsa.sign(message)
