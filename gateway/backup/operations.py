"""The admin operations on backups: for whom they are sealed, and that one is taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, Officer, Role, always
from gateway.errors import UserError
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.store import snapshot
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.sqlite import Database
from gateway.trust.key_names import handed_in
from keys.envelope import PUBLIC_BYTES, SealingKey
from keys.errors import MalformedKey
from keys.key_record import stamp

_OPERATORS = frozenset({Role.OPERATOR})
_READERS = frozenset({Role.OPERATOR, Role.AUDITOR})

_SEALED_FOR = (
    "Backups are sealed for this recovery key from now on; whoever has it and its passphrase can read the whole"
    " folder of this gateway but its wrapped keys."
)

Doing = Callable[[], Answer]


class BackupOperations:
    """The operations on backups: for whom they are sealed, and that one is taken."""

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
                raise UserError(
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
            raise UserError(f"public: {fault}") from None

        def do() -> Answer:
            frame = Frame(type=EntryType.CUSTODY, entry_class=EntryClass.OTHER)
            facts = {"operation": "backup.recipient", "recipients": kid, "reason": reason}
            effects = snapshot.set_recipient(public, self._held() or None)
            self._sequencer.commit((Leaf(frame, {**facts, **officer.facts}),), effects)
            return {"recipient": kid}

        return do
