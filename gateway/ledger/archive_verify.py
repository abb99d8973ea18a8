"""A bundle, checked on a machine that has nothing else: `passerelle ledger verify BUNDLE`.

(1) The file has the form in which we write it, and its bytes give the digest at its end.
(2) What `gateway.ledger.verify` demands of a ledger holds from the first entry that is here: leaves, details,
    sequence, signatures of both log keys, and the root of every checkpoint.
(3) Where the bundle begins at the first entry of the ledger, every key to a detail that is gone was shredded by an
    entry that says so. Where it begins later, a checkpoint of the size before the first entry fixes what lies before.
(4) What others said is of this ledger: witnesses of its checkpoints, and a time stamp authority.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from gateway.ledger import signed_note, timestamp, witness_quorum
from gateway.ledger.archive import SEALED_KEY, Archive, ArchiveRefused, Held
from gateway.ledger.entry import MalformedEntry
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.verify import Finding, Place, Report, Severity, read_leaf, verify_log

Progress = Callable[[int], None]


def verify_archive(
    archive: Archive,
    log: LogIdentity,
    progress: Progress | None = None,
    *,
    roots: bytes | None = None,
) -> Report:
    """Check a whole bundle against the keys of its ledger; raises nothing of its own.

    progress   is called with how many entries were checked
    roots      certificates, PEM, that time stamps must lead to; without them their signatures are not checked
    """
    try:
        archive.check()  # (1)
        before = archive.frontier()
    except ArchiveRefused as refused:
        return _unread(archive, str(refused))
    reading = _Reading(archive, progress)
    whole = not before.size
    report = verify_log(  # (2)
        reading.leaves(),
        archive.notes(),
        log,
        reading.detail,
        reading.has_key if whole else None,  # (3)
        before=before,
    )
    beside = (
        *reading.gaps,
        *_partly(archive),
        *_of_another(archive, log),
        *_witnessed(archive, log),  # (4)
        *_stamps(archive, log, reading.stamps, roots),
    )
    return replace(report, findings=(*beside, *report.findings))


def _partly(archive: Archive) -> Iterator[Finding]:
    first, size = archive.manifest.first, archive.size
    if first == size:
        yield Finding(Severity.FAULT, first, "the bundle holds no entry at all", Place.LEDGER)
    elif first:
        text = (
            f"the {first} entries before are not here: what they say is fixed, and not checked; whether keys to"
            " details are gone that no RETENTION entry speaks of is told by a bundle of the whole alone"
        )
        yield Finding(Severity.NOTICE, first, text, Place.LEDGER)


def _of_another(archive: Archive, log: LogIdentity) -> Iterator[Finding]:
    if archive.manifest.origin != log.origin:
        text = (
            f"the bundle says it is of {archive.manifest.origin}, and the keys are of {log.origin}"
        )
        yield Finding(Severity.FAULT, archive.size, text, Place.LEDGER)


def _witnessed(archive: Archive, log: LogIdentity) -> Iterator[Finding]:
    try:
        yield from witness_quorum.astray(archive.notes(), archive.cosignatures(), log)
    except ArchiveRefused as refused:
        yield Finding(Severity.FAULT, archive.size, str(refused), Place.LEDGER)


def _stamps(
    archive: Archive, log: LogIdentity, entries: Sequence[timestamp.Entry], roots: bytes | None
) -> Iterator[Finding]:
    try:
        wanted = {size for size, _ in archive.tokens()}
        notes: dict[int, bytes] = {}
        for raw in archive.notes() if wanted else ():
            with suppress(NoteRefused):
                size = signed_note.Checkpoint.parse(signed_note.parse_note(raw).text).size
                if size in wanted:
                    notes[size] = raw
        partial = archive.manifest.first > 0
        beside = timestamp.Beside(log, notes, entries, partial)
        yield from timestamp.check_all(archive.tokens(), beside, roots)
    except ArchiveRefused as refused:
        yield Finding(Severity.FAULT, archive.size, str(refused), Place.LEDGER)


def _unread(archive: Archive, why: str) -> Report:
    finding = Finding(Severity.FAULT, archive.manifest.first, why, Place.LEDGER)
    return Report((finding,), archive.size, bytes(32), 0)


class _Reading:
    """The entries of a bundle, each read once, in order."""

    def __init__(self, archive: Archive, progress: Progress | None) -> None:
        self._archive = archive
        self._progress = progress
        self._at: Held | None = None
        self.gaps: list[Finding] = []
        self.stamps: list[timestamp.Entry] = []

    def leaves(self) -> Iterator[bytes]:
        """Yield leaves; a page that cannot be read ends them and is a finding."""
        done = 0
        try:
            for held in self._archive.held():
                self._at = held
                self._look(held)
                yield held.leaf
                done += 1
                if self._progress is not None and not done % 1024:
                    self._progress(done)
        except ArchiveRefused as refused:
            index = self._archive.manifest.first + done
            self.gaps.append(Finding(Severity.FAULT, index, str(refused)))

    def _look(self, held: Held) -> None:
        if held.sealed_dek is not None and len(held.sealed_dek) != SEALED_KEY:
            text = "the key beside this entry is none: it has not the length of a sealed key"
            self.gaps.append(Finding(Severity.FAULT, held.index, text))
        with suppress(MalformedEntry):  # whoever verifies the leaf says so
            entry = timestamp.entry_of(held.index, read_leaf(held.leaf))
            if entry is not None:
                self.stamps.append(entry)

    def detail(self, index: int) -> bytes | None:
        """Return the sealed detail beside the leaf that was read last."""
        return self._at.ciphertext if self._at is not None and self._at.index == index else None

    def has_key(self, index: int) -> bool:
        """Return whether the key to that detail is here."""
        return self._at is not None and self._at.index == index and self._at.sealed_dek is not None
