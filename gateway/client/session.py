"""What every call to a partner does: carry it, judge what comes back, and keep up with the partner's keys.

(1) the partner's directory is read when its time is over, before anything is written
(2) an envelope sealed to a key that no longer opens is written anew, once: the same matter, another message id
(3) an answer under a key that we do not know is judged again under the partner's newest bundle, if there is one

Nothing is believed for having been refreshed: each answer passes every check of `gateway.client.verification`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.client.answer import VerifiedAnswer
from gateway.client.channel import Transport
from gateway.client.checkpoint_memory import CannotProve, Witness
from gateway.client.connection import REQUESTS, Connection, Connections, DirectorySource
from gateway.client.errors import AnswerRejected, KeyStale, PartnerError, Refused, SplitView
from gateway.client.freshness import Freshness, reading_deadline, unanswered
from gateway.client.request_builder import Author, Outgoing
from gateway.client.verification import Believed, Question
from gateway.ledger import signed_note
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import Checkpoint
from gateway.trust.bundle import PartyBundle
from gateway.v1 import ledger_pb2
from gateway.wire import signed_envelope

_UNPROVABLE = frozenset({"INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "FAILED_PRECONDITION"})
_PUBLISHING = (
    0.0,
    0.1,
    0.4,
)  # seconds: a partner refuses a stopped key a moment before it publishes the next
_PERHAPS_NEWER = frozenset({"signature", "receipt"})  # checks that a key of tomorrow fails today


class Session:
    """The way to one partner and back; for several threads."""

    def __init__(self, lines: Connections, freshness: Freshness, witness: Witness) -> None:
        self._lines = lines
        self._freshness = freshness
        self._witness = witness
        self._transport = Transport()

    @property
    def peer(self) -> PartyBundle:
        """The partner's bundle as we hold it now."""
        return self._lines.current.peer

    @property
    def author(self) -> Author:
        """Who writes to the partner, by that bundle."""
        return self._lines.current.author

    def close(self) -> None:
        """Close the channel, and cut what is under way on it."""
        self._transport.close()
        self._lines.close()
        self._freshness.close()

    def demand(self) -> None:
        """Raise DirectoryRefused where what was last read of the directory has ended; reads nothing."""
        self._freshness.demand(self.peer)

    def freshen(self, until: float) -> None:
        """(1). Raises DirectoryRefused where the partner's directory is not to be believed, or is over."""
        if self._freshness.due() and self.peer.root is not None:
            try:
                self.refresh(until, wait=False)
                self._witness_quietly(until)
            except PartnerError as fault:
                if not unanswered(fault):
                    raise
        self._freshness.demand(self.peer)  # between two readings too: it may have ended since

    def refresh(self, until: float, *, wait: bool = True) -> bool:
        """Read the partner's directory; return whether our view of the partner changed.

        Raises a `PartnerError`: DirectoryRefused, or that nobody answered.
        """
        with self._lines.held() as line:
            source = DirectorySource(line, self._transport, reading_deadline(until))
            newest = self._freshness.read(line.peer, source, wait=wait)
            if newest.version <= self.peer.version:
                return line.peer is not self.peer
            self._witness.know(newest.log)
            self._lines.follow(newest)
            return True

    def ask(
        self,
        outgoing: Outgoing,
        deadline: float,
        *,
        question: Question | None = None,
        rewritten: Callable[[Outgoing], None] = lambda _: None,
    ) -> tuple[Outgoing, VerifiedAnswer]:
        """Send an envelope; return what was sent in the end, and what came back, judged.

        question   that the answer has to answer, where it is not the envelope's own
        rewritten  is told of the envelope that takes the place of one sealed to a stale key
        """
        until = time.monotonic() + deadline
        try:
            return outgoing, self._exchange(outgoing, question or outgoing.question, until)
        except KeyStale:
            fresh = self._anew(outgoing, until)  # (2)
            if fresh is None:
                raise
        rewritten(fresh)
        return fresh, self._exchange(fresh, question or fresh.question, until)

    def checkpoint(self, until: float) -> Checkpoint:
        """Return the partner's newest checkpoint, after it proved to continue the one we keep."""
        floor = self._witness.size
        request = ledger_pb2.GetCheckpointRequest()
        with self._lines.held() as line:
            response, _ = self._transport.carry(line.ledger.GetCheckpoint, request, until)
            try:
                checkpoint = signed_note.open_checkpoint(response.checkpoint, *line.peer.log.vkeys)
            except NoteRefused as fault:
                raise AnswerRejected("checkpoint", str(fault)) from None
            prove = self._proving(line, until, "")
            self._witness.accept(response.checkpoint, checkpoint, floor, prove, until=until)
        return checkpoint

    def cosign(self, until: float) -> Checkpoint:
        """Look at the partner's newest checkpoint, cosign it as a witness, and hand it our line; return it.

        Only after it proved to continue the one that we keep, which is durable by then. Raises a `PartnerError`.
        """
        checkpoint = self.checkpoint(until)
        kept = self._witness.kept
        if kept is None or kept.checkpoint.size != checkpoint.size:
            return checkpoint  # another thread went on meanwhile, and cosigns that
        with self._lines.held() as line:
            name, key, now = line.witness_name, line.witness_key, line.clock()
            if key is None:
                return checkpoint
            try:
                cosigned = signed_note.cosign(kept.signed, name, key, now)
            except NoteRefused as fault:
                raise AnswerRejected("checkpoint", str(fault)) from None
            request = ledger_pb2.AddCosignatureRequest(checkpoint=cosigned)
            self._transport.carry(line.ledger.AddCosignature, request, until)
        return checkpoint

    def cosigned(self, until: float) -> bytes:
        """Return the newest checkpoint that enough witnesses cosigned, as the partner shows it; empty before.

        Both signatures of the ledger hold, and it is of the tree that we keep. Whether witnesses signed it is for
        whoever has a policy to say (`gateway.ledger.witness_policy`). Raises a `PartnerError`; SplitView where it is of
        another tree.
        """
        request = ledger_pb2.GetCheckpointRequest()
        with self._lines.held() as line:
            response, _ = self._transport.carry(line.ledger.GetCheckpoint, request, until)
            if response.cosigned:
                try:
                    checkpoint = line.peer.log.open(response.cosigned)
                except NoteRefused as fault:
                    raise AnswerRejected("checkpoint", str(fault)) from None
                prove = self._proving(line, until, "")
                self._witness.accept(response.cosigned, checkpoint, 0, prove, until=until)
        return bytes(response.cosigned)

    def _witness_quietly(self, until: float) -> None:
        """Cosign beside what was asked; whoever does not want our line is asked all the same. Raises SplitView."""
        try:
            self.cosign(until)
        except SplitView:
            raise
        except PartnerError:
            return

    def _anew(self, outgoing: Outgoing, until: float) -> Outgoing | None:
        if outgoing.rewrite is None or self.peer.root is None:
            return None
        header = outgoing.question.header
        for pause in _PUBLISHING:
            time.sleep(pause)
            try:
                self.refresh(until)
            except PartnerError as fault:
                if not unanswered(fault):
                    raise
            author = self.author
            recipient = author.peer.sealing_key(author.clock())
            same = recipient is not None and recipient.key_id == header.kem_key_id
            if not same or author.peer.version != header.directory_version:
                return outgoing.rewrite(author, self._witness.size)
            if time.monotonic() >= until:
                break
        return None

    def _exchange(self, outgoing: Outgoing, question: Question, until: float) -> VerifiedAnswer:
        operation, number = outgoing.question.operation, outgoing.question.number
        with self._lines.held() as line:
            request: Any = REQUESTS[operation](
                envelope=signed_envelope.envelope_of(outgoing.envelope)
            )
            response, attempts = self._transport.carry(
                line.methods[operation], request, until, number=number
            )
            witnessing = 0.0

            def progress(signed: bytes, checkpoint: Checkpoint, floor: int) -> None:
                nonlocal witnessing
                began = time.perf_counter()
                prove = self._proving(line, until, number)
                try:
                    self._witness.accept(signed, checkpoint, floor, prove, until=until)
                except PartnerError as fault:
                    fault.transaction_number = number
                    raise
                witnessing = time.perf_counter() - began

            began = time.perf_counter()
            believed: Believed
            try:
                believed = line.judge.judge(question, response, progress)
            except AnswerRejected as rejected:
                if rejected.step not in _PERHAPS_NEWER or not self._newer(line, until):
                    raise
                believed = self._lines.current.judge.judge(question, response, progress)  # (3)
            return VerifiedAnswer(believed, attempts, time.perf_counter() - began - witnessing)

    def _newer(self, line: Connection, until: float) -> bool:
        if line.peer.root is None:
            return False
        try:
            self.refresh(until)
        except PartnerError:
            return False  # the answer stays rejected, and for its own reason
        return self.peer is not line.peer

    def _proving(
        self, line: Connection, until: float, number: str
    ) -> Callable[[int, int], Sequence[bytes]]:
        """Return what fetches consistency proofs until then."""

        def prove(old: int, new: int) -> Sequence[bytes]:
            request = ledger_pb2.GetConsistencyProofRequest(old_size=old, new_size=new)
            method = line.ledger.GetConsistencyProof
            try:
                response, _ = self._transport.carry(
                    method, request, until, number=number, patient=True
                )
            except Refused as refused:
                if refused.code in _UNPROVABLE:
                    raise CannotProve from refused
                raise
            return tuple(response.hashes)

        return prove
