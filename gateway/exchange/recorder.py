"""What a call leaves in the ledger: the two commits of the pipeline, and the entry of each refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain.messages import Direction, Header, Reply, SignedEnvelope
from gateway.errors import Refusal, ReplayConflict
from gateway.exchange.operation import Admitted, Conclusion, Request
from gateway.exchange.refusal_counter import RefusalCounter
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.store.exchange import transactions
from gateway.store.exchange.seen_versions import Sightings
from gateway.store.ledger.sequencer import Committed, Effect, Leaf, Sequencer
from keys import envelope


@dataclass(frozen=True, slots=True)
class Recorded:
    """A signed envelope of ours, and the header that it holds."""

    header: Header
    letter: SignedEnvelope


class Recorder:
    """Writes the entries of calls; each method returns when what it wrote is durable."""

    def __init__(
        self,
        sequencer: Sequencer,
        refused: RefusalCounter,
        clock: Callable[[], datetime],
        sightings: Sightings,
    ) -> None:
        self._sequencer = sequencer
        self._refused = refused
        self._clock = clock
        self._sightings = sightings

    def request(self, admitted: Admitted, waits: Callable[[], None]) -> bytes:
        """(14): nothing is compared before this is durable; return the hash of the REQUEST leaf.

        With it is kept which version of our entry the sender uses, where that was not seen before.

        waits   is called once everything is prepared, before the disk is waited for
        """
        request, now = admitted.request, self._clock()
        header = request.header
        frame = self._frame(EntryType.REQUEST, EntryClass.ACCEPTED, header, request.transcript)
        effects = transactions.begin_request(header, request.transcript, admitted.claims, now)
        sight = self._sightings.effects(header.sender, header.directory_version, now)
        waits()
        done = self._commit((Leaf(frame, admitted.facts),), (*effects, *sight))
        if sight:
            self._sightings.kept(header.sender, header.directory_version)
        return done.leaf_hashes[0]

    def response(
        self,
        admitted: Admitted,
        conclusion: Conclusion,
        written: Recorded,
        waits: Callable[[], None],
    ) -> Reply:
        """(20): what this does not make durable does not leave; `waits` as in `request`."""
        request, answer, letter = admitted.request, written.header, written.letter
        frame = replace(
            self._frame(
                EntryType.RESPONSE,
                EntryClass.ANSWERED,
                request.header,
                envelope.transcript_hash(letter.header, letter.sealed),
            ),
            signing_key_id=answer.signing_key_id,
            kem_key_id=answer.kem_key_id,
            directory_version=answer.directory_version,
        )
        effects = transactions.finish_request(
            request.header,
            letter,
            conclusion.settled,
            self._clock(),
            response_index=conclusion.response_index,
        )
        leaves = (*conclusion.leaves, Leaf(frame, conclusion.facts))
        waits()
        done = self._commit(leaves, (*conclusion.effects, *effects))
        if isinstance(conclusion.answer, Reply):
            return conclusion.answer
        return Reply(letter, self._sequencer.receipt(done.indices[-1], done.checkpoint_size))

    def refusal(self, header: Header, transcript: bytes, refusal: Refusal) -> None:
        """A refusal is durable before it is an error; when the ledger cannot, that is the only answer.

        Beyond the allowance of a minute refusals are counted instead: signed junk is as cheap as unsigned.
        """
        if not self._refused.recordable(header.sender):
            self._refused.count(header.sender, refusal.reason)
            return
        kind = EntryType.REFUSAL
        if isinstance(refusal, ReplayConflict):
            kind = EntryType.REPLAY_CONFLICT
        frame = self._frame(kind, EntryClass.DENIED, header, transcript)
        self._commit((Leaf(frame, _why(header, refusal)),), ())

    def denied(self, request: Request, leaves: tuple[Leaf, ...], refusal: Refusal) -> None:
        """An operation says no after its first commit: the message is closed, and a copy of it gets the same refusal."""
        header = request.header
        frame = self._frame(EntryType.REFUSAL, EntryClass.DENIED, header, request.transcript)
        closed = transactions.refused(header, refusal)
        self._commit((*leaves, Leaf(frame, _why(header, refusal))), (closed,))

    def unfinished(self, request: Request, leaves: tuple[Leaf, ...], cause: Exception) -> None:
        """The gateway is at fault: the refusal denies nothing, and a retry may still be answered."""
        reason = cause.reason if isinstance(cause, Refusal) else "INTERNAL"
        facts = {"operation": request.header.operation.name, "reason": reason}
        frame = self._frame(EntryType.REFUSAL, EntryClass.OTHER, request.header, request.transcript)
        self._commit((*leaves, Leaf(frame, facts)), ())

    def _commit(self, leaves: tuple[Leaf, ...], effects: tuple[Effect, ...]) -> Committed:
        return self._sequencer.commit(leaves, effects)

    def _frame(
        self, kind: EntryType, entry_class: EntryClass, header: Header, transcript: bytes
    ) -> Frame:
        return Frame(
            type=kind,
            entry_class=entry_class,
            partner_id=header.sender,
            direction=Direction.INBOUND,
            message_id=header.message_id,
            transcript=transcript,
            transaction_number=header.transaction_number,
            signing_key_id=header.signing_key_id,
            kem_key_id=header.kem_key_id,
            directory_version=header.directory_version,
            agreement_id=header.agreement_id,
            agreement_version=header.agreement_version,
            subject_reference=header.operation.name,
        )


def _why(header: Header, refusal: Refusal) -> dict[str, str]:
    """Return what the auditor reads of a refusal: the operation, the reason, and the element or check that caused it."""
    element = {"element": refusal.metadata["element"]} if "element" in refusal.metadata else {}
    why = dict(zip(["why"], getattr(refusal, "__notes__", ()), strict=False))
    return {"operation": header.operation.name, "reason": refusal.reason, **element, **why}
