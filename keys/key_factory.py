"""From a seed to a key that works: which algorithm each kind of key is, and how its seed comes alive."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from keys import certificates, data_encryption, envelope, signatures, tuf_role_key
from keys.certificates import TlsKey
from keys.custody import Custody
from keys.data_encryption import DataKey
from keys.envelope import OpeningKey
from keys.errors import CustodyFault, DamagedFile
from keys.key_record import KeyRecord
from keys.lifecycle import KeyKind
from keys.pae import key_id
from keys.signatures import LogKey, SigningKey
from keys.tuf_role_key import DirectoryKey

Live: TypeAlias = SigningKey | OpeningKey | LogKey | TlsKey | DataKey | DirectoryKey

_SEEDS: dict[KeyKind, tuple[int, Callable[[bytes], Live]]] = {
    KeyKind.KEM: (envelope.SEED_BYTES, OpeningKey.from_seed),
    KeyKind.SIGNING: (signatures.SEED_BYTES, SigningKey.from_seed),
    KeyKind.LOG: (signatures.SEED_BYTES, LogKey.from_seed),
    KeyKind.TLS_CA: (certificates.SEED_BYTES, TlsKey.from_seed),
    KeyKind.TLS_LEAF: (certificates.SEED_BYTES, TlsKey.from_seed),
    KeyKind.DATA: (data_encryption.SEED_BYTES, DataKey.from_seed),
    KeyKind.DELEGATION: (tuf_role_key.SEED_BYTES, DirectoryKey.from_seed),
    KeyKind.SNAPSHOT: (tuf_role_key.SEED_BYTES, DirectoryKey.from_seed),
    KeyKind.TIMESTAMP: (tuf_role_key.SEED_BYTES, DirectoryKey.from_seed),
    KeyKind.AUDIT: (envelope.SEED_BYTES, OpeningKey.from_seed),
}


def draw(kind: KeyKind) -> tuple[bytes, Live]:
    """Return a fresh seed from the system's randomness, and its key; wrap the seed and forget it."""
    size, from_seed = _SEEDS[kind]
    seed = secrets.token_bytes(size)
    return seed, from_seed(seed)


def revive(path: Path, record: KeyRecord, custody: Custody) -> Live | None:
    """Return the key of a record, or None where only its public half is held.

    Raises DamagedFile unless the seed unwraps under the record's own kind, state and birth and gives
    the record's key id again.
    """
    if record.kid != key_id(record.public):
        raise DamagedFile(path, "a key's id is not that of its public half")
    if not record.wrapped:
        return None
    try:
        live = _SEEDS[record.kind][1](custody.unwrap(record.wrapped, record.seed_aad()))
    except (CustodyFault, ValueError):
        raise DamagedFile(path, f"the seed of a {record.kind.value} key does not unwrap") from None
    if live.key_id != record.kid:
        raise DamagedFile(path, f"the seed of a {record.kind.value} key gives another key id")
    return live
