"""What is opened and closed by our own people: holds, decisions, alarms; judged by the frames alone.

    HOLD      PLACE/H-…  PLACE_ALL/H-…  RELEASE/H-…    each identifier once, released once
    DECISION  REFUSE/R-…  LIFT/R-…                     likewise
    ALARM     RAISE/NAME  CLEAR/NAME                   alternating; an alarm of another form is only news
    PROPOSAL  PROPOSED/P-…  APPROVED/P-… …             along the edges of a proposal's life; REFUSED moves nothing

While a hold on everything is in force, nothing is erased. Holds on one person, query or partner are between the sealed
details and the rows; the frames of what was erased name nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.ledger.crypto_shredding import read_erased
from gateway.ledger.entry import EntryType, Frame
from keys.approval import EDGES, State

_FORM: Final = {
    EntryType.HOLD: re.compile(r"(PLACE|PLACE_ALL|RELEASE)/(H-[0-9a-f]{16})"),
    EntryType.DECISION: re.compile(r"(REFUSE|LIFT)/(R-[0-9a-f]{16})"),
    EntryType.ALARM: re.compile(r"(RAISE|CLEAR)/([A-Z_]{1,32})"),
}
_PROPOSAL: Final = re.compile(r"([A-Z]{1,16})/(P-[0-9a-f]{16})")
_FIRST: Final = "PROPOSED"  # how it becomes OPEN
_REFUSED: Final = "REFUSED"  # an approval that did not count
_ENDS: Final = frozenset({"RELEASE", "LIFT", "CLEAR"})


@dataclass(slots=True)
class AdminRules:
    """What is open after some entries; feed it every frame, in order."""

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
        elif frame.type in _FORM:
            yield from self._order(frame)
        elif frame.type is EntryType.PROPOSAL:
            yield from self._proposal(frame)

    def _proposal(self, frame: Frame) -> Iterator[str]:
        found = _PROPOSAL.fullmatch(frame.subject_reference)
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
        found = _FORM[frame.type].fullmatch(frame.subject_reference)
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
