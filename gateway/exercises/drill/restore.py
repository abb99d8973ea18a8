"""The lost gateway, rehearsed: backed up while partners ask, brought back, and never passed off as the one that went on.

(1) two parties are made from nothing; a recovery key is made, and set by two names in one process
(2) the gateway serves, the partner asks, and the backup is taken meanwhile
(3) the partner asks on, so that its witness saw more than the backup has; then the gateway is lost
(4) damaged copies of the backup are refused: cut, one bit flipped, under another recovery key
(5) against the checkpoint that the partner kept from before, the backup is restored, and checked
(6) against the newest one it is refused; with a reason it is restored, recorded as a loss
(7) the partner was informed: it sets its witness aside, takes the new entry, and is answered by the restored gateway
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import user_files
from gateway.admin.operation import Officer
from gateway.backup.restored import LEAP
from gateway.client import Partner
from gateway.client.local_settings import read_folder
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import parties, people
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import Cast
from gateway.exercises.demo.queries import DEADLINE, matter
from gateway.exercises.scratch_folder import Scratch
from gateway.exercises.subprocess_cli import Server
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from gateway.trust.partners import own_bundle
from keys import recovery

SEEDS = range(1, 6)  # five people, of whom three are in the gallery
ASKED = 3  # questions before the backup, after it, and after the restore
_TWO = Officer("O-1", frozenset({Role.OPERATOR}), second="O-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it; later versions add fields and remove none.

    damaged_restored   damaged or foreign copies that were restored all the same
    loss_unnoticed     whether entries were lost without a refusal
    version_back       by how much our public entry went back, as partners see it
    """

    queries: int
    backup_bytes: int
    backup_seconds: float
    restore_seconds: float
    entries: int
    damaged_restored: int
    loss_unnoticed: bool
    version_back: int
    check_ok: bool
    ledger_verified: bool
    answered_again: int

    @property
    def ok(self) -> bool:
        """Whether the gateway came back complete, and could not pass itself off as newer than it is."""
        wrong = self.damaged_restored or self.loss_unnoticed or self.version_back
        return not wrong and self.check_ok and self.ledger_verified and self.answered_again == ASKED


def drill(workdir: Path, *, tell: Callable[[str], None] = lambda _: None) -> Figures:
    """Rehearse in a scratch folder at `workdir`; raises UserError where it cannot be set up."""
    with Scratch(workdir) as scratch:
        return _Drill(scratch.folder, tell).run()


