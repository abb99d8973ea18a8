"""The answer of a time stamp authority as bytes, before anything in it is believed (RFC 3161 section 2.4.2, RFC 5652).

`rfc3161-client` reads strict DER, and takes one status for granted. Authorities in use write the certificates in the
order in which they hold them (OpenSSL's `ts` does), which CMS in BER may, and may grant with modifications. Neither is
signed. What is kept is what came; what is read is `readable` of it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_SETS: Final = frozenset(
    {0x31, 0xA0, 0xA1}
)  # of SignedData: algorithms and signers, certificates, revocations
_REASONS: Final = {  # PKIFailureInfo: bit → what it means
    0: "it does not know the algorithm (badAlg)",
    2: "the request is not one that it permits (badRequest)",
    5: "the request has the wrong form (badDataFormat)",
    14: "its source of time is not available (timeNotAvailable)",
    15: "it does not know the policy that was asked for (unacceptedPolicy)",
    16: "it does not know an extension that was asked for (unacceptedExtension)",
    17: "it does not hand out what was asked for beside it (addInfoNotAvailable)",
    25: "it cannot do it at present (systemFailure)",
}


class Status(IntEnum):
    """PKIStatus: whether there is a time stamp."""

    GRANTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3
    REVOCATION_WARNING = 4
    REVOCATION_NOTIFICATION = 5


class NoAnswer(ValueError):
    """The octets are no TimeStampResp, or say that there is no stamp; the message says which, and the authority's reason."""


def readable(answer: bytes) -> bytes:
    """Return the answer as strict DER: sets of the token in order, and granted where it was granted with modifications.

    Nothing that the authority signs is touched. Raises NoAnswer.
    """
    try:
        status, *token = _children(_only(answer, _SEQUENCE))
        tag, info = status
        said = _children(info)
        number = int.from_bytes(said[0][1], "big", signed=True)
        whole = tag == _SEQUENCE and said[0][0] == _INTEGER and len(token) <= 1
    except (IndexError, ValueError):
        whole, token, said, number = False, [], [], -1
    if not whole or number not in list(Status):
        raise NoAnswer(
            f"what came is not a time stamp response (RFC 3161): {len(answer)} bytes that begin with"
            f" {answer[:8].hex(' ') or 'nothing'}"
        )
    granted = number in {Status.GRANTED, Status.GRANTED_WITH_MODS}
    if granted and not token:
        raise NoAnswer("the authority says that it granted the stamp, and sent none")
    if not granted:
        raise NoAnswer(f"the authority says {Status(number).name.lower()}{_why(said[1:])}")
    plain = _made(_INTEGER, bytes([Status.GRANTED]))
    status_octets = _made(_SEQUENCE, plain + b"".join(_made(*each) for each in said[1:]))
    return _made(_SEQUENCE, status_octets + _token(*token[0]))


def _why(more: list[tuple[int, bytes]]) -> str:
    """Return the authority's reason in its own words, printable and at most 200 characters of them, and in ours."""
    found = []
    for tag, content in more:
        if tag == 0x03 and content:  # failInfo, a BIT STRING behind the number of its unused bits
            bits = content[1:]
            found += [
                text
                for bit, text in _REASONS.items()
                if bit < 8 * len(bits) and bits[bit // 8] << (bit % 8) & 0x80
            ]
        elif tag == _SEQUENCE:  # statusString
            try:
                texts = [octets.decode(errors="replace") for _, octets in _children(content)]
            except (IndexError, ValueError):
                continue
            shown = "".join(one if one.isprintable() else " " for one in " ".join(texts)[:200])
            found.append(f"in its words: {shown}")
    return f": {'; '.join(found)}" if found else " and no reason"


def _token(tag: int, content: bytes) -> bytes:
    """Return a ContentInfo with the sets of its SignedData in order; whole and as it was where it has another form."""
    try:
        kind, (outer, explicit) = _children(content)
        parts = _children(_only(explicit, _SEQUENCE))
        inner = b"".join(
            _made(part, _ordered(octets) if part in _SETS else octets) for part, octets in parts
        )
    except (IndexError, ValueError):
        return _made(tag, content)
    return _made(tag, _made(*kind) + _made(outer, _made(_SEQUENCE, inner)))


def _ordered(content: bytes) -> bytes:
    """Return the members of a SET OF in the order of DER (X.690 section 11.6)."""
    return b"".join(sorted(_made(*each) for each in _children(content)))


def _only(octets: bytes, tag: int) -> bytes:
    ((found, content),) = _children(octets)
    if found != tag:
        raise ValueError("another tag")
    return content


def _children(octets: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each member; raises IndexError or ValueError for what is no DER."""
    found, at = [], 0
    while at < len(octets):
        tag, length, at = octets[at], octets[at + 1], at + 2
        if length & 0x80:
            wide = length & 0x7F
            if not 1 <= wide <= 4 or at + wide > len(octets):
                raise ValueError("a length of another form")
            length, at = int.from_bytes(octets[at : at + wide], "big"), at + wide
        if tag & 0x1F == 0x1F or at + length > len(octets):
            raise ValueError("a tag of another form, or a member beyond the end")
        found.append((tag, octets[at : at + length]))
        at += length
    return found


def _made(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    wide = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(wide)]) + wide + content
