"""The whole ledger, checked from plain bytes: what `passerelle ledger verify` and an auditor run.

Leaves and checkpoints are read once, in order, and not kept: what is remembered is the frontier of the
tree, the exchanges that are open, and those of the last hour.

A ledger cannot show that its own end was cut off together with the checkpoints over it: every beginning
of a true history is a true history. Checkpoints that partners hold can; put them among the
checkpoints, in order of size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Final, TypeAlias

from gateway.ledger.crypto_shredding import Shreds, read_erased, read_left_behind
from gateway.ledger.entry import (
    EPOCH,
    NO_DETAIL,
    EntryType,
    Frame,
    MalformedEntry,
    commitment_of,
    decode,
)
from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.ledger.sequence_rules import AdminRules, SequenceRules
from gateway.ledger.signed_note import Checkpoint, LogIdentity, NoteRefused

MAX_FINDINGS: Final = 1000  # findings kept; a ledger of another log has one for every row

Details: TypeAlias = Callable[
    [int], bytes | None
]  # index → ciphertext beside the leaf, if it exists
HasKey: TypeAlias = Callable[[int], bool]  # index → whether the key to the leaf's detail is there


read_leaf = lru_cache(maxsize=2)(decode)  # whoever verifies rows too reads each leaf twice in a row


class Severity(Enum):
    """How bad a finding is."""

    NOTICE = "notice"  # to be known; the ledger is verified
    FAULT = "fault"  # the ledger is not what it claims to be


class Place(Enum):
    """What the index of a finding counts."""

    LEAF = "leaf"
    CHECKPOINT = "checkpoint"  # in the order given, from 0
    LEDGER = "ledger"  # nothing: the finding is about all of it, its index is the number of leaves


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or worth knowing, and where."""

    severity: Severity
    index: int
    text: str
    place: Place = Place.LEAF

    def __str__(self) -> str:
        where = "ledger" if self.place is Place.LEDGER else f"{self.place.value} {self.index}"
        return f"{self.severity.value}  {where}  {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a ledger of `size` leaves with this root, over `checkpoints` checkpoints.

    omitted   faults that were counted and not kept, beyond the first thousand findings
    last      the last checkpoint that agreed with the leaves
    """

    findings: tuple[Finding, ...]
    size: int
    root: bytes
    checkpoints: int
    omitted: int = 0
    last: Checkpoint | None = None

    @property
    def ok(self) -> bool:
        """Whether the ledger is verified: something was checked, and no fault was found."""
        faults = any(finding.severity is Severity.FAULT for finding in self.findings)
        return self.last is not None and not faults and not self.omitted


def verify_log(
    leaves: Iterable[bytes],
    checkpoints: Iterable[bytes],
    log: LogIdentity,
    sealed_details: Details | None = None,
    has_key: HasKey | None = None,
    *,
    before: Frontier | None = None,
) -> Report:
    """Check a whole ledger and report all that is wrong with it; raises nothing of its own.

    leaves           stored leaves, from index 0
    checkpoints      signed notes, in order of size
    sealed_details   where given, every commitment is held against its ciphertext; it is asked once for
                     each leaf that parses, in order of index
    has_key          where given, every key to a detail that is gone must have been shredded; of the same
                     moment as the leaves. A backup, which has no keys, is verified without
    before           the tree before the first of `leaves`, where that is not index 0. What the sequence rules then find
                     may be explained by leaves that are not here: it is a notice, and no fault

    Steps:
    (1) There is something to verify: without leaves or without checkpoints nothing is verified.
    (2) Every leaf parses strictly.
    (3) Time never falls.
    (4) Every commitment is that of the ciphertext beside the leaf.
    (5) The entries follow the sequence rules: each REQUEST once and closed once, each answered query with
        the destruction of its prints; what is held, refused or alarmed is ended once, after it began;
        and RETENTION entries account for every key that is gone.
    (6) Both of the log's keys have signed every checkpoint, and sizes never fall.
    (7) The root over the leaves is the root that was signed, at the size of every checkpoint; so all
        checkpoints lie on one chain.
    (8) The last checkpoint covers the last leaf: what nobody signed is no entry.
    """
    reading = _Reading(log, sealed_details, has_key, iter(checkpoints), before or Frontier())
    reading.partial = bool(reading.frontier.size)
    reading.catch_up()
    for leaf in leaves:
        reading.leaf(leaf)
        reading.catch_up()
    reading.beyond()
    return reading.report()


@dataclass(slots=True)
class _Reading:
    """One reading of a ledger, and all that it remembers."""

    log: LogIdentity
    details: Details | None
    has_key: HasKey | None
    checkpoints: Iterator[bytes]
    frontier: Frontier = field(default_factory=Frontier)
    rules: SequenceRules = field(default_factory=SequenceRules)
    orders: AdminRules = field(default_factory=AdminRules)
    shreds: Shreds = field(default_factory=Shreds)
    findings: list[Finding] = field(default_factory=list)
    omitted: int = 0
    time: datetime = EPOCH
    notes: int = 0
    ahead: Checkpoint | None = None  # the checkpoint that waits for its leaves
    least: int = 0  # leaves; what the next checkpoint must cover at the least
    agreed: Checkpoint | None = None
    diverged: bool = False
    partial: bool = False  # whether leaves before the first are not here

    def leaf(self, leaf: bytes) -> None:
        """Read the next leaf."""
        index = self.frontier.size
        self.frontier = self.frontier.append(leaf_hash(leaf))
        try:
            frame = read_leaf(leaf)  # (2)
        except MalformedEntry as fault:
            self._fault(index, f"the leaf is malformed: {fault}")
            return
        if frame.time < self.time:  # (3)
            self._fault(index, "the leaf is older than the one before it")
        self.time = max(self.time, frame.time)
        self._detail(index, frame)  # (4)
        for text in (*self.rules.read(index, frame), *self.orders.read(frame)):  # (5)
            self._broken(index, text)
        self._shred(index, frame)

    def catch_up(self) -> None:
        """Hold every checkpoint of the present size against the leaves read so far."""
        while (ahead := self.ahead or self._advance()) and ahead.size == self.frontier.size:
            self._compare(ahead)
            self.ahead = None
        self.ahead = ahead

    def beyond(self) -> None:
        """Take note of the checkpoints over more leaves than there are."""
        here = self.frontier.size
        while ahead := self.ahead or self._advance():
            text = f"it covers {ahead.size} leaves and only {here} are here: the end was cut off"
            self._fault(self.notes - 1, text, Place.CHECKPOINT)
            self.ahead, self.least = None, ahead.size

    def report(self) -> Report:
        """Return what was found, after the last leaf and the last checkpoint."""
        size, covered = self.frontier.size, self.agreed.size if self.agreed else 0
        if not size and not self.notes:  # (1)
            self._fault(0, "there is nothing to verify", Place.LEDGER)
        for index, text in self.rules.commit():
            self._broken(index, text)
        for index, under_way, text in self.rules.end(self.time):
            self._broken(index, text, under_way=under_way)
        if self.has_key is not None:
            for index, text in self.shreds.end():
                self._fault(index, text)
        if size > covered:  # (8)
            text = f"no valid checkpoint covers the leaves {covered} to {size - 1}"
            self._fault(size, text, Place.LEDGER)
        root = self.frontier.root()
        found = tuple(self.findings)
        return Report(found, size, root, self.notes, self.omitted, self.agreed)

    def _advance(self) -> Checkpoint | None:
        """Return the next checkpoint that is signed and not smaller than the last; step (6)."""
        for note in self.checkpoints:
            number, self.notes = self.notes, self.notes + 1
            try:
                checkpoint = self.log.open(note)
            except NoteRefused as fault:
                self._fault(number, f"the checkpoint is refused: {fault}", Place.CHECKPOINT)
                continue
            if checkpoint.size >= self.least:
                return checkpoint
            self._fault(number, "the checkpoint is smaller than the one before", Place.CHECKPOINT)
        return None

    def _compare(self, checkpoint: Checkpoint) -> None:
        """Hold a checkpoint against the leaves, as many as it covers; step (7)."""
        self.least = checkpoint.size
        for index, text in self.rules.commit():
            self._broken(index, text)
        if checkpoint.root == self.frontier.root():
            self.agreed, self.diverged = checkpoint, False
        elif not self.diverged:
            self.diverged = True
            first = self.agreed.size if self.agreed else 0
            self._fault(
                first,
                f"what was signed is not what is here: of the leaves {first} to "
                f"{checkpoint.size - 1}, one was changed, moved, dropped or added",
            )

    def _detail(self, index: int, frame: Frame) -> None:
        if self.details is None:
            return
        ciphertext = self.details(index)
        if frame.detail_commitment == NO_DETAIL:
            if ciphertext is not None:
                self._fault(index, "a sealed detail stands beside a leaf that commits to none")
        elif ciphertext is None:
            self._fault(index, "the sealed detail is missing")
        elif commitment_of(ciphertext) != frame.detail_commitment:
            self._fault(index, "the sealed detail is not the one that the leaf commits to")

    def _shred(self, index: int, frame: Frame) -> None:
        left = read_left_behind(frame)
        if left is not None and self.has_key is not None:
            self.shreds.left_behind(index, left)
            text = f"the keys to all details before entry {left} were left behind by a restore"
            self._find(Finding(Severity.NOTICE, index, text))
        if self.has_key is not None and frame.detail_commitment != NO_DETAIL:
            self.shreds.key(index, frame.type, there=self.has_key(index))
        told = read_erased(frame) if frame.type is EntryType.RETENTION else None
        if told is not None:
            self.shreds.erased(told)

    def _broken(self, index: int, text: str, *, under_way: bool = False) -> None:
        """Take note of what breaks the sequence rules; leaves that are not here may explain it."""
        explained = under_way or self.partial
        self._find(Finding(Severity.NOTICE if explained else Severity.FAULT, index, text))

    def _fault(self, index: int, text: str, place: Place = Place.LEAF) -> None:
        self._find(Finding(Severity.FAULT, index, text, place))

    def _find(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        else:
            self.omitted += finding.severity is Severity.FAULT
