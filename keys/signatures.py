"""Signatures: the composite that signs messages, the pairs that sign checkpoints and roles of the directory.

Messages carry id-MLDSA65-Ed25519-SHA512 of draft-ietf-lamps-pq-composite-sigs: two signatures over one
representative, both demanded, so that a break of lattices or of curves alone forges nothing. Neither
half is ever used alone or elsewhere (lamps-wg issues 208 and 278); checkpoints therefore have a pair of
their own, whose two lines a verifier of C2SP notes checks separately, and so has each role of the directory.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.errors import MalformedKey, SignatureRefused
from keys.pae import key_id
from keys.secret import handle

PREFIX = b"CompositeAlgorithmSignatures2025"  # the draft's domain separator for all composites
LABEL = b"COMPSIG-MLDSA65-Ed25519-SHA512"  # this composite; also ML-DSA's own context string
CONTEXT_MAX = 255  # bytes; its length is written in one byte

SEED_BYTES = (
    64  # two raw seeds of 32, ML-DSA first in the composite (the draft's order of everything)
)
MLDSA_SEED_BYTES = 32  # FIPS 204 algorithm 6
MLDSA65_PUBLIC_BYTES = 1952  # FIPS 204 table 2
MLDSA65_SIGNATURE_BYTES = 3309  # FIPS 204 table 2
ED25519_PUBLIC_BYTES = 32  # RFC 8032
PUBLIC_BYTES = MLDSA65_PUBLIC_BYTES + ED25519_PUBLIC_BYTES
SIGNATURE_BYTES = MLDSA65_SIGNATURE_BYTES + 64

REQUEST = b"passerelle/1/request"  # context of a request's signature
RESPONSE = b"passerelle/1/response"  # context of an answer's; so neither passes for the other
AGREEMENT = b"passerelle/1/agreement"  # context of an agreement file's, by its home party
WITNESS_LABEL = b"passerelle/1/witness"  # what a witness's key is drawn out of its log's pair under
PROPOSAL = b"passerelle/1/admin-proposal"  # context of an officer's signature below a proposal
APPROVAL = b"passerelle/1/admin-approval"  # and of another's below the answer to it
OFFICER_REQUEST = (
    b"passerelle/1/officer-request"  # of an officer's below the request for a certificate
)


def representative(message: bytes, context: bytes) -> bytes:
    """Return M', what both halves sign: prefix, label, u8 length and context, SHA-512 of the message.

    The pre-hash also spares Ed25519 its second reading of a large message. Raises ValueError when the
    context is longer than 255 bytes.
    """
    if len(context) > CONTEXT_MAX:
        raise ValueError("a signature context has at most 255 bytes")
    digest = hashlib.sha512(message).digest()
    return PREFIX + LABEL + len(context).to_bytes(1, "big") + context + digest


@handle
class SigningKey:
    """The private half of a party's message key; signing is hedged, so no two signatures are alike."""

    __slots__ = ("_ed25519", "_mldsa", "key_id", "public")

    def __init__(self, mldsa: MLDSA65PrivateKey, ed25519: Ed25519PrivateKey) -> None:
        self._mldsa = mldsa
        self._ed25519 = ed25519
        self.public: bytes = (
            mldsa.public_key().public_bytes_raw() + ed25519.public_key().public_bytes_raw()
        )
        self.key_id: bytes = key_id(self.public)

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """Make the key of a 64-byte seed: ML-DSA seed, then Ed25519 seed. Raises ValueError on length."""
        mldsa, ed25519 = _halves(seed)
        return cls(
            MLDSA65PrivateKey.from_seed_bytes(mldsa), Ed25519PrivateKey.from_private_bytes(ed25519)
        )

    def sign(self, message: bytes, context: bytes) -> bytes:
        """Return the 3,373-byte composite signature of `message` under `context`."""
        signed = representative(message, context)
        return self._mldsa.sign(signed, LABEL) + self._ed25519.sign(signed)


class VerifyingKey:
    """The public half of a party's message key: 1,984 bytes, ML-DSA-65 then Ed25519."""

    __slots__ = ("_ed25519", "_mldsa", "key_id", "public")

    def __init__(self, public: bytes) -> None:
        """Read a public key. Raises MalformedKey when the bytes are none."""
        if len(public) != PUBLIC_BYTES:
            raise MalformedKey(f"a message verification key has {PUBLIC_BYTES} bytes")
        try:
            self._mldsa = MLDSA65PublicKey.from_public_bytes(public[:MLDSA65_PUBLIC_BYTES])
            self._ed25519 = Ed25519PublicKey.from_public_bytes(public[MLDSA65_PUBLIC_BYTES:])
        except ValueError:  # pragma: no cover - OpenSSL 4.0.3 takes any bytes of the right length
            raise MalformedKey("these bytes are no message verification key") from None
        self.public = public
        self.key_id = key_id(public)

    def __repr__(self) -> str:
        return f"VerifyingKey({self.key_id.hex()[:16]})"

    def verify(self, signature: bytes, message: bytes, context: bytes) -> None:
        """Return when both halves verify; raise SignatureRefused otherwise.

        Length first, then Ed25519, because a forgery should cost us the cheaper of the two, then
        ML-DSA. The error does not say which of the three it was.
        """
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureRefused
        signed = representative(message, context)
        try:
            self._ed25519.verify(signature[MLDSA65_SIGNATURE_BYTES:], signed)
            self._mldsa.verify(signature[:MLDSA65_SIGNATURE_BYTES], signed, LABEL)
        except InvalidSignature:
            raise SignatureRefused from None


