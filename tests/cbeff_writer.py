"""Writes files of BIRs as MOSIP's packet manager does: the namespace, the order and the spellings of its packets."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

NAMESPACE = "http://standards.iso.org/iso-iec/19785/-3/ed-2/"
KINDS = {"Finger": "7", "Face": "8", "Iris": "9"}


def block(
    kind: str,
    subtype: str,
    data: bytes,
    *,
    others: Mapping[str, str] | None = None,
    older: bool = False,
    more: str = "",
    format_: tuple[str, str] | None = None,
) -> str:
    """Return one BIR; `older` packets pad their base64 and spell entries as Key and Value, newer ones do neither."""
    organisation, number = format_ or ("Mosip", KINDS.get(kind, "7"))
    text = base64.b64encode(data) if older else base64.urlsafe_b64encode(data).rstrip(b"=")
    entries = ""
    if others is not None and older:
        pairs = "".join(f"<Key>{key}</Key><Value>{value}</Value>" for key, value in others.items())
        entries = f"<Others>{pairs}</Others>"
    elif others is not None:
        pairs = "".join(f'<entry key="{key}">{value}</entry>' for key, value in others.items())
        entries = f"<others>{pairs}</others>"
    return (
        "<BIR><Version><Major>1</Major><Minor>1</Minor></Version>"
        "<CBEFFVersion><Major>1</Major><Minor>1</Minor></CBEFFVersion>"
        "<BIRInfo><Integrity>false</Integrity></BIRInfo>"
        f"<BDBInfo><Format><Organization>{organisation}</Organization><Type>{number}</Type></Format>"
        f"<CreationDate>2026-03-01T12:00:00Z</CreationDate><Type>{kind}</Type>"
        f"{f'<Subtype>{subtype}</Subtype>' if subtype else ''}<Level>Raw</Level><Purpose>Enroll</Purpose>"
        "<Quality><Algorithm><Organization>HMAC</Organization><Type>SHA-256</Type></Algorithm>"
        f"<Score>80</Score></Quality>{more}</BDBInfo>"
        f"<BDB>{text.decode()}</BDB><SB>ZXlKaGJHY2k=</SB>{entries}</BIR>"
    )


def packet(blocks: Sequence[str], *, head: str = "", declaration: str = "") -> bytes:
    """Return a file of BIRs within one."""
    start = declaration or '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    info = "<BIRInfo><Integrity>false</Integrity></BIRInfo>"
    return f'{start}<BIR xmlns="{NAMESPACE}">{info}{head}{"".join(blocks)}</BIR>'.encode()
