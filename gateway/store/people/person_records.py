"""Records of people: status, data and photograph, sealed at rest; the embedded case system.

    record = data key over the plaintext of `octets_of`, AAD = PAE("passerelle/1/record", subject, version)

Subject and version are in the AAD: no record can be put in another person's place, nor an old one back in
the newer's.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from gateway.domain.person import IMAGES, TEXT, Datum, FieldCode, Record, Status, SubjectKind
from gateway.errors import InternalError, UserError
from gateway.store.effects import Effect, says
from gateway.store.engine import StorageEngine
from gateway.store.schema import subjects
from gateway.store.times import milliseconds, moment
from keys.data_encryption import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

SUBJECT_BITS = 63  # a SQL integer is signed
_LABEL = b"passerelle/1/record"

# Made once: building a statement takes longer than SQLite takes to execute it, and a query needs all three.
_RECORD = select(subjects.c.record, subjects.c.record_version).where(
    subjects.c.id == bindparam("who")
)
_FIRST = select(func.min(subjects.c.id))
_FIRST_FROM = _FIRST.where(subjects.c.id >= bindparam("at"))


class RecordChanged(UserError):
    """Somebody else changed the record meanwhile."""


class StoredPeople:
    """The embedded case system: what this database holds of people."""

    def __init__(
        self,
        database: StorageEngine,
        data_key: DataRing,
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


def read_record(connection: Connection, data_key: DataRing, subject: int) -> Record:
    """Return what is held of a person; the empty record, version 0, where nothing is.

    Raises InternalError for a record that does not open, or says what we would not have written.
    """
    row = connection.execute(_RECORD, {"who": subject}).one_or_none()
    if row is None or row.record is None:
        return Record(version=0 if row is None else row.record_version or 0)
    try:
        octets = data_key.open(row.record, aad(subject, row.record_version))
        return record_in(octets, row.record_version)
    except (OpenRefused, ValueError, TypeError, KeyError, OverflowError):
        raise InternalError(
            f"the record of subject {subject} does not open, or is not ours"
        ) from None


def write_record(subject: int, record: Record, data_key: DataRing, now: datetime) -> Effect:
    """Return what makes `record` the record of an enrolled person; its version is one more than the last.

    The commit raises RecordChanged where the stored version is not the one before.
    """
    before = subjects.c.record_version
    expected = before.is_(None) if record.version == 1 else before == record.version - 1
    sealed = data_key.seal(octets_of(record), aad(subject, record.version))
    row = (
        update(subjects)
        .where(subjects.c.id == subject, expected)
        .values(record=sealed, record_version=record.version, record_ms=milliseconds(now))
    )
    first = says(RecordChanged, "the record was changed meanwhile; look at it, then say it again")
    return Effect(row, rows=1, refusal=first)


def somebody(connection: Connection, at: int) -> int:
    """Return the first person at or after a number, else the very first; 0 where there is nobody."""
    found = connection.execute(_FIRST_FROM, {"at": at}).scalar()
    return found or connection.execute(_FIRST).scalar() or 0


def kinds(connection: Connection, data_key: DataRing) -> Mapping[SubjectKind, int]:
    """Return how many people with a record are what; opens every record, one after the other."""
    wanted = select(subjects.c.id).where(subjects.c.record.is_not(None))
    found = connection.execute(wanted).scalars().all()
    return Counter(read_record(connection, data_key, each).status.kind for each in found)


def after(connection: Connection, subject: int, most: int) -> tuple[int, ...]:
    """Return the next people after a number who have a record, at most so many, in order."""
    wanted = select(subjects.c.id).where(subjects.c.id > subject, subjects.c.record.is_not(None))
    return tuple(connection.execute(wanted.order_by(subjects.c.id).limit(most)).scalars())


def aad(subject: int, version: int) -> bytes:
    """Return what the record of a person is bound to."""
    return pae(_LABEL, subject.to_bytes(8, "big"), version.to_bytes(8, "big"))


# A person's record as bytes, before they are sealed: one way to write it, and only that is read.
#
# plaintext = u32be(length) ‖ head ‖ value ‖ value …      head = JSON: status, then code, media, length
# `no_persecutor` is in the head only where it is stated: records of older releases are written so too.

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
