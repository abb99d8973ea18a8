"""Enrol people into the gallery: each record read strictly, each bad one named, the rest enrolled.

A subject's samples and its ENROLLED entry are one commit. Enrolling the same record again changes nothing;
another record for a position that is enrolled already is a fault of that file, not of the run, unless whoever enrols
says that further impressions are meant: a wrong file number would else make one person of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, groupby

from gateway.domain.messages import MOST_IMPRESSIONS, Modality, Sample
from gateway.domain.person import Datum, FieldCode, Record, Status
from gateway.extraction.service import ExtractionService
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.matching.calibrations import Calibrations, CalibrationsInForce
from gateway.matching.engine import UnreadableSample
from gateway.matching.images import OwnImage, to_enrol
from gateway.matching.modality import codec_of
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.store.people import person_records as people
from gateway.store.people import subjects
from gateway.subjects.record_row import changed
from keys.data_encryption import DataRing

MOST_REPAIRS = 1000  # characters of them in an entry, whose detail holds 4,096 bytes; `gallery enrol` lists all
BATCH = 64  # subjects committed together; one flush to disk serves them all (ledger.md section 9)


@dataclass(frozen=True, slots=True)
class Row:
    """One record to enrol.

    label      what the user calls it: a path; named in faults
    subject    the local file number of the person, a pseudonym
    position   one of the modality's; the record's own 0, unknown, gives way to it
    status     what the person is to the law, where whoever enrols says it; of whom nothing is known is masked
    fields     what else is recorded of the person with that status
    repairs    what was done to the file so that the record could be read, in words that hold nothing of it
    image      whether it is an image, whose record has to be made first
    ppi        of an image of a finger that does not say it itself, pixels per inch; 0 = it does
    """

    label: str
    subject: str
    position: int
    extractor: str
    data: bytes = field(repr=False)
    status: Status | None = None
    repairs: tuple[str, ...] = ()
    modality: Modality = Modality.FINGER
    fields: Mapping[FieldCode, Datum] = field(default_factory=dict, repr=False)
    image: bool = False
    ppi: int = 0

    @property
    def place(self) -> tuple[Modality, int]:
        """Which sample of the person it is."""
        return self.modality, self.position


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that was not enrolled, and why."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """An image that was enrolled as the record that an extractor, of this name and version, made of it."""

    label: str
    sample: Sample
    extractor: str


@dataclass(slots=True)
class Report:
    """What became of an enrolment, in records and people."""

    enrolled: int = 0
    unchanged: int = 0
    people: int = 0
    bad: list[BadRow] = field(default_factory=list)
    extracted: list[Extraction] = field(default_factory=list)


class Registry:
    """The enrolment of subjects."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        data_key: DataRing,
        clock: Callable[[], datetime],
        calibrations: CalibrationsInForce,
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._data_key, self._clock = data_key, clock
        self._calibrations = calibrations

    def enrol(
        self,
        rows: Iterable[Row],
        images: ExtractionService | None = None,
        *,
        further: bool = False,
    ) -> Report:
        """Enrol rows grouped by subject; `images` makes records of those that are images, which are kept nowhere.

        further   another record of an enrolled position is a further impression of it, up to MOST_IMPRESSIONS

        Rows of one subject should be together; a subject that comes again later is extended. Of whom no record is
        good nothing is written, no status either: a file that was refused is nobody.
        """
        report = Report()
        pending: list[_Pending] = []
        for reference, group in groupby(rows, key=lambda row: row.subject):
            members = list(group)
            if any(one.reference == reference for one in pending):
                self._commit(pending, report)
            samples, good, fresh = self._samples(
                reference, members, report, images, further=further
            )
            record = self._record(reference, good, report)
            if samples or record:
                repairs = [row.repairs for row in fresh]
                pending.append(_Pending(reference, samples, record, tuple(chain(*repairs))))
            if len(pending) >= BATCH:
                self._commit(pending, report)
        self._commit(pending, report)
        return report

    def _samples(
        self,
        reference: str,
        rows: list[Row],
        report: Report,
        images: ExtractionService | None,
        *,
        further: bool,
    ) -> tuple[tuple[Sample, ...], list[Row], list[Row]]:
        """Return the samples that are new, the rows whose record is held now, new or not, and those of the new ones."""
        with self._database.reader() as reader:
            held = subjects.samples_of(reader, self._data_key, reference)
        new, good, fresh = list[Sample](), list[Row](), list[Row]()
        for row in rows:
            try:
                sample, extractor = _sample(row, images, self._calibrations.current)
            except UnreadableSample as fault:
                report.bad.append(BadRow(row.label, str(fault)))
                continue
            before = held.get(row.place, ())
            if any(one.data == sample.data for one in before):
                report.unchanged += 1
                good.append(row)
            elif reason := _surplus(row, len(before), further=further):
                report.bad.append(BadRow(row.label, reason))
            else:
                held[row.place] = (*before, sample)
                new.append(sample)
                good.append(row)
                fresh.append(row)
                if row.image:
                    report.extracted.append(Extraction(row.label, sample, extractor))
        return tuple(new), good, fresh

    def _record(self, reference: str, rows: list[Row], report: Report) -> Record | None:
        """Return the record to write; None where no status is said, or the person has a record already."""
        said = next((row for row in rows if row.status is not None), None)
        if said is None or said.status is None:
            return None
        with self._database.reader() as reader:
            known = subjects.find(reader, reference)
            held = None if known is None else people.read_record(reader, self._data_key, known)
        if held is None or not held.version:
            return Record(status=said.status, data=dict(sorted(said.fields.items())), version=1)
        if replace(held.status, confirmed=said.status.confirmed) != said.status:
            why = "this person has another status; change it with passerelle registry update"
            report.bad.append(BadRow(said.label, why))
        elif said.fields and dict(held.data) != dict(said.fields):
            why = "this person has another record; change it with passerelle registry update"
            report.bad.append(BadRow(said.label, why))
        return None

    def _commit(self, pending: list[_Pending], report: Report) -> None:
        if not pending:
            return
        with self._database.reader() as reader:
            placed = subjects.place(
                reader, [subjects.NewSubject(one.reference, one.samples) for one in pending]
            )
        effects: list[Effect] = []
        leaves: list[Leaf] = []
        for one, said in zip(placed, pending, strict=True):
            effects += subjects.enrol(one, self._data_key)
            if said.record is not None:
                effects.append(
                    people.write_record(one.subject, said.record, self._data_key, self._clock())
                )
            leaves.append(_leaf(one, said))
        self._sequencer.commit(leaves, effects)
        report.enrolled += sum(len(one.samples) for one in placed)
        report.people += len(placed)
        pending.clear()


