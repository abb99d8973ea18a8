"""What a call leaves in the ledger: the two commits of the pipeline, and the entry of each refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.messages import Header, Reply, SignedEnvelope
from gateway.errors import Refusal
from gateway.exchange.operation import Admitted, Conclusion, Request
from gateway.exchange.refusal_counter import RefusalCounter
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf
from gateway.store.exchange import transactions
from gateway.store.exchange.seen_versions import Sightings
from gateway.store.ledger.sequencer import Committed, Effect, Sequencer
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
        effects = transactions.begin_request(header, request.transcript, admitted.claims, now)
        sight = self._sightings.effects(header.sender, header.directory_version, now)
        waits()
        leaf = exchange_events.request(header, request.transcript, admitted.facts)
        done = self._commit((leaf,), (*effects, *sight))
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
        request, letter = admitted.request, written.letter
        transcript = envelope.transcript_hash(letter.header, letter.sealed)
        leaf = exchange_events.response(
            request.header, written.header, transcript, conclusion.facts
        )
        effects = transactions.finish_request(
            request.header,
            letter,
            conclusion.settled,
            self._clock(),
            response_index=conclusion.response_index,
        )
        waits()
        done = self._commit((*conclusion.leaves, leaf), (*conclusion.effects, *effects))
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
        self._commit((exchange_events.refusal(header, transcript, refusal),), ())

    def denied(self, request: Request, leaves: tuple[Leaf, ...], refusal: Refusal) -> None:
        """An operation says no after its first commit: the message is closed, and a copy of it gets the same refusal."""
        header = request.header
        leaf = exchange_events.refusal(header, request.transcript, refusal)
        self._commit((*leaves, leaf), (transactions.refused(header, refusal),))

    def unfinished(self, request: Request, leaves: tuple[Leaf, ...], cause: Exception) -> None:
        """The gateway is at fault: the refusal denies nothing, and a retry may still be answered."""
        leaf = exchange_events.failure(request.header, request.transcript, cause)
        self._commit((*leaves, leaf), ())

    def _commit(self, leaves: tuple[Leaf, ...], effects: tuple[Effect, ...]) -> Committed:
        return self._sequencer.commit(leaves, effects)
