"""How a message is encoded: protobuf's bytes, examined without its library.

A message has one encoding, with one exception: a field without presence may state its default value (zero, empty)
or leave it out. Some libraries write what a program set, whatever the value; a clock at a whole second
would otherwise make the same client's header unlawful once in a thousand messages. All readers read such a field
alike, so nothing is said by it.
"""

from __future__ import annotations

from typing import Any

VARINT, DELIMITED = 0, 2  # wire types; no message of ours has a field of fixed width

ORDER = "FIELD_ORDER"  # a field is before one with a lower number
TWICE = "FIELD_TWICE"  # a field that is not repeated is there twice
PADDED = "NUMBER_PADDED"  # a number takes more bytes than it needs
UNPACKED = "NOT_PACKED"  # a repeated number is alone, not in its field's one list
OTHER = "SPELLING"  # any other second way to write the same message


class Misspelt(ValueError):
    """A message is not in its canonical form; `rule` names which."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def without_defaults(kind: Any, octets: bytes) -> bytes:  # noqa: ANN401 - a descriptor has two types
    """Return a message less the default values that it states, at every depth; raises `Misspelt`.

    kind    descriptor of the message
    octets  parse as a message of `kind` that has no unknown field
    """
    kept, at, last = bytearray(), 0, 0
    while at < len(octets):
        start = at
        tag, at = _varint(octets, at)
        number, wire_type = tag >> 3, tag & 7
        field = kind.fields_by_number[number]
        if number < last:
            raise Misspelt(ORDER)
        if number == last and not field.is_repeated:
            raise Misspelt(TWICE)
        if wire_type not in {VARINT, DELIMITED}:
            raise Misspelt(OTHER)
        if field.is_packed and wire_type == VARINT:
            raise Misspelt(UNPACKED)
        last, begin = number, at
        value, at = _varint(octets, at)
        if wire_type == DELIMITED:
            begin, at = at, at + value
        if not value and not field.is_repeated and not field.has_presence:
            continue
        if field.message_type is None:
            kept += octets[start:at]
        else:
            inner = without_defaults(field.message_type, octets[begin:at])
            kept += _spelt(tag) + _spelt(len(inner)) + inner
    return bytes(kept)


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends; the bytes are known to parse."""
    value = shift = 0
    while True:
        byte = octets[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if not byte and shift:
        raise Misspelt(PADDED)
    return value, at


def _spelt(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
