"""The keyset's file: what is written, and the seal over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keys import durable
from keys.custody import Custody
from keys.errors import CustodyFault, DamagedFile
from keys.lifecycle import Owner
from keys.pae import pae
from keys.record import NAMES, KeyRecord

FORMAT = "passerelle keyset 1"
SEAL_LABEL = b"passerelle/1/keyset"
_BODY = frozenset({"format", "party", "owner", "hosts", "keys"})


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a keyset's file says; seeds stay wrapped."""

    owner: Owner
    party: str
    hosts: tuple[str, ...]
    records: tuple[KeyRecord, ...]


def write(path: Path, content: KeyFile, custody: Custody) -> None:
    """Replace the file at `path` by `content`, sealed by `custody`; durably and all at once."""
    body: dict[str, object] = {
        "format": FORMAT,
        "party": content.party,
        "owner": content.owner.value,
        "hosts": list(content.hosts),
        "keys": [record.members() for record in content.records],
    }
    seal = custody.wrap(_digest(body), pae(SEAL_LABEL))
    durable.replace(path, durable.encode({**body, "seal": durable.text_of(seal)}))


def read(path: Path, custody: Custody) -> KeyFile:
    """Return what `write` wrote under the same custody. Raises DamagedFile, CustodyFault (absent)."""
    body = durable.decode(path, durable.read(path))
    fields = durable.Fields(path, body, _BODY | {"seal"})
    if fields.text("format") != FORMAT:
        raise fields.fault("format")
    _check_seal(path, fields, {name: body[name] for name in _BODY}, custody)
    try:
        owner = Owner(fields.text("owner"))
    except ValueError:
        raise fields.fault("owner") from None
    return KeyFile(
        owner,
        fields.text("party"),
        tuple(str(host) for host in fields.members("hosts")),
        tuple(KeyRecord.read(durable.Fields(path, key, NAMES)) for key in fields.members("keys")),
    )


def _check_seal(
    path: Path, fields: durable.Fields, body: Mapping[str, object], custody: Custody
) -> None:
    try:
        sealed = custody.unwrap(fields.octets("seal"), pae(SEAL_LABEL))
    except CustodyFault:
        sealed = b""
    if sealed != _digest(body):
        raise DamagedFile(
            path,
            f"the keyset was not written under {custody.describe()}, or was edited since",
            "name the custody that belongs to it, or restore it from backup",
        )


def _digest(body: Mapping[str, object]) -> bytes:
    return hashlib.sha256(durable.canonical(body)).digest()
