"""The agreements in force: read when the house opens, and again in its rounds, so that a new one needs no restart.

A folder is taken whole or not at all. While the house serves, one that is malformed, unsigned or contradicts the
ledger leaves everything as it was: one ALARM, until the folder is right again, and a line in the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from gateway import telemetry
from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.errors import Remedy
from gateway.law.agreement import Agreements
from gateway.law.parsing import parse
from gateway.law.reading import MAX_BYTES, MalformedAgreement
from gateway.office import adoption, signatures
from gateway.office.acts import Act, Answer, Officer, Role, always
from gateway.office.arguments import Arguments
from gateway.office.signatures import SUFFIX, Folder
from gateway.store import alarms, governance
from gateway.store.alarms import AlarmStands
from gateway.store.database import Database
from gateway.store.governance import Subject
from gateway.store.sequencer import Leaf, Sequencer
from keys import durable
from keys.keyset import Keyset
from keys.sign import VerifyingKey

ALARM = "AGREEMENTS"
LONGEST_REASON = (
    300  # characters of a complaint that an entry keeps; it names file, line and key first
)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.toml")
_TEXT = re.compile(rf"(?s).{{1,{MAX_BYTES}}}")

_log = telemetry.logger("statutes")


def read_folder(folder: Path) -> Folder:
    """Return the files of an agreements folder and their signatures."""

    def those(pattern: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(folder.glob(pattern))}

    return Folder(those("*.toml"), those(f"*.toml{SUFFIX}"))


class Statutes:
    """What is agreed, now. `current` is replaced whole, and never empty because of a mistake."""

    def __init__(  # noqa: PLR0917 - a house is made of these
        self,
        folder: Path,
        database: Database,
        sequencer: Sequencer,
        keyset: Callable[[], Keyset],
        key: Callable[[bytes, datetime], VerifyingKey | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._folder = folder
        self._database = database
        self._sequencer = sequencer
        self._keyset = keyset
        self._key = key
        self._clock = clock
        self._seen = read_folder(folder)
        self._refused: Folder | None = None
        self.current = self._vetted(self._seen)

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        operators = frozenset({Role.OPERATOR})
        return (Act("agreements.sign", operators, self._sign, always, self._state, _plan),)

    def round(self) -> None:
        """Read the folder again; what is new in it is adopted, or the whole of it refused."""
        found = read_folder(self._folder)
        if found == (self._refused or self._seen):
            return
        try:
            new = self._vetted(found)
            adoption.adopt(
                self._database,
                self._sequencer,
                keyset=self._keyset(),
                agreements=[each for versions in new.values() for each in versions],
                entries=(),
                now=self._clock(),
            )
        except (MalformedAgreement, Remedy) as fault:
            self._refused = found
            self._alarm(fault)
        else:
            self.current, self._seen, self._refused = new, found, None
            _log.info("agreements_read", count=sum(map(len, new.values())))
            self.clear()

    def clear(self) -> None:
        """End the alarm, if it stands: the folder is right."""
        with self._database.reader() as reader:
            stands = ALARM in alarms.raised(reader)
        if stands:
            with suppress(AlarmStands):
                self._sequencer.commit((Leaf(_frame("CLEAR")),), alarms.clear_alarm(ALARM))

    def _alarm(self, fault: MalformedAgreement | Remedy) -> None:
        file = fault.file if isinstance(fault, MalformedAgreement) else ""
        _log.error("agreements_refused", file=file, reason=str(fault)[:LONGEST_REASON])
        with suppress(AlarmStands):
            self._sequencer.commit(
                (Leaf(_frame("RAISE"), {"reason": str(fault)[:LONGEST_REASON]}),),
                alarms.raise_alarm(ALARM, self._clock()),
            )

    def _vetted(self, folder: Folder) -> Agreements:
        with self._database.reader() as reader:
            adopted = governance.adopted(reader, Subject.AGREEMENT)
        now = self._clock()
        return signatures.vetted(folder, lambda kid: self._key(kid, now), adopted)

    def _state(self) -> object:
        """Return what is in force: an approval counts beside the same agreements as its proposal."""
        return sorted(each.digest for versions in self.current.values() for each in versions)

    def _sign(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        name = arguments.text("file", _FILE)
        text = arguments.text("text", _TEXT).encode()
        reason = arguments.reason()

        def do() -> Answer:
            try:
                agreement = parse(text, name)
            except MalformedAgreement as fault:
                raise Remedy(str(fault)) from None
            there = read_folder(self._folder).files.get(name)
            if there not in {None, text}:
                raise Remedy(f"{name} is in the agreements folder with other content: rename yours")
            frame = Frame(
                type=EntryType.AGREEMENT,
                entry_class=EntryClass.OTHER,
                partner_id=agreement.partner,
                agreement_id=agreement.id,
                agreement_version=agreement.version,
                subject_reference="SIGNED",
            )
            facts = {
                **officer.facts,
                "reason": reason,
                "agreement_digest": agreement.digest,
            }
            self._sequencer.commit((Leaf(frame, facts),), ())
            line = signatures.signature(self._keyset().signing(), text)
            durable.replace(self._folder / f"{name}{SUFFIX}", line.encode("ascii"))
            durable.replace(self._folder / name, text)
            return {"agreement": agreement.name, "digest": agreement.digest, "signature": line}

        return do


def _plan(values: Mapping[str, object]) -> tuple[str, ...]:
    """Say what signing a file would bring into force, once it lies in the folder."""
    name, text = str(values.get("file")), str(values.get("text"))
    try:
        agreement = parse(text.encode(), name)
    except MalformedAgreement as fault:
        return (f"Nothing: {fault}",)
    return (
        f"{name} is signed: {agreement.title}; {agreement.name}, with {agreement.partner}.",
        f"In force from {agreement.in_force:%Y-%m-%d}, once it lies in the agreements folder.",
        f"SHA-256 of the file: {agreement.digest}.",
    )


def _frame(verb: str) -> Frame:
    return Frame(
        type=EntryType.ALARM, entry_class=EntryClass.OTHER, subject_reference=f"{verb}/{ALARM}"
    )