class _Drill:
    """One rehearsal."""

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder, tell
        self._file = folder / "can.backup"
        self._recovery = folder / "recovery"
        self._recovery_pass = folder / "recovery.pass"

    def run(self) -> Figures:
        """Go through all steps."""
        self._tell("founding two parties")
        can, aus, cast = self._found()  # (1)
        witness = read_folder(aus.home, can.id, aus.passphrase).witness
        earlier, newest = self._folder / "earlier.checkpoint", self._folder / "newest.checkpoint"
        with Server(can.home, can.passphrase_file, self._folder / "can.log"):
            queries = _ask(aus, can, cast)
            shutil.copy(witness, earlier)
            self._tell("backing up while the gateway serves")  # (2)
            began = time.monotonic()
            backed = subprocess_cli.run(
                *("backup", can.home, self._file, "--passphrase-file", can.passphrase_file),
                officer=can.officer(parties.FIRST),
            )
            took = time.monotonic() - began
            queries += _ask(aus, can, cast)  # (3)
            shutil.copy(witness, newest)
        version = own_bundle(can.home).version
        lost = self._folder / "lost"
        can.home.rename(lost)
        self._tell("refusing damaged copies")
        damaged = self._damaged(can)  # (4)
        self._tell("restoring")
        began = time.monotonic()
        restored = self._restore(can, self._folder / "rehearsed", earlier)  # (5)
        seconds = time.monotonic() - began
        unnoticed = self._restores(can, self._folder / "unnoticed", newest)  # (6)
        reason = ("--accept-loss", "the drill of the lost gateway")
        self._restore(can, can.home, newest, *reason)
        check = subprocess_cli.run(
            *("check", can.home, "--passphrase-file", can.passphrase_file), accept=(0, 1)
        )
        witness.unlink()  # (7)
        parties.introduce(can, aus)
        self._tell("asking the restored gateway")
        with Server(can.home, can.passphrase_file, self._folder / "again.log"):
            again = _ask(aus, can, cast)
        verified = subprocess_cli.run("ledger", "verify", can.home, accept=(0, 1))
        return Figures(
            queries=queries,
            backup_bytes=int(backed["bytes"]),
            backup_seconds=round(took, 2),
            restore_seconds=round(seconds, 2),
            entries=int(restored["entries"]),
            damaged_restored=damaged,
            loss_unnoticed=unnoticed,
            version_back=max(0, version + LEAP - own_bundle(can.home).version),
            check_ok=bool(check["ok"]),
            ledger_verified=bool(verified["ok"]),
            answered_again=again,
        )

    def _found(self) -> tuple[Party, Party, Cast]:
        cast = people.invented(SEEDS)
        can = parties.found(self._folder, "CAN", "Canada", parties.FIRST)
        aus = parties.found(self._folder, "AUS", "Australia")
        for one, other in ((can, aus), (aus, can)):
            parties.introduce(one, other)
        subprocess_cli.run(
            *("gallery", "enrol", can.home),
            *("--manifest", people.write_manifest(cast, self._folder / "records")),
            *("--passphrase-file", can.passphrase_file),
        )
        user_files.write(self._recovery_pass, secrets.token_hex(24).encode())
        self._recovery_pass.chmod(0o600)
        subprocess_cli.run(
            *("recovery", "new", self._recovery),
            *("--recovery-passphrase-file", self._recovery_pass),
        )
        public = recovery.read_recipient(self._recovery / recovery.PUBLIC).public
        with Gateway.open(can.home, can.passphrase) as gateway:
            values = {"public": public.hex(), "reason": "the drill of the lost gateway"}
            gateway.admin.perform(_TWO, "backup.recipient", values)
        return can, aus, cast

    def _damaged(self, can: Party) -> int:
        """Return how many of three copies that are not the backup were restored."""
        whole, copy = self._file.read_bytes(), self._folder / "damaged.backup"
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        got_through = 0
        for content in (whole[: -len(whole) // 3], flipped):
            user_files.write(copy, content)
            got_through += self._restores(can, self._folder / "damaged", None, file=copy)
        other = self._folder / "other"
        recovery.create(other, self._recovery_pass.read_bytes())
        got_through += self._restores(can, self._folder / "foreign", None, key=other)
        return got_through

    def _restores(
        self,
        can: Party,
        home: Path,
        checkpoint: Path | None,
        *,
        file: Path | None = None,
        key: Path | None = None,
    ) -> bool:
        try:
            self._restore(can, home, checkpoint, file=file, key=key)
        except UserError:
            return home.exists()
        return True

    def _restore(
        self,
        can: Party,
        home: Path,
        checkpoint: Path | None,
        *more: str,
        file: Path | None = None,
        key: Path | None = None,
    ) -> subprocess_cli.Document:
        witnessed = () if checkpoint is None else ("--checkpoint", checkpoint)
        return subprocess_cli.run(
            *("restore", file or self._file, home, "--recovery", key or self._recovery),
            *("--recovery-passphrase-file", self._recovery_pass),
            *("--passphrase-file", can.passphrase_file),
            *(*witnessed, *more),
        )


def _ask(aus: Party, can: Party, cast: Cast) -> int:
    """Ask a few questions; return how many were answered, which is all unless it raises."""
    folder = read_folder(aus.home, can.id, aus.passphrase)
    with Partner.connect(
        folder.party, folder.keyset, folder.peer, witness=folder.witness
    ) as partner:
        for number in range(ASKED):
            person = cast.people[number % len(cast.people)]
            samples = cast.samples(person.impressions[person.asked_with[0]])
            about = matter(person.pseudonym)
            about["transaction_number"] = f"DRILL-{secrets.token_hex(8)}"
            partner.query(samples, deadline=DEADLINE, **about)
    return ASKED
