"""The ledger of a folder as a source, read from its rows on the gateway's own machine, while it serves or not.

Whoever reads it has had the reading recorded first (`audit.read`); here nothing is written, and nothing can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from gateway import config, user_files
from gateway.domain.messages import Receipt
from gateway.errors import UserError
from gateway.home_layout import OWN_ENTRY
from gateway.ledger import signed_note
from gateway.ledger.archive import MOST_DOCUMENT, Held, Manifest
from gateway.ledger.archive_writer import Writer
from gateway.ledger.errors import AuditFault
from gateway.ledger.merkle import Frontier
from gateway.store.address import open_store
from gateway.store.engine import Reader
from gateway.store.ledger import stored_ledger, witness_evidence
from gateway.store.ledger.detail_periods import Periods, open_stored_key, unknown
from gateway.store.people import subjects
from gateway.trust.partners import own_bundle

THINNED = 1024  # entries; of the checkpoints of so many, the last is exported, and each that others signed


class Stored:
    """The entries of one folder up to one moment."""

    def __init__(self, home: Path, periods: Periods | None = None) -> None:
        """Begin to read; raises UserError where the folder has no ledger.

        periods   what opens the second seal of the keys to details (`audit.read` answers with it); without, they stay as
                  they are stored, and open for nobody
        """
        settings = config.load(home)
        self._home, self._settings, self._periods = home, settings, periods
        self.bundle = own_bundle(home)
        self.log = self.bundle.log
        self.first = 0
        self._database = open_store(settings.store.path)
        with self._database.reader() as reader:
            self.size = stored_ledger.extent(reader)[1]
        if not self.size:
            self.close()
            raise UserError(f"{home} has no ledger yet; it begins when the gateway first opens")

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the database."""
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def held(self, start: int | None = None, stop: int | None = None) -> Iterator[Held]:
        """Yield the entries from `start` up to `stop`, exclusive; raises InternalError at a gap.

        Raises UserError where keys to details went to periods that are not known here, before or while it is read.
        """
        end = self.size if stop is None else min(stop, self.size)
        with self._database.reader() as reader:
            self._demand_periods(reader)
        yield from map(
            self._with_open_key, stored_ledger.iter_held(self._database, start or 0, end)
        )

    def agreements(self) -> dict[str, bytes]:
        """Return the files of the agreements, by name."""
        folder = self._settings.agreements.folder
        found = (path for path in sorted(folder.glob("*.toml")) if path.is_file())
        return {path.stem: user_files.named(path, MOST_DOCUMENT) for path in found}

    def _entries(self) -> list[Path]:
        """Return the files of the partners' entries; what is no file has no bytes to export."""
        found = sorted(self._settings.directory.folder.glob("*.json"))
        return [path for path in found if path.is_file()]

    def newest(self) -> bytes:
        """Return the last signed checkpoint."""
        with self._database.reader() as reader:
            found = witness_evidence.root_of(reader, self.size)
        return b"" if found is None else found[1]

    def prove(self, index: int) -> Receipt:
        """Return the proof that an entry is in the ledger; raises InternalError where there is none."""
        with self._database.reader() as reader:
            return stored_ledger.receipt(reader, index)

    def subject_of(self, reference: str) -> str | None:
        """Return the number of the registry under which entries name whoever has this file number today."""
        with self._database.reader() as reader:
            found = subjects.find(reader, reference)
        return None if found is None else str(found)

    def begins(self, since: datetime | None) -> int:
        """Return the index of the first entry of a moment or later; 0 where none is named."""
        if since is None:
            return 0
        with self._database.reader() as reader:
            return stored_ledger.first_since(reader, since, self.size)

    def export(
        self,
        path: Path,
        *,
        since: datetime | None,
        reason: str,
        now: datetime,
        progress: Callable[[int], None] | None = None,
    ) -> Manifest:
        """Write the entries since a moment into a bundle; one that is begun and not finished leaves no file.

        Entries and keys are of one snapshot: a key that is shredded meanwhile is in the bundle, and one that is not
        has its RETENTION entry there. Raises UserError where there is no entry since then, and where the periods that are
        known here are not those of that snapshot.
        """
        if self._periods is None:
            raise ValueError("a bundle needs what opens the second seal of the keys to details")
        with self._database.reader() as reader:
            self._demand_periods(reader)
            size = stored_ledger.extent(reader)[1]
            first = 0 if since is None else stored_ledger.first_since(reader, since, size)
            if first == size:
                raise UserError("the ledger has no entry since then; name an earlier --since")
            manifest = Manifest(
                party=self.bundle.party,
                origin=self.log.origin,
                first=first,
                size=size,
                made=now.isoformat(timespec="seconds"),
                since="" if since is None else since.isoformat(timespec="seconds"),
                reason=reason,
                software=_software(),
            )
            with Writer(path) as writer:
                writer.document(
                    "party.json", user_files.named(self._home / OWN_ENTRY, MOST_DOCUMENT)
                )
                for partner in self._entries():
                    writer.document(
                        f"partners/{partner.name}", user_files.named(partner, MOST_DOCUMENT)
                    )
                for name, content in self.agreements().items():
                    writer.document(f"agreements/{name}.toml", content)
                writer.frontier(Frontier(first, stored_ledger.peaks(reader, first)))
                said = witness_evidence.cosignatures(reader, first, size)
                tokens = witness_evidence.tokens(reader, first, size)
                held = map(self._with_open_key, stored_ledger.held_within(reader, first, size))
                writer.entries(held, progress)
                named = {at for at, _ in (*said, *tokens)}
                writer.checkpoints(self._notes(first, size, named))
                writer.cosignatures(octets for _, octets in said)
                writer.tokens(tokens)
                writer.finish(manifest)
            return manifest

    def _with_open_key(self, held: Held) -> Held:
        """Return an entry with the key to its detail as the auditor needs it; a damaged key as it is stored: it is found."""
        if self._periods is None or held.sealed_dek is None:
            return held
        key = open_stored_key(held.index, held.sealed_dek, self._periods)
        if key is not None:
            return replace(held, sealed_dek=key)
        with (
            self._database.reader() as reader
        ):  # pages are read one by one, and keys may move between two
            self._demand_periods(reader)
        return held

    def _demand_periods(self, reader: Reader) -> None:
        """Raise UserError where keys to details went to periods that nobody knew when the reading was recorded."""
        if self._periods is not None and unknown(reader, self._periods):
            raise UserError(
                "the gateway has just sealed keys to details anew: ask again, which records the reading anew"
            )

    def _notes(self, first: int, last: int, named: set[int]) -> Iterator[bytes]:
        """Yield the checkpoint before the first entry, then one in so many entries, the named ones, and the last."""
        ahead: tuple[int, bytes] | None = None
        for raw in stored_ledger.iter_checkpoints(self._database, first):
            with suppress(AuditFault):
                size = signed_note.Checkpoint.parse(signed_note.parse_note(raw).text).size
                if size > last:
                    break
                if ahead is not None and _kept(ahead[0], size, first, named):
                    yield ahead[1]
                ahead = size, raw
        if ahead is not None:
            yield ahead[1]


def _kept(size: int, following: int, first: int, named: set[int]) -> bool:
    return size == first or size in named or size // THINNED != following // THINNED


def _software() -> str:
    try:
        return f"passerelle {version('passerelle')}"
    except PackageNotFoundError:
        return "passerelle"
