"""The gateway in one sealed file: what it holds, written while it serves, read back into an empty folder.

    content   u32be(length) ‖ manifest ‖ the files, one after the other, in its order
    manifest  canonical JSON: party, when, the ledger's size and root, each file's name, length and SHA-256

The database is copied first, in one read transaction, and everything else after it: so our public entry is as new as the
ledger or newer, which is what the next opening records. The keyset must be the one from before the copy: a newer one
may have lost a key that the copy needs, so then all of it is read again. Nothing is unsealed for it: seeds
and records stay wrapped as they are, and the whole is sealed for the recovery key (keys.recovery).

Left out: what was never to stay on this machine (auditor, root key holders, an officer's keys wherever somebody put them,
sealed or in clear, known by what is in the file), the passphrase file, what a running gateway
leaves lying (locks, its listener's address), what begins with a dot, and the published tiles: they are made from rows
again, and newer ones than the rows would accuse the restored gateway of having been set back. The keys to sealed details go into a file of
their own (`detail_keys`), which is destroyed before the backup is: a shredded detail lives on no longer than until then.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from gateway import user_files
from gateway.backup import detail_keys
from gateway.backup.format import LENGTH_BYTES, MOST_MANIFEST, PIECE, Item, Manifest, Pieces
from gateway.config import Settings
from gateway.errors import UserError
from gateway.home_layout import ADMIN_ADDRESS, AUDITOR, KEEPERS, RESTORED
from gateway.store.address import open_store
from gateway.store.engine import StorageEngine
from gateway.trust.partners import own_bundle
from keys import atomic_file, recovery
from keys.envelope import SealingKey
from keys.errors import OpenRefused
from keys.officer_keys import is_private

ATTEMPTS = 5  # to read files that do not change meanwhile

_ELSEWHERE = frozenset({AUDITOR, KEEPERS})  # folders that their persons carry away
_PASSING = frozenset({ADMIN_ADDRESS, RESTORED})
_SUFFIXES = (".lock", ".pen", ".next", ".damaged", "-wal", "-shm", "-journal")


def write(settings: Settings, recipient: SealingKey, made: str, target: Path) -> Manifest:
    """Write a sealed backup of a gateway to `target`, and the keys to its details beside; the gateway may serve.

    Each file is whole or not there, the keys last. Raises UserError where one is taken or a part of the gateway lies
    outside its folder; InternalError and what the disk raises, with nothing left at `target`.
    """
    apart = detail_keys.beside(target)
    for each in (target, apart):
        if each.exists():
            raise UserError(f"{each} exists; a backup overwrites nothing")
    for part in (settings.store.path, settings.keys.keyset):
        if settings.home not in part.parents:
            raise UserError(
                f"{part} lies outside {settings.home}; a backup holds the home directory alone"
            )
    drafts = _draft(target), _draft(apart)
    try:
        with closing(open_store(settings.store.path)) as store:
            for _ in range(ATTEMPTS):
                manifest = _attempt(settings, store, recipient, made, drafts)
                if manifest is not None:
                    atomic_file.rename(drafts[1], apart)  # without its backup it opens nothing
                    atomic_file.rename(drafts[0], target)
                    return manifest
        raise UserError(
            "the home directory does not stay still; try again when nobody changes keys"
        )
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
        if not target.exists():
            apart.unlink(missing_ok=True)


def _draft(file: Path) -> Path:
    return file.with_name(f".{file.name}.{os.getpid()}")


def _attempt(
    settings: Settings,
    store: StorageEngine,
    recipient: SealingKey,
    made: str,
    drafts: tuple[Path, Path],
) -> Manifest | None:
    """Write both files as drafts; None where a key or a partner's bundle changed since before the database was copied."""
    keyset = _digest(settings.keys.keyset)
    with store.copy() as copy:
        places = _places(settings, copy.database)
        manifest = _manifest(settings, places, made)
        name = settings.keys.keyset.relative_to(settings.home).as_posix()
        if (name, keyset) not in {(item.name, item.digest) for item in manifest.items}:
            return None  # what the copy holds may be sealed with a key that was destroyed meanwhile
        _seal(_content(manifest, places), drafts[0], recipient)
        if _manifest(settings, places, made) != manifest:
            drafts[0].unlink()
            return None
        _seal(detail_keys.content(manifest, copy.keys), drafts[1], recipient)
        return manifest


def _seal(content: Iterable[bytes], draft: Path, recipient: SealingKey) -> None:
    with user_files.creating(draft) as file:
        recovery.seal(content, file, recipient)


def read(opening: Iterator[bytes], draft: Path) -> Manifest:
    """Write the files of an opened backup below `draft`; raises OpenRefused unless all is as it was written."""
    pieces = Pieces(opening)
    length = int.from_bytes(pieces.take(LENGTH_BYTES), "big")
    if length > MOST_MANIFEST:
        raise OpenRefused
    manifest = Manifest.parse(pieces.take(length))
    for item in manifest.items:
        path = draft / item.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with user_files.creating(path) as file:
            for piece in pieces.pieces(item.size):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != item.digest:
            raise OpenRefused
    pieces.end()
    return manifest


def _places(settings: Settings, copy: Path) -> dict[str, Path]:
    """Return the files of a gateway by their names, the database's being its copy."""
    home, store = settings.home, settings.store.path
    without = {settings.keys.passphrase_file or home, store}
    found = {store.relative_to(home).as_posix(): copy}
    for folder, names, inside in os.walk(home):
        names[:] = sorted(
            name
            for name in names
            if name not in _ELSEWHERE
            and not name.startswith(".")
            and Path(folder) / name != settings.evidence.tiles
        )
        for name in sorted(inside):
            path = Path(folder) / name
            if name.startswith(".") or name in _PASSING or name.endswith(_SUFFIXES):
                continue
            if path.absolute() in without or not path.is_file() or path.is_symlink():
                continue
            if not is_private(path):
                found[path.relative_to(home).as_posix()] = path
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _manifest(settings: Settings, places: dict[str, Path], made: str) -> Manifest:
    items = []
    for name, path in places.items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            items.append(Item(name, file.tell(), digest))
    version = own_bundle(settings.home).version
    return Manifest(settings.gateway.party, made, version, tuple(items))


def _content(manifest: Manifest, places: dict[str, Path]) -> Iterable[bytes]:
    text = manifest.to_bytes()
    yield len(text).to_bytes(LENGTH_BYTES, "big") + text
    for item in manifest.items:
        with places[item.name].open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
