"""The grammar of what follows an exchange: corrections, acknowledgements, what we asked, and its use.

    correction out  = CORRECTION(OTHER)+ CORRECTION(ANSWERED)* [ACKNOWLEDGEMENT(ACCEPTED), inbound, once]
    correction in   = CORRECTION(ACCEPTED), inbound, once; ACKNOWLEDGEMENT(OTHER)+ ACKNOWLEDGEMENT(ANSWERED)*
    query of ours   = ASKED(OTHER), once; ANSWER_RECEIVED(ACCEPTED)* then one end: ANSWER_RECEIVED(ANSWERED or
                      DENIED) or an outbound ABANDONED; USE* after an answer
    ASKED(DENIED)   a query that our own law stopped; nothing follows it

Entries belong together by partner and transaction number; a correction's number is its own identifier. What
has ended stays remembered: a use may come two years after its answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

from gateway.domain.messages import Direction
from gateway.ledger.entry import EntryClass, EntryType, Frame

Key: TypeAlias = tuple[str, str]  # partner, transaction number


class _Place(Enum):
    """How far a story has come."""

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

    _corrections: dict[tuple[Key, bool], _Place] = field(default_factory=dict)
    _asked: dict[Key, _Place] = field(default_factory=dict)

    def concerns(self, frame: Frame) -> bool:
        """Return whether an entry is one of these stories."""
        ours = frame.type is EntryType.ABANDONED and frame.direction is _OUT
        return ours or frame.type in _TOLD or frame.type in _ASKED

    def read(self, frame: Frame) -> Iterator[str]:
        """Yield what is wrong with an entry of these stories, in plain words."""
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
            # The direction: a notice and the acknowledgement that comes back are of one story.
            outbound = (frame.type is EntryType.CORRECTION) == (frame.direction is _OUT)
            story = key, outbound
            at = self._corrections.get(story)
            self._corrections[story] = after
        else:
            at = self._asked.get(key)
            self._asked[key] = after
        if at not in before:
            known = "nothing" if at is None else at.name
            yield f"a {frame.type.name} of class {frame.entry_class.name} after {known}"
