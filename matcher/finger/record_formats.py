"""Any file of minutiae that we read → the record of each finger in it, as every strict reader reads it.

A file is what an operator has: a record of one of the four binary layouts, repaired where that is safe
(`matcher.finger.record_repair`) and split where it holds several fingers. What comes from a partner is never read here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from matcher.finger import record_fmr, record_repair
from matcher.finger.record import Format, View

NIBBLE = 15  # the highest impression type that the first editions of the standards can state


@dataclass(frozen=True, slots=True)
class Print:
    """One finger of a file: its record and the position that it states, 0 = none; `view` is what the record says."""

    form: Format
    position: int
    record: bytes = field(repr=False)
    view: View = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a file holds: its fingers in order, and what was repaired to read them."""

    prints: tuple[Print, ...]
    repairs: tuple[str, ...] = ()


def opened(data: bytes) -> Opened:
    """Return the fingers of a file; raises MalformedRecord."""
    mended = record_repair.mend(data)
    prints = tuple(_print(*each) for each in record_repair.split(mended.record))
    return Opened(prints, mended.repairs)


def of_view(view: View) -> Print:
    """Return a view that no record holds, of a transaction, as a record: at 197 pixels per centimetre, in the finest angles."""
    form = Format.ISO_19794_2_2005 if view.impression <= NIBBLE else Format.ISO_19794_2_2011
    return _print(view.position, record_fmr.write(record_fmr.at_197(form, (view,))))


def _print(position: int, record: bytes) -> Print:
    read = record_fmr.read(record)
    return Print(read.format, position, record, read.views[0])
