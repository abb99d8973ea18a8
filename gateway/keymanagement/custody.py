"""Where the key above our keys is, and its change: all seeds under a new one, by two persons.

The new passphrase or PIN is named by a file that the gateway reads; it is in no proposal, entry or answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import user_files
from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.config import Settings
from gateway.errors import UserError
from gateway.keymanagement import adoption, custody_setting
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.ledger import events
from gateway.operations.custody import Rewrap, Show
from gateway.store.engine import StorageEngine
from gateway.store.keys import adopted_versions
from keys import atomic_file, custody_pkcs11, custody_rewrap, keyset_file
from keys.custody import SCHEME_FILE, Custody, create_custody, open_custody, require_length
from keys.errors import DamagedFile, KeysError
from keys.keyset import Keyset

LONGEST_SECRET = 1024  # bytes of a passphrase or PIN file


class CustodyOperations:
    """The operations on the key encryption key."""

    def __init__(self, home: Path, active_keyset: ActiveKeyset) -> None:
        self._home = home
        self._active_keyset = active_keyset

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=Show, do=self._show),
            Handler(
                request=Rewrap, do=self._rewrap, state=of_all(self._state), plan=self._sentences
            ),
        )

    def _show(self, officer: Officer, request: Show) -> Answer:
        del officer, request
        return {
            "custody": self._active_keyset.current.custody.describe(),
            "setting": custody_setting.custody_of(self._home),
            "seeds": self._seeds(),
            "last_good": keyset_file.last_change(keyset_file.last_of(self._active_keyset.file))
            or "",
        }

    def _rewrap(self, officer: Officer, request: Rewrap) -> Answer:
        uri = self._target(request.to)
        made = self._make(uri, Path(request.passphrase_file))
        plan = custody_rewrap.Plan(uri, beside=uri.startswith(f"{SCHEME_FILE}:"))
        facts = {"reason": request.reason, **officer.facts}
        self._active_keyset.rewrap(made, plan, facts=facts)
        return {
            "custody": self._active_keyset.current.custody.describe(),
            "setting": uri,
            "seeds": self._seeds(),
        }

    def _target(self, to: str) -> str:
        """Return the URI that the keys go to; raises UserError where they cannot."""
        if to and not to.startswith((f"{SCHEME_FILE}:", f"{custody_pkcs11.SCHEME}:")):
            raise UserError(f"to: write file:PATH, or {custody_pkcs11.FORM}")
        named = custody_setting.custody_of(self._home)
        uri = to or named
        if uri == named and uri.startswith(f"{custody_pkcs11.SCHEME}:"):
            raise UserError(
                "to: name another object of the token, as the settings would:"
                f" {custody_pkcs11.FORM}; the key in use cannot be two keys"
            )
        custody_setting.demand_ours(self._home, uri)
        scheme, _, place = uri.partition(":")
        if scheme == SCHEME_FILE and uri != named and (self._home / place).exists():
            raise UserError(
                f"to: {place} is there already, and keys may depend on it; name another"
            )
        return uri

    def _make(self, uri: str, file: Path) -> Custody:
        scheme, _, place = uri.partition(":")
        if scheme == SCHEME_FILE:
            path = custody_rewrap.next_of(self._home / place)
            path.unlink(missing_ok=True)  # of a run that stopped; nothing in force depends on it
            uri = f"{SCHEME_FILE}:{path}"
        with _as_remedy():
            return create_custody(uri, lambda: read_secret(file))

    def _seeds(self) -> int:
        return sum(bool(record.wrapped) for record in self._active_keyset.current.records)

    def _state(self) -> object:
        """Return what an approval is bound to: the custody in use and every key's state."""
        keys = sorted((r.kid.hex(), r.state.value) for r in self._active_keyset.current.records)
        return [custody_setting.custody_of(self._home), [list(pair) for pair in keys]]

    def _sentences(self, request: Rewrap) -> tuple[str, ...]:
        to = self._target(request.to)
        secret = read_secret(Path(request.passphrase_file))  # it is there, and we may read it
        if to.startswith(f"{SCHEME_FILE}:"):
            with _as_remedy():
                require_length(secret, to)
        return (
            f"All {self._seeds()} seeds are wrapped under a new key: {to}.",
            "Each is unwrapped again and compared before the new key comes into force.",
            "From then on the old passphrase or token opens nothing of this gateway but its backups.",
        )


@contextmanager
def _as_remedy() -> Iterator[None]:
    """Have whoever orders it read what a custody says: a passphrase too short, a token locked."""
    try:
        yield
    except KeysError as fault:
        raise UserError(str(fault)) from None


def read_secret(file: Path) -> bytes:
    """Return the passphrase or PIN that a file holds; raises UserError, which does not show it."""
    try:
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o077:
                raise UserError(
                    f"{file}: others may read this passphrase file; run: chmod 600 {file}"
                )
            content = stream.read(LONGEST_SECRET + 2)
    except OSError as fault:
        raise UserError(f"{file} cannot be read by the gateway: {user_files.why(fault)}") from None
    secret = content.removesuffix(b"\n").removesuffix(b"\r")
    if not secret or len(secret) > LONGEST_SECRET:
        raise UserError(
            f"{file}: no passphrase file; it holds one line of 1 to {LONGEST_SECRET} bytes"
        )
    return secret


def recover(settings: Settings, database: StorageEngine, passphrase: Callable[[], bytes]) -> str:
    """Put the last good keyset in the place of a damaged one; return the date of its newest change.

    (1) the file in place is damaged indeed, and nobody else has the gateway open
    (2) the copy is complete, and opens under the same custody
    (3) no key in it is in an earlier state than the ledger says: what was destroyed or refused stays so
    (4) the damaged file is kept beside, the copy takes its place

    Raises UserError, and what loading raises.
    """
    with (
        database.stopped()
    ):  # (1) raises UserError while the gateway serves; until (4) none can begin to
        return _recover(settings, database, passphrase)


def _recover(settings: Settings, database: StorageEngine, passphrase: Callable[[], bytes]) -> str:
    file = settings.keys.keyset
    custody = open_custody(settings.keys.custody, passphrase)
    try:
        Keyset.load(file, custody)
    except DamagedFile:
        pass
    else:
        raise UserError(f"{file} is whole and opens; there is nothing to recover")
    copy = keyset_file.last_of(file)
    try:
        keyset = Keyset.load(copy, custody)  # (2)
    except KeysError as fault:
        raise UserError(
            f"the copy does not serve either ({fault}); use `passerelle restore`"
        ) from None
    with database.reader() as reader:
        adoption.demand_forward(keyset, adopted_versions.key_states(reader))  # (3)
    if file.exists():
        atomic_file.replace(file.with_name(file.name + ".damaged"), file.read_bytes())  # (4)
    atomic_file.replace(file, copy.read_bytes())
    return keyset_file.last_change(copy) or ""


def recovered(active_keyset: ActiveKeyset, when: str) -> None:
    """Record that the last good keyset was put back."""
    active_keyset.note(events.keyset_recovery(active_keyset.current.custody.describe(), when))
