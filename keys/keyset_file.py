"""The keyset's file: what is written, and the seal over all of it.

Beside it is a second copy, `.last`: the last good version, for the day on which a disk or a hand
damages the first. It is never loaded instead: a keyset that went back would revive what was destroyed, so
a person puts it back by a command that compares it with the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keys import atomic_file
from keys.custody import Custody
from keys.errors import CustodyFault, DamagedFile
from keys.key_record import NAMES, KeyRecord, primary
from keys.lifecycle import KeyKind, Owner
from keys.pae import pae

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

    def primary(self, kind: KeyKind) -> KeyRecord:
        """Return the key of `kind` that produces. Raises KeyNotUsable."""
        return primary(self.records, kind)


def last_of(path: Path) -> Path:
    """Return where the last good version of a keyset's file is kept."""
    return path.with_name(path.name + ".last")


def last_change(path: Path) -> str | None:
    """Return when the newest key of an intact file came to its state; None for a file that is not intact."""
    try:
        keys = atomic_file.decode(path, atomic_file.read(path))["keys"]
        return max(str(key["changed"]) for key in keys)  # type: ignore[attr-defined]
    except (DamagedFile, CustodyFault, LookupError, TypeError, ValueError):
        return None


def write(path: Path, content: KeyFile, custody: Custody) -> None:
    """Replace the file at `path` by `content`, sealed by `custody`; durably and all at once.

    The copy goes first and the file second, which is the change: so a seed that the file no longer holds is
    in neither, wherever a crash comes between.
    """
    sealed = compose(content, custody)
    atomic_file.replace(last_of(path), sealed)
    atomic_file.replace(path, sealed)


def compose(content: KeyFile, custody: Custody) -> bytes:
    """Return the bytes of `content`, sealed by `custody`."""
    body: dict[str, object] = {
        "format": FORMAT,
        "party": content.party,
        "owner": content.owner.value,
        "hosts": list(content.hosts),
        "keys": [record.members() for record in content.records],
    }
    seal = custody.wrap(_digest(body), pae(SEAL_LABEL))
    return atomic_file.encode({**body, "seal": atomic_file.text_of(seal)})


def read(path: Path, custody: Custody) -> KeyFile:
    """Return what `write` wrote under the same custody. Raises DamagedFile, CustodyFault (absent).

    Where the file is damaged, the error names the last good version, its date and the way back to it.
    """
    try:
        body = atomic_file.decode(path, atomic_file.read(path))
    except DamagedFile as fault:
        when = last_change(last_of(path))
        if when is None:
            raise
        raise DamagedFile(path, fault.what, _remedy(path, when)) from None
    fields = _fields(path, body)
    _check_seal(path, fields, {name: body[name] for name in _BODY}, custody)
    return _content(path, fields)


def stated(path: Path) -> KeyFile:
    """Return what the file says, though nobody opened its seal: to be shown to a person, never to decide by.

    Raises DamagedFile, CustodyFault (absent).
    """
    return _content(path, _fields(path, atomic_file.decode(path, atomic_file.read(path))))


def _fields(path: Path, body: Mapping[str, object]) -> atomic_file.Fields:
    fields = atomic_file.Fields(path, body, _BODY | {"seal"})
    if fields.text("format") != FORMAT:
        raise fields.fault("format")
    return fields


def _content(path: Path, fields: atomic_file.Fields) -> KeyFile:
    try:
        owner = Owner(fields.text("owner"))
    except ValueError:
        raise fields.fault("owner") from None
    return KeyFile(
        owner,
        fields.text("party"),
        tuple(str(host) for host in fields.members("hosts")),
        tuple(
            KeyRecord.read(atomic_file.Fields(path, key, NAMES)) for key in fields.members("keys")
        ),
    )


def _remedy(path: Path, when: str) -> str:
    return (
        f"the last good version is {last_of(path).name}, of {when}: stop the gateway and run"
        " `passerelle keys recover`, which compares it with the ledger, or restore it from backup"
    )


def _check_seal(
    path: Path, fields: atomic_file.Fields, body: Mapping[str, object], custody: Custody
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
    return hashlib.sha256(atomic_file.canonical(body)).digest()
