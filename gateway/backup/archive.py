"""The house in one sealed file: what it holds, written while it serves, read back into an empty folder.

    content   u32be(length) ‖ manifest ‖ the files, one after the other, in its order
    manifest  canonical JSON: party, when, the ledger's size and root, each file's name, length and SHA-256

The database is copied first, in one read transaction, and everything else after it: so the keyset and our public
entry are as new as the ledger or newer, which is what the next opening records. Nothing is unsealed for it: seeds
and records stay wrapped as they are, and the whole is sealed for the recovery key (keys.recovery).

Left out: what was never to stay on this machine (auditor, keepers, an officer's keys wherever somebody put them,
sealed or in clear, known by what is in the file), the passphrase file, what a running house
leaves lying (locks, its door's address), what begins with a dot, and the published tiles: they are made from rows
again, and newer ones than the rows would accuse the restored house of having been set back. The keys to sealed details go into a file of
their own (backup_keys): a shredded detail must not live on in a backup that is kept for years.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from gateway import user_files
from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, Officer, Role, always
from gateway.config import Settings
from gateway.errors import Remedy
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.store import snapshot
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.sqlite import Database
from gateway.trust.key_names import handed_in
from gateway.trust.partners import own_bundle
from keys import atomic_file, recovery, strict_json
from keys.envelope import PUBLIC_BYTES, SealingKey
from keys.errors import MalformedKey, OpenRefused
from keys.key_record import stamp
from keys.officer_keys import is_private

FORMAT = "passerelle backup 1"
PIECE = 1 << 18  # bytes read from a file at a time
MOST_FILES = 100_000  # of a manifest; a house with a thousand partners has some thousands
MOST_MANIFEST = 1 << 25  # bytes
LENGTH_BYTES = 4
ATTEMPTS = 5  # to read files that do not change meanwhile

_ELSEWHERE = frozenset({"auditor", "keepers"})  # folders that their persons carry away
_PASSING = frozenset({"door.json", "restored.json"})
_SUFFIXES = (".lock", ".pen", ".next", ".damaged", "-wal", "-shm", "-journal")
_OPERATORS = frozenset({Role.OPERATOR})
_READERS = frozenset({Role.OPERATOR, Role.AUDITOR})

_SEALED_FOR = (
    "Backups are sealed for this recovery key from now on; whoever has it and its passphrase can read the whole"
    " folder of this house but its wrapped keys."
)

Doing = Callable[[], Answer]


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a backup: its name below the party's folder, its length and SHA-256."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself, inside the seal."""

    party: str
    made: str
    directory_version: int
    items: tuple[Item, ...]

    def to_bytes(self) -> bytes:
        """Return its one text."""
        return atomic_file.canonical(
            {
                "format": FORMAT,
                "party": self.party,
                "made": self.made,
                "directory_version": self.directory_version,
                "files": [[item.name, item.size, item.digest] for item in self.items],
            }
        )

    @classmethod
    def parse(cls, text: bytes) -> Manifest:
        """Read it strictly. Raises OpenRefused: whoever sealed something else is not us."""
        try:
            said = strict_json.read(text, MOST_MANIFEST)
            found = cls(
                str(said["party"]),
                str(said["made"]),
                int(said["directory_version"]),
                tuple(Item(str(n), int(s), str(d)) for n, s, d in said["files"]),
            )
            whole = found.to_bytes() == text and len(found.items) <= MOST_FILES
            names = [item.name for item in found.items]
            whole = whole and len(set(names)) == len(names) and all(map(_below, names))
        except (ValueError, TypeError, LookupError):
            whole = False
        if not whole:
            raise OpenRefused
        return found


class BackupDesk:
    """The counter for backups: for whom they are sealed, and that one is taken."""

    def __init__(
        self, database: Database, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._sequencer, self._clock = database, sequencer, clock

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act("backup.show", _READERS, self._show),
            Act("backup.begin", _OPERATORS, self._begin),
            Act(
                "backup.recipient",
                _OPERATORS,
                self._recipient,
                always,
                lambda: self._held().hex(),
                lambda _: (_SEALED_FOR,),
                lambda _, values: (handed_in(values), ()),
            ),
        )

    def _held(self) -> bytes:
        with self._database.reader() as reader:
            return snapshot.recipient(reader) or b""

    def _show(self, officer: Officer, arguments: Arguments) -> Doing:
        del officer, arguments

        def do() -> Answer:
            held = self._held()
            return {"recipient": SealingKey(held).key_id.hex() if held else ""}

        return do

    def _begin(self, officer: Officer, arguments: Arguments) -> Doing:
        del arguments

        def do() -> Answer:
            held = self._held()
            if not held:
                raise Remedy(
                    "no recovery key is set: make one with `passerelle recovery new FOLDER`, keep it"
                    " elsewhere, and have two operators set it: `passerelle recovery use`"
                )
            kid = SealingKey(held).key_id.hex()
            frame = Frame(type=EntryType.BACKUP, entry_class=EntryClass.OTHER)
            facts = {"operation": "backup", "recipients": kid, **officer.facts}
            self._sequencer.commit((Leaf(frame, facts),))
            return {"recipient": held.hex(), "made": stamp(self._clock())}

        return do

    def _recipient(self, officer: Officer, arguments: Arguments) -> Doing:
        public, reason = arguments.octets("public", PUBLIC_BYTES), arguments.reason()
        try:
            kid = SealingKey(public).key_id.hex()
        except MalformedKey as fault:
            raise Remedy(f"public: {fault}") from None

        def do() -> Answer:
            frame = Frame(type=EntryType.CUSTODY, entry_class=EntryClass.OTHER)
            facts = {"operation": "backup.recipient", "recipients": kid, "reason": reason}
            effects = snapshot.set_recipient(public, self._held() or None)
            self._sequencer.commit((Leaf(frame, {**facts, **officer.facts}),), effects)
            return {"recipient": kid}

        return do


