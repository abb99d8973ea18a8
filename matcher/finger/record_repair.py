"""Finger minutiae records as other makers' software leaves them → records that every strict reader reads.

Three slips are repaired, each reported in words: zero bytes behind a record, of a buffer that was written whole; a
length that is one off; a minutia on the edge, where a width is that of the largest coordinate. What is repaired
is the bytes, so that what is kept, sent and compared is one record. Bytes behind a record that are not zero were
another finger's, and are refused. Nothing of this is for what a partner sends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from matcher.errors import MalformedRecord
from matcher.finger import record_fmr
from matcher.finger.record import MOST_COORDINATE, Format

SLIP = 1  # bytes by which a stated length may be wrong
VIEWS_BACK = 2  # the number of views stands so many bytes before the first one, in all four layouts

# Where a format's length stands, how it is laid out, and the version before it.
_LENGTHS = (
    (Format.ISO_19794_2_2005, record_fmr.FIRST, 8, ">I"),
    (Format.INCITS_378_2004, record_fmr.FIRST, 8, ">H"),
    (Format.INCITS_378_2004, record_fmr.FIRST, 10, ">I"),  # the long length: a zero stands where the short one would
    (Format.ISO_19794_2_2011, record_fmr.SECOND, 8, ">I"),
    (Format.INCITS_378_2009, record_fmr.SECOND, 8, ">I"),
    (Format.INCITS_378_2009, record_fmr.AMENDED, 8, ">I"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mended:
    """A record that `fmr.read` reads, and what was repaired in it; no repairs = it is as it was given."""

    record: bytes = field(repr=False)
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Guess:
    """A record read as if it were of one format: its views, and where that format keeps the length."""

    form: Format
    at: int
    layout: str
    stated: int
    placed: tuple[record_fmr.Placed, ...]

    @property
    def end(self) -> int:
        return self.placed[-1].end


def mend(data: bytes) -> Mended:
    """Return the record that `data` are, repaired where that is safe.

    Raises MalformedRecord, with the reason of the strict reader, for everything else: also where a repair would
    fit two formats, for nobody could say which of the two records it was.
    """
    try:
        record_fmr.read(data)
    except MalformedRecord as fault:
        guesses = list(_guesses(data))
        found = {each.record: each for guess in guesses if (each := _mended(data, guess))}
        if len(found) == 1:
            return found.popitem()[1]
        raise _remaining_fault(data, guesses, fault) from None
    return Mended(data)


def split(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return position and record of each finger of a record that `fmr.read` reads; bytes of a view stay as they are.

    Position 0 is that of a record with one view, of a finger that it does not name. Raises MalformedRecord where one of
    several views names no finger, or two the same one.
    """
    form, _ = record_fmr.detect_at(data)
    own = (each for each in _guesses(data) if each.form is form and each.stated == len(data))
    guess = next(own)
    if len(guess.placed) == 1:
        return ((guess.placed[0].position, data),)
    positions = [each.position for each in guess.placed]
    views = f"the record holds {len(positions)} views"
    if 0 in positions:
        raise MalformedRecord(f"{views}, and not each says its finger", guess.placed[0].begin)
    if len(set(positions)) < len(positions):
        raise MalformedRecord(
            f"{views}, two of one finger; keep one of them", guess.placed[0].begin
        )
    return tuple((each.position, _alone(data, guess, each)) for each in guess.placed)


def _guesses(data: bytes) -> Iterator[_Guess]:
    if len(data) < record_fmr.LEAST_LENGTH or data[:4] != record_fmr.MAGIC:
        return
    for form, version, at, layout in _LENGTHS:
        (stated,) = struct.unpack_from(layout, data, at)
        if version != data[4:8] or (at == 10 and any(data[8:10])):
            continue
        try:
            placed = record_fmr.walk(data, form, at + struct.calcsize(layout))
        except MalformedRecord:
            continue
        if placed[-1].end < 1 << 8 * struct.calcsize(layout):  # a length that can be put right
            yield _Guess(form, at, layout, stated, placed)


def _mended(data: bytes, guess: _Guess) -> Mended | None:
    """Return the record if it is of the guessed format but for what we repair; else None."""
    tail = data[guess.end :]
    if any(tail) or (abs(guess.stated - guess.end) > SLIP and guess.stated != len(data)):
        return None
    repairs = []
    if tail:
        repairs.append(f"{len(tail)} zero bytes behind the record cut off")
    if guess.stated != guess.end:
        repairs.append(f"length {guess.stated} put right: the record has {guess.end} bytes")
    record = _whole(data, guess)
    moved = sum(_brought_in(record, each) for each in guess.placed)
    if moved:
        repairs.append(f"minutiae on the edge of the image moved in by one pixel: {moved}")
    mended = bytes(record)
    try:
        if record_fmr.read(mended).format is not guess.form:
            return None
    except MalformedRecord:
        return None
    return Mended(mended, tuple(repairs))


def _brought_in(record: bytearray, placed: record_fmr.Placed) -> int:
    """Move minutiae at x = width or y = height in by one, in place; return how many there were."""
    rows = np.frombuffer(record, dtype=placed.row, count=placed.count, offset=placed.minutiae)
    over = np.zeros(len(rows), dtype=bool)
    for axis, side in (("x", placed.frame.width), ("y", placed.frame.height)):
        there = (rows[axis] & MOST_COORDINATE) == side
        rows[axis][there] -= 1
        over |= there
    return int(over.sum())


def _remaining_fault(data: bytes, guesses: list[_Guess], fault: MalformedRecord) -> MalformedRecord:
    """Return what is wrong with the record beside the slips that we repair; else the strict reader's complaint."""
    for guess in guesses:
        behind = data[guess.end :]
        if abs(guess.stated - guess.end) > SLIP:
            continue
        if any(behind):
            return MalformedRecord(
                f"{len(behind)} bytes follow the record and are not all zero: another finger's",
                guess.end,
            )
        try:
            record_fmr.read(bytes(_whole(data, guess)))
        except MalformedRecord as own:
            return own
    return fault


def _whole(data: bytes, guess: _Guess) -> bytearray:
    """Return the record without what follows it, its length right."""
    record = bytearray(data[: guess.end])
    struct.pack_into(guess.layout, record, guess.at, guess.end)
    return record


def _alone(data: bytes, guess: _Guess, view: record_fmr.Placed) -> bytes:
    """Return the record of one view."""
    first = guess.placed[0].begin
    record = bytearray(data[:first] + data[view.begin : view.end])
    record[first - VIEWS_BACK] = 1
    struct.pack_into(guess.layout, record, guess.at, len(record))
    return bytes(record)
