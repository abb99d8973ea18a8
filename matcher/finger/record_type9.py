"""The kinds of minutiae in a Type-9 record beside its INCITS 378 block: which they are, and two of them → views.

Fields 9.005-9.012 are the standard's own of 2007 and before: units of 0.01 mm, y upwards from the bottom,
directions away from the ridge, so half a turn from those of INCITS 378 (ANSI/NIST-ITL 1-2007; biomdi
fmr2an2k). Fields 9.300 and more are the extended feature set: the same units, y downwards from the top of
the region of interest, directions as those of INCITS 378 (ANSI/NIST-ITL 1-2011, 8.9.7). The blocks of vendors
are their secrets; they are named and not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from matcher.errors import MalformedRecord
from matcher.finger.record import MOST_COORDINATE, MOST_POSITION, Frame, Raw, View, to_minutiae
from matcher.finger.template import MOST_MINUTIAE

RS, US = b"\x1e", b"\x1f"  # between subfields, between items
ITEMS = 4  # of a minutia that are looked at; ridge counts may follow
HUNDREDTHS = 1000.0  # of a millimetre: that many make a centimetre
DEGREES = 360  # angle units of a turn
OLD_POSITION, OLD_COUNT, OLD_MINUTIAE = 6, 10, 12  # 9.006 FGP, 9.010 MIN, 9.012 MRC
REGION, FINGER, MARKED = 300, 302, 331  # 9.300 ROI, 9.302 FPP, 9.331 MIN
LEAST_LEGACY = 2  # quality 0 was set by hand, 1 says nothing; 2 is the best and 63 the worst
WORST_LEGACY = 63
KINDS = {b"A": 1, b"B": 2, b"C": 0, b"D": 0}  # ending, bifurcation, compound, undetermined
MARKED_KINDS = {b"E": 1, b"B": 2, b"X": 0}

# First and last field of each block, and whose it is (ANSI/NIST-ITL 1-2011: update 2013, table 27).
_blocks = (
    (5, 12, "the standard's minutiae of before 2011"),
    (13, 30, "the FBI's IAFIS features"),
    (31, 55, "Cogent's features"),
    (56, 70, "Motorola's features"),
    (71, 99, "MorphoTrak's features"),
    (100, 125, "NEC's features"),
    (126, 150, "an INCITS 378 block"),
    (151, 175, "Identix's features"),
    (176, 225, "a vendor's own features"),
    (300, 399, "the extended feature set"),
)
_placed = re.compile(rb"([0-9]{4})([0-9]{4})([0-9]{3})")
_number = re.compile(rb"[0-9]{1,5}")

Field = tuple[int, bytes]  # where its content begins, and the content
Fields = Mapping[int, Field]  # by number


def named(fields: Fields) -> str:
    """Return whose features a record holds, in words."""
    found = [name for first, last, name in _blocks if any(first <= each <= last for each in fields)]
    return " and ".join(found) or "no features"


def view(fields: Fields, impression: int, at: int) -> View:
    """Return the view of a record without an INCITS 378 block.

    Raises MalformedRecord, naming whose features there are where they are not read.
    """
    if MARKED in fields:
        return _extended(fields, impression)
    if OLD_MINUTIAE in fields:
        return _legacy(fields, impression)
    raise MalformedRecord(
        f"a Type-9 record with {named(fields)}, and no minutiae that are read", at
    )


def _legacy(fields: Fields, impression: int) -> View:
    at, content = fields[OLD_MINUTIAE]
    rows = [each.split(US, ITEMS) for each in content.split(RS, MOST_MINUTIAE)]
    _bounded(rows, at)
    stated = fields.get(OLD_COUNT)
    if stated is not None and _integer(stated[1], stated[0]) != len(rows):
        raise MalformedRecord("another number of minutiae than is stated", at)
    places, kinds, qualities = [], [], []
    for row in rows:
        found = _placed.fullmatch(row[1]) if len(row) >= 4 else None
        if found is None or row[3] not in KINDS:
            raise MalformedRecord("a minutia is not index, place and direction, quality, kind", at)
        places.append([int(each) for each in found.groups()])
        kinds.append(KINDS[row[3]])
        qualities.append(_quality(_integer(row[2], at), at))
    x, y, angle = np.array(places, dtype=np.int64).T
    # The image's size is not stated: what matters of it is that it holds the minutiae, y measured from its bottom.
    frame = Frame(int(x.max()) + 1, int(y.max()) + 1, HUNDREDTHS, HUNDREDTHS)
    _turned(angle, at)
    raw = Raw(
        np.stack([x, frame.height - 1 - y], axis=1),
        (angle + DEGREES // 2) % DEGREES,
        np.array(kinds, dtype=np.int64),
        np.array(qualities, dtype=np.int64),
    )
    position = _position(fields.get(OLD_POSITION, (at, b"0")))
    return _viewed(position, impression, raw, frame, at)


def _extended(fields: Fields, impression: int) -> View:
    at, content = fields[MARKED]
    rows = [each.split(US, ITEMS) for each in content.split(RS, MOST_MINUTIAE)]
    _bounded(rows, at)
    if any(len(row) < 4 or row[3] not in MARKED_KINDS for row in rows):
        raise MalformedRecord("a minutia is not x, y, direction, kind", at)
    if REGION not in fields:
        raise MalformedRecord("the extended feature set states no region of interest", at)
    where, region = fields[REGION]
    width, height = (_integer(each, where) for each in [*region.split(US), b"", b""][:2])
    numbers = np.array([[_integer(each, at) for each in row[:3]] for row in rows], dtype=np.int64)
    _turned(numbers[:, 2], at)
    raw = Raw(
        numbers[:, :2],
        numbers[:, 2] % DEGREES,
        np.array([MARKED_KINDS[row[3]] for row in rows], dtype=np.int64),
        np.zeros(len(rows), dtype=np.int64),
    )
    position = _position(fields.get(FINGER, (at, b"0")))
    return _viewed(position, impression, raw, Frame(width, height, HUNDREDTHS, HUNDREDTHS), at)


def _viewed(position: int, impression: int, raw: Raw, frame: Frame, at: int) -> View:
    frame.check(at)
    if max(frame.width, frame.height) > MOST_COORDINATE:
        raise MalformedRecord("an image larger than any finger's", at)
    return View(position, impression, 0, to_minutiae(raw, frame, DEGREES, at, 0), frame)


def _bounded(rows: list[list[bytes]], at: int) -> None:
    if len(rows) > MOST_MINUTIAE:
        raise MalformedRecord(f"more than {MOST_MINUTIAE} minutiae", at)


def _turned(angle: np.ndarray, at: int) -> None:
    """Refuse an angle beyond the full turn; the full turn itself is met, and is none."""
    if (angle > DEGREES).any():
        raise MalformedRecord("an angle beyond the full turn", at)


def _quality(stated: int, at: int) -> int:
    """Return a quality of 1 to 100 for one of 63 to 2, 0 for one that says nothing."""
    if stated > WORST_LEGACY:
        raise MalformedRecord("minutia quality out of range", at)
    if stated < LEAST_LEGACY:
        return 0
    return max(1, round(100 * (WORST_LEGACY - stated) / (WORST_LEGACY - LEAST_LEGACY)))


def _position(field: tuple[int, bytes]) -> int:
    """Return the finger that is named first, 0 where it is not known."""
    at, content = field
    position = _integer(content.partition(RS)[0].partition(US)[0], at)
    if position > MOST_POSITION:
        raise MalformedRecord("minutiae of no single finger", at)
    return position


def _integer(text: bytes, at: int) -> int:
    if _number.fullmatch(text) is None:
        raise MalformedRecord("not a number", at)
    return int(text)
