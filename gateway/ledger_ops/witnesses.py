"""Our ledger before its witnesses: whose cosignatures we keep, and whether enough of them have looked lately.

A witness is a partner, by the key in its bundle, or whoever the policy names. It looked at a checkpoint of ours, had
it proved that the tree only grew since it last looked, and signed so. We keep its line; without such lines whoever
holds our ledger's keys could rewrite what no partner happens to remember.

    (1) the note is a checkpoint of ours, under both signatures, of a size and a root that we signed
    (2) a line of a known witness is under it and verifies
    (3) it is kept, with our own lines: whoever asks gets one note that says all

Witnesses look at different moments and so at different sizes. Whoever cosigned a tree vouches for every smaller one
that it begins with; the quorum has reached the largest size that enough of them cosigned, or went beyond. What is late
is counted from the first checkpoint after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway import calendar_bounds, user_files
from gateway.admin.operation import Answer, Handler, Officer
from gateway.config import Settings
from gateway.errors import ElementInvalid, InternalError, UserError
from gateway.ledger import events
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import (
    MAX_SIGNATURES,
    Checkpoint,
    LogIdentity,
    Note,
    SignatureLine,
    VerifierKey,
    line_of,
    parse_note,
    with_lines,
)
from gateway.ledger.witness_policy import MAX_POLICY, NONE, Policy, PolicyRefused
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.operations.ledger import AddCosignature, ListWitnesses
from gateway.store.effects import Effect
from gateway.store.engine import StorageEngine
from gateway.store.ledger import witness_evidence
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.times import moment
from gateway.trust.configured import directory_of
from gateway.trust.partners import Directory, OwnEntry

NAME: Final = "WITNESSES"  # of what is late
_WRONG: Final = {
    "checkpoint": "this is no checkpoint that we signed: take the witness's .cosigned file of our ledger",
    "cosignature": "no witness of evidence.policy signed it: add its line to the policy first",
}
LOOKED_AT: Final = (
    64  # of the latest cosigned sizes, in which the newest with a quorum is looked for
)


@dataclass(frozen=True, slots=True)
class Examined:
    """Whose lines a note bears, and what is to be kept of them."""

    names: tuple[str, ...]
    effects: tuple[Effect, ...]


class Witnesses:
    """Takes cosignatures, serves them, and says when they are late."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        directory: Directory,
        *,
        own: OwnEntry,
        clock: Callable[[], datetime],
        deadline: EvidenceDeadline,
        policy: Policy | None,
        wanted: timedelta,
    ) -> None:
        """Prepare.

        own     our entry, whose log verifies our own checkpoints, the past ones too
        wanted  how soon after a checkpoint the quorum's cosignatures are wanted; later is late
        """
        self._database, self._sequencer, self._directory = database, sequencer, directory
        self._own, self._clock = own, clock
        self._deadline, self._policy, self._wanted = deadline, policy, wanted
        self._begun = clock()
        self._accused: set[tuple[str, str]] = set()

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=AddCosignature, do=self._add),
            Handler(request=ListWitnesses, do=self._list),
        )

    def _add(self, officer: Officer, request: AddCosignature) -> Answer:
        """Keep what an independent witness said, which somebody brings by hand."""
        del officer
        note = bytes.fromhex(request.note)
        try:
            names = self.add("", note)
        except ElementInvalid as fault:
            raise UserError(_WRONG[fault.metadata["element"]]) from None
        return {"witnesses": ", ".join(names), "size": self._own.log.open(note).size}

    def _list(self, officer: Officer, request: ListWitnesses) -> Answer:
        del officer, request
        quorum = "none is demanded" if self._policy is None else self._policy.quorum
        left = self._deadline.left(NAME, self._clock())
        late = None if left is None else int(left.total_seconds())
        return {
            "witnesses": self.latest(),
            "quorum": quorum,
            "reached": self.reached(),
            "service_ends_in_s": late,
        }

    def add(self, party: str, note: bytes) -> list[str]:
        """Keep what a witness said and return whose lines were kept; raises ElementInvalid where it is not of a checkpoint of ours, or nobody's.

        party   who brings it, as in `examine`
        """
        examined = self.examine(party, note)
        self.keep(examined)
        return list(examined.names)

    def examine(self, party: str, note: bytes) -> Examined:
        """Verify what a witness said, and write nothing; raises ElementInvalid as `add` does.

        party   who brings it: its own witness's line counts, and the lines of witnesses whom the policy names
        """
        try:
            checkpoint = self._own.log.open(note)  # (1)
        except NoteRefused:
            raise ElementInvalid(element="checkpoint") from None
        with self._database.reader() as reader:
            ours = witness_evidence.root_of(reader, checkpoint.size)
            known = {name: (size, kept) for size, name, kept in witness_evidence.latest(reader)}
        if ours is None or ours[0] != checkpoint.root:
            raise ElementInvalid(element="checkpoint")
        found = self._lines(note, self._known(party))  # (2)
        if not found:
            raise ElementInvalid(element="cosignature")
        effects: list[Effect] = []
        for name, lines in found.items():
            size, last = known.get(name, (0, b""))
            said = with_lines(ours[1], lines)
            if size <= checkpoint.size and said != last:  # what is older says nothing more
                effects += witness_evidence.kept(checkpoint.size, name, said)
        return Examined(tuple(sorted(found)), tuple(effects))

    def keep(self, examined: Examined) -> None:
        """Keep what was examined; what is kept already costs no commit."""
        if examined.effects:
            self._sequencer.commit((), examined.effects)  # (3)

    def cosigned(self) -> bytes:
        """Return our newest checkpoint under which lines of a whole quorum stand, with every line that we have.

        Empty where witnesses never looked at one size; `reached` of the policy counts them all the same.
        """
        with self._database.reader() as reader:
            for size in witness_evidence.sizes(reader, LOOKED_AT):
                note = self._merged(witness_evidence.under(reader, size))
                if self._enough(note):
                    return note
        return b""

    def reached(self) -> int:
        """Return up to which size the quorum has cosigned our ledger; 0 where it never did, or none is demanded."""
        if self._policy is None:
            return 0
        with self._database.reader() as reader:
            notes = [note for _, _, note in witness_evidence.latest(reader)]
        return self._policy.reached(notes, self._vouched())

    def latest(self) -> list[dict[str, object]]:
        """Return what each witness last cosigned, for people."""
        with self._database.reader() as reader:
            found = witness_evidence.latest(reader)
        return [
            {"witness": name, "size": size, "time": _stated(note, name)}
            for size, name, note in found
        ]

    def accuse(self, party: str, digest: str) -> None:
        """Record that a partner's ledger was seen to have two histories, once for each evidence.

        digest   SHA-256 of the evidence file, hexadecimal
        """
        if (party, digest) in self._accused:
            return
        self._sequencer.commit((events.split_view(party, digest),))
        self._accused.add((party, digest))

    def round(self) -> None:
        """Find out whether the quorum is late; says so to the countdown."""
        now = self._clock()
        first = self._uncosigned()
        if first is None or now - first <= self._wanted:
            self._deadline.settled(NAME)
            return
        # A ledger that slept, or whose quorum is demanded from now on, is late from the opening on, or nothing would be
        # answered at once; what was late before the gateway closed still is (`EvidenceDeadline`).
        since = max(first, self._begun)
        if now - since > self._wanted or NAME in self._deadline.standing:
            self._deadline.late(NAME, since, now, "COSIGNATURES_MISSING")

    def _uncosigned(self) -> datetime | None:
        """Return since when a checkpoint waits for the quorum; None where none is demanded, or none waits."""
        if self._policy is None or self._policy.quorum == NONE:
            return None
        with self._database.reader() as reader:
            first = witness_evidence.first_beyond(reader, self.reached())
        return None if first is None else moment(first)

    def _enough(self, note: bytes) -> bool:
        if self._policy is None:
            return True
        return self._policy.satisfied(self._policy.cosigned(note, self._vouched()))

    def _known(self, party: str) -> list[VerifierKey]:
        named = [] if self._policy is None else list(self._policy.witnesses.values())
        return [*named, *self._vouched().get(f"passerelle/{party}/witness", ())]

    def _vouched(self) -> Mapping[str, list[VerifierKey]]:
        """Return the witnesses' keys in our partners' bundles, by name."""
        keys = [VerifierKey.parse(b.witness) for b in self._directory.parties() if b.witness]
        return {key.name: [key] for key in keys}

    def _merged(self, notes: list[bytes]) -> bytes:
        """Return one note with the lines of several over the same checkpoint; of too many, those that the policy names."""
        if not notes:
            raise InternalError("a size without a note")
        first, *others = map(parse_note, notes)
        named = set() if self._policy is None else {k.name for k in self._policy.witnesses.values()}
        lines = [line for each in (first, *others) for line in each.signatures]
        own = Checkpoint.parse(first.text).origin
        lines.sort(key=lambda line: (line.name != own, line.name not in named))
        kept = list(dict.fromkeys(lines))[:MAX_SIGNATURES]
        return Note(first.text, tuple(kept)).format()

    @staticmethod
    def _lines(note: bytes, keys: list[VerifierKey]) -> dict[str, list[SignatureLine]]:
        """Return the lines of known keys by name: one witness may sign with a key of each type."""
        found: dict[str, list[SignatureLine]] = {}
        parsed = parse_note(note)
        for key in keys:
            try:
                line = line_of(parsed, key)
            except NoteRefused:
                raise ElementInvalid(element="cosignature") from None
            if line is not None and line not in found.setdefault(key.name, []):
                found[key.name].append(line)
        return {name: lines for name, lines in found.items() if lines}