def write(settings: Settings, recipient: SealingKey, made: str, target: Path) -> Manifest:
    """Write a sealed backup of a house to `target`, and the keys to its details beside; the house may serve.

    Each file is whole or not there, the keys last. Raises Remedy where one is taken or a part of the house lies
    outside its folder; Fault and what the disk raises, with nothing left at `target`.
    """
    from gateway.backup import detail_keys  # it reads manifests, which are made here

    apart = detail_keys.beside(target)
    for each in (target, apart):
        if each.exists():
            raise Remedy(f"{each} exists; a backup overwrites nothing")
    for part in (settings.store.path, settings.keys.keyset):
        if settings.home not in part.parents:
            raise Remedy(f"{part} lies outside {settings.home}; a backup holds the folder alone")
    drafts = tuple(each.with_name(f".{each.name}.{os.getpid()}") for each in (target, apart))
    try:
        with snapshot.snapshot(settings.store.path) as copy:
            without = {each.absolute() for each in (target, apart, *drafts)}
            for _ in range(ATTEMPTS):
                places = _places(settings, copy.database, without)
                manifest = _manifest(settings, places, made)
                _seal(_content(manifest, places), drafts[0], recipient)
                if _manifest(settings, places, made) == manifest:
                    _seal(detail_keys.content(manifest, copy.keys), drafts[1], recipient)
                    atomic_file.rename(drafts[1], apart)  # without its backup it opens nothing
                    atomic_file.rename(drafts[0], target)
                    return manifest
                drafts[0].unlink()  # a key or a partner's bundle changed while we read
        raise Remedy("the folder does not stay still; try again when nobody changes keys")
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)
        if not target.exists():
            apart.unlink(missing_ok=True)


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


class Pieces:
    """The content of a backup as a stream of exact lengths."""

    def __init__(self, opening: Iterator[bytes]) -> None:
        self._opening = opening
        self._held = b""

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the next `size` bytes in pieces; raises OpenRefused where they end."""
        while size:
            if not self._held:
                self._held = next(self._opening, b"")
                if not self._held:
                    raise OpenRefused
            piece, self._held = self._held[:size], self._held[size:]
            size -= len(piece)
            yield piece

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        return b"".join(self.pieces(size))

    def more(self) -> bool:
        """Say whether anything follows."""
        while not self._held:
            piece = next(self._opening, None)
            if piece is None:
                return False
            self._held = piece
        return True

    def end(self) -> None:
        """Raise OpenRefused where anything follows; read the last chunk, which proves the end."""
        if self._held or any(self._opening):
            raise OpenRefused


def _places(settings: Settings, copy: Path, without: set[Path]) -> dict[str, Path]:
    """Return the files of a house by their names, the database's being its copy."""
    home, store = settings.home, settings.store.path
    without = {*without, settings.keys.passphrase_file or home, store}
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


def _manifest(settings: Settings, places: dict[str, Path], made: str) -> Manifest:
    items = []
    for name, path in places.items():
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            items.append(Item(name, file.tell(), digest))
    version = own_bundle(settings.home).version
    return Manifest(settings.house.party, made, version, tuple(items))


def _content(manifest: Manifest, places: dict[str, Path]) -> Iterable[bytes]:
    text = manifest.to_bytes()
    yield len(text).to_bytes(LENGTH_BYTES, "big") + text
    for item in manifest.items:
        with places[item.name].open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _below(name: str) -> bool:
    """Say whether a name stays below the folder, and is written as we write it."""
    path = PurePosixPath(name)
    return (
        bool(name)
        and not path.is_absolute()
        and path.as_posix() == name
        and not {"..", "."} & set(path.parts)
        and name.isprintable()
    )
