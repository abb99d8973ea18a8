"""Known answers before anything else: cryptography that cannot reproduce them does not serve (keys 11).

A wheel built against another OpenSSL may lack an algorithm, and a draft may move under a name. Neither
must be found out by a partner. The answers are packaged beside this module; `vectors/SOURCE.md` says
where each comes from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files

import cryptography
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.envelope import OpeningKey, SealingKey, open_sealed, pack, seal
from keys.errors import KeysError, OpenRefused, SelfTestFailed, SignatureRefused
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState
from keys.signatures import (
    MLDSA65_SIGNATURE_BYTES,
    REQUEST,
    LogKey,
    SigningKey,
    VerifyingKey,
    verify_ed25519,
    verify_mldsa44,
)

LEAST_VERSION = 50  # of cryptography: the first with HPKE over X-Wing, ML-DSA and ML-KEM

_Octets = Mapping[str, bytes]


def run(answers: bytes | None = None) -> list[str]:
    """Return what passed, one line each; raise SelfTestFailed at the first that does not.

    (1) the library is recent enough, (2) our suite opens the known ciphertext and refuses one flipped
    bit of it or of `info`, (3) the composite verifies with and without context and refuses either half
    flipped, (4) one known answer for each further primitive. `answers` replaces the packaged file.
    """
    packaged = files("keys") / "vectors" / "known-answers.json"
    known = json.loads(packaged.read_bytes() if answers is None else answers)
    passed = [_attempt(f"cryptography {cryptography.__version__}", _library)]  # (1)
    for name, (title, check) in _KNOWN_ANSWERS.items():  # (2) (3) (4)
        passed.append(_attempt(title, partial(_known_answer, check, known, name)))
    return passed


@cache
def run_once() -> tuple[str, ...]:
    """Do the same where this process has not yet: what passed holds for its code and its processor until it ends."""
    return tuple(run())


def rehearse(keyset: Keyset) -> list[str]:
    """Sign and verify, seal and open, once with each live message and log key (keys 11, item 7).

    Raises SelfTestFailed, and KeyNotUsable when a key that the gateway needs is not ACTIVE.
    """
    for kind in (KeyKind.KEM, KeyKind.SIGNING, KeyKind.LOG, KeyKind.DATA):
        keyset.primary(kind)
    return rehearse_present(keyset)


def rehearse_present(keyset: Keyset) -> list[str]:
    """Do the same with what there is: at a key compromise a gateway opens without a key, to promote its successor.

    Whoever serves demands what is missing. Raises SelfTestFailed.
    """
    done = []
    if _has(keyset, KeyKind.KEM) and _has(keyset, KeyKind.SIGNING):
        kem, signing = keyset.opening(keyset.kem().kid), keyset.signing()
        done.append(_attempt("our KEM and signing keys", lambda: _message_keys(kem, signing)))
    if _has(keyset, KeyKind.LOG):
        log = keyset.log()
        done.append(_attempt("our log key", lambda: _log_key(log)))
    if _has(keyset, KeyKind.DATA):
        data = keyset.data()
        done.append(
            _attempt("our data key", lambda: data.open(data.seal(REQUEST, b""), b"") == REQUEST)
        )
    return done


def _has(keyset: Keyset, kind: KeyKind) -> bool:
    return any(r.kind is kind and r.state is KeyState.ACTIVE for r in keyset.records)


def _message_keys(kem: OpeningKey, signing: SigningKey) -> bool:
    packed = pack(REQUEST)
    sealed = seal(packed, REQUEST, SealingKey(kem.public))
    signature = signing.sign(sealed, REQUEST)
    VerifyingKey(signing.public).verify(signature, sealed, REQUEST)
    return open_sealed(sealed, REQUEST, packed.commitment, kem) == REQUEST


def _log_key(log: LogKey) -> bool:
    ed25519, mldsa = log.sign_ed25519(REQUEST), log.sign_mldsa44(REQUEST)
    return verify_ed25519(log.ed25519_public, ed25519, REQUEST) and verify_mldsa44(
        log.mldsa44_public, mldsa, REQUEST
    )


def _attempt(name: str, check: Callable[[], bool]) -> str:
    try:
        right = check()
    except (KeysError, InvalidSignature, UnsupportedAlgorithm, ValueError, KeyError):
        right = False
    if not right:
        raise SelfTestFailed(
            f"{name}: not the expected answer; reinstall the locked cryptography wheel"
        )
    return name


def _library() -> bool:
    return int(cryptography.__version__.partition(".")[0]) >= LEAST_VERSION


def _known_answer(
    check: Callable[[_Octets], bool], known: Mapping[str, Mapping[str, str]], name: str
) -> bool:
    return check({member: bytes.fromhex(text) for member, text in known[name].items()})


def _suite(known: _Octets) -> bool:
    key, sealed, info = OpeningKey.from_seed(known["seed"]), known["sealed"], known["info"]
    return (
        key.public == known["public"]
        and key.decrypt(sealed, info) == known["plaintext"]
        and _refuses(OpenRefused, partial(key.decrypt, _flipped(sealed), info))
        and _refuses(OpenRefused, partial(key.decrypt, sealed, _flipped(info)))
    )


def _composite(known: _Octets) -> bool:
    message, context = known["message"], known["context"]
    key, signature = VerifyingKey(known["public"]), known["signature_with_context"]
    key.verify(known["signature"], message, b"")
    key.verify(signature, message, context)
    mldsa_flipped = _flipped(signature)
    ed25519_flipped = _flipped(signature, MLDSA65_SIGNATURE_BYTES)
    return (
        SigningKey.from_seed(known["seed"]).public == known["public"]
        and _refuses(SignatureRefused, partial(key.verify, mldsa_flipped, message, context))
        and _refuses(SignatureRefused, partial(key.verify, ed25519_flipped, message, context))
    )


def _mlkem768(known: _Octets) -> bool:
    key = MLKEM768PrivateKey.from_seed_bytes(known["seed"])
    return (
        key.public_key().public_bytes_raw() == known["public"]
        and key.decapsulate(known["ciphertext"]) == known["shared_secret"]
    )


def _mldsa65(known: _Octets) -> bool:
    key = MLDSA65PrivateKey.from_seed_bytes(known["seed"])
    MLDSA65PublicKey.from_public_bytes(known["public"]).verify(known["signature"], known["message"])
    return key.public_key().public_bytes_raw() == known["public"]


def _mldsa44(known: _Octets) -> bool:
    key = MLDSA44PrivateKey.from_seed_bytes(known["seed"])
    return key.public_key().public_bytes_raw() == known["public"] and verify_mldsa44(
        known["public"], known["signature"], known["message"]
    )


def _ed25519(known: _Octets) -> bool:
    key = Ed25519PrivateKey.from_private_bytes(known["seed"])
    return (
        key.public_key().public_bytes_raw() == known["public"]
        and key.sign(known["message"]) == known["signature"]
        and verify_ed25519(known["public"], known["signature"], known["message"])
    )


def _hkdf(known: _Octets) -> bool:
    okm = known["okm"]
    hkdf = HKDF(hashes.SHA256(), len(okm), salt=known["salt"], info=known["info"])
    return hkdf.derive(known["ikm"]) == okm


def _argon2id(known: _Octets) -> bool:
    argon2 = (
        Argon2id(  # costs of RFC 9106 section 5.3: 32 KiB, so that a start does not wait for it
            salt=known["salt"],
            length=32,
            iterations=3,
            lanes=4,
            memory_cost=32,
            ad=known["associated"],
            secret=known["secret"],
        )
    )
    return argon2.derive(known["password"]) == known["tag"]


def _flipped(octets: bytes, at: int = 0) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


def _refuses(refusal: type[KeysError], act: Callable[[], object]) -> bool:
    try:
        act()
    except refusal:
        return True
    return False


_KNOWN_ANSWERS: Mapping[str, tuple[str, Callable[[_Octets], bool]]] = {
    "suite": ("HPKE X-Wing, HKDF-SHA256, AES-256-GCM", _suite),
    "composite": ("composite ML-DSA-65 + Ed25519", _composite),
    "mlkem768": ("ML-KEM-768", _mlkem768),
    "mldsa65": ("ML-DSA-65", _mldsa65),
    "mldsa44": ("ML-DSA-44", _mldsa44),
    "ed25519": ("Ed25519", _ed25519),
    "hkdf": ("HKDF-SHA256", _hkdf),
    "argon2id": ("Argon2id", _argon2id),
}
