"""The admin operations on backups: for whom they are sealed, and that one is taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.errors import UserError
from gateway.ledger import events
from gateway.operations import backup
from gateway.store import recovery_recipient
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.trust.key_names import id_of_new_key
from keys.envelope import SealingKey
from keys.errors import MalformedKey
from keys.key_record import stamp

_SEALED_FOR = (
    "Backups are sealed for this recovery key from now on; whoever has it and its passphrase can read the whole"
    " home directory of this gateway but its wrapped keys."
)


class BackupOperations:
    """The operations on backups: for whom they are sealed, and that one is taken."""

    def __init__(
        self, database: StorageEngine, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        self._database, self._sequencer, self._clock = database, sequencer, clock

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=backup.Show, do=self._show),
            Handler(request=backup.Begin, do=self._begin),
            Handler(
                request=backup.Recipient,
                do=self._recipient,
                check=_check_public,
                state=of_all(lambda: self._held().hex()),
                plan=lambda _: (_SEALED_FOR,),
                about=lambda _, request: (id_of_new_key(request.public), ()),
            ),
        )

    def _held(self) -> bytes:
        with self._database.reader() as reader:
            return recovery_recipient.recipient(reader) or b""

    def _show(self, officer: Officer, request: backup.Show) -> Answer:
        del officer, request
        held = self._held()
        return {"recipient": SealingKey(held).key_id.hex() if held else ""}

    def _begin(self, officer: Officer, request: backup.Begin) -> Answer:
        del request
        held = self._held()
        if not held:
            raise UserError(
                "no recovery key is set: make one with `passerelle recovery new FOLDER`, keep it"
                " elsewhere, and have two operators set it: `passerelle recovery use`"
            )
        kid = SealingKey(held).key_id.hex()
        self._sequencer.commit((events.backup(kid, officer.facts),))
        return {"recipient": held.hex(), "made": stamp(self._clock())}

    def _recipient(self, officer: Officer, request: backup.Recipient) -> Answer:
        kid = SealingKey(request.public).key_id.hex()
        effects = recovery_recipient.set_recipient(request.public, self._held() or None)
        leaf = events.recovery_key(kid, request.reason, officer.facts)
        self._sequencer.commit((leaf,), effects)
        return {"recipient": kid}


def _check_public(officer: Officer, request: backup.Recipient) -> None:
    """Raise UserError for what nothing could be sealed to."""
    del officer
    try:
        SealingKey(request.public)
    except MalformedKey as fault:
        raise UserError(f"public: {fault}") from None
