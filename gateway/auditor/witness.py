"""An independent witness: looks at a ledger's published files, remembers, cosigns, and keeps evidence.

    (1) the newest checkpoint is fetched and both its signatures hold
    (2) the tree only grew since the checkpoint that is kept, by the published hashes alone
    (3) the newer one is kept: written, flushed, renamed
    (4) then it is cosigned

All under one lock that other processes share: of two that looked at once, the one that read earlier and came later
would take an honest ledger for one that went backwards.

What cannot be fetched or does not fit together is no accusation: a web server may be late. What is signed and
contradicts what was signed before is; both notes are kept, and nothing is cosigned.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, build_opener

from gateway import user_files
from gateway.errors import PasserelleError, UserError
from gateway.ledger import signed_note
from gateway.ledger import split_view_evidence as evidence
from gateway.ledger.errors import NoteRefused, ProofRefused, TileRefused
from gateway.ledger.signed_note import MAX_NOTE, Checkpoint, LogIdentity
from gateway.ledger.tiles import CHECKPOINT, Tiles
from keys import atomic_file
from keys.signatures import WitnessKey

LONGEST: Final = 30.0  # seconds for one file
MOST: Final = MAX_NOTE  # bytes of one file; a tile of hashes has 8,192

Fetch = Callable[[str], bytes | None]


class HistoryRewritten(PasserelleError):
    """A ledger contradicts what it signed before; `evidence` is the file that shows it."""

    def __init__(self, why: str, evidence: Path) -> None:
        super().__init__(
            f"{why}; evidence kept in {evidence}: take it to the ledger's partners and auditors"
        )
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look brought: the checkpoint, whether it is new to us, and the note with our line under it."""

    checkpoint: Checkpoint
    grown: bool
    cosigned: bytes
    file: Path


class Watcher:
    """The memory of one witness for one ledger, in its folder."""

    def __init__(self, folder: Path, log: LogIdentity, name: str, key: WitnessKey) -> None:
        """Prepare; `name` is the witness's own, which is in its vkey."""
        self._folder, self._log, self._name, self._key = folder, log, name, key
        stem = log.origin.replace("/", "-")
        self._kept = folder / f"{stem}.checkpoint"
        self.cosigned = folder / f"{stem}.cosigned"

    def look(self, fetch: Fetch, now: datetime) -> Seen:
        """Look once; raises HistoryRewritten with evidence, or UserError where it cannot be decided."""
        with self._alone():
            signed, seen = self._fetched(fetch)  # (1)
            kept = self.kept()
            self._compare(kept, signed, seen, fetch)  # (2)
            grown = kept is None or self._log.open(kept).size < seen.size
            if grown:
                atomic_file.replace(self._kept, signed)  # (3)
            try:
                line = signed_note.cosign(signed, self._name, self._key, now)  # (4)
            except NoteRefused as fault:
                raise UserError(f"the checkpoint cannot be cosigned: {fault}") from None
            atomic_file.replace(self.cosigned, line)
        return Seen(seen, grown, line, self.cosigned)

    def _fetched(self, fetch: Fetch) -> tuple[bytes, Checkpoint]:
        signed = fetch(CHECKPOINT)
        if signed is None:
            raise UserError(
                "there is no checkpoint at that place: is it where the ledger is published?"
            )
        try:
            return signed, self._log.open(signed)
        except NoteRefused as fault:
            raise UserError(f"the checkpoint is refused: {fault}") from None

    def kept(self) -> bytes | None:
        """Return the newest note that was seen; raises UserError where the file is not one of this ledger."""
        try:
            signed = self._kept.read_bytes()
        except FileNotFoundError:
            return None
        try:
            self._log.open(signed)
        except NoteRefused:
            raise UserError(
                f"{self._kept} is damaged or of another ledger; compare it with another witness, then move it away"
            ) from None
        return signed

    def _compare(self, kept: bytes | None, signed: bytes, seen: Checkpoint, fetch: Fetch) -> None:
        tiles = Tiles(fetch, seen.size)
        try:
            if kept is None:
                tiles.check_root(seen)
                return
            before = self._log.open(kept)
            if seen.size < before.size:
                self._accuse("its ledger went backwards", kept, signed)
            tiles.check_extends(before, seen)
        except TileRefused as fault:
            raise UserError(f"the published files do not show it yet: {fault}") from None
        except ProofRefused as fault:
            self._accuse(str(fault), kept or signed, signed)

    def _accuse(self, why: str, kept: bytes, seen: bytes) -> None:
        path = evidence.keep(self._kept, why, self._log.origin, (kept, seen))
        raise HistoryRewritten(why, path)

    def _alone(self) -> AbstractContextManager[None]:
        return atomic_file.lock(self._kept.with_suffix(".lock"))


def fetching(place: str) -> Fetch:
    """Return what reads published files: from a folder, or from an http(s) address. Raises UserError for another."""
    if "://" not in place:
        folder = Path(place)
        if not folder.is_dir():
            raise UserError(f"{place} is no folder; name one, or an http(s) address")
        return lambda path: _of_folder(folder, path)
    if not place.startswith(("https://", "http://")):
        raise UserError("name a folder, or an http(s) address")
    opener = build_opener(_Stay())
    return lambda path: _of_server(opener, f"{place.rstrip('/')}/{path}")


class _Stay(HTTPRedirectHandler):
    """Follows no redirection: we watch exactly the named place."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _of_folder(folder: Path, path: str) -> bytes | None:
    try:
        with (folder / path).open("rb") as file:
            return file.read(MOST + 1)[:MOST]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise UserError(f"{folder / path} cannot be read: {user_files.why(fault)}") from None


def _of_server(opener: OpenerDirector, address: str) -> bytes | None:
    try:
        with opener.open(address, timeout=LONGEST) as answer:
            octets: bytes = answer.read(MOST)
            return octets
    except URLError as fault:
        if getattr(fault, "code", 0) == 404:
            return None
        raise UserError(
            f"nothing came from {address}: {getattr(fault, 'reason', 'refused')}"
        ) from None
    except (HTTPException, OSError, ValueError):
        raise UserError(f"nothing came from {address}") from None
