"""The registrar's operations: what is held of people is taken in, shown, changed and removed.

A person's change and its UPDATED entry are one commit; the entry names the fields that are held, never a
value. What is shown is recorded first, with the reason. Who is removed goes with prints and record, and the
gallery of a gateway that serves follows at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.domain.messages import Modality
from gateway.domain.person import Record, SubjectKind
from gateway.errors import UserError
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.matching.engine import Change
from gateway.matching.served_galleries import ServedGalleries
from gateway.operations import registry
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.store.people import person_records, subjects
from gateway.store.retention import holds
from gateway.subjects import record_row
from gateway.subjects.demographic_groups import groups_of
from gateway.subjects.record_row import BadRow
from gateway.subjects.record_view import as_row, shown
from keys.data_encryption import DataRing

MOST_GROUPS = 5000  # people of one page; an admin message has at most a million bytes


@dataclass(slots=True)
class _Batch:
    """Changes that wait for one commit, and whom they are about."""

    about: set[str] = field(default_factory=set)
    leaves: list[Leaf] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


class SubjectRecords:
    """Where records of people are kept. `galleries` are those in service, which follow each change."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        data_key: DataRing,
        clock: Callable[[], datetime],
        galleries: ServedGalleries,
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._data_key, self._clock, self._galleries = data_key, clock, galleries

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=registry.Import, do=self._import),
            Handler(request=registry.Show, do=self._show),
            Handler(request=registry.Update, do=self._update),
            Handler(request=registry.Remove, do=self._remove),
            Handler(request=registry.Status, do=self._status),
            Handler(request=registry.Groups, do=self._groups),
        )

    def _import(self, officer: Officer, request: registry.Import) -> Answer:
        batch, bad, counts = _Batch(), [], Counter[str]()
        for index, row in enumerate(request.rows):
            try:
                reference, stated = record_row.read_row(row, self._clock())
                if reference in batch.about:
                    self._commit(batch)
                dated = bool(row.get("confirmed"))
                done = self._take(batch, officer, reference, stated, dated=dated)
            except BadRow as fault:
                bad.append({"row": index, "reason": str(fault)})
                continue
            counts[done] += 1
        self._commit(batch)
        return {"imported": counts["imported"], "unchanged": counts["unchanged"], "bad": bad}

    def _show(self, officer: Officer, request: registry.Show) -> Answer:
        reference = request.reference
        subject, record = self._held(reference)
        leaf = events.record_reading(officer.person, request.reason, subject)
        self._sequencer.commit((leaf,), ())
        with self._database.reader() as reader:
            held = subjects.samples_of(reader, self._data_key, reference)
        fingers = sorted(position for kind, position in held if kind is Modality.FINGER)
        return {"reference": reference, **shown(record), "positions": fingers}

    def _update(self, officer: Officer, request: registry.Update) -> Answer:
        reference = request.reference
        (changes,) = request.changes or ({},)
        _, record = self._held(reference)
        row = {**as_row(record), **changes, "reference": reference}
        if record_row.STANDING & changes.keys() and "confirmed" not in changes:
            row["confirmed"] = ""  # whoever changes a status says that it is so today
        _, stated = record_row.read_row(row, self._clock())
        batch = _Batch()
        done = self._take(batch, officer, reference, stated, dated=True)
        self._commit(batch)
        version = self._held(reference)[1].version
        return {"reference": reference, "changed": done == "imported", "version": version}

    def _remove(self, officer: Officer, request: registry.Remove) -> Answer:
        subject, _ = self._held(request.reference)
        with self._database.reader() as reader:
            standing = holds.standing(reader)
        kept = standing.keeps(holds.Named(subjects=frozenset({subject})))
        if kept is not None:
            raise UserError(f"hold {kept.id} keeps this person; release it first")
        leaf = events.removal(officer.person, subject, request.reason)
        self._sequencer.commit((leaf,), subjects.remove(request.reference))
        self._galleries.apply(Change(subject))
        return {"reference": request.reference, "removed": True}

    def _status(self, officer: Officer, request: registry.Status) -> Answer:
        del officer, request
        with self._database.reader() as reader:
            kinds = person_records.kinds(reader, self._data_key)
            unknown = subjects.counts(reader).without_status
        named = {kind.name: kinds.get(kind, 0) for kind in SubjectKind if kind}
        return {"people": {**named, "UNKNOWN": unknown + kinds.get(SubjectKind.UNKNOWN, 0)}}

    def _groups(self, officer: Officer, request: registry.Groups) -> Answer:
        """Hand out coarse groups of people by number, a page at a time; each page is recorded first (ADR 0026)."""
        leaf = events.reading(
            officer.person, source="groups", reason=request.reason, first=request.after
        )
        self._sequencer.commit((leaf,), ())
        today = self._clock().date()
        with self._database.reader() as reader:
            found = person_records.after(reader, request.after, MOST_GROUPS)
            groups = [
                (
                    str(each),
                    *groups_of(person_records.read_record(reader, self._data_key, each), today),
                )
                for each in found
            ]
        return {"groups": [list(each) for each in groups], "last": len(found) < MOST_GROUPS}

    def _take(
        self, batch: _Batch, officer: Officer, reference: str, stated: Record, *, dated: bool
    ) -> str:
        """Add to the batch what makes a row the record of its person; return what became of the row."""
        with self._database.reader() as reader:
            (placed,) = subjects.place(reader, [subjects.NewSubject(reference)])
            held = person_records.read_record(reader, self._data_key, placed.subject)
        if record_row.same(held, stated, dated=dated):
            return "unchanged"
        record = replace(stated, version=held.version + 1)
        effect = person_records.write_record(placed.subject, record, self._data_key, self._clock())
        batch.about.add(reference)
        batch.effects += [*subjects.enrol(placed, self._data_key), effect]
        batch.leaves.append(_updated(officer, placed.subject, held, record))
        return "imported"

    def _commit(self, batch: _Batch) -> None:
        if batch.leaves:
            self._sequencer.commit(batch.leaves, batch.effects)
        batch.about, batch.leaves, batch.effects = set(), [], []

    def _held(self, reference: str) -> tuple[int, Record]:
        with self._database.reader() as reader:
            subject = subjects.find(reader, reference)
            if subject is None:
                raise UserError(
                    "nobody has this file number; `passerelle registry import` makes one"
                )
            return subject, person_records.read_record(reader, self._data_key, subject)


def _updated(officer: Officer, subject: int, held: Record, record: Record) -> Leaf:
    """Return the entry of a change: what was held, what is held now, what is other; names of fields, never values."""
    return events.record_change(
        officer.person,
        subject,
        (held, record),
        before=record_row.names(held),
        changed=record_row.changed(held, record),
    )
