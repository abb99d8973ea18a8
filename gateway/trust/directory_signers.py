"""Our keys as TUF wants them: a public key with its id, what signs with the private half, and which of our pairs sign.

securesystemslib counts signatures against thresholds; the private halves stay in their handles. ML-DSA signs
what TUF's TAP 21 says: `tuf`, a version byte, and the SHA-512 of the metadata.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from securesystemslib.signer import Key as TufKey
from securesystemslib.signer import SecretsHandler, Signature, Signer, SSlibKey

from gateway.errors import InternalError, UserError
from keys.key_record import KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState
from keys.signatures import ED25519_PUBLIC_BYTES, DirectoryKey
from keys.tuf_root_key import Algorithm, RootHolderKey

_MLDSA = b"tuf\x01"  # TAP 21: domain separator and version of the ml-dsa key type
WAYS = {
    KeyKind.DELEGATION: "have two root key holders sign new targets: passerelle directory renew",
    KeyKind.SNAPSHOT: "have three root key holders sign a new root: passerelle directory root",
    KeyKind.TIMESTAMP: "have three root key holders sign a new root: passerelle directory root",
}


class HandleSigner(Signer):
    """Signs by a handle, which never leaves this process."""

    def __init__(self, public: SSlibKey, sign: Callable[[bytes], bytes]) -> None:
        self._public = public
        self._sign = sign

    @property
    def public_key(self) -> SSlibKey:
        """The public half."""
        return self._public

    def sign(self, payload: bytes) -> Signature:
        """Return the signature of metadata in its canonical form."""
        return Signature(self._public.keyid, self._sign(payload).hex())

    @classmethod
    def from_priv_key_uri(
        cls,
        priv_key_uri: str,
        public_key: TufKey,
        secrets_handler: SecretsHandler | None = None,
    ) -> NoReturn:
        """Refuse: our keys are opened by their custody, never by a URI of another library."""
        del priv_key_uri, public_key, secrets_handler
        raise InternalError("a key of ours has no URI for another library to open")


def pair_signers(key: DirectoryKey) -> tuple[HandleSigner, HandleSigner]:
    """Return what signs a role that asks for both halves of a pair."""
    ed25519, mldsa = pair_publics(key.public)
    return (
        HandleSigner(ed25519, key.sign_ed25519),
        HandleSigner(mldsa, lambda payload: key.sign_mldsa65(_mldsa_payload(payload))),
    )


def pair_publics(public: bytes) -> tuple[SSlibKey, SSlibKey]:
    """Return the two public keys of a pair."""
    return (
        public_key(Algorithm.ED25519, public[:ED25519_PUBLIC_BYTES]),
        public_key(Algorithm.ML_DSA_65, public[ED25519_PUBLIC_BYTES:]),
    )


def keeper_signer(key: RootHolderKey) -> Signer:
    """Return what signs for a root key holder."""
    public = public_key(key.algorithm, key.public)
    if key.algorithm is Algorithm.ED25519:
        return HandleSigner(public, key.sign)
    return HandleSigner(public, lambda payload: key.sign(_mldsa_payload(payload)))


def public_key(algorithm: Algorithm, raw: bytes) -> SSlibKey:
    """Return a public key as TUF names it. Raises ValueError where the bytes are none."""
    if algorithm is Algorithm.ED25519:
        return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))
    return SSlibKey.from_crypto(MLDSA65PublicKey.from_public_bytes(raw))


def identifiers(keys: Iterable[TufKey]) -> set[str]:
    """Return the ids of several keys."""
    return {key.keyid for key in keys}


def _mldsa_payload(payload: bytes) -> bytes:
    return _MLDSA + hashlib.sha512(payload).digest()


def ours(keyset: Keyset, kind: KeyKind, keyids: Collection[str]) -> KeyRecord:
    """Return our pair of these two public keys. Raises UserError where it is not ours."""
    for record in keyset.records:
        if record.kind is kind and identifiers(pair_publics(record.public)) == set(keyids):
            return record
    raise UserError(f"the directory asks for a {kind.value} pair that is not ours; {WAYS[kind]}")


def following(keyset: Keyset, kind: KeyKind) -> KeyRecord:
    """Return the pair that root key holders name next: the one that waits for it, else the one in use."""
    coming = [r for r in keyset.records if (r.kind, r.state) == (kind, KeyState.PREACTIVE)]
    return max(coming, key=lambda r: (r.created, r.kid), default=None) or keyset.primary(kind)


def signers(keyset: Keyset, kind: KeyKind, kid: bytes) -> tuple[HandleSigner, ...]:
    """Return what signs a role: the pair `kid` that the directory names, and the newest other that is in use.

    Where one succeeds the other, both sign: whoever began to read under the last root or the next ends under
    it. Raises UserError where the named pair may not sign.
    """
    state = keyset.record(kid).state
    if state is not KeyState.ACTIVE:
        raise UserError(
            f"the directory asks for a {kind.value} pair that is {state.value}; {WAYS[kind]}"
        )
    active = [r for r in keyset.records if (r.kind, r.state) == (kind, KeyState.ACTIVE)]
    others = sorted((r.created, r.kid) for r in active if r.kid != kid)
    kids = (kid, *(other for _, other in others[-1:]))
    return tuple(one for each in kids for one in pair_signers(keyset.directory(kind, each)))
