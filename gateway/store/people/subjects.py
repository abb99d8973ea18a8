"""The registry: who is enrolled, and their samples, sealed at rest; the source that galleries load from.

A subject is a random 63-bit number and the local file number that it replaces. Numbers are not counted
up: a gap would reveal a removal, and a number used again would give one person's hit to another. A sample
is sealed by the data key under an AAD that names its subject, finger and format, so that no row can be put
in another's place. No hash of a record is kept anywhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select

from gateway.domain.messages import RecordFormat
from gateway.errors import InternalError, PasserelleError, UserError
from gateway.store.effects import Effect, says
from gateway.store.schema import decisions, hit_references, holds, samples, subjects
from gateway.store.sqlite import Database
from keys.data_encryption import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

BATCH = 500  # subjects in one snapshot; a gallery loads while the gateway already writes
SUBJECT_BITS = 63  # a SQL integer is signed
_LABEL = b"passerelle/1/sample"
_OF_ALL = holds.c.kind == "everything"


class AlreadyEnrolled(UserError):
    """The file number, or this finger of it, was enrolled meanwhile."""


class NotEnrolled(UserError):
    """No subject has this file number."""


class Held(UserError):
    """A legal hold keeps this person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSample:
    """One record of one finger; position 1–10 (ANSI/NIST-ITL 14.013)."""

    position: int
    format: RecordFormat
    extractor: str
    impression: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewSubject:
    """A person to enrol, or to extend, by local file number."""

    reference: str
    samples: tuple[NewSample, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A person under the number that galleries know; `known` when the file number was there before."""

    subject: int
    reference: str
    samples: tuple[NewSample, ...]
    known: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What the registry holds: people, records, and records by finger position.

    with_prints      people who can be found: those of whom at least one record is held
    without_status   people of whom nothing is recorded but prints, if any: they are masked (law.md 3.3)
    """

    subjects: int
    samples: int
    by_position: Mapping[int, int]
    without_status: int = 0
    with_prints: int = 0

    @property
    def told(self) -> str:
        """Say them: a person on file without prints is found by nobody's search."""
        return f"{self.subjects} people on file, {self.with_prints} with prints to search ({self.samples} records)"


def place(
    connection: Connection,
    people: Sequence[NewSubject],
    random: Callable[[int], int] = secrets.randbits,
) -> tuple[Placed, ...]:
    """Return people with their numbers: the one that a file number has, else a random one.

    random   returns that many random bits as an integer
    """
    references = [one.reference for one in people]
    wanted = select(subjects.c.reference, subjects.c.id).where(subjects.c.reference.in_(references))
    known: dict[str, int] = {row.reference: row.id for row in connection.execute(wanted)}
    return tuple(
        Placed(
            known.get(one.reference) or random(SUBJECT_BITS),
            one.reference,
            one.samples,
            one.reference in known,
        )
        for one in people
    )


def enrol(person: Placed, data_key: DataRing) -> tuple[Effect, ...]:
    """Return what enrols or extends a person, together with the ENROLLED leaf.

    Sealing happens here, in the caller's thread. A person may be known before there are prints. The commit
    raises AlreadyEnrolled when someone else was first.
    """
    rows = [
        {
            "subject_id": person.subject,
            "position": one.position,
            "format": int(one.format),
            "extractor": one.extractor,
            "impression": one.impression,
            "sealed": data_key.seal(one.data, aad(person.subject, one.position, int(one.format))),
        }
        for one in person.samples
    ]
    first = says(AlreadyEnrolled, "enrolled meanwhile by someone else; run the command again")
    effects = [Effect(insert(samples).values(row), rows=1, refusal=first) for row in rows]
    if person.known:
        return tuple(effects)
    row = insert(subjects).values(id=person.subject, reference=person.reference)
    return Effect(row, rows=1, refusal=first), *effects


def remove(reference: str) -> tuple[Effect, ...]:
    """Return what removes a person, together with the REMOVED leaf: samples, references to hits, decisions.

    The commit raises Held where a hold keeps the person, NotEnrolled for an unknown file number.
    """
    here = select(subjects.c.id).where(subjects.c.reference == reference).scalar_subquery()
    held = (
        select(holds.c.id)
        .where(holds.c.release_ms.is_(None))
        .where(or_(and_(holds.c.kind == "person", holds.c.reference == reference), _OF_ALL))
    )

    def why(connection: Connection) -> PasserelleError:
        if connection.execute(held).first() is not None:
            return Held("a hold keeps this person; `passerelle retention hold list` says why")
        return NotEnrolled("no subject has this file number")

    gone = delete(subjects).where(subjects.c.reference == reference, ~held.exists())
    return (
        Effect(delete(hit_references).where(hit_references.c.subject_id == here)),
        Effect(delete(decisions).where(decisions.c.subject_id == here)),
        Effect(gone, rows=1, refusal=why),
    )


def find(connection: Connection, reference: str) -> int | None:
    """Return the number of the person with a file number; None when there is none."""
    return connection.execute(
        select(subjects.c.id).where(subjects.c.reference == reference)
    ).scalar()


def reference_of(connection: Connection, subject: int) -> str | None:
    """Return the file number of a person; None when there is none."""
    return connection.execute(select(subjects.c.reference).where(subjects.c.id == subject)).scalar()


def samples_of(connection: Connection, data_key: DataRing, reference: str) -> dict[int, bytes]:
    """Return the records of a person by finger position; empty for an unknown file number."""
    wanted = select(samples).join(subjects).where(subjects.c.reference == reference)
    return {
        row.position: _opened(data_key, row.subject_id, row.position, row.format, row.sealed)
        for row in connection.execute(wanted)
    }


def counts(connection: Connection) -> Counts:
    """Return what the registry holds."""
    people = connection.execute(select(func.count()).select_from(subjects)).scalar() or 0
    by_position = select(samples.c.position, func.count()).group_by(samples.c.position)
    rows = connection.execute(by_position.order_by(samples.c.position))
    positions = {int(row[0]): int(row[1]) for row in rows}
    unknown = select(func.count()).select_from(subjects).where(subjects.c.record.is_(None))
    without = connection.execute(unknown).scalar() or 0
    printed = connection.execute(select(func.count(samples.c.subject_id.distinct()))).scalar() or 0
    return Counts(people, sum(positions.values()), positions, without, printed)


def iter_records(
    database: Database, data_key: DataRing, shard: int = 0, of: int = 1
) -> Iterator[tuple[Placed, ...]]:
    """Yield everyone of a shard, in batches, in the order of their numbers, with opened records.

    shard, of   a person belongs to shard number mod `of`; numbers are random, so shards are even

    Raises InternalError, naming person and finger, for a record that does not open.
    """
    last = -1
    while True:
        # Of those who have prints: a page of people without any would look like the end.
        page = (
            select(samples.c.subject_id)
            .distinct()
            .where(samples.c.subject_id > last, samples.c.subject_id % of == shard)
            .order_by(samples.c.subject_id)
            .limit(BATCH)
        )
        wanted = (
            select(subjects.c.reference, samples)
            .join(samples)
            .where(subjects.c.id.in_(page))
            .order_by(samples.c.subject_id, samples.c.position)
        )
        with database.reader() as reader:
            rows = reader.execute(wanted).all()
        if not rows:
            return
        yield tuple(
            Placed(
                subject, members[0].reference, tuple(_sample(data_key, m) for m in members), True
            )
            for subject, group in groupby(rows, key=lambda row: int(row.subject_id))
            for members in [list(group)]
        )
        last = rows[-1].subject_id


def _sample(data_key: DataRing, row: Row[Any]) -> NewSample:
    return NewSample(
        position=row.position,
        format=RecordFormat(row.format),
        extractor=row.extractor,
        impression=row.impression,
        data=_opened(data_key, row.subject_id, row.position, row.format, row.sealed),
    )


def _opened(data_key: DataRing, subject: int, position: int, kind: int, sealed: bytes) -> bytes:
    try:
        return data_key.open(sealed, aad(subject, position, kind))
    except OpenRefused:
        raise InternalError(
            f"the record of finger {position} of subject {subject} does not open"
        ) from None


def aad(subject: int, position: int, kind: int) -> bytes:
    """Return what a print is bound to."""
    return pae(_LABEL, subject.to_bytes(8, "big"), bytes([position]), bytes([kind]))
