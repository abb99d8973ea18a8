"""Pre-authentication encoding: parts glued so that no two lists of parts give the same bytes."""

from __future__ import annotations

import hashlib

KID_LABEL = b"passerelle/1/kid"
SUITE = 1  # X-Wing HPKE with AES-256-GCM, composite ML-DSA-65 + Ed25519 (protocol 2)


def pae(*parts: bytes) -> bytes:
    """Return u32be(number of parts), then u64be(length) and bytes of each part (protocol 2).

    Injective: a boundary cannot move without changing a length, so what is hashed or signed has one
    reading. Plain concatenation does not have this property, which is why it is never used here.
    """
    glued = [len(parts).to_bytes(4, "big")]
    for part in parts:
        glued += (len(part).to_bytes(8, "big"), part)
    return b"".join(glued)  # at once: a sealed payload is copied once


def key_id(public: bytes, suite: int = SUITE) -> bytes:
    """Return the 32-byte name of a public key: SHA-256 over label, suite and the key's bytes."""
    return hashlib.sha256(pae(KID_LABEL, suite.to_bytes(4, "big"), public)).digest()
