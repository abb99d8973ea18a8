"""Metadata files of our directory: read strictly, signed once more, and held to what keys.md section 3 asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from securesystemslib.signer import Key as TufKey
from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Delegations, Metadata, Root, Snapshot, Targets, Timestamp

from gateway.errors import InternalError, UserError
from gateway.trust.partners import hybrid

_T = TypeVar("_T", Root, Targets, Snapshot, Timestamp)


def parse(content: bytes) -> Metadata[Any]:
    """Return a metadata file as it reads. Raises UserError."""
    try:
        return Metadata.from_bytes(content)
    except (RepositoryError, ValueError, RecursionError):
        raise UserError("this is no metadata file of a directory; draft it anew") from None


def role_of(content: bytes) -> str:
    """Return what root key holders are asked to sign: root or targets. Raises UserError for anything else."""
    signed = parse(content).signed
    if not isinstance(signed, Root | Targets):
        raise UserError("root key holders sign root and targets files; this is another")
    return str(signed.type)


def add_signature(content: bytes, signers: Iterable[Signer]) -> bytes:
    """Return a metadata file with more signatures on it, its content as it was."""
    metadata = parse(content)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


def read_as(kind: type[_T], content: bytes) -> _T:
    """Return what a file of ours says, of the role that it must have. Raises InternalError."""
    return whole_as(kind, content).signed


def whole_as(kind: type[_T], content: bytes) -> Metadata[_T]:
    """Return a file of ours with its signatures, of the role that it must have. Raises InternalError."""
    try:
        metadata: Metadata[_T] = Metadata.from_bytes(content)
    except (RepositoryError, ValueError, RecursionError):
        raise InternalError("a metadata file is damaged; restore the folder from backup") from None
    if not isinstance(metadata.signed, kind):
        raise InternalError("a metadata file is of another role; restore the folder from backup")
    return metadata


def demand_hybrid(root: Root) -> None:
    """Raise UserError where Ed25519 keys alone could sign a role."""
    for name, role in root.roles.items():
        kinds = [root.keys[keyid].keytype for keyid in role.keyids]
        if not hybrid(role.threshold, kinds):
            raise UserError(f"Ed25519 keys alone could sign {name}; replace one by ML-DSA-65")


def demand_pair(delegations: Delegations, party: str) -> None:
    """Raise UserError unless `delegations` are to the party alone, and ask for more than Ed25519."""
    role = (delegations.roles or {}).get(party)
    if role is None or len(delegations.roles or {}) != 1:
        raise UserError("this targets file does not delegate to the party alone; draft it anew")
    kinds = [_keytype(delegations.keys[keyid]) for keyid in role.keyids]
    if not hybrid(role.threshold, kinds):
        raise UserError(f"Ed25519 keys alone could sign for {party}; draft it anew")


def _keytype(key: TufKey) -> str:
    return str(key.keytype)
