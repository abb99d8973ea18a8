"""The grammar of entries: what must follow what, told from the frames alone.

    exchange    = REFUSAL | REQUEST … closing
    closing     = RESPONSE | REFUSAL of class DENIED | ABANDONED
    an answered SUBMIT_QUERY has exactly one DESTRUCTION, in the same commit as its RESPONSE or before

Entries belong together by partner and message identifier. A REQUEST names its operation in its subject
reference. A REFUSAL closes a REQUEST only if it refuses those very bytes (the same transcript) for good
(class DENIED); one of class OTHER asks the partner to come back, and what it refused stays open: an
identical retry is answered under the same REQUEST. A REFUSAL without a REQUEST is the common case,
a message refused before it was accepted.

What is remembered is what is open, and for a quarter of an hour which identifiers were used: as long as
the house itself remembers them, after which a message bearing one again is refused for its age.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.terms import Operation

REPLAY_WINDOW: Final = timedelta(minutes=15)  # ledger 9: 10 of message life and 5 of margin
SEARCHING: Final = Operation.SUBMIT_QUERY.name  # the operation that has prints to destroy

Key: TypeAlias = tuple[str, bytes]  # partner, message identifier

_CLASSES = {
    EntryType.REQUEST: (EntryClass.ACCEPTED,),
    EntryType.RESPONSE: (EntryClass.ANSWERED,),
    EntryType.REFUSAL: (EntryClass.DENIED, EntryClass.OTHER),
}
_BOUND = (EntryType.REQUEST, EntryType.RESPONSE, EntryType.ABANDONED, EntryType.DESTRUCTION)


@dataclass(slots=True)
class _Exchange:
    """A REQUEST that is open, or was closed in the commit under way."""

    index: int
    time: datetime
    transcript: bytes
    searching: bool
    destroyed: bool = False
    answered: bool = False


@dataclass(slots=True)
class Grammar:
    """The state of the grammar after some entries; feed it every frame, in order."""

    _open: dict[Key, _Exchange] = field(default_factory=dict)
    _closed: dict[Key, _Exchange] = field(default_factory=dict)  # since the last commit
    _used: dict[Key, int] = field(default_factory=dict)  # index of the REQUEST, within the window
    _ages: deque[tuple[datetime, Key]] = field(default_factory=deque)

    def read(self, index: int, frame: Frame) -> Iterator[str]:
        """Yield what is wrong with the next entry, in plain words."""
        self._forget(frame.time)
        if frame.entry_class not in _CLASSES.get(frame.type, tuple(EntryClass)):
            yield f"a {frame.type.name} of class {frame.entry_class.name}"
        key = frame.partner_id, frame.message_id
        if frame.type in _BOUND and not all(key):
            yield f"a {frame.type.name} that does not name its partner and message"
        elif frame.type is EntryType.REQUEST:
            yield from self._request(index, key, frame)
        elif frame.type is EntryType.REFUSAL:
            self._refusal(key, frame)
        elif frame.type in {EntryType.RESPONSE, EntryType.ABANDONED}:
            yield from self._closing(key, frame)
        elif frame.type is EntryType.DESTRUCTION:
            yield from self._destruction(key)

    def commit(self) -> Iterator[tuple[int, str]]:
        """Yield index and words for each query that was answered and whose prints are still owed.

        To be asked where a checkpoint stands: prints die in the commit that answers (protocol 4, 20).
        """
        for exchange in self._closed.values():
            if exchange.answered and exchange.searching and not exchange.destroyed:
                yield exchange.index, "a query was answered and its prints were never destroyed"
        self._closed.clear()

    def end(self, now: datetime) -> Iterator[tuple[int, bool, str]]:
        """Yield index, whether it may still be under way, and words for each REQUEST left open."""
        for exchange in self._open.values():
            if now - exchange.time < REPLAY_WINDOW:
                yield exchange.index, True, "a REQUEST is open; it may still be under way"
            else:
                yield exchange.index, False, "a REQUEST was never closed"

    def _request(self, index: int, key: Key, frame: Frame) -> Iterator[str]:
        earlier = self._open[key].index if key in self._open else self._used.get(key)
        if earlier is not None:
            yield f"the message of this REQUEST was accepted before, at leaf {earlier}"
            return
        searching = frame.subject_reference == SEARCHING
        self._open[key] = _Exchange(index, frame.time, frame.transcript, searching)
        self._used[key] = index
        self._ages.append((frame.time, key))

    def _refusal(self, key: Key, frame: Frame) -> None:
        exchange = self._open.get(key)
        if exchange is None or frame.entry_class is not EntryClass.DENIED:
            return
        if frame.transcript == exchange.transcript:
            self._closed[key] = self._open.pop(key)

    def _closing(self, key: Key, frame: Frame) -> Iterator[str]:
        exchange = self._open.pop(key, None)
        if exchange is None:
            known = key in self._used
            yield f"a {frame.type.name} to {'what was closed before' if known else 'no REQUEST'}"
            return
        exchange.answered = frame.type is EntryType.RESPONSE
        self._closed[key] = exchange

    def _destruction(self, key: Key) -> Iterator[str]:
        exchange = self._open.get(key) or self._closed.get(key)
        if exchange is None:
            yield "a DESTRUCTION for no REQUEST, or long after its answer"
        elif exchange.destroyed:
            yield "a second DESTRUCTION of the same prints"
        else:
            exchange.destroyed = True

    def _forget(self, now: datetime) -> None:
        while self._ages and now - self._ages[0][0] >= REPLAY_WINDOW:
            self._used.pop(self._ages.popleft()[1], None)
