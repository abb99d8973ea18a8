"""Hourly time stamps over our newest checkpoint, off the hot path; late ones are counted down (ledger section 8).

    (1) the newest checkpoint is taken as it is signed
    (2) the authority is asked, with a nonce
    (3) its answer is checked against the roots that we were given, and its time against our clock
    (4) token and TIMESTAMP entry become durable together

What the authority learns is the size of our ledger and its root; what it cannot is anything of an entry.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway import user_files
from gateway.admin.operation import Answer, Handler, Officer
from gateway.errors import UserError
from gateway.ledger import events, signed_note
from gateway.ledger import timestamp as stamp
from gateway.ledger.timestamp import SKEW, StampRefused
from gateway.ledger_ops.evidence_deadline import EvidenceDeadline
from gateway.operations.ledger import Stamp
from gateway.store.engine import StorageEngine
from gateway.store.ledger import witness_evidence
from gateway.store.ledger.sequencer import Sequencer

NAME: Final = "STAMPS"  # of what is late
REASON: Final = 200  # characters of why, as the alarm's entry holds it

Post = Callable[[str, bytes], bytes]  # address, request → answer; raises OSError


@dataclass(frozen=True, slots=True)
class Authority:
    """Whom we ask, whom its certificates must lead to, and how often we ask."""

    address: str
    roots: bytes
    every: timedelta


class Timestamps:
    """Asks the authority when it is time to, and says when stamps are late."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        deadline: EvidenceDeadline,
        clock: Callable[[], datetime],
        *,
        authority: Authority | None,
        post: Post,
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._deadline, self._clock = deadline, clock
        self._authority, self._post = authority, post
        self._begun = clock()
        self._one = threading.Lock()  # the round and an operator: one asks at a time

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (Handler(request=Stamp, do=self._stamp_now),)

    def round(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Have the newest checkpoint stamped where it is time; a failure is reported and counted, never raised.

        stopping   whether we end: what was cut for that is no failure, and nothing more is recorded
        """
        if self._authority is None:
            self._deadline.settled(NAME)
            return
        due = self._due(self._authority)
        if self._clock() < due:
            self._deadline.settled(NAME)
            return
        try:
            self.stamp()
        except Exception as fault:  # noqa: BLE001 - whatever it was, there is no stamp, and that is counted down
            if stopping():
                return
            # A gateway that was closed for a day is late from its opening on, or it would not answer at once;
            # what was late before it closed still is (`EvidenceDeadline`).
            ours = isinstance(fault, StampRefused | OSError)
            why = str(fault)[:REASON] if ours else type(fault).__name__
            self._deadline.late(NAME, max(due, self._begun), self._clock(), why)
        else:
            self._deadline.settled(NAME)

    def stamp(self) -> tuple[int, datetime]:
        """Have the newest checkpoint stamped now; return its size and the time that the authority states.

        Raises StampRefused, OSError where the authority does not answer, UserError where none is configured.
        """
        authority = self._authority
        if authority is None:
            raise UserError("no authority is configured: set evidence.authority and its roots")
        with self._one:
            return self._stamp(authority)

    def _stamp(self, authority: Authority) -> tuple[int, datetime]:
        text = signed_note.parse_note(self._sequencer.latest_checkpoint()).text  # (1)
        checkpoint = signed_note.Checkpoint.parse(text)
        asked = stamp.ask(text.encode())
        answer = self._post(authority.address, asked.octets)  # (2)
        at = stamp.check(answer, text.encode(), [authority.roots], nonce=asked.nonce)  # (3)
        now = self._clock()
        if abs(at - now) > SKEW:
            raise StampRefused("the authority's clock and ours differ by more than two minutes")
        leaf = events.timestamp(answer, authority.address, checkpoint, at)
        effect = witness_evidence.stamped(checkpoint.size, answer)
        self._sequencer.commit((leaf,), effect)  # (4)
        return checkpoint.size, at

    def _stamp_now(self, officer: Officer, request: Stamp) -> Answer:
        del officer, request
        try:
            size, at = self.stamp()
        except (StampRefused, OSError) as fault:
            raise UserError(f"there is no time stamp: {fault}") from None
        return {"size": size, "time": at.isoformat()}

    def _due(self, authority: Authority) -> datetime:
        with self._database.reader() as reader:
            last = witness_evidence.last_stamp(reader)
        return self._begun if last is None else last + authority.every


def authority_of(address: str | None, roots: Path | None, every: float) -> Authority | None:
    """Return the authority that the settings name; raises UserError where its roots cannot be read."""
    if address is None:
        return None
    if roots is None:
        raise UserError(
            "evidence.authority needs evidence.authority_roots: whose stamps are believed"
        )
    try:
        octets = user_files.read(roots, stamp.MOST_ROOTS)
        stamp.certificates([octets])
    except user_files.FileRefused as fault:
        raise UserError(f"{roots}: evidence.authority_roots cannot be read: {fault}") from None
    except StampRefused as fault:
        raise UserError(f"{roots}: evidence.authority_roots: {fault}") from None
    return Authority(address, octets, timedelta(seconds=every))
