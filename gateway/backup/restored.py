"""A restored gateway: it says so first, and cannot pass its older self off as the present one.

    (1) a witness's checkpoint is of our ledger, no larger than what was restored, and of the same tree
    (2) else entries are lost: refused, unless somebody accepts the loss, with a reason
    (3) the mark `restored.json` in the folder; whoever opens it has to record it before anything else
    (4) RESTORE is the first new entry; a loss is an ALARM beside it
    (5) versions of our public entry and directory grow by 1,000: partners never see them go back
    (6) the mark goes

A crash between (3) and (6) repeats what follows the mark: two RESTORE entries, versions that grew twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway import telemetry, user_files
from gateway.errors import UserError
from gateway.home_layout import RESTORED
from gateway.ledger import events
from gateway.ledger.errors import NoteRefused
from gateway.ledger.merkle import root_at
from gateway.ledger.signed_note import Checkpoint, LogIdentity
from gateway.store.engine import StorageEngine
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.sequencer import Sequencer
from keys import atomic_file

LEAP = 1000  # versions; more than a gateway publishes between a backup and the day it is needed
FORMAT = "passerelle restored 2"
_log = telemetry.logger("restore")
_NAMES = frozenset({"format", "made", "size", "root", "witnessed", "reason", "keys"})


@dataclass(frozen=True, slots=True)
class Mark:
    """What a restored folder has to record.

    witnessed  the size that a witness saw beyond it, or of another tree; 0 where none did
    reason     why that loss is accepted; empty where there is none
    keys       whether the keys to sealed details came back too
    """

    made: str
    size: int
    root: str
    witnessed: int
    reason: str
    keys: bool = True


def compare(
    database: StorageEngine, log: LogIdentity, checkpoints: Iterable[Path]
) -> tuple[str, int]:
    """Return what witnesses saw that this ledger does not hold, in words, and the largest such size.

    Raises UserError for a file that is no checkpoint of this ledger.
    """
    lost, largest = "", 0
    with database.reader() as reader:
        size, _ = stored_ledger.extent(reader)
        for path in checkpoints:
            seen = _seen(log, path)
            if seen.size > size:
                why = f"a witness saw {seen.size} entries, this backup has {size}"
            elif seen.size and root_at(seen.size, stored_ledger.node(reader)) != seen.root:
                why = f"a witness saw another tree of {seen.size} entries"
            else:
                continue
            if seen.size >= largest:
                lost, largest = why, seen.size
    return lost, largest


def _seen(log: LogIdentity, path: Path) -> Checkpoint:
    try:
        return log.open(path.read_bytes())
    except NoteRefused:
        raise UserError(
            f"{path}: no checkpoint of this ledger, or altered; ask the partner again"
        ) from None
    except OSError as fault:
        raise UserError(f"{path} cannot be read: {user_files.why(fault)}") from None


def mark(
    home: Path,
    database: StorageEngine,
    made: str,
    witnessed: int,
    reason: str,
    *,
    keys: bool = True,
) -> None:
    """Do (3)."""
    with database.reader() as reader:
        size, _ = stored_ledger.extent(reader)
        top = root_at(size, stored_ledger.node(reader)).hex() if size else ""
    said = Mark(made, size, top, witnessed, reason, keys)
    members = {name: getattr(said, name) for name in Mark.__slots__}
    atomic_file.replace(
        home / RESTORED, atomic_file.encode({"format": FORMAT, **members, "keys": int(keys)})
    )


def marked(home: Path) -> Mark | None:
    """Return what a folder has to record, if it was restored and did not yet."""
    path = home / RESTORED
    if not path.exists():
        return None
    fields = atomic_file.Fields(path, atomic_file.decode(path, atomic_file.read(path)), _NAMES)
    if fields.text("format") != FORMAT:
        raise fields.fault("format")
    return Mark(
        fields.text("made"),
        fields.number("size"),
        fields.text("root"),
        fields.number("witnessed"),
        fields.text("reason"),
        bool(fields.number("keys")),
    )


def record(said: Mark, sequencer: Sequencer) -> None:
    """Do (4)."""
    at = said.made, said.size, said.root
    leaves = [events.restore(*at, keys=said.keys)]
    if said.witnessed:
        _log.error("ledger_lost", witnessed=said.witnessed, restored=said.size)
        leaves.append(events.ledger_loss(*at, said.witnessed, said.reason))
    sequencer.commit(leaves)


def finish(home: Path, leap: Callable[[int], object]) -> None:
    """Do (5) and (6)."""
    leap(LEAP)
    atomic_file.remove(home / RESTORED)