@handle
class LogKey:
    """The pair that signs checkpoints and nothing else: Ed25519 and ML-DSA-44 (C2SP note types 1, 6)."""

    __slots__ = ("_ed25519", "_mldsa", "ed25519_public", "key_id", "mldsa44_public", "public")

    def __init__(self, ed25519: Ed25519PrivateKey, mldsa: MLDSA44PrivateKey) -> None:
        self._ed25519 = ed25519
        self._mldsa = mldsa
        self.ed25519_public: bytes = ed25519.public_key().public_bytes_raw()
        self.mldsa44_public: bytes = mldsa.public_key().public_bytes_raw()
        self.public: bytes = self.ed25519_public + self.mldsa44_public
        self.key_id: bytes = key_id(self.public)

    @classmethod
    def generate(cls) -> LogKey:
        """Make a new pair from the system's randomness."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> LogKey:
        """Make the pair of a 64-byte seed: Ed25519 seed, then ML-DSA. Raises ValueError on length."""
        ed25519, mldsa = _halves(seed)
        return cls(
            Ed25519PrivateKey.from_private_bytes(ed25519), MLDSA44PrivateKey.from_seed_bytes(mldsa)
        )

    def witness(self) -> WitnessKey:
        """Return the key that the owner of this log cosigns with, drawn out of both halves (RFC 5869).

        The pair itself signs our own checkpoints alone. What is drawn out of it is kept, replaced and stopped with
        it, and says nothing of it.
        """
        secret = self._ed25519.private_bytes_raw() + self._mldsa.private_bytes_raw()
        drawn = HKDF(hashes.SHA256(), MLDSA_SEED_BYTES, salt=None, info=WITNESS_LABEL)
        return WitnessKey.from_seed(drawn.derive(secret))

    def sign_ed25519(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        return self._ed25519.sign(message)

    def sign_mldsa44(self, message: bytes) -> bytes:
        """Return the 2,420-byte ML-DSA-44 signature of `message`, empty context."""
        return self._mldsa.sign(message)


@handle
class WitnessKey:
    """The ML-DSA-44 key with which a party cosigns others' checkpoints, and nothing else (C2SP note type 6)."""

    __slots__ = ("_mldsa", "public")

    def __init__(self, mldsa: MLDSA44PrivateKey) -> None:
        self._mldsa = mldsa
        self.public: bytes = mldsa.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> WitnessKey:
        """Make a new key from the system's randomness."""
        return cls.from_seed(secrets.token_bytes(MLDSA_SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> WitnessKey:
        """Make the key of a 32-byte seed (FIPS 204 algorithm 6). Raises ValueError on length."""
        return cls(MLDSA44PrivateKey.from_seed_bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """Return the 2,420-byte signature of `message`, empty context."""
        return self._mldsa.sign(message)


@handle
class DirectoryKey:
    """The pair that signs one role of our directory, side by side: Ed25519 and ML-DSA-65.

    A role asks for both signatures, so that a break of lattices or of curves alone forges nothing. They are not bound
    to each other as in the composite: TUF counts them one by one. `public` is the Ed25519 key (32 bytes), then the
    ML-DSA-65 key (1,952).
    """

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
        """Make the pair of a 64-byte seed: Ed25519 seed, then ML-DSA. Raises ValueError on length."""
        ed25519, mldsa = _halves(seed)
        return cls(
            Ed25519PrivateKey.from_private_bytes(ed25519), MLDSA65PrivateKey.from_seed_bytes(mldsa)
        )

    def sign_ed25519(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `message`."""
        return self._ed25519.sign(message)

    def sign_mldsa65(self, message: bytes) -> bytes:
        """Return the 3,309-byte ML-DSA-65 signature of `message`, empty context."""
        return self._mldsa.sign(message)


def verify_ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an Ed25519 signature verifies; bytes that are no key or no signature do not."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_mldsa44(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an ML-DSA-44 signature verifies; bytes that are no key or no signature do not."""
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _halves(seed: bytes) -> tuple[bytes, bytes]:
    if len(seed) != SEED_BYTES:
        raise ValueError("a signing seed has 64 bytes: two of 32")
    return seed[:32], seed[32:]
