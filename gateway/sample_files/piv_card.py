"""Biometric data objects of PIV cards (NIST SP 800-76-2, table 7): a header of 88 bytes, a data block, a signature.

The header names who made the object and whose card it is on: the FASC-N is the number of the card's holder. The signature is
a CMS structure over header and block; it is not checked here, for whose certificates are believed is the issuer's matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.messages import Modality
from gateway.sample_files.errors import MalformedFile

# Version, options, lengths of block and signature, owner and type of the block, creation date, validity (from, to),
# biometric type, data type, quality, creator, FASC-N, reserved.
HEADER: Final = struct.Struct(">BBIHHH8s16s3sbb18s25s4s")
VERSION: Final = 3
OPTIONS: Final = (0x0D, 0x0F)  # signed, or signed and encrypted
OWNER: Final = 0x001B  # INCITS M1
TYPES: Final = {
    0x0201: Modality.FINGER,
    0x0501: Modality.FACE,
}  # INCITS 378 minutiae; INCITS 385 face image
ENCRYPTED: Final = 0x0F
CREATOR, FASC_N = "creator", "FASC-N, the number of the card's holder"


@dataclass(frozen=True, slots=True)
class CardObject:
    """What a card's object holds: its data block, of which modality it is, and what of its header names somebody."""

    modality: Modality
    block: bytes = field(repr=False)
    described: tuple[str, ...]


def is_card_object(data: bytes) -> bool:
    """Return whether the bytes begin as such an object does: version, options and the owner of its block."""
    if len(data) < HEADER.size:
        return False
    version, options, _, _, owner, *_ = HEADER.unpack_from(data)
    return version == VERSION and options in OPTIONS and owner == OWNER


def read(data: bytes) -> CardObject:
    """Return what an object holds; raises MalformedFile for lengths that are not its own, and an encrypted block."""
    if not is_card_object(data):
        raise MalformedFile("no object of a PIV card", 0)
    _, options, size, signature, _, kind, *rest = HEADER.unpack_from(data)
    if HEADER.size + size + signature != len(data):
        raise MalformedFile("the lengths of a card's object are not its own", 2)
    if options == ENCRYPTED:
        raise MalformedFile("a card's object whose block is encrypted", 1)
    if kind not in TYPES:
        raise MalformedFile("a card's object of a type that is not read here", 10)
    creator, holder = rest[-3], rest[-2]
    named = ((CREATOR, creator), (FASC_N, holder))
    return CardObject(
        TYPES[kind],
        data[HEADER.size : HEADER.size + size],
        tuple(name for name, octets in named if any(octets)),
    )


def stripped(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return the data block alone, and what of the rest names somebody; raises MalformedFile."""
    found = read(data)
    return found.block, found.described
