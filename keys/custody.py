"""Custody: the key above the keys, named by a URI; it wraps seeds and never shows itself.

`file:PATH` keeps no key at all: PATH holds a salt and costs, and the passphrase makes the key by
Argon2id (RFC 9106). It guards against a stolen disk or backup; it cannot stop an administrator of the
host, who can read the memory of this process. `pkcs11:` names a key inside a token (`keys.custody_pkcs11`); it
stops whoever has disk and memory but not the token. Nothing else exists.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keys import atomic_file, custody_pkcs11
from keys.custody_pkcs11 import Pkcs11Custody
from keys.errors import CustodyFault, DamagedFile, WrongPassphrase
from keys.pae import pae
from keys.secret import handle

NONCE_BYTES = (
    12  # SP 800-38D: random 96-bit nonces serve 2³² messages; a KEK wraps a few hundred seeds
)
# NIST SP 800-63B-4 section 3.1.1.2: 15 characters where a password is the only factor, as here for whoever has a copy
# of the files; no rule of what it is made of.
SHORTEST_PASSPHRASE = 15  # characters
SALT_BYTES = 16  # RFC 9106 section 4
KEK_BYTES = 32  # AES-256
FORMAT = "passerelle kek 1"
CANARY = b"passerelle/1/kek canary"  # what the key must open, to be the right key
SCHEME_FILE = "file"

_NAMES = frozenset({"format", "kdf", "memory_kib", "iterations", "lanes", "salt", "canary"})
_KDF = "argon2id"
# What a file may ask of us. A hostile one could otherwise have us allocate until the machine stops.
_LARGEST_MEMORY = 1024 * 1024  # KiB = 1 GiB, sixteen times the standard
_MOST_ITERATIONS = 16
_MOST_LANES = 16


class Custody(Protocol):
    """The key-encryption key, wherever it is.

    wrap MUST be authenticated encryption under fresh randomness, bound to `aad`. unwrap MUST raise
    CustodyFault unless the same custody wrapped the same bytes under the same `aad`. Neither MUST ever
    return, log or store the key itself. describe MUST be fit for a log line.
    """

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Return `secret` encrypted and bound to `aad`."""
        ...

    def unwrap(self, blob: bytes, aad: bytes) -> bytes:
        """Return what was wrapped. Raises CustodyFault."""
        ...

    def describe(self) -> str:
        """Return where the key lives, without any secret."""
        ...


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """What one guess of the passphrase costs: memory in KiB, passes over it, parallel lanes."""

    memory_kib: int
    iterations: int
    lanes: int

    def __post_init__(self) -> None:
        """Raise ValueError outside what RFC 9106 section 3.1 allows and this machine can bear."""
        if not 1 <= self.lanes <= _MOST_LANES or not 1 <= self.iterations <= _MOST_ITERATIONS:
            raise ValueError("Argon2id lanes and iterations lie between 1 and 16")
        if not 8 * self.lanes <= self.memory_kib <= _LARGEST_MEMORY:
            raise ValueError("Argon2id memory lies between 8 KiB a lane and 1 GiB")


STANDARD = Argon2Cost(64 * 1024, 3, 4)  # RFC 9106 section 4, second recommended; 0.2-0.35 s


