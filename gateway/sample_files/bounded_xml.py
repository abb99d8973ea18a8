"""XML of others, read within bounds into a tree that knows where each element stands in the file.

A document type or an entity is refused as soon as it begins: an entity may grow without end or name a file, and nothing
that we read needs one. Bytes are UTF-8 whatever they declare. Depth and number of elements are bounded; text takes no more
memory than the file that it stands in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn
from xml.parsers import expat

from gateway.sample_files.errors import MalformedFile

DEEPEST: Final = 8  # elements within each other
MOST_ELEMENTS: Final = 10_000
MOST_ATTRIBUTES: Final = 16  # of one element

# A start tag to its end; quotes may hold what would end it.
_tag: Final = re.compile(rb"""<[^"'>]*+(?:"[^"]*+"[^"'>]*+|'[^']*+'[^"'>]*+)*+>""")


@dataclass(slots=True, eq=False)
class Element:
    """An element, and all within it.

    name, space   local name, and namespace; both empty: a comment or a processing instruction
    start, end    its bytes in the file
    text          its own text, without that of its elements
    """

    name: str
    space: str
    attributes: dict[str, str]
    start: int
    end: int = 0
    parts: list[str] = field(default_factory=list, repr=False)
    inner: list[Element] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        """Its own text, without blanks around it."""
        return "".join(self.parts).strip()


@dataclass(frozen=True, slots=True)
class Document:
    """The root of a document, and the comments and processing instructions before and after it."""

    root: Element
    outer: tuple[Element, ...]


def read(data: bytes) -> Document:
    """Return the elements of a document; raises MalformedFile."""
    builder = _Builder(data)
    try:
        data.decode("utf-8")  # a mark at the start of a file would have expat read it as UTF-16
        builder.parser.Parse(data, True)
    except (UnicodeDecodeError, expat.ExpatError):
        raise MalformedFile("not XML in UTF-8", builder.at) from None
    return Document(builder.root, tuple(builder.outer))


class _Builder:
    """Hears what the parser finds."""

    def __init__(self, data: bytes) -> None:
        self.data, self.open, self.count = data, list[Element](), 0
        self.outer = list[Element]()
        self.parser = expat.ParserCreate("UTF-8", " ")
        self.parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        # Deny by default: no packet of samples has any of these.
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._finish
        self.parser.CharacterDataHandler = self._hear
        self.parser.CommentHandler = self._pass_comment
        self.parser.ProcessingInstructionHandler = self._pass_instruction

    @property
    def at(self) -> int:
        return max(0, self.parser.CurrentByteIndex)

    def _refuse(self, *_: object) -> NoReturn:
        raise MalformedFile("XML with a document type or an entity", self.at)

    def _begin(self, qualified: str, attributes: dict[str, str]) -> None:
        if len(attributes) > MOST_ATTRIBUTES:
            raise MalformedFile("an element of more attributes than any has", self.at)
        space, _, name = qualified.rpartition(" ")
        self._add(Element(name, space, attributes, self.at))

    def _add(self, element: Element) -> None:
        self.count += 1
        if self.count > MOST_ELEMENTS or len(self.open) >= DEEPEST:
            raise MalformedFile("XML deeper or larger than any packet of samples", element.start)
        if self.open:
            self.open[-1].inner.append(element)
        elif element.name:
            self.root = element
        else:
            self.outer.append(element)
        self.open.append(element)

    def _finish(self, _: str) -> None:
        element = self.open.pop()
        # Of an empty element the parser calls its end where the next thing begins; its one tag says so itself.
        tag = _tag.match(self.data, element.start)
        if tag is None:
            raise MalformedFile("not XML in UTF-8", element.start)
        if tag[0].endswith(b"/>"):
            element.end = tag.end()
        else:
            element.end = self.data.index(b">", self.at) + 1

    def _hear(self, text: str) -> None:
        self.open[-1].parts.append(text)

    def _pass_comment(self, _: str) -> None:
        self._add(Element("", "", {}, self.at))
        self.open.pop().end = self.data.index(b"-->", self.at) + 3

    def _pass_instruction(self, *_: str) -> None:
        self._add(Element("", "", {}, self.at))
        self.open.pop().end = self.data.index(b"?>", self.at) + 2
