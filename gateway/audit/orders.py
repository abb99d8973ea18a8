"""What is opened and closed by our own people: holds, decisions, alarms; told from the frames alone.

    HOLD      PLACE/H-…  PLACE_ALL/H-…  RELEASE/H-…    each identifier once, released once
    DECISION  REFUSE/R-…  LIFT/R-…                     likewise
    ALARM     RAISE/NAME  CLEAR/NAME                   in turns; an alarm of another form is only news

While a hold on everything stands, nothing is erased. Holds on one person, query or partner are between the sealed
details and the rows; the frames of what was erased name nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.audit.entry import EntryType, Frame
from gateway.audit.shredding import read_erased

_FORM: Final = {
    EntryType.HOLD: re.compile(r"(PLACE|PLACE_ALL|RELEASE)/(H-[0-9a-f]{16})"),
    EntryType.DECISION: re.compile(r"(REFUSE|LIFT)/(R-[0-9a-f]{16})"),
    EntryType.ALARM: re.compile(r"(RAISE|CLEAR)/([A-Z_]{1,32})"),
}
_ENDS: Final = frozenset({"RELEASE", "LIFT", "CLEAR"})


@dataclass(slots=True)
class Orders:
    """What stands after some entries; feed it every frame, in order."""

    _open: set[str] = field(default_factory=set)
    _used: set[str] = field(default_factory=set)
    _all: set[str] = field(default_factory=set)  # holds on everything

    def read(self, frame: Frame) -> Iterator[str]:
        """Yield what is wrong with the next entry, in plain words."""
        if frame.type is EntryType.RETENTION:
            if read_erased(frame) is None:
                yield "a RETENTION that does not say what was erased"
            if self._all:
                yield "a RETENTION while a hold on everything stood"
        elif frame.type in _FORM:
            yield from self._order(frame)

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
