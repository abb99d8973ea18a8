"""CBEFF biometric information records as XML (ISO/IEC 19785-3, OASIS patron format; as MOSIP writes them) → their data blocks.

A BIR holds a data block (BDB) and what is said of it, or further BIRs. Packets of MOSIP hold every sample of a person; their
`others` hold entries of a key and a value, spelt in two ways, and their signature (SB) is a JWS over what left the device:
it is not checked here, for the keys of devices are not ours to trust.

What is no name of the format is denied: anybody may have written there what they know of a person.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.domain.messages import Modality
from gateway.sample_files import bounded_xml
from gateway.sample_files.bounded_xml import Element
from gateway.sample_files.errors import MalformedFile

NAMESPACE: Final = "http://standards.iso.org/iso-iec/19785/-3/ed-2/"
MOST_BLOCKS: Final = 100  # ten fingers in several ways, a face and two eyes are fewer
MOST_TEXT: Final = 200  # characters of what is said of a block

_identifier = ("", "/Organization", "/Type")
# Elements below a BIR, by their path; a creator may be a person. Every attribute is denied but the key of an entry.
_KNOWN: Final = frozenset(
    {
        "BDB",
        "SB",
        *(f"{each}{part}" for each in ("Version", "CBEFFVersion") for part in ("", "/Major", "/Minor")),
        *(f"BIRInfo{part}" for part in ("", "/Index", "/Integrity")),
        *(f"{each}/{part}" for each in ("BIRInfo", "BDBInfo") for part in ("CreationDate", "NotValidBefore", "NotValidAfter")),
        *(f"BDBInfo{part}" for part in ("", "/Index", "/Encryption", "/Type", "/Subtype", "/Level", "/Purpose")),
        *(f"BDBInfo/{each}{part}" for each in ("Format", "Product", "CaptureDevice", "CaptureDevice",
          "FeatureExtractionAlgorithm", "ComparisonAlgorithm", "CompressionAlgorithm", "Quality/Algorithm") for part in _identifier),
        *(f"BDBInfo/Quality{part}" for part in ("", "/Score", "/QualityCalculationFailed")),
        *(f"SBInfo{part}" for part in ("", "/Format", "/Format/Organization", "/Format/Type")),
    }
)  # fmt: skip
_LONG: Final = frozenset({"BDB", "SB"})
_truth, _words = re.compile("|true|false", re.IGNORECASE), re.compile(r"[A-Za-z0-9_.,-]{0,200}")
# Keys of `others` that MOSIP's packet manager writes: what device and operator did, nothing of the person; and what each
# value looks like. A payload is what a device signed: JSON without blanks, with tokens of a few thousand characters.
OTHERS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "EXCEPTION": _truth,
        "RETRIES": re.compile(r"[0-9]{0,4}"),
        "FORCE_CAPTURED": _truth,
        "SDK_SCORE": re.compile(r"|-?[0-9]{1,6}(?:\.[0-9]{1,20})?(?:E-?[0-9]{1,3})?"),
        "CONFIGURED": _words,
        "PAYLOAD": re.compile(r"[!-~]{0,16384}"),
        "SPEC_VERSION": _words,
    }
)
_TYPES: Final = MappingProxyType(
    {"finger": Modality.FINGER, "face": Modality.FACE, "iris": Modality.IRIS}
)
# Numbers of data block formats of organisation 257, ISO/IEC JTC 1/SC 37; MOSIP writes its own name or 257 for a number too.
_FORMATS: Final[Mapping[str, Modality | None]] = MappingProxyType(
    {
        "2": Modality.FINGER,
        "7": Modality.FINGER,
        "8": Modality.FACE,
        "9": Modality.IRIS,
        "257": None,
    }
)
_ORGANISATIONS = frozenset({"mosip", "257", "iso"})
_FINGERS = ("thumb", "index", "middle", "ring", "little")
SEVERAL: Final = -1  # position of a block of several fingers
_base64 = re.compile(r"[A-Za-z0-9+/]*+={0,2}|[A-Za-z0-9_-]*+={0,2}")
_start = re.compile(rb"<(?:[\w.-]{1,40}:)?BIR[\s/>]")
_SEEN: Final = 4096  # bytes of a file that may come before its root element


@dataclass(frozen=True, slots=True)
class Block:
    """One data block of a file of BIRs.

    number     which of the blocks it is, from 1
    modality   None: of none that is exchanged, a photograph of hands for example
    position   finger 1-10, face 0, eye 1-2 (1 = right); 0 of a finger or an eye = not said; SEVERAL fingers
    quality    0-100; None = not stated
    data       the block; empty where the file says that the finger or eye could not be captured
    fault      why it cannot be read, with the place in the file; empty where it can. Nothing else is known of one that cannot
    """

    number: int
    modality: Modality | None
    position: int
    quality: int | None
    data: bytes = field(repr=False)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """What of a file is no sample: the name of an element or the key of an entry, and its bytes in the file."""

    name: str
    start: int
    end: int

    def __str__(self) -> str:
        """Say it by its name, never with a value."""
        return self.name


@dataclass(frozen=True, slots=True)
class Packet:
    """What a file of BIRs holds; `signed` says whether blocks bear signatures, which were not checked."""

    blocks: tuple[Block, ...]
    described: tuple[Described, ...]
    signed: bool


def is_cbeff(data: bytes) -> bool:
    """Return whether the bytes begin as a BIR in XML does: after a declaration and comments, if there are any."""
    head = data[:_SEEN].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<?xml"):
        head = head.partition(b"?>")[2].lstrip()
    while head.startswith(b"<!--"):
        head = head.partition(b"-->")[2].lstrip()
    return _start.match(head) is not None


def read(data: bytes) -> Packet:
    """Return the data blocks of a file of BIRs, in their order, and what in it is no sample.

    A block that is no base64, is encrypted, of a format that is not known, or whose format and modality contradict each
    other is one with a fault. Raises MalformedFile for what `bounded_xml` refuses, and for a file without a block.
    """
    document = bounded_xml.read(data)
    root = document.root
    if not _is_bir(root):
        raise MalformedFile("XML that is no BIR", 0)
    birs = list(_birs(root))
    blocks = [each for each in birs if any(inner.name == "BDB" for inner in each.inner)]
    if not 0 < len(blocks) <= MOST_BLOCKS:
        raise MalformedFile(f"no data block in a file of BIRs, or more than {MOST_BLOCKS}", 0)
    denied = [found for each in document.outer for found in _denied(each, each.name, root.space)]
    denied += [found for each in birs for found in _denied_of_bir(each)]
    return Packet(
        tuple(_block(each, number) for number, each in enumerate(blocks, 1)),
        tuple(denied),
        any(inner.name == "SB" for each in birs for inner in each.inner),
    )


def stripped(data: bytes) -> tuple[bytes, tuple[Described, ...]]:
    """Return a file of BIRs without what is no sample, and what that was; every other byte stays. Raises MalformedFile."""
    found = read(data).described
    kept, at = [], 0
    for each in sorted(found, key=lambda one: one.start):
        kept.append(data[at : max(at, each.start)])
        at = max(at, each.end)
    return b"".join([*kept, data[at:]]), found


def _is_bir(element: Element) -> bool:
    return element.name == "BIR" and element.space in {NAMESPACE, ""}


def _birs(root: Element) -> Iterator[Element]:
    yield root
    for each in root.inner:
        if _is_bir(each):
            yield from _birs(each)


def _denied_of_bir(bir: Element) -> Iterator[Described]:
    if bir.attributes:
        raise MalformedFile("a BIR with an attribute", bir.start)
    _demand_no_text(bir)
    for each in bir.inner:
        if _is_bir(each):
            continue
        if each.name.lower() == "others" and each.space == bir.space:
            yield from _denied_of_others(each)
        else:
            yield from _denied(each, each.name, bir.space)


def _denied(element: Element, path: str, space: str) -> Iterator[Described]:
    """Yield an element that is no name of the format, or whatever is none within it."""
    if path not in _KNOWN or element.space != space or element.attributes:
        yield Described(element.name or "a comment", element.start, element.end)
        return
    if path not in _LONG and len(element.text) > MOST_TEXT:
        yield Described(element.name, element.start, element.end)
    if element.inner:
        _demand_no_text(element)
    for each in element.inner:
        yield from _denied(each, f"{path}/{each.name}", space)


def _denied_of_others(others: Element) -> Iterator[Described]:
    """Yield entries of no known key, or of a value that is not its key's, in either spelling: `entry key=`, Key and Value."""
    _demand_no_text(others)
    if others.attributes:
        yield Described(others.name, others.start, others.end)
        return
    for first, last, key, value in _entries(others):
        if key not in OTHERS or not OTHERS[key].fullmatch(value):
            yield Described(f"{others.name}: {_word(key)}", first.start, last.end)


