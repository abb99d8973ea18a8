"""A root key holder of the directory: one person's key for its root, and for some also one for its targets.

A root key holder's folder is carried away like the auditor's: `kek.json` and `keeper.json`. The keys are of one
algorithm each, Ed25519 or ML-DSA-65; that no quorum is of Ed25519 alone is for whoever makes the roles
(keys.md section 3).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from keys import atomic_file
from keys.custody import Custody, FileCustody
from keys.errors import CustodyFault, DamagedFile
from keys.pae import key_id, pae
from keys.secret import handle

FILE = "keeper.json"
KEK = "kek.json"
FORMAT = "passerelle keeper 1"
SEED_BYTES = 32
SEED_LABEL = b"passerelle/1/keeper"

_NAMES = frozenset({"format", "party", "name", "root", "targets"})
_KEY = frozenset({"algorithm", "public", "wrapped"})


class Algorithm(Enum):
    """What a root key holder's key is."""

    ED25519 = "ed25519"
    ML_DSA_65 = "ml-dsa-65"


@handle
class RootHolderKey:
    """A private key of one algorithm; it signs metadata of the directory and nothing else."""

    __slots__ = ("_private", "algorithm", "key_id", "public")

    def __init__(self, algorithm: Algorithm, seed: bytes) -> None:
        """Make the key of a 32-byte seed. Raises ValueError on length."""
        if len(seed) != SEED_BYTES:
            raise ValueError("a root key holder's seed has 32 bytes")
        self._private: Ed25519PrivateKey | MLDSA65PrivateKey = (
            Ed25519PrivateKey.from_private_bytes(seed)
            if algorithm is Algorithm.ED25519
            else MLDSA65PrivateKey.from_seed_bytes(seed)
        )
        self.algorithm = algorithm
        self.public: bytes = self._private.public_key().public_bytes_raw()
        self.key_id: bytes = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`; for ML-DSA-65 under the empty context."""
        return self._private.sign(message)


@dataclass(frozen=True, slots=True, eq=False)
class RootKeyHolder:
    """A root key holder's keys, open. `targets` is None for one who keeps the root only."""

    party: str
    name: str
    root: RootHolderKey
    targets: RootHolderKey | None


def make(
    folder: Path,
    custody: Custody,
    *,
    party: str,
    name: str,
    root: Algorithm,
    targets: Algorithm | None,
) -> RootKeyHolder:
    """Draw a root key holder's keys and write them, wrapped by `custody`; its `kek.json` is the caller's to write."""
    seeds = {"root": (root, secrets.token_bytes(SEED_BYTES))}
    if targets is not None:
        seeds["targets"] = (targets, secrets.token_bytes(SEED_BYTES))
    return _write(folder, custody, party, name, seeds)


def load(folder: Path, passphrase: bytes) -> RootKeyHolder:
    """Open a root key holder's folder. Raises CustodyFault where it is absent, WrongPassphrase, DamagedFile."""
    party, name, seeds = _read(folder, FileCustody.open(folder / KEK, passphrase))
    keys = {role: RootHolderKey(*each) for role, each in seeds.items()}
    return RootKeyHolder(party, name, keys["root"], keys.get("targets"))


def rewrap(folder: Path, passphrase: bytes, to: Path, own: bytes) -> RootKeyHolder:
    """Write a root key holder's keys into the folder `to`, under a passphrase that is this person's alone."""
    party, name, seeds = _read(folder, FileCustody.open(folder / KEK, passphrase))
    return _write(to, FileCustody.create(to / KEK, own), party, name, seeds)


def _write(
    folder: Path,
    custody: Custody,
    party: str,
    name: str,
    seeds: dict[str, tuple[Algorithm, bytes]],
) -> RootKeyHolder:
    keys = {role: RootHolderKey(*each) for role, each in seeds.items()}
    members: dict[str, object] = {"root": None, "targets": None}
    for role, (algorithm, seed) in seeds.items():
        aad = _aad(party, name, role, algorithm, keys[role].public)
        members[role] = {
            "algorithm": algorithm.value,
            "public": atomic_file.text_of(keys[role].public),
            "wrapped": atomic_file.text_of(custody.wrap(seed, aad)),
        }
    body = {"format": FORMAT, "party": party, "name": name, **members}
    atomic_file.replace(folder / FILE, atomic_file.encode(body))
    return RootKeyHolder(party, name, keys["root"], keys.get("targets"))


def _read(folder: Path, custody: Custody) -> tuple[str, str, dict[str, tuple[Algorithm, bytes]]]:
    path = folder / FILE
    body = atomic_file.decode(path, atomic_file.read(path))
    fields = atomic_file.Fields(path, body, _NAMES)
    if fields.text("format") != FORMAT:
        raise fields.fault("format")
    party, name = fields.text("party"), fields.text("name")
    seeds = {
        role: _seed(path, body[role], party, name, role, custody)
        for role in ("root", "targets")
        if body[role] is not None
    }
    if "root" not in seeds:
        raise fields.fault("root")
    return party, name, seeds


def _seed(  # noqa: PLR0917 - what a wrapped seed is bound to
    path: Path, members: object, party: str, name: str, role: str, custody: Custody
) -> tuple[Algorithm, bytes]:
    fields = atomic_file.Fields(path, members, _KEY)
    try:
        algorithm = Algorithm(fields.text("algorithm"))
    except ValueError:
        raise fields.fault("algorithm") from None
    public = fields.octets("public")
    try:
        seed = custody.unwrap(fields.octets("wrapped"), _aad(party, name, role, algorithm, public))
        right = RootHolderKey(algorithm, seed).public == public
    except (CustodyFault, ValueError):
        right = False
    if not right:
        raise DamagedFile(
            path, f"the {role} key does not unwrap", "take the folder from its backup"
        )
    return algorithm, seed


def _aad(party: str, name: str, role: str, algorithm: Algorithm, public: bytes) -> bytes:
    texts = (party, name, role, algorithm.value)
    return pae(SEED_LABEL, *(text.encode("utf-8") for text in texts), public)
