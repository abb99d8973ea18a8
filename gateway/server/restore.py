"""From a sealed backup to a gateway that opens: in a folder beside, then one rename.

(1) nothing is there: an existing folder must be empty
(2) the backup opens with the recovery key, complete to its last chunk, every file as its digest says
    and so do the keys to its details, a file beside; or it is said that they are left behind
(3) its ledger verifies, every entry and checkpoint, and its own entry and keyset are there
(4) no witness saw more of it, or another tree; else a reason why the loss is accepted
(5) it is opened with the passphrase of its keys: RESTORE is its first new entry, its versions leap; it holds the key to
    all that is sealed in it
(6) one rename puts it in place
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway import config
from gateway.backup import archive, detail_keys, restored
from gateway.backup.format import Manifest
from gateway.errors import UserError
from gateway.home_layout import FOLDERS
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.address import open_store
from gateway.store.keys.reencryption import list_unopened
from gateway.store.ledger import detail_keys as stored_keys
from gateway.trust.partners import own_bundle
from keys import atomic_file, recovery
from keys.data_encryption import tag_of
from keys.envelope import OpeningKey
from keys.errors import OpenRefused


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back.

    entries   of the ledger as backed up; lost says in words what a witness saw beyond it
    version   of our public entry from now on
    """

    party: str
    made: str
    entries: int
    lost: str
    version: int


def restore(
    file: Path,
    home: Path,
    key: OpeningKey,
    passphrase: Callable[[], bytes],
    *,
    checkpoints: Sequence[Path] = (),
    accept_loss: str = "",
    without_keys: bool = False,
) -> Restored:
    """Bring back the gateway of a backup into `home`; steps 1 to 6 above. Raises UserError, with nothing left.

    without_keys   leave the keys to sealed details behind, which auditors then read no more; recorded
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):  # (1)
        raise UserError(f"{home} is not empty; a backup is restored into a new home directory")
    parent = home.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=parent))  # mode 0700
    try:
        manifest = _unsealed(file, key, draft)  # (2)
        keys = _keyed(file, key, manifest, draft, without=without_keys)
        entries = _verified(draft, keys=keys)  # (3)
        lost = _compared(draft, manifest.made, checkpoints, accept_loss, keys=keys)  # (4)
        with Gateway.open(draft, passphrase) as gateway:  # (5)
            _demand_data_keys(gateway)
            version = gateway.own.version
        if home.exists():
            home.rmdir()
        draft.rename(home)  # (6)
        atomic_file.flush_folder(parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Restored(manifest.party, manifest.made, entries, lost, version)


def _unsealed(file: Path, key: OpeningKey, draft: Path) -> Manifest:
    with file.open("rb") as source:
        kid = recovery.key_id_of(source)
        if kid is None:
            raise UserError(f"{file} is no backup of a gateway, or its beginning is damaged")
        if kid != key.key_id:
            raise UserError(
                f"{file} is sealed for the recovery key {kid.hex()[:16]}, and this one is"
                f" {key.key_id.hex()[:16]}: give the folder of that key"
            )
        try:
            return archive.read(recovery.unseal(source, key), draft)
        except OpenRefused:
            raise UserError(
                f"{file} is altered or cut off; nothing of it is used: take another copy"
            ) from None


def _keyed(file: Path, key: OpeningKey, manifest: Manifest, draft: Path, *, without: bool) -> bool:
    """Bring the keys to details back, unless they are left behind; return whether they are there."""
    apart = detail_keys.beside(file)
    with closing(open_store(config.load(draft).store.path)) as store:
        with store.reader() as reader:
            missing = stored_keys.all_missing(reader)
        if (
            not missing
        ):  # nothing is sealed in it, or it was made when backups had these keys inside
            return True
        if without:
            return False
        if not apart.is_file():
            raise UserError(
                f"{apart} is missing: the keys to what auditors read. Put it beside the backup; or, where it was"
                " destroyed, go on with --without-detail-keys, which is recorded"
            )
        try:
            stored_keys.put_back(store, detail_keys.read(apart, key, manifest))
        except OpenRefused:
            raise UserError(
                f"{apart} is altered, cut off, or belongs to another backup; nothing of it is used"
            ) from None
    return True


def _verified(draft: Path, *, keys: bool) -> int:
    for folder in FOLDERS:
        with suppress(FileExistsError):
            os.mkdir(draft / folder, mode=0o700)  # noqa: PTH102 - without parents, and exactly this mode
    report = self_check.verify_ledger(draft, keys=keys, files=False)
    if not report.ok:
        raise UserError(
            f"the ledger in this backup does not verify ({report.findings[0].text}); take another"
        )
    return report.size


def _demand_data_keys(gateway: Gateway) -> None:
    """Raise UserError where something is sealed with a data key that the backup lacks: nobody ever opens it again."""
    tags = [tag_of(key.key_id) for key in gateway.keyset.data_keys()]
    with gateway.database.reader() as reader:
        found = list_unopened(reader, gateway.keys.data_key, tags)
    if found:
        raise UserError(
            f"this backup lacks a DATA key: what it sealed in {', '.join(dict.fromkeys(found))} opens with none that is"
            " here; take another backup"
        )


def _compared(
    draft: Path, made: str, checkpoints: Sequence[Path], accept_loss: str, *, keys: bool
) -> str:
    settings = config.load(draft)
    with closing(open_store(settings.store.path)) as database:
        lost, witnessed = restored.compare(database, own_bundle(draft).log, checkpoints)
        if lost and not accept_loss:
            raise UserError(
                f"{lost}: entries would be lost. Restore a newer backup; or, where there is none,"
                " accept it with --accept-loss REASON, which is recorded, and tell every partner"
            )
        reason = accept_loss if lost else ""
        restored.mark(draft, database, made, witnessed, reason, keys=keys)
    return lost
