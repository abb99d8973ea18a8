"""Brings what earlier data keys sealed to the one in use, so that they can be destroyed and nothing is lost.

A little in every round, each batch one entry of the ledger; done, it costs nothing until the next key. A data key is
destroyed only when nothing is sealed with it any more, whoever decided it. What a call sealed with the key of before its
promotion may be committed after all was seen: so the turn that counts begins when no such call is left.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gateway import telemetry
from gateway.errors import PasserelleError
from gateway.ledger import events
from gateway.store.engine import StorageEngine
from gateway.store.keys.reencryption import Turn
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.store.times import milliseconds
from keys.data_encryption import DataRing, tag_of
from keys.errors import KeysError
from keys.keyset import Keyset, KeysetInForce
from keys.lifecycle import DATA_WINDOW, KeyKind, KeyState
from keys.rotation_schedule import short

BATCH = 500  # things of one commit: a quarter of a second of the writer lock
BATCHES = 20  # of one round
WINDOWS = 200  # of entries that are looked through for one batch

_log = telemetry.logger("reencryption")


class Reencryption:
    """Moves sealed things to the data key in use; for one thread."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        ring: DataRing,
        keyset: KeysetInForce,
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._ring, self._keyset, self._clock = ring, keyset, clock
        self._turn: Turn | None = None
        self._of: tuple[bytes, bool] = b"", False  # the key of the turn, and whether it counts
        self._done: tuple[bytes, bool] = b"", False  # of the last that found nothing left

    def round(self) -> None:
        """Move some batches. What fails is logged with its reason, and raised: in several rounds in a row it is an ALARM."""
        try:
            for _ in range(BATCHES):
                if not self.step():
                    return
        except (PasserelleError, KeysError) as fault:
            _log.error("reseal_failed", kind=type(fault).__name__, reason=str(fault))
            raise

    def step(self) -> int:
        """Move one batch; return how many things it held. Raises InternalError for what no key opens."""
        keyset = self._keyset.current
        primary = keyset.primary(KeyKind.DATA)
        now = self._clock()
        counts = now > primary.changed + DATA_WINDOW
        if not _earlier(keyset, primary.kid) or self._done == (primary.kid, counts):
            return 0
        if self._turn is None or self._of[0] != primary.kid:
            self._turn, self._of = Turn(self._ring, tag_of(primary.kid)), (primary.kid, counts)
        try:
            effects = self._batch(self._turn, milliseconds(now))
            if effects:
                leaf = events.reencryption(short(primary.kid), len(effects))
                self._sequencer.commit((leaf,), effects)
        except BaseException:
            self._turn = None  # it went past what is not committed: the next begins anew
            raise
        if effects is None:
            self._turn, self._done = None, self._of
        return len(effects or ())

    def _batch(self, turn: Turn, now_ms: int) -> tuple[Effect, ...] | None:
        """Return the next batch; None when all is done, none where so many entries held nothing that another round goes on."""
        for _ in range(WINDOWS):
            with self._database.reader() as reader:  # a snapshot of its own: none is held for long
                effects = turn.batch(reader, BATCH, now_ms)
            if effects is None or effects:
                return effects
        return ()

    def unused(self) -> frozenset[bytes]:
        """Return the data keys with which nothing is sealed any more, as far as the last turn saw.

        Whoever destroys one looks once more all the same: `begin_anew`, before that is found out.
        """
        kid, counts = self._done
        mine = [r for r in self._keyset.current.records if r.kind is KeyKind.DATA]
        if not counts or [r.kid for r in mine if r.state is KeyState.ACTIVE] != [kid]:
            return frozenset()
        return frozenset(
            r.kid for r in mine if r.state not in {KeyState.PREACTIVE, KeyState.ACTIVE}
        )

    def begin_anew(self) -> None:
        """Look at everything once more, from the next step on."""
        self._done = b"", False


def _earlier(keyset: Keyset, kid: bytes) -> bool:
    """Say whether an earlier data key could still have things sealed with it."""
    return any(
        record.kind is KeyKind.DATA
        and record.kid != kid
        and record.state not in {KeyState.PREACTIVE, KeyState.DESTROYED}
        for record in keyset.records
    )
