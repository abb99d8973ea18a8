"""From a sealed backup to a house that opens: in a folder beside, then one rename.

(1) nothing is there: an existing folder must be empty
(2) the backup opens with the recovery key, whole to its last chunk, every file as its digest says
(3) its ledger verifies, every entry and checkpoint, and its own entry and keyset are there
(4) no witness saw more of it, or another tree; else a reason why the loss is accepted
(5) it is opened with the passphrase of its keys: RESTORE is its first new entry, its versions leap
(6) one rename puts it in place
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway import config
from gateway.directory import own_bundle
from gateway.errors import Remedy
from gateway.office import backup, restoring
from gateway.server import inspection
from gateway.server.house import House
from gateway.store.database import open_store
from keys import durable, recovery
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
) -> Restored:
    """Bring back the house of a backup into `home`; steps 1 to 6 above. Raises Remedy, with nothing left."""
    if home.exists() and (not home.is_dir() or any(home.iterdir())):  # (1)
        raise Remedy(f"{home} is not empty; a backup is restored into a new folder")
    parent = home.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=parent))  # mode 0700
    try:
        manifest = _unsealed(file, key, draft)  # (2)
        entries = _verified(draft)  # (3)
        lost = _compared(draft, manifest.made, checkpoints, accept_loss)  # (4)
        with House.open(draft, passphrase) as house:  # (5)
            version = house.own_version()
        if home.exists():
            home.rmdir()
        draft.rename(home)  # (6)
        durable.flush_folder(parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Restored(manifest.party, manifest.made, entries, lost, version)


def _unsealed(file: Path, key: OpeningKey, draft: Path) -> backup.Manifest:
    with file.open("rb") as source:
        kid = recovery.key_id_of(source)
        if kid is None:
            raise Remedy(f"{file} is no backup of a house, or its beginning is damaged")
        if kid != key.key_id:
            raise Remedy(
                f"{file} is sealed for the recovery key {kid.hex()[:16]}, and this one is"
                f" {key.key_id.hex()[:16]}: give the folder of that key"
            )
        try:
            return backup.read(recovery.unseal(source, key), draft)
        except OpenRefused:
            raise Remedy(
                f"{file} is altered or cut off; nothing of it is used: take another copy"
            ) from None


def _verified(draft: Path) -> int:
    for folder in ("parties", "agreements", "store", "witness"):  # an empty one is in no backup
        with suppress(FileExistsError):
            os.mkdir(draft / folder, mode=0o700)  # noqa: PTH102 - without parents, and exactly this mode
    report = inspection.verify_ledger(draft)
    if not report.ok:
        raise Remedy(
            f"the ledger in this backup does not verify ({report.findings[0].text}); take another"
        )
    return report.size


def _compared(draft: Path, made: str, checkpoints: Sequence[Path], accept_loss: str) -> str:
    settings = config.load(draft)
    database = open_store(settings.store.path)
    try:
        lost, witnessed = restoring.compare(database, own_bundle(draft).log, checkpoints)
        if lost and not accept_loss:
            raise Remedy(
                f"{lost}: entries would be lost. Restore a newer backup; or, where there is none,"
                " accept it with --accept-loss REASON, which is recorded, and tell every partner"
            )
        restoring.mark(draft, database, made, witnessed, accept_loss if lost else "")
    finally:
        database.close()
    return lost