def witnesses_of(settings: Settings) -> dict[str, list[VerifierKey]]:
    """Return the keys of all witnesses that are known, by name: of our partners' bundles and of the policy."""
    parties = directory_of(settings).parties()
    keys = [VerifierKey.parse(each.witness) for each in parties if each.witness]
    policy = policy_of(settings.evidence.policy)
    keys += [] if policy is None else policy.witnesses.values()
    found: dict[str, list[VerifierKey]] = {}
    for key in keys:
        found.setdefault(key.name, []).append(key)
    return found


def policy_of(path: Path | None, log: LogIdentity | None = None) -> Policy | None:
    """Read the policy that the settings name, of this ledger; raises UserError that says what is wrong with it."""
    if path is None:
        return None
    try:
        policy = Policy.parse(user_files.read(path, MAX_POLICY))
        if log is not None:
            policy.demand(log)
    except user_files.FileRefused as fault:
        raise UserError(
            f"{path}: evidence.policy names a file that cannot be read: {fault}"
        ) from None
    except PolicyRefused as fault:
        raise UserError(f"{path}: {fault}") from None
    return policy


def _stated(note: bytes, name: str) -> str | None:
    """Return when a witness says that it cosigned; None where no calendar has that time."""
    said = [line.stated for line in parse_note(note).signatures if line.name == name]
    found = calendar_bounds.of_seconds(max(said, default=0))
    return None if found is None else found.isoformat(timespec="seconds")
