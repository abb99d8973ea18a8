"""A root key holder signs a draft: on any machine, with the folder that the person keeps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.metadata import Root, Targets

from gateway.directory.repository import parse
from gateway.errors import UserError
from gateway.trust.directory_signers import keeper_signer
from keys.tuf_root_key import load


def sign_as(content: bytes, folder: Path, passphrase: bytes) -> bytes:
    """Return a draft with this root key holder's signature. Raises UserError for a role of which this root key holder has no key."""
    keeper = load(folder, passphrase)
    key = keeper.root if role_of(content) == "root" else keeper.targets
    if key is None:
        raise UserError(
            f"root key holder {keeper.name} keeps the root only; ask another to sign the targets"
        )
    return add_signature(content, [keeper_signer(key)])


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