def _entries(others: Element) -> Iterator[tuple[Element, Element, str, str]]:
    """Yield the first and the last element of each entry, its key and its value."""
    waiting: Element | None = None
    for each in others.inner:
        bare = not each.inner and not each.attributes
        if each.name.lower() == "key" and bare and waiting is None:
            waiting = each
        elif each.name.lower() == "value" and bare and waiting is not None:
            yield waiting, each, waiting.text, each.text
            waiting = None
        else:
            plain = (
                each.name.lower() == "entry" and set(each.attributes) == {"key"} and not each.inner
            )
            yield each, each, each.attributes["key"] if plain else "", each.text
    if waiting is not None:
        yield waiting, waiting, "", ""


def _word(key: str) -> str:
    """Return a key as it may be said: it names a thing, but whoever wrote it may have written a person."""
    return (
        key
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,40}", key)
        else "an entry without a plain key"
    )


def _demand_no_text(element: Element) -> None:
    if element.text:
        raise MalformedFile("text between the elements of a BIR", element.start)


def _block(bir: Element, number: int) -> Block:
    try:
        return _read_block(bir, number)
    except MalformedFile as fault:
        return Block(number, None, 0, None, b"", str(fault))


def _read_block(bir: Element, number: int) -> Block:
    """Return a data block and what is said of it; raises MalformedFile for one that cannot be read."""
    info = next((each for each in bir.inner if each.name == "BDBInfo"), None)
    if info is None:
        raise MalformedFile("a data block of which nothing is said (BDBInfo)", bir.start)
    if _said(info, "Encryption") == "true":
        raise MalformedFile("an encrypted data block", info.start)
    modality = _modality(info)
    others = {
        key: value
        for each in bir.inner
        if each.name.lower() == "others"
        for _, _, key, value in _entries(each)
    }
    bdbs = [each for each in bir.inner if each.name == "BDB"]
    if len(bdbs) != 1:
        raise MalformedFile("a BIR with several data blocks", bir.start)
    data = _octets(bdbs[0])
    if not data and others.get("EXCEPTION", "").lower() != "true":
        raise MalformedFile("an empty data block", bdbs[0].start)
    return Block(number, modality, _position(info, modality), _quality(info), data)


