"""The agreements in force: read when the gateway opens, and again in its rounds, so that a new one needs no restart.

Each file counts for itself. One that is malformed, unsigned or contradicts the ledger leaves everything else as it is,
and what was adopted in force: one ALARM, until the folder is right again, and a line in the log. The same holds when
the gateway starts: what it refuses while it serves does not keep it from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway import telemetry, user_files
from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.agreements import signatures
from gateway.agreements.signatures import SUFFIX, AgreementFolder, Vetted
from gateway.errors import UserError
from gateway.keymanagement import adoption
from gateway.law.agreement import Agreement, Agreements, AgreementsInForce
from gateway.law.agreement_parser import parse
from gateway.law.toml_reader import MAX_BYTES, MalformedAgreement
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.monitoring.alarms import LatchedAlarms
from gateway.operations.agreements import Sign
from gateway.store.engine import StorageEngine
from gateway.store.keys import adopted_versions
from gateway.store.keys.adopted_versions import Subject
from gateway.store.ledger.sequencer import Sequencer
from gateway.trust.partners import OwnEntry
from gateway.user_files import FileRefused
from keys import atomic_file
from keys.keyset import KeysetInForce

ALARM = "AGREEMENTS"
LONGEST_REASON = (
    300  # characters of a complaint that an entry keeps; it names file, line and key first
)

_log = telemetry.logger("agreements")


def read_folder(folder: Path) -> AgreementFolder:
    """Return the files of an agreements folder and their signatures; what cannot be read is named with the reason."""
    unreadable: dict[str, str] = {}

    def those(pattern: str) -> dict[str, bytes]:
        found = {}
        for path in sorted(folder.glob(pattern)):
            try:
                found[path.name] = user_files.read(path, MAX_BYTES)  # a FIFO is not waited for
            except FileRefused as fault:
                unreadable[path.name] = f"cannot be read: {fault}"
        return found

    return AgreementFolder(those("*.toml"), those(f"*.toml{SUFFIX}"), unreadable)


class ActiveAgreements:
    """What is agreed, now. `current` is replaced at once, and never empty because of a mistake."""

    def __init__(  # noqa: PLR0917 - a gateway is made of these
        self,
        folder: Path,
        database: StorageEngine,
        sequencer: Sequencer,
        keyset: KeysetInForce,
        own: OwnEntry,
        clock: Callable[[], datetime],
    ) -> None:
        """Read the folder; `own` is our entry, whose keys sign our agreements. Nothing is recorded before `begin`."""
        self._party = own.bundle.party
        self._folder = folder
        self._database = database
        self._sequencer = sequencer
        self._alarms = LatchedAlarms(database, sequencer, clock)
        self._keyset = keyset
        self._own = own
        self._clock = clock
        self._seen = read_folder(folder)
        self._refused: AgreementFolder | None = None
        self._vetted_last = self._vetted(self._seen)
        self.in_force = AgreementsInForce(self._vetted_last.agreements)

    @property
    def current(self) -> Agreements:
        """Every version that counts, by agreement."""
        return self.in_force.current

    def begin(self) -> None:
        """Keep the texts of what was adopted at the opening, and say what does not count, or that all does."""
        self._keep(self._vetted_last)
        self._raise_or_clear(self._vetted_last.faults)

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(
                request=Sign,
                do=self._sign,
                state=of_all(self._state),
                plan=self._plan,
                about=_about,
            ),
        )

    def round(self) -> None:
        """Read the folder again: what is new in it is adopted, file by file, and what does not count is said."""
        found = read_folder(self._folder)
        if found == (self._refused or self._seen):
            return
        new = self._vetted(found)
        try:
            adoption.adopt(
                self._database,
                self._sequencer,
                keyset=self._keyset.current,
                agreements=[each for versions in new.agreements.values() for each in versions],
                entries=(),
                now=self._clock(),
            )
        except UserError as fault:
            self._raise_or_clear((fault,))
            self._refused = found
            return
        self._keep(new)
        if dict(new.agreements) != dict(self.current):
            self.in_force.current = new.agreements
            _log.info("agreements_read", count=sum(map(len, new.agreements.values())))
        self._raise_or_clear(new.faults)
        self._seen, self._refused = found, None

    def _keep(self, new: Vetted) -> None:
        """Keep the texts that are in force and not kept yet."""
        with self._database.reader() as reader:
            kept = adopted_versions.texts(reader)
            adopted = adopted_versions.adopted(reader, Subject.AGREEMENT)
        effects = [
            adopted_versions.keep_text(name, text)
            for name, text in new.texts.items()
            if name in adopted and kept.get(name) != text
        ]
        if effects:
            self._sequencer.commit((), effects)

    def _raise_or_clear(self, faults: Sequence[MalformedAgreement | UserError]) -> None:
        """Raise the alarm for what does not count, with a line in the log for each; end it where all does."""
        for fault in faults:
            file = fault.file if isinstance(fault, MalformedAgreement) else ""
            _log.error("agreements_refused", file=_plain(file), reason=_plain(str(fault)))
        if faults:
            reason = _plain(str(faults[0]))
            self._alarms.raise_once(ALARM, events.alarm(ALARM, reason))
        else:
            self.clear()

    def clear(self) -> None:
        """End the alarm, if it stands: the folder is right."""
        self._alarms.clear_once(ALARM, events.alarm_end(ALARM))

    def _vetted(self, folder: AgreementFolder) -> Vetted:
        with self._database.reader() as reader:
            adopted = adopted_versions.adopted(reader, Subject.AGREEMENT)
            kept = adopted_versions.texts(reader)
        now, own = self._clock(), self._own.bundle
        return signatures.vetted(
            folder, lambda kid: own.signing_key(kid, now), adopted, kept, self._party
        )

    def _state(self) -> object:
        """Return what is in force: an approval counts beside the same agreements as its proposal."""
        return sorted(each.digest for versions in self.current.values() for each in versions)

    def _sign(self, officer: Officer, request: Sign) -> Answer:
        name, text = request.file, request.text.encode()
        agreement = self._signable(name, text)
        leaf = events.agreement_signature(agreement, request.reason, officer.facts)
        self._sequencer.commit((leaf,), ())
        line = signatures.signature(self._keyset.current.signing(), text)
        atomic_file.replace(self._folder / f"{name}{SUFFIX}", line.encode("ascii"))
        atomic_file.replace(self._folder / name, text)
        return {"agreement": agreement.name, "digest": agreement.digest, "signature": line}

    def _signable(self, name: str, text: bytes) -> Agreement:
        """Return what a file says; raises UserError where it is none, or its name is taken."""
        try:
            agreement = parse(text, name)
        except MalformedAgreement as fault:
            raise UserError(str(fault)) from None
        if why := signatures.not_ours(agreement, self._party):
            raise UserError(f"{name}: agreement.home: {why}")
        if read_folder(self._folder).files.get(name) not in {None, text}:
            raise UserError(f"{name} is in the agreements folder with other content: rename yours")
        return agreement

    def _plan(self, request: Sign) -> tuple[str, ...]:
        """Say what signing a file would bring into force, once it lies in the folder."""
        name = request.file
        agreement = self._signable(name, request.text.encode())
        return (
            f"{name} is signed: {agreement.title}; {agreement.name}, with {agreement.partner}.",
            f"In force from {agreement.in_force:%Y-%m-%d}, once it lies in the agreements folder.",
            f"SHA-256 of the file: {agreement.digest}.",
        )


def _about(officer: Officer, request: Sign) -> tuple[str, tuple[Leaf, ...]]:
    """Return the agreement that a file says, in words; nobody in particular is shown by it."""
    del officer
    try:
        agreement = parse(request.text.encode(), request.file)
    except MalformedAgreement as fault:
        raise UserError(str(fault)) from None
    return (
        f"{agreement.name} with {agreement.partner}, in force from {agreement.in_force:%Y-%m-%d}",
        (),
    )


def _plain(text: str) -> str:
    """Return what an entry can hold of a complaint: a file may have any name."""
    return text.encode("ascii", errors="replace").decode("ascii")[:LONGEST_REASON]
