"""Records of people: status, data and photograph, sealed at rest; the embedded case system.

    plaintext = u32be(length) ‖ head ‖ value ‖ value …      head = JSON: status, then code, media, length
    record    = data key over plaintext, AAD = PAE("passerelle/1/record", subject, version)

Subject and version are in the AAD: no record can be put in another person's place, nor an old one back in
the newer's. What is read must be exactly what we would have written.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, func, select, update

from gateway.casework import IMAGES, TEXT, Datum, FieldCode, Record, Status, SubjectKind
from gateway.errors import Fault, Remedy
from gateway.store.database import Database
from gateway.store.effects import Effect, says
from gateway.store.schema import subjects
from gateway.store.times import milliseconds, moment
from keys.datakey import DataKey
from keys.errors import OpenRefused
from keys.pae import pae

SUBJECT_BITS = 63  # a SQL integer is signed
_LABEL = b"passerelle/1/record"
_LENGTH = 4  # bytes, big-endian, before the head


class RecordChanged(Remedy):
    """Somebody else changed the record meanwhile."""


class StoredPeople:
    """The embedded case system: what this database holds of people."""

    def __init__(
        self,
        database: Database,
        data_key: DataKey,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._database, self._data_key, self._random = database, data_key, random

    def record(self, subject: int) -> Record:
        """Return what is held of a person; an empty record of nobody, where nothing is."""
        with self._database.reader() as reader:
            return read_record(reader, self._data_key, subject)

    def somebody(self) -> int:
        """Return the number of a person chosen by nothing but chance; 0 where there is nobody."""
        with self._database.reader() as reader:
            return somebody(reader, self._random(SUBJECT_BITS))


def read_record(connection: Connection, data_key: DataKey, subject: int) -> Record:
    """Return what is held of a person; the empty record, version 0, where nothing is.

    Raises Fault for a record that does not open, or says what we would not have written.
    """
    wanted = select(subjects.c.record, subjects.c.record_version).where(subjects.c.id == subject)
    row = connection.execute(wanted).one_or_none()
    if row is None or row.record is None:
        return Record(version=0 if row is None else row.record_version or 0)
    try:
        octets = data_key.open(row.record, _aad(subject, row.record_version))
        return _parsed(octets, row.record_version)
    except (OpenRefused, ValueError, TypeError, KeyError, OverflowError):
        raise Fault(f"the record of subject {subject} does not open, or is not ours") from None


def write_record(subject: int, record: Record, data_key: DataKey, now: datetime) -> Effect:
    """Return what makes `record` the record of an enrolled person; its version is one more than the last.

    The commit raises RecordChanged where the stored version is not the one before.
    """
    before = subjects.c.record_version
    expected = before.is_(None) if record.version == 1 else before == record.version - 1
    sealed = data_key.seal(_octets(record), _aad(subject, record.version))
    row = (
        update(subjects)
        .where(subjects.c.id == subject, expected)
        .values(record=sealed, record_version=record.version, record_ms=milliseconds(now))
    )
    first = says(RecordChanged, "the record was changed meanwhile; look at it, then say it again")
    return Effect(row, rows=1, refusal=first)


def somebody(connection: Connection, at: int) -> int:
    """Return the first person at or after a number, else the very first; 0 where there is nobody."""
    after = select(func.min(subjects.c.id)).where(subjects.c.id >= at)
    found = connection.execute(after).scalar()
    return found or connection.execute(select(func.min(subjects.c.id))).scalar() or 0


def without_record(connection: Connection) -> int:
    """Return how many people have no status: they are masked, whoever asks (law.md 3.3)."""
    unknown = select(func.count()).select_from(subjects).where(subjects.c.record.is_(None))
    return connection.execute(unknown).scalar() or 0


def _octets(record: Record) -> bytes:
    status = record.status
    data = [(code, record.data[code]) for code in sorted(record.data)]
    head = {
        "kind": int(status.kind),
        "nationalities": sorted(status.nationalities),
        "persecutors": sorted(status.persecutors),
        "confirmed": None if status.confirmed is None else milliseconds(status.confirmed),
        "data": [[int(code), datum.mime_type, len(datum.value)] for code, datum in data],
    }
    spelt = json.dumps(head, separators=(",", ":"), ensure_ascii=True).encode()
    return b"".join((len(spelt).to_bytes(_LENGTH, "big"), spelt, *(d.value for _, d in data)))


def _parsed(octets: bytes, version: int) -> Record:
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
            confirmed=None if head["confirmed"] is None else moment(head["confirmed"]),
        ),
        data=MappingProxyType(data),
        version=version,
    )
    if _octets(record) != octets:
        raise ValueError("not the one way to write this record")
    return record


def _aad(subject: int, version: int) -> bytes:
    return pae(_LABEL, subject.to_bytes(8, "big"), version.to_bytes(8, "big"))