@handle
class FileCustody:
    """A key made from a passphrase and a file of salt, costs and canary (keys 6)."""

    __slots__ = ("_aead", "cost", "path")

    def __init__(self, path: Path, kek: bytes, cost: Argon2Cost) -> None:
        self._aead = AESGCM(kek)
        self.path = path
        self.cost = cost

    @classmethod
    def create(cls, path: Path, passphrase: bytes, cost: Argon2Cost | None = None) -> FileCustody:
        """Write a new file at `path` and return its custody; a guess costs STANDARD where no cost is named.

        Raises CustodyFault for a passphrase that is too short, and where a file already exists: overwriting it
        would lose every key that was ever wrapped under it.
        """
        require_length(passphrase, str(path))
        if path.exists():
            raise CustodyFault(f"{path} exists, and keys may depend on it; choose another folder")
        cost = STANDARD if cost is None else cost
        salt = secrets.token_bytes(SALT_BYTES)
        custody = cls(path, _derive(passphrase, salt, cost), cost)
        canary = custody.wrap(CANARY, _canary_aad(salt, cost))
        body = {
            "format": FORMAT,
            "kdf": _KDF,
            "memory_kib": cost.memory_kib,
            "iterations": cost.iterations,
            "lanes": cost.lanes,
            "salt": atomic_file.text_of(salt),
            "canary": atomic_file.text_of(canary),
        }
        atomic_file.replace(path, atomic_file.encode(body))
        return custody

    @classmethod
    def open(cls, path: Path, passphrase: bytes) -> FileCustody:
        """Return the custody of an existing file.

        Raises DamagedFile when the file is not as it was written, WrongPassphrase when it is and its
        canary does not open, CustodyFault when it is absent or readable by others.
        """
        fields = atomic_file.Fields(path, atomic_file.decode(path, atomic_file.read(path)), _NAMES)
        if fields.text("format") != FORMAT or fields.text("kdf") != _KDF:
            raise DamagedFile(path, "the file is not a key-encryption key of this version")
        try:
            cost = Argon2Cost(
                fields.number("memory_kib"), fields.number("iterations"), fields.number("lanes")
            )
        except ValueError:
            raise DamagedFile(path, "its costs are beyond what is ever written") from None
        salt = fields.octets("salt")
        if len(salt) != SALT_BYTES:
            raise fields.fault("salt")
        custody = cls(path, _derive(passphrase, salt, cost), cost)
        try:
            custody.unwrap(fields.octets("canary"), _canary_aad(salt, cost))
        except CustodyFault:
            raise WrongPassphrase(path) from None
        return custody

    def moved(self, path: Path) -> None:
        """Take note that the file has another name now."""
        self.path = path

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Return nonce (12) ‖ ciphertext ‖ tag (16) under AES-256-GCM."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret, aad)

    def unwrap(self, blob: bytes, aad: bytes) -> bytes:
        """Return what was wrapped under the same `aad`. Raises CustodyFault."""
        try:
            return self._aead.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):  # ValueError: a blob shorter than a nonce
            raise CustodyFault("not wrapped by this custody, or altered since") from None

    def describe(self) -> str:
        """Return the URI and the costs."""
        cost = self.cost
        return (
            f"{SCHEME_FILE}:{self.path} "
            f"(Argon2id, {cost.memory_kib} KiB, {cost.iterations} passes, {cost.lanes} lanes)"
        )


def require_length(passphrase: bytes, what: str) -> None:
    """Raise CustodyFault where a passphrase that is set now is shorter than `SHORTEST_PASSPHRASE`; what exists opens.

    what   which passphrase it is, for the message
    """
    # Each code point of UTF-8 counts as one character, a byte of another encoding too.
    if len(passphrase.decode("utf-8", "replace")) < SHORTEST_PASSPHRASE:
        raise CustodyFault(
            f"the passphrase of {what} is too short: a new one has at least {SHORTEST_PASSPHRASE} characters, for"
            " example five words; choose a longer one"
        )


def open_custody(uri: str, passphrase: Callable[[], bytes]) -> Custody:
    """Return the custody that `uri` names; the passphrase, or PIN, is asked for only when it is needed.

    `file:PATH`, relative to the working folder or absolute, or a token as `keys.custody_pkcs11` writes it. Raises
    CustodyFault for a scheme that does not exist, and what `FileCustody.open` and `Pkcs11Custody.open` raise.
    """
    scheme, _, path = uri.partition(":")
    if scheme == custody_pkcs11.SCHEME:
        return Pkcs11Custody.open(uri, passphrase)
    return FileCustody.open(_place(scheme, path), passphrase())


def create_custody(uri: str, passphrase: Callable[[], bytes]) -> Custody:
    """Make the key that `uri` names and return its custody; raises CustodyFault as `open_custody` does."""
    scheme, _, path = uri.partition(":")
    if scheme == custody_pkcs11.SCHEME:
        return Pkcs11Custody.create(uri, passphrase)
    return FileCustody.create(_place(scheme, path), passphrase())


def _place(scheme: str, path: str) -> Path:
    if scheme != SCHEME_FILE or not path:
        raise CustodyFault(f"no such custody; write file:PATH, or {custody_pkcs11.FORM}")
    return Path(path)


def _derive(passphrase: bytes, salt: bytes, cost: Argon2Cost) -> bytes:
    argon2 = Argon2id(
        salt=salt,
        length=KEK_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    return argon2.derive(passphrase)


def _canary_aad(salt: bytes, cost: Argon2Cost) -> bytes:
    costs = f"{cost.memory_kib} {cost.iterations} {cost.lanes}".encode("ascii")
    return pae(CANARY, salt, costs)
