"""The minutiae of a record as plain values, for whoever draws them: no array and no template leaves the port."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.matching.engine import UnreadableSample
from matcher.errors import MalformedRecord
from matcher.finger import record_fmr

KINDS = ("other", "ending", "bifurcation")  # of minutiae, by their number in a record


@dataclass(frozen=True, slots=True)
class Minutia:
    """One minutia: place in pixels at 500 ppi (y down), direction in radians counter-clockwise from east, and its kind."""

    x: float
    y: float
    angle: float
    kind: str


@dataclass(frozen=True, slots=True)
class Marks:
    """The minutiae of one finger, and the size of its picture in pixels at 500 ppi."""

    width: float
    height: float
    minutiae: tuple[Minutia, ...]


def marks_of(record: bytes) -> Marks:
    """Return the minutiae of a record of one finger; raises UnreadableSample."""
    try:
        found = record_fmr.read(record).views[0].minutiae
    except MalformedRecord as fault:
        raise UnreadableSample(str(fault)) from None
    rows = zip(found.xy.tolist(), found.angle.tolist(), found.kind.tolist(), strict=True)
    minutiae = tuple(Minutia(x, y, angle, KINDS[kind]) for (x, y), angle, kind in rows)
    return Marks(found.width, found.height, minutiae)
