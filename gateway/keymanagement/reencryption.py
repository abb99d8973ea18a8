"""Brings what earlier data keys sealed to the one in use, so that they can be destroyed and nothing is lost.

A little in every round, each batch one entry of the ledger; done, it costs nothing until the next key. A data key is
destroyed only when nothing is sealed with it any more, whoever decided it.
"""

from __future__ import annotations

from gateway import telemetry
from gateway.errors import PasserelleError
from gateway.ledger import events
from gateway.store.engine import StorageEngine
from gateway.store.keys import reencryption
from gateway.store.ledger.sequencer import Sequencer
from keys.data_encryption import DataRing, tag_of
from keys.errors import KeysError
from keys.keyset import Keyset, KeysetInForce
from keys.lifecycle import KeyKind, KeyState
from keys.rotation_schedule import short

BATCH = 500  # things of one commit: a quarter of a second of the writer lock
TURN = 20  # batches of one round

_log = telemetry.logger("reencryption")


class Reencryption:
    """Moves sealed things to the data key in use."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        ring: DataRing,
        keyset: KeysetInForce,
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._ring, self._keyset = ring, keyset
        self._done = b""  # the key that everything was found sealed with

    def round(self) -> None:
        """Move one batch; what fails is logged, and the next round tries again."""
        try:
            for _ in range(TURN):
                if not self.step():
                    return
        except (PasserelleError, KeysError) as fault:
            _log.error("reseal_failed", kind=type(fault).__name__, reason=str(fault))

    def step(self) -> int:
        """Move one batch; return how many things it held. Raises InternalError for what no key opens."""
        keyset = self._keyset.current
        kid = keyset.primary(KeyKind.DATA).kid
        if kid == self._done or not _earlier(keyset, kid):
            return 0
        with self._database.reader() as reader:
            effects = tuple(reencryption.moves(reader, self._ring, tag_of(kid), BATCH))
        if not effects:
            self._done = kid
            return 0
        self._sequencer.commit((events.reencryption(short(kid), len(effects)),), effects)
        return len(effects)


def _earlier(keyset: Keyset, kid: bytes) -> bool:
    """Say whether an earlier data key could still have things sealed with it."""
    return any(
        record.kind is KeyKind.DATA
        and record.kid != kid
        and record.state not in {KeyState.PREACTIVE, KeyState.DESTROYED}
        for record in keyset.records
    )
