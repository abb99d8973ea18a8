"""The registry: who is enrolled, and their samples, sealed at rest; the source that galleries load from.

A subject is a random 63-bit number and the local file number that it replaces. Numbers are not counted
up: a gap would reveal a removal, and a number used again would give one person's hit to another. A sample
is sealed by the data key under an AAD that names its subject, modality, position, impression and format, so that no row
can be put in another's place. No hash of a record is kept anywhere.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, or_, select

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.errors import InternalError, PasserelleError, UserError
from gateway.store.effects import Effect, says
from gateway.store.engine import StorageEngine
from gateway.store.schema import decisions, hit_references, holds, samples, subjects
from keys.data_encryption import DataRing
from keys.errors import OpenRefused
from keys.pae import pae

BATCH = 500  # subjects in one snapshot; a gallery loads while the gateway already writes
SUBJECT_BITS = 63  # a SQL integer is signed
LABEL = 3  # of the sealing label that new rows have
# The first knew only fingers, the second one impression of each.
_LABELS = {1: b"passerelle/1/sample", 2: b"passerelle/2/sample", LABEL: b"passerelle/3/sample"}
FIRST, MOST_NUMBER = 1, 255  # numbers of the impressions of a position
Place = tuple[Modality, int]  # modality and position
_OF_ALL = holds.c.kind == "everything"


class AlreadyEnrolled(UserError):
    """The file number, or this sample of it, was enrolled meanwhile."""


class NotEnrolled(UserError):
    """No subject has this file number."""


class Held(UserError):
    """A legal hold keeps this person."""


@dataclass(frozen=True, slots=True)
class NewSubject:
    """A person to enrol, or to extend, by local file number."""

    reference: str
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A person under the number that galleries know; `known` when the file number was there before.

    held   how many impressions of each place were there when the person was placed
    """

    subject: int
    reference: str
    samples: tuple[Sample, ...]
    known: bool
    held: Mapping[Place, int] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each sample among the impressions of its place, those that are there before it."""
        given, numbers = Counter[Place](self.held), []
        for one in self.samples:
            given[one.modality, one.position] += 1
            numbers.append(given[one.modality, one.position])
        return tuple(numbers)


@dataclass(frozen=True, slots=True)
class Counts:
    """What the registry holds: people, records, and records by modality and position.

    with_prints      people who can be found: those of whom at least one record is held
    without_status   people of whom nothing is recorded but prints, if any: they are masked (law.md 3.3)
    """

    subjects: int
    samples: int
    by_position: Mapping[Modality, Mapping[int, int]]
    without_status: int = 0
    with_prints: int = 0

    @property
    def summary(self) -> str:
        """Say them: a person on file without samples is found by nobody's search."""
        return f"{self.subjects} people on file, {self.with_prints} with samples to search ({self.samples} records)"


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
    place = samples.c.subject_id, samples.c.modality, samples.c.position
    counted = select(*place, func.max(samples.c.impression_number)).group_by(*place)
    held: dict[int, dict[Place, int]] = {}
    for subject, modality, position, number in connection.execute(
        counted.where(samples.c.subject_id.in_(known.values()))
    ):
        held.setdefault(subject, {})[_modality(modality), position] = number
    return tuple(
        Placed(
            known.get(one.reference) or random(SUBJECT_BITS),
            one.reference,
            one.samples,
            one.reference in known,
            held.get(known.get(one.reference, -1), {}),
        )
        for one in people
    )


