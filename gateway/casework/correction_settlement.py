"""What we do about inaccurate information that partners disclosed to us: destroy it, replace it, or note it to the file.

Where the record of use decides, nobody is asked: what nobody has seen was not used, what a USE entry names
was. What was seen and not recorded as used, only a caseworker can say; until then there is no acknowledgement,
and in the end an alarm (law.md 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from gateway.casework import correction_amendment
from gateway.domain.correction import CorrectionKind, CorrectionNotice, CorrectionOutcome
from gateway.domain.outbound_query import OutboundAct, OutboundQuery, OutboundState, StoredAnswer
from gateway.errors import InProgress, InternalError
from gateway.isolated_loop import each
from gateway.law import correction_policy
from gateway.law.correction_policy import Use
from gateway.ledger import exchange_events
from gateway.ledger.entry import Leaf
from gateway.ledger.exchange_events import Corrected
from gateway.store.casework import corrections, disclosures, outbound_queries
from gateway.store.correction_lifecycle import Act, Correction
from gateway.store.effects import Effect
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.times import milliseconds
from gateway.wire import correction_payload as wire
from gateway.wire.received_fields import codes_in, with_details_apart
from keys.data_encryption import DataRing


@dataclass(frozen=True, slots=True)
class Files:
    """What the acts about corrections and outbound queries use; `clock` and `random` are the edge."""

    database: StorageEngine
    sequencer: Sequencer
    data_key: DataRing
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Word:
    """What a caseworker says where the record cannot: who, why, and in which record it was used, if it was."""

    person: str
    reason: str
    used_in: str = ""


@dataclass(frozen=True, slots=True)
class _Done:
    """What settling comes to, besides the correction's own row."""

    outcome: CorrectionOutcome
    effects: tuple[Effect, ...] = ()
    note: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    leaves: tuple[Leaf, ...] = ()


def use_of(query: OutboundQuery) -> Use:
    """Return what the record says of the use of an answer."""
    if query.used is not None:
        return Use.RECORDED
    seen = query.state is OutboundState.SHOWN
    return Use.UNKNOWN if seen else Use.NONE


def settle_due(files: Files, partner: str = "") -> int:
    """Settle every correction of partners, or of one, that the record of use decides; return how many.

    One that fails stops none of the others; the first failure is raised when all were tried.
    """
    settled = 0

    def attend(correction: Correction) -> None:
        nonlocal settled
        # The answer or the correction was changed meanwhile: the next round.
        with suppress(InProgress):
            settled += settle(files, correction, None) is not None

    each(_decidable(files.database, partner), attend, "corrections")
    return settled


def _decidable(database: StorageEngine, partner: str) -> Iterator[Correction]:
    after: corrections.Key | None = None
    while True:
        with database.reader() as reader:
            page = corrections.decidable(reader, partner, after)
        yield from page
        if len(page) < corrections.PAGE:
            return
        after = corrections.key_of(page[-1])


def settle(files: Files, correction: Correction, word: Word | None) -> CorrectionOutcome | None:
    """Do the duty of one correction; None where the record does not decide and nobody said.

    Raises InProgress where what it is about was touched meanwhile.
    """
    with files.database.reader() as reader:
        query = outbound_queries.find(reader, correction.partner, correction.number)
    if query is None:
        # A query of the partner's own: its prints went with the search, and what led on from it goes now. Of a query of
        # ours whose row has reached its end nothing is left that could be inaccurate.
        gone = disclosures.withdrawn(correction.partner, correction.number, files.clock())
        done = _Done(CorrectionOutcome.DESTROYED, (gone,))
    else:
        use = use_of(query)
        if use is not Use.UNKNOWN:
            word = None  # the record decides, whatever anybody says
        elif word is None:
            return None
        else:
            use = Use.RECORDED if word.used_in else Use.NONE
        with files.database.reader() as reader:
            papers = corrections.papers_of(reader, files.data_key, correction)
        done = _duty(files, query, (correction, wire.read_notice(papers.notice)), use, word)
    _commit(files, correction, done, word)
    return done.outcome


def _duty(
    files: Files,
    query: OutboundQuery,
    told: tuple[Correction, CorrectionNotice],
    use: Use,
    word: Word | None,
) -> _Done:
    notice = told[1]
    stored = with_details_apart(outbound_queries.stored_answer_of(files.data_key, query))
    if use is Use.RECORDED:
        return _noted(files, query, told, stored, word)
    left = correction_amendment.without(stored, notice)
    replaced = correction_amendment.right_already(left, notice)
    outcome = correction_policy.outcome(use, replaced=replaced)
    if outcome is None:
        raise InternalError("a duty without an outcome was settled")
    gone = query.sealed is None or query.state is OutboundState.DESTROYED
    if not gone and (notice.kind is CorrectionKind.WRONG_PERSON or left == StoredAnswer()):
        return _Done(
            outcome,
            (outbound_queries.moved(query, OutboundAct.DESTROY, sealed=None, outcome=None),),
            facts={"destroyed": "answer,details"},
        )
    if gone or left == stored:
        return _Done(outcome)  # nothing of it is here
    sealed = outbound_queries.seal(files.data_key, query.partner, query.number, left)
    return _Done(outcome, (outbound_queries.kept(query, sealed),), facts={"destroyed": "details"})


def _noted(
    files: Files,
    query: OutboundQuery,
    told: tuple[Correction, CorrectionNotice],
    stored: StoredAnswer,
    word: Word | None,
) -> _Done:
    """Keep what was used, the right values beside it, and a note (315.27(3)); beside nothing there is only the note."""
    correction, notice = told
    note, now = f"N-{files.random(8).hex()}", files.clock()
    kept = None if query.sealed is None else correction_amendment.about(codes_in(stored), notice)
    filed: tuple[Effect, ...] = ()
    if kept is not None:
        payload = wire.kept_bytes(kept)
        filed = (corrections.filed(files.data_key, correction, payload, now),)
    if query.used is not None:
        return _Done(
            CorrectionOutcome.USED_NOTE_TO_FILE,
            (outbound_queries.unmoved(query), *filed),
            note,
            {"used_in": query.used_in},
        )
    if word is None:
        raise InternalError("a use that nobody recorded was settled")
    used = outbound_queries.moved(
        query, OutboundAct.USE, used_ms=milliseconds(now), used_in=word.used_in
    )
    return _Done(
        CorrectionOutcome.USED_NOTE_TO_FILE,
        (used, *filed),
        note,
        {"used_in": word.used_in},
        (exchange_events.use(query, word.person, word.used_in, word.reason),),
    )


def _commit(files: Files, correction: Correction, done: _Done, word: Word | None) -> None:
    now = files.clock()
    facts = {
        **done.facts,
        **({"note": done.note} if done.note else {}),
        **({"actor": word.person, "reason": word.reason} if word else {}),
    }
    of = Corrected(correction.partner, correction.id, correction.number)
    leaf = exchange_events.correction_settlement(of, done.outcome, facts)
    settled = corrections.moved(
        correction,
        Act.SETTLE,
        outcome=int(done.outcome),
        note=done.note or None,
        send_ms=milliseconds(now),
        next_ms=milliseconds(now),
        attempts=0,
    )
    files.sequencer.commit((*done.leaves, leaf), (*settled, *done.effects))
