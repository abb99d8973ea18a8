"""Distinguished Encoding Rules (ITU-T X.690), as much as ISO/IEC 39794 needs: low tags, definite least lengths.

A general decoder is a program for strangers' bytes; this one has no types, no recursion and nothing to configure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from gateway.sample_files.containers.image import UnreadableImage

APPLICATION, CONTEXT, CONSTRUCTED, HIGH_TAG = 0x40, 0x80, 0x20, 0x1F
MOST_ELEMENTS = 256  # of one sequence; the blocks of ISO/IEC 39794 have fewer than twenty
MOST_INTEGER = 8  # bytes
SEQUENCE = 0x30


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its identifier octet, and where its content lies."""

    identifier: int
    data: bytes
    start: int
    end: int

    @property
    def octets(self) -> bytes:
        """The content."""
        return self.data[self.start : self.end]

    def integer(self) -> int:
        """Return the content as a whole number that is not negative."""
        octets = self.octets
        if not octets or len(octets) > MOST_INTEGER or self.identifier & CONSTRUCTED:
            raise UnreadableImage("a number of the record is garbled")
        if len(octets) > 1 and octets[0] == 0 and octets[1] < 0x80:
            raise UnreadableImage("a number of the record is not in its shortest form")
        if octets[0] >= 0x80:
            raise UnreadableImage("a number of the record is negative")
        return int.from_bytes(octets, "big")

    def elements(self) -> tuple[Element, ...]:
        """Return what a constructed element holds, all of it."""
        if not self.identifier & CONSTRUCTED:
            raise UnreadableImage("a block of the record is garbled")
        found, at = list[Element](), self.start
        while at < self.end:
            if len(found) >= MOST_ELEMENTS:
                raise UnreadableImage("a block of more elements than the standard has")
            found.append(element(self.data, at, self.end))
            at = found[-1].end
        return tuple(found)

    def fields(self) -> Mapping[int, Element]:
        """Return the elements of a sequence by their context tag, which must ascend."""
        found = dict[int, Element]()
        for each in self.elements():
            number = each.identifier & HIGH_TAG
            if each.identifier & ~(HIGH_TAG | CONSTRUCTED) != CONTEXT:
                raise UnreadableImage("an element of the record without its number")
            if found and number <= max(found):
                raise UnreadableImage("an element of the record is given twice, or out of order")
            found[number] = each
        return found


def whole(data: bytes) -> Element:
    """Return the one element that bytes are; raise UnreadableImage where something follows."""
    found = element(data, 0, len(data))
    if found.end != len(data):
        raise UnreadableImage("bytes follow the record")
    return found


def element(data: bytes, at: int, end: int) -> Element:
    """Return the element that begins at a place and ends before another."""
    if end - at < 2:
        raise UnreadableImage("the record is cut short")
    identifier, first = data[at], data[at + 1]
    if identifier & HIGH_TAG == HIGH_TAG:
        raise UnreadableImage("an element of the record with a long tag")
    start, length = at + 2, first
    if first >= 0x80:
        start, length = _long(data, start, first & 0x7F, end)
    if length > end - start:
        raise UnreadableImage("the record is cut short")
    return Element(identifier, data, start, start + length)


def replaced(block: bytes, start: int, content: bytes) -> bytes:
    """Return a block with other content in the element whose content begins there; the lengths around it are put right."""
    chain = [(0, whole(block))]  # where each begins, from the outermost
    while chain[-1][1].start != start:
        outer = chain[-1][1]
        begin = outer.start
        for each in outer.elements():
            if begin < start < each.end:
                chain.append((begin, each))
                break
            begin = each.end
        else:
            raise UnreadableImage("a block of the record is garbled")
    octets = _encoded(chain[-1][1].identifier, content)
    for (_, outer), (begin, inner) in reversed(list(pairwise(chain))):
        around = block[outer.start : begin] + octets + block[inner.end : outer.end]
        octets = _encoded(outer.identifier, around)
    return octets


def _encoded(identifier: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([identifier, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([identifier, 0x80 | len(length)]) + length + content


def _long(data: bytes, at: int, size: int, end: int) -> tuple[int, int]:
    """Return where content begins, and its length, of so many bytes; both have to be the least that do."""
    if not 1 <= size <= 4 or end - at < size:
        raise UnreadableImage("a length of the record is garbled")
    length = int.from_bytes(data[at : at + size], "big")
    if length < 0x80 or data[at] == 0:
        raise UnreadableImage("a length of the record is not in its shortest form")
    return at + size, length
