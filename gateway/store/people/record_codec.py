"""A person's record as bytes, before they are sealed: one way to write it, and only that is read.

plaintext = u32be(length) ‖ head ‖ value ‖ value …      head = JSON: status, then code, media, length
`no_persecutor` is in the head only where it is stated: records of older releases are written so too.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

from gateway.domain.person import IMAGES, TEXT, Datum, FieldCode, Record, Status, SubjectKind
from gateway.store.times import milliseconds, moment

_LENGTH = 4  # bytes, big-endian, before the head


def octets_of(record: Record) -> bytes:
    """Return a record as the plaintext that is sealed."""
    status = record.status
    data = [(code, record.data[code]) for code in sorted(record.data)]
    head = {
        "kind": int(status.kind),
        "nationalities": sorted(status.nationalities),
        "persecutors": sorted(status.persecutors),
        **({"no_persecutor": True} if status.no_persecutor else {}),
        "confirmed": None if status.confirmed is None else milliseconds(status.confirmed),
        "data": [[int(code), datum.mime_type, len(datum.value)] for code, datum in data],
    }
    spelt = json.dumps(head, separators=(",", ":"), ensure_ascii=True).encode()
    return b"".join((len(spelt).to_bytes(_LENGTH, "big"), spelt, *(d.value for _, d in data)))


def record_in(octets: bytes, version: int) -> Record:
    """Read a record strictly; raises ValueError, TypeError, KeyError or OverflowError."""
    start = _LENGTH + int.from_bytes(octets[:_LENGTH], "big")
    head: dict[str, Any] = json.loads(octets[_LENGTH:start])
    data: dict[FieldCode, Datum] = {}
    for code, media, length in head["data"]:
        if media != TEXT and media not in IMAGES:
            raise ValueError("a medium that no datum has")
        data[FieldCode(code)] = Datum(octets[start : start + length], media)
        start += length
    record = Record(
        status=Status(
            kind=SubjectKind(head["kind"]),
            nationalities=frozenset(head["nationalities"]),
            persecutors=frozenset(head["persecutors"]),
            no_persecutor=bool(head.get("no_persecutor", False)),
            confirmed=None if head["confirmed"] is None else moment(head["confirmed"]),
        ),
        data=MappingProxyType(data),
        version=version,
    )
    if octets_of(record) != octets:
        raise ValueError("not the one way to write this record")
    return record