def _surplus(row: Row, held: int, *, further: bool) -> str:
    """Return why a record is not enrolled beside those of its position; empty where it is."""
    what = f"{row.modality.name.lower()} {row.position} of this subject has"
    most = MOST_IMPRESSIONS[row.modality]
    if not held:
        return ""
    if held >= most:
        several = "another record" if most == 1 else f"{most} records, the most that there may be"
        return f"{what} {several}"
    remedy = "if it is a further impression of the same finger, say --further-impressions"
    return "" if further else f"{what} another record; {remedy}"


@dataclass(frozen=True, slots=True)
class _Pending:
    """A person who waits for the next commit; samples may be none where only a record is new."""

    reference: str
    samples: tuple[Sample, ...]
    record: Record | None
    repairs: tuple[str, ...]


def _sample(
    row: Row, images: ExtractionService | None, calibrations: Calibrations
) -> tuple[Sample, str]:
    """Return the sample to enrol, and what made it of an image; nothing made a record that was given."""
    codec = codec_of(row.modality)
    if not row.image:
        return codec.sample_to_enrol(row.data, row.position, row.extractor, calibrations), ""
    image = OwnImage(row.data, row.modality, row.position, row.ppi)
    return to_enrol(image, images or ExtractionService(), codec, calibrations)


def _leaf(one: subjects.Placed, said: _Pending) -> Leaf:
    return events.enrolment(
        one.subject,
        one.samples,
        said.record.status if said.record else None,
        changed(Record(), said.record) if said.record else (),
        "; ".join(dict.fromkeys(said.repairs))[:MOST_REPAIRS],
        numbers=one.numbers,
    )