def _modality(info: Element) -> Modality | None:
    """Return what a block is of, from its type and its format, which must say the same; None: of nothing that is exchanged."""
    types = _said(info, "Type").split()
    if len(types) == 1 and types[0].lower() not in _TYPES:
        return None
    stated = {_TYPES.get(each.lower()) for each in types}
    layout = next((each for each in info.inner if each.name == "Format"), None)
    if layout is not None:
        organisation, kind = _said(layout, "Organization").lower(), _said(layout, "Type")
        if organisation not in _ORGANISATIONS or kind not in _FORMATS:
            raise MalformedFile("a data block of another organisation's format", layout.start)
        stated |= {_FORMATS[kind]} - {None}
    if len(stated) != 1:
        raise MalformedFile("a data block of two modalities, or of none", info.start)
    return stated.pop()


def _position(info: Element, modality: Modality | None) -> int:
    """Return a block's position; its subtype is words: a side, and of fingers which, of a slap several."""
    if modality is None:
        return 0
    words = [
        word.lower().removesuffix("finger")
        for each in _all(info, "Subtype")
        for word in each.split()
    ]
    sides = {each for each in words if each in {"left", "right"}}
    rest = [each for each in words if each not in {"left", "right", "", "unknown"}]
    known = (
        _FINGERS if modality is Modality.FINGER else ("face",) if modality is Modality.FACE else ()
    )
    if any(each not in known for each in rest):
        raise MalformedFile("a subtype that is no finger and no side", info.start)
    if modality is Modality.FACE:
        return 0
    if len(sides) > 1 or len(rest) > 1:
        return SEVERAL
    if not sides or (modality is Modality.FINGER and not rest):
        return 0
    if modality is Modality.IRIS:
        return 1 if "right" in sides else 2
    return 1 + _FINGERS.index(rest[0]) + (0 if "right" in sides else len(_FINGERS))


def _quality(info: Element) -> int | None:
    quality = next((each for each in info.inner if each.name == "Quality"), None)
    score = "" if quality is None else _said(quality, "Score")
    if not score:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", score) or int(score) > 255:
        raise MalformedFile("no such quality", info.start)
    return int(score) if int(score) <= 100 else None


def _octets(bdb: Element) -> bytes:
    """Return the bytes of a block: base64 of either alphabet, padded or not; newer and older packets differ."""
    text = "".join(bdb.text.split())
    if not _base64.fullmatch(text):
        raise MalformedFile("a data block that is no base64", bdb.start)
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise MalformedFile("a data block that is no base64", bdb.start) from None


def _said(element: Element, name: str) -> str:
    return " ".join(_all(element, name))


def _all(element: Element, name: str) -> list[str]:
    return [each.text for each in element.inner if each.name == name]
