"""The order that entries must have: what must follow what, seen in the frames alone, in three parts.

Exchanges, and the reviews in them (`SequenceRules`):

    exchange    = REFUSAL* | REQUEST REFUSAL* closing
    closing     = RESPONSE | ABANDONED | a REFUSAL of class DENIED that nothing follows
    an answered SUBMIT_QUERY has exactly one DESTRUCTION, in the same commit as its RESPONSE or before, or a
    REVIEW instead; each attempt that ended in a REFUSAL of class OTHER has its own, before that REFUSAL
    review      = REVIEW VERDICT? (DESTRUCTION VERDICT | DESTRUCTION ABANDONED), within REVIEW_LONGEST; what
    ends it stands in one commit with the DESTRUCTION

Entries belong together by partner and message identifier. A REFUSAL without a REQUEST is a message refused
before it was accepted. One after its REQUEST refuses a copy of it, or a search that could not be completed:
a retry may still be answered under the same REQUEST (ledger 10), or the periodic jobs abandons it.

Remembered is what is open, and what the last hour has closed. An identifier may return after REPLAY_WINDOW.

What follows an exchange: corrections, acknowledgements, what we asked, and its use (`FollowUpRules`):

    correction out  = CORRECTION(OTHER)+ CORRECTION(ANSWERED)* [ACKNOWLEDGEMENT(ACCEPTED), inbound, once]
    correction in   = CORRECTION(ACCEPTED), inbound, once; ACKNOWLEDGEMENT(OTHER)+ ACKNOWLEDGEMENT(ANSWERED)*
    query of ours   = ASKED(OTHER), once; ANSWER_RECEIVED(ACCEPTED)* then one end: ANSWER_RECEIVED(ANSWERED or
                      DENIED) or an outbound ABANDONED; USE* after an answer
    ASKED(DENIED)   a query that our own law stopped; nothing follows it

Entries belong together by partner and transaction number; a correction's number is its own identifier. What
has ended stays remembered: a use may come two years after its answer.

What our own people open and close: holds, decisions, alarms, proposals (`AdminRules`):

    HOLD      PLACE/H-…  PLACE_ALL/H-…  RELEASE/H-…    each identifier once, released once
    DECISION  REFUSE/R-…  LIFT/R-…                     likewise
    ALARM     RAISE/NAME  CLEAR/NAME                   in turns; an alarm of another form is only news
    PROPOSAL  PROPOSED/P-…  APPROVED/P-… …             along the edges of a proposal's life; REFUSED moves nothing

While a hold on everything stands, nothing is erased. Holds on one person, query or partner are between the sealed
details and the rows; the frames of what was erased name nobody.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, TypeAlias

from gateway.domain.messages import Direction, Operation
from gateway.ledger.crypto_shredding import read_erased
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.ledger.entry_types import SHAPES
from keys.approval import EDGES, State

# Ledger 9: 10 of message life and 5 of margin. The store keeps an identifier at least as long.
REPLAY_WINDOW: Final = timedelta(minutes=15)
CLOSING_GRACE: Final = timedelta(
    hours=1
)  # the periodic jobs abandons minutes after the window's end
REVIEW_LONGEST: Final = timedelta(
    hours=25
)  # a day (protocol 4, "Review"), and the periodic jobs' rounds
SEARCHING: Final = Operation.SUBMIT_QUERY.name  # subject reference of what has prints to destroy

Key: TypeAlias = tuple[str, bytes]  # partner, message identifier
PartnerNumber: TypeAlias = tuple[str, str]  # partner, transaction number

_CLASSED = frozenset({EntryType.REQUEST, EntryType.RESPONSE, EntryType.REFUSAL})
_BOUND = (
    EntryType.REQUEST,
    EntryType.RESPONSE,
    EntryType.ABANDONED,
    EntryType.DESTRUCTION,
    EntryType.REVIEW,
    EntryType.VERDICT,
)


class _Place(Enum):
    """How far a correction or a query of ours has come."""

    OPENED = auto()  # outbound correction; query of ours
    TOLD = auto()  # inbound correction
    SETTLED = auto()  # inbound correction whose duty is done
    ANSWERED = auto()
    ENDED = auto()


_IN, _OUT = Direction.INBOUND, Direction.OUTBOUND
_TOLD = frozenset({EntryType.CORRECTION, EntryType.ACKNOWLEDGEMENT})
_ASKED = frozenset({EntryType.ASKED, EntryType.ANSWER_RECEIVED, EntryType.USE})

# (type, direction, class) → places from which it may come (None = nothing was known), and where it leads
_EDGES: Final[dict[tuple[EntryType, Direction, EntryClass], tuple[set[_Place | None], _Place]]] = {
    (EntryType.CORRECTION, _OUT, EntryClass.OTHER): ({None, _Place.OPENED}, _Place.OPENED),
    (EntryType.CORRECTION, _OUT, EntryClass.ANSWERED): ({_Place.OPENED}, _Place.OPENED),
    (EntryType.ACKNOWLEDGEMENT, _IN, EntryClass.ACCEPTED): ({_Place.OPENED}, _Place.ENDED),
    (EntryType.CORRECTION, _IN, EntryClass.ACCEPTED): ({None}, _Place.TOLD),
    (EntryType.ACKNOWLEDGEMENT, _OUT, EntryClass.OTHER): (
        {_Place.TOLD, _Place.SETTLED},
        _Place.SETTLED,
    ),
    (EntryType.ACKNOWLEDGEMENT, _OUT, EntryClass.ANSWERED): ({_Place.SETTLED}, _Place.ENDED),
    (EntryType.ASKED, _OUT, EntryClass.OTHER): ({None}, _Place.OPENED),
    (EntryType.ASKED, _OUT, EntryClass.DENIED): ({None}, _Place.ENDED),
    (EntryType.ANSWER_RECEIVED, _OUT, EntryClass.ACCEPTED): ({_Place.OPENED}, _Place.OPENED),
    (EntryType.ANSWER_RECEIVED, _OUT, EntryClass.ANSWERED): ({_Place.OPENED}, _Place.ANSWERED),
    (EntryType.ANSWER_RECEIVED, _OUT, EntryClass.DENIED): ({_Place.OPENED}, _Place.ENDED),
    (EntryType.ABANDONED, _OUT, EntryClass.OTHER): ({_Place.OPENED}, _Place.ENDED),
    (EntryType.USE, _OUT, EntryClass.OTHER): ({_Place.ANSWERED}, _Place.ANSWERED),
}


@dataclass(slots=True)
class FollowUpRules:
    """What is known of corrections and of queries of ours after some entries."""

    _corrections: dict[tuple[PartnerNumber, bool], _Place] = field(default_factory=dict)
    _asked: dict[PartnerNumber, _Place] = field(default_factory=dict)

    def concerns(self, frame: Frame) -> bool:
        """Return whether an entry is one of these histories."""
        ours = frame.type is EntryType.ABANDONED and frame.direction is _OUT
        return ours or frame.type in _TOLD or frame.type in _ASKED

    def read(self, frame: Frame) -> Iterator[str]:
        """Yield what is wrong with an entry of these histories, in plain words."""
        edge = _EDGES.get((frame.type, frame.direction or _IN, frame.entry_class))
        if edge is None:
            yield f"a {frame.type.name} of a direction and class that do not go together"
            return
        key = frame.partner_id, frame.transaction_number
        if not all(key):
            yield f"a {frame.type.name} that does not name its partner and number"
            return
        before, after = edge
        if frame.type in _TOLD:
            # Who tells whom: a notice and the acknowledgement that comes back are of one history.
            outbound = (frame.type is EntryType.CORRECTION) == (frame.direction is _OUT)
            about = key, outbound
            at = self._corrections.get(about)
            self._corrections[about] = after
        else:
            at = self._asked.get(key)
            self._asked[key] = after
        if at not in before:
            known = "nothing" if at is None else at.name
            yield f"a {frame.type.name} of class {frame.entry_class.name} after {known}"


@dataclass(slots=True)
class _Exchange:
    """A REQUEST and what has become of it.

    settled   it was closed, and a checkpoint covers its closing
    """

    key: Key
    index: int
    time: datetime
    transcript: bytes
    searching: bool
    refused: bool = False
    closed: bool = False
    answered: bool = False
    destroyed: bool = False
    reviewed: bool = False
    settled: bool = False

    @property
    def open(self) -> bool:
        return not self.closed and not self.refused


@dataclass(slots=True)
class _Review:
    """Prints that wait for an examiner. `destroyed`: they are gone, and the same commit must say why."""

    index: int
    time: datetime
    verdicts: int = 0
    destroyed: bool = False


@dataclass(slots=True)
class SequenceRules:
    """The state of the rules after some entries; feed it every frame, in order."""

    _sequels: FollowUpRules = field(default_factory=FollowUpRules)
    _known: dict[Key, _Exchange] = field(default_factory=dict)
    _ages: deque[_Exchange] = field(default_factory=deque)  # the oldest first
    _fresh: list[_Exchange] = field(default_factory=list)  # closed since the last checkpoint
    _reviews: dict[Key, _Review] = field(default_factory=dict)  # those that are open

    def read(self, index: int, frame: Frame) -> Iterator[str]:
        """Yield what is wrong with the next entry, in plain words."""
        self._forget(frame.time)
        if frame.type in _CLASSED and frame.entry_class not in SHAPES[frame.type].classes:
            yield f"a {frame.type.name} of class {frame.entry_class.name}"
        key = frame.partner_id, frame.message_id
        if self._sequels.concerns(frame):
            yield from self._sequels.read(frame)
            yield from self._enclosed(key, frame)
        elif frame.type in _BOUND and not all(key):
            yield f"a {frame.type.name} that does not name its partner and message"
        elif frame.type is EntryType.REQUEST:
            yield from self._request(index, key, frame)
        elif frame.type is EntryType.REFUSAL:
            self._refusal(key, frame)
        elif frame.type is EntryType.REVIEW:
            yield from self._review(index, key, frame)
        elif frame.type is EntryType.VERDICT or self._ends_review(key, frame):
            yield from self._verdict(key, frame)
        elif frame.type in {EntryType.RESPONSE, EntryType.ABANDONED}:
            yield from self._closing(key, frame)
        elif frame.type is EntryType.DESTRUCTION:
            yield from self._destruction(key)

    def commit(self) -> Iterator[tuple[int, str]]:
        """Yield index and words for each query that was answered and whose prints are not yet destroyed.

        To be called at each checkpoint: prints die in the commit that answers (protocol 4, 20).
        """
        for exchange in self._fresh:
            exchange.settled = True
            owed = not exchange.destroyed and not exchange.reviewed
            if exchange.answered and exchange.searching and owed:
                yield exchange.index, "a query was answered and its prints were never destroyed"
        self._fresh.clear()
        for key in [key for key, review in self._reviews.items() if review.destroyed]:
            yield (
                self._reviews.pop(key).index,
                "prints of a review were destroyed and nothing ended it",
            )

    def end(self, now: datetime) -> Iterator[tuple[int, bool, str]]:
        """Yield index, whether it may still be under way, and words for each REQUEST left open."""
        for exchange in self._known.values():
            if exchange.open and now - exchange.time < CLOSING_GRACE:
                yield exchange.index, True, "a REQUEST is open; it may still be under way"
            elif exchange.open:
                yield exchange.index, False, "a REQUEST was never closed"
        for review in self._reviews.values():
            late = now - review.time >= REVIEW_LONGEST
            words = "was never ended" if late else "is open; it may still be under way"
            yield review.index, not late, f"a REVIEW {words}"

    def _enclosed(self, key: Key, frame: Frame) -> Iterator[str]:
        """A correction or acknowledgement that came in lies in the exchange that brought it."""
        if frame.entry_class is EntryClass.ACCEPTED and frame.direction is Direction.INBOUND:
            exchange = self._known.get(key)
            if exchange is None or exchange.settled:
                yield f"a {frame.type.name} that came in by no REQUEST"

    def _request(self, index: int, key: Key, frame: Frame) -> Iterator[str]:
        earlier = self._known.get(key)
        if earlier and (earlier.open or frame.time - earlier.time < REPLAY_WINDOW):
            yield f"the message of this REQUEST was accepted before, at leaf {earlier.index}"
            return
        search = frame.subject_reference == SEARCHING
        self._known[key] = exchange = _Exchange(key, index, frame.time, frame.transcript, search)
        self._ages.append(exchange)

    def _refusal(self, key: Key, frame: Frame) -> None:
        exchange = self._known.get(key)
        if exchange is None or frame.transcript != exchange.transcript:
            return
        if frame.entry_class is EntryClass.DENIED:
            exchange.refused = True
        elif not exchange.closed:  # the attempt is over; the next has prints of its own
            exchange.destroyed = False

    def _closing(self, key: Key, frame: Frame) -> Iterator[str]:
        exchange = self._known.get(key)
        if exchange is None or exchange.closed:
            yield f"a {frame.type.name} to {'what was closed before' if exchange else 'no REQUEST'}"
            return
        exchange.closed, exchange.answered = True, frame.type is EntryType.RESPONSE
        self._fresh.append(exchange)
        if frame.time - exchange.time >= CLOSING_GRACE:
            self._ages.appendleft(exchange)  # it was kept for being open; now it may be forgotten

    def _review(self, index: int, key: Key, frame: Frame) -> Iterator[str]:
        exchange = self._known.get(key)
        if exchange is None or exchange.closed or exchange.destroyed or exchange.reviewed:
            yield "a REVIEW of prints that are gone, or of no REQUEST"
            return
        exchange.reviewed = True
        self._reviews[key] = _Review(index, frame.time)

    def _ends_review(self, key: Key, frame: Frame) -> bool:
        return frame.type is EntryType.ABANDONED and key in self._reviews

    def _verdict(self, key: Key, frame: Frame) -> Iterator[str]:
        """A verdict, or the end of the time for one; where the prints are gone, it is the last word."""
        review = self._reviews.get(key)
        if review is None:
            yield f"a {frame.type.name} to no open REVIEW"
            return
        review.verdicts += 1
        if review.destroyed:
            del self._reviews[key]
        elif frame.type is EntryType.ABANDONED:
            yield "a REVIEW was abandoned and its prints were not destroyed"
        elif review.verdicts > 1:
            yield "a second VERDICT, and the prints were not destroyed"

    def _destruction(self, key: Key) -> Iterator[str]:
        exchange, review = self._known.get(key), self._reviews.get(key)
        if review is not None:
            if review.destroyed:
                yield "a second DESTRUCTION of the same prints"
            review.destroyed = True
        elif exchange is None or exchange.settled:
            yield "a DESTRUCTION for no REQUEST, or long after its answer"
        elif exchange.destroyed:
            yield "a second DESTRUCTION of the same prints"
        else:
            exchange.destroyed = True

    def _forget(self, now: datetime) -> None:
        """Drop what is too old to matter, unless it is still open or its commit is under way."""
        while self._ages and now - self._ages[0].time >= CLOSING_GRACE:
            exchange = self._ages.popleft()
            if not exchange.open and self._known.get(exchange.key) is exchange:
                del self._known[exchange.key]


_ALARM: Final = re.compile(r"(RAISE|CLEAR)/([A-Z_]{1,32})")
_ORDERS: Final = frozenset({EntryType.HOLD, EntryType.DECISION, EntryType.ALARM})
_FIRST: Final = "PROPOSED"  # how it becomes OPEN
_REFUSED: Final = "REFUSED"  # an approval that did not count
_ENDS: Final = frozenset({"RELEASE", "LIFT", "CLEAR"})


@dataclass(slots=True)
class AdminRules:
    """What stands after some entries; feed it every frame, in order."""

    _open: set[str] = field(default_factory=set)
    _used: set[str] = field(default_factory=set)
    _all: set[str] = field(default_factory=set)  # holds on everything
    _proposals: dict[str, State] = field(default_factory=dict)

    def read(self, frame: Frame) -> Iterator[str]:
        """Yield what is wrong with the next entry, in plain words."""
        if frame.type is EntryType.RETENTION:
            if read_erased(frame) is None:
                yield "a RETENTION that does not say what was erased"
            if self._all:
                yield "a RETENTION while a hold on everything stood"
        elif frame.type in _ORDERS:
            yield from self._order(frame)
        elif frame.type is EntryType.PROPOSAL:
            yield from self._proposal(frame)

    def _proposal(self, frame: Frame) -> Iterator[str]:
        found = SHAPES[frame.type].reference.fullmatch(frame.subject_reference)
        verb, name = found.groups() if found is not None else ("", "")
        held = self._proposals.get(name)
        if verb == _FIRST:
            if held is not None:
                yield "a PROPOSAL that was there before"
            self._proposals[name] = State.OPEN
        elif verb == _REFUSED:
            if held is not State.OPEN:
                yield "a PROPOSAL refused that was not open"
        elif verb not in State.__members__ or held is None:
            yield "a PROPOSAL that does not say what it does, or of which nothing is known"
        else:
            if (held, State[verb]) not in EDGES:
                yield f"a PROPOSAL that went from {held.value} to {verb}"
            self._proposals[name] = State[verb]

    def _order(self, frame: Frame) -> Iterator[str]:
        form = _ALARM if frame.type is EntryType.ALARM else SHAPES[frame.type].reference
        found = form.fullmatch(frame.subject_reference)
        if found is None:
            if frame.type is not EntryType.ALARM:
                yield f"a {frame.type.name} that does not say what it does"
            return
        verb, name = found.groups()
        if verb in _ENDS:
            if name not in self._open:
                yield f"a {frame.type.name} that ends what does not stand"
            self._open.discard(name)
            self._all.discard(name)
            return
        if name in self._open or (name in self._used and frame.type is not EntryType.ALARM):
            yield f"a {frame.type.name} that was there before"
        self._open.add(name)
        self._used.add(name)
        if verb == "PLACE_ALL":
            self._all.add(name)