def enrol(person: Placed, data_key: DataRing) -> tuple[Effect, ...]:
    """Return what enrols or extends a person, together with the ENROLLED leaf.

    Sealing happens here, in the caller's thread. A person may be known before there are prints. The commit
    raises AlreadyEnrolled when someone else was first. A further sample of a place is a further impression of it.
    """
    rows = [
        {
            "subject_id": person.subject,
            "modality": int(one.modality),
            "position": one.position,
            "impression_number": number,
            "format": int(one.format),
            "extractor": one.extractor,
            "impression": one.impression,
            "sealed": data_key.seal(
                one.data,
                aad(LABEL, person.subject, (one.modality, one.position, number), one.format),
            ),
            "label": LABEL,
        }
        for one, number in zip(person.samples, person.numbers, strict=True)
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


def samples_of(
    connection: Connection, data_key: DataRing, reference: str
) -> dict[Place, tuple[Sample, ...]]:
    """Return the samples of a person by modality and position, impressions in order; empty for an unknown file number."""
    wanted = select(samples).join(subjects).where(subjects.c.reference == reference)
    found: dict[Place, tuple[Sample, ...]] = {}
    for row in connection.execute(wanted.order_by(*samples.primary_key)):
        one = _sample(data_key, row)
        place = one.modality, one.position
        found[place] = (*found.get(place, ()), one)
    return found


def counts(connection: Connection) -> Counts:
    """Return what the registry holds."""
    people = connection.execute(select(func.count()).select_from(subjects)).scalar() or 0
    place = samples.c.modality, samples.c.position
    rows = connection.execute(select(*place, func.count()).group_by(*place).order_by(*place))
    positions: dict[Modality, dict[int, int]] = {}
    for modality, position, count in rows:
        positions.setdefault(_modality(modality), {})[position] = count
    total = connection.execute(select(func.count()).select_from(samples)).scalar() or 0
    unknown = select(func.count()).select_from(subjects).where(subjects.c.record.is_(None))
    without = connection.execute(unknown).scalar() or 0
    printed = connection.execute(select(func.count(samples.c.subject_id.distinct()))).scalar() or 0
    return Counts(people, total, positions, without, printed)


def iter_records(
    database: StorageEngine, data_key: DataRing, modality: Modality, shard: int = 0, of: int = 1
) -> Iterator[tuple[Placed, ...]]:
    """Yield everyone of a shard with samples of a modality, in batches, in the order of their numbers, opened.

    shard, of   a person belongs to shard number mod `of`; numbers are random, so shards are even

    Raises InternalError, naming person and position, for a record that does not open.
    """
    last = -1
    while True:
        # Of those who have samples: a page of people without any would look like the end.
        page = (
            select(samples.c.subject_id)
            .distinct()
            .where(samples.c.modality == int(modality))
            .where(samples.c.subject_id > last, samples.c.subject_id % of == shard)
            .order_by(samples.c.subject_id)
            .limit(BATCH)
        )
        wanted = (
            select(subjects.c.reference, samples)
            .join(samples)
            .where(subjects.c.id.in_(page), samples.c.modality == int(modality))
            .order_by(samples.c.subject_id, samples.c.position, samples.c.impression_number)
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


def _sample(data_key: DataRing, row: Row[Any]) -> Sample:
    modality = _modality(row.modality)
    try:
        place = row.modality, row.position, row.impression_number
        bound = aad(row.label, row.subject_id, place, row.format)
        data = data_key.open(row.sealed, bound)
    except OpenRefused:
        raise InternalError(
            f"the record of {modality.name.lower()} {row.position} of subject {row.subject_id} does not open"
        ) from None
    return Sample(
        modality=modality,
        position=row.position,
        format=RecordFormat(row.format),
        extractor=row.extractor,
        impression=row.impression,
        data=data,
    )


def _modality(number: int) -> Modality:
    """Return a stored modality; raises InternalError for one that we do not write."""
    try:
        return Modality(number)
    except ValueError:
        raise InternalError(
            "the store holds a sample of a modality that this release does not know; install the one that wrote it"
        ) from None


def aad(label: int, subject: int, place: tuple[int, int, int], kind: int) -> bytes:
    """Return what a sample is bound to, by the version of its label: modality, position and number of the impression.

    Raises OpenRefused for a label that is not ours, and for an old one on a row that it does not name: the first label
    names no modality and neither of the first two an impression, so that no row under them can be put in the place of
    another modality, or of a further impression.
    """
    modality, position, number = place
    if label not in _LABELS or (label == 1 and modality != Modality.FINGER):
        raise OpenRefused
    if label != LABEL and number != FIRST:
        raise OpenRefused
    if number < FIRST or number > MOST_NUMBER:
        raise OpenRefused
    named = () if label == 1 else (bytes([modality]),)
    numbered = (bytes([number]),) if label == LABEL else ()
    where = (*named, bytes([position]), *numbered, bytes([kind]))
    return pae(_LABELS[label], subject.to_bytes(8, "big"), *where)
