"""The record of a face vector: a strict layout of our own, for no standard has one.

docs/wire-format.md has it byte by byte. ISO/IEC 19794-5 and 39794-5 hold pictures; what a network makes of one is
nobody's standard, so the record names the network and says nothing that is not needed to compare.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from matcher.errors import MalformedRecord
from matcher.face.template import (
    LEAST_DIMENSION,
    MODEL_NAME,
    MOST_DIMENSION,
    FaceVector,
    Floats,
    VectorRefused,
)

MAGIC: Final = b"FVC\0"
VERSION: Final = b"010\0"
HEAD: Final = struct.Struct(">4s4sIB")  # magic, version, length of the record, length of the name
SHAPE: Final = struct.Struct(">HB")  # numbers, type of each
FLOAT32: Final = 1  # IEEE 754 binary32, big-endian; the only type so far
ELEMENT: Final = np.dtype(">f4")
MOST_BYTES: Final = HEAD.size + 48 + SHAPE.size + ELEMENT.itemsize * MOST_DIMENSION


def read(data: bytes) -> FaceVector:
    """Return the vector of a record; raises MalformedRecord, which says how the layout is broken and where."""
    if len(data) > MOST_BYTES:
        raise MalformedRecord("longer than any record of a face vector", MOST_BYTES)
    if len(data) < HEAD.size:
        raise MalformedRecord("shorter than the header", len(data))
    magic, version, length, size = HEAD.unpack_from(data)
    for bad, reason, offset in (
        (magic != MAGIC, "not the record of a face vector", 0),
        (version != VERSION, "a version that is not read here", 4),
        (length != len(data), "the stated length is not the record's", 8),
    ):
        if bad:
            raise MalformedRecord(reason, offset)
    name = data[HEAD.size : HEAD.size + size]
    place = HEAD.size + size
    model = name.decode("ascii", "replace")
    if len(name) != size or not MODEL_NAME.fullmatch(model):
        raise MalformedRecord("the model's name is not 1 to 48 of A-Z a-z 0-9 . _ -", HEAD.size)
    numbers = _numbers(data, place)
    try:
        return FaceVector(model, numbers)
    except VectorRefused as fault:
        raise MalformedRecord(str(fault), place + SHAPE.size) from None


def write(face: FaceVector) -> bytes:
    """Return the record of a vector."""
    name = face.model.encode("ascii")
    body = name + SHAPE.pack(len(face), FLOAT32) + face.vector.astype(ELEMENT).tobytes()
    return HEAD.pack(MAGIC, VERSION, HEAD.size + len(body), len(name)) + body


def _numbers(data: bytes, place: int) -> Floats:
    if len(data) < place + SHAPE.size:
        raise MalformedRecord("shorter than its shape", len(data))
    dimension, kind = SHAPE.unpack_from(data, place)
    if not LEAST_DIMENSION <= dimension <= MOST_DIMENSION:
        raise MalformedRecord("a dimension that no model has", place)
    if kind != FLOAT32:
        raise MalformedRecord("an element type that is not read here", place + 2)
    place += SHAPE.size
    if len(data) != place + dimension * ELEMENT.itemsize:
        raise MalformedRecord("the numbers are not as many as the dimension says", place)
    return np.frombuffer(data, dtype=ELEMENT, offset=place).astype(np.float32)
