"""A root key holder signs a draft: on any machine, with the folder that the person keeps."""

from __future__ import annotations

from pathlib import Path

from gateway.directory.metadata import add_signature, role_of
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
