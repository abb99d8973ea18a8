"""The record of an iris code: a strict layout of our own, for no standard has one (ISO/IEC 19794-6 holds pictures).

docs/wire-format.md has it byte by byte. Whoever reads it learns the eye, the coder and the code with its mask; what
is not said in so many bytes is refused.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from matcher.errors import MalformedRecord
from matcher.iris.coders import PHASES, any_coder
from matcher.iris.template import Cells, IrisCode, check, from_cells, to_cells

MAGIC: Final = b"IRC\0"
VERSION: Final = b"010\0"
EYES: Final = (1, 2)  # right, left (ANSI/NIST-ITL 1-2011, field 17.003)
LONGEST_NAME: Final = 48  # bytes, of a coder's name and of its version
MOST_BYTES: Final = 1 << 16  # of a record; a code of 16,384 bits with its mask takes 4 KiB
HEAD: Final = struct.Struct(">4s4sIBBB")  # magic, version, length, eye, lengths of name and version
GRID: Final = struct.Struct(">HHBB")  # rows, columns, filters, parts

_word = re.compile(rb"[A-Za-z0-9._-]{1,48}")


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: the eye, 1 right or 2 left, and its code."""

    eye: int
    iris: IrisCode


def read(data: bytes) -> Record:
    """Return what a record holds; raises MalformedRecord, which says how it breaks the layout and where."""
    if len(data) > MOST_BYTES:
        raise MalformedRecord("longer than any record of an iris code", MOST_BYTES)
    if len(data) < HEAD.size:
        raise MalformedRecord("shorter than the header", len(data))
    magic, version, length, eye, *sizes = HEAD.unpack_from(data)
    for bad, reason, offset in (
        (magic != MAGIC, "not the record of an iris code", 0),
        (version != VERSION, "a version that is not read here", 4),
        (length != len(data), "the length is not that of the record", 8),
        (eye not in EYES, "the eye is neither right nor left", 12),
    ):
        if bad:
            raise MalformedRecord(reason, offset)
    place = HEAD.size
    words = []
    for size in sizes:
        word = data[place : place + size]
        if len(word) != size or not _word.fullmatch(word):
            raise MalformedRecord(
                "a coder's name or version is not 1 to 48 of A-Z a-z 0-9 . _ -", place
            )
        words.append(word.decode("ascii"))
        place += size
    return Record(eye, _code(data, place, *words))


def write(eye: int, iris: IrisCode) -> bytes:
    """Return the record of a code; raises ValueError for an eye that is neither right nor left."""
    if eye not in EYES:
        raise ValueError("an eye is 1, right, or 2, left")
    coder = iris.coder
    name, version = coder.name.encode("ascii"), coder.version.encode("ascii")
    planes = [np.packbits(each.reshape(-1)).tobytes() for each in to_cells(iris)]
    body = (
        name
        + version
        + GRID.pack(coder.rows, coder.columns, coder.filters, PHASES)
        + b"".join(planes)
    )
    return HEAD.pack(MAGIC, VERSION, HEAD.size + len(body), eye, len(name), len(version)) + body


def _code(data: bytes, place: int, name: str, version: str) -> IrisCode:
    coder = any_coder(name, version)
    if coder is None:  # its bits would be compared as another's: a distance that means nothing
        raise MalformedRecord("a coder that is not known here", HEAD.size)
    if len(data) < place + GRID.size:
        raise MalformedRecord("shorter than its grid", len(data))
    if GRID.unpack_from(data, place) != (coder.rows, coder.columns, coder.filters, PHASES):
        raise MalformedRecord("the grid is not the coder's", place)
    place += GRID.size
    size = -(-coder.bits // 8)
    if len(data) != place + 2 * size:
        raise MalformedRecord("code and mask are not as long as the grid says", place)
    iris = from_cells(
        coder,
        _bits(data[place : place + size], coder.bits, place).reshape(coder.rows, coder.columns, -1),
        _bits(data[place + size :], coder.bits, place + size).reshape(
            coder.rows, coder.columns, -1
        ),
    )
    if np.bitwise_count(iris.code).sum(dtype=np.int64) != _ones(data[place : place + size]):
        # One code has one record: nothing can be hidden under a mask, or told apart by what lies there.
        raise MalformedRecord("code bits under the mask are not zero", place)
    check(iris, place)
    return iris


def _ones(data: bytes) -> int:
    return int(np.bitwise_count(np.frombuffer(data, dtype=np.uint8)).sum(dtype=np.int64))


def _bits(data: bytes, bits: int, offset: int) -> Cells:
    found = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    if found[bits:].any():
        raise MalformedRecord("bits after the last cell are not zero", offset + len(data) - 1)
    return found[:bits]
